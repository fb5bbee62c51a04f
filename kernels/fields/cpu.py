"""fields on the CPU: numba, one core per picture, without the GIL, planes read in place."""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.fields.layout import COLUMNS, MARGIN, pair_step, pairs
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_pairs, _pair_step = compiled(pairs), compiled(pair_step)


@compiled
def _between(middle, above, below, width, shift):
    """Sum of |2 m - a - b| over a line; 32,768 samples of 16 bits fit 33 bits, so by parts of 8,192."""
    total = np.int64(0)
    for first in range(0, width, 8192):
        part = np.int32(0)
        for i in range(first, min(first + 8192, width)):
            two = np.int32(np.int32(middle[i] >> shift) << np.int32(1))
            part += abs(np.int32(np.int32(two - np.int32(above[i] >> shift)) - np.int32(below[i] >> shift)))
        total += np.int64(part)
    return total


@compiled
def _measure(frame, reference, like, shift, out):
    now, pitch = frame[_LUMA], frame[_LUMA_PITCH]
    then, then_pitch = reference[_R_LUMA], reference[_R_LUMA_PITCH]
    width, height = frame[_WIDTH], frame[_HEIGHT]
    sums = np.zeros(_N_COLUMNS, np.int64)
    count = np.int64(0)
    step = _pair_step(height)
    for pair in range(step // 2, _pairs(height), step):
        count += 1
        for field in range(2):
            y = MARGIN + 2 * pair + field
            this, earlier = samples_at(now + y * pitch, like), samples_at(then + y * then_pitch, like)
            above, below = samples_at(now + (y - 1) * pitch, like), samples_at(now + (y + 1) * pitch, like)
            sums[field] += _between(earlier, above, below, width, shift)
            sums[4] += _between(this, above, below, width, shift)
            above = samples_at(then + (y - 1) * then_pitch, like)
            below = samples_at(then + (y + 1) * then_pitch, like)
            sums[2 + field] += _between(this, above, below, width, shift)
    many = np.float64((2 * count * width) << (frame[_BIT_DEPTH] - 8))
    for column in range(4):
        out[column] = np.float64(sums[column]) / many
    out[4] = np.float64(sums[4]) / (2.0 * many)


@compiled
def _measure_row(frames_address, references_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * (8 * _N_COLUMNS), np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    if frame[_LUMA] == 0 or reference[_R_LUMA] == 0 or _pairs(frame[_HEIGHT]) == 0:
        return
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, reference, np.uint8(0), np.uint8(0), out)
    else:
        _measure(frame, reference, np.uint16(0), np.uint16(frame[_SHIFT]), out)


def fields(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/fields/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), count)
    return out
