"""tear on the CPU: numba, one core per picture, without the GIL, planes read in place.

Every sum is one of 32 bytes, which the processor has an instruction for; strips that are narrower or deeper are packed
into such rows of bytes first. Where nothing moves only the change is summed.
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
def _step(address, pitch, starts, moving, y):
    """Sum of |row y - the row above it| over the strips that move."""
    total = np.int64(0)
    for k in range(STRIPS):
        if moving[k]:
            at = address + y * pitch + starts[k]
            total += _apart(at, at - pitch)
    return total


@compiled
def _around(steps, address, pitch, starts, moving, y, height, here):
    """The strongest edge near a row, in this picture and the earlier one (at `address`); `here` where it is as much."""
    around = np.int64(0)
    for distance in range(1, REACH + 1):
        for row in (y - distance, y + distance):
            if 1 <= row < height:
                total = np.int64(0)
                for k in range(STRIPS):
                    total += moving[k] * steps[row, k]
                around = max(around, total)
        if around >= here:
            return here
    for distance in range(1, REACH + 1):
        for row in (y - distance, y + distance):
            if 1 <= row < height:
                around = max(around, _step(address, pitch, starts, moving, row))
        if around >= here:
            return here
    return around


@compiled
def _most_torn(now, pitch, then, then_pitch, starts, height, strip):
    """The value of one picture, and the row that has it; its strips of bytes begin at `starts` in every row, as the
    earlier one's do."""
    change = np.zeros((2, STRIPS), np.int32)
    moving = np.zeros((height, STRIPS), np.int32)  # 1 or 0
    count = np.zeros(height, np.int32)
    least = np.int32(MOVING * strip)
    any_row = False
    for y in range(height):
        for k in range(STRIPS):
            change[y & 1, k] = _apart(now + y * pitch + starts[k], then + y * then_pitch + starts[k])
        if y == 0:
            continue
        for k in range(STRIPS):
            if change[0, k] >= least or change[1, k] >= least:
                moving[y, k] = 1
                count[y] += 1
        any_row |= count[y] >= LEAST_STRIPS
    if not any_row:
        return 0.0, 0
    steps = np.zeros((height, STRIPS), np.int32)
    for y in range(1, height):
        for k in range(STRIPS):
            at = now + y * pitch + starts[k]
            steps[y, k] = _apart(at, at - pitch)
    best, place = 0.0, 0
    for y in range(1, height):
        n = count[y]
        if n < LEAST_STRIPS:
            continue
        here = np.int64(0)
        for k in range(STRIPS):
            here += moving[y, k] * steps[y, k]
        if here < LEAST_STEP * n * strip:
            continue
        around = _around(steps, then, then_pitch, starts, moving[y], y, height, here)
        if around >= here:
            continue
        new_below, old_below = np.int64(0), np.int64(0)
        for k in range(STRIPS):
            if moving[y, k]:
                at, then_at = now + y * pitch + starts[k], then + y * then_pitch + starts[k]
                new_below += _apart(at, then_at - then_pitch)
                old_below += _apart(then_at, at - pitch)
        weight = max(OVER_TIME * min(new_below, old_below), OVER_AROUND * around, np.int64(1))
        value = np.float64(10 * here) / np.float64(weight)
        if value > best:
            best, place = value, y
    return best, place


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
    starts = np.empty(STRIPS, np.int64)
    if strip == STRIP_WIDTH and depth == 8:
        for k in range(STRIPS):
            starts[k] = (2 * k + 1) * width // (2 * STRIPS) - strip // 2
        out[0], place = _most_torn(
            frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH], starts, height, strip
        )
        out[1] = np.float64(place) / np.float64(height)
        return
    packed = np.zeros((2, height, _PACKED), np.uint8)
    for k in range(STRIPS):
        starts[k] = k * STRIP_WIDTH
    if depth == 8:
        _pack(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, 1, np.uint8(0), packed[0])
        _pack(reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, excess, 1, np.uint8(0), packed[1])
    else:
        _pack(frame[_LUMA], frame[_LUMA_PITCH], width, height, excess, 2, np.uint16(0), packed[0])
        _pack(reference[_R_LUMA], reference[_R_LUMA_PITCH], width, height, excess, 2, np.uint16(0), packed[1])
    address = np.int64(packed.ctypes.data)
    out[0], place = _most_torn(address, _PACKED, address + height * _PACKED, _PACKED, starts, height, strip)
    out[1] = np.float64(place) / np.float64(height)
    packed[0, 0, 0] = 0  # used through its address above: a mention keeps it alive until here


def tear(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/tear/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), count)
    return out
