"""`avjury::tear`: at which rows a picture seems to be two moments, one above and one below the row."""

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
    return cpu.tear(frames, references, tallest)


_tear = torch.library.custom_op("avjury::tear", _cpu, mutates_args=(), device_types="cpu")


@_tear.register_kernel("cuda")
def _(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    from kernels.tear import gpu  # Triton is not there on every machine

    _check(frames, references, tallest)
    return gpu.tear(frames, references, tallest)


@_tear.register_fake
def _(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS), tallest), dtype=torch.int32)


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """How many blocks of each row of N pictures seem torn from the row above.

    A torn picture shows one moment above a row and an earlier one below it, or the other way round; the halves fit
    each other better across time than within the picture, which no edge of the scene does, at rest or moving.

    Luma is cut to its upper 8 bits. Of a block at row y (16 samples; layout.py), let C be the sum of
    abs(this[y] - this[y - 1]), P the same of the earlier picture, X1 that of abs(this[y] - earlier[y - 1]), X2 that of
    abs(earlier[y] - this[y - 1]), M(y) that of abs(this[y] - earlier[y]), and X the smaller of X1 and X2. It moves if
    the larger of M(y) and M(y - 1) is 32 at least, and the smaller one 16. A block that moves seems torn if

    - C - X is 32 at least, and C at least 1.5 X;
    - the smaller of M(y) and M(y - 1) is at least half of the larger one, or P at least 1.5 X: beside an edge that
      stands, as of a caption or a letterbox, a fade fits better across time as well;
    - the larger of X1 and X2 is at least 0.8 C: one of the two is across two moments; of a pattern of squares that
      moves both fit better than C;
    - C is at least 1.2 times every C and P of the rows from y - 4 to y + 4 without y.

    | column | blocks that move and |
    |---|---|
    | newer_above | seem torn, and X1 is not larger than X2: what is below fits what was above, so it is older |
    | newer_below | seem torn otherwise |
    | against | have X - C of 32 at least |
    | moving | all of them |

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
        tallest: rows of the tallest picture, or more; what is below is not looked at.
    Returns: (N, len(COLUMNS), tallest) int32 on the device; 0 for the first row and those below a picture, and for
        pictures that are skipped or without a reference.
    Raises: ValueError for tables of another shape, dtype or device, and for less than no rows.
    """
    if not frames.is_cuda:
        return _cpu(frames, references, tallest)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.tear(frames, references, tallest)
    return result
