"""temporal: what a picture's regions do over time, from flashes to a part that stands still."""

from kernels.temporal.layout import COLUMNS
from kernels.temporal.op import Range, new_state, temporal

__all__ = ["COLUMNS", "Range", "new_state", "temporal"]
