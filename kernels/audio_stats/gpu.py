"""`audio_stats` on CUDA.

The K-weighting recursion runs in parallel over chunks of 40 samples, exactly (the filters are linear): each chunk's
answer from empty memory, then what every chunk starts from (start' = P start + answer, P the memory's own decay over
40 samples), then each chunk again from its true start. All of it in float64: per second of one channel that is two
million operations, nothing even where float64 is slow, and float32 would lose the slow pole of the high-pass stage.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.audio_stats.filters import (
    ABSOLUTE_GATE,
    BIN,
    BLOCK,
    CLIP_BANDS,
    CLIP_MIN_SAMPLES,
    FLAT_BANDS,
    FLAT_HALVES,
    FLAT_RUN,
    HISTOGRAM_BINS,
    HISTOGRAM_STEPS_PER_LU,
    INTERPOLATOR,
    K_WEIGHTING,
    LUFS_OFFSET,
    MAX_CHANNELS,
    MOMENTARY_BINS,
    POWER_FLOOR,
    SAMPLE_LIMIT,
    SHORT_TERM_BINS,
    STATE_FLOOR,
    TAPS,
    TRUE_PEAK_FLOOR,
    k_weighting_transition,
)

_CHUNK = 40  # divides a block and a bin, and leaves few lanes of 128 idle
_CHUNKS = BLOCK // _CHUNK
_LANES = 128
_SCAN_LANES = 32
# One row of intermediate results per channel: the power of each 10 ms, then the measures of its samples.
_BIN_COLUMNS = 16
_PARTIAL_COLUMNS = 24
# Float64 constants that the kernels load, because Triton makes literals float32: K-weighting, the transition matrix,
# then these.
_SCALARS = (LUFS_OFFSET, POWER_FLOOR, ABSOLUTE_GATE, STATE_FLOOR, *CLIP_BANDS, TRUE_PEAK_FLOOR, 20 / math.log(10),
            *FLAT_BANDS)  # fmt: skip
# Where the flat tops' begin, from the first of CLIP_BANDS.
_FLAT_FROM = tl.constexpr(len(CLIP_BANDS) + 2)
_constants: dict[torch.device, tuple[Tensor, Tensor]] = {}


@triton.jit
def _clean(x, LIMIT: tl.constexpr):
    x = tl.where(x != x, 0.0, x)
    return tl.minimum(tl.maximum(x, -LIMIT), LIMIT)


@triton.jit
def _four(values):
    """The columns of (N, 4), which one thread holds."""
    even, odd = tl.split(tl.reshape(values, (values.shape[0], 2, 2)))
    first, third = tl.split(even)
    second, fourth = tl.split(odd)
    return first, second, third, fourth


@triton.jit
def _load_four(places, mask):
    """Four doubles side by side of each lane."""
    return _four(tl.load(places[:, None] + tl.arange(0, 4)[None, :], mask=mask[:, None], other=0.0))


@triton.jit
def _put_four(places, first, second, third, fourth, mask):
    values = tl.reshape(tl.join(tl.join(first, third), tl.join(second, fourth)), (first.shape[0], 4))
    tl.store(places[:, None] + tl.arange(0, 4)[None, :], values, mask=mask[:, None])


@triton.jit
def _four_samples(base, lane, step, limit, CHUNK: tl.constexpr, CHUNKS: tl.constexpr, LIMIT: tl.constexpr):
    """Four samples of each lane's chunk, which begin at a multiple of 16 bytes: one load of a thread.

    Whether a lane has a chunk is all that is asked before; what lies beyond `limit` is read and thrown away.
    """
    index = lane[:, None] * CHUNK + step * 4 + tl.arange(0, 4)[None, :]
    x = tl.load(base + index, mask=(lane < CHUNKS)[:, None], other=0.0)
    return _four(_clean(tl.where(index < limit, x, 0.0), LIMIT).to(tl.float64))


@triton.jit
def _k_weighting(coefficients):
    c = coefficients
    shelf = (tl.load(c), tl.load(c + 1), tl.load(c + 2), tl.load(c + 3), tl.load(c + 4))
    return shelf, (tl.load(c + 5), tl.load(c + 6), tl.load(c + 7), tl.load(c + 8), tl.load(c + 9))


@triton.jit
def _stage(x, s0, s1, stage):
    """One sample through a second-order stage, in the transposed direct form."""
    y = stage[0] * x + s0
    return y, stage[1] * x - stage[3] * y + s1, stage[2] * x - stage[4] * y


@triton.jit
def _chunk_answers(
    samples, row_stride, channel_stride, channels, valid, coefficients, answers,
    CHANNELS: tl.constexpr, CHUNK: tl.constexpr, CHUNKS: tl.constexpr, LANES: tl.constexpr, LIMIT: tl.constexpr,
):  # fmt: skip
    """Filter memory after each chunk, had it started empty."""
    program = tl.program_id(0)
    row = program // CHANNELS
    channel = program % CHANNELS
    if channel < tl.load(channels + row):
        limit = tl.load(valid + row)
        base = samples + row.to(tl.int64) * row_stride + channel * channel_stride
        lane = tl.arange(0, LANES)
        s0 = tl.zeros([LANES], tl.float64)
        s1 = tl.zeros([LANES], tl.float64)
        h0 = tl.zeros([LANES], tl.float64)
        h1 = tl.zeros([LANES], tl.float64)
        shelf, high_pass = _k_weighting(coefficients)
        for step in range(CHUNK // 4):
            samples_of = _four_samples(base, lane, step, limit, CHUNK, CHUNKS, LIMIT)
            for k in tl.static_range(4):
                y, s0, s1 = _stage(samples_of[k], s0, s1, shelf)
                y, h0, h1 = _stage(y, h0, h1, high_pass)
        out = answers + (program.to(tl.int64) * CHUNKS + lane) * 4
        _put_four(out, s0, s1, h0, h1, lane < CHUNKS)


@triton.jit
def _decayed(transition, s0, s1, h0, h1):
    m = transition
    return (
        tl.load(m) * s0 + tl.load(m + 1) * s1 + tl.load(m + 2) * h0 + tl.load(m + 3) * h1,
        tl.load(m + 4) * s0 + tl.load(m + 5) * s1 + tl.load(m + 6) * h0 + tl.load(m + 7) * h1,
        tl.load(m + 8) * s0 + tl.load(m + 9) * s1 + tl.load(m + 10) * h0 + tl.load(m + 11) * h1,
        tl.load(m + 12) * s0 + tl.load(m + 13) * s1 + tl.load(m + 14) * h0 + tl.load(m + 15) * h1,
    )


@triton.jit
def _chunk_starts(
    answers, channels, slots, filters, transition, count,
    CHANNELS: tl.constexpr, CHUNKS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Replace each chunk's answer by the memory that it truly starts from; a lane per channel."""
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    row = lane // CHANNELS
    channel = lane % CHANNELS
    here = lane < count
    active = here & (channel < tl.load(channels + row, mask=here, other=0))
    slot = tl.load(slots + row, mask=active, other=0)
    memory = filters + (slot * CHANNELS + channel) * 4
    s0, s1, h0, h1 = _load_four(memory, active)
    place = answers + lane.to(tl.int64) * CHUNKS * 4
    for _ in range(CHUNKS):
        a0, a1, a2, a3 = _load_four(place, active)
        _put_four(place, s0, s1, h0, h1, active)
        s0, s1, h0, h1 = _decayed(transition, s0, s1, h0, h1)
        s0 += a0
        s1 += a1
        h0 += a2
        h1 += a3
        place += 4


@triton.jit
def _bin_powers(
    samples, row_stride, channel_stride, channels, valid, slots, progress, coefficients, floor, starts, filters,
    partial,
    CHANNELS: tl.constexpr, CHUNK: tl.constexpr, CHUNKS: tl.constexpr, LANES: tl.constexpr, LIMIT: tl.constexpr,
    BIN: tl.constexpr, BIN_COLUMNS: tl.constexpr, PARTIAL_COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sum of squares of the K-weighted samples of one channel in each 10 ms, and its filter memory at the end."""
    program = tl.program_id(0)
    row = program // CHANNELS
    channel = program % CHANNELS
    if channel < tl.load(channels + row):
        limit = tl.load(valid + row)
        slot = tl.load(slots + row)
        phase = tl.load(progress + slot * 2 + 1)
        base = samples + row.to(tl.int64) * row_stride + channel * channel_stride
        lane = tl.arange(0, LANES)
        place = starts + (program.to(tl.int64) * CHUNKS + lane) * 4
        s0, s1, h0, h1 = _load_four(place, lane < CHUNKS)
        # A chunk is shorter than a bin, so that its samples fall into at most two.
        first_bin = (phase + lane * CHUNK) // BIN
        in_first = tl.zeros([LANES], tl.float64)
        in_second = tl.zeros([LANES], tl.float64)
        shelf, high_pass = _k_weighting(coefficients)
        for step in range(CHUNK // 4):
            samples_of = _four_samples(base, lane, step, limit, CHUNK, CHUNKS, LIMIT)
            for k in tl.static_range(4):
                index = lane * CHUNK + step * 4 + k
                here = (lane < CHUNKS) & (index < limit)
                y, n0, n1 = _stage(samples_of[k], s0, s1, shelf)
                y, m0, m1 = _stage(y, h0, h1, high_pass)
                s0 = tl.where(here, n0, s0)
                s1 = tl.where(here, n1, s1)
                h0 = tl.where(here, m0, h0)
                h1 = tl.where(here, m1, h1)
                square = tl.where(here, y * y, 0.0)
                first = (phase + index) // BIN == first_bin
                in_first += tl.where(first, square, 0.0)
                in_second += tl.where(first, 0.0, square)
        out = partial + program.to(tl.int64) * PARTIAL_COLUMNS
        for b in tl.static_range(BIN_COLUMNS):
            mine = tl.where(first_bin == b, in_first, 0.0) + tl.where(first_bin + 1 == b, in_second, 0.0)
            tl.store(out + b, tl.sum(mine, axis=0))
        last = lane == (limit - 1) // CHUNK
        memory = filters + (slot * CHANNELS + channel) * 4 + tl.zeros([LANES], tl.int64)
        smallest = tl.load(floor)
        tl.store(memory, tl.where(tl.abs(s0) >= smallest, s0, 0.0), mask=last)
        tl.store(memory + 1, tl.where(tl.abs(s1) >= smallest, s1, 0.0), mask=last)
        tl.store(memory + 2, tl.where(tl.abs(h0) >= smallest, h0, 0.0), mask=last)
        tl.store(memory + 3, tl.where(tl.abs(h1) >= smallest, h1, 0.0), mask=last)


@triton.jit
def _extended(base, past, index, limit, HISTORY: tl.constexpr, LIMIT: tl.constexpr):
    """Samples of the past followed by those of the block; zeros after the last real one."""
    old = tl.load(past + index, mask=index < HISTORY, other=0.0)
    at = index - HISTORY
    new = tl.load(base + at, mask=(at >= 0) & (at < limit), other=0.0)
    return tl.where(at < 0, old, _clean(new, LIMIT))


@triton.jit
def _whole_block(base, index, limit, BLOCK: tl.constexpr, LIMIT: tl.constexpr):
    """Samples of a block as float64, 0 behind the last real one.

    What is asked before the load is the same for each run of 16 bytes, so that one load of a thread takes as much.
    """
    x = tl.load(base + index, mask=index < BLOCK, other=0.0)
    return _clean(tl.where(index < limit, x, 0.0), LIMIT).to(tl.float64)


@triton.jit
def _beside(base, index, inner, LIMIT: tl.constexpr):
    """The samples before and after those at `index`."""
    before = _clean(tl.load(base + index - 1, mask=inner, other=0.0), LIMIT)
    after = _clean(tl.load(base + index + 1, mask=inner, other=0.0), LIMIT)
    return before.to(tl.float64), after.to(tl.float64)


@triton.jit
def _in_band(size, here, level, band):
    """1 for samples from one level of `band` up to, not including, the next; else 0."""
    inside = (size >= tl.load(band) * level) & (size < tl.load(band + 1) * level) & here
    return inside.to(tl.int32)


@triton.jit
def _flat_samples(
    base, limit, peak, bands,
    BLOCK: tl.constexpr, STEP: tl.constexpr, STEPS: tl.constexpr, LIMIT: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Samples in tops that are cut off flat, at any level."""
    near, corner, leap = tl.load(bands + 5), tl.load(bands + 6), tl.load(bands + 3) * peak
    begins = tl.zeros([STEP], tl.int32)
    ends = tl.zeros([STEP], tl.int32)
    flat = tl.zeros([STEP], tl.int32)
    below = tl.zeros([STEP], tl.int32)
    for step in range(STEPS):
        index = step * STEP + tl.arange(0, STEP)
        inner = (index >= 1) & (index < limit - 1)
        middle = tl.where(inner, _whole_block(base, index, limit, BLOCK, LIMIT), 0.0)
        before, after = _beside(base, index, inner, LIMIT)
        size = tl.abs(middle)
        as_before, as_after = tl.abs(middle - before) <= near, tl.abs(middle - after) <= near
        top = inner & (size >= tl.load(bands) * peak)
        low = inner & (size >= tl.load(bands + 2) * peak) & (size < tl.load(bands + 1) * peak)
        rise, fall = size - tl.abs(before), size - tl.abs(after)
        begins += (top & as_after & (rise >= corner) & (rise <= leap)).to(tl.int32)
        ends += (top & as_before & (fall >= corner) & (fall <= leap)).to(tl.int32)
        flat += (top & as_before & as_after).to(tl.int32)
        below += (low & as_before & as_after).to(tl.int32)
    tops = tl.minimum(tl.sum(begins, axis=0), tl.sum(ends, axis=0))
    flats = tl.sum(flat, axis=0)
    count = tl.minimum(tl.minimum(3 * flats, flats + 2 * tops), RUN * tops) - 2 * tl.sum(below, axis=0)
    return tl.where(peak >= tl.load(bands + 4), tl.maximum(count, 0), 0)


@triton.jit
def _sample_measures(
    samples, row_stride, channel_stride, channels, valid, slots, clip_level, threshold, clip_bands, taps, history,
    partial,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, STEP: tl.constexpr, STEPS: tl.constexpr, LIMIT: tl.constexpr,
    TAPS: tl.constexpr, MIN_SAMPLES: tl.constexpr, FIRST_COLUMN: tl.constexpr, PARTIAL_COLUMNS: tl.constexpr,
    RUN: tl.constexpr, HALVES: tl.constexpr,
):  # fmt: skip
    """Peaks, sums, clipping counts and first and last loud sample of one channel."""
    HISTORY: tl.constexpr = TAPS - 1
    program = tl.program_id(0)
    row = program // CHANNELS
    channel = program % CHANNELS
    if channel < tl.load(channels + row):
        limit = tl.load(valid + row).to(tl.int32)
        slot = tl.load(slots + row)
        level = tl.load(clip_level + row)
        base = samples + row.to(tl.int64) * row_stride + channel * channel_stride
        past = history + (slot * CHANNELS + channel) * HISTORY
        out = partial + program.to(tl.int64) * PARTIAL_COLUMNS + FIRST_COLUMN

        # In steps, so that all that adds up keeps to registers.
        largest = tl.zeros([STEP], tl.float64)
        squares = tl.zeros([STEP], tl.float64)
        total = tl.zeros([STEP], tl.float64)
        alike = tl.zeros([STEP], tl.float64)
        middles = tl.zeros([STEP], tl.float64)
        bends = tl.zeros([STEP], tl.float64)
        shoulders = tl.zeros([STEP], tl.int32)
        tops = tl.zeros([STEP], tl.int32)
        humps_low = tl.zeros([STEP], tl.int32)
        humps_shoulder = tl.zeros([STEP], tl.int32)
        humps = tl.zeros([STEP], tl.int32)
        full = tl.zeros([STEP], tl.int32)
        first = tl.zeros([STEP], tl.int32) + limit
        last = tl.zeros([STEP], tl.int32) - 1
        for step in range(STEPS):
            index = step * STEP + tl.arange(0, STEP)
            here = index < limit
            x = _whole_block(base, index, limit, BLOCK, LIMIT)
            size = tl.abs(x)
            loud = (size >= tl.load(threshold + row)) & here
            largest = tl.maximum(largest, size)
            squares += x * x
            total += x
            shoulders += _in_band(size, here, level, clip_bands)
            tops += _in_band(size, here, level, clip_bands + 1)
            humps_low += _in_band(size, here, level, clip_bands + 3)
            humps_shoulder += _in_band(size, here, level, clip_bands + 4)
            humps += _in_band(size, here, level, clip_bands + 5)
            full += ((size >= level) & here).to(tl.int32)
            first = tl.minimum(first, tl.where(loud, index, limit))
            last = tl.maximum(last, tl.where(loud, index, -1))
            inner = (index >= 1) & (index < limit - 1)
            before, after = _beside(base, index, inner, LIMIT)
            middle = tl.where(inner, x, 0.0)
            bend = before + after - 2 * middle
            alike += middle * bend
            middles += middle * middle
            bends += bend * bend
        peak = tl.max(largest, axis=0)
        tl.store(out, peak)
        tl.store(out + 2, tl.sum(squares, axis=0))
        tl.store(out + 3, tl.sum(total, axis=0))
        shoulder, top = tl.sum(shoulders, axis=0), tl.sum(tops, axis=0)
        hump_low, hump_shoulder = tl.sum(humps_low, axis=0), tl.sum(humps_shoulder, axis=0)
        hump = tl.sum(humps, axis=0)
        weight = tl.where(20 * hump_shoulder <= 21 * hump_low, 3, 6)
        along = tl.sum(alike, axis=0)
        both = tl.sum(middles, axis=0) * tl.sum(bends, axis=0)
        tonality = tl.where(both > 0, along * along / tl.where(both > 0, both, 1.0), 0.0)
        spread = tl.where(10 * hump >= tl.maximum(limit, MIN_SAMPLES), 2 * hump - weight * hump_shoulder, 0)
        excess = tl.maximum(tl.where(tonality < 0.95, 2 * top - 4 * shoulder, 0), tl.where(tonality < 0.5, spread, 0))
        flat = _flat_samples(base, limit, peak, clip_bands + _FLAT_FROM, BLOCK, STEP, STEPS, LIMIT, RUN)
        excess = tl.maximum(excess, HALVES * flat)
        tl.store(out + 4, excess.to(tl.float64))
        tl.store(out + 5, tl.sum(full, axis=0).to(tl.float64))
        tl.store(out + 6, tl.min(first, axis=0).to(tl.float64))
        tl.store(out + 7, tl.max(last, axis=0).to(tl.float64))

        highest = tl.zeros([STEP], tl.float32)
        for step in range(STEPS):
            point = step * STEP + tl.arange(0, STEP)
            quarter = tl.zeros([STEP], tl.float32)
            half = tl.zeros([STEP], tl.float32)
            three_quarters = tl.zeros([STEP], tl.float32)
            for k in range(TAPS):
                tap = _extended(base, past, point + k, limit, HISTORY, LIMIT)
                quarter += tl.load(taps + k) * tap
                half += tl.load(taps + TAPS + k) * tap
                three_quarters += tl.load(taps + 2 * TAPS + k) * tap
            between = tl.maximum(tl.maximum(tl.abs(quarter), tl.abs(half)), tl.abs(three_quarters))
            highest = tl.maximum(highest, tl.where(point < limit, between, 0.0))
        tl.store(out + 1, tl.maximum(peak, tl.max(highest, axis=0).to(tl.float64)))

        keep = tl.arange(0, TAPS)
        latest = _extended(base, past, limit + keep, limit, HISTORY, LIMIT)
        tl.debug_barrier()  # every read of the past comes before it is overwritten
        tl.store(past + keep, latest, mask=keep < HISTORY)


@triton.jit
def _loudness(power, scalars):
    return tl.load(scalars) + tl.log(tl.maximum(power, tl.load(scalars + 1))) * (10.0 / 2.302585092994046)


@triton.jit
def _count(power, loudness, wanted, histogram, kept, scalars, HISTOGRAM_BINS: tl.constexpr, PER_LU: tl.constexpr):
    gate = tl.load(scalars + 2)
    counts = wanted & (loudness >= gate)
    step = tl.minimum(((loudness - gate) * PER_LU).to(tl.int32), HISTOGRAM_BINS - 1)
    place = histogram + tl.where(counts, step, 0)
    tl.store(place, tl.load(place, mask=counts, other=0) + 1, mask=counts)
    tl.store(kept, tl.load(kept, mask=counts, other=0.0) + power, mask=counts)


@triton.jit
def _row_measures(
    channels, valid, weights, slots, partial, scalars, bins, unfinished, progress, histograms, kept_power, maxima, out,
    CHANNELS: tl.constexpr, BIN: tl.constexpr, BIN_COLUMNS: tl.constexpr, PARTIAL_COLUMNS: tl.constexpr,
    BINS_PER_HOP: tl.constexpr, RING: tl.constexpr, RING_LANES: tl.constexpr, MOMENTARY: tl.constexpr,
    HISTOGRAM_BINS: tl.constexpr, PER_LU: tl.constexpr, CLIP_MIN_SAMPLES: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """A row's columns from its channels' measures; its slot's windows, histograms and maxima."""
    row = tl.program_id(0)
    count = tl.load(channels + row)
    limit = tl.load(valid + row)
    slot = tl.load(slots + row)
    done = tl.load(progress + slot * 2)
    phase = tl.load(progress + slot * 2 + 1)
    channel = tl.arange(0, CHANNELS)
    column = tl.arange(0, BIN_COLUMNS)
    rows = partial + (row.to(tl.int64) * CHANNELS + channel) * PARTIAL_COLUMNS
    real = channel < count

    power_of = tl.load(rows[:, None] + column[None, :], mask=real[:, None], other=0.0)
    weight = tl.load(weights + row * CHANNELS + channel)
    powers = tl.sum(power_of * weight[:, None], axis=0)
    powers += tl.where(column == 0, tl.load(unfinished + slot), 0.0)
    added = (phase + limit) // BIN

    lane = tl.arange(0, RING_LANES)
    in_ring = lane < RING
    ring_place = bins + slot * RING + lane
    ring = tl.load(ring_place, mask=in_ring, other=0.0)
    histogram = histograms + slot * 2 * HISTOGRAM_BINS
    nan = float("nan")
    lowest = float("-inf")
    momentary = _loudness(
        tl.sum(tl.where((done + RING - 1 - lane) % RING < MOMENTARY, ring, 0.0), axis=0) / MOMENTARY, scalars
    )
    short_term = _loudness(tl.sum(ring, axis=0) / RING, scalars)
    momentary = tl.where(done >= MOMENTARY, momentary, nan)
    short_term = tl.where(done >= RING, short_term, nan)
    momentary_max = tl.load(scalars) * 0.0 + lowest
    short_term_max = momentary_max
    for j in tl.static_range(BINS_PER_HOP):
        new = j < added
        finished = done + j + 1
        power = tl.sum(tl.where(column == j, powers, 0.0), axis=0) / BIN
        ring = tl.where(new & (lane == (finished - 1) % RING), power, ring)
        age = (finished + RING - 1 - lane) % RING
        recent = tl.sum(tl.where(in_ring & (age < MOMENTARY), ring, 0.0), axis=0) / MOMENTARY
        loudness = _loudness(recent, scalars)
        known = new & (finished >= MOMENTARY)
        momentary = tl.where(known, loudness, momentary)
        momentary_max = tl.where(known, tl.maximum(momentary_max, loudness), momentary_max)
        hop = finished % BINS_PER_HOP == 0
        _count(recent, loudness, known & hop, histogram, kept_power + slot * 2, scalars, HISTOGRAM_BINS, PER_LU)
        whole = tl.sum(ring, axis=0) / RING
        loudness = _loudness(whole, scalars)
        known = new & (finished >= RING)
        short_term = tl.where(known, loudness, short_term)
        short_term_max = tl.where(known, tl.maximum(short_term_max, loudness), short_term_max)
        _count(whole, loudness, known & hop, histogram + HISTOGRAM_BINS, kept_power + slot * 2 + 1, scalars,
               HISTOGRAM_BINS, PER_LU)  # fmt: skip
    tl.store(ring_place, ring, mask=in_ring)
    left = phase + limit - added * BIN
    tl.store(progress + slot * 2, done + added)
    tl.store(progress + slot * 2 + 1, left)
    rest = tl.sum(tl.where(column == added, powers, 0.0), axis=0)
    tl.store(unfinished + slot, tl.where(left > 0, rest, 0.0))

    measures = rows + BIN_COLUMNS
    sample_peak = tl.max(tl.load(measures, mask=real, other=0.0), axis=0)
    true_peak = tl.max(tl.load(measures + 1, mask=real, other=0.0), axis=0)
    squares = tl.sum(tl.load(measures + 2, mask=real, other=0.0), axis=0)
    dc = tl.max(tl.abs(tl.load(measures + 3, mask=real, other=0.0)), axis=0)
    excess = tl.max(tl.load(measures + 4, mask=real, other=0.0), axis=0)
    full = tl.max(tl.load(measures + 5, mask=real, other=0.0), axis=0)
    lead = tl.min(tl.load(measures + 6, mask=real, other=1e9), axis=0)
    last = tl.max(tl.load(measures + 7, mask=real, other=-1.0), axis=0)
    high = maxima + slot * 3
    tl.store(high, tl.maximum(tl.load(high), true_peak))
    tl.store(high + 1, tl.maximum(tl.load(high + 1), momentary_max))
    tl.store(high + 2, tl.maximum(tl.load(high + 2), short_term_max))
    length = limit.to(tl.float64)
    result = out + row.to(tl.int64) * COLUMNS
    tl.store(result, sample_peak)
    tl.store(result + 1, true_peak)
    tl.store(result + 2, tl.sqrt(squares / (length * count.to(tl.float64))))
    tl.store(result + 3, dc / length)
    tl.store(result + 4, momentary)
    tl.store(result + 5, tl.where(momentary_max > lowest, momentary_max, momentary))
    tl.store(result + 6, short_term)
    tl.store(result + 7, tl.where(short_term_max > lowest, short_term_max, short_term))
    tl.store(result + 8, lead)
    tl.store(result + 9, length - 1.0 - last)
    tl.store(result + 10, tl.maximum(excess, 0.0) / (2 * tl.maximum(length, CLIP_MIN_SAMPLES)))
    tl.store(result + 11, full / length)
    tl.store(result + 12, tl.where(lead >= length, 1.0, 0.0))
    tl.store(result + 13, tl.log(tl.maximum(true_peak, tl.load(scalars + 11))) * tl.load(scalars + 12))


def _constants_on(device: torch.device) -> tuple[Tensor, Tensor]:
    """Filter coefficients and scalars as float64, and the interpolator as float32, uploaded once per device."""
    if device not in _constants:
        transition = torch.from_numpy(k_weighting_transition(_CHUNK)).flatten()
        scalars = torch.tensor(_SCALARS, dtype=torch.float64)
        wide = torch.cat([torch.from_numpy(K_WEIGHTING), transition, scalars])
        _constants[device] = (wide.to(device), torch.from_numpy(INTERPOLATOR).to(device))
    return _constants[device]


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
    """The CUDA implementation of `avjury::audio_stats`; arguments as there, `state` in the order of `AudioState`.

    Five launches on the current stream, no synchronisation. No atomics: every sum has a fixed order within its row.
    """
    filters, history, bins, unfinished, progress, histograms, kept_power, maxima = state
    rows = samples.shape[0]
    out = samples.new_empty((rows, 14), dtype=torch.float64)
    if rows == 0:
        return out
    wide, taps = _constants_on(samples.device)
    transition, scalars = wide[len(K_WEIGHTING) :], wide[len(K_WEIGHTING) + 16 :]
    count = rows * MAX_CHANNELS
    starts = samples.new_empty((count, _CHUNKS, 4), dtype=torch.float64)
    partial = samples.new_empty((count, _PARTIAL_COLUMNS), dtype=torch.float64)
    strides = samples.stride()
    chunks = {"CHANNELS": MAX_CHANNELS, "CHUNKS": _CHUNKS}
    lanes = {"CHUNK": _CHUNK, "LANES": _LANES, "LIMIT": SAMPLE_LIMIT}
    _chunk_answers[(count,)](
        samples, strides[0], strides[1], channels, valid, wide, starts, **chunks, **lanes, num_warps=4
    )
    _chunk_starts[(triton.cdiv(count, _SCAN_LANES),)](
        starts, channels, slots, filters, transition, count, **chunks, LANES=_SCAN_LANES, num_warps=1
    )
    _bin_powers[(count,)](
        samples, strides[0], strides[1], channels, valid, slots, progress, wide, scalars[3:], starts, filters, partial,
        **chunks, **lanes, BIN=BIN, BIN_COLUMNS=_BIN_COLUMNS, PARTIAL_COLUMNS=_PARTIAL_COLUMNS, num_warps=4,
    )  # fmt: skip
    _sample_measures[(count,)](
        samples, strides[0], strides[1], channels, valid, slots, clip_level, silence_threshold, scalars[4:], taps,
        history, partial,
        CHANNELS=MAX_CHANNELS, BLOCK=BLOCK, STEP=1024, STEPS=triton.cdiv(BLOCK, 1024),
        LIMIT=SAMPLE_LIMIT, TAPS=TAPS, MIN_SAMPLES=CLIP_MIN_SAMPLES, FIRST_COLUMN=_BIN_COLUMNS,
        PARTIAL_COLUMNS=_PARTIAL_COLUMNS, RUN=FLAT_RUN, HALVES=FLAT_HALVES, num_warps=8,
    )  # fmt: skip
    _row_measures[(rows,)](
        channels, valid, weights, slots, partial, scalars, bins, unfinished, progress, histograms, kept_power, maxima,
        out,
        CHANNELS=MAX_CHANNELS, BIN=BIN, BIN_COLUMNS=_BIN_COLUMNS, PARTIAL_COLUMNS=_PARTIAL_COLUMNS,
        BINS_PER_HOP=BLOCK // BIN, RING=SHORT_TERM_BINS, RING_LANES=triton.next_power_of_2(SHORT_TERM_BINS),
        MOMENTARY=MOMENTARY_BINS, HISTOGRAM_BINS=HISTOGRAM_BINS, PER_LU=HISTOGRAM_STEPS_PER_LU,
        CLIP_MIN_SAMPLES=CLIP_MIN_SAMPLES, COLUMNS=out.shape[1], num_warps=4,
    )  # fmt: skip
    return out
