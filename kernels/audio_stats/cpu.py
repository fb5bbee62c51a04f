"""`audio_stats` on the CPU: one numba pass per channel, without the GIL."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from kernels.audio_stats.filters import (
    ABSOLUTE_GATE,
    BIN,
    BINS_PER_HOP,
    BLOCK,
    CLIP_CEILING,
    CLIP_MIN_SAMPLES,
    CLIP_SHOULDER,
    CLIP_TOP,
    FLAT_CORNER,
    FLAT_HALVES,
    FLAT_HIGH,
    FLAT_LEAP,
    FLAT_LEAST,
    FLAT_LOW,
    FLAT_RUN,
    FLAT_STEP,
    FLAT_TOP,
    HIGH_PASS,
    HISTOGRAM_BINS,
    HISTOGRAM_STEPS_PER_LU,
    HISTORY,
    HUMP_CEILING,
    HUMP_LOW,
    HUMP_SHOULDER,
    HUMP_TOP,
    INTERPOLATOR,
    INTERPOLATOR_GAIN,
    LUFS_OFFSET,
    MOMENTARY_BINS,
    POWER_FLOOR,
    SAMPLE_LIMIT,
    SHELF,
    SHORT_TERM_BINS,
    STATE_FLOOR,
    TAPS,
    TRUE_PEAK_FLOOR,
)

_S_B0, _S_B1, _S_B2, _S_A1, _S_A2 = SHELF
_, _H_B1, _H_B2, _H_A1, _H_A2 = HIGH_PASS
_LIMIT = np.float32(SAMPLE_LIMIT)
# Interpolated at once, so that the inner loop over them becomes vector instructions; a multiple of 8 that divides
# a block. One whose samples cannot reach the block's peak so far is skipped: the result is the same.
_SEGMENT = 96
_SEGMENTS = BLOCK // _SEGMENT
_EXTENDED = HISTORY + BLOCK
# contract: a * b + c may be rounded once. Nothing is reordered, so a row's bits are the same in any batch.
_jit: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(nogil=True, cache=True, fastmath={"contract"})
# Sums in an order that is fixed when it is compiled, so that they become vector instructions.
_sum: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
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


@_sum
def _sums(samples, valid):
    """Sum, and sum of squares."""
    total = squares = 0.0
    for i in range(valid):
        x = np.float64(samples[i])
        total += x
        squares += x * x
    return total, squares


@_largest
def _highest(values, size):
    highest = np.float32(0)
    for i in range(size):
        highest = max(highest, abs(values[i]))
    return highest


@_jit
def _segment_peaks(extended, valid, peaks):
    """Largest |sample| of each segment, whose first holds the past, and of the block alone."""
    length = HISTORY + valid
    for segment in range(_SEGMENTS + 2):
        begin = segment * _SEGMENT
        size = min(_SEGMENT, length - begin)
        peaks[segment] = _highest(extended[begin : begin + size], size) if size > 0 else np.float32(0)
    highest = _highest(extended[HISTORY:_SEGMENT], min(_SEGMENT, length) - HISTORY)
    for segment in range(1, _SEGMENTS + 2):
        highest = max(highest, peaks[segment])
    return highest


@_jit
def _loudness(power):
    return LUFS_OFFSET + 10.0 * math.log10(max(power, POWER_FLOOR))


@_jit
def _k_weight(extended, valid, state, phase, powers):
    """Add the squares of the K-weighted samples to the 10 ms that each falls into, and carry `state` on."""
    s0, s1, h0, h1 = state[0], state[1], state[2], state[3]
    begin = 0
    index = 0
    while begin < valid:
        end = min(valid, (index + 1) * BIN - phase)
        total = 0.0
        for i in range(begin, end):
            x = np.float64(extended[HISTORY + i])
            shelf = _S_B0 * x + s0
            s0 = _S_B1 * x - _S_A1 * shelf + s1
            s1 = _S_B2 * x - _S_A2 * shelf
            y = shelf + h0
            h0 = _H_B1 * shelf - _H_A1 * y + h1
            h1 = _H_B2 * shelf - _H_A2 * y
            total += y * y
        powers[index] = total
        begin = end
        index += 1
    state[0] = s0 if abs(s0) >= STATE_FLOOR else 0.0
    state[1] = s1 if abs(s1) >= STATE_FLOOR else 0.0
    state[2] = h0 if abs(h0) >= STATE_FLOOR else 0.0
    state[3] = h1 if abs(h1) >= STATE_FLOOR else 0.0


@_jit
def _k_weight_two(one, two, valid, state, other, phase, powers, others):
    """`_k_weight` of two channels side by side: the steps of one fill the time in which those of the other wait."""
    s0, s1, h0, h1 = state[0], state[1], state[2], state[3]
    t0, t1, g0, g1 = other[0], other[1], other[2], other[3]
    begin = 0
    index = 0
    while begin < valid:
        end = min(valid, (index + 1) * BIN - phase)
        total = another = 0.0
        for i in range(begin, end):
            x = np.float64(one[HISTORY + i])
            z = np.float64(two[HISTORY + i])
            shelf = _S_B0 * x + s0
            shelve = _S_B0 * z + t0
            s0 = _S_B1 * x - _S_A1 * shelf + s1
            t0 = _S_B1 * z - _S_A1 * shelve + t1
            s1 = _S_B2 * x - _S_A2 * shelf
            t1 = _S_B2 * z - _S_A2 * shelve
            y = shelf + h0
            w = shelve + g0
            h0 = _H_B1 * shelf - _H_A1 * y + h1
            g0 = _H_B1 * shelve - _H_A1 * w + g1
            h1 = _H_B2 * shelf - _H_A2 * y
            g1 = _H_B2 * shelve - _H_A2 * w
            total += y * y
            another += w * w
        powers[index] = total
        others[index] = another
        begin = end
        index += 1
    state[0] = s0 if abs(s0) >= STATE_FLOOR else 0.0
    state[1] = s1 if abs(s1) >= STATE_FLOOR else 0.0
    state[2] = h0 if abs(h0) >= STATE_FLOOR else 0.0
    state[3] = h1 if abs(h1) >= STATE_FLOOR else 0.0
    other[0] = t0 if abs(t0) >= STATE_FLOOR else 0.0
    other[1] = t1 if abs(t1) >= STATE_FLOOR else 0.0
    other[2] = g0 if abs(g0) >= STATE_FLOOR else 0.0
    other[3] = g1 if abs(g1) >= STATE_FLOOR else 0.0


@_jit
def _tonality(extended, valid):
    """Share of the second difference's power that is a multiple of the signal itself, 1 for a single sine."""
    power = along = across = 0.0
    for i in range(HISTORY + 1, HISTORY + valid - 1):
        x = np.float64(extended[i])
        bend = np.float64(extended[i - 1]) + np.float64(extended[i + 1]) - 2.0 * x
        power += x * x
        along += x * bend
        across += bend * bend
    return along * along / (power * across) if power * across > 0.0 else 0.0


@_jit
def _count_clipped(extended, valid, level):
    """Twice the samples at full scale in excess of an unclipped waveform's, and the samples at or above it."""
    top = shoulder = hump = hump_shoulder = hump_low = full = 0
    for i in range(HISTORY, HISTORY + valid):
        size = np.float64(abs(extended[i]))
        top += CLIP_TOP * level <= size < CLIP_CEILING * level
        shoulder += CLIP_SHOULDER * level <= size < CLIP_TOP * level
        hump += HUMP_TOP * level <= size < HUMP_CEILING * level
        hump_shoulder += HUMP_SHOULDER * level <= size < HUMP_TOP * level
        hump_low += HUMP_LOW * level <= size < HUMP_SHOULDER * level
        full += size >= level
    weight = 3 if 20 * hump_shoulder <= 21 * hump_low else 6
    spread = 2 * hump - weight * hump_shoulder if 10 * hump >= max(valid, CLIP_MIN_SAMPLES) else 0
    sharp = 2 * top - 4 * shoulder
    if sharp > 0 or spread > 0:
        tonality = _tonality(extended, valid)
        sharp = sharp if tonality < 0.95 else 0
        spread = spread if tonality < 0.5 else 0
    return max(sharp, spread), full


@_jit
def _is_flat(one, other):
    return abs(np.float64(one) - np.float64(other)) <= FLAT_STEP


@_jit
def _count_flat(extended, valid, peak):
    """Samples in tops that are cut off flat, at any level."""
    top = FLAT_TOP * peak
    near = 0  # most blocks have none, and vector instructions find that out
    for i in range(HISTORY, HISTORY + valid - 1):
        near += (np.float64(abs(extended[i])) >= top) & _is_flat(extended[i], extended[i + 1])
    if near == 0:
        return 0
    high, low, leap = FLAT_HIGH * peak, FLAT_LOW * peak, FLAT_LEAP * peak
    flat = below = begins = ends = 0
    for i in range(HISTORY + 1, HISTORY + valid - 1):
        size = np.float64(abs(extended[i]))
        if size < low:
            continue
        as_before, as_after = _is_flat(extended[i], extended[i - 1]), _is_flat(extended[i], extended[i + 1])
        below += as_before and as_after and size < high
        if size >= top:
            flat += as_before and as_after
            begins += as_after and FLAT_CORNER <= size - np.float64(abs(extended[i - 1])) <= leap
            ends += as_before and FLAT_CORNER <= size - np.float64(abs(extended[i + 1])) <= leap
    tops = min(begins, ends)
    return max(min(3 * flat, flat + 2 * tops, FLAT_RUN * tops) - 2 * below, 0)


@_jit
def _interpolated_peak(extended, valid, segment_peaks, taps, sums, peak):
    """The larger of `peak` and the largest |value| between the samples whose neighbours are all known."""
    for segment in range((valid + _SEGMENT - 1) // _SEGMENT):
        # Its windows reach HISTORY samples further, into the next segment of `extended`.
        if max(segment_peaks[segment], segment_peaks[segment + 1]) * INTERPOLATOR_GAIN <= peak:
            continue
        begin = segment * _SEGMENT
        size = min(_SEGMENT, valid - begin)
        quarter, half, three_quarters = sums[0], sums[1], sums[2]
        for i in range(size):
            quarter[i] = np.float32(0)
            half[i] = np.float32(0)
            three_quarters[i] = np.float32(0)
        # Four taps at a time: each sum is read and written once for four products. Their order stays that of the taps.
        for k in range(0, TAPS, 4):
            a0, a1, a2, a3 = taps[0, k], taps[0, k + 1], taps[0, k + 2], taps[0, k + 3]
            b0, b1, b2, b3 = taps[1, k], taps[1, k + 1], taps[1, k + 2], taps[1, k + 3]
            c0, c1, c2, c3 = taps[2, k], taps[2, k + 1], taps[2, k + 2], taps[2, k + 3]
            x = extended[begin + k : begin + k + size + 3]
            for i in range(size):
                x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
                quarter[i] = quarter[i] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                half[i] = half[i] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                three_quarters[i] = three_quarters[i] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
        peak = max(peak, _highest(quarter, size), _highest(half, size), _highest(three_quarters, size))
    return peak


@_jit
def _update_windows(powers, added, bins, progress, histograms, kept_power, maxima, out):
    """Append `added` finished bins, count the gating blocks that they complete, and write the loudness columns."""
    momentary_max = short_term_max = -np.inf
    finished = progress[0]
    for j in range(added):
        bins[finished % SHORT_TERM_BINS] = powers[j] / BIN
        finished += 1
        if finished >= MOMENTARY_BINS:
            total = 0.0
            for age in range(1, MOMENTARY_BINS + 1):
                total += bins[(finished - age) % SHORT_TERM_BINS]
            power = total / MOMENTARY_BINS
            loudness = _loudness(power)
            momentary_max = max(momentary_max, loudness)
            if finished % BINS_PER_HOP == 0:
                _count(power, loudness, histograms[0], kept_power, 0)
        if finished >= SHORT_TERM_BINS:
            total = 0.0
            for index in range(SHORT_TERM_BINS):
                total += bins[index]
            power = total / SHORT_TERM_BINS
            loudness = _loudness(power)
            short_term_max = max(short_term_max, loudness)
            if finished % BINS_PER_HOP == 0:
                _count(power, loudness, histograms[1], kept_power, 1)
    progress[0] = finished
    maxima[1] = max(maxima[1], momentary_max)
    maxima[2] = max(maxima[2], short_term_max)

    momentary = short_term = np.nan
    if finished >= MOMENTARY_BINS:
        total = 0.0
        for age in range(1, MOMENTARY_BINS + 1):
            total += bins[(finished - age) % SHORT_TERM_BINS]
        momentary = _loudness(total / MOMENTARY_BINS)
    if finished >= SHORT_TERM_BINS:
        total = 0.0
        for index in range(SHORT_TERM_BINS):
            total += bins[index]
        short_term = _loudness(total / SHORT_TERM_BINS)
    out[4] = momentary
    out[5] = momentary_max if momentary_max > -np.inf else momentary
    out[6] = short_term
    out[7] = short_term_max if short_term_max > -np.inf else short_term


@_jit
def _count(power, loudness, histogram, kept_power, which):
    if loudness >= ABSOLUTE_GATE:
        step = int((loudness - ABSOLUTE_GATE) * HISTOGRAM_STEPS_PER_LU)
        histogram[min(step, HISTOGRAM_BINS - 1)] += 1
        kept_power[which] += power


@_jit
def measure(
    samples,
    channels,
    valid_samples,
    weights,
    clip_level,
    slots,
    silence_threshold,
    filters,
    history,
    bins,
    unfinished,
    progress,
    histograms,
    kept_power,
    maxima,
    taps,
    out,
):
    """The op's work on arrays; `taps` is INTERPOLATOR, `out` (N, len(COLUMNS)) float64."""
    pair = np.zeros((2, _EXTENDED), np.float32)
    segment_peaks = np.zeros(_SEGMENTS + 2, np.float32)
    sums = np.zeros((3, _SEGMENT), np.float32)
    powers = np.zeros(BINS_PER_HOP + 1)
    channel_powers = np.zeros((2, BINS_PER_HOP + 1))
    for row in range(samples.shape[0]):
        slot = slots[row]
        valid = valid_samples[row]
        phase = progress[slot, 1]
        level = clip_level[row]
        threshold = silence_threshold[row]
        sample_peak = np.float32(0)
        true_peak = np.float32(0)
        square_sum = 0.0
        dc = 0.0
        excess = 0
        most_full = 0
        first_loud = valid
        last_loud = -1
        powers[:] = 0.0
        powers[0] = unfinished[slot]
        for channel in range(channels[row]):
            past = history[slot, channel]
            extended = pair[channel % 2]
            for i in range(HISTORY):
                extended[i] = past[i]
            here = extended[HISTORY:]
            _clean(samples[row, channel], valid, here)
            total, squares = _sums(here, valid)
            channel_peak = _segment_peaks(extended, valid, segment_peaks)
            # Few blocks come near full scale: only those are counted sample by sample.
            if channel_peak >= HUMP_TOP * level:
                channel_excess, full = _count_clipped(extended, valid, level)
                excess = max(excess, channel_excess)
                most_full = max(most_full, full)
            if channel_peak >= FLAT_LEAST:
                excess = max(excess, FLAT_HALVES * _count_flat(extended, valid, np.float64(channel_peak)))
            for i in range(first_loud):
                if np.float64(abs(extended[HISTORY + i])) >= threshold:
                    first_loud = i
                    break
            for i in range(valid - 1, last_loud, -1):
                if np.float64(abs(extended[HISTORY + i])) >= threshold:
                    last_loud = i
                    break
            if channel % 2 == 1:
                channel_powers[:] = 0.0
                _k_weight_two(
                    pair[0], pair[1], valid, filters[slot, channel - 1], filters[slot, channel], phase,
                    channel_powers[0], channel_powers[1],
                )  # fmt: skip
                for index in range(BINS_PER_HOP + 1):
                    powers[index] += weights[row, channel - 1] * channel_powers[0, index]
                    powers[index] += weights[row, channel] * channel_powers[1, index]
            elif channel + 1 == channels[row]:
                channel_powers[0] = 0.0
                _k_weight(extended, valid, filters[slot, channel], phase, channel_powers[0])
                for index in range(BINS_PER_HOP + 1):
                    powers[index] += weights[row, channel] * channel_powers[0, index]
            sample_peak = max(sample_peak, channel_peak)
            true_peak = _interpolated_peak(extended, valid, segment_peaks, taps, sums, max(true_peak, channel_peak))
            for i in range(HISTORY):
                past[i] = extended[valid + i]
            square_sum += squares
            dc = max(dc, abs(total / valid))
        finished = (phase + valid) // BIN
        _update_windows(
            powers,
            finished,
            bins[slot],
            progress[slot],
            histograms[slot],
            kept_power[slot],
            maxima[slot],
            out[row],
        )
        progress[slot, 1] = phase + valid - finished * BIN
        unfinished[slot] = powers[finished] if progress[slot, 1] else 0.0
        maxima[slot, 0] = max(maxima[slot, 0], np.float64(true_peak))
        out[row, 0] = sample_peak
        out[row, 1] = true_peak
        out[row, 2] = math.sqrt(square_sum / (valid * channels[row]))
        out[row, 3] = dc
        out[row, 8] = first_loud
        out[row, 9] = valid - 1 - last_loud
        out[row, 10] = excess / (2 * max(valid, CLIP_MIN_SAMPLES))
        out[row, 11] = most_full / valid
        out[row, 12] = 1.0 if first_loud >= valid else 0.0
        out[row, 13] = 20.0 * math.log10(max(np.float64(true_peak), TRUE_PEAK_FLOOR))


def audio_stats(
    samples: Tensor,
    channels: Tensor,
    valid: Tensor,
    weights: Tensor,
    clip_level: Tensor,
    slots: Tensor,
    silence_threshold: Tensor,
    state: tuple[Tensor, ...],
) -> Tensor:
    """The CPU implementation of `avjury::audio_stats`; arguments as there, `state` in the order of `AudioState`."""
    out = torch.empty((samples.shape[0], 14), dtype=torch.float64)
    inputs = (samples, channels, valid, weights, clip_level, slots, silence_threshold, *state)
    arrays = [tensor.numpy() for tensor in inputs]
    measure(*arrays, INTERPOLATOR, out.numpy())
    return out
