"""What a piece is, and how it is asked for: shared by the kernel's three versions."""

from enum import IntEnum
from typing import Final

from kernels.to_network.layout import CELLS, PIECE


class CropField(IntEnum):
    """Columns of the table of pieces."""

    ROW = 0  # of the picture in the table of frames; below 0: an empty piece
    TOP = 1  # first luma sample, from the corner of the picture as it was coded on
    LEFT = 2
    CODED_WIDTH = 3  # luma samples of the picture when it was coded
    CODED_HEIGHT = 4


CROP_FIELDS: Final = len(CropField)
SAMPLES: Final = PIECE * PIECE + 2 * CELLS * CELLS
"""Of a piece of one picture: luma, U and V, each row by row."""
CODE_BITS: Final = 12
"""Of a sample: a code of 8 bit with its fraction."""
MIDDLE: Final = 1 << (CODE_BITS - 1)
"""Both components of chroma where a picture has none."""

MOST_SCALE: Final = 3
"""From a third to three times the coded size, in both directions."""
WEIGHT_BITS: Final = 8
"""The weights of a line are multiples of 2**-8."""
# Keys' cubic is 0 from two lines to each side on, stretched by up to MOST_SCALE, and by twice that for chroma that has
# a sample for each one of luma. No more lines lie within than it is wide.
TAPS: Final = 2 * 2 * 2 * MOST_SCALE

__all__ = [
    "CELLS", "CODE_BITS", "CROP_FIELDS", "MIDDLE", "MOST_SCALE", "PIECE", "SAMPLES", "TAPS", "WEIGHT_BITS", "CropField",
]  # fmt: skip
