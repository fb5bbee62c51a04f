"""Names for the steps of the loop in a profiler's picture of a GPU (NVTX; `avjury bench trace`, Nsight Systems)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

Range = Callable[[str], AbstractContextManager[Any]]
_NOTHING = nullcontext()


def ranges_on(device: torch.device) -> Range:
    """What marks a step, by name."""
    if device.type == "cuda":
        mark: Range = torch.cuda.nvtx.range
        return mark
    return lambda _: _NOTHING
