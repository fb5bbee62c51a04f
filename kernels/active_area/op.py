"""`avjury::active_area`: black bars at a picture's four sides."""

from typing import Final

import torch
from torch import Tensor

from kernels.layout import FRAME_FIELDS

COLUMNS: Final = ("bar_top", "bar_bottom", "bar_left", "bar_right")
# FFmpeg's cropdetect: default of its limit, in shares of the largest code.
LIMIT: Final = 24


def _check(frames: Tensor) -> None:
    if frames.dim() != 2 or frames.shape[1] != FRAME_FIELDS or frames.dtype != torch.int64:
        raise ValueError(f"active_area: wanted (N, {FRAME_FIELDS}) int64, got {tuple(frames.shape)} {frames.dtype}")


def _cpu(frames: Tensor) -> Tensor:
    from kernels.active_area import cpu  # numba loads in a second: only where it is needed

    _check(frames)
    return cpu.active_area(frames)


_active_area = torch.library.custom_op("avjury::active_area", _cpu, mutates_args=(), device_types="cpu")


@_active_area.register_kernel("cuda")
def _(frames: Tensor) -> Tensor:
    from kernels.active_area import gpu  # Triton is not there on every machine

    _check(frames)
    return gpu.active_area(frames)


@_active_area.register_fake
def _(frames: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def active_area(frames: Tensor) -> Tensor:
    """Black lines at the borders of each picture of a batch.

    A row or column is black if its mean luma, rounded down, is at most LIMIT, scaled from 8 bits to the depth. Each
    column of the result counts the black lines from one side up to the first that is not, as a share of the height
    (top, bottom) or of the width (left, right); 1 on all sides for a picture that is black altogether.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, CPU or CUDA: see kernels/layout.py. LUMA_ADDRESS 0: not due, its
            row is NaN.
    Returns: (N, len(COLUMNS)) float64 on the same device.
    Raises: ValueError for a table of another shape or dtype.
    Source: FFmpeg's cropdetect (mode black), of one picture alone: FFmpeg keeps the largest area of all pictures.
    """
    if not frames.is_cuda:
        return _cpu(frames)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.active_area(frames)
    return result
