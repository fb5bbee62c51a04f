"""blockiness, plain and slow: the definition that the fast versions are held to. For tests only."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernels.blockiness import columns as c
from kernels.frame_stats.reference import Plane, plane_at
from kernels.layout import Field


def edge_profile(luma8: Plane) -> Plane:
    """Sums over the rows of the blocking quotients between neighbouring columns, in units of 1/QUOTIENT_ONE."""
    width = luma8.shape[1]
    profile = np.zeros(width, np.int64)
    steps = np.abs(np.diff(luma8, axis=1))
    for i in range(3, width - 4):
        around = steps[:, i - 3 : i].sum(axis=1) + steps[:, i + 1 : i + 4].sum(axis=1)
        profile[i] = (steps[:, i] * c.QUOTIENT_ONE // np.maximum(1, around)).sum()
    return profile


def strongest_period(profile: Plane) -> float:
    """The largest ratio, over all periods, of the mean on a grid's lines to the mean elsewhere; 0 where undefined."""
    strongest = 0.0
    lines = range(3, len(profile) - 4)
    for period in range(c.PERIOD_MIN, c.PERIOD_MAX + 1):
        on = [int(profile[i - 1 : i + 2].max()) for i in lines if i % period == period - 1]
        off = [int(profile[i]) for i in lines if i % period != period - 1]
        if on and sum(off) > 0:
            strongest = max(strongest, float(sum(on)) * len(off) / (float(sum(off)) * len(on)))
    return strongest


def block_ratio(luma8: Plane) -> float:
    """FFmpeg's blockdetect value of one 8-bit picture; FFmpeg keeps its sums in the first row and column."""
    return max(strongest_period(edge_profile(luma8[1:])), strongest_period(edge_profile(luma8[:, 1:].T)))


def edges_per_line(luma8: Plane) -> tuple[npt.NDArray[np.int64], list[int]]:
    """(REGIONS, lines) runs with an edge between neighbouring columns, by band of rows, and the runs of each band."""
    height, width = luma8.shape
    runs = height // c.RUN
    found = np.zeros((c.REGIONS, max(width - 1, 0)), np.int64)
    many = [0] * c.REGIONS
    for k in range(runs):
        band = k * c.REGIONS // runs
        many[band] += 1
        steps = np.abs(np.diff(luma8[k * c.RUN : (k + 1) * c.RUN].sum(axis=0)))
        for i in range(3, width - 4):
            around = steps[i - 3 : i].sum() + steps[i + 1 : i + 4].sum()
            found[band, i] += steps[i] >= c.EDGE_STEP * c.RUN and steps[i] >= around
    return found, many


def more_on_grid(counts: list[int], lines: list[int], on: set[int], whole: int, left_out: int = 0) -> float:
    """Mean of the counts of lines on the grid less that of the others, over `whole`; 0 where there are not both.

    The largest `left_out` counts on the grid do not count.
    """
    inside = sorted(counts[i] for i in lines if i in on)
    inside = inside[: max(len(inside) - left_out, 0)]
    outside = [counts[i] for i in lines if i not in on]
    if not inside or not outside or whole == 0:
        return 0.0
    apart = sum(inside) * len(outside) - sum(outside) * len(inside)
    return apart / (len(inside) * len(outside) * whole)


def regional_shares(luma8: Plane) -> npt.NDArray[np.float64]:
    """(REGIONS of rows, REGIONS of columns): how much more of the edges between columns are on their grid."""
    found, many = edges_per_line(luma8)
    length = luma8.shape[1]
    lines = list(range(3, length - 4))
    capped = [[min(2 * int(found[band, i]), many[band]) for i in range(length - 1)] for band in range(c.REGIONS)]
    total = [sum(capped[band][i] for band in range(c.REGIONS)) for i in range(length - 1)]
    best, grid = 0.0, set[int]()
    for period in range(c.GRID_MIN, c.PERIOD_MAX + 1):
        for phase in range(period):
            on = {i for i in lines if i % period == phase}
            more = more_on_grid(total, lines, on, 1) if len(on) >= c.LEAST_LINES else 0.0
            if more > best:
                best, grid = more, on
    shares = np.zeros((c.REGIONS, c.REGIONS))
    for band in range(c.REGIONS):
        for group in range(c.REGIONS):
            own = [i for i in lines if i * c.REGIONS // (length - 1) == group]
            shares[band, group] = more_on_grid(capped[band], own, grid, 2 * many[band], c.LONG_LINES)
    return shares


def block_edges(luma8: Plane) -> float:
    """What the region of REGION_RANK has in both directions."""
    both = np.minimum(regional_shares(luma8), regional_shares(luma8.T).T)
    return max(0.0, float(np.sort(both.ravel())[-c.REGION_RANK]))


def blockiness(frames: Tensor) -> Tensor:
    """The same as kernels.blockiness.blockiness, for tables of host addresses."""
    out = np.full((frames.shape[0], len(c.COLUMNS)), np.nan)
    for n, frame in enumerate(frames.tolist()):
        if frame[Field.LUMA_ADDRESS]:
            size, depth = (frame[Field.WIDTH], frame[Field.HEIGHT]), frame[Field.BIT_DEPTH]
            stored = plane_at(frame[Field.LUMA_ADDRESS], frame[Field.LUMA_PITCH], *size, 1, depth)
            luma8 = stored.astype(np.int64) >> (frame[Field.SHIFT] + depth - 8)
            out[n] = block_ratio(luma8), block_edges(luma8)
    return torch.from_numpy(out)
