"""What a row of frame_stats holds: shared by its three versions."""

from typing import Final

COLUMNS: Final[tuple[str, ...]] = (
    "mafd",
    "luma_difference",
    "black_ratio",
    "luma_mean",
    "luma_min",
    "luma_max",
    "gradient",
)
