"""tile_stats: brightness, colour and change of a picture, region by region."""

from kernels.tile_stats.op import MEASURES, TILE_COLUMNS, TILE_ROWS, TILES, tile_stats

__all__ = ["MEASURES", "TILES", "TILE_COLUMNS", "TILE_ROWS", "tile_stats"]
