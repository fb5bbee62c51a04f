"""scaled_blocks on the CPU: numba, one core per picture, without the GIL, planes read in place.

As `torn_blocks`: of most borders two rows are read and no more, borders between columns are looked at only beside a
torn border between rows, and other grids only where this one has something.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import add_difference, samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.scaled_blocks.layout import (
    BLOCK,
    CHANGED,
    COLUMNS,
    PHASES,
    TORN,
    TORN_BEFORE,
    border,
    first_sample,
    is_looked_at,
)
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_OFF: Final = PHASES[1:]

_border, _first_sample, _is_looked_at = compiled(border), compiled(first_sample), compiled(is_looked_at)


@compiled
def _apart(a, b, step, other_step, count, excess, like):
    """Sum of |a - b| over so many samples that lie so many bytes apart, in 8-bit codes."""
    total = np.int32(0)
    if excess == 0:
        for i in range(count):
            first, second = samples_at(a + i * step, like)[0], samples_at(b + i * other_step, like)[0]
            total = add_difference(total, first, second)
    else:
        for i in range(count):
            first, second = samples_at(a + i * step, like)[0], samples_at(b + i * other_step, like)[0]
            total = add_difference(total, np.uint16(first >> excess), np.uint16(second >> excess))
    return total


@compiled
def _steps(behind, before, edges, columns, excess, like, apart, steps):
    """Into `steps`, for each block of a row: the step between the rows at `before` and `behind`.

    Blocks are too short, and of too many lengths, for the processor's wide instructions: those find |a - b| of a whole
    row first, a byte each, in `apart`.
    """
    first, second = samples_at(behind, like), samples_at(before, like)
    bytes_apart = samples_at(apart.ctypes.data, np.uint8(0))
    if excess == 0:
        for i in range(edges[0], edges[columns]):
            bytes_apart[i] = np.uint8(add_difference(np.int32(0), first[i], second[i]))
    else:
        for i in range(edges[0], edges[columns]):
            a, b = np.uint16(first[i] >> excess), np.uint16(second[i] >> excess)
            bytes_apart[i] = np.uint8(add_difference(np.int32(0), a, b))
    for column in range(columns):
        total = np.int32(0)
        for i in range(edges[column], edges[column + 1]):
            total = add_difference(total, bytes_apart[i], np.uint8(0))
        steps[column] = total


@compiled
def _torn(lines, luma, line, along, earlier, earlier_line, earlier_along, count, excess, like):
    """Whether a border is torn.

    Args:
        lines: the four around it.
        luma, earlier: address of the first sample of line 0, in both pictures.
        line, earlier_line: bytes from one line to the next.
        along, earlier_along: bytes from one sample of a line to the next.
        count: samples of the border.
    """
    two_before, before, behind, two_behind = lines
    a, b, c, d = luma + two_before * line, luma + before * line, luma + behind * line, luma + two_behind * line
    step = _apart(b, c, along, along, count, excess, like)
    step -= _apart(a, b, along, along, count, excess, like)
    if step < TORN * count:  # most of what is no border of a block
        return False
    step -= _apart(c, d, along, along, count, excess, like)
    if step < TORN * count:
        return False
    e, f = earlier + two_before * earlier_line, earlier + before * earlier_line
    g, h = earlier + behind * earlier_line, earlier + two_behind * earlier_line
    step = _apart(f, g, earlier_along, earlier_along, count, excess, like)
    step -= _apart(e, f, earlier_along, earlier_along, count, excess, like)
    step -= _apart(g, h, earlier_along, earlier_along, count, excess, like)
    if step >= TORN_BEFORE * count:
        return False
    change = _apart(b, f, along, earlier_along, count, excess, like)
    change += _apart(c, g, along, earlier_along, count, excess, like)
    return change >= 2 * CHANGED * count


@compiled
def _torn_of_grid(phase, coded_width, coded_height, luma, pitch, earlier, earlier_pitch, width, height, size, excess,
                  like):  # fmt: skip
    """Blocks with a torn corner, and with three or four torn borders."""
    rows, columns = (coded_height - phase) // BLOCK, (coded_width - phase) // BLOCK
    corners, sides = 0, 0
    if rows < 1 or columns < 1:
        return corners, sides
    upper, lower = np.zeros(columns, np.uint8), np.zeros(columns, np.uint8)
    steps, edges, apart = np.zeros(columns, np.int32), np.zeros(columns + 1, np.int32), np.empty(width, np.uint8)
    for column in range(columns + 1):
        edges[column] = _first_sample(phase + column * BLOCK, width, coded_width)
    torn_below = False
    for row in range(rows):
        upper, lower = lower, upper
        torn_above, torn_below = torn_below, False
        lower[:] = 0
        if row < rows - 1:  # the picture's border is none
            lines = _border(phase + (row + 1) * BLOCK, height, coded_height)
            behind, before = luma + lines[2] * pitch, luma + lines[1] * pitch
            _steps(behind, before, edges, columns, excess, like, apart, steps)
            for column in range(columns):
                x = edges[column]
                count = edges[column + 1] - x
                if steps[column] < TORN * count:
                    continue
                here, there = luma + x * size, earlier + x * size
                if _torn(lines, here, pitch, size, there, earlier_pitch, size, count, excess, like):
                    lower[column] = 1
                    torn_below = True
        if not (torn_above or torn_below):
            continue
        y = _first_sample(phase + row * BLOCK, height, coded_height)
        count = _first_sample(phase + (row + 1) * BLOCK, height, coded_height) - y
        for column in range(columns):
            down = upper[column] + lower[column]
            if not down:
                continue
            aside = 0
            for beside in (column, column + 1):
                if 0 < beside < columns:
                    aside += _torn(_border(phase + beside * BLOCK, width, coded_width), luma + y * pitch, size, pitch,
                                   earlier + y * earlier_pitch, size, earlier_pitch, count, excess, like)  # fmt: skip
            corners += aside > 0
            sides += down + aside >= 3
    return corners, sides


@compiled
def _measure(frame, reference, coded_width, coded_height, like, size, out):
    luma, pitch, earlier, earlier_pitch = frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH]
    width, height = frame[_WIDTH], frame[_HEIGHT]
    excess = frame[_SHIFT] + frame[_BIT_DEPTH] - 8
    corners, sides = _torn_of_grid(
        0, coded_width, coded_height, luma, pitch, earlier, earlier_pitch, width, height, size, excess, like
    )
    most_corners, most_sides = 0, 0
    if corners:
        for phase in _OFF:
            c, s = _torn_of_grid(
                phase, coded_width, coded_height, luma, pitch, earlier, earlier_pitch, width, height, size, excess, like
            )
            most_corners, most_sides = max(most_corners, c), max(most_sides, s)
    out[0], out[1], out[2], out[3] = corners, most_corners, sides, most_sides


@compiled
def measure_row(frames_address, references_address, coded_address, index, out_address, out_pitch):
    """One row; the tables, and where the first row of the results is, by their addresses."""
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    coded = carray(samples_at(coded_address + index * 16, np.int64(0)), (2,))
    out = carray(samples_at(out_address + index * out_pitch, np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    if frame[_LUMA] == 0 or reference[_R_LUMA] == 0:
        return
    if not (_is_looked_at(frame[_WIDTH], coded[0]) and _is_looked_at(frame[_HEIGHT], coded[1])):
        return
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, reference, coded[0], coded[1], np.uint8(0), 1, out)
    else:
        _measure(frame, reference, coded[0], coded[1], np.uint16(0), 2, out)


def scaled_blocks(frames: Tensor, references: Tensor, coded: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/scaled_blocks/op.py. The tables are checked and contiguous."""
    out = torch.empty((frames.shape[0], _N_COLUMNS), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr(), coded.data_ptr()
    for_each_row(lambda row: measure_row(*tables, row, out.data_ptr(), 8 * _N_COLUMNS), frames.shape[0])
    return out
