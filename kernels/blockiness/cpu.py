"""blockiness on the CPU: numba, one core per picture, without the GIL, planes read in place.

A picture is walked once, row by row; what is needed of the rows before is kept in rings that stay in the first-level
cache. A picture costs more than frame_stats does, nearly all of it the divisions of the quotients.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import add_bit, samples_at
from kernels.blockiness.columns import (
    COLUMNS,
    EDGE_STEP,
    GRID_MIN,
    LEAST_LINES,
    LONG_LINES,
    PERIOD_MAX,
    PERIOD_MIN,
    QUOTIENT_ONE,
    QUOTIENTS_PER_SUM,
    REGION_RANK,
    REGIONS,
    RUN,
)
from kernels.layout import FRAME_FIELDS, Field
from kernels.rows import compiled
from kernels.workers import for_each_row

_N_COLUMNS: Final = len(COLUMNS)
_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_LEAST_STEP: Final = EDGE_STEP * RUN


@compiled
def _top_bits(row, count, excess, eights):
    for i in range(count):
        eights[i] = np.uint8(row[i] >> excess)


@compiled
def _steps(a, b, count, steps):
    for i in range(count):
        steps[i] = np.uint8(max(a[i], b[i]) - min(a[i], b[i]))


@compiled
def _quotients(steps, count, sums):
    """sums[i] += the quotient of the step in the middle of the seven from i on."""
    for i in range(count):
        around = np.uint16(
            np.uint16(np.uint16(np.uint16(steps[i]) + np.uint16(steps[i + 1])) + np.uint16(steps[i + 2]))
            + np.uint16(np.uint16(np.uint16(steps[i + 4]) + np.uint16(steps[i + 5])) + np.uint16(steps[i + 6]))
        )
        scaled = np.float32(np.int32(np.int32(steps[i + 3]) * QUOTIENT_ONE))
        sums[i] = np.int32(sums[i] + np.int32(scaled / np.float32(np.int32(max(around, np.uint16(1))))))


@compiled
def _sum_of_quotients(middle, window, first, count):
    """Sum of so many of one line's quotients; `window` holds the sums of seven steps."""
    total = np.int32(0)
    for c in range(first, first + count):
        around = np.uint16(window[c] - np.uint16(middle[c]))
        scaled = np.float32(np.int32(np.int32(middle[c]) * QUOTIENT_ONE))
        total = np.int32(total + np.int32(scaled / np.float32(np.int32(max(around, np.uint16(1))))))
    return np.int64(total)


@compiled
def _enter(window, steps, count):
    for c in range(count):
        window[c] = np.uint16(window[c] + np.uint16(steps[c]))


@compiled
def _leave(window, steps, count):
    for c in range(count):
        window[c] = np.uint16(window[c] - np.uint16(steps[c]))


@compiled
def _add_row(row, count, sums):
    for i in range(count):
        sums[i] = np.uint16(sums[i] + np.uint16(row[i]))


@compiled
def _fours(row, count, sums):
    """Sums of four neighbours each."""
    for k in range(count):
        sums[k] = np.uint16(
            np.uint16(np.uint16(row[4 * k]) + np.uint16(row[4 * k + 1]))
            + np.uint16(np.uint16(row[4 * k + 2]) + np.uint16(row[4 * k + 3]))
        )


@compiled
def _wide_steps(a, b, count, steps):
    for i in range(count):
        steps[i] = np.uint16(max(a[i], b[i]) - min(a[i], b[i]))


@compiled
def _mark_edges(steps, count, found):
    """found[i] += 1 where the step in the middle of the seven from i on is an edge."""
    for i in range(count):
        around = np.uint16(
            np.uint16(np.uint16(steps[i] + steps[i + 1]) + steps[i + 2])
            + np.uint16(np.uint16(steps[i + 4] + steps[i + 5]) + steps[i + 6])
        )
        middle = steps[i + 3]
        found[i] = np.uint16(found[i] + np.uint16((middle >= around) & (middle >= np.uint16(_LEAST_STEP))))


@compiled
def _count_edges(middle, window, first, last):
    found = np.int32(0)
    for k in range(first, last):
        around = np.uint16(window[k] - middle[k])
        found = add_bit(found, (middle[k] >= around) & (middle[k] >= np.uint16(_LEAST_STEP)))
    return np.int64(found)


@compiled
def _wide_enter(window, steps, count):
    for c in range(count):
        window[c] = np.uint16(window[c] + steps[c])


@compiled
def _wide_leave(window, steps, count):
    for c in range(count):
        window[c] = np.uint16(window[c] - steps[c])


@compiled
def _first_run(band, runs):
    """The first run of a band: the smallest k with k * REGIONS // runs == band."""
    return (band * runs + REGIONS - 1) // REGIONS


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
def _share(counts, first, last, period, phase, whole):
    """Mean of the counts of lines on the grid less that of the others, over `whole`; 0 where there are not both.

    The LONG_LINES (two) largest counts on the grid do not count.
    """
    on, off = np.int64(0), np.int64(0)
    most, second = np.int64(0), np.int64(0)
    on_lines, off_lines = -LONG_LINES, 0
    for i in range(first, last):
        if i % period == phase:
            on += counts[i]
            second = max(second, min(most, counts[i]))
            most = max(most, counts[i])
            on_lines += 1
        else:
            off += counts[i]
            off_lines += 1
    if on_lines <= 0 or off_lines == 0 or whole == 0:
        return 0.0
    on -= most + second
    return np.float64(on * off_lines - off * on_lines) / np.float64(on_lines * off_lines * whole)


@compiled
def _find_grid(totals, length):
    """Period and phase of the grid whose lines have most above the others; period 0: there is none."""
    lines = max(length - 7, 0)
    everything = np.int64(0)
    for i in range(3, length - 4):
        everything += totals[i]
    best, best_period, best_phase = 0.0, 0, 0
    for period in range(GRID_MIN, PERIOD_MAX + 1):
        for phase in range(period):
            on, on_lines = np.int64(0), 0
            for i in range(phase if phase >= 3 else phase + (period if phase + period >= 3 else 2 * period),
                           length - 4, period):  # fmt: skip
                on += totals[i]
                on_lines += 1
            off_lines = lines - on_lines
            if on_lines >= LEAST_LINES and off_lines > 0:
                more = np.float64(on * off_lines - (everything - on) * on_lines) / np.float64(on_lines * off_lines)
                if more > best:
                    best, best_period, best_phase = more, period, phase
    return best_period, best_phase


@compiled
def _regional_shares(found, runs, length, shares):
    """shares[band, group] of one direction; `found`: (REGIONS, lines) edges, which are cut to half of the runs."""
    shares[:] = 0.0
    if length < 8:
        return
    totals = np.zeros(length, np.int64)
    for band in range(REGIONS):
        many = _first_run(band + 1, runs) - _first_run(band, runs)
        for i in range(3, length - 4):
            found[band, i] = min(2 * found[band, i], many)
            totals[i] += found[band, i]
    period, phase = _find_grid(totals, length)
    if period == 0:
        return
    for band in range(REGIONS):
        many = _first_run(band + 1, runs) - _first_run(band, runs)
        for group in range(REGIONS):
            first = max((group * (length - 1) + REGIONS - 1) // REGIONS, 3)
            last = min(((group + 1) * (length - 1) + REGIONS - 1) // REGIONS, length - 4)
            shares[band, group] = _share(found[band], first, last, period, phase, 2 * many)


@compiled
def _block_edges(across, down, width, height):
    """The region of REGION_RANK, by what it has in both directions."""
    columns, rows = np.empty((REGIONS, REGIONS)), np.empty((REGIONS, REGIONS))
    _regional_shares(across, height // RUN, width, columns)
    _regional_shares(down, width // RUN, height, rows)
    both = np.empty(REGIONS * REGIONS)
    for band in range(REGIONS):
        for group in range(REGIONS):
            both[band * REGIONS + group] = min(columns[band, group], rows[group, band])
    return max(0.0, np.sort(both)[REGIONS * REGIONS - REGION_RANK])


@compiled
def _flush(recent, count, profile):
    for i in range(count):
        profile[i + 3] += recent[i]
        recent[i] = 0


@compiled
def _measure(frame, like, eights, bytes_held, words_held, recent, found, across, down, edges_across, edges_down, out):
    """One picture. The arrays belong to the caller, because most are used through their addresses.

    Args:
        like: a 0 of the sample's type.
        eights: (2, width) uint8, the top 8 bits of even and odd rows where a sample has more.
        bytes_held: (9, width) uint8: steps along the row, and a ring of eight rows of steps to the next row.
        words_held: (14, width) uint16 zeros, as the rows below name them.
        recent: (width,) int32 zeros; found: (width,) uint16 zeros.
        across, down: (width,), (height,) int64 zeros: profiles of quotients.
        edges_across, edges_down: (REGIONS, width), (REGIONS, height) int64 zeros.
    """
    luma, pitch = frame[_LUMA], frame[_LUMA_PITCH]
    width, height = frame[_WIDTH], frame[_HEIGHT]
    excess = frame[_SHIFT] + frame[_BIT_DEPTH] - 8
    runs_across, runs_down = height // RUN, width // RUN
    held, line = np.int64(bytes_held.ctypes.data), np.int64(bytes_held.strides[0])
    wide, wide_line = np.int64(words_held.ctypes.data), np.int64(words_held.strides[0])
    top, top_line = np.int64(eights.ctypes.data), np.int64(eights.strides[0])
    along = samples_at(held, np.uint8(0))
    window = samples_at(wide, np.uint16(0))
    run_sums = samples_at(wide + wide_line, np.uint16(0))
    run_steps = samples_at(wide + 2 * wide_line, np.uint16(0))
    run_window = samples_at(wide + 3 * wide_line, np.uint16(0))
    fours = wide + 4 * wide_line  # of even and of odd rows
    wide_ring = wide + 6 * wide_line
    sums = samples_at(np.int64(recent.ctypes.data), np.int32(0))
    marks = samples_at(np.int64(found.ctypes.data), np.uint16(0))
    inner = max(width - 7, 0)
    pending = 0
    above = samples_at(luma, np.uint8(0))
    for y in range(height):
        at = luma + y * pitch
        if frame[_BIT_DEPTH] > 8:
            at = top + (y & 1) * top_line
            _top_bits(samples_at(luma + y * pitch, like), width, excess, samples_at(at, np.uint8(0)))
        row = samples_at(at, np.uint8(0))
        # Edges between columns: quotients of every row, and edges of every run of rows.
        if y > 0:  # FFmpeg keeps its sums in the first row
            _steps(row, samples_at(at + 1, np.uint8(0)), width - 1, along)
            _quotients(along, inner, sums)
            pending += 1
            if pending == QUOTIENTS_PER_SUM:
                _flush(sums, inner, across)
                pending = 0
        run = y // RUN
        if run < runs_across:
            _add_row(row, width, run_sums)
            if y % RUN == RUN - 1:
                _wide_steps(run_sums, samples_at(wide + wide_line + 2, np.uint16(0)), width - 1, run_steps)
                _mark_edges(run_steps, inner, marks)
                band = run * REGIONS // runs_across
                for i in range(width):
                    run_sums[i] = 0
                if run + 1 == runs_across or (run + 1) * REGIONS // runs_across != band:
                    for i in range(inner):
                        edges_across[band, i + 3] = marks[i]
                        marks[i] = 0
        # Edges between rows: line m is the step from row m to row m + 1, and is known three rows later.
        _fours(row, runs_down, samples_at(fours + (y & 1) * wide_line, np.uint16(0)))
        if y > 0:
            m = y - 1
            newest = samples_at(held + (1 + (m & 7)) * line, np.uint8(0))
            _steps(above, row, width, newest)
            _enter(window, newest, width)
            newest_run = samples_at(wide_ring + (m & 7) * wide_line, np.uint16(0))
            _wide_steps(
                samples_at(fours, np.uint16(0)), samples_at(fours + wide_line, np.uint16(0)), runs_down, newest_run
            )
            _wide_enter(run_window, newest_run, runs_down)
            if m >= 6:
                middle = samples_at(held + (1 + ((m - 3) & 7)) * line, np.uint8(0))
                total = np.int64(0)
                # Nor the first column.
                whole = (width - 1) // QUOTIENTS_PER_SUM
                for part in range(whole):
                    total += _sum_of_quotients(middle, window, 1 + part * QUOTIENTS_PER_SUM, QUOTIENTS_PER_SUM)
                rest = 1 + whole * QUOTIENTS_PER_SUM
                down[m - 3] = total + _sum_of_quotients(middle, window, rest, width - rest)
                middle_run = samples_at(wide_ring + ((m - 3) & 7) * wide_line, np.uint16(0))
                for band in range(REGIONS):
                    edges_down[band, m - 3] = _count_edges(
                        middle_run, run_window, _first_run(band, runs_down), _first_run(band + 1, runs_down)
                    )
                _leave(window, samples_at(held + (1 + ((m - 6) & 7)) * line, np.uint8(0)), width)
                _wide_leave(run_window, samples_at(wide_ring + ((m - 6) & 7) * wide_line, np.uint16(0)), runs_down)
        above = row
    _flush(sums, inner, across)
    out[0] = max(_strongest_period(across, width), _strongest_period(down, height))
    out[1] = _block_edges(edges_across, edges_down, width, height)


@compiled
def _measure_row(frames_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    out = carray(samples_at(out_address + index * (8 * _N_COLUMNS), np.float64(0)), (_N_COLUMNS,))
    out[:] = np.nan
    if frame[_LUMA] == 0:
        return
    width, height = frame[_WIDTH], frame[_HEIGHT]
    eights = np.empty((2, width), np.uint8)
    bytes_held, words_held = np.empty((9, width), np.uint8), np.zeros((14, width), np.uint16)
    recent, found = np.zeros(width, np.int32), np.zeros(width, np.uint16)
    across, down = np.zeros(width, np.int64), np.zeros(height, np.int64)
    edges_across, edges_down = np.zeros((REGIONS, width), np.int64), np.zeros((REGIONS, height), np.int64)
    arrays = (eights, bytes_held, words_held, recent, found, across, down, edges_across, edges_down)
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, np.uint8(0), *arrays, out)
    else:
        _measure(frame, np.uint16(0), *arrays, out)
    eights[0, 0] = bytes_held[0, 0] = words_held[0, 0] = recent[0] = found[0] = 0  # used through addresses: kept alive


def blockiness(frames: Tensor) -> Tensor:
    """CPU implementation of `avjury::blockiness`; see kernels/blockiness/op.py."""
    count = frames.shape[0]
    out = torch.empty((count, _N_COLUMNS), dtype=torch.float64)
    source, target = frames.data_ptr(), out.data_ptr()
    for_each_row(lambda row: _measure_row(source, row, target), count)
    return out
