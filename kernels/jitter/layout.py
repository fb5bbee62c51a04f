"""Which rows are looked at and what makes one displaced: shared by the kernel's three versions.

The numbers are from real clips as they are, and with rows that jitter: docs/decisions/0138-rows-that-jitter.md.
"""

from typing import Final

# What is counted of the rows that are looked at.
COLUMNS: Final = ("displaced", "detailed")

# So many rows are looked at, spread evenly, each with the one above and the one below it.
ROWS: Final = 32
# A row is cut to columns of neighbouring samples added up: the fewest to a column with which it has MOST_COLUMNS at
# most. Less than LEAST_COLUMNS, or than LEAST_ROWS rows, say nothing.
MOST_COLUMNS: Final = 960
LEAST_COLUMNS: Final = 96
LEAST_ROWS: Final = 96
# How far a row is moved along another to fit, in columns: a share of them, and at most this.
REACH_SHARE: Final = 24
MOST_REACH: Final = 32
# Of a row with detail columns two apart differ by so many 8-bit codes a sample. One that is displaced differs from its
# neighbours by as much as that.
DETAIL: Final = 2
APART: Final = 2
# It fits the neighbour so many quarters as well elsewhere, at least APART away. Of clean clips no row does that fits
# elsewhere at all, in the way that is asked for below; white noise fits alike everywhere.
QUARTERS: Final = 5
# Slanted edges fit elsewhere as well, but lie from row to row as far as from the row before: steps of the two that are
# alike are none. What the neighbours are apart from each other is the sum of both steps, within this.
SLACK: Final = 1


def samples_to_column(width: int) -> int:
    """Samples that are added up to a column."""
    return max(1, -(-width // MOST_COLUMNS))


def reach(columns: int) -> int:
    """Columns by which a row of so many is moved at most, either way."""
    return min(columns // REACH_SHARE, MOST_REACH)


def row_of(index: int, height: int) -> int:
    """The row that is looked at, of ROWS."""
    return (2 * index + 1) * height // (2 * ROWS)
