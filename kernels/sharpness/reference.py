"""sharpness, plain and slow: the definition that the fast versions are held to. For tests only."""

import math

import numpy as np
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field
from kernels.sharpness import layout as at


def cells_of(luma8: Plane) -> Plane:
    """Means of squares of samples, rounded down; what is beyond the last whole square is left."""
    height, width = luma8.shape
    size = at.cell_size(width, height)
    rows, columns = height // size, width // size
    squares = luma8[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.asarray(squares.sum(axis=(1, 3)) // (size * size))


def spans_along(line: list[int], least: int) -> list[int]:
    """Of each edge of a line of cells that rises by `least`: over how many sixteenths of a cell it does."""
    found = []
    for first in range(len(line) - at.STEPS):
        steps = [abs(line[k + 1] - line[k]) for k in range(first, first + at.STEPS)]
        rise = abs(line[first + at.STEPS] - line[first])
        if rise >= least and steps[at.STEPS // 2] == max(steps):
            found.append(rise * at.PARTS // max(steps))
    return found


def measure(luma8: Plane) -> list[float]:
    """The columns of one picture."""
    cells = cells_of(luma8)
    lines = [*cells.tolist(), *cells.T.tolist()]
    strong, weak = (sorted(s for line in lines for s in spans_along(line, least)) for least in (at.STRONG, at.WEAK))
    spans = strong if len(strong) >= at.LEAST_EDGES else weak
    enough = len(spans) >= at.LEAST_EDGES
    span = spans[math.ceil(len(spans) / at.STEEPEST_SHARE) - 1] / at.PARTS if enough else math.nan
    return [span, len(spans) / cells.size, float(np.std(cells))]


def sharpness(frames: Tensor) -> Tensor:
    """The op's definition; see kernels/sharpness/op.py."""
    out = np.full((frames.shape[0], len(at.COLUMNS)), np.nan)
    for n, frame in enumerate(frames.tolist()):
        if frame[Field.LUMA_ADDRESS]:
            size, depth = (frame[Field.WIDTH], frame[Field.HEIGHT]), frame[Field.BIT_DEPTH]
            stored = plane_at(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], *size, 1, depth)
            out[n] = measure(stored.astype(np.int64) >> (frame[Field.SHIFT] + depth - 8))
    return torch.from_numpy(out)
