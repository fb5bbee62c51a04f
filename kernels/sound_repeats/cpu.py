"""`sound_repeats` on the CPU: a row at a time, without the GIL."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from torch import Tensor

from kernels.sound_repeats import layout as at
from kernels.sound_repeats.layout import (
    BLOCK,
    COARSE,
    COARSE_ALIKE,
    COARSE_MOST,
    COARSE_POINTS,
    COARSE_RING,
    CONTRAST,
    FEW_LINES,
    FINE_LAST,
    FINE_NEAREST,
    FLOOR,
    LONG_BLOCKS,
    LONG_CONTRAST,
    LONG_LINES,
    LONG_MOST,
    LONG_MOST_OF_FEW,
    LONGEST,
    MOST,
    NEAREST,
    PARTS,
    POINTS,
    QUIET_BLOCKS,
    REACH,
    RING,
    RING_BLOCKS,
    SAMPLE_LIMIT,
    SHORTEST,
    STEP,
    SURELY,
)

_LIMIT = np.float32(SAMPLE_LIMIT)
_PAST, _COARSE_PAST = RING - POINTS, COARSE_RING - COARSE_POINTS
_COUNT, _PERIOD, _COARSE_PERIOD, _RUN, _CONTRAST, _CONTRASTS, _QUIET, _LIKENESS, _LINES, _OFF = (
    int(s) for s in at.Scalar
)

_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"}
)


@_jit
def _add_points(samples, row, count, mean, points, coarse):
    """The mean of a row's channels, six samples a point and 24 a coarse one."""
    mean[:] = 0.0
    for channel in range(count):
        x = samples[row, channel]
        for i in range(BLOCK):
            value = x[i]
            value = np.float32(0) if value != value else value
            mean[i] += min(max(value, -_LIMIT), _LIMIT)
    share = 1.0 / (count * STEP)
    for k in range(POINTS):
        total = 0.0
        for i in range(STEP):
            total += mean[k * STEP + i]
        points[k] = total * share
    for k in range(COARSE_POINTS):
        total = 0.0
        for i in range(COARSE):
            total += np.float64(points[k * COARSE + i])
        coarse[k] = total / COARSE


@_jit
def _in_order(ring, newest, points, line):
    """The blocks of a ring one after the other, that with number `newest` last."""
    for k in range(RING_BLOCKS):
        block = (newest + 1 + k) % RING_BLOCKS
        line[k * points : (k + 1) * points] = ring[block * points : (block + 1) * points]


@_jit
def _product(x, y):
    total = np.float32(0)
    for i in range(COARSE_POINTS):
        total += x[i] * y[i]
    return total


@_jit
def _differences(line, first, last, found):
    """How the last block differs from what was each of the coarse periods from `first` to `last` before it."""
    now = line[_COARSE_PAST:]
    power = before = 0.0
    for i in range(COARSE_POINTS):
        power += np.float64(now[i]) * now[i]
        one = np.float64(line[_COARSE_PAST - first + i])
        before += one * one
    for period in range(first, last + 1):
        begin = _COARSE_PAST - period
        if period > first:
            new, old = np.float64(line[begin]), np.float64(line[begin + COARSE_POINTS])
            before += new * new - old * old
        both = power + before
        product = np.float64(_product(now, line[begin : begin + COARSE_POINTS]))
        found[period] = (both - 2.0 * product) / both if both > 0.0 else 1.0


@_jit
def _between(line, period):
    """How the last block differs from what was between `period` and one point more before it, and their mean power."""
    now, one, other = line[_PAST:], line[_PAST - period : RING - period], line[_PAST - period - 1 : RING - period - 1]
    power = along = 0.0
    for i in range(POINTS):
        apart = np.float64(one[i]) - np.float64(other[i])
        power += apart * apart
        along += (np.float64(one[i]) - np.float64(now[i])) * apart
    share = min(max(along / power, 0.0), 1.0) if power > 0.0 else 0.0
    square = both = 0.0
    for i in range(POINTS):
        x, y = np.float64(now[i]), np.float64(one[i])
        y -= share * (y - np.float64(other[i]))
        square += (x - y) * (x - y)
        both += x * x + y * y
    return square / both if both > 0.0 else 1.0, both / (2 * POINTS)


@_jit
def _part(line, coarse, period, off):
    """The smallest whole part of a period that is one as well; arguments and result as `_search` gives them."""
    if off <= MOST:
        for parts in range(PARTS, 1, -1):
            part = period // parts
            if part >= COARSE * SHORTEST:
                least, _ = _between(line, part)
                if least <= MOST:
                    return (part + COARSE // 2) // COARSE, part, least
    return coarse, period, off


@_jit
def _search(line, coarse_line, found):
    """The shortest of the best periods, in coarse points and in points, and the difference there."""
    _differences(coarse_line, SHORTEST - 1, LONGEST + 1, found)
    best = math.inf
    for period in range(SHORTEST, LONGEST + 1):
        best = min(best, found[period])
    if best > COARSE_MOST:
        return 0, 0, 1.0
    for period in range(SHORTEST, LONGEST + 1):
        low = found[period]
        if low <= best + COARSE_ALIKE and low <= found[period - 1] and low < found[period + 1]:
            least, place = math.inf, 0
            for fine in range(COARSE * period - REACH, COARSE * period + REACH):
                off, _ = _between(line, fine)
                if off < least - SURELY:
                    least, place = off, fine
            return _part(line, period, place, least)
    return 0, 0, 1.0


@_jit
def _apart(line, lag):
    now, before = line[_PAST:], line[_PAST - lag : RING - lag]
    square = both = 0.0
    for i in range(POINTS):
        x, y = np.float64(now[i]), np.float64(before[i])
        square += (x - y) * (x - y)
        both += x * x + y * y
    return square / both if both > 0.0 else 1.0


@_jit
def _contrast(line, coarse_line, period, found):
    """How the block differs at least from what is nearer than its period, and the mean square of the correlation."""
    last = 3 * period // 4 - 1
    _differences(coarse_line, NEAREST, last, found)
    least, square = math.inf, 0.0
    for k in range(NEAREST, last + 1):
        least = min(least, found[k])
        square += (1.0 - found[k]) * (1.0 - found[k])
    for lag in range(FINE_NEAREST, FINE_LAST + 1):
        least = min(least, _apart(line, lag))
    return least, square / (last + 1 - NEAREST)


@_jit
def _follow(state, line, coarse_line, found):
    """Whether the last block goes on with a period, or begins one."""
    off, power = _between(line, int(state[_PERIOD])) if state[_PERIOD] > 0.0 else (1.0, 0.0)
    if state[_PERIOD] > 0.0 and power < FLOOR:
        state[_QUIET] += 1.0
        state[_RUN] += 1.0
        if state[_QUIET] > QUIET_BLOCKS:
            state[_PERIOD] = 0.0
        return
    state[_QUIET] = 0.0
    if state[_PERIOD] == 0.0 or off > MOST:
        state[_PERIOD] = state[_RUN] = state[_CONTRAST] = state[_CONTRASTS] = state[_LINES] = state[_OFF] = 0.0
        total = 0.0
        for i in range(POINTS):
            total += np.float64(line[_PAST + i]) * line[_PAST + i]
        if total < FLOOR * POINTS:
            return
        coarse, period, off = _search(line, coarse_line, found)
        if off > MOST:
            return
        state[_PERIOD], state[_COARSE_PERIOD] = period, coarse
    state[_RUN] += 1.0
    state[_LIKENESS] = 1.0 - off
    least, square = _contrast(line, coarse_line, int(state[_COARSE_PERIOD]), found)
    state[_CONTRAST] += least
    state[_LINES] += square
    state[_OFF] += off
    state[_CONTRASTS] += 1.0


@_jit
def _is_piece(state):
    """Whether what repeats itself is a piece of sound and no steady note or chord, by the means of its blocks."""
    blocks, contrast, off = state[_CONTRASTS], state[_CONTRAST], state[_OFF]
    many = state[_LINES] <= FEW_LINES * blocks
    if many and contrast >= CONTRAST * blocks:
        return True
    if blocks < LONG_BLOCKS or contrast < LONG_CONTRAST * blocks or state[_LINES] > LONG_LINES * blocks:
        return False
    return off <= (LONG_MOST if many else LONG_MOST_OF_FEW) * blocks


@_jit
def measure(samples, channels, valid, slots, rings, coarse_rings, states, out):
    """The op's work on arrays."""
    mean = np.zeros(BLOCK)
    line = np.zeros(RING, np.float32)
    coarse_line = np.zeros(COARSE_RING, np.float32)
    found = np.zeros(LONGEST + 2)
    for row in range(samples.shape[0]):
        slot = slots[row]
        state, result = states[slot], out[row]
        if valid[row] < BLOCK:
            state[_COUNT] = state[_PERIOD] = 0.0
            result[:] = math.nan
            continue
        count = int(state[_COUNT])
        state[_COUNT] = count + 1.0
        newest = count % RING_BLOCKS
        _add_points(
            samples, row, channels[row], mean, rings[slot, newest * POINTS : (newest + 1) * POINTS],
            coarse_rings[slot, newest * COARSE_POINTS : (newest + 1) * COARSE_POINTS],
        )  # fmt: skip
        result[:] = 0.0
        if count < RING_BLOCKS - 1:
            continue
        _in_order(rings[slot], newest, POINTS, line)
        _in_order(coarse_rings[slot], newest, COARSE_POINTS, coarse_line)
        _follow(state, line, coarse_line, found)
        if state[_PERIOD] > 0.0:
            if _is_piece(state):
                result[0] = state[_LIKENESS]
            result[2] = BLOCK * state[_RUN]


def sound_repeats(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, ring: Tensor, coarse: Tensor, scalars: Tensor,
    out: Tensor,
) -> None:  # fmt: skip
    """The CPU implementation of `avjury::sound_repeats`; arguments as there."""
    measure(*(tensor.numpy() for tensor in (samples, channels, valid, slots, ring, coarse, scalars, out)))
