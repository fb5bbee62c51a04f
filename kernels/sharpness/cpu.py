"""sharpness on the CPU: numba, one core per picture, without the GIL, planes read in place.

Numba widens arithmetic of bytes to 64 bits, which would cost a factor of eight in vector lanes; so the loops over a row
use byte intrinsics of their own, and what they find is gathered in a second, rare step.
"""

import math
from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import Field
from kernels.rows import compiled
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

_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_MIDDLE: Final = STEPS // 2
_RING: Final = 8  # rows of cells, and of steps between them, that are kept; a power of two above STEPS
_BYTE: Final = ir.IntType(8)


@intrinsic
def _apart(typing_context: Any, a: Any, b: Any) -> Any:
    """|a - b| of bytes, as a byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one, other = arguments
        larger = builder.icmp_unsigned(">", one, other)
        return builder.select(larger, builder.sub(one, other), builder.sub(other, one))

    return types.uint8(types.uint8, types.uint8), generate


@intrinsic
def _larger(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger of two bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.icmp_unsigned(">", *arguments), *arguments)

    return types.uint8(types.uint8, types.uint8), generate


@intrinsic
def _edge(typing_context: Any, rise: Any, middle: Any, most: Any) -> Any:
    """`rise` where it is that of an edge, else 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rise, middle, most = arguments
        steepest = builder.icmp_unsigned("==", middle, most)
        high = builder.icmp_unsigned(">=", rise, ir.Constant(_BYTE, WEAK))
        return builder.select(builder.and_(steepest, high), rise, ir.Constant(_BYTE, 0))

    return types.uint8(types.uint8, types.uint8, types.uint8), generate


@intrinsic
def _first_byte(typing_context: Any, word: Any) -> Any:
    """Index of the lowest byte of a 64-bit word that is not zero; the word is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.cttz(arguments[0], context.get_constant(types.boolean, True))
        return builder.lshr(zeros, context.get_constant(types.uint64, 3))

    return types.uint64(types.uint64), generate


@compiled
def _fill_cells(address, pitch, excess, size, columns, like, sums, cells):
    """One row of cells from `size` rows of samples."""
    if size == 1:
        row = samples_at(address, like)
        for x in range(columns):
            cells[x] = np.uint8(row[x] >> excess)
        return
    samples = columns * size
    row = samples_at(address, like)
    for x in range(samples):
        sums[x] = np.uint16(row[x] >> excess)
    for y in range(1, size):
        row = samples_at(address + y * pitch, like)
        for x in range(samples):
            sums[x] = np.uint16(sums[x] + np.uint16(row[x] >> excess))
    # Exact for sums below 2**16 and cells of at most 256 samples.
    inverse = np.int64((1 << 32) // (size * size) + 1)
    if size == 2:
        for x in range(columns):
            cells[x] = np.uint8((np.uint32(sums[2 * x]) + np.uint32(sums[2 * x + 1])) >> np.uint32(2))
        return
    for x in range(columns):
        total = np.int64(0)
        for k in range(size):
            total += np.int64(sums[x * size + k])
        cells[x] = np.uint8((total * inverse) >> 32)


@compiled
def _find_across(cells, steps, most, found, columns):
    """Rises of the edges along a row of cells: found[i] is that of the edge whose first cell is i, or 0."""
    for x in range(columns - 1):
        steps[x] = _apart(cells[x], cells[x + 1])
    for x in range(columns - 2):
        most[x] = _larger(steps[x], steps[x + 1])
    for x in range(columns - 4):
        most[x] = _larger(most[x], most[x + 2])  # of four steps
    for x in range(columns - STEPS):
        found[x] = _edge(_apart(cells[x], cells[x + STEPS]), steps[x + _MIDDLE], _larger(most[x], most[x + 3]))


@compiled
def _find_down(first, last, steps, row, found, columns):
    """The same down the columns; `steps` is the ring, whose newest row is `row`."""
    s0, s1, s2 = steps[row & 7], steps[(row - 1) & 7], steps[(row - 2) & 7]
    s3, s4, s5, s6 = steps[(row - 3) & 7], steps[(row - 4) & 7], steps[(row - 5) & 7], steps[(row - 6) & 7]
    for x in range(columns):
        upper = _larger(_larger(s6[x], s5[x]), s4[x])
        lower = _larger(_larger(s0[x], s1[x]), s2[x])
        found[x] = _edge(_apart(first[x], last[x]), s3[x], _larger(_larger(upper, lower), s3[x]))


@compiled
def _count(found, middles, offset, histogram):
    """Counts edges by span; `middles[x + offset]` is the step in the middle of the edge at x. found is whole words."""
    words = found.view(np.uint64)
    for w in range(words.size):
        word = words[w]
        while word:
            byte = _first_byte(word)
            rise = np.int64((word >> (byte * np.uint64(8))) & np.uint64(255))
            word &= ~(np.uint64(255) << (byte * np.uint64(8)))
            span = rise * PARTS // np.int64(middles[np.int64(w * 8) + np.int64(byte) + offset])
            histogram[1 if rise >= STRONG else 0, span] += 1


@compiled
def _add_up(cells, columns, sums):
    total = np.int64(0)
    squares = np.int64(0)
    for x in range(columns):
        value = np.int32(cells[x])
        total += value
        squares += value * value
    sums[0] += total
    sums[1] += squares


@compiled
def _measure(address, pitch, width, height, excess, like, histogram, sums):
    """Counts the edges of one picture and adds up its cells. Returns: how many cells there are."""
    size = min(max((min(width, height) + LINES // 2) // LINES, 1), LARGEST_CELL)
    columns, rows = width // size, height // size
    whole = (columns + 7) // 8 * 8
    cells = np.zeros((_RING, columns), np.uint8)
    down = np.zeros((_RING, columns), np.uint8)
    steps, most = np.zeros(columns + 8, np.uint8), np.zeros(columns + 8, np.uint8)
    # What stays 0 at its end: no edge begins there.
    across_found, down_found = np.zeros(whole, np.uint8), np.zeros(whole, np.uint8)
    scratch = np.zeros(width, np.uint16)
    for y in range(rows):
        own = cells[y & (_RING - 1)]
        _fill_cells(address + y * size * pitch, pitch, excess, size, columns, like, scratch, own)
        _add_up(own, columns, sums)
        if columns > STEPS:
            _find_across(own, steps, most, across_found, columns)
            _count(across_found, steps, _MIDDLE, histogram)
        if y == 0:
            continue
        above, apart = cells[(y - 1) & (_RING - 1)], down[y & (_RING - 1)]
        for x in range(columns):
            apart[x] = _apart(above[x], own[x])
        if y >= STEPS:
            _find_down(cells[(y - STEPS) & (_RING - 1)], own, down, y, down_found, columns)
            _count(down_found, down[(y - _MIDDLE) & (_RING - 1)], 0, histogram)
    return columns * rows


@compiled
def _sharpness(frames, out):
    for n in range(frames.shape[0]):
        frame = frames[n]
        if frame[_LUMA] == 0:
            out[n, :] = np.nan
            continue
        width, height, depth = frame[_WIDTH], frame[_HEIGHT], frame[_BIT_DEPTH]
        histogram = np.zeros((2, BINS), np.int64)
        sums = np.zeros(2, np.int64)
        excess = frame[_SHIFT] + depth - 8
        if depth == 8:
            many = _measure(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, np.uint8(0), histogram, sums)
        else:
            many = _measure(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, np.uint16(0), histogram, sums)
        weak = 0 if histogram[1].sum() >= LEAST_EDGES else 1
        count = histogram[1].sum() + weak * histogram[0].sum()
        out[n, 0] = np.nan
        if count >= LEAST_EDGES:
            span = -1
            seen = np.int64(0)
            while seen * STEEPEST_SHARE < count:
                span += 1
                seen += histogram[1, span] + weak * histogram[0, span]
            out[n, 0] = np.float64(span) / PARTS
        out[n, 1] = np.float64(count) / np.float64(many)
        out[n, 2] = math.sqrt(np.float64(sums[1] * many - sums[0] * sums[0])) / np.float64(many)


def sharpness(frames: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/sharpness/op.py. The table is checked and contiguous."""
    out = np.empty((frames.shape[0], len(COLUMNS)), np.float64)
    _sharpness(frames.numpy(), out)
    return torch.from_numpy(out)
