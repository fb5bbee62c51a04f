"""The grid of tiles and the rows that are looked at: shared by the kernel's three versions."""

from typing import Final

TILE_ROWS: Final = 9
TILE_COLUMNS: Final = 16
TILES: Final = TILE_ROWS * TILE_COLUMNS
MEASURES: Final = ("luma", "difference", "u", "v")

# Every tile has a sample of every plane from these sizes on; smaller planes have no tiles.
SMALLEST_WIDTH: Final = 16
SMALLEST_HEIGHT: Final = 9
# Means of regions need few rows: twelve of each tile, a tenth of 1080p, so that it costs a fraction of reading it all.
SAMPLED_ROWS: Final = 108


def row_step(height: int) -> int:
    """Distance of the rows of a plane that are looked at; the first is row `row_step // 2`. At most a tile's height."""
    return max(1, height // SAMPLED_ROWS)
