"""frame_stats: what is measured of every picture, in one pass over it and the picture it is compared with."""

from kernels.frame_stats.columns import COLUMNS
from kernels.frame_stats.op import frame_stats

__all__ = ["COLUMNS", "frame_stats"]
