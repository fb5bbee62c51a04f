"""frame_stats on the CPU: numba, one core per picture, without the GIL, planes read in place.

A picture is walked row by row, so that each row is fetched once and then read from the first-level cache by a few
short loops, each of which LLVM turns into the narrowest vector code there is (measured: one loop with all the sums
is slower, because it runs at the width of its widest accumulator). Nothing is compiled on import.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import add_bit, add_difference, samples_at
from kernels.frame_stats.columns import COLUMNS
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import codes, compiled, sum_of_differences
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _U, _V = int(Field.LUMA_ADDRESS), int(Field.U_ADDRESS), int(Field.V_ADDRESS)
_LUMA_PITCH, _CHROMA_PITCH = int(Field.LUMA_PITCH), int(Field.CHROMA_PITCH)
_CHROMA_STEP, _WIDTH, _HEIGHT = int(Field.CHROMA_STEP), int(Field.WIDTH), int(Field.HEIGHT)
_CHROMA_WIDTH, _CHROMA_HEIGHT = int(Field.CHROMA_WIDTH), int(Field.CHROMA_HEIGHT)
_BIT_DEPTH, _SHIFT, _BLACK_LEVEL = int(Field.BIT_DEPTH), int(Field.SHIFT), int(Field.BLACK_LEVEL)
_R_LUMA, _R_U, _R_V = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.U_ADDRESS), int(ReferenceField.V_ADDRESS)
_R_LUMA_PITCH, _R_CHROMA_PITCH = int(ReferenceField.LUMA_PITCH), int(ReferenceField.CHROMA_PITCH)


@compiled
def _luma_sums(row, earlier, zeros, count):
    """Sums over a row of |code - earlier code|, of the codes, and of |code - code to the left|."""
    difference, total, gradient = np.int32(0), np.int32(0), np.int32(0)
    for i in range(count - 1):
        difference = add_difference(difference, row[i], earlier[i])
        total = add_difference(total, row[i], zeros[i])  # zeros from memory: for the same fast instruction
        gradient = add_difference(gradient, row[i], row[i + 1])
    difference = add_difference(difference, row[count - 1], earlier[count - 1])
    total = add_difference(total, row[count - 1], zeros[count - 1])
    return np.int64(difference), np.int64(total), np.int64(gradient)


@compiled
def _count_at_or_below(a, count, level):
    found = np.int32(0)
    for i in range(count):
        found = add_bit(found, a[i] <= level)
    return np.int64(found)


@compiled
def _range(a, count, low, high):
    for i in range(count):
        low = min(low, a[i])
        high = max(high, a[i])
    return low, high


@compiled
def _copy_plane(source, pitch, target, target_pitch, row_bytes, rows):
    for y in range(rows):
        a = samples_at(source + y * pitch, np.uint8(0))
        b = samples_at(target + y * target_pitch, np.uint8(0))
        for i in range(row_bytes):
            b[i] = a[i]


@compiled
def _plane_difference(first, pitch, second, second_pitch, count, rows, shift, buffer, buffer_bytes, like):
    total = np.int64(0)
    for y in range(rows):
        a = codes(first + y * pitch, count, shift, buffer, like)
        b = codes(second + y * second_pitch, count, shift, buffer + buffer_bytes, like)
        total += sum_of_differences(a, b, count)
    return total


@compiled
def _measure(frame, reference, retain, like, top, black_level, sample_bytes, code_rows, out):
    """One picture. `like` is a 0 of the sample's type, `top` its largest value; they choose the compiled variant.

    The scratch rows belong to the caller: numba frees an array after the last mention of it, and these are used through
    their address.
    """
    luma, pitch = frame[_LUMA], frame[_LUMA_PITCH]
    width, height, shift, depth = frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT], frame[_BIT_DEPTH]
    # Interleaved chroma is one plane of twice the width, whichever component comes first.
    interleaved = frame[_CHROMA_STEP] == 2
    chroma_width = frame[_CHROMA_WIDTH] * (2 if interleaved else 1)
    chroma_height = frame[_CHROMA_HEIGHT]
    compared = reference[_R_LUMA] != 0

    # Rows of shifted code values, the picture's and the reference's; and a row of zeros.
    buffer, buffer_bytes = np.int64(code_rows.ctypes.data), np.int64(code_rows.strides[0])
    code_rows[2, :] = 0
    zeros = samples_at(buffer + 2 * buffer_bytes, like)

    difference, total, black, gradient = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    low, high = top, like
    for y in range(height):
        row = codes(luma + y * pitch, width, shift, buffer, like)
        earlier = row
        if compared:
            at = reference[_R_LUMA] + y * reference[_R_LUMA_PITCH]
            earlier = codes(at, width, shift, buffer + buffer_bytes, like)
        row_difference, row_total, row_gradient = _luma_sums(row, earlier, zeros, width)
        difference += row_difference
        total += row_total
        gradient += row_gradient
        black += _count_at_or_below(row, width, black_level)
        low, high = _range(row, width, low, high)
    if retain[_R_LUMA] != 0:
        _copy_plane(luma, pitch, retain[_R_LUMA], retain[_R_LUMA_PITCH], width * sample_bytes, height)

    chroma_difference = np.int64(0)
    u, v = frame[_U], frame[_V]
    earlier_u, earlier_v = reference[_R_U], reference[_R_V]
    kept_u, kept_v = retain[_R_U], retain[_R_V]
    if interleaved:
        u, earlier_u, kept_u = min(u, v), min(earlier_u, earlier_v), min(kept_u, kept_v)
    if chroma_width > 0:
        pitch = frame[_CHROMA_PITCH]
        for component in range(1 if interleaved else 2):
            if component == 1:
                u, earlier_u, kept_u = v, earlier_v, kept_v
            if compared:
                chroma_difference += _plane_difference(
                    u, pitch, earlier_u, reference[_R_CHROMA_PITCH], chroma_width, chroma_height, shift,
                    buffer, buffer_bytes, like,
                )  # fmt: skip
            if retain[_R_LUMA] != 0:
                _copy_plane(u, pitch, kept_u, retain[_R_CHROMA_PITCH], chroma_width * sample_bytes, chroma_height)

    one = np.float64(1 << depth)
    pixels = np.float64(width * height)
    samples = pixels + np.float64(chroma_height * frame[_CHROMA_WIDTH] * 2)
    if compared:
        out[0] = np.float64(difference + chroma_difference) / (samples * one)
        out[1] = np.float64(difference) / (pixels * one)
    else:
        out[0] = np.nan
        out[1] = np.nan
    out[2] = np.float64(black) / pixels
    out[3] = np.float64(total) / (pixels * one)
    out[4] = np.float64(low) / one
    out[5] = np.float64(high) / one
    out[6] = np.float64(gradient) / (np.float64(max((width - 1) * height, 1)) * one)


@compiled
def measure_row(frames_address, references_address, retain_address, index, out_address, out_pitch):
    """One row; the tables, and where the first row of the results is, by their addresses."""
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    retain = carray(samples_at(retain_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,))
    out = carray(samples_at(out_address + index * out_pitch, np.float64(0)), (_N_COLUMNS,))
    if frame[_LUMA] == 0:
        out[:] = np.nan
        return
    width, level = frame[_WIDTH], frame[_BLACK_LEVEL]
    code_rows = np.empty((3, max(width, frame[_CHROMA_WIDTH] * frame[_CHROMA_STEP])), np.uint16)
    if frame[_BIT_DEPTH] == 8:
        level = min(level, 255)
        _measure(frame, reference, retain, np.uint8(0), np.uint8(255), np.uint8(level), 1, code_rows, out)
    else:
        level = min(level, 65535)
        _measure(frame, reference, retain, np.uint16(0), np.uint16(65535), np.uint16(level), 2, code_rows, out)


def frame_stats(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/frame_stats/op.py. The tables are checked and contiguous."""
    out = torch.empty((frames.shape[0], _N_COLUMNS), dtype=torch.float64)
    frame_stats_into(frames, references, retain, out.data_ptr(), 8 * _N_COLUMNS)
    return out


def frame_stats_into(frames: Tensor, references: Tensor, retain: Tensor, address: int, pitch: int) -> None:
    """As `frame_stats`, with the rows written to float64 memory of the caller's, `pitch` bytes apart."""
    count = frames.shape[0]
    tables = frames.data_ptr(), references.data_ptr(), retain.data_ptr()
    for_each_row(lambda row: measure_row(*tables, row, address, pitch), count)
