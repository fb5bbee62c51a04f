"""tile_stats, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import plane_at
from kernels.layout import Field, ReferenceField
from kernels.tile_stats.grid import (
    MEASURES,
    SMALLEST_HEIGHT,
    SMALLEST_WIDTH,
    TILE_COLUMNS,
    TILE_ROWS,
    TILES,
    row_step,
)


def tile_means(plane: npt.NDArray[np.int64], full: int) -> npt.NDArray[np.float64]:
    """(TILES,) means of a plane's tiles over `full`."""
    height, width = plane.shape
    if height < SMALLEST_HEIGHT or width < SMALLEST_WIDTH:
        return np.full(TILES, np.nan)
    step = row_step(height)
    means = []
    for r in range(TILE_ROWS):
        rows = [y for y in range(r * height // TILE_ROWS, (r + 1) * height // TILE_ROWS) if y % step == step // 2]
        for c in range(TILE_COLUMNS):
            tile = plane[rows, c * width // TILE_COLUMNS : (c + 1) * width // TILE_COLUMNS]
            means.append(int(tile.sum()) / (tile.size * full))
    return np.array(means)


def tile_stats(frames: Tensor, references: Tensor) -> Tensor:
    """The op's definition; see kernels/tile_stats/op.py."""
    out = np.full((frames.shape[0], len(MEASURES), TILES), np.nan)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        if not frame[Field.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        shift, full = frame[Field.SHIFT], 1 << depth
        if height < SMALLEST_HEIGHT or width < SMALLEST_WIDTH:
            continue

        def codes(
            address: int, pitch: int, width: int, height: int, step: int, depth: int = depth, shift: int = shift
        ) -> npt.NDArray[np.int64]:
            return plane_at(address, pitch, width, height, step, depth).astype(np.int64) >> shift

        luma = codes(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], width, height, 1)
        out[n, 0] = tile_means(luma, full)
        if reference[ReferenceField.LUMA_ADDRESS]:
            earlier = codes(
                reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH], width, height, 1
            )
            out[n, 1] = tile_means(np.abs(luma - earlier), full)
        if frame[Field.CHROMA_WIDTH]:
            size = frame[Field.CHROMA_WIDTH], frame[Field.CHROMA_HEIGHT], frame[Field.CHROMA_STEP]
            for measure, address in ((2, Field.U_ADDRESS), (3, Field.V_ADDRESS)):
                out[n, measure] = tile_means(codes(frame[address], frame[Field.CHROMA_PITCH], *size), full)
    return torch.from_numpy(out)
