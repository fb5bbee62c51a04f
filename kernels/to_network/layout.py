"""What a piece is, and how it is asked for: shared by the kernel's three versions and by the network."""

from enum import IntEnum
from typing import Final

import torch

TYPES: Final = (torch.float32, torch.bfloat16, torch.float16)
"""What a network may be in. Tensor cores of GPUs before Ampere know no bfloat16."""
PIECE: Final = 96
"""Luma samples of a piece, across and down."""
CELLS: Final = PIECE // 2
"""Each 2x2 of them is one place of the network's input."""
INPUTS: Final = 12
"""Channels: four luma samples, how they differ from the earlier picture's, chroma, how it differs."""


class CropField(IntEnum):
    """Columns of the table of pieces."""

    ROW = 0  # of the picture in the table of frames; below 0: an empty piece
    TOP = 1  # first luma sample, from the picture's corner on
    LEFT = 2
    FULL_RANGE = 3  # 1: codes span the whole depth; 0: 16..235 at 8 bit


CROP_FIELDS: Final = len(CropField)

# Full range is brought to limited range, which the network was trained on: 219 and 224 of 255 codes, in integers.
LUMA_GAIN: Final = 219
CHROMA_GAIN: Final = 224
FULL_CODES: Final = 255
# 128 - 16 codes of limited range: black is 0 in full range.
BLACK_TO_MIDDLE: Final = 112
MIDDLE: Final = 128
# Luma is divided by 2**6, the rest by 2**5; differences of more than MIDDLE codes count as MIDDLE.
LUMA_BITS: Final = 6
OTHER_BITS: Final = 5
