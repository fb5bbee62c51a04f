"""siti on the CPU: numba, one core per picture, without the GIL, planes read in place, row by row."""

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.siti.deviation import columns
from kernels.siti.op import PARTS
from kernels.workers import for_each_row

_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)


@compiled
def _sums(luma, pitch, earlier, earlier_pitch, width, height, shift, like, out):
    squares, lengths, change_squares, changes = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for y in range(height):
        row = samples_at(luma + y * pitch, like)
        if earlier != 0:
            before = samples_at(earlier + y * earlier_pitch, like)
            for x in range(width):
                apart = np.int64(row[x] >> shift) - np.int64(before[x] >> shift)
                changes += apart
                change_squares += apart * apart
        if 0 < y < height - 1:
            above, below = samples_at(luma + (y - 1) * pitch, like), samples_at(luma + (y + 1) * pitch, like)
            for x in range(1, width - 1):
                a, b, c = np.int64(above[x - 1] >> shift), np.int64(above[x] >> shift), np.int64(above[x + 1] >> shift)
                d, e = np.int64(row[x - 1] >> shift), np.int64(row[x + 1] >> shift)
                f, g, h = np.int64(below[x - 1] >> shift), np.int64(below[x] >> shift), np.int64(below[x + 1] >> shift)
                down = f + 2 * g + h - a - 2 * b - c
                across = c + 2 * e + h - a - 2 * d - f
                square = down * down + across * across
                squares += square
                # Below 2**45: its square root in float64, rounded down, is exact.
                lengths += np.int64(np.sqrt(np.float64(square * (PARTS * PARTS))))
    out[0], out[1], out[2], out[3] = squares, lengths, change_squares, changes


@compiled
def _measure_row(frames_address, references_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * (8 * 4), np.int64(0)), (4,))
    if frame[_LUMA] == 0:
        out[:] = 0
        return
    planes = frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH]
    if frame[_BIT_DEPTH] == 8:
        _sums(*planes, frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT], np.uint8(0), out)
    else:
        _sums(*planes, frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT], np.uint16(0), out)


def siti(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/siti/op.py. The tables are checked and contiguous."""
    sums = torch.empty((frames.shape[0], 4), dtype=torch.int64)
    tables = frames.data_ptr(), references.data_ptr()
    target = sums.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), frames.shape[0])
    return columns(sums, frames, references)
