"""Which blocks are looked at and what tears one: shared by the kernel's three versions.

The numbers are from clips whose coded pictures were damaged: docs/decisions/0019-corruption-and-tearing.md.
"""

from typing import Final

COLUMNS: Final = ("torn_corners", "torn_corners_off", "torn_sides", "torn_sides_off", "woven")

# Macroblocks of MPEG-2 and H.264; the coding units of HEVC lie on multiples of it where they are not smaller.
BLOCK: Final = 16
# The grid that the codec has, and grids that it does not have: what lies on those is the scene.
PHASES: Final = (0, 4, 8, 12)
# By so many 8-bit codes a sample the step across a border exceeds those on both of its sides together ...
TORN: Final = 10
# ... where it exceeded them by less than this in the earlier picture ...
TORN_BEFORE: Final = 5
# ... and the samples at the border have changed by so many codes since.
CHANGED: Final = 4
# Rows of two moments lie apart by so many codes a sample, and by more than those two apart do. Of clean pictures of 240
# lines a border or two in 400 are so by chance: that many count for nothing.
WOVEN: Final = 6
WOVEN_BY_CHANCE: Final = 2
# In tall pictures about so many rows of blocks say it as well as all of them.
WOVEN_ROWS: Final = 20


def woven_step(rows: int) -> int:
    """Distance of the rows of blocks whose lower borders are looked at for it, of so many; the first is row 0."""
    return max(1, rows // WOVEN_ROWS)


def woven_borders(rows: int, columns: int) -> int:
    """How many borders those are: the last row of blocks has none."""
    step = max(1, rows // WOVEN_ROWS)
    return max(0, rows - 2 + step) // step * columns
