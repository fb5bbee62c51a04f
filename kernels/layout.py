"""How a decoded frame is described to a kernel: one int64 row per frame, so that a batch is one small upload.

A row holds addresses and geometry, never pixels: kernels read the decoder's planes where they lie, at their own
pitch. One table serves planar (libav) and semi-planar (NVDEC) frames of any size, subsampling and bit depth.
"""

from enum import IntEnum
from typing import Final


class Field(IntEnum):
    """Columns of a frame row, in order.

    Addresses are absolute, in the memory of the kernel's device; LUMA_ADDRESS 0 skips the row (its results are NaN).
    Pitches are in bytes. A sample is one byte for BIT_DEPTH 8, else a little-endian 16-bit word; its code value is
    `sample >> SHIFT` (0 for libav's low-aligned formats, 16 - BIT_DEPTH for NVDEC's P016).
    """

    LUMA_ADDRESS = 0
    U_ADDRESS = 1
    V_ADDRESS = 2
    LUMA_PITCH = 3
    CHROMA_PITCH = 4
    CHROMA_STEP = 5  # samples from one U to the next: 1 planar, 2 interleaved (NV12: V_ADDRESS = U_ADDRESS + 1 sample)
    WIDTH = 6
    HEIGHT = 7
    CHROMA_WIDTH = 8  # samples per component and row; 0 where there is no chroma (grey)
    CHROMA_HEIGHT = 9
    BIT_DEPTH = 10
    SHIFT = 11
    BLACK_LEVEL = 12  # code value; a luma sample at or below it counts as black


class ReferenceField(IntEnum):
    """Columns of a reference row: where the earlier picture of the same geometry lies.

    The geometry, sample step, depth and shift are those of the frame row beside it. LUMA_ADDRESS 0: there is none.
    The same columns describe where a kernel has to keep a copy of the picture (`retain`); 0 there means "do not".
    """

    LUMA_ADDRESS = 0
    U_ADDRESS = 1
    V_ADDRESS = 2
    LUMA_PITCH = 3
    CHROMA_PITCH = 4


FRAME_FIELDS: Final = len(Field)
REFERENCE_FIELDS: Final = len(ReferenceField)
