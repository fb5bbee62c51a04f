"""`avjury::blockiness`: coding blocks, looked for about once a second because it takes every line of a picture."""

import torch
from torch import Tensor

from kernels.blockiness.columns import COLUMNS
from kernels.layout import FRAME_FIELDS, Field


def _cpu(frames: Tensor, largest_side: int) -> Tensor:
    from kernels.blockiness import cpu  # numba loads in a second: only where it is needed

    return cpu.blockiness(frames)


_blockiness = torch.library.custom_op("avjury::blockiness", _cpu, mutates_args=(), device_types="cpu")


@_blockiness.register_kernel("cuda")
def _(frames: Tensor, largest_side: int) -> Tensor:
    from kernels.blockiness import gpu  # triton is absent on some CPU-only platforms

    return gpu.blockiness(frames, largest_side)


@_blockiness.register_fake
def _(frames: Tensor, largest_side: int) -> Tensor:
    return frames.new_empty((frames.shape[0], len(COLUMNS)), dtype=torch.float64)


def blockiness(frames: Tensor, largest_side: int = 0) -> Tensor:
    """How strongly the edges of each picture of a batch lie on a regular grid.

    Luma is taken in the top 8 bits of its code (stored sample >> SHIFT).

    | column | meaning |
    |---|---|
    | blockiness | FFmpeg's blockdetect: strength of the strongest grid; 1 is none, 0 where nothing can be said |
    | block_edges | share of a grid's edges that stand out, above that of other lines, where there are most blocks |

    *blockiness*: let d(i) be the absolute step of line i of a row, and q(i) = d(i) / max(1, sum of the three d before
    and the three d after). P(i) is the sum of q(i) over all rows but the first. For a period p from 3 to 24, lines i
    with i mod p = p - 1 are the grid; the value for p is the mean over grid lines of max(P(i - 1), P(i), P(i + 1)),
    over the mean of P(i) of all other lines. The same with rows and columns swapped; blockiness is the largest of all.
    q is rounded down to multiples of 2**-16, so that P is an exact integer.

    *block_edges*: rows are added up in runs of four. A run has an edge at line i if the step of its sums is at least 8
    (two codes a sample), and at least the six steps around it together: both sides are smooth. With C of N runs having
    one, the line's share is min(C / N, 1/2), so that one long straight edge is worth little beside a grid. The grid is
    the period from 4 to 24 and the phase whose lines, sixteen at least, have the largest mean share above that of the
    others. The picture is cut into 4x4 regions (lines i * 4 // (length - 1), runs k * 4 // runs); each has the mean
    share on that grid less that off it, once for columns and once for rows, and counts with the smaller of both:
    captions and stripes have edges in one direction, blocks in two. The two lines on the grid with most edges are left
    out of a region's mean: bars and frames have few edges, which are long. block_edges is the third largest of the
    regions, so that blocks in a fifth of the picture show; at least 0.

    Deviations of blockiness from FFmpeg's blockdetect, deliberate: FFmpeg never clears its sums, so that the value it
    prints for a picture is that of all pictures so far together, here it is the picture's own; FFmpeg says nan for a
    flat picture, here 0; more than 8 bits are cut to 8 here and dithered by FFmpeg's converter.

    Args:
        frames: (N, FRAME_FIELDS) int64, contiguous, CPU or CUDA, see kernels/layout.py; LUMA_ADDRESS 0: not due, its
            row is NaN. Width and height at most 32,768.
        largest_side: width or height of the largest picture in the table, for the GPU's scratch memory; 0 asks the
            table, which waits for the device.
    Returns: (N, len(COLUMNS)) float64 on the same device.
    Raises: ValueError if the table's shape or dtype is another: the kernels trust it.
    Source: R. Muijs and I. Kirenko, "A no-reference blocking artifact measure for adaptive video processing", EUSIPCO
        2005, eq. 1-3, as FFmpeg's blockdetect takes it. block_edges: docs/decisions/0002-blockiness-threshold.md.
    """
    if (
        frames.dim() != 2
        or frames.shape[1] != FRAME_FIELDS
        or frames.dtype != torch.int64
        or not frames.is_contiguous()
    ):
        raise ValueError(f"blockiness: wanted (N, {FRAME_FIELDS}) int64, got {tuple(frames.shape)} {frames.dtype}")
    if frames.is_cuda and not largest_side and frames.shape[0]:
        largest_side = int(frames[:, [Field.WIDTH, Field.HEIGHT]].max())
    if not frames.is_cuda:
        return _cpu(frames, largest_side)  # straight to it: the dispatcher takes tens of microseconds
    result: Tensor = torch.ops.avjury.blockiness(frames, largest_side)
    return result
