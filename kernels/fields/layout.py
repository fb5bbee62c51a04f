"""Which lines are looked at: shared by the kernel's three versions."""

from typing import Final

COLUMNS: Final = ("earlier_top", "earlier_bottom", "later_top", "later_bottom", "within")

# Pairs of lines, one of each field, of which so many at least are looked at, spread evenly; all where there are fewer
# than twice as many: every line of 480i and 576i.
SAMPLED_PAIRS: Final = 256
# A line has two above and two below it.
MARGIN: Final = 2


def pairs(height: int) -> int:
    """Pairs of lines in a picture: pair k holds lines MARGIN + 2 k, of the top field, and the one below it."""
    return max(0, (height - 2 * MARGIN) // 2)


def pair_step(height: int) -> int:
    """Distance of the pairs that are looked at; the first is pair `pair_step // 2`."""
    return max(1, (height - 2 * MARGIN) // 2 // SAMPLED_PAIRS)
