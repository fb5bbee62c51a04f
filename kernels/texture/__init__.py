"""Measures that need every detail of a picture but change slowly: levels, colour, combing, noise, banding, bars."""

from kernels.texture.columns import COLUMNS
from kernels.texture.op import texture

__all__ = ["COLUMNS", "texture"]
