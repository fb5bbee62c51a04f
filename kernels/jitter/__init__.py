"""jitter: rows that lie beside where they belong, each by itself."""

from kernels.jitter.layout import COLUMNS
from kernels.jitter.op import jitter

__all__ = ["COLUMNS", "jitter"]
