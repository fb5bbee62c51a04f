"""tear, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.tear import layout as at


def most_torn(this: Plane, earlier: Plane) -> tuple[float, float]:
    """The value of one picture of 8-bit codes, and where it is."""
    height, width = this.shape
    size = at.strip_width(width)
    starts = [at.strip_start(strip, width) for strip in range(at.STRIPS)]
    columns = np.array([range(start, start + size) for start in starts])
    now, then = this[:, columns], earlier[:, columns]  # (height, strips, size)

    def steps(below: Plane, above: Plane) -> Plane:
        """(height, strips): row y holds below[y] against above[y - 1]; row 0 is none."""
        apart = np.abs(below[1:] - above[:-1]).sum(axis=2)
        return np.concatenate([np.zeros((1, at.STRIPS), np.int64), apart])

    step, step_then = steps(now, now), steps(then, then)
    new_below, old_below = steps(now, then), steps(then, now)
    change = np.abs(now - then).sum(axis=2)
    best, place = 0.0, 0.0
    for y in range(1, height):
        moving = np.maximum(change[y], change[y - 1]) >= at.MOVING * size
        n, here = int(moving.sum()), int(step[y][moving].sum())
        near: list[int] = [
            int(plane[row][moving].sum())
            for row in range(max(1, y - at.REACH), min(height, y + at.REACH + 1))
            if row != y
            for plane in (step, step_then)
        ]
        around = max(near, default=0)
        across = int(min(new_below[y][moving].sum(), old_below[y][moving].sum()))
        if n >= at.LEAST_STRIPS and here >= at.LEAST_STEP * n * size and here > around:
            value = 10 * here / max(at.OVER_TIME * across, at.OVER_AROUND * around, 1)
            if value > best:
                best, place = value, y / height
    return best, place


def tear(frames: Tensor, references: Tensor) -> Tensor:
    """The op's definition; see kernels/tear/op.py."""
    out: npt.NDArray[np.float64] = np.full((frames.shape[0], len(at.COLUMNS)), np.nan)
    for n, (frame, reference) in enumerate(zip(frames.tolist(), references.tolist(), strict=True)):
        if not frame[Field.LUMA_ADDRESS] or not reference[ReferenceField.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        if width < at.SMALLEST_WIDTH:
            continue
        excess = frame[Field.SHIFT] + depth - 8
        this, earlier = (
            plane_at(address, pitch, width, height, 1, depth).astype(np.int64) >> excess
            for address, pitch in (
                (frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]),
                (reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH]),
            )
        )
        out[n] = most_torn(this, earlier)
    return torch.from_numpy(out)
