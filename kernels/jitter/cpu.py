"""jitter on the CPU: numba, without the GIL, planes read in place. Rows that fit where they are take two short sums."""

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.jitter.layout import (
    APART,
    COLUMNS,
    DETAIL,
    LEAST_COLUMNS,
    LEAST_ROWS,
    QUARTERS,
    ROWS,
    SLACK,
    reach,
    row_of,
    samples_to_column,
)
from kernels.layout import FRAME_FIELDS, Field
from kernels.rows import compiled
from kernels.workers import for_each_row

_N_COLUMNS = len(COLUMNS)
# Columns after which a sum that is too large already is given up.
_PIECE = 32
_NO_LIMIT = np.int32(2**31 - 1)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_reach, _row_of, _samples_to_column = compiled(reach), compiled(row_of), compiled(samples_to_column)


@compiled
def _read(address, excess, k, columns, like, out):
    """The columns of one row: at most 35 samples of 8 bits each."""
    stored = samples_at(address, like)
    if k == 1:
        for x in range(columns):
            out[x] = np.int16(stored[x] >> excess)
        return
    for x in range(columns):
        total = np.int32(0)
        for i in range(k):
            total += np.int32(stored[x * k + i] >> excess)
        out[x] = np.int16(total)


@compiled
def _apart(one, other, shift, far, columns):
    total = np.int32(0)
    for x in range(far, columns - far):
        total += abs(np.int32(other[x + shift]) - np.int32(one[x]))
    return total


@compiled
def _apart_or(one, other, shift, far, columns, most):
    """As `_apart` where that is below `most`; else a part of it that is not."""
    total, x = np.int32(0), far
    while x < columns - far and total < most:
        end = min(x + _PIECE, columns - far)
        for at in range(x, end):
            total += abs(np.int32(other[at + shift]) - np.int32(one[at]))
        x = end
    return total


@compiled
def _fit(one, other, far, columns, most):
    """The first shift at which the other row fits the one best, if it differs by less than `most` there; else 0."""
    best, least = 0, most
    for shift in range(-far, far + 1):
        apart = _apart_or(one, other, shift, far, columns, least)
        if apart < least:
            best, least = shift, apart
    return best


@compiled
def _is_displaced(rows, far, columns, from_above, from_below):
    """Whether the middle one of three rows is, which lies so far from the other two where it is."""
    # Only what fits that much better counts: what lies further apart need not be known.
    first = _fit(rows[0], rows[1], far, columns, 4 * from_above // QUARTERS + 1)
    if abs(first) < APART:
        return False
    second = _fit(rows[1], rows[2], far, columns, 4 * from_below // QUARTERS + 1)
    if abs(second) < APART or abs(first - second) < APART:
        return False
    across = _fit(rows[0], rows[2], far, columns, _NO_LIMIT)
    return across != 0 and abs(first + second - across) <= SLACK


@compiled
def _count(frame, like, out):
    width, height, pitch = frame[_WIDTH], frame[_HEIGHT], frame[_LUMA_PITCH]
    excess = frame[_SHIFT] + frame[_BIT_DEPTH] - 8
    k = _samples_to_column(width)
    columns = width // k
    if height < LEAST_ROWS or columns < LEAST_COLUMNS:
        return
    far = _reach(columns)
    rows = np.empty((3, columns), np.int16)
    for index in range(ROWS):
        at = frame[_LUMA] + _row_of(index, height) * pitch
        _read(at, excess, k, columns, like, rows[1])
        own = np.int32(0)
        for x in range(far, columns - far):
            own += abs(np.int32(rows[1, x]) - np.int32(rows[1, x - 2]))
        if own < DETAIL * k * (columns - 2 * far):
            continue
        out[1] += 1
        _read(at - pitch, excess, k, columns, like, rows[0])
        from_above = _apart(rows[0], rows[1], 0, far, columns)
        if from_above < own:
            continue
        _read(at + pitch, excess, k, columns, like, rows[2])
        from_below = _apart(rows[1], rows[2], 0, far, columns)
        if from_below >= own:
            out[0] += _is_displaced(rows, far, columns, from_above, from_below)


@compiled
def _count_row(frames_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    out = carray(samples_at(out_address + index * (4 * _N_COLUMNS), np.int32(0)), (_N_COLUMNS,))
    out[:] = 0
    if frame[_LUMA] == 0:
        return
    if frame[_BIT_DEPTH] == 8:
        _count(frame, np.uint8(0), out)
    else:
        _count(frame, np.uint16(0), out)


def jitter(frames: Tensor) -> Tensor:
    """CPU implementation of `avjury::jitter`; see kernels/jitter/op.py."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.int32)
    table, target = frames.data_ptr(), out.data_ptr()
    for_each_row(lambda row: _count_row(table, row, target), count)
    return out
