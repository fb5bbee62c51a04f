"""How wide the edges of a picture are: what blur changes."""

from kernels.edge_width.op import COLUMNS, edge_width

__all__ = ["COLUMNS", "edge_width"]
