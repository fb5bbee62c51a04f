"""`avjury::torn_blocks`: how many blocks of the coding grid have newly come apart from their neighbours."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables
from kernels.torn_blocks.layout import COLUMNS


def _cpu(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.torn_blocks import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("torn_blocks", frames, references)
    return cpu.torn_blocks(frames, references)


_torn_blocks = torch.library.custom_op("avjury::torn_blocks", _cpu, mutates_args=(), device_types="cpu")


@_torn_blocks.register_kernel("cuda")
def _(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.torn_blocks import gpu  # Triton is not there on every machine

    check_frame_tables("torn_blocks", frames, references)
    return gpu.torn_blocks(frames, references)


@_torn_blocks.register_fake
def _(frames: Tensor, references: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def torn_blocks(frames: Tensor, references: Tensor) -> Tensor:
    """Torn blocks of N pictures.

    Damage of a coded picture, concealed or not, comes in blocks: their borders are steps that begin and end with the
    block, that the earlier picture did not have, and that lie on the coding grid and on no other.

    Luma is cut to its upper 8 bits. For a phase p the grid's lines are rows and columns p + 16 k; a block is what lies
    between, if it is wholly within the picture. The border of two blocks, 16 samples long, is torn if, summed over its
    samples, the step across it is at least 160 larger than the step before and the step behind it together; if in the
    earlier picture it was larger by less than 80; and if the samples on both sides of it differ from the earlier
    picture's by at least 128 in sum. A block has a torn corner if its upper or lower, and its left or right border is
    torn.

    | column | meaning |
    |---|---|
    | torn_corners | blocks of phase 0 with a torn corner |
    | torn_corners_off | the most of phases 4, 8 and 12; 0 where torn_corners is 0 |
    | torn_sides | blocks of phase 0 with three or four torn borders |
    | torn_sides_off | the most of phases 4, 8 and 12; 0 where torn_corners is 0 |
    | woven | share of the borders below blocks of phase 0, of some twenty rows, at which rows of two moments meet |

    Of a border below row b and above row c, let a be the row above b and d the row below c. It is woven if the sum of
    abs(c - b) over its samples is 96 at least, and not less than that of abs(c - a) and of abs(d - b) together; two
    such borders count for none, however many there are. It is the sign for a closer look at combing.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
    Returns: (N, len(COLUMNS)) float64 on the device; NaN for skipped rows and rows without a reference.
    Raises: ValueError for tables of another shape, dtype or device.
    """
    if not frames.is_cuda:
        return _cpu(frames, references)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.torn_blocks(frames, references)
    return result
