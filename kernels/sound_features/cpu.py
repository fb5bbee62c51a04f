"""`sound_features` on the CPU: a few compiled passes over a block that lies in the cache, without the GIL."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from kernels.sound_features.layout import (
    ALL_BINS,
    BLOCK,
    CLICK_ASYMMETRY,
    CLICK_BIN,
    CLICK_FAR,
    CLICK_FLOOR,
    CLICK_NEAR,
    CLICK_WINDOW,
    CLICK_WINDOW_LEFT,
    CLICK_WORTH,
    DIFFERENCE_GAIN,
    DIFFERENCE_REACH,
    ENVELOPE_BIN,
    FEATURES,
    HISS_BIN,
    HISS_BINS,
    HISTORY,
    HISTORY_BINS,
    HUM_POINTS,
    HUM_STEP,
    HUM_TABLE,
    LONE_EDGE,
    LONE_FAR,
    LONE_NEAR,
    LONE_REACH,
    LONE_SECOND,
    LOW_BIN,
    LOW_BINS,
    PAIR,
    PAIR_GAIN,
    SAMPLE_LIMIT,
    TONE_LAGS,
    Feature,
)

_LIMIT = np.float32(SAMPLE_LIMIT)
_POWER, _MEAN, _PHASE, _SIDE, _MID = Feature.POWER, Feature.MEAN, Feature.PHASE, Feature.SIDE, Feature.MID
_LOW_SIDE, _LOW_MID = Feature.LOW_SIDE, Feature.LOW_MID
_PURITY, _TONE, _CLICK, _CLICK_AT = Feature.PURITY, Feature.TONE, Feature.CLICK, Feature.CLICK_AT
_HUM, _HISS, _ENVELOPE, _SLOPE = Feature.HUM, Feature.HISS, Feature.ENVELOPE, Feature.SLOPE
_PAIR_HISS, _PAIRS, _FOURTH = Feature.PAIR_HISS, HISS_BIN // PAIR, Feature.FOURTH
_SHORT_LAG, _LONG_LAG = TONE_LAGS
_HISS_RATIO = HISS_BIN // CLICK_BIN
_WORTH = CLICK_WORTH * CLICK_WORTH
_LONE_WINDOW = LONE_FAR - LONE_NEAR + 1
# reassoc: sums become vector instructions. The order is fixed when it is compiled, so a row's bits are the same in
# any batch.
_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, cache=True, fastmath={"contract", "reassoc"}
)
_largest: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, cache=True, fastmath={"nnan", "nsz"}
)


@_jit
def _clean(source, valid, target):
    for i in range(valid):
        x = source[i]
        x = np.float32(0) if x != x else x
        target[i] = min(max(x, -_LIMIT), _LIMIT)


@_largest
def _raise_envelope(samples, valid, envelope):
    for k in range(valid // ENVELOPE_BIN):
        part = samples[k * ENVELOPE_BIN : (k + 1) * ENVELOPE_BIN]
        highest = np.float32(0)
        for i in range(ENVELOPE_BIN):
            highest = max(highest, abs(part[i]))
        envelope[k] = max(envelope[k], np.float64(highest))


@_jit
def _sum_squares(samples, valid):
    total = squares = 0.0
    for i in range(valid):
        x = np.float64(samples[i])
        total += x
        squares += x * x
    return total, squares


@_jit
def _sum_steps(samples, valid):
    early, late = samples[: valid - 1], samples[1:valid]
    squares = 0.0
    for i in range(valid - 1):
        step = np.float64(late[i]) - np.float64(early[i])
        squares += step * step
    return squares


@_jit
def _compare(left, right, valid):
    phase = side = mid = 0.0
    for i in range(valid):
        x = np.float64(left[i])
        y = np.float64(right[i])
        both = x * x + y * y
        phase += 2.0 * x * y / both if both > 0.0 else 1.0
        side += (x - y) * (x - y)
        mid += (x + y) * (x + y)
    return phase / valid, side / (4 * valid), mid / (4 * valid)


@_jit
def _compare_low(left, right, low):
    """Powers of half the difference and half the sum of two channels, of low frequencies alone."""
    side_mean = mid_mean = 0.0
    for k in range(LOW_BINS):
        x = y = 0.0
        part, other = left[k * LOW_BIN : (k + 1) * LOW_BIN], right[k * LOW_BIN : (k + 1) * LOW_BIN]
        for i in range(LOW_BIN):
            x += np.float64(part[i])
            y += np.float64(other[i])
        low[0, k], low[1, k] = (x - y) / (2 * LOW_BIN), (x + y) / (2 * LOW_BIN)
        side_mean += low[0, k]
        mid_mean += low[1, k]
    side_mean /= LOW_BINS
    mid_mean /= LOW_BINS
    side = mid = 0.0
    for k in range(LOW_BINS):
        side += (low[0, k] - side_mean) * (low[0, k] - side_mean)
        mid += (low[1, k] - mid_mean) * (low[1, k] - mid_mean)
    return side / LOW_BINS, mid / LOW_BINS


@_jit
def _single_sine(x, lag):
    """How well one multiple of x[n] gives x[n + lag] + x[n - lag], 1 exactly; and half that multiple."""
    power = along = square = ends = 0.0
    size = BLOCK - 2 * lag
    early, middle, late = x[:size], x[lag : lag + size], x[2 * lag : 2 * lag + size]
    for i in range(size):
        a, b, c = early[i], middle[i], late[i]
        power += b * b
        along += b * (a + c)
        square += (a + c) * (a + c)
        ends += a * a + c * c
    if power * ends <= 0.0:
        return 0.0, 0.0
    return 1.0 - (square - along * along / power) / ends, along / (2 * power)


@_jit
def _difference_squares(x, energies, peaks):
    for j in range(ALL_BINS):
        part = x[j * CLICK_BIN : (j + 1) * CLICK_BIN + DIFFERENCE_REACH]
        total = 0.0
        for i in range(CLICK_BIN):
            d = (part[i + 3] - part[i]) - 3.0 * (part[i + 2] - part[i + 1])
            peaks[i] = d * d
            total += d * d
        energies[j] = total
        energies[ALL_BINS + j] = _highest(peaks)


@_largest
def _highest(values):
    highest = 0.0
    for i in range(CLICK_BIN):
        highest = max(highest, values[i])
    return highest


@_jit
def _third(x, i):
    d = (x[i] - x[i - 3]) - 3.0 * (x[i - 1] - x[i - 2])
    return d * d


@_jit
def _second(x, i):
    d = (x[i] - x[i - 1]) - (x[i - 1] - x[i - 2])
    return d * d


@_jit
def _stands_alone(x, begin):
    """How far the largest third difference of a bin stands out of what is close to it, squared."""
    largest = 0.0
    place = begin
    for i in range(begin, begin + CLICK_BIN):
        if _third(x, i) > largest:
            largest = _third(x, i)
            place = i
    second = 0.0
    for i in range(place - LONE_REACH, place + LONE_REACH + 1):
        second = max(second, _second(x, i))
    third_before = third_after = second_before = second_after = 0.0
    for k in range(LONE_NEAR, LONE_FAR + 1):
        third_before += _third(x, place - k)
        second_before += _second(x, place - k)
        third_after += _third(x, place + k)
        second_after += _second(x, place + k)
    side = 1 if third_after > third_before else -1
    edge = 0.0
    at = LONE_NEAR
    for k in range(LONE_NEAR, LONE_FAR + 1):
        if _third(x, place + side * k) > edge:
            edge = _third(x, place + side * k)
            at = k
    before = after = float(_LONE_WINDOW)
    if edge >= LONE_EDGE * largest:
        # Its other edge: of that side without it.
        third = square = 0.0
        count = 0
        for k in range(LONE_NEAR, LONE_FAR + 1):
            if abs(k - at) > LONE_REACH:
                third += _third(x, place + side * k)
                square += _second(x, place + side * k)
                count += 1
        if side > 0:
            third_after, second_after, after = third, square, float(count)
        else:
            third_before, second_before, before = third, square, float(count)
    third = largest / (max(third_before / before, third_after / after) + CLICK_FLOOR)
    second /= max(second_before / before, second_after / after) + CLICK_FLOOR
    return min(third, LONE_SECOND * LONE_SECOND * second)


@_jit
def _find_click(x, energies, first):
    """Largest squared ratio of a bin's peak to the power around it, and its bin."""
    best = 0.0
    at = HISTORY_BINS
    for j in range(first + CLICK_FAR, ALL_BINS - CLICK_FAR):
        peak = energies[ALL_BINS + j]
        if peak <= best * CLICK_FLOOR:
            continue
        before = after = 0.0
        for k in range(CLICK_NEAR, CLICK_FAR + 1):
            before += energies[j - k]
            after += energies[j + k]
        side = 1 if after > before else -1
        most = -1.0
        edge = 0
        for k in range(CLICK_NEAR, CLICK_FAR):
            pair = energies[j + side * k] + energies[j + side * (k + 1)]
            if pair > most:
                most = pair
                edge = k
        louder = 0.0
        for k in range(CLICK_NEAR, CLICK_FAR + 1):
            if k != edge and k != edge + 1:
                louder += energies[j + side * k]
        before = (before / CLICK_WINDOW) if side > 0 else louder / CLICK_WINDOW_LEFT
        after = louder / CLICK_WINDOW_LEFT if side > 0 else after / CLICK_WINDOW
        around = max(before, after)
        if around > CLICK_ASYMMETRY * min(before, after) + CLICK_FLOOR:
            continue
        ratio = peak / (around + CLICK_FLOOR)
        if ratio > max(best, _WORTH):
            ratio = min(ratio, max(_WORTH, _stands_alone(x, j * CLICK_BIN + DIFFERENCE_REACH)))
        if ratio > best:
            best = ratio
            at = j
    return best, at


@_jit
def _pair_hiss(mean):
    """The least power of 10 ms of the third difference of means of two samples."""
    least = math.inf
    for k in range(HISS_BINS):
        part = mean[HISTORY - 3 * PAIR + k * HISS_BIN : HISTORY + (k + 1) * HISS_BIN]
        total = 0.0
        for i in range(_PAIRS):
            y0, y1 = part[2 * i] + part[2 * i + 1], part[2 * i + 2] + part[2 * i + 3]
            y2, y3 = part[2 * i + 4] + part[2 * i + 5], part[2 * i + 6] + part[2 * i + 7]
            d = (y3 - y0) - 3.0 * (y2 - y1)
            total += d * d
        least = min(least, total)
    return least / (_PAIRS * PAIR * PAIR * PAIR_GAIN)


@_jit
def _fourth(x):
    """Mean square of the steps between the block's third differences, those across its start left out."""
    total = 0.0
    a, b, c, d, e = x[: BLOCK - 4], x[1 : BLOCK - 3], x[2 : BLOCK - 2], x[3 : BLOCK - 1], x[4:BLOCK]
    for i in range(BLOCK - 4):
        step = (a[i] + e[i]) - 4.0 * (b[i] + d[i]) + 6.0 * c[i]
        total += step * step
    return total / BLOCK


@_jit
def measure(samples, channels, valid_samples, slots, history, known, hum_table, out):
    """The op's work on arrays; `hum_table` is HUM_TABLE, `out` (N, FEATURES) float64."""
    block = np.zeros((2, BLOCK), np.float32)
    mean = np.zeros(HISTORY + BLOCK)
    energies = np.zeros(2 * ALL_BINS)
    squares = np.zeros(CLICK_BIN)
    low = np.zeros((2, LOW_BINS))
    for row in range(samples.shape[0]):
        slot = slots[row]
        valid = valid_samples[row]
        count = channels[row]
        result = out[row]
        result[:] = 0.0
        result[_ENVELOPE + valid // ENVELOPE_BIN : _SLOPE] = math.nan
        mean[HISTORY:] = 0.0
        for channel in range(count):
            x = block[min(channel, 1)]
            _clean(samples[row, channel], valid, x)
            total, power = _sum_squares(x, valid)
            result[_POWER + channel] = power / valid
            result[_MEAN + channel] = total / valid
            result[_SLOPE + channel] = _sum_steps(x, valid) / valid
            _raise_envelope(x, valid, result[_ENVELOPE:_SLOPE])
            for i in range(valid):
                mean[HISTORY + i] += x[i]
            if channel == 1:
                result[_PHASE], result[_SIDE], result[_MID] = _compare(block[0], block[1], valid)
                if valid == BLOCK:
                    result[_LOW_SIDE], result[_LOW_MID] = _compare_low(block[0], block[1], low)
                else:
                    result[_LOW_SIDE] = result[_LOW_MID] = math.nan
        if count < 2:
            result[_PHASE:_PURITY] = math.nan
        if valid < BLOCK:
            # It comes before a hole or the end: what it would be compared with does not follow.
            result[_PURITY:_ENVELOPE] = result[_PAIR_HISS] = result[_FOURTH] = math.nan
            known[slot] = 0
            continue
        share = 1.0 / count
        for i in range(BLOCK):
            mean[HISTORY + i] *= share
        for i in range(HISTORY):
            mean[i] = history[slot, i] if known[slot] else 0.0
        x = mean[HISTORY:]

        short, angle = _single_sine(x, _SHORT_LAG)
        long, _ = _single_sine(x, _LONG_LAG)
        result[_PURITY] = min(short, long)
        result[_TONE] = angle

        _difference_squares(mean, energies, squares)
        # The first bin of all lacks what lies before its first sample.
        ratio, at = _find_click(mean, energies, 0 if known[slot] else HISTORY_BINS + 1)
        result[_CLICK] = math.sqrt(ratio)
        result[_CLICK_AT] = CLICK_BIN * (at - HISTORY_BINS) + CLICK_BIN // 2 if ratio > 0.0 else 0.0
        for k in range(HISS_BINS):
            total = 0.0
            for j in range(_HISS_RATIO):
                total += energies[HISTORY_BINS + k * _HISS_RATIO + j]
            result[_HISS + k] = total / (HISS_BIN * DIFFERENCE_GAIN)
        result[_PAIR_HISS] = _pair_hiss(mean)
        result[_FOURTH] = _fourth(x)

        for i in range(HUM_POINTS):
            total = 0.0
            for j in range(HUM_STEP):
                total += x[i * HUM_STEP + j]
            for k in range(hum_table.shape[1]):
                result[_HUM + k] += total * hum_table[i, k]
        for i in range(HISTORY):
            history[slot, i] = mean[BLOCK + i]
        known[slot] = 1


def sound_features(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, history: Tensor, known: Tensor
) -> Tensor:
    """The CPU implementation of `avjury::sound_features`; arguments as there."""
    out = torch.empty((samples.shape[0], FEATURES), dtype=torch.float64)
    arrays = [tensor.numpy() for tensor in (samples, channels, valid, slots, history, known)]
    measure(*arrays, HUM_TABLE, out.numpy())
    return out
