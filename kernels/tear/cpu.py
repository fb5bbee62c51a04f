"""tear on the CPU: numba, one core per picture, without the GIL, planes read in place.

The strips of all rows are packed into rows of bytes first, so that every sum that follows is one of 32 bytes, which the
processor has an instruction for. Where nothing moves, nothing more is read.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import add_difference, samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.tear.layout import (
    COLUMNS,
    LEAST_STEP,
    LEAST_STRIPS,
    MOVING,
    OVER_AROUND,
    OVER_TIME,
    REACH,
    SMALLEST_WIDTH,
    STRIP_WIDTH,
    STRIPS,
)
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_PACKED: Final = STRIPS * STRIP_WIDTH


@compiled
def _pack(address, pitch, width, height, excess, size, like, packed):
    """The strips of every row, side by side, in 8-bit codes; what a narrow strip leaves stays 0."""
    strip = min(STRIP_WIDTH, width // STRIPS)
    for y in range(height):
        for k in range(STRIPS):
            start = (2 * k + 1) * width // (2 * STRIPS) - strip // 2
            row = samples_at(address + y * pitch + start * size, like)
            at = k * STRIP_WIDTH
            if strip == STRIP_WIDTH and excess == 0:
                for i in range(STRIP_WIDTH):
                    packed[y, at + i] = row[i]
            else:
                for i in range(strip):
                    packed[y, at + i] = row[i] >> excess


@compiled
def _apart(a, b):
    """Sum of |a - b| over a strip."""
    first, second = samples_at(a, np.uint8(0)), samples_at(b, np.uint8(0))
    total = np.int32(0)
    for i in range(STRIP_WIDTH):
        total = add_difference(total, first[i], second[i])
    return total


@compiled
def _most_torn(now, then, height, strip):
    change = np.empty((2, STRIPS), np.int32)
    moving = np.zeros((height, STRIPS), np.int32)  # 1 or 0
    count = np.zeros(height, np.int32)
    least = np.int32(MOVING * strip)
    first, earlier = np.int64(now.ctypes.data), np.int64(then.ctypes.data)
    any_row = False
    for y in range(height):
        for k in range(STRIPS):
            at = y * _PACKED + k * STRIP_WIDTH
            change[y & 1, k] = _apart(first + at, earlier + at)
        if y == 0:
            continue
        for k in range(STRIPS):
            if change[0, k] >= least or change[1, k] >= least:
                moving[y, k] = 1
                count[y] += 1
        if count[y] >= LEAST_STRIPS:
            any_row = True
    best = 0.0
    if any_row:
        step = np.zeros((2, height, STRIPS), np.int32)  # of this picture, of the earlier one
        for y in range(1, height):
            for k in range(STRIPS):
                at = y * _PACKED + k * STRIP_WIDTH
                step[0, y, k] = _apart(first + at, first + at - _PACKED)
                step[1, y, k] = _apart(earlier + at, earlier + at - _PACKED)
        for y in range(1, height):
            n = count[y]
            if n < LEAST_STRIPS:
                continue
            here = np.int64(0)
            for k in range(STRIPS):
                here += moving[y, k] * step[0, y, k]
            if here < LEAST_STEP * n * strip:
                continue
            around = np.int64(0)
            for distance in range(1, REACH + 1):
                for row in (y - distance, y + distance):
                    if row < 1 or row >= height:
                        continue
                    for picture in range(2):
                        total = np.int64(0)
                        for k in range(STRIPS):
                            total += moving[y, k] * step[picture, row, k]
                        around = max(around, total)
                if around >= here:
                    break
            if around >= here:
                continue
            new_below, old_below = np.int64(0), np.int64(0)
            for k in range(STRIPS):
                if moving[y, k]:
                    at = y * _PACKED + k * STRIP_WIDTH
                    new_below += _apart(first + at, earlier + at - _PACKED)
                    old_below += _apart(earlier + at, first + at - _PACKED)
            across = min(new_below, old_below)
            weight = max(OVER_TIME * across, OVER_AROUND * around, np.int64(1))
            best = max(best, np.float64(10 * here) / np.float64(weight))
    now[0, 0] = 0  # used through their addresses above: a mention keeps them alive until here
    then[0, 0] = 0
    return best


@compiled
def _measure_row(frames_address, references_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * (8 * _N_COLUMNS), np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    width, height, depth = frame[_WIDTH], frame[_HEIGHT], frame[_BIT_DEPTH]
    if frame[_LUMA] == 0 or reference[_R_LUMA] == 0 or width < SMALLEST_WIDTH:
        return
    excess = frame[_SHIFT] + depth - 8
    strip = min(STRIP_WIDTH, width // STRIPS)
    now = np.zeros((height, _PACKED), np.uint8)
    then = np.zeros((height, _PACKED), np.uint8)
    if depth == 8:
        _pack(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, 1, np.uint8(0), now)
        _pack(reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, excess, 1, np.uint8(0), then)
    else:
        _pack(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, 2, np.uint16(0), now)
        _pack(reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, excess, 2, np.uint16(0), then)
    out[0] = _most_torn(now, then, height, strip)


def tear(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/tear/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), count)
    return out
