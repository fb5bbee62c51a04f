"""to_network: pieces of pictures as a network sees them."""

from kernels.to_network.layout import CROP_FIELDS, INPUTS, PIECE, CropField
from kernels.to_network.op import to_network

__all__ = ["CROP_FIELDS", "INPUTS", "PIECE", "CropField", "to_network"]
