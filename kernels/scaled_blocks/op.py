"""`avjury::scaled_blocks`: how many blocks have newly come apart of the grid that a picture had before a scaler."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables, check_table
from kernels.scaled_blocks.layout import COLUMNS


def _check(frames: Tensor, references: Tensor, coded: Tensor) -> None:
    check_frame_tables("scaled_blocks", frames, references)
    check_table("scaled_blocks", coded, frames.shape[0], 2, frames.device, "coded sizes")


def _cpu(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    from kernels.scaled_blocks import cpu  # numba loads in a second: only where it is needed

    _check(frames, references, coded)
    return cpu.scaled_blocks(frames, references, coded)


_scaled_blocks = torch.library.custom_op(
    "avjury::scaled_blocks",
    _cpu,
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor frames, Tensor references, Tensor coded) -> Tensor",
)


@_scaled_blocks.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    from kernels.scaled_blocks import gpu  # Triton is not there on every machine

    _check(frames, references, coded)
    return gpu.scaled_blocks(frames, references, coded)


@_scaled_blocks.register_fake
def _(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def scaled_blocks(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    """Torn blocks of N pictures that were scaled after they were coded, on the grid that they were coded on.

    What a broken picture had torn stays torn when a decoder's output is scaled and coded anew, but on the borders of
    blocks that are 16 lines times the scale apart. Of each of these borders the lines are compared that the scaler
    took from one side alone.

    Luma is cut to its upper 8 bits. A line is a row or a column. Of `size` lines that were `coded` lines, the middle
    of line i lies at (i + 1/2) coded / size, in lines of the coded picture. For a phase p the grid's lines are the
    beginnings of the coded lines p + 16 k; a block is what lies between, if it is wholly within the coded picture. Of
    the border at the beginning of the coded line b, with floor and ceil of the exact quotients,

        before = floor((2 b size - coded - size) / (2 coded)): the last line whose middle is not behind b - 1/2
        behind = ceil((2 b size - coded + size) / (2 coded)): the first one whose middle is not before b + 1/2
        further = ceil((behind - before) / 2)
        two_before = before - further, two_behind = behind + further

    Its samples are those of the other direction's lines first(b) to first(b + 16) - 1, where b is the coded line at
    which the block begins, and

        first(b) = ceil((2 b size - coded) / (2 coded)): the first line whose middle is not before b

    A border of n samples is torn if, summed over them, abs(behind - before) is at least TORN n larger than
    abs(before - two_before) and abs(two_behind - behind) together; if in the earlier picture it was larger by less
    than TORN_BEFORE n; and if `before` and `behind` differ from the earlier picture's by at least 2 CHANGED n in sum.
    The numbers are in kernels/scaled_blocks/layout.py. The picture's own border is none. A block has a torn corner if
    its upper or lower, and its left or right border is torn.

    | column | meaning |
    |---|---|
    | scaled_corners | blocks of phase 0 with a torn corner |
    | scaled_corners_off | the most of phases 4, 8 and 12; 0 where scaled_corners is 0 |
    | scaled_sides | blocks of phase 0 with three or four torn borders |
    | scaled_sides_off | the most of phases 4, 8 and 12; 0 where scaled_corners is 0 |

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
        coded: (N, 2) int64, contiguous, same device: width and height in samples that the picture was coded in before
            it was last scaled. One that is 0 or less skips the row, and so does one of more than MOST_SCALE times the
            picture's, or of less than the picture's by more than that.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows and rows without a reference.
    Raises: ValueError for tables of another shape, dtype or device.
    """
    if not frames.is_cuda:
        return _cpu(frames, references, coded)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.scaled_blocks(frames, references, coded)
    return result
