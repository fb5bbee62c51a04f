"""coded_pieces: pieces of pictures, brought back to the size that they were coded in before they were scaled."""

from kernels.coded_pieces.layout import CROP_FIELDS, MOST_SCALE, SAMPLES, CropField
from kernels.coded_pieces.op import coded_pieces

__all__ = ["CROP_FIELDS", "MOST_SCALE", "SAMPLES", "CropField", "coded_pieces"]
