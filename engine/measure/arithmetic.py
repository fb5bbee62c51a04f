"""What the small arithmetic around the kernels runs on.

It is written once, for the CPU and the GPU: on numpy views of host tensors (a numpy call on a few values costs a tenth
of a torch call) or on device tensors.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Arithmetic:
    """One device's side of it.

    Args:
        device: where the kernels run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.on_host = device.type == "cpu"
        # The same names for what numpy and torch both have: `where`, `isnan`, `log10`.
        self.xp: Any = np if self.on_host else torch

    def view(self, tensor: Tensor) -> Any:
        """What the arithmetic runs on: a numpy view on the host, the tensor itself on a GPU."""
        return tensor.numpy() if self.on_host else tensor

    def local(self, tensor: Tensor) -> Any:
        """A host tensor, brought to where the arithmetic runs."""
        return tensor.numpy() if self.on_host else tensor.to(self.device, non_blocking=True)

    def nothing_measured(self, rows: int, columns: int) -> tuple[Tensor, Any]:
        """(rows, columns) float64 on the device, all NaN; and what the arithmetic runs on of it."""
        if self.on_host:
            # A third of what torch takes for it. Asking the tensor for its array would cost as much again.
            array = np.full((rows, columns), np.nan)
            return torch.from_numpy(array), array
        tensor = torch.full((rows, columns), torch.nan, dtype=torch.float64, device=self.device)
        return tensor, tensor

    def column(self, slots: int, value: float = 0.0) -> Any:
        """(slots,) float64, one number per slot."""
        return self.view(torch.full((slots,), value, dtype=torch.float64, device=self.device))
