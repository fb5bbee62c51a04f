"""`avjury::fields`: how far the lines of one field lie from those of the other field, of the next picture."""

import torch
from torch import Tensor

from kernels.fields.layout import COLUMNS
from kernels.frame_tables import check_frame_tables


def _cpu(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.fields import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("fields", frames, references)
    return cpu.fields(frames, references)


_fields = torch.library.custom_op("avjury::fields", _cpu, mutates_args=(), device_types="cpu")


@_fields.register_kernel("cuda")
def _(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.fields import gpu  # Triton is not there on every machine

    check_frame_tables("fields", frames, references)
    return gpu.fields(frames, references)


@_fields.register_fake
def _(frames: Tensor, references: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def fields(frames: Tensor, references: Tensor) -> Tensor:
    """How far lines of one field lie from the lines of the other field around them, a picture later or earlier.

    | column | meaning |
    |---|---|
    | earlier_top | the earlier picture's lines of the top field, between this picture's lines of the bottom field |
    | earlier_bottom | the earlier picture's lines of the bottom field, between this picture's of the top field |
    | later_top | this picture's lines of the top field, between the earlier picture's of the bottom field |
    | later_bottom | this picture's lines of the bottom field, between the earlier picture's of the top field |
    | within | the lines of both fields, between those of the other field of the same picture (this one) |

    Each is the mean of abs(2 m[y] - o[y - 1] - o[y + 1]) / 2 in 8-bit codes, over the luma of the lines y of that field
    in one picture (m) and the lines beside them in the other (o; of `within` the same). Lines are looked at in pairs
    (kernels/fields/layout.py), all of them up to 1,026 lines. What moves is nearer where two fields follow each other:
    the bottom field of a picture and the top field of the next one where the top field comes first. Then earlier_bottom
    and later_top are small beside earlier_top and later_bottom; the other way round where the bottom field comes first.
    The four are about equal where both fields are of one moment, and where nothing moves. `within` is as large as the
    smaller ones where fields follow each other at equal distances, and much smaller where both are of one moment.

    Every column is a ratio of two exact integers with one float64 division, so that all versions give the same bits.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows, rows without a reference, and pictures of
        less than six lines.
    Raises: ValueError for tables of another shape, dtype or device.
    Source: the sums alpha and delta of FFmpeg's idet, for two pictures instead of three: those of a picture are made
        of this row's and the next picture's (tests/parity/test_idet.py).
    """
    if not frames.is_cuda:
        return _cpu(frames, references)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.fields(frames, references)
    return result
