"""scaled_blocks: torn blocks on the grid that pictures had before they were scaled."""

from kernels.scaled_blocks.layout import COLUMNS
from kernels.scaled_blocks.op import scaled_blocks

__all__ = ["COLUMNS", "scaled_blocks"]
