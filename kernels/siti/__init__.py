"""siti: spatial and temporal information (ITU-T P.910)."""

from kernels.siti.op import COLUMNS, siti

__all__ = ["COLUMNS", "siti"]
