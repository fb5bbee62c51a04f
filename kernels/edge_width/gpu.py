"""Triton version: smooth, slopes, peaks, search, columns; five launches per group of pictures of any sizes.

A program takes every PROGRAMS-th block of a picture's pixels, in row order; pictures that are not due end at once.
All that crosses programs are integer sums, so the result does not depend on their order.

Traffic of an 8-bit picture, per pixel: 1 byte of luma read (its 25 taps come from the caches), 1 of smoothed luma
written and read, 2 of slope written and read, 1 of peak written and read: 9 bytes, 18.7 MB at 1080p. About 150
integer operations, 0.3 G at 1080p. The floor on an H100 (3.35 TB/s, about 30 T integer operations/s) is therefore
10 us per due picture; it is worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.edge_width.op import COLUMNS, HIGH, HISTOGRAM, LOW, RADIUS
from kernels.layout import FRAME_FIELDS, Field

_FIELDS = tl.constexpr(FRAME_FIELDS)
_LUMA_ADDRESS = tl.constexpr(int(Field.LUMA_ADDRESS))
_LUMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH = tl.constexpr(int(Field.WIDTH))
_HEIGHT = tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH = tl.constexpr(int(Field.BIT_DEPTH))
_SHIFT = tl.constexpr(int(Field.SHIFT))
_COLUMNS = tl.constexpr(len(COLUMNS))
_HISTOGRAM = tl.constexpr(HISTOGRAM)
_HIGH = tl.constexpr(HIGH)
_LOW = tl.constexpr(LOW)
_RADIUS = tl.constexpr(RADIUS)
_STRONG = tl.constexpr(16)  # bit of a peak above HIGH; its low bits are 1 + its direction

GROUP = 8  # pictures that share the scratch memory's four bytes per pixel
BLOCK = 1024
PROGRAMS = 256


@triton.jit
def _weight(APART: tl.constexpr):
    """The Gaussian's weight at a distance whose square is APART."""
    near: tl.constexpr = 15 if APART == 0 else (12 if APART == 1 else 9)
    far: tl.constexpr = 5 if APART == 4 else (4 if APART == 5 else 2)
    return near if APART < 4 else far


@triton.jit
def _weighted(base, pitch, x, y, excess, inner):
    """Sum of the 5x5 samples around each pixel, in 8 bits, with the Gaussian's weights (sum 159)."""
    total = tl.zeros(x.shape, tl.int32)
    for j in tl.static_range(5):
        for i in tl.static_range(5):
            sample = tl.load(base + (y + j - 2) * pitch + x + i - 2, mask=inner, other=0).to(tl.int32)
            total += (sample >> excess) * _weight((j - 2) * (j - 2) + (i - 2) * (i - 2))
    return total


@triton.jit
def _smooth_kernel(frames, smooth, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    address = tl.load(frame + _LUMA_ADDRESS)
    if address != 0:
        pitch = tl.load(frame + _LUMA_PITCH)
        width = tl.load(frame + _WIDTH)
        height = tl.load(frame + _HEIGHT)
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        out = smooth + picture * largest
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < width * height:
            at = start + tl.arange(0, BLOCK)
            real = at < width * height
            y = at // width
            x = at % width
            inner = real & (y >= 2) & (y < height - 2) & (x >= 2) & (x < width - 2)
            if depth > 8:
                words = address.to(tl.pointer_type(tl.uint16))
                sample = tl.load(words + y * (pitch // 2) + x, mask=real, other=0).to(tl.int32) >> excess
                total = _weighted(words, pitch // 2, x, y, excess, inner)
            else:
                samples = address.to(tl.pointer_type(tl.uint8))
                sample = tl.load(samples + y * pitch + x, mask=real, other=0).to(tl.int32) >> excess
                total = _weighted(samples, pitch, x, y, excess, inner)
            tl.store(out + at, tl.where(inner, total // 159, sample).to(tl.uint8), mask=real)
            start += PROGRAMS * BLOCK


@triton.jit
def _slope_kernel(frames, smooth, slopes, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    """(|gx| + |gy|) * 4 + direction (0 horizontal, 1 vertical, 2 down, 3 up); 0 on the rim."""
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA_ADDRESS) != 0:
        width = tl.load(frame + _WIDTH)
        height = tl.load(frame + _HEIGHT)
        source = smooth + picture * largest
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < width * height:
            at = start + tl.arange(0, BLOCK)
            real = at < width * height
            y = at // width
            x = at % width
            inner = real & (y >= 1) & (y < height - 1) & (x >= 1) & (x < width - 1)
            here = source + at
            u0 = tl.load(here - width - 1, mask=inner, other=0).to(tl.int32)
            u1 = tl.load(here - width, mask=inner, other=0).to(tl.int32)
            u2 = tl.load(here - width + 1, mask=inner, other=0).to(tl.int32)
            m0 = tl.load(here - 1, mask=inner, other=0).to(tl.int32)
            m2 = tl.load(here + 1, mask=inner, other=0).to(tl.int32)
            d0 = tl.load(here + width - 1, mask=inner, other=0).to(tl.int32)
            d1 = tl.load(here + width, mask=inner, other=0).to(tl.int32)
            d2 = tl.load(here + width + 1, mask=inner, other=0).to(tl.int32)
            gx = (u2 + 2 * m2 + d2) - (u0 + 2 * m0 + d0)
            gy = (d0 + 2 * d1 + d2) - (u0 + 2 * u1 + u2)
            ax = tl.abs(gx)
            ay = tl.abs(gy)
            flat = (ax * 27146) >> 16  # tan(pi / 8); |gx| <= 1020
            sloped = tl.where((gx ^ gy) >= 0, 2, 3)
            direction = tl.where(ay <= flat, 0, tl.where(ay > 2 * ax + flat, 1, sloped))
            code = tl.where(inner, (ax + ay) * 4 + direction, 0)  # <= 2040 * 4 + 3
            tl.store(slopes + picture * largest + at, code.to(tl.int16), mask=real)
            start += PROGRAMS * BLOCK


@triton.jit
def _stride(direction, width):
    """Pixels from one to the next along a direction."""
    return tl.where(direction == 0, 1, tl.where(direction == 1, width, tl.where(direction == 2, width + 1, 1 - width)))


@triton.jit
def _peak_kernel(frames, slopes, peaks, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA_ADDRESS) != 0:
        width = tl.load(frame + _WIDTH)
        height = tl.load(frame + _HEIGHT)
        source = slopes + picture * largest
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < width * height:
            at = start + tl.arange(0, BLOCK)
            real = at < width * height
            code = tl.load(source + at, mask=real, other=0).to(tl.int32)
            slope = code >> 2
            direction = code & 3
            stride = _stride(direction, width)
            candidate = real & (slope > _LOW)  # none on the rim
            before = tl.load(source + at - stride, mask=candidate, other=0).to(tl.int32) >> 2
            after = tl.load(source + at + stride, mask=candidate, other=0).to(tl.int32) >> 2
            peak = candidate & (slope > before) & (slope > after)
            mark = 1 + direction + tl.where(slope > _HIGH, _STRONG, 0)
            tl.store(peaks + picture * largest + at, tl.where(peak, mark, 0).to(tl.uint8), mask=real)
            start += PROGRAMS * BLOCK


@triton.jit
def _run(smooth, at, stride, sign, room, edge):
    """Steps along `stride` for which the samples go on rising (sign 1) or falling (-1), at most `room`."""
    steps = tl.zeros(at.shape, tl.int64)
    here = tl.load(smooth + at, mask=edge, other=0).to(tl.int32)
    going = edge & (room > 0)
    while tl.max(going.to(tl.int32), axis=0) > 0:
        there = tl.load(smooth + at + (steps + 1) * stride, mask=going, other=0).to(tl.int32)
        going = going & ((there - here) * sign > 0)
        steps += going.to(tl.int64)
        here = there
        going = going & (steps < room)
    return steps


@triton.jit
def _search_kernel(frames, smooth, peaks, widths, edges, largest, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA_ADDRESS) != 0:
        width = tl.load(frame + _WIDTH)
        height = tl.load(frame + _HEIGHT)
        marks = peaks + picture * largest
        samples = smooth + picture * largest
        found = tl.zeros((), tl.int64)
        start = tl.program_id(1).to(tl.int64) * BLOCK
        while start < width * height:
            at = start + tl.arange(0, BLOCK)
            mark = tl.load(marks + at, mask=at < width * height, other=0).to(tl.int32)
            candidate = mark > 0  # none on the rim, so that the neighbours are in the picture
            around = mark
            for j in tl.static_range(3):
                for i in tl.static_range(3):
                    around |= tl.load(marks + at + (j - 1) * width + i - 1, mask=candidate, other=0).to(tl.int32)
            edge = candidate & ((around & _STRONG) != 0)
            found += tl.sum(edge.to(tl.int32), axis=0).to(tl.int64)
            y = at // width
            x = at % width
            direction = (mark & 7) - 1
            stride = _stride(direction, width)
            right = width - 1 - x
            below = height - 1 - y
            before = tl.where(direction == 1, y, x)
            after = tl.where(direction == 1, below, right)
            before = tl.where(direction == 2, tl.minimum(x, y), before)
            after = tl.where(direction == 2, tl.minimum(right, below), after)
            before = tl.where(direction == 3, tl.minimum(x, below), before)
            after = tl.where(direction == 3, tl.minimum(right, y), after)
            here = tl.load(samples + at, mask=edge, other=0).to(tl.int32)
            previous = tl.load(samples + at - stride, mask=edge, other=0).to(tl.int32)
            sign = tl.where(here > previous, 1, -1)
            back = _run(samples, at, -stride, -sign, tl.minimum(before, _RADIUS), edge)
            ahead = _run(samples, at, stride, sign, tl.minimum(after, _RADIUS), edge)
            outside = ((back == before) & (before < _RADIUS)) | ((ahead == after) & (after < _RADIUS))
            tenths = (back + ahead) * tl.where(direction >= 2, 7, 10)
            tl.atomic_add(widths + picture * _HISTOGRAM + tenths, 1, mask=edge & ~outside)
            start += PROGRAMS * BLOCK
        tl.atomic_add(edges + picture, found)


@triton.jit
def _column_kernel(frames, widths, edges, values):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA_ADDRESS) != 0:
        pixels = tl.load(frame + _WIDTH) * tl.load(frame + _HEIGHT)
        tenths = tl.arange(0, _HISTOGRAM)
        histogram = tl.load(widths + picture * _HISTOGRAM + tenths)
        histogram = tl.where(tenths > 0, histogram, 0)
        count = tl.sum(histogram, axis=0).to(tl.int64)
        total = tl.sum(histogram.to(tl.int64) * tenths, axis=0)
        row = values + picture * _COLUMNS
        tl.store(row + 1, tl.load(edges + picture).to(tl.float64) / pixels.to(tl.float64))
        if total >= 20:
            tl.store(row + 0, total.to(tl.float64) / (10 * count).to(tl.float64))


def edge_width(frames: Tensor, largest: int, programs: int = PROGRAMS) -> Tensor:
    """CUDA implementation of `avjury::edge_width`; see kernels/edge_width/op.py.

    Args:
        frames: (N, FRAME_FIELDS) int64 on the device.
        largest: pixels of the largest picture.
        programs: how many share the blocks of one picture.
    """
    frames = frames if frames.is_contiguous() else frames.contiguous()  # a table of addresses, not pixels
    count, device = frames.shape[0], frames.device
    values = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return values
    widths = torch.zeros((count, HISTOGRAM), dtype=torch.int32, device=device)
    edges = torch.zeros(count, dtype=torch.int64, device=device)
    rows = min(count, GROUP)
    smooth = torch.empty((rows, largest), dtype=torch.uint8, device=device)
    slopes = torch.empty((rows, largest), dtype=torch.int16, device=device)
    peaks = torch.empty((rows, largest), dtype=torch.uint8, device=device)
    for first in range(0, count, GROUP):
        table, bins, totals = frames[first:], widths[first:], edges[first:]
        grid = (min(GROUP, count - first), programs)
        _smooth_kernel[grid](table, smooth, largest, PROGRAMS=programs, BLOCK=BLOCK)
        _slope_kernel[grid](table, smooth, slopes, largest, PROGRAMS=programs, BLOCK=BLOCK)
        _peak_kernel[grid](table, slopes, peaks, largest, PROGRAMS=programs, BLOCK=BLOCK)
        _search_kernel[grid](table, smooth, peaks, bins, totals, largest, PROGRAMS=programs, BLOCK=BLOCK)
    _column_kernel[(count,)](frames, widths, edges, values)
    return values
