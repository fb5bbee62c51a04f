"""torn_blocks on the CPU: numba, one core per picture, without the GIL, planes read in place.

Of most borders two rows are read and no more: where the step across is small nothing is torn. Borders between columns
are looked at only beside a torn border between rows, and other grids only where this one has something.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import add_difference, samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import compiled
from kernels.torn_blocks.layout import (
    BLOCK,
    CHANGED,
    COLUMNS,
    PHASES,
    TORN,
    TORN_BEFORE,
    WOVEN,
    WOVEN_BY_CHANCE,
    woven_borders,
    woven_step,
)
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)
_OFF: Final = PHASES[1:]

_woven_step, _woven_borders = compiled(woven_step), compiled(woven_borders)


@compiled
def _apart(a, b, excess, like):
    """Sum of |a - b| over 16 samples of a row each, in 8-bit codes."""
    first, second = samples_at(a, like), samples_at(b, like)
    total = np.int32(0)
    if excess == 0:
        for i in range(BLOCK):
            total = add_difference(total, first[i], second[i])
    else:
        for i in range(BLOCK):
            total = add_difference(total, np.uint16(first[i] >> excess), np.uint16(second[i] >> excess))
    return total


@compiled
def _column_apart(a, b, pitch, other_pitch, excess, like):
    """The same of 16 samples of a column each."""
    total = np.int32(0)
    for i in range(BLOCK):
        first, second = samples_at(a + i * pitch, like)[0], samples_at(b + i * other_pitch, like)[0]
        total = add_difference(total, np.uint16(first >> excess), np.uint16(second >> excess))
    return total


@compiled
def _steps(here, pitch, edges, columns, excess, like, steps):
    """Into `steps`, for each block of a row: the step between the row at `here` and the one above it.

    Where a block begins is read from `edges`, though all are equally long: where LLVM knows how long, it unrolls the
    inner loop, and gathers samples one by one on some processors, at a third of the speed.
    """
    first, second = samples_at(here, like), samples_at(here - pitch, like)
    if excess == 0:
        for column in range(columns):
            total = np.int32(0)
            for i in range(edges[column], edges[column + 1]):
                total = add_difference(total, first[i], second[i])
            steps[column] = total
    else:
        for column in range(columns):
            total = np.int32(0)
            for i in range(edges[column], edges[column + 1]):
                a, b = first[i] >> excess, second[i] >> excess
                total = add_difference(total, np.uint16(a), np.uint16(b))
            steps[column] = total


@compiled
def _torn_above(step, here, pitch, there, earlier_pitch, excess, like):
    """Whether the border between the row at `here` and the one above it is torn, over 16 samples that step so much."""
    least = np.int32(TORN * BLOCK)
    step -= _apart(here - pitch, here - 2 * pitch, excess, like)
    step -= _apart(here + pitch, here, excess, like)
    if step < least:
        return False
    before = _apart(there, there - earlier_pitch, excess, like)
    before -= _apart(there - earlier_pitch, there - 2 * earlier_pitch, excess, like)
    before -= _apart(there + earlier_pitch, there, excess, like)
    if before >= TORN_BEFORE * BLOCK:
        return False
    change = _apart(here, there, excess, like) + _apart(here - pitch, there - earlier_pitch, excess, like)
    return change >= 2 * CHANGED * BLOCK


@compiled
def _is_woven(step, here, pitch, excess, like):
    """Whether rows of two moments meet between the row at `here` and the one above it, over 16 samples that step so."""
    step -= _apart(here, here - 2 * pitch, excess, like)
    return step >= _apart(here + pitch, here - pitch, excess, like)


@compiled
def _torn_left(here, pitch, there, earlier_pitch, size, excess, like):
    """Whether the border between the column at `here` and the one to its left is torn, over 16 samples."""
    step = _column_apart(here, here - size, pitch, pitch, excess, like)
    step -= _column_apart(here - size, here - 2 * size, pitch, pitch, excess, like)
    step -= _column_apart(here + size, here, pitch, pitch, excess, like)
    if step < TORN * BLOCK:
        return False
    before = _column_apart(there, there - size, earlier_pitch, earlier_pitch, excess, like)
    before -= _column_apart(there - size, there - 2 * size, earlier_pitch, earlier_pitch, excess, like)
    before -= _column_apart(there + size, there, earlier_pitch, earlier_pitch, excess, like)
    if before >= TORN_BEFORE * BLOCK:
        return False
    change = _column_apart(here, there, pitch, earlier_pitch, excess, like)
    change += _column_apart(here - size, there - size, pitch, earlier_pitch, excess, like)
    return change >= 2 * CHANGED * BLOCK


@compiled
def _torn_of_grid(phase, luma, pitch, earlier, earlier_pitch, width, height, size, excess, like):
    """Blocks with a torn corner, and with three or four torn borders; and of phase 0 the borders that are woven."""
    rows, columns = (height - phase) // BLOCK, (width - phase) // BLOCK
    corners, sides, woven = 0, 0, 0
    if rows < 1 or columns < 1:
        return corners, sides, woven
    upper, lower = np.zeros(columns, np.uint8), np.zeros(columns, np.uint8)
    steps, edges = np.zeros(columns, np.int32), np.zeros(columns + 1, np.int32)
    for column in range(columns + 1):
        edges[column] = column * BLOCK
    woven_rows = _woven_step(rows)
    torn_below = False
    for row in range(rows):
        y = phase + row * BLOCK
        upper, lower = lower, upper
        torn_above, torn_below = torn_below, False
        lower[:] = 0
        if row < rows - 1:  # the picture's border is none
            _steps(luma + (y + BLOCK) * pitch + phase * size, pitch, edges, columns, excess, like, steps)
            looks = phase == 0 and row % woven_rows == 0
            least = np.int32((min(TORN, WOVEN) if looks else TORN) * BLOCK)
            for column in range(columns):
                step = steps[column]
                if step < least:
                    continue
                x = (phase + column * BLOCK) * size
                here = luma + (y + BLOCK) * pitch + x
                if looks and step >= WOVEN * BLOCK:
                    woven += _is_woven(step, here, pitch, excess, like)
                if step >= TORN * BLOCK:
                    there = earlier + (y + BLOCK) * earlier_pitch + x
                    if _torn_above(step, here, pitch, there, earlier_pitch, excess, like):
                        lower[column] = 1
                        torn_below = True
        if not (torn_above or torn_below):
            continue
        for column in range(columns):
            down = upper[column] + lower[column]
            if not down:
                continue
            aside = 0
            for border in (column, column + 1):
                if 0 < border < columns:
                    x = (phase + border * BLOCK) * size
                    aside += _torn_left(
                        luma + y * pitch + x, pitch, earlier + y * earlier_pitch + x, earlier_pitch, size, excess, like
                    )
            corners += aside > 0
            sides += down + aside >= 3
    return corners, sides, woven


@compiled
def _measure(frame, reference, like, size, out):
    luma, pitch, earlier, earlier_pitch = frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH]
    width, height = frame[_WIDTH], frame[_HEIGHT]
    excess = frame[_SHIFT] + frame[_BIT_DEPTH] - 8
    corners, sides, woven = _torn_of_grid(0, luma, pitch, earlier, earlier_pitch, width, height, size, excess, like)
    most_corners, most_sides = 0, 0
    if corners:
        for phase in _OFF:
            c, s, _ = _torn_of_grid(phase, luma, pitch, earlier, earlier_pitch, width, height, size, excess, like)
            most_corners, most_sides = max(most_corners, c), max(most_sides, s)
    out[0], out[1], out[2], out[3] = corners, most_corners, sides, most_sides
    borders = max(_woven_borders(height // BLOCK, width // BLOCK), 1)
    out[4] = np.float64(max(woven - WOVEN_BY_CHANCE, 0)) / np.float64(borders)


@compiled
def measure_row(frames_address, references_address, index, out_address, out_pitch):
    """One row; the tables, and where the first row of the results is, by their addresses."""
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * out_pitch, np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    if frame[_LUMA] == 0 or reference[_R_LUMA] == 0:
        return
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, reference, np.uint8(0), 1, out)
    else:
        _measure(frame, reference, np.uint16(0), 2, out)


def torn_blocks(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/torn_blocks/op.py. The tables are checked and contiguous."""
    out = torch.empty((frames.shape[0], _N_COLUMNS), dtype=torch.float64)
    torn_blocks_into(frames, references, out.data_ptr(), 8 * _N_COLUMNS)
    return out


def torn_blocks_into(frames: Tensor, references: Tensor, address: int, pitch: int) -> None:
    """As `torn_blocks`, with the rows written to float64 memory of the caller's, `pitch` bytes apart."""
    count = frames.shape[0]
    tables = frames.data_ptr(), references.data_ptr()
    for_each_row(lambda row: measure_row(*tables, row, address, pitch), count)
