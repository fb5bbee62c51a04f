"""jitter, plainly: what the other two versions have to give."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.frame_stats.reference import Plane, plane_at
from kernels.jitter import layout as at
from kernels.layout import Field

Row = npt.NDArray[np.int64]


def fit(one: Row, other: Row) -> tuple[int, bool]:
    """Where the other row fits the one best; and whether that is elsewhere, and far better there."""
    far = at.reach(len(one))
    inside = range(far, len(one) - far)
    sums = {s: sum(abs(int(other[x + s]) - int(one[x])) for x in inside) for s in range(-far, far + 1)}
    best = min(sums, key=lambda s: sums[s])  # the first of those that fit as well
    return best, abs(best) >= at.APART and at.QUARTERS * sums[best] <= 4 * sums[0]


def is_displaced(above: Row, row: Row, below: Row, own: int, inside: slice) -> bool:
    """Whether a row lies beside where it belongs; `own` is what its own columns differ by."""
    if min(int(np.abs(row[inside] - beside[inside]).sum()) for beside in (above, below)) < own:
        return False
    (first, elsewhere), (second, too) = fit(above, row), fit(row, below)
    across, _ = fit(above, below)
    alike = abs(first - second) < at.APART
    return elsewhere and too and not alike and across != 0 and abs(first + second - across) <= at.SLACK


def counts(luma: Plane) -> tuple[int, int]:
    """Of one picture of 8-bit codes."""
    height, width = luma.shape
    k = at.samples_to_column(width)
    columns = width // k
    if height < at.LEAST_ROWS or columns < at.LEAST_COLUMNS:
        return 0, 0
    summed = luma[:, : columns * k].reshape(height, columns, k).sum(axis=2)
    displaced, detailed, far = 0, 0, at.reach(columns)
    for index in range(at.ROWS):
        y = at.row_of(index, height)
        row = summed[y]
        own = int(np.abs(row[far : columns - far] - row[far - 2 : columns - far - 2]).sum())
        if own < at.DETAIL * k * (columns - 2 * far):
            continue
        detailed += 1
        displaced += is_displaced(summed[y - 1], row, summed[y + 1], own, slice(far, columns - far))
    return displaced, detailed


def jitter(frames: Tensor) -> Tensor:
    """The op's definition; see kernels/jitter/op.py."""
    out: npt.NDArray[np.int32] = np.zeros((frames.shape[0], len(at.COLUMNS)), np.int32)
    for n, frame in enumerate(frames.tolist()):
        if not frame[Field.LUMA_ADDRESS]:
            continue
        width, height, depth = frame[Field.WIDTH], frame[Field.HEIGHT], frame[Field.BIT_DEPTH]
        excess = frame[Field.SHIFT] + depth - 8
        stored = plane_at(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], width, height, 1, depth)
        out[n] = counts(stored.astype(np.int64) >> excess)
    return torch.from_numpy(out)
