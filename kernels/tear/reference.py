"""tear, plainly: what the other two versions have to give."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.tear import layout as at


def counts(this: Plane, earlier: Plane) -> npt.NDArray[np.int64]:
    """(len(COLUMNS), height) of one picture of 8-bit codes."""
    height, width = this.shape
    step = at.block_step(width)
    chosen = np.arange(step // 2, at.blocks(width), step)
    columns = at.BLOCK * chosen[:, None] + np.arange(at.BLOCK)
    now, then = this[:, columns], earlier[:, columns]  # (height, blocks, BLOCK)

    def steps(below: Plane, above: Plane) -> Plane:
        """(height, blocks): row y holds below[y] against above[y - 1]; row 0 is none."""
        apart = np.abs(below[1:] - above[:-1]).sum(axis=2)
        return np.concatenate([np.zeros((1, len(chosen)), np.int64), apart])

    step_now, step_then = steps(now, now), steps(then, then)
    new_below, old_below = steps(now, then), steps(then, now)
    change = np.abs(now - then).sum(axis=2)
    out = np.zeros((len(at.COLUMNS), height), np.int64)
    for y in range(1, height):
        here, before, across = step_now[y], step_then[y], np.minimum(new_below[y], old_below[y])
        more, less = np.maximum(change[y], change[y - 1]), np.minimum(change[y], change[y - 1])
        moves = (more >= at.MOVING * at.BLOCK) & (less >= at.LITTLE * at.BLOCK)
        near = [row for row in range(max(1, y - at.REACH), min(height, y + at.REACH + 1)) if row != y]
        around = np.max([plane[row] for row in near for plane in (step_now, step_then)], axis=0) if near else 0
        torn = (
            moves
            & (here - across >= at.LEAST_MORE * at.BLOCK)
            & (2 * here >= at.HALVES * across)
            & ((2 * less >= more) | (2 * before >= at.HALVES * across))
            & (5 * np.maximum(new_below[y], old_below[y]) >= 4 * here)
            & (5 * here >= at.FIFTHS * around)
        )
        above = new_below[y] <= old_below[y]
        against = moves & (across - here >= at.LEAST_MORE * at.BLOCK)
        out[:, y] = (torn & above).sum(), (torn & ~above).sum(), against.sum(), moves.sum()
    return out


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """The op's definition; see kernels/tear/op.py."""
    out: npt.NDArray[np.int32] = np.zeros((frames.shape[0], len(at.COLUMNS), tallest), np.int32)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        if not frame[Field.LUMA_ADDRESS] or not reference[ReferenceField.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], min(frame[Field.HEIGHT], tallest), frame[Field.BIT_DEPTH]
        excess = frame[Field.SHIFT] + depth - 8
        this, earlier = (
            plane_at(address, pitch, width, height, 1, depth).astype(np.int64) >> excess
            for address, pitch in (
                (frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]),
                (reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH]),
            )
        )
        out[n, :, :height] = counts(this, earlier)
    return torch.from_numpy(out)
