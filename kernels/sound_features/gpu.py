"""`sound_features` on CUDA.

Four launches: the channels, their mean with what was before it, the third difference in bins, and the row's features.
All arithmetic is float64, some ten operations a sample.
"""

import torch
import triton
import triton.language as tl
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
    ENVELOPE_BINS,
    FEATURES,
    HISS_BIN,
    HISS_BINS,
    HISTORY,
    HISTORY_BINS,
    HUM_FREQUENCIES,
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
    MAX_CHANNELS,
    PAIR,
    PAIR_GAIN,
    SAMPLE_LIMIT,
    TONE_LAGS,
    Feature,
)

# Samples that a program takes at a time where all of them at once would not fit in registers.
_STEP = 1024
_HUM_COLUMNS = 2 * len(HUM_FREQUENCIES)
# Float64 constants that the kernels load, because Triton makes literals float32; the hum table follows them.
_SCALARS = (CLICK_FLOOR,)
_constants: dict[torch.device, Tensor] = {}


@triton.jit
def _load(base, index, mask, LIMIT: tl.constexpr):
    """Samples as float64; NaN counts as 0, and none as more than LIMIT."""
    x = tl.load(base + index, mask=mask, other=0.0)
    x = tl.where(x != x, 0.0, x)
    return tl.minimum(tl.maximum(x, -LIMIT), LIMIT).to(tl.float64)


@triton.jit
def _whole_block(base, index, here, BLOCK: tl.constexpr, LIMIT: tl.constexpr):
    """`_load` at places within a block.

    What is asked before the load is the same for each run of 16 bytes, so that one load of a thread takes as much.
    """
    x = tl.load(base + index, mask=index < BLOCK, other=0.0)
    x = tl.where(here & (x == x), x, 0.0)
    return tl.minimum(tl.maximum(x, -LIMIT), LIMIT).to(tl.float64)


@triton.jit
def _channel_features(
    samples, row_stride, channel_stride, channels, valid, out,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, SAMPLES: tl.constexpr, LIMIT: tl.constexpr, POWER: tl.constexpr,
    MEAN: tl.constexpr, SLOPE: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Power, mean and steps of one channel; 0 for a channel that is not there."""
    program = tl.program_id(0)
    row = program // CHANNELS
    channel = program % CHANNELS
    limit = tl.load(valid + row)
    index = tl.arange(0, SAMPLES)
    here = (index < limit) & (channel < tl.load(channels + row))
    base = samples + row.to(tl.int64) * row_stride + channel * channel_stride
    x = _whole_block(base, index, here, BLOCK, LIMIT)
    follows = here & (index + 1 < limit)
    step = tl.where(follows, _load(base, index + 1, follows, LIMIT) - x, 0.0)
    result = out + row.to(tl.int64) * FEATURES + channel
    tl.store(result + POWER, tl.sum(x * x, axis=0) / limit)
    tl.store(result + MEAN, tl.sum(x, axis=0) / limit)
    tl.store(result + SLOPE, tl.sum(step * step, axis=0) / limit)


@triton.jit
def _spread(values, here, COUNT: tl.constexpr):
    """Mean square of values, less their mean."""
    mean = tl.sum(values, axis=0) / COUNT
    away = tl.where(here, values - mean, 0.0)
    return tl.sum(away * away, axis=0) / COUNT


@triton.jit
def _mix(
    samples, row_stride, channel_stride, channels, valid, slots, history, known, mixed, out,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, STEP: tl.constexpr, STEPS: tl.constexpr, LIMIT: tl.constexpr,
    HISTORY: tl.constexpr, PAST: tl.constexpr, BIN: tl.constexpr, BIN_LANES: tl.constexpr, BINS: tl.constexpr,
    BINS_LANES: tl.constexpr,
    LOW: tl.constexpr, LOW_LANES: tl.constexpr, LOWS: tl.constexpr, LOWS_LANES: tl.constexpr, PHASE: tl.constexpr,
    SIDE: tl.constexpr, MID: tl.constexpr, LOW_SIDE: tl.constexpr, LOW_MID: tl.constexpr, ENVELOPE: tl.constexpr,
    FEATURES: tl.constexpr,
):  # fmt: skip
    """Mean of a row's channels after the past, its envelope, and its first two channels against each other."""
    row = tl.program_id(0)
    limit = tl.load(valid + row)
    count = tl.load(channels + row)
    slot = tl.load(slots + row)
    base = samples + row.to(tl.int64) * row_stride
    result = out + row.to(tl.int64) * FEATURES
    target = mixed + row.to(tl.int64) * (HISTORY + BLOCK)
    nan = float("nan")

    # In steps, so that what adds up keeps to registers.
    phases = tl.zeros([STEP], tl.float64)
    sides = tl.zeros([STEP], tl.float64)
    mids = tl.zeros([STEP], tl.float64)
    for step in range(STEPS):
        index = step * STEP + tl.arange(0, STEP)
        here = index < limit
        total = tl.zeros([STEP], tl.float64)
        for channel in range(CHANNELS):
            if channel < count:
                total += _whole_block(base + channel * channel_stride, index, here, BLOCK, LIMIT)
        tl.store(target + HISTORY + index, total / count, mask=index < BLOCK)
        if count > 1:
            x = _whole_block(base, index, here, BLOCK, LIMIT)
            y = _whole_block(base + channel_stride, index, here, BLOCK, LIMIT)
            power = x * x + y * y
            alike = tl.where(power > 0, 2 * x * y / tl.where(power > 0, power, 1.0), 1.0)
            phases += tl.where(here, alike, 0.0)
            sides += (x - y) * (x - y)
            mids += (x + y) * (x + y)
    tl.store(result + PHASE, tl.where(count > 1, tl.sum(phases, axis=0) / limit, nan))
    tl.store(result + SIDE, tl.where(count > 1, tl.sum(sides, axis=0) / (4 * limit), nan))
    tl.store(result + MID, tl.where(count > 1, tl.sum(mids, axis=0) / (4 * limit), nan))

    past = tl.arange(0, PAST)
    old = past < HISTORY
    bin_index = tl.arange(0, BINS_LANES)
    place = bin_index[:, None] * BIN + tl.arange(0, BIN_LANES)[None, :]
    in_bin = (tl.arange(0, BIN_LANES)[None, :] < BIN) & (place < limit)
    latest = tl.zeros([PAST], tl.float64)
    envelope = tl.zeros([BINS_LANES], tl.float64)
    for channel in range(CHANNELS):
        if channel < count:
            one = base + channel * channel_stride
            latest += _load(one, BLOCK - HISTORY + past, old & (limit == BLOCK), LIMIT)
            size = tl.abs(_whole_block(one, place, in_bin, BLOCK, LIMIT))
            envelope = tl.maximum(envelope, tl.max(size, axis=1))
    continues = tl.load(known + slot) != 0
    memory = history + slot * HISTORY + past
    before = tl.load(memory, mask=old & continues, other=0.0)
    tl.store(target + past, before, mask=old)
    tl.debug_barrier()  # every read of the past comes before it is overwritten
    tl.store(memory, latest / count, mask=old & (limit == BLOCK))
    tl.store(result + ENVELOPE + bin_index, tl.where(bin_index < limit // BIN, envelope, nan), mask=bin_index < BINS)

    low = tl.arange(0, LOWS_LANES)
    place = low[:, None] * LOW + tl.arange(0, LOW_LANES)[None, :]
    usable = (count > 1) & (limit == BLOCK)
    within = (tl.arange(0, LOW_LANES)[None, :] < LOW) & (low[:, None] < LOWS) & usable
    lefts = tl.sum(_whole_block(base, place, within, BLOCK, LIMIT), axis=1)
    rights = tl.sum(
        _whole_block(base + channel_stride * tl.where(count > 1, 1, 0), place, within, BLOCK, LIMIT), axis=1
    )
    side = _spread((lefts - rights) / (2 * LOW), low < LOWS, LOWS)
    mid = _spread((lefts + rights) / (2 * LOW), low < LOWS, LOWS)
    tl.store(result + LOW_SIDE, tl.where(usable, side, nan))
    tl.store(result + LOW_MID, tl.where(usable, mid, nan))


@triton.jit
def _difference_bins(
    mixed, bins,
    LENGTH: tl.constexpr, BIN: tl.constexpr, BIN_LANES: tl.constexpr, BINS: tl.constexpr, BINS_LANES: tl.constexpr,
):  # fmt: skip
    """Sum and largest of the squared third difference in each bin, and which sample of it has the largest."""
    row = tl.program_id(0)
    lane = tl.arange(0, BINS_LANES)
    step = tl.arange(0, BIN_LANES)
    x = mixed + row.to(tl.int64) * LENGTH + lane[:, None] * BIN + step[None, :]
    here = (lane[:, None] < BINS) & (step[None, :] < BIN)
    outer = tl.load(x + 3, mask=here, other=0.0) - tl.load(x, mask=here, other=0.0)
    inner = tl.load(x + 2, mask=here, other=0.0) - tl.load(x + 1, mask=here, other=0.0)
    difference = outer - 3 * inner
    square = tl.where(here, difference * difference, 0.0)
    out = bins + row.to(tl.int64) * 3 * BINS + lane
    largest = tl.max(square, axis=1)
    first = tl.min(tl.where((square == largest[:, None]) & here, step[None, :], BIN_LANES), axis=1)
    tl.store(out, tl.sum(square, axis=1), mask=lane < BINS)
    tl.store(out + BINS, largest, mask=lane < BINS)
    tl.store(out + 2 * BINS, first.to(tl.float64), mask=lane < BINS)


@triton.jit
def _second(x, index, mask):
    middle = tl.load(x + index - 1, mask=mask, other=0.0)
    difference = (tl.load(x + index, mask=mask, other=0.0) - middle) - (
        middle - tl.load(x + index - 2, mask=mask, other=0.0)
    )
    return difference * difference


@triton.jit
def _third(x, index, mask):
    outer = tl.load(x + index, mask=mask, other=0.0) - tl.load(x + index - 3, mask=mask, other=0.0)
    inner = tl.load(x + index - 1, mask=mask, other=0.0) - tl.load(x + index - 2, mask=mask, other=0.0)
    difference = outer - 3 * inner
    return difference * difference


@triton.jit
def _stands_alone(
    x, place, wanted, largest, floor,
    NEAR: tl.constexpr, FAR: tl.constexpr, REACH: tl.constexpr, SECOND: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """How far third differences stand out of what is close to them, squared."""
    second = largest * 0.0
    for k in range(0, 2 * REACH + 1):
        second = tl.maximum(second, _second(x, place + k - REACH, wanted))
    third_before = largest * 0.0
    third_after = largest * 0.0
    second_before = largest * 0.0
    second_after = largest * 0.0
    for k in range(NEAR, FAR + 1):
        third_before += _third(x, place - k, wanted)
        second_before += _second(x, place - k, wanted)
        third_after += _third(x, place + k, wanted)
        second_after += _second(x, place + k, wanted)
    # Its other edge, where that is as steep: of that side without it.
    side = tl.where(third_after > third_before, 1, -1)
    edge = largest * 0.0
    at = place * 0
    for k in range(NEAR, FAR + 1):
        one = _third(x, place + side * k, wanted)
        at = tl.where(one > edge, k, at)
        edge = tl.maximum(edge, one)
    third_left = largest * 0.0
    second_left = largest * 0.0
    left = largest * 0.0
    for k in range(NEAR, FAR + 1):
        kept = wanted & ((at - k > REACH) | (k - at > REACH))
        third_left += tl.where(kept, _third(x, place + side * k, kept), 0.0)
        second_left += tl.where(kept, _second(x, place + side * k, kept), 0.0)
        left += tl.where(kept, 1.0, 0.0)
    has_edge = edge >= EDGE * largest
    window = largest * 0.0 + (FAR - NEAR + 1)
    after_left = has_edge & (side > 0)
    before_left = has_edge & (side < 0)
    left = tl.maximum(left, 1.0)
    third_before = tl.where(before_left, third_left / left, third_before / window)
    third_after = tl.where(after_left, third_left / left, third_after / window)
    second_before = tl.where(before_left, second_left / left, second_before / window)
    second_after = tl.where(after_left, second_left / left, second_after / window)
    third = largest / (tl.maximum(third_before, third_after) + floor)
    second = second / (tl.maximum(second_before, second_after) + floor)
    return tl.minimum(third, SECOND * SECOND * second)


@triton.jit
def _single_sine(x, index, BLOCK: tl.constexpr, LAG: tl.constexpr):
    here = index < BLOCK - 2 * LAG
    early = tl.load(x + index, mask=here, other=0.0)
    middle = tl.load(x + LAG + index, mask=here, other=0.0)
    late = tl.load(x + 2 * LAG + index, mask=here, other=0.0)
    power = tl.sum(middle * middle, axis=0)
    along = tl.sum(middle * (early + late), axis=0)
    square = tl.sum((early + late) * (early + late), axis=0)
    ends = tl.sum(early * early + late * late, axis=0)
    some = power * ends > 0
    share = tl.where(some, power, 1.0)
    purity = 1 - (square - along * along / share) / tl.where(some, ends, 1.0)
    return tl.where(some, purity, 0.0), tl.where(some, along / (2 * share), 0.0)


@triton.jit
def _pair(place, here):
    """Sums of two samples."""
    return tl.load(place, mask=here, other=0.0) + tl.load(place + 1, mask=here, other=0.0)


@triton.jit
def _row_features(
    valid, slots, known, mixed, bins, constants, out,
    BLOCK: tl.constexpr, SAMPLES: tl.constexpr, HISTORY: tl.constexpr, HISTORY_BINS: tl.constexpr, BIN: tl.constexpr,
    BINS: tl.constexpr, BINS_LANES: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr, WINDOW: tl.constexpr,
    WINDOW_LEFT: tl.constexpr, ASYMMETRY: tl.constexpr, HISS_BIN: tl.constexpr, HISS_BINS: tl.constexpr,
    HISS_LANES: tl.constexpr,
    HISS_RATIO: tl.constexpr, RATIO_LANES: tl.constexpr, GAIN: tl.constexpr, STEP: tl.constexpr,
    STEP_LANES: tl.constexpr, POINTS: tl.constexpr, POINTS_LANES: tl.constexpr, HUM_COLUMNS: tl.constexpr,
    SHORT: tl.constexpr, LONG: tl.constexpr, PURITY: tl.constexpr, TONE: tl.constexpr, CLICK: tl.constexpr,
    CLICK_AT: tl.constexpr, HUM: tl.constexpr, HISS: tl.constexpr, FEATURES: tl.constexpr, WORTH: tl.constexpr,
    LONE_NEAR: tl.constexpr, LONE_FAR: tl.constexpr, LONE_REACH: tl.constexpr, LONE_SECOND: tl.constexpr,
    LONE_EDGE: tl.constexpr, REACH: tl.constexpr, PAIR: tl.constexpr, PAIR_LANES: tl.constexpr, PAIR_GAIN: tl.constexpr,
    PAIR_HISS: tl.constexpr, FOURTH: tl.constexpr,
):  # fmt: skip
    """Tone, click, hiss and hum of a row's mean; NaN for a block that is not whole."""
    row = tl.program_id(0)
    whole = tl.load(valid + row) == BLOCK
    slot = tl.load(slots + row)
    result = out + row.to(tl.int64) * FEATURES
    x = mixed + row.to(tl.int64) * (HISTORY + BLOCK) + HISTORY
    nan = float("nan")

    index = tl.arange(0, SAMPLES)
    short, angle = _single_sine(x, index, BLOCK, SHORT)
    long, _ = _single_sine(x, index, BLOCK, LONG)
    tl.store(result + PURITY, tl.where(whole, tl.minimum(short, long), nan))
    tl.store(result + TONE, tl.where(whole, angle, nan))

    floor = tl.load(constants)
    energy = bins + row.to(tl.int64) * 3 * BINS
    first = tl.where(tl.load(known + slot) != 0, 0, HISTORY_BINS + 1)
    lane = tl.arange(0, BINS_LANES)
    candidate = (lane >= first + FAR) & (lane < BINS - FAR)
    before = tl.zeros([BINS_LANES], tl.float64)
    after = tl.zeros([BINS_LANES], tl.float64)
    for k in range(NEAR, FAR + 1):
        before += tl.load(energy + lane - k, mask=candidate, other=0.0)
        after += tl.load(energy + lane + k, mask=candidate, other=0.0)
    # The two neighbouring bins of the louder side that hold most: the click's other edge may lie there.
    side = tl.where(after > before, 1, -1)
    most = tl.full([BINS_LANES], -1.0, tl.float64)
    edge = tl.zeros([BINS_LANES], tl.int32)
    for k in range(NEAR, FAR):
        pair = tl.load(energy + lane + side * k, mask=candidate, other=0.0)
        pair += tl.load(energy + lane + side * (k + 1), mask=candidate, other=0.0)
        edge = tl.where(pair > most, k, edge)
        most = tl.maximum(most, pair)
    louder = tl.zeros([BINS_LANES], tl.float64)
    for k in range(NEAR, FAR + 1):
        kept = candidate & (edge != k) & (edge + 1 != k)
        louder += tl.load(energy + lane + side * k, mask=kept, other=0.0)
    before = tl.where(side > 0, before / WINDOW, louder / WINDOW_LEFT)
    after = tl.where(side > 0, louder / WINDOW_LEFT, after / WINDOW)
    around = tl.maximum(before, after)
    candidate = candidate & (around <= ASYMMETRY * tl.minimum(before, after) + floor)
    peak = tl.load(energy + BINS + lane, mask=candidate, other=0.0)
    ratio = tl.where(candidate, peak / (around + floor), 0.0)
    wanted = ratio > WORTH
    place = lane * BIN + REACH + tl.load(energy + 2 * BINS + lane, mask=wanted, other=0.0).to(tl.int32)
    alone = _stands_alone(
        x - HISTORY, place, wanted, peak, floor, LONE_NEAR, LONE_FAR, LONE_REACH, LONE_SECOND, LONE_EDGE
    )
    ratio = tl.where(wanted, tl.minimum(ratio, tl.maximum(alone, WORTH)), ratio)
    best = tl.max(ratio, axis=0)
    at = tl.min(tl.where((ratio == best) & candidate, lane, BINS_LANES), axis=0)
    position = tl.where(best > 0, BIN * (at - HISTORY_BINS) + BIN // 2, 0).to(tl.float64)
    tl.store(result + CLICK, tl.where(whole, tl.sqrt(best), nan))
    tl.store(result + CLICK_AT, tl.where(whole, position, nan))

    hiss = tl.arange(0, HISS_LANES)
    part = tl.arange(0, RATIO_LANES)
    here = (hiss[:, None] < HISS_BINS) & (part[None, :] < HISS_RATIO)
    sums = tl.load(energy + HISTORY_BINS + hiss[:, None] * HISS_RATIO + part[None, :], mask=here, other=0.0)
    white = tl.sum(sums, axis=1) / (HISS_BIN * GAIN)
    tl.store(result + HISS + hiss, tl.where(whole, white, nan), mask=hiss < HISS_BINS)

    # What lies before the block is at hand as far as HISTORY reaches.
    pair = tl.arange(0, PAIR_LANES)
    here = (hiss[:, None] < HISS_BINS) & (pair[None, :] < HISS_BIN // PAIR)
    place = x + hiss[:, None] * HISS_BIN + pair[None, :] * PAIR
    outer = _pair(place, here) - _pair(place - 3 * PAIR, here)
    difference = outer - 3 * (_pair(place - PAIR, here) - _pair(place - 2 * PAIR, here))
    power = tl.sum(tl.where(here, difference * difference, 0.0), axis=1) / (HISS_BIN * PAIR * PAIR_GAIN)
    least = tl.min(tl.where(hiss < HISS_BINS, power, float("inf")), axis=0)
    tl.store(result + PAIR_HISS, tl.where(whole, least, nan))

    here = index < BLOCK - 4
    outer = tl.load(x + index, mask=here, other=0.0) + tl.load(x + index + 4, mask=here, other=0.0)
    inner = tl.load(x + index + 1, mask=here, other=0.0) + tl.load(x + index + 3, mask=here, other=0.0)
    fourth = outer - 4 * inner + 6 * tl.load(x + index + 2, mask=here, other=0.0)
    fourth = tl.sum(fourth * fourth, axis=0) / BLOCK
    tl.store(result + FOURTH, tl.where(whole, fourth, nan))

    point = tl.arange(0, POINTS_LANES)
    step = tl.arange(0, STEP_LANES)
    here = (point[:, None] < POINTS) & (step[None, :] < STEP)
    steps = tl.sum(tl.load(x + point[:, None] * STEP + step[None, :], mask=here, other=0.0), axis=1)
    for k in range(HUM_COLUMNS):
        table = tl.load(constants + 1 + point * HUM_COLUMNS + k, mask=point < POINTS, other=0.0)
        tl.store(result + HUM + k, tl.where(whole, tl.sum(steps * table, axis=0), nan))
    tl.debug_barrier()  # all have read it before it changes
    tl.store(known + slot, tl.where(whole, 1, 0).to(tl.int64))


def _constants_on(device: torch.device) -> Tensor:
    if device not in _constants:
        scalars = torch.tensor(_SCALARS, dtype=torch.float64)
        _constants[device] = torch.cat([scalars, torch.from_numpy(HUM_TABLE).flatten()]).to(device)
    return _constants[device]


def sound_features(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, history: Tensor, known: Tensor
) -> Tensor:
    """The CUDA implementation of `avjury::sound_features`; arguments as there. No synchronisation, no atomics."""
    rows = samples.shape[0]
    out = samples.new_empty((rows, FEATURES), dtype=torch.float64)
    if rows == 0:
        return out
    mixed = samples.new_empty((rows, HISTORY + BLOCK), dtype=torch.float64)
    bins = samples.new_empty((rows, 3 * ALL_BINS), dtype=torch.float64)
    strides = samples.stride()
    power_of_2 = triton.next_power_of_2
    shape = {"BLOCK": BLOCK, "FEATURES": FEATURES}
    whole = {"SAMPLES": power_of_2(BLOCK), **shape}
    _channel_features[(rows * MAX_CHANNELS,)](
        samples, strides[0], strides[1], channels, valid, out,
        CHANNELS=MAX_CHANNELS, LIMIT=SAMPLE_LIMIT, POWER=Feature.POWER, MEAN=Feature.MEAN, SLOPE=Feature.SLOPE, **whole,
        num_warps=8,
    )  # fmt: skip
    _mix[(rows,)](
        samples, strides[0], strides[1], channels, valid, slots, history, known, mixed, out,
        CHANNELS=MAX_CHANNELS, STEP=_STEP, STEPS=triton.cdiv(BLOCK, _STEP), LIMIT=SAMPLE_LIMIT, HISTORY=HISTORY,
        PAST=power_of_2(HISTORY),
        BIN=ENVELOPE_BIN, BIN_LANES=power_of_2(ENVELOPE_BIN), BINS=ENVELOPE_BINS, BINS_LANES=power_of_2(ENVELOPE_BINS),
        LOW=LOW_BIN, LOW_LANES=power_of_2(LOW_BIN), LOWS=LOW_BINS, LOWS_LANES=power_of_2(LOW_BINS),
        PHASE=Feature.PHASE, SIDE=Feature.SIDE, MID=Feature.MID, LOW_SIDE=Feature.LOW_SIDE, LOW_MID=Feature.LOW_MID,
        ENVELOPE=Feature.ENVELOPE, **shape, num_warps=8,
    )  # fmt: skip
    _difference_bins[(rows,)](
        mixed, bins,
        LENGTH=HISTORY + BLOCK, BIN=CLICK_BIN, BIN_LANES=power_of_2(CLICK_BIN), BINS=ALL_BINS,
        BINS_LANES=power_of_2(ALL_BINS), num_warps=8,
    )  # fmt: skip
    ratio = HISS_BIN // CLICK_BIN
    _row_features[(rows,)](
        valid, slots, known, mixed, bins, _constants_on(samples.device), out,
        HISTORY=HISTORY, HISTORY_BINS=HISTORY_BINS, BIN=CLICK_BIN, BINS=ALL_BINS,
        BINS_LANES=power_of_2(ALL_BINS), NEAR=CLICK_NEAR, FAR=CLICK_FAR, WINDOW=CLICK_WINDOW,
        WINDOW_LEFT=CLICK_WINDOW_LEFT, ASYMMETRY=CLICK_ASYMMETRY, HISS_BIN=HISS_BIN, HISS_BINS=HISS_BINS,
        HISS_LANES=power_of_2(HISS_BINS),
        HISS_RATIO=ratio, RATIO_LANES=power_of_2(ratio), GAIN=DIFFERENCE_GAIN, STEP=HUM_STEP,
        STEP_LANES=power_of_2(HUM_STEP), POINTS=HUM_POINTS, POINTS_LANES=power_of_2(HUM_POINTS),
        HUM_COLUMNS=_HUM_COLUMNS, SHORT=TONE_LAGS[0], LONG=TONE_LAGS[1], PURITY=Feature.PURITY, TONE=Feature.TONE,
        CLICK=Feature.CLICK, CLICK_AT=Feature.CLICK_AT, HUM=Feature.HUM, HISS=Feature.HISS,
        WORTH=CLICK_WORTH * CLICK_WORTH, LONE_NEAR=LONE_NEAR, LONE_FAR=LONE_FAR, LONE_REACH=LONE_REACH,
        LONE_SECOND=LONE_SECOND, LONE_EDGE=LONE_EDGE, REACH=DIFFERENCE_REACH,
        PAIR=PAIR, PAIR_LANES=power_of_2(HISS_BIN // PAIR),
        PAIR_GAIN=PAIR_GAIN, PAIR_HISS=Feature.PAIR_HISS, FOURTH=Feature.FOURTH, **whole, num_warps=8,
    )  # fmt: skip
    return out
