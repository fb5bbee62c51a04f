"""scaled_blocks, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field, ReferenceField
from kernels.scaled_blocks import layout as at

Borders = npt.NDArray[np.bool_]


def torn_borders(this: Plane, earlier: Plane, phase: int, coded: tuple[int, int]) -> Borders:
    """(rows of blocks + 1, columns of blocks): the upper border of each block; that of the picture is none.

    Args:
        this, earlier: (height, width) codes of 8 bit.
        phase: first line of the coded picture that is one of the grid.
        coded: height and width that it had when it was coded.
    """
    height, width = this.shape
    rows, columns = (max(lines - phase, 0) // at.BLOCK for lines in coded)
    torn = np.zeros((rows + 1, columns), bool)
    for row in range(1, rows):
        two_before, before, behind, two_behind = at.border(phase + row * at.BLOCK, height, coded[0])
        for column in range(columns):
            place = phase + column * at.BLOCK
            x, end = (at.first_sample(line, width, coded[1]) for line in (place, place + at.BLOCK))

            def apart(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], x: int = x, end: int = end) -> int:
                return int(np.abs(a[x:end] - b[x:end]).sum())

            excess, earlier_excess = (
                apart(p[behind], p[before]) - apart(p[before], p[two_before]) - apart(p[two_behind], p[behind])
                for p in (this, earlier)
            )
            change = apart(this[before], earlier[before]) + apart(this[behind], earlier[behind])
            torn[row, column] = (
                excess >= at.TORN * (end - x)
                and earlier_excess < at.TORN_BEFORE * (end - x)
                and change >= 2 * at.CHANGED * (end - x)
            )
    return torn


def torn_of_grid(this: Plane, earlier: Plane, phase: int, coded: tuple[int, int]) -> tuple[int, int]:
    """Blocks with a torn corner, and with three or four torn borders; as for `torn_borders`."""
    upper = torn_borders(this, earlier, phase, coded)
    left = torn_borders(this.T, earlier.T, phase, coded[::-1]).T
    down = upper[:-1].astype(int) + upper[1:]
    aside = left[:, :-1].astype(int) + left[:, 1:]
    return int(((down > 0) & (aside > 0)).sum()), int((down + aside >= 3).sum())


def scaled_blocks(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    """The op's definition; see kernels/scaled_blocks/op.py."""
    out: npt.NDArray[np.float64] = np.full((frames.shape[0], len(at.COLUMNS)), np.nan)
    rows = zip(frames.tolist(), references.tolist(), coded.tolist(), strict=True)
    for n, (frame, reference, (coded_width, coded_height)) in enumerate(rows):
        if not frame[Field.LUMA_ADDRESS] or not reference[ReferenceField.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        if min(coded_width, coded_height) <= 0 or any(
            most > at.MOST_SCALE * least
            for most, least in (
                (width, coded_width), (coded_width, width), (height, coded_height), (coded_height, height)
            )
        ):  # fmt: skip
            continue
        excess = frame[Field.SHIFT] + depth - 8
        this, earlier = (
            plane_at(address, pitch, width, height, 1, depth).astype(np.int64) >> excess
            for address, pitch in (
                (frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH]),
                (reference[ReferenceField.LUMA_ADDRESS], reference[ReferenceField.LUMA_PITCH]),
            )
        )
        on, *off = [torn_of_grid(this, earlier, phase, (coded_height, coded_width)) for phase in at.PHASES]
        corners, sides = (max(values) if on[0] else 0 for values in zip(*off, strict=True))
        out[n] = on[0], corners, on[1], sides
    return torch.from_numpy(out)
