"""active_area: how much of a picture's borders is black."""

from kernels.active_area.op import COLUMNS, active_area

__all__ = ["COLUMNS", "active_area"]
