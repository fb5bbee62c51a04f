"""sharpness on CUDA: Triton, three launches per group of pictures; the cells, their edges, the columns.

All that crosses programs are integer sums, so the result does not depend on their order. Of an 8-bit picture of
1920x1080 every byte is read once and half a megabyte of cells is written and read: worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, Field
from kernels.sharpness.layout import (
    BINS,
    COLUMNS,
    LARGEST_CELL,
    LEAST_EDGES,
    LINES,
    PARTS,
    STEEPEST_SHARE,
    STEPS,
    STRONG,
    WEAK,
)

# They change no number: pictures that share the scratch memory, programs of a picture, cells that one takes at a time.
GROUP = 8
PROGRAMS = 128
BLOCK = 512

_FIELDS, _COLUMNS = tl.constexpr(FRAME_FIELDS), tl.constexpr(len(COLUMNS))
_BINS, _PARTS, _STEPS = tl.constexpr(BINS), tl.constexpr(PARTS), tl.constexpr(STEPS)
_STRONG, _WEAK, _LEAST_EDGES = tl.constexpr(STRONG), tl.constexpr(WEAK), tl.constexpr(LEAST_EDGES)
_LINES, _LARGEST_CELL, _STEEPEST = tl.constexpr(LINES), tl.constexpr(LARGEST_CELL), tl.constexpr(STEEPEST_SHARE)
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))


@triton.jit
def _cell_size(width, height):
    size = (tl.minimum(width, height) + _LINES // 2) // _LINES
    return tl.minimum(tl.maximum(size, 1), _LARGEST_CELL)


@triton.jit
def _cell_kernel(frames, cells, sums, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    address = tl.load(frame + _LUMA)
    if address != 0:
        pitch, depth = tl.load(frame + _LUMA_PITCH), tl.load(frame + _BIT_DEPTH)
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        size = _cell_size(width, height)
        columns, rows = width // size, height // size
        total = tl.zeros((), tl.int64)
        squares = tl.zeros((), tl.int64)
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < columns * rows:
            at = start + tl.arange(0, BLOCK)
            real = at < columns * rows
            y, x = at // columns * size, at % columns * size
            held = tl.zeros((BLOCK,), tl.int32)
            j = 0
            while j < size:
                i = 0
                while i < size:
                    if depth > 8:
                        words = address.to(tl.pointer_type(tl.uint16))
                        sample = tl.load(words + (y + j) * (pitch // 2) + x + i, mask=real, other=0).to(tl.int32)
                    else:
                        samples = address.to(tl.pointer_type(tl.uint8))
                        sample = tl.load(samples + (y + j) * pitch + x + i, mask=real, other=0).to(tl.int32)
                    held += sample >> excess
                    i += 1
                j += 1
            mean = held // (size * size).to(tl.int32)
            tl.store(cells + picture * largest + at, mean.to(tl.uint8), mask=real)
            total += tl.sum(mean, axis=0).to(tl.int64)
            squares += tl.sum(mean * mean, axis=0).to(tl.int64)
            start += PROGRAMS * BLOCK
        tl.atomic_add(sums + picture * 2, total)
        tl.atomic_add(sums + picture * 2 + 1, squares)


@triton.jit
def _count_edges(cells, at, stride, inside, bins):
    """Adds the edges to the histograms: weak ones in the first half, strong ones in the second."""
    first = tl.load(cells + at, mask=inside, other=0).to(tl.int32)
    before = first
    most = tl.zeros(before.shape, tl.int32)
    middle = tl.zeros(before.shape, tl.int32)
    for k in tl.static_range(_STEPS):
        here = tl.load(cells + at + (k + 1) * stride, mask=inside, other=0).to(tl.int32)
        step = tl.abs(here - before)
        most = tl.maximum(most, step)
        if k == _STEPS // 2:
            middle = step
        before = here
    rise = tl.abs(before - first)
    edge = inside & (rise >= _WEAK) & (middle == most)
    span = rise * _PARTS // tl.maximum(middle, 1)
    tl.atomic_add(bins + tl.where(rise >= _STRONG, _BINS, 0) + span, 1, mask=edge)


@triton.jit
def _edge_kernel(frames, cells, bins, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        size = _cell_size(width, height)
        columns, rows = width // size, height // size
        own = cells + picture * largest
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < columns * rows:
            at = start + tl.arange(0, BLOCK)
            real = at < columns * rows
            _count_edges(own, at, 1, real & (at % columns + _STEPS < columns), bins + picture * 2 * _BINS)
            _count_edges(own, at, columns, real & (at // columns + _STEPS < rows), bins + picture * 2 * _BINS)
            start += PROGRAMS * BLOCK


@triton.jit
def _column_kernel(frames, bins, sums, values):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        size = _cell_size(width, height)
        many = (width // size) * (height // size)
        k = tl.arange(0, _BINS)
        strong = tl.load(bins + picture * 2 * _BINS + _BINS + k)
        weak = tl.load(bins + picture * 2 * _BINS + k)
        use_weak = (tl.sum(strong, axis=0) < _LEAST_EDGES).to(tl.int32)
        histogram = strong + weak * use_weak
        count = tl.sum(histogram, axis=0).to(tl.int64)
        within = tl.cumsum(histogram, axis=0).to(tl.int64) * _STEEPEST >= count
        span = tl.min(tl.where(within, k, _BINS - 1), axis=0)
        total = tl.load(sums + picture * 2)
        variance = tl.load(sums + picture * 2 + 1) * many - total * total
        row = values + picture * _COLUMNS
        if count >= _LEAST_EDGES:
            tl.store(row, span.to(tl.float64) / _PARTS)
        tl.store(row + 1, count.to(tl.float64) / many.to(tl.float64))
        tl.store(row + 2, tl.sqrt(variance.to(tl.float64)) / many.to(tl.float64))


def sharpness(frames: Tensor, largest: int, programs: int = PROGRAMS) -> Tensor:
    """The op's CUDA implementation; see kernels/sharpness/op.py. The table is checked and contiguous.

    Args:
        frames: (N, FRAME_FIELDS) int64 on the device.
        largest: pixels of the largest picture.
        programs: how many share one picture.
    """
    count, device = frames.shape[0], frames.device
    values = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return values
    bins = torch.zeros((count, 2 * BINS), dtype=torch.int32, device=device)
    sums = torch.zeros((count, 2), dtype=torch.int64, device=device)
    cells = torch.empty((min(count, GROUP), largest), dtype=torch.uint8, device=device)
    for first in range(0, count, GROUP):
        grid = (min(GROUP, count - first), programs)
        _cell_kernel[grid](frames[first:], cells, sums[first:], largest, PROGRAMS=programs, BLOCK=BLOCK)
        _edge_kernel[grid](frames[first:], cells, bins[first:], largest, PROGRAMS=programs, BLOCK=BLOCK)
    _column_kernel[(count,)](frames, bins, sums, values)
    return values
