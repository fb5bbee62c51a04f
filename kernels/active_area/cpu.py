"""active_area on the CPU: numba; from each side inwards, up to the first line that is not black."""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.active_area.op import COLUMNS, LIMIT
from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, Field
from kernels.rows import compiled
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_LIMIT: Final = LIMIT
# Columns are summed so many at a time: a row's next samples come with its first.
_GROUP: Final = 16


@compiled
def _black_row(address, width, shift, limit, like):
    row = samples_at(address, like)
    total = np.int64(0)
    for x in range(width):
        total += row[x] >> shift
    return total < (limit + 1) * width


@compiled
def _black_columns(luma, pitch, first, count, height, shift, limit, size, from_right, like):
    """How many of a group's columns are black, from its outer side up to the first that is not."""
    sums = np.zeros(_GROUP, np.int64)
    for y in range(height):
        row = samples_at(luma + y * pitch + first * size, like)
        for x in range(count):
            sums[x] += row[x] >> shift
    for k in range(count):
        if sums[count - 1 - k if from_right else k] >= (limit + 1) * height:
            return k
    return count


@compiled
def _measure(frame, like, size, out):
    luma, pitch, shift = frame[_LUMA], frame[_LUMA_PITCH], frame[_SHIFT]
    width, height = frame[_WIDTH], frame[_HEIGHT]
    limit = np.int64(_LIMIT) << (frame[_BIT_DEPTH] - 8)
    top = 0
    while top < height and _black_row(luma + top * pitch, width, shift, limit, like):
        top += 1
    bottom = 0
    while bottom < height and _black_row(luma + (height - 1 - bottom) * pitch, width, shift, limit, like):
        bottom += 1
    left, right = 0, 0
    while left < width:
        count = min(_GROUP, width - left)
        black = _black_columns(luma, pitch, left, count, height, shift, limit, size, False, like)
        left += black
        if black < count:
            break
    while right < width:
        count = min(_GROUP, width - right)
        black = _black_columns(luma, pitch, width - right - count, count, height, shift, limit, size, True, like)
        right += black
        if black < count:
            break
    out[0], out[1] = top / height, bottom / height
    out[2], out[3] = left / width, right / width


@compiled
def _measure_row(frames_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    out = carray(samples_at(out_address + index * (8 * _N_COLUMNS), np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    if frame[_LUMA] == 0:
        return
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, np.uint8(0), 1, out)
    else:
        _measure(frame, np.uint16(0), 2, out)


def active_area(frames: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/active_area/op.py."""
    table = frames if frames.is_contiguous() else frames.contiguous()  # a table of addresses, not pixels
    out = torch.empty((table.shape[0], _N_COLUMNS), dtype=torch.float64)
    source, target = table.data_ptr(), out.data_ptr()
    for_each_row(lambda row: _measure_row(source, row, target), table.shape[0])
    return out
