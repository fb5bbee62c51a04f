"""What counts as an edge, and on which samples: shared by the kernel's three versions.

The numbers are from real clips as they are, and blurred: docs/decisions/0024-steep-edges.md.
"""

from typing import Final

COLUMNS: Final = (
    "edge_span",  # cells over which the steepest tenth of the edges rise at most; NaN where there are too few edges
    "edge_cells",  # edges / cells
    "cell_deviation",  # standard deviation of the cells, in 8-bit codes
)

# Cells of s x s samples make about so many lines of a picture: what is finer is not seen from where one watches it.
LINES: Final = 480
LARGEST_CELL: Final = 16  # so that the sum of a cell fits 16 bits
# An edge rises over the steps around its steepest one, this one in the middle.
STEPS: Final = 7
# It rises by so many 8-bit codes; where there are not LEAST_EDGES of those, by as many as a weak one.
STRONG: Final = 40
WEAK: Final = 16
LEAST_EDGES: Final = 64
# Spans are counted in sixteenths of a cell.
PARTS: Final = 16
BINS: Final = 128
STEEPEST_SHARE: Final = 10


def cell_size(width: int, height: int) -> int:
    """Rows and columns of samples in a cell."""
    return min(max((min(width, height) + LINES // 2) // LINES, 1), LARGEST_CELL)
