"""What a row of frame_stats holds, and where blockiness looks: shared by its three versions."""

from typing import Final

COLUMNS: Final[tuple[str, ...]] = (
    "mafd",
    "luma_difference",
    "black_ratio",
    "luma_mean",
    "luma_min",
    "luma_max",
    "gradient",
    "blockiness",
)

# FFmpeg's blockdetect: defaults of its period_min and period_max.
PERIOD_MIN: Final = 3
PERIOD_MAX: Final = 24

# Blockiness looks at about this many rows and at about this many strips of columns, spread evenly, or at all of a
# picture with less than twice as many. Distances are odd, so that the sampled lines fall on every phase of any even
# block grid.
SAMPLED_ROWS: Final = 216
SAMPLED_STRIPS: Final = 24
STRIP_WIDTH: Final = 16

# Blocking quotients are kept as integers in units of 1/QUOTIENT_ONE: 255 * QUOTIENT_ONE < 2**21, so a float32
# division followed by truncation gives the exact integer quotient, and a sum over 1,023 of them fits 31 bits (a line
# has at most 431 rows or 767 columns to sum).
QUOTIENT_ONE: Final = 1 << 13


def row_step(height: int) -> int:
    """Distance of the rows in which blockiness looks for vertical edges; the first is row `row_step // 2 + 1`."""
    return height // SAMPLED_ROWS | 1


def strip_step(width: int) -> int:
    """Distance, in strips of STRIP_WIDTH columns, of the strips in which blockiness looks for horizontal edges.

    1: all columns but the first (FFmpeg keeps its sums there). Else strips `strip_step // 2`, one and a half
    `strip_step`s, ... that lie wholly within the picture.
    """
    return width // STRIP_WIDTH // SAMPLED_STRIPS | 1
