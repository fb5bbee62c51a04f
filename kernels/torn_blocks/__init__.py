"""torn_blocks: coding blocks that do not fit their surroundings from one picture to the next."""

from kernels.torn_blocks.layout import COLUMNS
from kernels.torn_blocks.op import torn_blocks

__all__ = ["COLUMNS", "torn_blocks"]
