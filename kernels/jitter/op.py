"""`avjury::jitter`: how many rows of a picture lie beside where they belong, each by itself."""

import torch
from torch import Tensor

from kernels.jitter.layout import COLUMNS
from kernels.layout import FRAME_FIELDS


def _cpu(frames: Tensor) -> Tensor:
    from kernels.jitter import cpu  # numba loads in a second: only where it is needed

    return cpu.jitter(frames)


_jitter = torch.library.custom_op("avjury::jitter", _cpu, mutates_args=(), device_types="cpu")


@_jitter.register_kernel("cuda")
def _(frames: Tensor) -> Tensor:
    from kernels.jitter import gpu  # Triton is not there on every machine

    return gpu.jitter(frames)


@_jitter.register_fake
def _(frames: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.int32)


def jitter(frames: Tensor) -> Tensor:
    """Of ROWS rows of each picture those that are displaced, and those that have detail.

    A bad time base or a lost horizontal lock shifts every row along the picture by itself. Such a row fits its
    neighbours well, but elsewhere; and how far it lies from both adds up to how far those lie from each other. The
    rows of a picture as it should be fit where they are, or (slanted edges) lie alike from row to row; of two fields
    that are woven the rows above and below fit each other where they are.

    Luma is cut to its upper 8 bits; k neighbouring samples are added up to a column, n columns to a row (layout.py).
    R is the reach, and sums are over the columns from R on up to n - R without that. Of row y let a be the row above
    and b the row below. With D the sum of abs(y[x] - y[x - 2]), y has detail if D is 2k a column at least. Of two rows
    p and q let S(s) be the sum of abs(q[x + s] - p[x]); s(p, q) is the first shift from -R to R with the least S, if
    that is at most half of S(0), and 2 or more away from 0. A row with detail is displaced if

    - S(0) of (a, y) and of (y, b) is D at least each;
    - s(a, y) and s(y, b) are so far away from 0, and apart from each other by 2 or more;
    - the least S of (a, b) is at a shift other than 0, and within 1 of s(a, y) + s(y, b).

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, CPU or CUDA, see kernels/layout.py; LUMA_ADDRESS 0 skips the row.
            Width at most 32,768.
    Returns: (N, len(COLUMNS)) int32 on the same device; 0 for pictures that are skipped or too small.
    Raises: ValueError if the table's shape or dtype is another: the kernels trust it.
    """
    if (
        frames.dim() != 2
        or frames.shape[1] != FRAME_FIELDS
        or frames.dtype != torch.int64
        or not frames.is_contiguous()
    ):
        raise ValueError(f"jitter: wanted (N, {FRAME_FIELDS}) int64, got {tuple(frames.shape)} {frames.dtype}")
    if not frames.is_cuda:
        return _cpu(frames)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.jitter(frames)
    return result
