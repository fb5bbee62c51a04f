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

from kernels.addresses import add_bit, add_difference, samples_at, store_16_differences
from kernels.frame_stats.columns import COLUMNS, PERIOD_MAX, PERIOD_MIN, QUOTIENT_ONE, STRIP_WIDTH, row_step, strip_step
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

_row_step = compiled(row_step)
_strip_step = compiled(strip_step)


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
def _top_bits(row, count, extra_bits, eights):
    for i in range(count):
        eights[i] = np.uint8(row[i] >> extra_bits)


@compiled
def _across(row, width, steps, profile):
    """Add the blocking quotients of one 8-bit row: profile[i] belongs to the edge between columns i and i + 1."""
    for i in range(width - 1):
        steps[i] = np.uint8(max(row[i], row[i + 1]) - min(row[i], row[i + 1]))
    for i in range(width - 7):  # of the seven steps from i on, the one in the middle
        around = np.uint16(
            np.uint16(np.uint16(steps[i]) + np.uint16(steps[i + 1]) + np.uint16(steps[i + 2]))
            + np.uint16(np.uint16(steps[i + 4]) + np.uint16(steps[i + 5]) + np.uint16(steps[i + 6]))
        )
        scaled = np.float32(np.int32(np.int32(steps[i + 3]) * QUOTIENT_ONE))
        quotient = np.int32(scaled / np.float32(np.int32(max(around, np.uint16(1)))))
        profile[i + 3] = np.int32(profile[i + 3] + quotient)


@compiled
def _strip_steps(row, below, width, distance, steps):
    """steps[c] = |row - below| for the sampled columns of two 8-bit rows, packed; returns how many there are."""
    if distance == 1:
        for k in range(1, width):
            steps[k - 1] = np.uint8(max(row[k], below[k]) - min(row[k], below[k]))
        return width - 1
    c = 0
    for x in range(distance // 2 * STRIP_WIDTH, width - STRIP_WIDTH + 1, distance * STRIP_WIDTH):
        store_16_differences(steps, c, row, below, x)
        c += STRIP_WIDTH
    return c


@compiled
def _down(newest, middle, oldest, window, count):
    """Sum of one row's blocking quotients; `window` holds the sums of seven steps and leaves the oldest."""
    total = np.int32(0)
    for c in range(count):
        all_seven = np.uint16(window[c] + np.uint16(newest[c]))
        around = np.uint16(all_seven - np.uint16(middle[c]))
        scaled = np.float32(np.int32(np.int32(middle[c]) * QUOTIENT_ONE))
        total = np.int32(total + np.int32(scaled / np.float32(np.int32(max(around, np.uint16(1))))))
        window[c] = np.uint16(all_seven - np.uint16(oldest[c]))
    return total


@compiled
def _strongest_period(profile, length):
    """The largest mean over a grid's lines over the mean of all other lines, over all periods."""
    strongest = 0.0
    lines = max(length - 7, 0)
    everything = np.int64(0)
    for i in range(3, length - 4):
        everything += profile[i]
    for period in range(PERIOD_MIN, PERIOD_MAX + 1):
        on, off = np.int64(0), everything
        on_lines = 0
        for i in range(3 // period * period + period - 1, length - 4, period):
            # Neighbours too, as for grids that scaling has moved by a fraction of a sample.
            on += max(profile[i - 1], profile[i], profile[i + 1])
            off -= profile[i]
            on_lines += 1
        if on_lines > 0 and off > 0:
            off_lines = lines - on_lines
            strongest = max(strongest, (np.float64(on) * off_lines) / (np.float64(off) * on_lines))
    return strongest


@compiled
def _plane_difference(first, pitch, second, second_pitch, count, rows, shift, buffer, buffer_bytes, like):
    total = np.int64(0)
    for y in range(rows):
        a = codes(first + y * pitch, count, shift, buffer, like)
        b = codes(second + y * second_pitch, count, shift, buffer + buffer_bytes, like)
        total += sum_of_differences(a, b, count)
    return total


@compiled
def _measure(frame, reference, retain, like, top, black_level, sample_bytes, scratch, out):
    """One picture. `like` is a 0 of the sample's type, `top` its largest value; they choose the compiled variant.

    The scratch arrays belong to the caller: numba frees an array after the last mention of it, and these are used
    through their addresses.
    """
    across, down, windows, byte_rows, code_rows = scratch
    luma, pitch = frame[_LUMA], frame[_LUMA_PITCH]
    width, height, shift, depth = frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT], frame[_BIT_DEPTH]
    # Interleaved chroma is one plane of twice the width, whichever component comes first.
    interleaved = frame[_CHROMA_STEP] == 2
    chroma_width = frame[_CHROMA_WIDTH] * (2 if interleaved else 1)
    chroma_height = frame[_CHROMA_HEIGHT]
    compared = reference[_R_LUMA] != 0
    row_distance = _row_step(height)
    strip_distance = _strip_step(width)

    held = np.int64(byte_rows.ctypes.data)
    steps = samples_at(held, np.uint8(0))
    eights = held + width  # the top 8 bits of even and of odd rows, where a sample has more
    ring = held + 3 * width  # the last eight rows of steps from row to row
    window = samples_at(np.int64(windows.ctypes.data), np.uint16(0))
    across_sums = samples_at(np.int64(across.ctypes.data), np.int32(0))
    # Rows of shifted code values: even rows, odd rows, the reference's; and a row of zeros.
    buffer, buffer_bytes = np.int64(code_rows.ctypes.data), np.int64(code_rows.strides[0])
    code_rows[3, :] = 0
    zeros = samples_at(buffer + 3 * buffer_bytes, like)

    difference, total, black, gradient = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    low, high = top, like
    above = samples_at(luma, np.uint8(0))
    next_sampled = row_distance // 2 + 1
    for y in range(height):
        row = codes(luma + y * pitch, width, shift, buffer + (y & 1) * buffer_bytes, like)
        earlier = row
        if compared:
            at = reference[_R_LUMA] + y * reference[_R_LUMA_PITCH]
            earlier = codes(at, width, shift, buffer + 2 * buffer_bytes, like)
        row_difference, row_total, row_gradient = _luma_sums(row, earlier, zeros, width)
        difference += row_difference
        total += row_total
        gradient += row_gradient
        black += _count_at_or_below(row, width, black_level)
        low, high = _range(row, width, low, high)
        eight_at = luma + y * pitch
        if sample_bytes == 2:
            eight_at = eights + (y & 1) * width
            _top_bits(row, width, depth - 8, samples_at(eight_at, np.uint8(0)))
        eight = samples_at(eight_at, np.uint8(0))
        if y == next_sampled:
            _across(eight, width, steps, across_sums)
            next_sampled += row_distance
        if y > 0:
            m = y - 1  # the step between rows m and m + 1
            newest = samples_at(ring + (m & 7) * width, np.uint8(0))
            count = _strip_steps(above, eight, width, strip_distance, newest)
            if m < 6:
                for c in range(count):
                    window[c] = np.uint16(window[c] + newest[c])
            else:
                middle = samples_at(ring + ((m - 3) & 7) * width, np.uint8(0))
                oldest = samples_at(ring + ((m - 6) & 7) * width, np.uint8(0))
                down[m - 3] = _down(newest, middle, oldest, window, count)
        above = eight
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
    out[7] = max(_strongest_period(across, width), _strongest_period(down, height))


@compiled
def _measure_row(frames_address, references_address, retain_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    retain = carray(samples_at(retain_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,))
    out = carray(samples_at(out_address + index * (8 * _N_COLUMNS), np.float64(0)), (_N_COLUMNS,))
    if frame[_LUMA] == 0:
        out[:] = np.nan
        return
    width, level = frame[_WIDTH], frame[_BLACK_LEVEL]
    scratch = (
        np.zeros(width, np.int32),
        np.zeros(frame[_HEIGHT], np.int32),
        np.zeros(width, np.uint16),
        np.empty((11, width), np.uint8),
        np.empty((4, max(width, frame[_CHROMA_WIDTH] * frame[_CHROMA_STEP])), np.uint16),
    )
    if frame[_BIT_DEPTH] == 8:
        level = min(level, 255)
        _measure(frame, reference, retain, np.uint8(0), np.uint8(255), np.uint8(level), 1, scratch, out)
    else:
        level = min(level, 65535)
        _measure(frame, reference, retain, np.uint16(0), np.uint16(65535), np.uint16(level), 2, scratch, out)


def frame_stats(frames: Tensor, references: Tensor, retain: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/frame_stats/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr(), retain.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), count)
    return out
