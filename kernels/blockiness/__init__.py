"""blockiness: how strongly the edges of a picture lie on a regular grid, as coding blocks do."""

from kernels.blockiness.columns import COLUMNS
from kernels.blockiness.op import blockiness

__all__ = ["COLUMNS", "blockiness"]
