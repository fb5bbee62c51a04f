"""to_network on the CPU: numba, one core per piece, without the GIL, planes read in place."""

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.to_network.layout import (
    BLACK_TO_MIDDLE,
    CELLS,
    CHROMA_GAIN,
    CROP_FIELDS,
    FULL_CODES,
    INPUTS,
    LUMA_BITS,
    LUMA_GAIN,
    MIDDLE,
    OTHER_BITS,
    CropField,
)
from kernels.workers import for_each_row

_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_U, _V, _CHROMA_PITCH = int(Field.U_ADDRESS), int(Field.V_ADDRESS), int(Field.CHROMA_PITCH)
_CHROMA_STEP, _CHROMA_WIDTH = int(Field.CHROMA_STEP), int(Field.CHROMA_WIDTH)
_CHROMA_HEIGHT, _BIT_DEPTH = int(Field.CHROMA_HEIGHT), int(Field.BIT_DEPTH)
_WIDTH, _HEIGHT = int(Field.WIDTH), int(Field.HEIGHT)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_R_U, _R_V = int(ReferenceField.U_ADDRESS), int(ReferenceField.V_ADDRESS)
_R_CHROMA_PITCH = int(ReferenceField.CHROMA_PITCH)
_ROW, _TOP, _LEFT = int(CropField.ROW), int(CropField.TOP), int(CropField.LEFT)
_FULL_RANGE = int(CropField.FULL_RANGE)
_FULL_SCALE = np.float32(1 / FULL_CODES)


@compiled
def _limited(value, most):
    return min(max(value, -most), most)


@compiled
def _fill_luma(frame, reference, top, left, like, gain, offset, most, scale, power, change_power, out):
    """Channels 0 to 7."""
    height, width, shift = frame[_HEIGHT], frame[_WIDTH], frame[_SHIFT]
    earlier = reference[_R_LUMA]
    for i in range(2 * CELLS):
        y = min(top + i, height - 1)
        row = samples_at(frame[_LUMA] + y * frame[_LUMA_PITCH], like)
        before = samples_at(earlier + y * reference[_R_LUMA_PITCH], like)
        first = (i % 2) * 2
        for j in range(2 * CELLS):
            x = min(left + j, width - 1)
            code = np.int64(row[x] >> shift)
            cell = out[i // 2, j // 2]
            cell[first + j % 2] = np.float32(gain * code - offset) * scale * power
            if earlier != 0:
                change = gain * (code - np.int64(before[x] >> shift))
                cell[4 + first + j % 2] = np.float32(_limited(change, most)) * scale * change_power


@compiled
def _four(address, pitch, step, shift, y, y_next, x, x_next, like):
    """The sum of what applies to four luma samples."""
    upper, lower = samples_at(address + y * pitch, like), samples_at(address + y_next * pitch, like)
    return (
        np.int64(upper[x * step] >> shift) + np.int64(upper[x_next * step] >> shift)
        + np.int64(lower[x * step] >> shift) + np.int64(lower[x_next * step] >> shift)
    )  # fmt: skip


@compiled
def _fill_chroma(frame, reference, top, left, like, gain, middle, most, scale, power, out):
    """Channels 8 to 11."""
    height, width, shift, step = frame[_HEIGHT], frame[_WIDTH], frame[_SHIFT], frame[_CHROMA_STEP]
    rows, columns = frame[_CHROMA_HEIGHT], frame[_CHROMA_WIDTH]
    down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
    pitch, earlier_pitch = frame[_CHROMA_PITCH], reference[_R_CHROMA_PITCH]
    for i in range(CELLS):
        y = min(min(top + 2 * i, height - 1) // down, rows - 1)
        y_next = min(min(top + 2 * i + 1, height - 1) // down, rows - 1)
        for j in range(CELLS):
            x = min(min(left + 2 * j, width - 1) // across, columns - 1)
            x_next = min(min(left + 2 * j + 1, width - 1) // across, columns - 1)
            for k in range(2):
                own = frame[_U] if k == 0 else frame[_V]
                colour = _four(own, pitch, step, shift, y, y_next, x, x_next, like)
                out[i, j, 8 + k] = np.float32(gain * (colour - 4 * middle)) * scale * power
                if reference[_R_LUMA] != 0:
                    its = reference[_R_U] if k == 0 else reference[_R_V]
                    change = gain * (colour - _four(its, earlier_pitch, step, shift, y, y_next, x, x_next, like))
                    out[i, j, 10 + k] = np.float32(_limited(change, 4 * most)) * scale * power


@compiled
def _fill(frame, reference, crop, like, out):
    one = np.int64(1) << (frame[_BIT_DEPTH] - 8)
    full = crop[_FULL_RANGE] != 0
    luma_gain, chroma_gain = np.int64(1), np.int64(1)
    offset, most, scale = MIDDLE * one, MIDDLE * one, np.float32(1)
    if full:
        luma_gain, chroma_gain = np.int64(LUMA_GAIN), np.int64(CHROMA_GAIN)
        offset, most, scale = BLACK_TO_MIDDLE * FULL_CODES * one, most * FULL_CODES, _FULL_SCALE
    power = np.float32(1.0 / ((1 << LUMA_BITS) * one))  # powers of two: exact
    change_power = np.float32(1.0 / ((1 << OTHER_BITS) * one))
    chroma_power = np.float32(1.0 / ((1 << (OTHER_BITS + 2)) * one))
    top, left = crop[_TOP], crop[_LEFT]
    _fill_luma(frame, reference, top, left, like, luma_gain, offset, most, scale, power, change_power, out)
    if frame[_CHROMA_WIDTH] > 0:
        _fill_chroma(frame, reference, top, left, like, chroma_gain, MIDDLE * one, most, scale, chroma_power, out)


@compiled
def _fill_piece(frames_address, references_address, crops_address, index, out_address):
    crop = carray(samples_at(crops_address + index * (8 * CROP_FIELDS), np.int64(0)), (CROP_FIELDS,))
    piece = 4 * CELLS * CELLS * INPUTS
    out = carray(samples_at(out_address + index * piece, np.float32(0)), (CELLS, CELLS, INPUTS))
    out[:] = 0
    row = crop[_ROW]
    if row < 0:
        return
    frame = carray(samples_at(frames_address + row * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(samples_at(references_address + row * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,))
    if frame[_LUMA] == 0:
        return
    if frame[_BIT_DEPTH] == 8:
        _fill(frame, reference, crop, np.uint8(0), out)
    else:
        _fill(frame, reference, crop, np.uint16(0), out)


def to_network(frames: Tensor, references: Tensor, crops: Tensor, dtype: torch.dtype) -> Tensor:
    """The op's CPU implementation; see kernels/to_network/op.py. The tables are checked and contiguous."""
    count = crops.shape[0]
    out = torch.empty((count, CELLS, CELLS, INPUTS), dtype=torch.float32)
    tables = frames.data_ptr(), references.data_ptr(), crops.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda index: _fill_piece(*tables, index, target), count)
    return out.to(dtype).permute(0, 3, 1, 2)
