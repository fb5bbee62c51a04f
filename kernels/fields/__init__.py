"""fields: which field of two pictures lies next to which in time."""

from kernels.fields.layout import COLUMNS
from kernels.fields.op import fields

__all__ = ["COLUMNS", "fields"]
