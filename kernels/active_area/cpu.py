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
# Rows of a column that are added up before it is asked whether that is enough.
_GROUP: Final = 16


@compiled
def _black_row(address, width, shift, limit, like):
    row = samples_at(address, like)
    total = np.int64(0)
    for x in range(width):
        total += row[x] >> shift
    return total < (limit + 1) * width


@compiled
def _black_column(luma, pitch, column, height, shift, limit, size, like):
    """Most are not, and the first part of one says so."""
    total, least = np.int64(0), (limit + 1) * height
    at = luma + column * size
    for first in range(0, height, _GROUP):
        for y in range(first, min(first + _GROUP, height)):
            total += samples_at(at + y * pitch, like)[0] >> shift
        if total >= least:
            return False
    return True


@compiled
def _add_row(address, width, shift, like, sums):
    row = samples_at(address, like)
    for x in range(width):
        sums[x] = np.uint32(sums[x] + np.uint32(row[x] >> shift))


@compiled
def _black_sides(luma, pitch, width, height, shift, limit, like):
    """How many columns are black from the left and from the right. Sums of 65,536 rows of 16 bits fit their words."""
    sums = np.zeros(width, np.uint32)
    for y in range(height):
        _add_row(luma + y * pitch, width, shift, like, sums)
    least = (limit + 1) * height
    left, right = 0, 0
    while left < width and np.int64(sums[left]) < least:
        left += 1
    while right < width and np.int64(sums[width - 1 - right]) < least:
        right += 1
    return left, right


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
    if _black_column(luma, pitch, 0, height, shift, limit, size, like) or _black_column(
        luma, pitch, width - 1, height, shift, limit, size, like
    ):
        left, right = _black_sides(luma, pitch, width, height, shift, limit, like)
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
