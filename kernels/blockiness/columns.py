"""What a row of blockiness holds, and its constants: shared by its three versions.

Line i of a direction of `length` samples is the step from sample i to sample i + 1; lines 3 to length - 5 are looked
at, because each is compared with three on both sides.
"""

from typing import Final

COLUMNS: Final[tuple[str, ...]] = ("blockiness", "block_edges")

# FFmpeg's blockdetect: defaults of its period_min and period_max.
PERIOD_MIN: Final = 3
PERIOD_MAX: Final = 24
# Blocking quotients are kept as integers in units of 1/QUOTIENT_ONE: 255 * QUOTIENT_ONE < 2**24, so that a float32
# division followed by truncation gives the exact integer quotient, and 127 of them fit 31 bits.
QUOTIENT_ONE: Final = 1 << 16
QUOTIENTS_PER_SUM: Final = 64

# A block's edge is seen along so many samples at a time, ...
RUN: Final = 4
# ... has a mean step of at least so many 8-bit codes, and no smaller a step than the six lines around it together.
EDGE_STEP: Final = 2
# Grids of so few samples are texture.
GRID_MIN: Final = 4
# A grid has so many lines at least, four for each region of a direction.
LEAST_LINES: Final = 16
# So many of a region's lines on the grid, those with most, do not count: bars and frames have edges that are long.
LONG_LINES: Final = 2
# The picture is judged in so many regions each way, by the one of this rank.
REGIONS: Final = 4
REGION_RANK: Final = 3
