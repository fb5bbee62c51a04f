"""What crosses from a GPU with the judge's counts, a byte of each picture: how bright it is, and whether it asks.

Whose picture asks is looked at again (second_looks.py).
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.measure.columns import place

_LUMA_MEAN = place("luma_mean")


class Tally:
    """A follower of pictures' rows (`engine.media.Follower`), and the bytes that cross for each of them.

    Args:
        device: where the rows are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: dict[int, Tensor] = {}  # by rows of the batch: what is recorded finds it again

    def before(self, slots: npt.NDArray[np.int64], start: npt.NDArray[np.float64]) -> None:
        """Nothing is known on the host."""

    def keep(self, slots: Tensor, start: Tensor, values: Tensor) -> None:
        """Mean luma in steps of 1/255; 0 where there is none."""
        self.of(len(values))[0].copy_((255 * values[:, _LUMA_MEAN].nan_to_num()).round())

    def of(self, rows: int) -> Tensor:
        """(3, rows) uint8 of the last batch of so many rows: brightness, who asks, and room for the judge's counts."""
        if rows not in self._kept:
            self._kept[rows] = torch.zeros((3, rows), dtype=torch.uint8, device=self._device)
        return self._kept[rows]
