"""tear: a row at which a picture is spliced together from two moments."""

from kernels.tear.layout import COLUMNS
from kernels.tear.op import tear

__all__ = ["COLUMNS", "tear"]
