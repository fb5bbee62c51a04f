"""`avjury::tear`: how clearly a picture is two moments, one above and one below a row."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables
from kernels.tear.layout import COLUMNS


def _check(frames: Tensor, references: Tensor, tallest: int) -> None:
    check_frame_tables("tear", frames, references)
    if tallest < 0:
        raise ValueError(f"tear: no picture is {tallest} rows high")


def _cpu(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    from kernels.tear import cpu  # numba loads in a second: only where it is needed

    _check(frames, references, tallest)
    return cpu.tear(frames, references)


_tear = torch.library.custom_op("avjury::tear", _cpu, mutates_args=(), device_types="cpu")


@_tear.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    from kernels.tear import gpu  # Triton is not there on every machine

    _check(frames, references, tallest)
    return gpu.tear(frames, references, tallest)


@_tear.register_fake
def _(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """The most torn row of each of N pictures.

    A torn picture shows one moment above a row and an earlier one below it, or the other way round; the halves fit
    each other better across time than within the picture, which no edge of the scene does, at rest or moving.

    Luma is cut to its upper 8 bits. In each of the 16 strips of a row y (layout.py), of w samples, let C be the sum of
    abs(this[y] - this[y - 1]), P the same of the earlier picture, X1 that of abs(this[y] - earlier[y - 1]), X2 that of
    abs(earlier[y] - this[y - 1]). A strip moves at y if abs(this - earlier) of row y or y - 1 sums to at least 3 w.
    Over the n strips that move at y: C(y) is the sum of C; X(y) the smaller of the sums of X1 and of X2; A(y) the
    largest of the sums of C, and of P, at the rows from y - 8 to y + 8 without y. A row with n of at least 5, C(y) of
    at least 3 n w, and C(y) above A(y) has the value 10 C(y) / max(20 X(y), 13 A(y), 1); `tear` is the largest, 0
    where no row has one. From 1 on the row is torn. `tear_place` is the first row that has it over the picture's
    height, 0 where none has.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
        tallest: rows of the tallest picture, or more: a bound for the memory that is needed. It changes no number.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows, rows without a reference, and pictures
        narrower than 16 columns.
    Raises: ValueError for tables of another shape, dtype or device.
    """
    if not frames.is_cuda:
        return _cpu(frames, references, tallest)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.tear(frames, references, tallest)
    return result
