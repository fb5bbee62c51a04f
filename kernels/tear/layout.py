"""Where tears are looked for and what makes one: shared by the kernel's three versions.

The numbers are from real clips as they are, and torn at a row: docs/decisions/0019-corruption-and-tearing.md.
"""

from typing import Final

COLUMNS: Final = ("tear", "tear_place")

# Of each row so many strips are looked at, spread evenly, each of so many samples at most.
STRIPS: Final = 16
STRIP_WIDTH: Final = 32
SMALLEST_WIDTH: Final = 16
# A strip moves at a row if it, or the row above, differs from the earlier picture by so many 8-bit codes a sample.
MOVING: Final = 3
# A row at which fewer strips move says nothing.
LEAST_STRIPS: Final = 5
# The step at a torn row, in 8-bit codes a sample.
LEAST_STEP: Final = 3
# Edges within so many rows, in this picture or the earlier one, are compared with the step.
REACH: Final = 8
# The step is this many tenths of the step across time, and of the strongest edge around.
OVER_TIME: Final = 20
OVER_AROUND: Final = 13


def strip_width(width: int) -> int:
    """Samples of a strip."""
    return min(STRIP_WIDTH, width // STRIPS)


def strip_start(strip: int, width: int) -> int:
    """The first column of a strip: strips lie around the middles of sixteen equal parts of the width."""
    return (2 * strip + 1) * width // (2 * STRIPS) - strip_width(width) // 2
