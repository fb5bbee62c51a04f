"""Which pieces of a picture a network looks at: where it changed most, elsewhere by chance, or all of it."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.media import Surface
from kernels.tile_stats import TILE_COLUMNS, TILES
from kernels.to_network import PIECE
from models.artifact_net import TILE
from models.artifact_net import TILES as PIECE_TILES


def last_place(size: int) -> int:
    """Where the last piece begins that lies within so many samples."""
    return max(0, (size - PIECE) // TILE * TILE)


def side_by_side(size: int) -> list[int]:
    """Where pieces begin that cover so many samples, side by side."""
    last = last_place(size)
    return sorted({*range(0, last + 1, PIECE), last})


def told_by(starts: Sequence[int], tiles: int) -> tuple[list[int], list[int]]:
    """For each of so many tiles in a line: the last piece that covers it, and which of the piece's tiles it is."""
    pieces = [sum(start // TILE <= tile for start in starts) - 1 for tile in range(tiles)]
    return pieces, [tile - starts[piece] // TILE for tile, piece in enumerate(pieces)]


def places_by_chance(surface: Surface, count: int) -> list[tuple[int, int]]:
    """Corners of pieces that the stream's name and the picture's time decide."""
    number = zlib.crc32(surface.stream.encode()) << 32 | (round(surface.pts * 90_000) & 0xFFFFFFFF)
    found = []
    for _ in range(count):
        # SplitMix64 (Steele, Lea and Flood 2014): neighbouring numbers come out far apart.
        number = (number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        mixed = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
        rows, columns = (last_place(size) // TILE + 1 for size in (surface.height, surface.width))
        found.append((mixed % rows * TILE, (mixed >> 32) % columns * TILE))
    return found


def places_of_change(change: Tensor, sizes: Tensor, grid: Tensor, count: int) -> Tensor:
    """Corners of pieces around the tiles that changed most, apart from each other.

    Args:
        change: (D, TILES) float64, mean change of each tile as a share of full scale.
        sizes: (D, 2) int64, height and width.
        grid: TILE_ROWS and TILE_COLUMNS.
        count: of pieces.
    Returns: (D, count, 2) int64, multiples of TILE.
    """
    tiles = torch.arange(TILES, device=change.device)
    at = torch.stack([tiles // TILE_COLUMNS, tiles % TILE_COLUMNS], dim=1)  # (TILES, 2)
    middles = (2 * at[None] + 1) * sizes[:, None] // (2 * grid)  # (D, TILES, 2)
    # All different, so that the largest is the same one everywhere.
    key = (change * 2**32).long() * TILES + (TILES - 1 - tiles)
    last = ((sizes - PIECE) // TILE * TILE).clamp(min=0)[:, None]
    found = []
    for _ in range(count):
        chosen = middles.gather(1, key.argmax(dim=1)[:, None, None].expand(-1, 1, 2))  # (D, 1, 2)
        found.append(torch.minimum(((chosen - PIECE // 2) // TILE * TILE).clamp(min=0), last))
        near = ((middles - chosen).abs() < PIECE).all(dim=2)
        key = torch.where(near, key - 2**50, key)
    return torch.cat(found, dim=1)


def inside(corners: Tensor, sizes: Tensor) -> Tensor:
    """(D, pieces, PIECE_TILES, PIECE_TILES) bool: the tiles that lie wholly within the picture.

    Args:
        corners: (D, pieces, 2) int64.
        sizes: (D, 2) int64, height and width.
    """
    ends = corners[..., None] + TILE * (1 + torch.arange(PIECE_TILES, device=corners.device))  # (D, pieces, 2, T)
    within = ends <= sizes[:, None, :, None]
    found: Tensor = within[:, :, 0, :, None] & within[:, :, 1, None, :]
    return found
