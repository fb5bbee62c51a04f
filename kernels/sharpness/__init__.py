"""sharpness: over how many samples a picture's steepest edges rise."""

from kernels.sharpness.layout import COLUMNS
from kernels.sharpness.op import sharpness

__all__ = ["COLUMNS", "sharpness"]
