"""torn_blocks, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.torn_blocks import layout as at

Borders = npt.NDArray[np.bool_]


def torn_borders(this: Plane, earlier: Plane) -> Borders:
    """(rows of blocks + 1, columns of blocks): the upper border of each block; that of the picture is none."""
    rows, columns = this.shape[0] // at.BLOCK, this.shape[1] // at.BLOCK
    torn = np.zeros((rows + 1, columns), bool)
    for row in range(1, rows):
        y = row * at.BLOCK
        for column in range(columns):
            across = slice(column * at.BLOCK, (column + 1) * at.BLOCK)

            def step(plane: Plane, below: int, across: slice = across) -> int:
                return int(np.abs(plane[below, across] - plane[below - 1, across]).sum())

            excess, before = (step(p, y) - step(p, y - 1) - step(p, y + 1) for p in (this, earlier))
            change = int(np.abs(this[y - 1 : y + 1, across] - earlier[y - 1 : y + 1, across]).sum())
            torn[row, column] = (
                excess >= at.TORN * at.BLOCK
                and before < at.TORN_BEFORE * at.BLOCK
                and change >= 2 * at.CHANGED * at.BLOCK
            )
    return torn


def torn_of_grid(this: Plane, earlier: Plane) -> tuple[int, int]:
    """Blocks with a torn corner, and with three or four torn borders, of the grid that begins at the first sample."""
    upper = torn_borders(this, earlier)
    left = torn_borders(this.T, earlier.T).T
    down = upper[:-1].astype(int) + upper[1:]
    aside = left[:, :-1].astype(int) + left[:, 1:]
    return int(((down > 0) & (aside > 0)).sum()), int((down + aside >= 3).sum())


def woven(this: Plane) -> float:
    """Share of the borders below blocks at which rows of two moments meet."""
    rows, columns = this.shape[0] // at.BLOCK, this.shape[1] // at.BLOCK
    found = 0
    for y in range(at.BLOCK, rows * at.BLOCK, at.BLOCK * at.woven_step(rows)):
        for x in range(0, columns * at.BLOCK, at.BLOCK):
            a, b, c, d = this[y - 2 : y + 2, x : x + at.BLOCK]
            step, same = np.abs(c - b).sum(), np.abs(c - a).sum() + np.abs(d - b).sum()
            found += int(step >= at.WOVEN * at.BLOCK and step >= same)
    return max(found - at.WOVEN_BY_CHANCE, 0) / max(at.woven_borders(rows, columns), 1)


def torn_blocks(frames: Tensor, references: Tensor) -> Tensor:
    """The op's definition; see kernels/torn_blocks/op.py."""
    out: npt.NDArray[np.float64] = np.full((frames.shape[0], len(at.COLUMNS)), np.nan)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        if not frame[Field.LUMA_ADDRESS] or not reference[ReferenceField.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        excess = frame[Field.SHIFT] + depth - 8
        this, earlier = (
            plane_at(address, pitch, width, height, 1, depth).astype(np.int64) >> excess
            for address, pitch in (
                (frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]),
                (reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH]),
            )
        )
        on, *off = [torn_of_grid(this[p:, p:], earlier[p:, p:]) for p in at.PHASES]
        corners, sides = (max(values) if on[0] else 0 for values in zip(*off, strict=True))
        out[n] = on[0], corners, on[1], sides, woven(this)
    return torch.from_numpy(out)
