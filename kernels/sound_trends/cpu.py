"""`sound_trends` on the CPU: a row at a time, a few microseconds each, without the GIL."""

import math
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from torch import Tensor

from kernels.sound_features.layout import (
    BLOCK,
    CLICK_BIN,
    DIFFERENCE_GAIN,
    ENVELOPE_BIN,
    ENVELOPE_BINS,
    HISS_BINS,
    MAX_CHANNELS,
    Feature,
)
from kernels.sound_trends import layout as at

_F_POWER, _F_MEAN, _F_PHASE, _F_SIDE, _F_MID = Feature.POWER, Feature.MEAN, Feature.PHASE, Feature.SIDE, Feature.MID
_F_LOW_SIDE, _F_LOW_MID, _F_PURITY, _F_TONE = Feature.LOW_SIDE, Feature.LOW_MID, Feature.PURITY, Feature.TONE
_F_CLICK, _F_CLICK_AT, _F_HUM, _F_HISS, _F_ENVELOPE, _F_SLOPE = (
    Feature.CLICK, Feature.CLICK_AT, Feature.HUM, Feature.HISS, Feature.ENVELOPE, Feature.SLOPE,
)  # fmt: skip
_COUNT, _ANGLE, _LEVEL, _LONGEST = (
    int(scalar) for scalar in (at.Scalar.COUNT, at.Scalar.ANGLE, at.Scalar.LEVEL, at.Scalar.LONGEST)
)
_LAST_LOUD, _BEFORE, _PAIRS, _MINUTES, _TARGET = (
    int(scalar)
    for scalar in (at.Scalar.LAST_LOUD, at.Scalar.BEFORE, at.Scalar.PAIRS, at.Scalar.MINUTES, at.Scalar.TARGET)
)
_MEANS, _SOUNDED, _HUM, _HISS, _LEVELS = at.MEANS, at.SOUNDED, at.HUM, at.HISS, at.LEVELS
_F_PAIR_HISS, _PAIR_HISS, _HISS_TILT = Feature.PAIR_HISS, at.PAIR_HISS, at.HISS_TILT
_RUN, _SINCE, _LOW_STEPS, _WIDE_STEPS, _WIDE_BLOCKS, _LOW_POWER, _LOW_BLOCKS, _PAIR_WEIGHT = (
    at.RUN, at.SINCE, at.LOW_STEPS, at.WIDE_STEPS, at.WIDE_BLOCKS, at.LOW_POWER, at.LOW_BLOCKS, at.PAIR_WEIGHT,
)  # fmt: skip
_BROAD, _NARROW, _NARROW_SINCE, _WAS_BROAD = (
    int(scalar) for scalar in (at.Scalar.BROAD, at.Scalar.NARROW, at.Scalar.NARROW_SINCE, at.Scalar.WAS_BROAD)
)
_F_FOURTH, _NARROW_STEPS, _BROAD_STEPS, _BAND_POWER = Feature.FOURTH, at.NARROW_STEPS, at.BROAD_STEPS, at.BAND_POWER
_BROAD_KEPT, _BROAD_SHARE, _NARROW_BLOCKS = at.BROAD_KEPT, at.BROAD_SHARE, at.NARROW_BLOCKS
_RUN_MOST, _RUN_BACK, _AROUND, _AROUND_SHARE = at.RUN_MOST, at.RUN_BACK, at.AROUND, at.AROUND_SHARE
_POLARITY, _LOW_POLARITY, _MINUTE, _ENVELOPE = at.POLARITY, at.LOW_POLARITY, at.MINUTE, at.ENVELOPE
_SOUNDING, _LOST, _FLOOR, _SOUNDED_BLOCKS = at.SOUNDING_POWER, at.LOST_POWER, at.POWER_FLOOR, at.SOUNDED_BLOCKS
_SOUNDING_DB, _SILENT_DB = 10 * math.log10(at.SOUNDING_POWER), 10 * math.log10(at.POWER_FLOOR)
_LEFT, _RIGHT, _DISTANCE, _MONO_DISTANCE, _MONO_MEAN, _MONO_FOR, _MONO_AGAINST, _LEANING = (
    at.LEFT, at.RIGHT, at.DISTANCE, at.MONO_DISTANCE, at.MONO_MEAN, at.MONO_FOR, at.MONO_AGAINST, at.LEANING,
)  # fmt: skip
_MONO_PART, _MONO_WHOLE = at.MONO_OF
_POLARITY_BLOCKS, _QUIET, _QUIET_BLOCKS = at.POLARITY_BLOCKS, int(at.Scalar.QUIET), at.QUIET_BLOCKS
_LOW_FLOOR, _LOW_SHARE = at.LOW_FLOOR, at.LOW_SHARE
_HUM_BLOCKS, _HUM_COHERENCE, _HUM_COLUMNS, _HISS_BLOCKS = (
    at.HUM_BLOCKS, at.HUM_COHERENCE, at.HUM_COLUMNS, at.HISS_BLOCKS,
)  # fmt: skip
_TONE_ANGLE, _TONE_LEVEL, _TONE_LONG, _TONE_PURE, _TONE_DROP, _TONE_BREAK_MOST = (
    at.TONE_ANGLE, at.TONE_LEVEL_DB, at.TONE_RUN, at.TONE_PURE, at.TONE_DROP_DB, at.TONE_BREAK,
)  # fmt: skip
_RUN_OF_TONE, _BREAK, _OWN_ANGLE, _OWN_LEVEL, _OWN_PURITY = (
    int(scalar)
    for scalar in (
        at.Scalar.TONE_RUN, at.Scalar.TONE_BREAK, at.Scalar.TONE_ANGLE, at.Scalar.TONE_LEVEL, at.Scalar.TONE_PURITY,
    )
)  # fmt: skip
_GAP_LEVELS, _GAP_EDGES, _GAP_SHORTEST, _GAPS = at.GAP_LEVELS, at.GAP_EDGES, at.GAP_SHORTEST, len(at.GAP_LEVELS)
_CODED_LEVEL, _CODED_SOUND, _CODED_EDGE, _CODED_SHORTEST, _CODED_REACH, _CODED_FALL = (
    at.CODED_LEVEL, at.CODED_SOUND, at.CODED_EDGE, at.CODED_SHORTEST, at.CODED_REACH, at.CODED_FALL,
)  # fmt: skip
_CODED_LOUD, _CODED_PEAK, _CODED_FELL = (
    int(scalar) for scalar in (at.Scalar.CODED_LOUD, at.Scalar.CODED_PEAK, at.Scalar.CODED_FELL)
)
_GAP_END, _DEEP = int(at.Scalar.GAP_END), len(at.GAP_LEVELS) - 1
_DELAY, _EDGE_BINS, _EDGE_MOST, _NEVER = at.GAP_DELAY, at.GAP_EDGE_BINS, at.GAP_EDGE_MOST, at.NEVER
_CLICK, _CLICK_PLACE, _CLICK_STEP = int(at.Scalar.CLICK), int(at.Scalar.CLICK_PLACE), int(at.Scalar.CLICK_STEP)
_CUT_NEAR, _CUT_FAR, _CUT_SHARE, _CUT_LASTED, _PAUSE_SHORTEST = (
    at.CUT_NEAR, at.CUT_FAR, at.CUT_SHARE, at.CUT_LASTED, at.PAUSE_SHORTEST,
)  # fmt: skip
_PAUSE_KEPT, _PAUSES_MOST, _PAUSES_LEAST, _PAUSE_BLOCKS = (
    at.PAUSE_KEPT, at.PAUSES_MOST, at.PAUSES_LEAST, at.PAUSE_BLOCKS,
)  # fmt: skip
_CUT, _SOUND_FROM, _SOUND_AFTER, _PAUSES = (
    int(scalar) for scalar in (at.Scalar.CUT, at.Scalar.SOUND_FROM, at.Scalar.SOUND_AFTER, at.Scalar.PAUSES)
)
_CUT_LONG, _CUT_PAUSE = at.CUT_LONG, at.CUT_PAUSE
_BURST_PEAK, _BURST_NEAR, _BURST_FAR, _BURST_RATIO, _BURST_SCALE, _BURST_QUIET, _BURST_FIRST, _BURST_LAST = (
    at.BURST_PEAK, at.BURST_NEAR, at.BURST_FAR, at.BURST_RATIO, at.BURST_SCALE, at.BURST_QUIET, at.BURST_FIRST,
    at.BURST_LAST,
)  # fmt: skip
_BURST_LONE, _BURST_LONE_HISS, _BURST_LONE_WHITE, _BURST_LEAST, _BURST_LEAST_WHITE = (
    at.BURST_LONE, at.BURST_LONE_HISS, at.BURST_LONE_WHITE, at.BURST_LEAST, at.BURST_LEAST_WHITE,
)  # fmt: skip
_BURST_HISS, _BURST_HISS_NEAR, _BURST_HISS_FAR, _BURST_HISS_FLOOR, _BURST_WHITE, _HISS_BEFORE = (
    at.BURST_HISS, at.BURST_HISS_NEAR, at.BURST_HISS_FAR, at.BURST_HISS_FLOOR, at.BURST_WHITE, at.HISS_BEFORE,
)  # fmt: skip
_HISS_MS = ENVELOPE_BINS // HISS_BINS
# Bins of the block before and of this one, in the order of time, of which gaps are decided now.
_FIRST, _LAST = ENVELOPE_BINS - _CUT_FAR, 2 * ENVELOPE_BINS - _CUT_FAR
_ACROSS, _ACROSS_WIDTH, _ACROSS_BALANCE, _ACROSS_CORRELATION, _ACROSS_OFFSET = (
    at.ACROSS, at.ACROSS_WIDTH, at.ACROSS_BALANCE, at.ACROSS_CORRELATION, at.ACROSS_OFFSET,
)  # fmt: skip
_ACROSS_OFFSET_SHARE = at.ACROSS_OFFSET_SHARE
_ACROSS_PURE, _ACROSS_IMPURE, _ACROSS_LEVEL, _ACROSS_STEP, _ACROSS_NEAR = (
    at.ACROSS_PURE, at.ACROSS_IMPURE, at.ACROSS_LEVEL, at.ACROSS_STEP, at.ACROSS_NEAR,
)  # fmt: skip
_LEVEL_BLOCKS, _PART, _RATE = at.LEVEL_BLOCKS, at.LEVEL_PART, at.SAMPLE_RATE
_MIDDLE_RANK, _HIGH_RANK = at.LEVEL_RANKS
_ACTIVE, _ACTIVE_RANK, _CLOSE, _CLOSE_RANK = at.ACTIVE_DB, at.ACTIVE_RANK, at.CLOSE_BLOCKS, at.CLOSE_RANK
_CHANGE_LEAST, _NEAR, _NEAR_RANK, _NEAR_SHARE = at.CHANGE_LEAST_DB, at.NEAR_BLOCKS, at.NEAR_RANK, at.NEAR_SHARE
_REACH, _BORDER_BLOCKS, _BORDER_PAUSE, _BORDER_SAME = (
    at.BORDER_REACH, at.BORDER_BLOCKS, at.BORDER_PAUSE, at.BORDER_SAME,
)  # fmt: skip
_STEP_SHARE, _STEP_MORE, _STEP_LEAST, _QUIETEST = at.STEP_SHARE, at.STEP_MORE_DB, at.STEP_LEAST_DB, at.QUIETEST_DB
_BANDS, _UNIFORM, _UNIFORM_SHARE = at.BANDS, at.LEVEL_UNIFORM_DB, at.LEVEL_UNIFORM_SHARE
_LOW_LEAST, _STEPS_LEAST = at.LOW_LEAST, at.STEPS_LEAST
_MINUTE_BLOCKS, _MINUTE_EVERY, _OFFSET = at.MINUTE_BLOCKS, at.MINUTE_EVERY, at.LUFS_OFFSET
_GATE, _RELATIVE_GATE = at.ABSOLUTE_GATE_POWER, at.RELATIVE_GATE


def _column(name: str) -> int:
    return at.COLUMNS.index(name)


# Where each measure's group begins in a row; the columns of a group follow each other.
_PHASE, _CORRELATION, _POLARITY_AT = map(_column, ("phase", "correlation", "polarity"))
_MONO_AT, _IMBALANCE_AT = map(_column, ("mono", "imbalance"))
_CHANNEL_LOST, _SURROUND_LOST, _OFFSET_AT, _HUM_AT = map(_column, ("channel_lost", "surround_lost", "offset", "hum"))
_PAIRS_AT, _SWAPPED_AT = map(_column, ("surround_imbalance", "swapped_seconds"))
_HISS_AT, _TONE_AT, _CLICK_AT, _DROPOUT_AT = map(_column, ("hiss", "tone", "click", "dropout"))
_JUMP_AT, _MINUTE_AT, _NARROW_AT = map(_column, ("level_jump", "minute_error", "narrow_seconds"))
_COLUMNS: Final = len(at.COLUMNS)

# Nothing is reordered, so a row's bits are the same in any batch.
_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"contract"}
)


@_jit
def _decibels(power):
    return 10.0 * math.log10(max(power, _FLOOR))


@_jit
def _delay(out, column, count, blocks, tail, lead):
    """How late the measure at `column` follows, which needs `blocks` of them."""
    out[column + 1] = lead * BLOCK
    out[column + 2] = (count + 1 if count + 1 < blocks else tail) * BLOCK


@_jit
def _mono(state, newest, held, out):
    """Whether the last blocks of the first two channels are the same, but for what a coder made of them."""
    ring = state[_DISTANCE : _DISTANCE + _POLARITY_BLOCKS]
    rank = (_MONO_PART * held + _MONO_WHOLE - 1) // _MONO_WHOLE
    total = 0.0
    of_rank = math.inf
    for k in range(held):
        total += ring[k]
        as_close = 0
        for other in range(held):
            as_close += ring[other] <= ring[k]
        if as_close >= rank:
            of_rank = min(of_rank, ring[k])
    score = most = tail = unlike = 0
    like_before = False
    for age in range(held):
        same = ring[(newest - age) % _POLARITY_BLOCKS] <= _MONO_DISTANCE
        score += _MONO_FOR if same else -_MONO_AGAINST
        if score > most:
            most, tail = score, age + 1
        if age > 0:
            like_before = like_before or same
            unlike += not like_before
    out[_MONO_AT] = 1.0 - max(of_rank, _MONO_MEAN * total / held)
    out[_MONO_AT + 1] = -float(unlike * BLOCK)
    out[_MONO_AT + 2] = float(tail * BLOCK)


@_jit
def _imbalance(state, held, out):
    """By how much one of the first two channels was louder over the last blocks, most of which have to lean so."""
    left = right = 0.0
    for k in range(held):
        left += state[_LEFT + k]
        right += state[_RIGHT + k]
    leaning = 0
    for k in range(held):
        one, other = state[_LEFT + k], state[_RIGHT + k]
        leaning += one >= _LEANING * other if left >= right else other >= _LEANING * one
    apart = _decibels(max(left, right) / held) - _decibels(min(left, right) / held)
    out[_IMBALANCE_AT] = apart if 2 * leaning >= held else 0.0
    out[_IMBALANCE_AT + 1] = float(min(leaning + 1 - held, 0) * BLOCK)
    out[_IMBALANCE_AT + 2] = float(leaning * BLOCK)


@_jit
def _compare_channels(row, state, whole, out):
    left, right = row[_F_POWER], row[_F_POWER + 1]
    side, mid = row[_F_SIDE], row[_F_MID]
    louder, quieter = max(left, right), min(left, right)
    if not (side == side and louder >= _SOUNDING):
        out[_PHASE:_SURROUND_LOST] = math.nan
        state[_QUIET] += 1.0
        if state[_QUIET] == _QUIET_BLOCKS and side == side:
            out[_CORRELATION:_SURROUND_LOST] = 0.0
            state[_PAIRS] = 0.0
        return
    state[_QUIET] = 0.0
    correlation = 1.0 - 2.0 * side / max(side + mid, _FLOOR)
    out[_PHASE] = row[_F_PHASE]
    out[_CORRELATION] = correlation
    out[_CHANNEL_LOST] = 1.0 if quieter < _LOST else 0.0
    out[_POLARITY_AT:_CHANNEL_LOST] = math.nan
    if not whole:
        return
    low = row[_F_LOW_SIDE] + row[_F_LOW_MID]
    known = low >= _LOW_FLOOR and low >= _LOW_SHARE * (side + mid)
    pairs = int(state[_PAIRS])
    state[_POLARITY + pairs % _POLARITY_BLOCKS] = correlation
    state[_LOW_POLARITY + pairs % _POLARITY_BLOCKS] = 1.0 - 2.0 * row[_F_LOW_SIDE] / low if known else correlation
    newest = pairs % _POLARITY_BLOCKS
    state[_LEFT + newest] = max(left - row[_F_MEAN] * row[_F_MEAN], 0.0)
    state[_RIGHT + newest] = max(right - row[_F_MEAN + 1] * row[_F_MEAN + 1], 0.0)
    state[_DISTANCE + newest] = 1.0 - correlation
    state[_PAIRS] = pairs + 1
    held = min(pairs + 1, _POLARITY_BLOCKS)
    all_of_it = low_alone = 0.0
    opposed = 0
    for k in range(held):
        all_of_it += state[_POLARITY + k]
        low_alone += state[_LOW_POLARITY + k]
        opposed += min(state[_POLARITY + k], state[_LOW_POLARITY + k]) < 0.0
    out[_POLARITY_AT] = min(all_of_it, low_alone) / held
    out[_POLARITY_AT + 1] = float(min(opposed + 1 - held, 0) * BLOCK)
    out[_POLARITY_AT + 2] = float(opposed * BLOCK)
    _mono(state, newest, held, out)
    _imbalance(state, held, out)


@_jit
def _surround(row, weights, state, out):
    loudest = 0.0
    for channel in range(MAX_CHANNELS):
        loudest = max(loudest, row[_F_POWER + channel])
    lost = judged = False
    for channel in range(2, MAX_CHANNELS):
        if weights[channel] <= 0.0:
            continue
        judged = True
        power = row[_F_POWER + channel]
        if power >= _SOUNDING:
            state[_SOUNDED + channel] += 1.0
        elif power < _LOST and state[_SOUNDED + channel] >= _SOUNDED_BLOCKS:
            lost = True
    out[_SURROUND_LOST] = (1.0 if lost else 0.0) if judged and loudest >= _SOUNDING else math.nan


@_jit
def _surround_pairs(row, weights, state, out):
    """Of channels beside and behind the listener, two by two in the order of their layout."""
    out[_PAIRS_AT] = math.nan
    around = 0
    for channel in range(MAX_CHANNELS):
        around += weights[channel] > _PAIR_WEIGHT
        before = state[_AROUND + channel]
        state[_AROUND + channel] = before + _AROUND_SHARE * (row[_F_POWER + channel] - before)
    if around % 2:
        return
    first = -1
    for channel in range(MAX_CHANNELS):
        if weights[channel] <= _PAIR_WEIGHT:
            continue
        if first < 0:
            first = channel
            continue
        power, other = row[_F_POWER + first], row[_F_POWER + channel]
        if max(power, other) >= _SOUNDING and min(power, other) >= _LOST:
            apart = abs(_decibels(state[_AROUND + first]) - _decibels(state[_AROUND + channel]))
            out[_PAIRS_AT] = apart if out[_PAIRS_AT] != out[_PAIRS_AT] else max(out[_PAIRS_AT], apart)
        first = -1


@_jit
def _order(row, weights, state, out):
    """Whether LFE (weight 0) sounds like a full channel, and a full channel like LFE."""
    heard = False
    low_before = low = wide = 0.0
    for channel in range(MAX_CHANNELS):
        power = row[_F_POWER + channel]
        run = before = state[_RUN + channel]
        is_low = row[_F_SLOPE + channel] <= _LOW_STEPS * power
        is_wide = row[_F_SLOPE + channel] >= _WIDE_STEPS * power
        effects = weights[channel] <= 0.0
        if effects:
            heard = heard or power >= _SOUNDING or run > 0.0
            more, less = is_wide and power >= _SOUNDING, is_low and power >= _LOW_POWER
        else:
            more, less = is_low and power >= _LOW_POWER, is_wide and power >= _SOUNDING
        if less:
            run = max(run - _RUN_BACK, 0.0)
        elif more:
            run = min(run + 1.0, _RUN_MOST)
        state[_RUN + channel] = run
        if effects:
            state[_SINCE + channel] = state[_SINCE + channel] + 1.0 if run > 0.0 else 0.0
            if run >= _WIDE_BLOCKS:
                wide = max(wide, state[_SINCE + channel])
        else:
            low_before, low = max(low_before, before), max(low, run)
    known = low >= _LOW_BLOCKS
    if low_before >= _LOW_BLOCKS and not known:
        # What was told is over; what comes next begins anew.
        for channel in range(MAX_CHANNELS):
            if weights[channel] <= 0.0:
                state[_RUN + channel] = state[_SINCE + channel] = 0.0
    out[_SWAPPED_AT] = (wide * BLOCK / _RATE if known else 0.0) if heard else math.nan


@_jit
def _offset(row, state, count, out):
    """What two blocks have of the same sign: the mean of a low tone changes its sign from block to block."""
    steady = 0.0
    for channel in range(MAX_CHANNELS):
        mean, before = row[_F_MEAN + channel], state[_MEANS + channel]
        if count > 0 and mean * before > 0.0:
            steady = max(steady, min(abs(mean), abs(before)))
        state[_MEANS + channel] = mean
    out[_OFFSET_AT] = steady
    _delay(out, _OFFSET_AT, count, 1, 1.0, 0.0)  # known from the second block on


@_jit
def _hum(row, state, count, sums, out):
    """The mean over 3 s of the amplitude at each mains frequency, where it is most of what is there."""
    ring = state[_HUM : _HUM + _HUM_BLOCKS * _HUM_COLUMNS]
    if count == 0:
        ring[:] = 0.0  # what was before a hole is not heard on
    newest = count % _HUM_BLOCKS * _HUM_COLUMNS
    for k in range(_HUM_COLUMNS):
        ring[newest + k] = row[_F_HUM + k]
    sums[:] = 0.0
    for block in range(_HUM_BLOCKS):
        for k in range(_HUM_COLUMNS):
            value = ring[block * _HUM_COLUMNS + k]
            sums[0, k] += value
            sums[1, k] += value * value
    best = family = 0.0
    for k in range(0, _HUM_COLUMNS, 2):
        if k == _HUM_COLUMNS // 2:
            best, family = family, 0.0
        a, b = sums[0, k] / _HUM_BLOCKS, sums[0, k + 1] / _HUM_BLOCKS
        steady = a * a + b * b
        if steady >= _HUM_COHERENCE * ((sums[1, k] + sums[1, k + 1]) / _HUM_BLOCKS):
            family += steady
    out[_HUM_AT] = _decibels(max(best, family))
    # Where a share f of the window holds a hum, that share of its power is steady.
    _delay(out, _HUM_AT, count, 1, _HUM_COHERENCE * _HUM_BLOCKS, (_HUM_COHERENCE - 1.0) * _HUM_BLOCKS)


@_jit
def _hiss(row, state, count, out):
    """The quietest 10 ms of 3 s (minimum statistics, Martin 2001), of high frequencies or of those that coders keep."""
    quietest = row[_F_HISS]
    for k in range(1, HISS_BINS):
        quietest = min(quietest, row[_F_HISS + k])
    lower = row[_F_PAIR_HISS]
    state[_HISS + count % _HISS_BLOCKS], state[_PAIR_HISS + count % _HISS_BLOCKS] = quietest, lower
    for k in range(_HISS_BLOCKS):
        quietest, lower = min(quietest, state[_HISS + k]), min(lower, state[_PAIR_HISS + k])
    if quietest < lower <= _HISS_TILT * quietest:
        quietest = lower
    out[_HISS_AT] = _decibels(quietest) if count + 1 >= _HISS_BLOCKS else _SILENT_DB
    _delay(out, _HISS_AT, count, _HISS_BLOCKS, _HISS_BLOCKS - 1.0, 0.0)


@_jit
def _tone(row, state, count, level, out):
    angle, purity = row[_F_TONE], row[_F_PURITY]
    same = count > 0 and abs(angle - state[_ANGLE]) <= _TONE_ANGLE and abs(level - state[_LEVEL]) <= _TONE_LEVEL
    steady = same and level >= _SOUNDING_DB
    # Known from the second whole block on; it begins and ends anywhere in the block before.
    _delay(out, _TONE_AT, count, 2, 1.5, 0.5)
    state[_ANGLE], state[_LEVEL] = angle, level
    lasted = count > 0 and state[_RUN_OF_TONE] >= _TONE_LONG
    own = purity >= _TONE_PURE and abs(angle - state[_OWN_ANGLE]) <= _TONE_ANGLE
    louder = level - state[_OWN_LEVEL]
    if steady and purity >= _TONE_PURE:
        state[_RUN_OF_TONE] = state[_RUN_OF_TONE] + 1.0 if count > 0 and own else 1.0
        state[_BREAK] = 0.0
        state[_OWN_ANGLE], state[_OWN_LEVEL], state[_OWN_PURITY] = angle, level, purity
        out[_TONE_AT] = purity
    elif lasted and own and -_TONE_DROP <= louder <= _TONE_LEVEL:
        state[_BREAK] = 0.0
        out[_TONE_AT] = state[_OWN_PURITY]  # that of an edge is lower
    elif lasted and louder <= _TONE_LEVEL and state[_BREAK] < _TONE_BREAK_MOST:
        state[_BREAK] += 1.0
        out[_TONE_AT] = state[_OWN_PURITY]
    else:
        out[_TONE_AT] = purity if steady else 0.0
        if lasted:
            out[_TONE_AT + 1] = (0.5 - state[_BREAK]) * BLOCK
        state[_RUN_OF_TONE] = state[_BREAK] = 0.0


@_jit
def _peaks_beside(both, place, before_near, after_near):
    """The highest peaks before a place and after it, within `_DELAY` bins.

    Args:
        both: (2 * ENVELOPE_BINS,) peaks of the block before and of this one, full scale 1.
        place: samples from the beginning of this block; below 0 in the one before.
        before_near, after_near: bins next to it that are left out on each side.
    """
    middle = ENVELOPE_BINS + place / ENVELOPE_BIN
    before = after = 0.0
    for k in range(int(middle) - _DELAY - 1, int(middle) + _DELAY + 2):
        if not 0 <= k < 2 * ENVELOPE_BINS:
            continue
        distance = k - middle
        if -_DELAY < distance < -before_near:
            before = max(before, both[k])
        elif after_near < distance < _DELAY:
            after = max(after, both[k])
    return before, after


@_jit
def _beside_gap(both, place):
    """Whether one side of a place is a gap and the other is not: then it is the gap's edge and no click."""
    before, after = _peaks_beside(both, place, 2, 1)
    louder, quieter = max(before, after), min(before, after)
    beside = quieter < _GAP_LEVELS[0] <= louder
    for which in range(1, _DEEP):  # what fills these may be a pause as well
        beside = beside or (quieter < _GAP_LEVELS[which] and louder >= _GAP_EDGES[which])
    return beside


@_jit
def _level_steps(both, place):
    """Whether the peaks of some milliseconds before a place and after it differ."""
    before, after = _peaks_beside(both, place, _ACROSS_NEAR, _ACROSS_NEAR)
    return min(before, after) > 0.0 and max(before, after) >= _ACROSS_STEP * min(before, after)


@_jit
def _differs(old, row, power, stepped):
    """Whether another sound, or the same one otherwise, begins between two blocks."""
    moved = False
    for channel in range(2):
        offset = abs(old[4 + channel] - row[_F_MEAN + channel])
        most = max(old[channel], row[_F_POWER + channel])
        moved = moved or (offset >= _ACROSS_OFFSET and offset * offset >= _ACROSS_OFFSET_SHARE * most)
    purer, other = max(old[6], row[_F_PURITY]), min(old[6], row[_F_PURITY])
    louder, quieter = max(old[7], power), min(old[7], power)
    differs = moved or (purer >= _ACROSS_PURE and other < _ACROSS_IMPURE)
    differs = differs or (stepped and louder >= _ACROSS_LEVEL * quieter)
    left, right, side, mid = row[_F_POWER], row[_F_POWER + 1], row[_F_SIDE], row[_F_MID]
    if not (side == side and old[2] == old[2] and max(left, right) >= _SOUNDING and max(old[0], old[1]) >= _SOUNDING):
        return differs
    one, two = (old[0] + _FLOOR) * (right + _FLOOR), (old[1] + _FLOOR) * (left + _FLOOR)
    before = 1.0 - 2.0 * old[2] / max(old[2] + old[3], _FLOOR)
    after = 1.0 - 2.0 * side / max(side + mid, _FLOOR)
    opposed = before * after < 0.0 and abs(before - after) >= _ACROSS_CORRELATION
    return differs or opposed or max(one, two) >= _ACROSS_BALANCE * min(one, two)


@_jit
def _is_white(row, state, k, peak, ratio):
    """Whether the high frequencies around a bin stand out as those of a click do, that stands out by `ratio`."""
    power = 0.0
    at_most = 0
    for b in range(k // _HISS_MS - 1, k // _HISS_MS + 2):
        here = state[_HISS_BEFORE + b] if b < HISS_BINS else row[_F_HISS + b - HISS_BINS]
        if here > power:
            power, at_most = here, b
    before = after = 0.0
    for d in range(_BURST_HISS_NEAR, _BURST_HISS_FAR + 1):
        b = at_most - d
        before += state[_HISS_BEFORE + b] if b < HISS_BINS else row[_F_HISS + b - HISS_BINS]
        b = at_most + d
        after += state[_HISS_BEFORE + b] if b < HISS_BINS else row[_F_HISS + b - HISS_BINS]
    around = max(before, after) / (_BURST_HISS_FAR - _BURST_HISS_NEAR + 1)
    hiss, white = _BURST_HISS, _BURST_WHITE
    if ratio >= _BURST_LONE:
        hiss, white = _BURST_LONE_HISS, _BURST_LONE_WHITE
    elif ratio < _BURST_RATIO:
        hiss, white = _BURST_HISS * (_BURST_RATIO / ratio) ** 4, _BURST_LEAST_WHITE
    return power >= hiss * max(around, _BURST_HISS_FLOOR) and power >= white * peak * peak


@_jit
def _burst(row, state, both):
    """How far the peak of a millisecond stands out of those around it, where it is a coded click's; and its bin."""
    best = 0.0
    found = _BURST_FIRST
    for k in range(_BURST_FIRST, _BURST_LAST):
        peak = both[k]
        if peak < _BURST_PEAK:
            continue
        around = _BURST_QUIET
        for d in range(_BURST_NEAR, _BURST_FAR + 1):
            around = max(around, both[k - d], both[k + d])
        ratio = peak / around
        if ratio >= _BURST_LEAST and ratio > best and _is_white(row, state, k, peak, ratio):
            best, found = ratio, k
    return max(best, _BURST_RATIO) if best > 0.0 else 0.0, found


@_jit
def _click(row, state, count, power, both, out):
    """The click of the block before, now that it is known what follows it."""
    old = state[_ACROSS + count % 2 * _ACROSS_WIDTH : _ACROSS + (count % 2 + 1) * _ACROSS_WIDTH]
    ratio = place = stepped = 0.0
    if count > 0:
        ratio, place, stepped = state[_CLICK], state[_CLICK_PLACE], state[_CLICK_STEP]
    out[_CLICK_AT] = 0.0 if count > 1 and ratio > 0.0 and _differs(old, row, power, stepped > 0.0) else ratio
    out[_CLICK_AT + 1] = place - BLOCK - CLICK_BIN / 2
    out[_CLICK_AT + 2] = place - BLOCK + CLICK_BIN / 2
    if count > 0:
        burst, found = _burst(row, state, both)
        if burst * _BURST_SCALE > out[_CLICK_AT]:
            out[_CLICK_AT] = burst * _BURST_SCALE
            out[_CLICK_AT + 1] = float((found - ENVELOPE_BINS) * ENVELOPE_BIN)
            out[_CLICK_AT + 2] = float((found + 1 - ENVELOPE_BINS) * ENVELOPE_BIN)
    for k in range(HISS_BINS):
        state[_HISS_BEFORE + k] = row[_F_HISS + k]
    old[0], old[1], old[2], old[3] = row[_F_POWER], row[_F_POWER + 1], row[_F_SIDE], row[_F_MID]
    old[4], old[5], old[6], old[7] = row[_F_MEAN], row[_F_MEAN + 1], row[_F_PURITY], power
    ratio, place = row[_F_CLICK], row[_F_CLICK_AT]
    state[_CLICK] = 0.0 if ratio <= 0.0 or _beside_gap(both, place) else ratio
    state[_CLICK_PLACE] = place
    state[_CLICK_STEP] = 1.0 if _level_steps(both, place) else 0.0


@_jit
def _edge(both, first, most):
    total = 0.0
    for k in range(first, first + _EDGE_BINS):
        total += min(both[k], most)
    return total / _EDGE_BINS


@_jit
def _mean_in_peak(both, near, far):
    """The mean of the CUT_NEAR bins from `near` on, as a share of the peak of the CUT_FAR bins from `far` on."""
    total = peak = 0.0
    for k in range(near, near + _CUT_NEAR):
        total += both[k]
    for k in range(far, far + _CUT_FAR):
        peak = max(peak, both[k])
    return total / _CUT_NEAR / max(peak, _FLOOR)


@_jit
def _find_gap(both, state, which, goes_on):
    """Length in ms of the longest gap below a level that is known to have ended, the bin after it, and its CUT."""
    level, edge, shortest = _GAP_LEVELS[which], _GAP_EDGES[which], _GAP_SHORTEST[which]
    most = _EDGE_MOST * edge
    last_loud = state[_LAST_LOUD + which] if goes_on else _NEVER
    earlier = state[_BEFORE + which]
    told = state[_GAP_END] if goes_on else _NEVER
    length = cut = 0.0
    end = 0
    for k in range(_LAST):
        if both[k] < level:
            continue
        gap = k - 1 - last_loud
        if k >= _FIRST and shortest <= gap < state[_LONGEST] and gap > length and k - gap >= told:
            inside = last_loud >= _EDGE_BINS
            fallen = _edge(both, int(last_loud) - _EDGE_BINS + 1, most) if inside else earlier
            if fallen >= edge and _edge(both, k, most) >= edge:
                length = gap
                end = k
                cut = state[_CUT + which]
                if last_loud >= _FIRST:
                    cut = _mean_in_peak(both, int(last_loud) - _CUT_NEAR + 1, int(last_loud) - _CUT_FAR + 1)
        last_loud = max(last_loud, float(k))
    if last_loud >= _EDGE_BINS:
        state[_BEFORE + which] = _edge(both, int(last_loud) - _EDGE_BINS + 1, most)
    if last_loud >= _FIRST:
        state[_CUT + which] = _mean_in_peak(both, int(last_loud) - _CUT_NEAR + 1, int(last_loud) - _CUT_FAR + 1)
    state[_LAST_LOUD + which] = last_loud - ENVELOPE_BINS
    return length, end, cut


@_jit
def _fall(both, last_loud):
    """Loudest of the bins up to the last loud one, and the first bin after it had fallen."""
    peak = 0.0
    for k in range(last_loud - _CODED_REACH + 1, last_loud + 1):
        peak = max(peak, both[k])
    fell = last_loud + 1
    while both[fell - 1] < _CODED_FALL * peak:
        fell -= 1
    return peak, float(fell)


@_jit
def _find_coded_gap(both, state, goes_on):
    """As `_find_gap`, of gaps that are not as sharp at their beginning."""
    last_loud = state[_CODED_LOUD] if goes_on else _NEVER
    told = state[_GAP_END] if goes_on else _NEVER
    peak, fell = state[_CODED_PEAK], state[_CODED_FELL]
    length = cut = 0.0
    end = 0
    for k in range(_LAST):
        if both[k] < _CODED_LEVEL:
            continue
        if k >= _FIRST and k - 1 - last_loud >= _CODED_SHORTEST and last_loud > _NEVER / 2:
            if last_loud >= _CODED_REACH:
                peak, fell = _fall(both, int(last_loud))
            gap = k - fell
            sharp = peak >= _CODED_SOUND and _edge(both, k, _EDGE_MOST * _CODED_EDGE) >= _CODED_EDGE
            if sharp and length < gap and k - 1 - last_loud < state[_LONGEST] and fell >= told:
                length = gap
                end = k
                cut = state[_CUT + _GAPS]
                if last_loud >= _FIRST:
                    cut = _mean_in_peak(both, int(fell) - _CUT_NEAR, int(last_loud) - _CUT_FAR + 1)
        last_loud = max(last_loud, float(k))
    if last_loud >= _CODED_REACH:
        peak, fell = _fall(both, int(last_loud))
    if last_loud >= _FIRST:
        state[_CUT + _GAPS] = _mean_in_peak(both, int(fell) - _CUT_NEAR, int(last_loud) - _CUT_FAR + 1)
    state[_CODED_LOUD], state[_CODED_PEAK], state[_CODED_FELL] = last_loud - ENVELOPE_BINS, peak, fell - ENVELOPE_BINS
    return length, end, cut


@_jit
def _sound_since(both, state, last_loud, start, goes_on):
    """Where the sound began that ends at `start`, and how long the pause before it was."""
    begin = newest = state[_SOUND_FROM] if goes_on else _NEVER
    pause = latest = state[_SOUND_AFTER] if goes_on else 0.0
    for k in range(_LAST):
        if both[k] < _GAP_LEVELS[0]:
            continue
        if k >= _FIRST and k - 1 - last_loud >= _PAUSE_SHORTEST:
            newest, latest = float(k), k - 1 - last_loud
            if k < start:
                begin, pause = newest, latest
        last_loud = float(k)
    state[_SOUND_FROM], state[_SOUND_AFTER] = newest - ENVELOPE_BINS, latest
    return begin, pause


@_jit
def _is_told(both, state, count, length, end, cut, begin, pause):
    """Whether a gap is one, by what is beside it and by what pauses there were of late."""
    pauses = _PAUSE_KEPT * state[_PAUSES] if count > 0 else 0.0
    told = pauses < _PAUSES_MOST
    if length > 0.0:
        lasted = end - length - begin
        short = lasted < min(_CUT_LASTED * length, _CUT_LONG) and pause >= _CUT_PAUSE * length
        if short or cut * _mean_in_peak(both, end, end) < _CUT_SHARE:
            told = not short and pauses < _PAUSES_LEAST and count >= _PAUSE_BLOCKS
            pauses += 1.0
    state[_PAUSES] = pauses
    return told


@_jit
def _gaps_and_clicks(row, state, count, power, both, out):
    for k in range(ENVELOPE_BINS):
        both[k] = state[_ENVELOPE + k] if count > 0 else 0.0
        both[ENVELOPE_BINS + k] = state[_ENVELOPE + k] = row[_F_ENVELOPE + k]
    _click(row, state, count, power, both, out)

    length = cut = 0.0
    end = 0
    last_loud = state[_LAST_LOUD] if count > 0 else _NEVER
    for which in range(_GAPS):
        found, found_end, found_cut = _find_gap(both, state, which, count > 0)
        if length == 0.0:
            length, end, cut = found, found_end, found_cut
    found, found_end, found_cut = _find_coded_gap(both, state, count > 0)
    if length == 0.0:
        length, end, cut = found, found_end, found_cut
    begin, pause = _sound_since(both, state, last_loud, end - length, count > 0)
    told = state[_GAP_END] if count > 0 else _NEVER
    state[_GAP_END] = (end if length > 0.0 else told) - ENVELOPE_BINS
    if not _is_told(both, state, count, length, end, cut, begin, pause):
        length = 0.0
    # It begins and ends anywhere in the milliseconds beside the whole ones.
    until = (end - ENVELOPE_BINS + 0.5) * ENVELOPE_BIN if length > 0.0 else 0.0
    length = length + 1.0 if length > 0.0 else 0.0
    out[_DROPOUT_AT] = length * ENVELOPE_BIN / _RATE
    out[_DROPOUT_AT + 1] = until - length * ENVELOPE_BIN
    out[_DROPOUT_AT + 2] = until


@_jit
def _in_order(state, ring, first, count, part):
    """The `count` levels that begin at `first` in a ring, from the lowest up."""
    for k in range(count):
        value = state[ring + (first + k) % (2 * _LEVEL_BLOCKS)]
        place = k
        while place > 0 and part[place - 1] > value:
            part[place] = part[place - 1]
            place -= 1
        part[place] = value


@_jit
def _active(part, size, rank):
    """Mean level of the sound among the first `size` levels of a part, which lie in order."""
    total = 0.0
    count = 0
    for k in range(size):
        if part[k] >= part[rank] - _ACTIVE:
            total += part[k]
            count += 1
    return total / count


@_jit
def _step(state, oldest, middle):
    """What two blocks have more than the two before, around the block `middle` after the oldest."""
    size = 2 * _LEVEL_BLOCKS
    after = state[_LEVELS + (oldest + middle + 1) % size] + state[_LEVELS + (oldest + middle + 2) % size]
    before = state[_LEVELS + (oldest + middle - 1) % size] + state[_LEVELS + (oldest + middle) % size]
    return (after - before) / 2


@_jit
def _is_near(state, oldest, before, after, change):
    """Whether the best border between levels like `before` and like `after` is near, or nearly so."""
    size = 2 * _LEVEL_BLOCKS
    cost = best = here = 0.0
    for k in range(_LEVEL_BLOCKS + _REACH + 1):
        if k == _LEVEL_BLOCKS - _REACH or (k > _LEVEL_BLOCKS - _REACH and cost < best):
            best = cost
        if k == _LEVEL_BLOCKS - 1 or (_LEVEL_BLOCKS - 1 < k <= _LEVEL_BLOCKS + 1 and cost < here):
            here = cost
        level = state[_LEVELS + (oldest + k) % size]
        cost += abs(level - before) - abs(level - after)
    return here <= best + _BORDER_BLOCKS * change


@_jit
def _border(state, oldest, loud, quiet, sign, change):
    """The first block after the border with the least against it; a pause of the louder side says little."""
    size = 2 * _LEVEL_BLOCKS
    best = 0.0
    for attempt in range(2):
        cost = 0.0
        for k in range(_LEVEL_BLOCKS + _REACH + 1):
            if k >= _LEVEL_BLOCKS - _REACH:
                if attempt == 1 and cost <= best + _BORDER_SAME:
                    return k
                if attempt == 0 and (k == _LEVEL_BLOCKS - _REACH or cost < best):
                    best = cost
            level = state[_LEVELS + (oldest + k) % size]
            cost += sign * (max(level - quiet, 0.0) - min(max(loud - level, 0.0), _BORDER_PAUSE * change))
    return _LEVEL_BLOCKS  # not reached


@_jit
def _keep_bands(row, state, count, power, sounding):
    """The levels of low frequencies and of steps, beside those of the whole."""
    low = row[_F_LOW_SIDE] + row[_F_LOW_MID]
    if low != low:
        low = power  # mono has no measure of it
    steps = 0.0
    for channel in range(MAX_CHANNELS):
        steps += row[_F_SLOPE + channel]
    place = _BANDS + count % (2 * _LEVEL_BLOCKS)
    state[place] = _decibels(max(low, _LOW_LEAST * power))
    state[place + 2 * _LEVEL_BLOCKS] = _decibels(max(steps / sounding, _STEPS_LEAST * power))


@_jit
def _moved_alike(state, oldest, middle, high, most, part, other):
    """Whether low frequencies and steps moved as the whole, by `middle` and `high` at the two ranks, to `most` dB."""
    for ring in (_BANDS, _BANDS + 2 * _LEVEL_BLOCKS):
        _in_order(state, ring, oldest, _PART, part)
        _in_order(state, ring, oldest + _LEVEL_BLOCKS + 1, _PART, other)
        off = abs(other[_MIDDLE_RANK] - part[_MIDDLE_RANK] - middle)
        if off + abs(other[_HIGH_RANK] - part[_HIGH_RANK] - high) > 2 * most:
            return False
    return True


@_jit
def _level_jump(state, count, level, part, other, out):
    """The levels of the 4 s up to now against those of the 4 s before, where they changed at once."""
    size = 2 * _LEVEL_BLOCKS
    state[_LEVELS + count % size] = level
    out[_JUMP_AT] = 0.0
    out[_JUMP_AT + 1] = -(_LEVEL_BLOCKS - 1.0) * BLOCK
    out[_JUMP_AT + 2] = -(_LEVEL_BLOCKS - 2.0) * BLOCK
    if count + 1 < size:
        return
    oldest = (count + 1) % size
    step = _step(state, oldest, _LEVEL_BLOCKS - 1)
    sign = 1.0 if step > 0.0 else -1.0
    earlier, later = sign * _step(state, oldest, _LEVEL_BLOCKS - 2), sign * _step(state, oldest, _LEVEL_BLOCKS)
    step *= sign
    if step < _STEP_LEAST or step < earlier or step <= later:
        return
    _in_order(state, _LEVELS, oldest, _PART, part)
    _in_order(state, _LEVELS, oldest + _LEVEL_BLOCKS + 1, _PART, other)
    change = sign * (_active(other, _PART, _ACTIVE_RANK) - _active(part, _PART, _ACTIVE_RANK))
    usual_before, usual_after = part[_MIDDLE_RANK], other[_MIDDLE_RANK]
    loud, quiet = (usual_after, part[_ACTIVE_RANK]) if sign > 0.0 else (usual_before, other[_ACTIVE_RANK])
    high = other[_HIGH_RANK] - part[_HIGH_RANK]
    change = min(change, sign * (usual_after - usual_before), sign * high)
    louder, quieter = max(part[_HIGH_RANK], other[_HIGH_RANK]), min(part[_HIGH_RANK], other[_HIGH_RANK])
    _in_order(state, _LEVELS, oldest + _PART - _CLOSE, _CLOSE, part)
    _in_order(state, _LEVELS, oldest + _LEVEL_BLOCKS + 1, _CLOSE, other)
    change = min(change, sign * (_active(other, _CLOSE, _CLOSE_RANK) - _active(part, _CLOSE, _CLOSE_RANK)))
    at_once = _STEP_SHARE * change <= step <= change + _STEP_MORE
    if change < _CHANGE_LEAST or not at_once or louder < _SOUNDING_DB or quieter < _QUIETEST:
        return
    if not _is_near(state, oldest, usual_before, usual_after, change):
        return
    _in_order(state, _LEVELS, oldest + _PART - _NEAR, _NEAR, part)
    _in_order(state, _LEVELS, oldest + _LEVEL_BLOCKS + 1, _NEAR, other)
    if sign * (other[_NEAR_RANK] - part[_NEAR_RANK]) < _NEAR_SHARE * change:
        return
    most = max(_UNIFORM, _UNIFORM_SHARE * change)
    if _moved_alike(state, oldest, usual_after - usual_before, high, most, part, other):
        border = _border(state, oldest, loud, quiet, sign, change)
        out[_JUMP_AT] = change
        out[_JUMP_AT + 1] = (border + 1.0 - size) * BLOCK
        out[_JUMP_AT + 2] = (border + 2.0 - size) * BLOCK


@_jit
def _bandwidth(row, state, out):
    """For how long sound that had high frequencies has been without them."""
    power = row[_F_MID]
    if power != power:
        power = row[_F_POWER]
    run = state[_NARROW]
    if power >= _BAND_POWER:
        third = 0.0
        for k in range(HISS_BINS):
            third += row[_F_HISS + k]
        third *= DIFFERENCE_GAIN / HISS_BINS
        if row[_F_FOURTH] <= _NARROW_STEPS * third:
            if run == 0.0:
                state[_WAS_BROAD] = state[_BROAD]
            run = min(run + 1.0, float(_RUN_MOST))
        else:
            run = max(run - _RUN_BACK, 0.0)
        is_broad = 1.0 if row[_F_FOURTH] >= _BROAD_STEPS * third else 0.0
        state[_BROAD] += _BROAD_KEPT * (is_broad - state[_BROAD])
    since = state[_NARROW_SINCE] + 1.0 if run > 0.0 else 0.0
    state[_NARROW], state[_NARROW_SINCE] = run, since
    lost = run >= _NARROW_BLOCKS and state[_WAS_BROAD] >= _BROAD_SHARE
    out[_NARROW_AT] = since * BLOCK / _RATE if lost else 0.0


@_jit
def _minute(state, momentary, out):
    """Distance of the last minute's gated loudness from the target."""
    minutes = int(state[_MINUTES])
    if momentary == momentary:
        state[_MINUTE + minutes % _MINUTE_BLOCKS] = 10.0 ** ((momentary - _OFFSET) / 10.0)
        minutes += 1
        state[_MINUTES] = minutes
    out[_MINUTE_AT] = math.nan
    out[_MINUTE_AT + 1] = 0.0
    out[_MINUTE_AT + 2] = float(min(minutes, _MINUTE_BLOCKS) * BLOCK)
    if minutes % _MINUTE_EVERY != 0:
        return
    if minutes < _MINUTE_BLOCKS:
        out[_MINUTE_AT] = 0.0
        return
    gate = _GATE
    for _ in range(2):
        total = 0.0
        kept = 0
        for k in range(_MINUTE_BLOCKS):
            power = state[_MINUTE + k]
            if power > gate:
                total += power
                kept += 1
        if kept == 0:
            return
        gate = max(gate, _RELATIVE_GATE * total / kept)
    out[_MINUTE_AT] = abs(_OFFSET + 10.0 * math.log10(total / kept) - state[_TARGET])


@_jit
def follow(features, valid, weights, momentary, slots, states, out):
    """The op's work on arrays."""
    sums = np.zeros((2, _HUM_COLUMNS))
    both = np.zeros(2 * ENVELOPE_BINS)
    part, other = np.zeros(_PART), np.zeros(_PART)
    for index in range(slots.shape[0]):
        row, state, result = features[index], states[slots[index]], out[index]
        whole = valid[index] == BLOCK
        count = int(state[_COUNT])
        if count == 0:
            state[_PAIRS] = 0.0
        _compare_channels(row, state, whole, result)
        _surround(row, weights[index], state, result)
        _surround_pairs(row, weights[index], state, result)
        _offset(row, state, count, result)
        if not whole:
            # It comes before a hole: nothing goes on after it, and its features are not there.
            result[_HUM_AT:] = result[_SWAPPED_AT] = math.nan
            if count > 0:
                result[_CLICK_AT] = state[_CLICK]
                result[_CLICK_AT + 1] = state[_CLICK_PLACE] - BLOCK - CLICK_BIN / 2
                result[_CLICK_AT + 2] = state[_CLICK_PLACE] - BLOCK + CLICK_BIN / 2
            state[_COUNT] = 0.0
            continue
        _order(row, weights[index], state, result)
        total = 0.0
        sounding = 0
        for channel in range(MAX_CHANNELS):
            total += row[_F_POWER + channel]
            sounding += row[_F_POWER + channel] > 0.0
        power = total / max(sounding, 1)
        level = _decibels(power)
        _hum(row, state, count, sums, result)
        _hiss(row, state, count, result)
        _tone(row, state, count, level, result)
        _gaps_and_clicks(row, state, count, total, both, result)
        _keep_bands(row, state, count, power, max(sounding, 1))
        _level_jump(state, count, level, part, other, result)
        _minute(state, momentary[index], result)
        _bandwidth(row, state, result)
        state[_COUNT] = count + 1.0


def sound_trends(
    features: Tensor, valid: Tensor, weights: Tensor, momentary: Tensor, slots: Tensor, state: Tensor, out: Tensor
) -> None:
    """The CPU implementation of `avjury::sound_trends`; arguments as there."""
    follow(
        features.numpy(), valid.numpy(), weights.numpy(), momentary.numpy(), slots.numpy(), state.numpy(), out.numpy()
    )
