"""`avjury::tile_stats`: brightness, colour and change of each of a picture's 16x9 tiles."""

import torch
from torch import Tensor

from kernels.frame_tables import check_frame_tables
from kernels.tile_stats.grid import MEASURES, TILE_COLUMNS, TILE_ROWS, TILES

__all__ = ["MEASURES", "TILES", "TILE_COLUMNS", "TILE_ROWS", "tile_stats"]


def _cpu(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.tile_stats import cpu  # numba loads in a second: only where it is needed

    check_frame_tables("tile_stats", frames, references)
    return cpu.tile_stats(frames, references)


_tile_stats = torch.library.custom_op("avjury::tile_stats", _cpu, mutates_args=(), device_types="cpu")


@_tile_stats.register_kernel("cuda")
def _(frames: Tensor, references: Tensor) -> Tensor:
    from kernels.tile_stats import gpu  # Triton is not there on every machine

    check_frame_tables("tile_stats", frames, references)
    return gpu.tile_stats(frames, references)


@_tile_stats.register_fake
def _(frames: Tensor, references: Tensor) -> Tensor:
    return frames.new_empty((frames.shape[0], len(MEASURES), TILES), dtype=torch.float64)


def tile_stats(frames: Tensor, references: Tensor) -> Tensor:
    """Means over the tiles of N pictures of any sizes and formats.

    Tile (r, c) of a plane of H rows and W columns is rows r * H // 9 up to (r + 1) * H // 9 and columns c * W // 16 up
    to (c + 1) * W // 16; of its rows those are looked at that lie on `row_step`'s grid (grid.py). A code value is the
    stored sample shifted right by SHIFT; `full` is 2**BIT_DEPTH.

    | measure | meaning, per tile |
    |---|---|
    | luma | mean luma code / full |
    | difference | mean of abs(luma code - the reference's) / full; NaN without a reference |
    | u, v | mean chroma code / full; NaN where there is no chroma, or too little for the grid |

    Each is a ratio of two exact integers with one float64 division, so that all implementations give the same bits.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, see kernels/layout.py; LUMA_ADDRESS 0 skips the row. On the
            device whose memory the addresses are in. Width at most 32,768.
        references: (N, REFERENCE_FIELDS) int64, same device: the earlier picture, of the frame's own geometry;
            LUMA_ADDRESS 0 where there is none.
    Returns: (N, len(MEASURES), TILES) float64 on the device; NaN for skipped rows and for pictures below 16x9.
    Raises: ValueError for tables of another shape, dtype or device.
    """
    if not frames.is_cuda:
        return _cpu(frames, references)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.tile_stats(frames, references)
    return result
