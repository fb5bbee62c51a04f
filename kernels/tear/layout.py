"""Where tears are looked for and what makes one: shared by the kernel's three versions.

The numbers are from real clips as they are, and torn at a row: docs/decisions/0048-tears-add-up.md.
"""

from typing import Final

# What is counted of the blocks of a row.
COLUMNS: Final = ("newer_above", "newer_below", "against", "moving")

# A block is one row of so many samples. About SAMPLED_BLOCKS of a row are looked at, spread evenly, or all of them
# where there are fewer than twice as many.
BLOCK: Final = 16
SAMPLED_BLOCKS: Final = 48
# A block moves if it or the one above differs from the earlier picture by MOVING 8-bit codes a sample, and the other
# by LITTLE at least.
MOVING: Final = 2
LITTLE: Final = 1
# The step at a torn row is so much larger than the step across time, in 8-bit codes a sample and in halves.
LEAST_MORE: Final = 2
HALVES: Final = 3
# It is so many fifths of every step within REACH rows, in this picture and the earlier one.
REACH: Final = 4
FIFTHS: Final = 6


def blocks(width: int) -> int:
    """Blocks in a row: block k holds the samples from BLOCK * k on."""
    return width // BLOCK


def block_step(width: int) -> int:
    """Distance of the blocks that are looked at; the first is block `block_step // 2`."""
    return max(1, width // BLOCK // SAMPLED_BLOCKS)
