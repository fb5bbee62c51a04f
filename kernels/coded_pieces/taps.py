"""Which lines of a picture a line of the coded one is made of, and with which weights: of all pieces of a call at once.

The tables are made by torch where the pieces are, in exact integers, so that the CPU's and the GPU's are the same.
A line is a row or a column of a plane. A piece has four axes: rows and columns of luma, then of chroma.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from kernels.coded_pieces.layout import CELLS, MOST_SCALE, PIECE, TAPS, WEIGHT_BITS, CropField
from kernels.layout import FRAME_FIELDS, Field

AXES: Final = 4
LINES: Final = 2 * PIECE + 2 * CELLS
"""Of all axes of a piece, one after the other."""


class Taps(NamedTuple):
    """Of M pieces.

    Args:
        first: (M, LINES) int64: the first line that has a weight; it may lie outside the plane.
        weights: (M, LINES, TAPS) int64: of it and those behind it, in 2**-WEIGHT_BITS.
        counts: (M, AXES) int64: how many have one, at most; 0 for all axes of a piece that is not seen, and for those
            of chroma in a grey picture.
    """

    first: Tensor
    weights: Tensor
    counts: Tensor


def _of_each_line(axes: Tensor) -> Tensor:
    """(M, LINES) of (M, AXES)."""
    return torch.cat((axes[:, :2].repeat_interleave(PIECE, 1), axes[:, 2:].repeat_interleave(CELLS, 1)), 1)


def _weights(apart: Tensor, reach: Tensor) -> Tensor:
    """(..., TAPS) weights that sum to 2**WEIGHT_BITS, of lines so far from the middle, see kernels/coded_pieces/op.py.

    Args:
        apart: (..., TAPS) int64, at most 2 * reach, where the kernel is 0.
        reach: (..., 1) int64: the distance that is 1 for the kernel.
    """
    near = (3 * apart - 5 * reach) * apart * apart + 2 * reach**3
    far = ((5 * reach - apart) * apart - 8 * reach**2) * apart + 4 * reach**3
    sums = torch.where(apart <= reach, near, far).cumsum(-1)
    # Of at most 2**15 lines, `reach` is at most 2**16, the cubic's peak 2**49, the sum of all weights about six of
    # these, and what is divided here less than 2**61.
    total = sums[..., -1:]
    rounded = ((sums << (WEIGHT_BITS + 1)) + total) // (2 * total)
    return rounded.diff(dim=-1, prepend=torch.zeros_like(total))


def taps_of(frames: Tensor, crops: Tensor) -> Taps:
    """The tables for the pieces `crops` of the pictures `frames`, see kernels/coded_pieces/op.py."""
    if not frames.shape[0]:  # all pieces are empty
        frames = frames.new_zeros((1, FRAME_FIELDS))
    row = crops[:, CropField.ROW]
    frame = frames.index_select(0, row.clamp(min=0))
    sizes = (Field.HEIGHT, Field.WIDTH, Field.CHROMA_HEIGHT, Field.CHROMA_WIDTH)
    size = torch.stack([frame[:, field] for field in sizes], 1)
    coded = torch.stack([crops[:, field] for field in (CropField.CODED_HEIGHT, CropField.CODED_WIDTH)], 1)
    coded = torch.cat((coded, (coded + 1) // 2), 1)
    corner = torch.stack([crops[:, field] for field in (CropField.TOP, CropField.LEFT)], 1)
    corner = torch.cat((corner, corner // 2), 1)
    told = (coded > 0) & (coded <= MOST_SCALE * size) & (size <= MOST_SCALE * coded)
    seen = (row >= 0) & (frame[:, Field.LUMA_ADDRESS] != 0) & told[:, 0] & told[:, 1]
    nothing = ~(seen[:, None] & (size > 0))
    size, coded = size.masked_fill(nothing, 1), coded.masked_fill(nothing, 1)
    # The cubic is four stretches wide, and 0 at both ends.
    counts = ((4 * torch.maximum(size, coded) + coded - 1) // coded).masked_fill(nothing, 0)

    within = torch.arange(PIECE, device=crops.device)
    number = torch.cat((within, within, within[:CELLS], within[:CELLS]))
    size, coded = _of_each_line(size), _of_each_line(coded)
    line = torch.minimum(_of_each_line(corner) + number, coded - 1)
    middle, reach = (2 * line + 1) * size - coded, 2 * torch.maximum(size, coded)
    first = (middle - 2 * reach) // (2 * coded) + 1
    place = first[..., None] + torch.arange(TAPS, device=crops.device)
    apart = (2 * coded[..., None] * place - middle[..., None]).abs()
    reach = reach[..., None]
    return Taps(first, _weights(torch.minimum(apart, 2 * reach), reach).contiguous(), counts)
