"""`sound_trends` on CUDA: one launch, a program per row. All arithmetic is float64, some thousand operations a row."""

import math
from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.sound_features import layout as feature
from kernels.sound_trends import layout as at

_BLOCK, _CHANNELS, _FEATURES = (
    tl.constexpr(feature.BLOCK),
    tl.constexpr(feature.MAX_CHANNELS),
    tl.constexpr(feature.FEATURES),
)
_COLUMN: Final = {name: index for index, name in enumerate(at.COLUMNS)}
_F_POWER, _F_MEAN = tl.constexpr(feature.Feature.POWER), tl.constexpr(feature.Feature.MEAN)
_F_PHASE, _F_SIDE = tl.constexpr(feature.Feature.PHASE), tl.constexpr(feature.Feature.SIDE)
_F_MID, _F_LOW_SIDE = tl.constexpr(feature.Feature.MID), tl.constexpr(feature.Feature.LOW_SIDE)
_F_LOW_MID, _F_PURITY = tl.constexpr(feature.Feature.LOW_MID), tl.constexpr(feature.Feature.PURITY)
_F_TONE, _F_CLICK = tl.constexpr(feature.Feature.TONE), tl.constexpr(feature.Feature.CLICK)
_F_CLICK_AT, _F_HUM = tl.constexpr(feature.Feature.CLICK_AT), tl.constexpr(feature.Feature.HUM)
_F_SLOPE, _F_PAIR_HISS = tl.constexpr(feature.Feature.SLOPE), tl.constexpr(feature.Feature.PAIR_HISS)
_PAIR_HISS, _HISS_TILT = tl.constexpr(at.PAIR_HISS), tl.constexpr(at.HISS_TILT)
_F_HISS, _F_ENVELOPE = tl.constexpr(feature.Feature.HISS), tl.constexpr(feature.Feature.ENVELOPE)
_BIN, _BINS = tl.constexpr(feature.ENVELOPE_BIN), tl.constexpr(feature.ENVELOPE_BINS)
_BIN_LANES = tl.constexpr(triton.next_power_of_2(feature.ENVELOPE_BINS))
_CLICK_HALF, _HISS_BINS = tl.constexpr(feature.CLICK_BIN // 2), tl.constexpr(feature.HISS_BINS)
_HISS_LANES = tl.constexpr(triton.next_power_of_2(feature.HISS_BINS))
_COUNT, _ANGLE = tl.constexpr(int(at.Scalar.COUNT)), tl.constexpr(int(at.Scalar.ANGLE))
_LEVEL, _LONGEST = tl.constexpr(int(at.Scalar.LEVEL)), tl.constexpr(int(at.Scalar.LONGEST))
_LAST_LOUD, _BEFORE = tl.constexpr(int(at.Scalar.LAST_LOUD)), tl.constexpr(int(at.Scalar.BEFORE))
_PAIRS, _MINUTES = tl.constexpr(int(at.Scalar.PAIRS)), tl.constexpr(int(at.Scalar.MINUTES))
_TARGET, _STATE_SIZE = tl.constexpr(int(at.Scalar.TARGET)), tl.constexpr(at.STATE_SIZE)
_MEANS, _SOUNDED, _HUM = tl.constexpr(at.MEANS), tl.constexpr(at.SOUNDED), tl.constexpr(at.HUM)
_RUN, _SINCE = tl.constexpr(at.RUN), tl.constexpr(at.SINCE)
_WIDE_BLOCKS, _LOW_BLOCKS = tl.constexpr(at.WIDE_BLOCKS), tl.constexpr(at.LOW_BLOCKS)
_RUN_MOST, _RUN_BACK = tl.constexpr(at.RUN_MOST), tl.constexpr(at.RUN_BACK)
_HISS, _LEVELS, _POLARITY = tl.constexpr(at.HISS), tl.constexpr(at.LEVELS), tl.constexpr(at.POLARITY)
_LOW_POLARITY, _MINUTE, _ENVELOPE = tl.constexpr(at.LOW_POLARITY), tl.constexpr(at.MINUTE), tl.constexpr(at.ENVELOPE)
_SOUNDED_BLOCKS, _POLARITY_BLOCKS = tl.constexpr(at.SOUNDED_BLOCKS), tl.constexpr(at.POLARITY_BLOCKS)
_POLARITY_LANES = tl.constexpr(triton.next_power_of_2(at.POLARITY_BLOCKS))
_LEFT, _RIGHT, _DISTANCE = tl.constexpr(at.LEFT), tl.constexpr(at.RIGHT), tl.constexpr(at.DISTANCE)
_MONO_PART, _MONO_WHOLE = (tl.constexpr(number) for number in at.MONO_OF)
_MONO_FOR, _MONO_AGAINST = tl.constexpr(at.MONO_FOR), tl.constexpr(at.MONO_AGAINST)
_HUM_BLOCKS, _HUM_COLUMNS = tl.constexpr(at.HUM_BLOCKS), tl.constexpr(at.HUM_COLUMNS)
_HUM_LANES = tl.constexpr(triton.next_power_of_2(at.HUM_COLUMNS))
_HUM_TAIL, _HISS_BLOCKS = tl.constexpr(round(at.HUM_COHERENCE * at.HUM_BLOCKS)), tl.constexpr(at.HISS_BLOCKS)
_RING_LANES = tl.constexpr(triton.next_power_of_2(max(at.HUM_BLOCKS, at.HISS_BLOCKS)))
_TONE_LEVEL_DB, _SOUNDING_DB = tl.constexpr(at.TONE_LEVEL_DB), tl.constexpr(round(10 * math.log10(at.SOUNDING_POWER)))
_SILENT_DB = tl.constexpr(round(10 * math.log10(at.POWER_FLOOR)))
_DELAY, _EDGE_BINS, _NEVER = tl.constexpr(at.GAP_DELAY), tl.constexpr(at.GAP_EDGE_BINS), tl.constexpr(at.NEVER)
_EDGE_MOST = tl.constexpr(at.GAP_EDGE_MOST)
_CUT_NEAR, _CUT_FAR, _CUT_LANES = tl.constexpr(at.CUT_NEAR), tl.constexpr(at.CUT_FAR), tl.constexpr(64)
_CUT_LASTED, _CUT_LONG, _CUT_PAUSE = (
    tl.constexpr(at.CUT_LASTED),
    tl.constexpr(at.CUT_LONG),
    tl.constexpr(at.CUT_PAUSE),
)
_PAUSE_SHORTEST, _PAUSE_BLOCKS = tl.constexpr(at.PAUSE_SHORTEST), tl.constexpr(at.PAUSE_BLOCKS)
_CUT, _SOUND_FROM = tl.constexpr(int(at.Scalar.CUT)), tl.constexpr(int(at.Scalar.SOUND_FROM))
_SOUND_AFTER, _PAUSES = tl.constexpr(int(at.Scalar.SOUND_AFTER)), tl.constexpr(int(at.Scalar.PAUSES))
# Bins of the block before and of this one, in the order of time, of which gaps are decided now.
_FIRST = tl.constexpr(feature.ENVELOPE_BINS - at.CUT_FAR)
_LAST = tl.constexpr(2 * feature.ENVELOPE_BINS - at.CUT_FAR)
_RATE, _CHUNK = tl.constexpr(at.SAMPLE_RATE), tl.constexpr(32)
_HALF, _LEVELS_SIZE = tl.constexpr(at.LEVEL_BLOCKS), tl.constexpr(2 * at.LEVEL_BLOCKS)
_PART, _PART_LANES = tl.constexpr(at.LEVEL_PART), tl.constexpr(triton.next_power_of_2(at.LEVEL_PART))
_MIDDLE_RANK, _HIGH_RANK = (tl.constexpr(rank) for rank in at.LEVEL_RANKS)
_STEP_MORE, _ACTIVE, _ACTIVE_RANK = (
    tl.constexpr(at.STEP_MORE_DB),
    tl.constexpr(at.ACTIVE_DB),
    tl.constexpr(at.ACTIVE_RANK),
)
_CLOSE, _CLOSE_RANK = tl.constexpr(at.CLOSE_BLOCKS), tl.constexpr(at.CLOSE_RANK)
_STEP_LEAST, _QUIETEST = tl.constexpr(at.STEP_LEAST_DB), tl.constexpr(at.QUIETEST_DB)
_MINUTE_BLOCKS, _MINUTE_LANES = tl.constexpr(at.MINUTE_BLOCKS), tl.constexpr(triton.next_power_of_2(at.MINUTE_BLOCKS))
_MINUTE_EVERY = tl.constexpr(at.MINUTE_EVERY)
_PHASE_AT, _CORRELATION_AT = tl.constexpr(_COLUMN["phase"]), tl.constexpr(_COLUMN["correlation"])
_MONO_AT = tl.constexpr(_COLUMN["mono"])
_POLARITY_AT, _IMBALANCE_AT = tl.constexpr(_COLUMN["polarity"]), tl.constexpr(_COLUMN["imbalance"])
_CHANNEL_LOST_AT, _SURROUND_LOST_AT = tl.constexpr(_COLUMN["channel_lost"]), tl.constexpr(_COLUMN["surround_lost"])
_PAIRS_AT, _SWAPPED_AT = tl.constexpr(_COLUMN["surround_imbalance"]), tl.constexpr(_COLUMN["swapped_seconds"])
_OFFSET_AT, _HUM_AT = tl.constexpr(_COLUMN["offset"]), tl.constexpr(_COLUMN["hum"])
_HISS_AT, _TONE_AT = tl.constexpr(_COLUMN["hiss"]), tl.constexpr(_COLUMN["tone"])
_CLICK_AT, _DROPOUT_AT = tl.constexpr(_COLUMN["click"]), tl.constexpr(_COLUMN["dropout"])
_JUMP_AT, _MINUTE_AT = tl.constexpr(_COLUMN["level_jump"]), tl.constexpr(_COLUMN["minute_error"])
_NARROW_AT = tl.constexpr(_COLUMN["narrow_seconds"])
_COLUMNS, _COLUMN_LANES = tl.constexpr(len(at.COLUMNS)), tl.constexpr(triton.next_power_of_2(len(at.COLUMNS)))

# Float64 constants that the kernel loads, because Triton makes literals float32.
_SCALARS: Final = (
    10 / math.log(10), at.POWER_FLOOR, at.SOUNDING_POWER, at.LOST_POWER, at.LOW_FLOOR, at.LOW_SHARE, at.HUM_COHERENCE,
    at.TONE_ANGLE, at.NEAR_SHARE, at.STEP_SHARE, at.LUFS_OFFSET, at.ABSOLUTE_GATE_POWER, at.RELATIVE_GATE,
    at.PAIR_WEIGHT, at.LOW_STEPS, at.WIDE_STEPS, at.LOW_POWER, feature.BLOCK / at.SAMPLE_RATE, at.AROUND_SHARE,
    at.TONE_PURE, *at.GAP_LEVELS, *at.GAP_EDGES, at.CODED_LEVEL, at.CODED_SOUND, at.CODED_EDGE, at.CODED_FALL,
    at.ACROSS_BALANCE, at.ACROSS_OFFSET, at.ACROSS_PURE, at.ACROSS_IMPURE, at.MONO_DISTANCE, at.MONO_MEAN, at.LEANING,
    at.LOW_LEAST, at.STEPS_LEAST, at.CUT_SHARE, at.PAUSE_KEPT, at.PAUSES_MOST, at.PAUSES_LEAST, at.BURST_PEAK,
    at.BURST_QUIET, at.BURST_HISS_FLOOR, at.BURST_WHITE, feature.DIFFERENCE_GAIN / feature.HISS_BINS, at.BAND_POWER,
    at.NARROW_STEPS, at.BROAD_STEPS, at.BROAD_KEPT, at.BURST_LONE_WHITE, at.BURST_LEAST_WHITE,
)  # fmt: skip
_DECIBEL, _FLOOR, _SOUNDING, _LOST, _LOW_FLOOR, _LOW_SHARE, _COHERENCE = (tl.constexpr(k) for k in range(7))
_TONE_ANGLE, _NEAR_SHARE, _STEP_SHARE, _OFFSET, _GATE, _RELATIVE = (tl.constexpr(k) for k in range(7, 13))
_PAIR_WEIGHT, _LOW_STEPS, _WIDE_STEPS, _LOW_POWER, _BLOCK_SECONDS = (tl.constexpr(k) for k in range(13, 18))
_AROUND_SHARE, _TONE_PURE, _GAP_LEVELS = tl.constexpr(18), tl.constexpr(19), tl.constexpr(20)
_GAPS, _GAP_EDGES = tl.constexpr(len(at.GAP_LEVELS)), tl.constexpr(20 + len(at.GAP_LEVELS))
# One by one: compiled code reads no tuple of them.
_SHORTEST_0, _SHORTEST_1, _SHORTEST_2, _SHORTEST_3 = map(tl.constexpr, at.GAP_SHORTEST)
_GAP_END = tl.constexpr(int(at.Scalar.GAP_END))
_CODED_LEVEL = tl.constexpr(20 + 2 * len(at.GAP_LEVELS))
_CODED_SOUND, _CODED_EDGE, _CODED_FALL = (tl.constexpr(21 + k + 2 * len(at.GAP_LEVELS)) for k in range(3))
_ACROSS_BALANCE, _ACROSS_OFFSET = (tl.constexpr(24 + k + 2 * len(at.GAP_LEVELS)) for k in range(2))
_ACROSS_PURE, _ACROSS_IMPURE = (tl.constexpr(26 + k + 2 * len(at.GAP_LEVELS)) for k in range(2))
_MONO_DISTANCE, _MONO_MEAN, _LEANING = (tl.constexpr(28 + k + 2 * len(at.GAP_LEVELS)) for k in range(3))
_LOW_LEAST, _STEPS_LEAST = (tl.constexpr(31 + k + 2 * len(at.GAP_LEVELS)) for k in range(2))
_CUT_SHARE, _PAUSE_KEPT, _PAUSES_MOST, _PAUSES_LEAST = (tl.constexpr(33 + k + 2 * len(at.GAP_LEVELS)) for k in range(4))
_BURST_PEAK, _BURST_QUIET, _BURST_HISS_FLOOR, _BURST_WHITE = (
    tl.constexpr(37 + k + 2 * len(at.GAP_LEVELS)) for k in range(4)
)
_THIRD_GAIN, _BAND_POWER, _NARROW_STEPS, _BROAD_STEPS, _BROAD_KEPT = (
    tl.constexpr(41 + k + 2 * len(at.GAP_LEVELS)) for k in range(5)
)
_BURST_LONE_WHITE, _BURST_LEAST_WHITE = (tl.constexpr(46 + k + 2 * len(at.GAP_LEVELS)) for k in range(2))
_BROAD, _NARROW = tl.constexpr(int(at.Scalar.BROAD)), tl.constexpr(int(at.Scalar.NARROW))
_NARROW_SINCE, _WAS_BROAD = tl.constexpr(int(at.Scalar.NARROW_SINCE)), tl.constexpr(int(at.Scalar.WAS_BROAD))
_F_FOURTH, _NARROW_BLOCKS = tl.constexpr(feature.Feature.FOURTH), tl.constexpr(at.NARROW_BLOCKS)
# Float32 holds these exactly.
_BROAD_SHARE = tl.constexpr(at.BROAD_SHARE)
_BURST_RATIO, _BURST_SCALE, _BURST_HISS = (
    tl.constexpr(at.BURST_RATIO),
    tl.constexpr(at.BURST_SCALE),
    tl.constexpr(at.BURST_HISS),
)
_BURST_LONE, _BURST_LONE_HISS = tl.constexpr(at.BURST_LONE), tl.constexpr(at.BURST_LONE_HISS)
_BURST_LEAST = tl.constexpr(at.BURST_LEAST)
_BURST_LEAST_HISS = tl.constexpr(at.BURST_HISS * at.BURST_RATIO**4)  # over the fourth power of the ratio
_ACROSS_CORRELATION, _ACROSS_LEVEL = tl.constexpr(at.ACROSS_CORRELATION), tl.constexpr(at.ACROSS_LEVEL)
_ACROSS_OFFSET_SHARE = tl.constexpr(at.ACROSS_OFFSET_SHARE)
_ACROSS_STEP, _ACROSS_NEAR = tl.constexpr(at.ACROSS_STEP), tl.constexpr(at.ACROSS_NEAR)
_ACROSS, _ACROSS_WIDTH = tl.constexpr(at.ACROSS), tl.constexpr(at.ACROSS_WIDTH)
_CLICK, _CLICK_PLACE = tl.constexpr(int(at.Scalar.CLICK)), tl.constexpr(int(at.Scalar.CLICK_PLACE))
_CLICK_STEP = tl.constexpr(int(at.Scalar.CLICK_STEP))
_BURST_NEAR, _BURST_FAR = tl.constexpr(at.BURST_NEAR), tl.constexpr(at.BURST_FAR)
_BURST_HISS_NEAR, _BURST_HISS_FAR = tl.constexpr(at.BURST_HISS_NEAR), tl.constexpr(at.BURST_HISS_FAR)
_BURST_FIRST, _HISS_BEFORE = tl.constexpr(at.BURST_FIRST), tl.constexpr(at.HISS_BEFORE)
_HISS_MS = tl.constexpr(feature.ENVELOPE_BINS // feature.HISS_BINS)
_CODED_SHORTEST, _CODED_REACH = tl.constexpr(at.CODED_SHORTEST), tl.constexpr(at.CODED_REACH)
_CODED_LOUD, _CODED_PEAK = tl.constexpr(int(at.Scalar.CODED_LOUD)), tl.constexpr(int(at.Scalar.CODED_PEAK))
_CODED_FELL = tl.constexpr(int(at.Scalar.CODED_FELL))
_AROUND = tl.constexpr(at.AROUND)
_TONE_LONG, _TONE_BREAK_MOST = tl.constexpr(at.TONE_RUN), tl.constexpr(at.TONE_BREAK)
_TONE_DROP, _RUN_OF_TONE = tl.constexpr(at.TONE_DROP_DB), tl.constexpr(int(at.Scalar.TONE_RUN))
_BREAK, _OWN_ANGLE = tl.constexpr(int(at.Scalar.TONE_BREAK)), tl.constexpr(int(at.Scalar.TONE_ANGLE))
_OWN_LEVEL, _OWN_PURITY = tl.constexpr(int(at.Scalar.TONE_LEVEL)), tl.constexpr(int(at.Scalar.TONE_PURITY))
_BANDS, _UNIFORM = tl.constexpr(at.BANDS), tl.constexpr(at.LEVEL_UNIFORM_DB)
_UNIFORM_SHARE = tl.constexpr(at.LEVEL_UNIFORM_SHARE)
_CHANGE_LEAST, _NEAR, _NEAR_RANK = (
    tl.constexpr(at.CHANGE_LEAST_DB),
    tl.constexpr(at.NEAR_BLOCKS),
    tl.constexpr(at.NEAR_RANK),
)
_BORDER_BLOCKS = tl.constexpr(at.BORDER_BLOCKS)
_BORDER_PAUSE, _BORDER_SAME = tl.constexpr(at.BORDER_PAUSE), tl.constexpr(at.BORDER_SAME)
_QUIET, _QUIET_BLOCKS = tl.constexpr(int(at.Scalar.QUIET)), tl.constexpr(at.QUIET_BLOCKS)
_REACH, _LEVELS_LANES = tl.constexpr(at.BORDER_REACH), tl.constexpr(triton.next_power_of_2(2 * at.LEVEL_BLOCKS))
_constants: dict[torch.device, Tensor] = {}


@triton.jit
def _flag(condition):
    """The same truth, by integers: the interpreter cannot spread the outcome of comparing two float scalars."""
    return tl.where(condition, 1, 0) == 1


@triton.jit
def _decibels(power, scalars):
    return tl.log(tl.maximum(power, tl.load(scalars + _FLOOR))) * tl.load(scalars + _DECIBEL)


@triton.jit
def _pair_measures(row, state, whole, scalars, result):
    """The first two channels against each other."""
    nan = float("nan")
    sounding = tl.load(scalars + _SOUNDING)
    left, right = tl.load(row + _F_POWER), tl.load(row + _F_POWER + 1)
    side, mid = tl.load(row + _F_SIDE), tl.load(row + _F_MID)
    louder, quieter = tl.maximum(left, right), tl.minimum(left, right)
    pair = _flag(side == side) & _flag(louder >= sounding)
    quiet = tl.where(pair, 0.0, tl.load(state + _QUIET) + 1.0)
    tl.store(state + _QUIET, quiet)
    neutral = _flag(quiet == _QUIET_BLOCKS) & _flag(side == side)
    nothing = tl.where(neutral, 0.0, nan)
    correlation = 1 - 2 * side / tl.maximum(side + mid, tl.load(scalars + _FLOOR))
    tl.store(result + _PHASE_AT, tl.where(pair, tl.load(row + _F_PHASE), nan))
    tl.store(result + _CORRELATION_AT, tl.where(pair, correlation, nothing))
    lost = tl.where(_flag(quieter < tl.load(scalars + _LOST)), 1.0, 0.0)
    tl.store(result + _CHANNEL_LOST_AT, tl.where(pair, lost, nothing))

    low_side = tl.load(row + _F_LOW_SIDE)
    low = low_side + tl.load(row + _F_LOW_MID)
    known = _flag(low >= tl.load(scalars + _LOW_FLOOR)) & _flag(low >= tl.load(scalars + _LOW_SHARE) * (side + mid))
    low_correlation = tl.where(known, 1 - 2 * low_side / tl.where(known, low, 1.0), correlation)
    joins = pair & whole
    pairs = tl.where(tl.load(state + _COUNT) > 0, tl.load(state + _PAIRS), 0.0).to(tl.int32)
    lane = tl.arange(0, _POLARITY_LANES)
    newest = (lane == pairs % _POLARITY_BLOCKS) & joins
    held = tl.minimum(pairs + 1, _POLARITY_BLOCKS)
    ring = state + lane
    here = lane < held
    full = tl.where(newest, correlation, tl.load(ring + _POLARITY, mask=here, other=0.0))
    low_alone = tl.where(newest, low_correlation, tl.load(ring + _LOW_POLARITY, mask=here, other=0.0))
    full_sum = tl.sum(tl.where(here, full, 0.0), axis=0)
    polarity = tl.minimum(full_sum, tl.sum(tl.where(here, low_alone, 0.0), axis=0)) / held
    tl.store(ring + _POLARITY, full, mask=newest)
    tl.store(ring + _LOW_POLARITY, low_alone, mask=newest)
    tl.store(state + _PAIRS, tl.where(neutral, 0, pairs + tl.where(joins, 1, 0)).to(tl.float64))
    tl.store(result + _POLARITY_AT, tl.where(joins, polarity, nothing))
    opposed = tl.sum((here & (tl.minimum(full, low_alone) < 0)).to(tl.int32), axis=0)
    lead = (tl.minimum(opposed + 1 - held, 0) * _BLOCK).to(tl.float64)
    tl.store(result + _POLARITY_AT + 1, tl.where(joins, lead, nothing))
    tl.store(result + _POLARITY_AT + 2, tl.where(joins, (opposed * _BLOCK).to(tl.float64), nothing))

    mean, other_mean = tl.load(row + _F_MEAN), tl.load(row + _F_MEAN + 1)
    left, right = tl.maximum(left - mean * mean, 0.0), tl.maximum(right - other_mean * other_mean, 0.0)
    lefts = tl.where(newest, left, tl.load(ring + _LEFT, mask=here, other=0.0))
    rights = tl.where(newest, right, tl.load(ring + _RIGHT, mask=here, other=0.0))
    tl.store(ring + _LEFT, lefts, mask=newest)
    tl.store(ring + _RIGHT, rights, mask=newest)
    one, other = tl.sum(tl.where(here, lefts, 0.0), axis=0), tl.sum(tl.where(here, rights, 0.0), axis=0)
    lean = tl.load(scalars + _LEANING)
    leans = tl.where(_flag(one >= other), (lefts >= lean * rights).to(tl.int32), (rights >= lean * lefts).to(tl.int32))
    leaning = tl.sum(tl.where(here, leans, 0), axis=0)
    apart = _decibels(tl.maximum(one, other) / held, scalars) - _decibels(tl.minimum(one, other) / held, scalars)
    apart = tl.where(2 * leaning >= held, apart, 0.0)
    lead = (tl.minimum(leaning + 1 - held, 0) * _BLOCK).to(tl.float64)
    tl.store(result + _IMBALANCE_AT, tl.where(joins, apart, nothing))
    tl.store(result + _IMBALANCE_AT + 1, tl.where(joins, lead, nothing))
    tl.store(result + _IMBALANCE_AT + 2, tl.where(joins, (leaning * _BLOCK).to(tl.float64), nothing))

    # By age, from this block back.
    place = state + _DISTANCE + (pairs + _POLARITY_BLOCKS - lane) % _POLARITY_BLOCKS
    apart = tl.where(lane == 0, 1 - correlation, tl.load(place, mask=here & (lane > 0), other=0.0))
    tl.store(place, apart, mask=(lane == 0) & joins)
    as_close = (apart[None, :] <= apart[:, None]) & here[None, :]
    rank = (_MONO_PART * held + _MONO_WHOLE - 1) // _MONO_WHOLE
    kept = here & (tl.sum(as_close.to(tl.int32), axis=1) >= rank)
    close = tl.min(tl.where(kept, apart, float("inf")), axis=0)
    mean = tl.load(scalars + _MONO_MEAN) * tl.sum(tl.where(here, apart, 0.0), axis=0) / held
    same = here & (apart <= tl.load(scalars + _MONO_DISTANCE))
    score = tl.cumsum(tl.where(same, _MONO_FOR, tl.where(here, -_MONO_AGAINST, 0)), axis=0)
    score = tl.where(here, score, 0)
    most = tl.max(score, axis=0)
    first = tl.min(tl.where(here & (score == most), lane, _POLARITY_LANES), axis=0)
    tail = tl.where(most > 0, (first + 1) * _BLOCK, 0).to(tl.float64)
    unlike = tl.min(tl.where(same & (lane > 0), lane - 1, held - 1), axis=0)
    tl.store(result + _MONO_AT, tl.where(joins, 1 - tl.maximum(close, mean), nothing))
    tl.store(result + _MONO_AT + 1, tl.where(joins, (-unlike * _BLOCK).to(tl.float64), nothing))
    tl.store(result + _MONO_AT + 2, tl.where(joins, tail, nothing))


@triton.jit
def _channel_measures(row, state, weights, count, scalars, result):
    """Further channels that have gone silent, and the steady offset of any."""
    channel = tl.arange(0, _CHANNELS)
    power = tl.load(row + _F_POWER + channel)
    further = (channel >= 2) & (tl.load(weights + channel) > 0)
    sounded = tl.load(state + _SOUNDED + channel)
    silent = further & (power < tl.load(scalars + _LOST)) & (sounded >= _SOUNDED_BLOCKS)
    gone = tl.max(silent.to(tl.int32), axis=0).to(tl.float64)
    sounding = tl.load(scalars + _SOUNDING)
    judged = (tl.max(further.to(tl.int32), axis=0) > 0) & _flag(tl.max(power, axis=0) >= sounding)
    tl.store(result + _SURROUND_LOST_AT, tl.where(judged, gone, float("nan")))
    tl.store(state + _SOUNDED + channel, sounded + 1, mask=further & (power >= sounding))

    mean = tl.load(row + _F_MEAN + channel)
    before = tl.load(state + _MEANS + channel)
    steady = tl.where((mean * before > 0) & (count > 0), tl.minimum(tl.abs(mean), tl.abs(before)), 0.0)
    tl.store(state + _MEANS + channel, mean)
    tl.store(result + _OFFSET_AT, tl.max(steady, axis=0))
    tl.store(result + _OFFSET_AT + 1, 0.0)
    tl.store(result + _OFFSET_AT + 2, _BLOCK * 1.0)


@triton.jit
def _surround_pairs(row, state, weights, scalars, result):
    """Of channels beside and behind the listener, two by two in the order of their layout."""
    front = tl.load(scalars + _PAIR_WEIGHT)
    sounding, lost = tl.load(scalars + _SOUNDING), tl.load(scalars + _LOST)
    share = tl.load(scalars + _AROUND_SHARE)
    around = 0
    first = sounding * 0
    first_late = sounding * 0
    best = sounding * 0 - 1
    for channel in tl.static_range(0, _CHANNELS):
        power = tl.load(row + _F_POWER + channel)
        late = tl.load(state + _AROUND + channel)
        late += share * (power - late)
        tl.store(state + _AROUND + channel, late)
        beside = _flag(tl.load(weights + channel) > front)
        second = beside & (around % 2 == 1)
        louder, quieter = tl.maximum(first, power), tl.minimum(first, power)
        known = second & _flag(louder >= sounding) & _flag(quieter >= lost)
        apart = tl.abs(_decibels(first_late, scalars) - _decibels(late, scalars))
        best = tl.where(known, tl.maximum(best, apart), best)
        first = tl.where(beside, power, first)
        first_late = tl.where(beside, late, first_late)
        around += tl.where(beside, 1, 0)
    judged = _flag(best >= 0) & (around % 2 == 0)
    tl.store(result + _PAIRS_AT, tl.where(judged, best, float("nan")))


@triton.jit
def _order(row, state, weights, scalars, result):
    """Whether LFE (weight 0) sounds like a full channel, and a full channel like LFE."""
    channel = tl.arange(0, _CHANNELS)
    power, steps = tl.load(row + _F_POWER + channel), tl.load(row + _F_SLOPE + channel)
    low_effects = tl.load(weights + channel) <= 0
    sounding = power >= tl.load(scalars + _SOUNDING)
    is_low = steps <= tl.load(scalars + _LOW_STEPS) * power
    is_wide = steps >= tl.load(scalars + _WIDE_STEPS) * power
    loud = power >= tl.load(scalars + _LOW_POWER)
    more = tl.where(low_effects, is_wide & sounding, is_low & loud)
    less = tl.where(low_effects, is_low & loud, is_wide & sounding)
    before = tl.load(state + _RUN + channel)
    run = tl.where(more, tl.minimum(before + 1.0, _RUN_MOST), before)
    run = tl.where(less, tl.maximum(before - _RUN_BACK, 0.0), run)
    since = tl.where(low_effects & (run > 0), tl.load(state + _SINCE + channel) + 1.0, 0.0)
    heard = tl.max((low_effects & (sounding | (before > 0))).to(tl.int32), axis=0) > 0
    longest = tl.max(tl.where(low_effects & (run >= _WIDE_BLOCKS), since, 0.0), axis=0)
    known = tl.max((~low_effects & (run >= _LOW_BLOCKS)).to(tl.int32), axis=0) > 0
    was_known = tl.max((~low_effects & (before >= _LOW_BLOCKS)).to(tl.int32), axis=0) > 0
    anew = low_effects & was_known & (known == 0)  # what was told is over
    tl.store(state + _RUN + channel, tl.where(anew, 0.0, run))
    tl.store(state + _SINCE + channel, tl.where(anew, 0.0, since))
    seconds = tl.where(known, longest * tl.load(scalars + _BLOCK_SECONDS), 0.0)
    tl.store(result + _SWAPPED_AT, tl.where(heard, seconds, float("nan")))


@triton.jit
def _hum(row, state, count, scalars, result):
    """The steady part of 3 s at each mains frequency."""
    block = tl.arange(0, _RING_LANES)
    column = tl.arange(0, _HUM_LANES)
    place = state + _HUM + block[:, None] * _HUM_COLUMNS + column[None, :]
    here = (block[:, None] < _HUM_BLOCKS) & (column[None, :] < _HUM_COLUMNS)
    newest = here & (block[:, None] == count % _HUM_BLOCKS)
    ring = tl.where(count > 0, tl.load(place, mask=here, other=0.0), 0.0)
    added = tl.load(row + _F_HUM + column, mask=column < _HUM_COLUMNS, other=0.0)
    ring = tl.where(newest, added[None, :], ring)
    tl.store(place, ring, mask=here & (newest | (count == 0)))
    mean = tl.sum(ring, axis=0) / _HUM_BLOCKS
    mean_square = tl.sum(ring * ring, axis=0) / _HUM_BLOCKS
    first = tl.sum(mean * 0, axis=0)
    second = tl.sum(mean * 0, axis=0)
    for k in tl.static_range(0, _HUM_COLUMNS, 2):
        both = (column == k) | (column == k + 1)
        steady = tl.sum(tl.where(both, mean * mean, 0.0), axis=0)
        all_of_it = tl.sum(tl.where(both, mean_square, 0.0), axis=0)
        kept = tl.where(_flag(steady >= tl.load(scalars + _COHERENCE) * all_of_it), steady, 0.0)
        if k < _HUM_COLUMNS // 2:
            first += kept
        else:
            second += kept
    tl.store(result + _HUM_AT, _decibels(tl.maximum(first, second), scalars))
    tl.store(result + _HUM_AT + 1, (_HUM_TAIL - _HUM_BLOCKS) * _BLOCK * 1.0)
    tl.store(result + _HUM_AT + 2, _HUM_TAIL * _BLOCK * 1.0)


@triton.jit
def _hiss(row, state, count, scalars, result):
    """The quietest 10 ms of 3 s."""
    bin = tl.arange(0, _HISS_LANES)
    highest = float("inf")
    quietest = tl.min(tl.load(row + _F_HISS + bin, mask=bin < _HISS_BINS, other=highest), axis=0)
    block = tl.arange(0, _RING_LANES)
    newest = block == count % _HISS_BLOCKS
    held = tl.where(newest, quietest, tl.load(state + _HISS + block, mask=block < _HISS_BLOCKS, other=highest))
    tl.store(state + _HISS + block, held, mask=newest)
    lower = tl.load(row + _F_PAIR_HISS)
    kept = tl.where(newest, lower, tl.load(state + _PAIR_HISS + block, mask=block < _HISS_BLOCKS, other=highest))
    tl.store(state + _PAIR_HISS + block, kept, mask=newest)
    quietest, lower = tl.min(held, axis=0), tl.min(kept, axis=0)
    quietest = tl.where(_flag(lower > quietest) & _flag(lower <= _HISS_TILT * quietest), lower, quietest)
    enough = count + 1 >= _HISS_BLOCKS
    tl.store(result + _HISS_AT, tl.where(enough, _decibels(quietest, scalars), _SILENT_DB))
    tl.store(result + _HISS_AT + 1, 0.0)
    tl.store(result + _HISS_AT + 2, (tl.where(enough, _HISS_BLOCKS - 1, count + 1) * _BLOCK).to(tl.float64))


@triton.jit
def _tone(row, state, count, level, scalars, result):
    angle = tl.load(row + _F_TONE)
    turned = tl.abs(angle - tl.load(state + _ANGLE))
    louder = tl.abs(level - tl.load(state + _LEVEL))
    same = (count > 0) & _flag(turned <= tl.load(scalars + _TONE_ANGLE)) & _flag(louder <= _TONE_LEVEL_DB)
    steady = same & _flag(level >= _SOUNDING_DB)
    tl.store(result + _TONE_AT + 2, tl.where(count > 0, 1.5, 1.0) * _BLOCK)
    purity, pure = tl.load(row + _F_PURITY), tl.load(scalars + _TONE_PURE)
    run, missing = tl.load(state + _RUN_OF_TONE), tl.load(state + _BREAK)
    own_angle, own_level = tl.load(state + _OWN_ANGLE), tl.load(state + _OWN_LEVEL)
    own_purity = tl.load(state + _OWN_PURITY)
    lasted = (count > 0) & _flag(run >= _TONE_LONG)
    off = tl.abs(angle - own_angle)
    own = _flag(purity >= pure) & _flag(off <= tl.load(scalars + _TONE_ANGLE))
    more = level - own_level
    again = lasted & own & _flag(more >= -_TONE_DROP) & _flag(more <= _TONE_LEVEL_DB)
    waits = lasted & _flag(more <= _TONE_LEVEL_DB) & _flag(missing < _TONE_BREAK_MOST)
    heard = steady & _flag(purity >= pure)
    held = heard | again | waits
    value = tl.where(heard, purity, tl.where(again | waits, own_purity, tl.where(steady, purity, 0.0)))
    tl.store(result + _TONE_AT, value)
    tl.store(result + _TONE_AT + 1, tl.where(lasted & (held == 0), 0.5 - missing, 0.5) * _BLOCK)
    grown = tl.where((count > 0) & own, run + 1.0, 1.0)
    tl.store(state + _RUN_OF_TONE, tl.where(heard, grown, tl.where(held, run, 0.0)))
    tl.store(state + _BREAK, tl.where(heard | again, 0.0, tl.where(held, missing + 1.0, 0.0)))
    tl.store(state + _OWN_ANGLE, tl.where(heard, angle, own_angle))
    tl.store(state + _OWN_LEVEL, tl.where(heard, level, own_level))
    tl.store(state + _OWN_PURITY, tl.where(heard, purity, own_purity))
    tl.store(state + _ANGLE, angle)
    tl.store(state + _LEVEL, level)


@triton.jit
def _envelope_at(row, state, count, bin, mask):
    """Bins numbered from the start of the block before; 0 where there is none."""
    earlier = tl.load(state + _ENVELOPE + bin, mask=mask & (bin < _BINS) & (bin >= 0) & (count > 0), other=0.0)
    later = tl.load(row + _F_ENVELOPE + bin - _BINS, mask=mask & (bin >= _BINS) & (bin < 2 * _BINS), other=0.0)
    return tl.where(bin < _BINS, earlier, later)


@triton.jit
def _edge(row, state, count, first, most, mask):
    total = tl.minimum(_envelope_at(row, state, count, first, mask), most)
    for k in tl.range(1, _EDGE_BINS):
        total += tl.minimum(_envelope_at(row, state, count, first + k, mask), most)
    return total / _EDGE_BINS


@triton.jit
def _mean_in_peak(row, state, count, near, far, scalars):
    """The mean of the _CUT_NEAR bins from `near` on, as a share of the peak of the _CUT_FAR bins from `far` on."""
    lane = tl.arange(0, _CUT_LANES)
    total = tl.sum(_envelope_at(row, state, count, near + lane, lane < _CUT_NEAR), axis=0)
    peak = tl.max(_envelope_at(row, state, count, far + lane, lane < _CUT_FAR), axis=0)
    return total / _CUT_NEAR / tl.maximum(peak, tl.load(scalars + _FLOOR))


@triton.jit
def _newest_cut(row, state, count, last, start, which, scalars):
    """What the state is to hold of the last sound, which ends at `start`."""
    far = tl.maximum(last, _FIRST).to(tl.int32) - _CUT_FAR + 1
    near = tl.maximum(start, _CUT_NEAR).to(tl.int32) - _CUT_NEAR
    share = _mean_in_peak(row, state, count, near, far, scalars)
    return tl.where(_flag(last >= _FIRST), share, tl.load(state + _CUT + which))


@triton.jit
def _find_gap(row, state, count, which, SHORTEST: tl.constexpr, scalars):
    """Length in ms, end, and bin before the longest gap that is known to have ended; the state after it; all pauses."""
    level, edge = tl.load(scalars + _GAP_LEVELS + which), tl.load(scalars + _GAP_EDGES + which)
    most = edge * _EDGE_MOST
    heard = tl.where(count > 0, tl.load(state + _LAST_LOUD + which), _NEVER)
    earlier = tl.load(state + _BEFORE + which)
    told = tl.where(count > 0, tl.load(state + _GAP_END), _NEVER)
    lane = _FIRST + tl.arange(0, _BIN_LANES)
    decided = lane < _LAST
    until = tl.zeros([_BIN_LANES], tl.float64) + heard
    newest = heard
    for start in tl.range(0, _LAST, _CHUNK):
        bin = start + tl.arange(0, _CHUNK)
        in_time = bin < _LAST
        loud = (_envelope_at(row, state, count, bin, in_time) >= level) & in_time
        newest = tl.maximum(newest, tl.max(tl.where(loud, bin.to(tl.float64), heard), axis=0))
        before = loud[None, :] & (bin[None, :] < lane[:, None])
        until = tl.maximum(until, tl.max(tl.where(before, bin.to(tl.float64)[None, :], heard), axis=1))
    length = lane - 1 - until
    pauses = length
    loud = decided & (_envelope_at(row, state, count, lane, decided) >= level)
    candidate = loud & (length >= SHORTEST) & (length < tl.load(state + _LONGEST)) & (lane - length >= told)
    inside = until >= _EDGE_BINS
    place = tl.where(inside, until, _EDGE_BINS).to(tl.int32) - _EDGE_BINS + 1
    fallen = tl.where(inside, _edge(row, state, count, place, most, candidate & inside), earlier)
    risen = _edge(row, state, count, lane, most, candidate)
    length = tl.where(candidate & (fallen >= edge) & (risen >= edge), length, 0.0)
    longest = tl.max(length, axis=0)
    end = tl.min(tl.where(length == longest, lane, 2 * _BINS), axis=0)
    last = tl.zeros([2], tl.int32) + tl.where(newest >= _EDGE_BINS, newest, _EDGE_BINS).to(tl.int32)
    there = tl.max(_edge(row, state, count, last - _EDGE_BINS + 1, most, last >= 0), axis=0)
    cut = _newest_cut(row, state, count, newest, newest + 1, which, scalars)
    there = tl.where(_flag(newest >= _EDGE_BINS), there, earlier)
    return longest, end, end - 1 - longest, newest - _BINS, there, cut, tl.where(loud, pauses, 0.0)


@triton.jit
def _fall(row, state, count, last_loud, mask, scalars):
    """Loudest of the bins up to the last loud one, and the first bin after it had fallen."""
    peak = _envelope_at(row, state, count, last_loud, mask)
    for k in tl.range(1, _CODED_REACH):
        peak = tl.maximum(peak, _envelope_at(row, state, count, last_loud - k, mask))
    fell = last_loud - _CODED_REACH + 1
    for back in tl.range(1, _CODED_REACH + 1):
        place = last_loud - _CODED_REACH + back
        loud = _envelope_at(row, state, count, place, mask) >= tl.load(scalars + _CODED_FALL) * peak
        fell = tl.where(loud, place + 1, fell)
    return peak, fell.to(tl.float64)


@triton.jit
def _find_coded_gap(row, state, count, scalars):
    """As `_find_gap`, of gaps that are not as sharp at their beginning."""
    level, edge = tl.load(scalars + _CODED_LEVEL), tl.load(scalars + _CODED_EDGE)
    heard = tl.where(count > 0, tl.load(state + _CODED_LOUD), _NEVER)
    told = tl.where(count > 0, tl.load(state + _GAP_END), _NEVER)
    peak_before, fell_before = tl.load(state + _CODED_PEAK), tl.load(state + _CODED_FELL)
    lane = _FIRST + tl.arange(0, _BIN_LANES)
    decided = lane < _LAST
    until = tl.zeros([_BIN_LANES], tl.float64) + heard
    newest = heard
    for start in tl.range(0, _LAST, _CHUNK):
        bin = start + tl.arange(0, _CHUNK)
        in_time = bin < _LAST
        loud = (_envelope_at(row, state, count, bin, in_time) >= level) & in_time
        newest = tl.maximum(newest, tl.max(tl.where(loud, bin.to(tl.float64), heard), axis=0))
        before = loud[None, :] & (bin[None, :] < lane[:, None])
        until = tl.maximum(until, tl.max(tl.where(before, bin.to(tl.float64)[None, :], heard), axis=1))
    loud = decided & (_envelope_at(row, state, count, lane, decided) >= level)
    candidate = loud & (lane - 1 - until >= _CODED_SHORTEST) & (until > _NEVER / 2)
    inside = until >= _CODED_REACH
    place = tl.where(inside, until, _CODED_REACH).to(tl.int32)
    peak, fell = _fall(row, state, count, place, candidate & inside, scalars)
    peak, fell = tl.where(inside, peak, peak_before), tl.where(inside, fell, fell_before)
    risen = _edge(row, state, count, lane, edge * _EDGE_MOST, candidate)
    length = lane - fell
    sharp = candidate & (peak >= tl.load(scalars + _CODED_SOUND)) & (risen >= edge) & (fell >= told)
    length = tl.where(sharp & (lane - 1 - until < tl.load(state + _LONGEST)), length, 0.0)
    longest = tl.max(length, axis=0)
    end = tl.min(tl.where(length == longest, lane, 2 * _BINS), axis=0)
    before_it = tl.max(tl.where(lane == end, until, heard), axis=0)
    here = newest >= _CODED_REACH
    last = tl.zeros([2], tl.int32) + tl.where(here, newest, _CODED_REACH).to(tl.int32)
    peak_now, fell_now = _fall(row, state, count, last, last >= 0, scalars)
    peak_now, fell_now = tl.max(peak_now, axis=0), tl.max(fell_now, axis=0)
    peak_now = tl.where(_flag(newest >= _CODED_REACH), peak_now, peak_before)
    fell_now = tl.where(_flag(newest >= _CODED_REACH), fell_now, fell_before)
    cut = _newest_cut(row, state, count, newest, fell_now, _GAPS, scalars)
    return longest, end, before_it, newest - _BINS, peak_now, fell_now - _BINS, cut


@triton.jit
def _differs(old, row, power, stepped, scalars):
    """Whether another sound, or the same one otherwise, begins between two blocks."""
    floor, sounding = tl.load(scalars + _FLOOR), tl.load(scalars + _SOUNDING)
    least = tl.load(scalars + _ACROSS_OFFSET)
    offset = tl.abs(tl.load(old + 4) - tl.load(row + _F_MEAN))
    most = tl.maximum(tl.load(old), tl.load(row + _F_POWER))
    moved = _flag(offset >= least) & _flag(offset * offset >= _ACROSS_OFFSET_SHARE * most)
    offset = tl.abs(tl.load(old + 5) - tl.load(row + _F_MEAN + 1))
    most = tl.maximum(tl.load(old + 1), tl.load(row + _F_POWER + 1))
    moved = moved | (_flag(offset >= least) & _flag(offset * offset >= _ACROSS_OFFSET_SHARE * most))
    purity, purity_before = tl.load(row + _F_PURITY), tl.load(old + 6)
    power_before = tl.load(old + 7)
    tone = _flag(tl.maximum(purity, purity_before) >= tl.load(scalars + _ACROSS_PURE))
    differs = moved | (tone & _flag(tl.minimum(purity, purity_before) < tl.load(scalars + _ACROSS_IMPURE)))
    louder, quieter = tl.maximum(power, power_before), tl.minimum(power, power_before)
    differs = differs | (_flag(stepped > 0.0) & _flag(louder >= _ACROSS_LEVEL * quieter))
    left, right = tl.load(row + _F_POWER), tl.load(row + _F_POWER + 1)
    side, mid = tl.load(row + _F_SIDE), tl.load(row + _F_MID)
    left_before, right_before = tl.load(old), tl.load(old + 1)
    side_before, mid_before = tl.load(old + 2), tl.load(old + 3)
    pair = _flag(side == side) & _flag(side_before == side_before)
    pair = pair & _flag(tl.maximum(left, right) >= sounding)
    pair = pair & _flag(tl.maximum(left_before, right_before) >= sounding)
    one = (left_before + floor) * (right + floor)
    two = (right_before + floor) * (left + floor)
    leans = _flag(tl.maximum(one, two) >= tl.load(scalars + _ACROSS_BALANCE) * tl.minimum(one, two))
    before = 1 - 2 * side_before / tl.maximum(side_before + mid_before, floor)
    after = 1 - 2 * side / tl.maximum(side + mid, floor)
    opposed = _flag(before * after < 0.0) & _flag(tl.abs(before - after) >= _ACROSS_CORRELATION)
    return differs | (pair & (leans | opposed))


@triton.jit
def _told_click(state, count, result, edge, burst, found):
    """The click of the block before, none where it is an edge; or a coder's, where that stands out more."""
    some = _flag(count > 0)
    ratio = tl.where(some, tl.load(state + _CLICK), 0.0)
    place = tl.where(some, tl.load(state + _CLICK_PLACE), 0.0) - _BLOCK
    ratio = tl.where(edge & _flag(ratio > 0.0), 0.0, ratio)
    is_burst = _flag(burst * _BURST_SCALE > ratio)
    begin = ((found - _BINS) * _BIN).to(tl.float64)
    tl.store(result + _CLICK_AT, tl.where(is_burst, burst * _BURST_SCALE, ratio))
    tl.store(result + _CLICK_AT + 1, tl.where(is_burst, begin, place - _CLICK_HALF))
    tl.store(result + _CLICK_AT + 2, tl.where(is_burst, begin + _BIN, place + _CLICK_HALF))


@triton.jit
def _hiss_at(row, state, bin, mask):
    """Bins of 10 ms, numbered from the start of the block before."""
    earlier = tl.load(state + _HISS_BEFORE + bin, mask=mask & (bin < _HISS_BINS), other=0.0)
    later = tl.load(row + _F_HISS + bin - _HISS_BINS, mask=mask & (bin >= _HISS_BINS), other=0.0)
    return tl.where(bin < _HISS_BINS, earlier, later)


@triton.jit
def _burst(row, state, count, scalars):
    """How far the peak of a millisecond stands out of those around it, where it is a coded click's; and its bin."""
    lane = tl.arange(0, _BIN_LANES)
    here = (lane < _BINS) & (count > 0)
    bin = _BURST_FIRST + lane
    peak = _envelope_at(row, state, count, bin, here)
    around = peak * 0.0 + tl.load(scalars + _BURST_QUIET)
    for d in tl.range(_BURST_NEAR, _BURST_FAR + 1):
        around = tl.maximum(around, _envelope_at(row, state, count, bin - d, here))
        around = tl.maximum(around, _envelope_at(row, state, count, bin + d, here))
    ratio = peak / around
    first = bin // _HISS_MS - 1
    power = _hiss_at(row, state, first, here)
    most = first
    for d in tl.range(1, 3):
        one = _hiss_at(row, state, first + d, here)
        most = tl.where(one > power, first + d, most)
        power = tl.maximum(power, one)
    before = power * 0.0
    after = power * 0.0
    for d in tl.range(_BURST_HISS_NEAR, _BURST_HISS_FAR + 1):
        before += _hiss_at(row, state, most - d, here)
        after += _hiss_at(row, state, most + d, here)
    beside = tl.maximum(before, after) / (_BURST_HISS_FAR - _BURST_HISS_NEAR + 1)
    low, lone = ratio < _BURST_RATIO, ratio >= _BURST_LONE
    square = tl.maximum(ratio * ratio, 1.0)
    hiss = tl.where(low, _BURST_LEAST_HISS / (square * square), tl.where(lone, _BURST_LONE_HISS, _BURST_HISS))
    white = tl.where(lone, tl.load(scalars + _BURST_LONE_WHITE), tl.load(scalars + _BURST_WHITE))
    white = tl.where(low, tl.load(scalars + _BURST_LEAST_WHITE), white)
    stands = power >= hiss * tl.maximum(beside, tl.load(scalars + _BURST_HISS_FLOOR))
    stands = stands & (power >= white * peak * peak)
    is_one = here & stands & (peak >= tl.load(scalars + _BURST_PEAK)) & (ratio >= _BURST_LEAST)
    ratio = tl.where(is_one, ratio, 0.0)
    best = tl.max(ratio, axis=0)
    found = tl.min(tl.where(is_one & (ratio == best), bin, 2 * _BINS), axis=0)
    return tl.where(best > 0, tl.maximum(best, _BURST_RATIO), 0.0), found


@triton.jit
def _first_of(length, end, last, more, more_end, more_last):
    """What was found first."""
    end, last = tl.where(length > 0, end, more_end), tl.where(length > 0, last, more_last)
    return end, last, tl.where(length > 0, length, more)


@triton.jit
def _is_told(row, state, count, length, end, last, which, pauses, scalars):
    """Whether a gap is one; where sound begins after a pause, how long that was, and what pauses there were of late."""
    begin = tl.where(count > 0, tl.load(state + _SOUND_FROM), _NEVER)
    pause = tl.where(count > 0, tl.load(state + _SOUND_AFTER), 0.0)
    start = end - length
    lane = (tl.arange(0, _BIN_LANES) + _FIRST).to(tl.float64)
    begins = pauses >= _PAUSE_SHORTEST
    newest = tl.max(tl.where(begins, lane, begin), axis=0)
    latest = tl.maximum(tl.max(tl.where(begins & (lane == newest), pauses, 0.0), axis=0), 0.0)
    latest = tl.where(_flag(newest >= _FIRST), latest, pause)
    early = begins & (lane < start)
    from_here = tl.max(tl.where(early, lane, begin), axis=0)
    rest = tl.max(tl.where(early & (lane == from_here), pauses, 0.0), axis=0)
    rest = tl.where(_flag(from_here >= _FIRST), rest, pause)

    near, far = start.to(tl.int32) - _CUT_NEAR, last.to(tl.int32) - _CUT_FAR + 1
    cut = _mean_in_peak(row, state, count, near, far, scalars)
    cut = tl.where(_flag(last >= _FIRST), cut, tl.load(state + _CUT + which))
    cut *= _mean_in_peak(row, state, count, end, end, scalars)
    least = tl.minimum(length * _CUT_LASTED, _CUT_LONG)
    short = _flag(start - from_here < least) & _flag(rest >= length * _CUT_PAUSE)
    before = tl.where(count > 0, tl.load(scalars + _PAUSE_KEPT) * tl.load(state + _PAUSES), 0.0)
    is_pause = _flag(length > 0) & (short | _flag(cut < tl.load(scalars + _CUT_SHARE)))
    rare = _flag(before < tl.load(scalars + _PAUSES_LEAST)) & _flag(count >= _PAUSE_BLOCKS)
    told = tl.where(is_pause, rare & (short == 0), _flag(before < tl.load(scalars + _PAUSES_MOST)))
    return told, newest - _BINS, latest, before + tl.where(is_pause, 1.0, 0.0)


@triton.jit
def _gaps_and_clicks(row, state, count, power, scalars, result):
    old = state + _ACROSS + count % 2 * _ACROSS_WIDTH
    burst, found = _burst(row, state, count, scalars)
    edge = _flag(count > 1) & _differs(old, row, power, tl.load(state + _CLICK_STEP), scalars)
    _told_click(state, count, result, edge, burst, found)
    hiss_bin = tl.arange(0, _HISS_LANES)
    hiss = tl.load(row + _F_HISS + hiss_bin, mask=hiss_bin < _HISS_BINS, other=0.0)
    click_at = tl.load(row + _F_CLICK_AT)
    bin = tl.arange(0, 2 * _BIN_LANES)
    here = bin < 2 * _BINS
    both = _envelope_at(row, state, count, bin, here)
    distance = bin - (_BINS + click_at / _BIN)
    before = tl.max(tl.where(here & (distance > -_DELAY) & (distance < -2), both, 0.0), axis=0)
    after = tl.max(tl.where(here & (distance > 1) & (distance < _DELAY), both, 0.0), axis=0)
    louder, quieter = tl.maximum(before, after), tl.minimum(before, after)
    level = tl.load(scalars + _GAP_LEVELS)
    beside = _flag(quieter < level) & _flag(louder >= level)
    for which in tl.static_range(1, _GAPS - 1):
        filled = _flag(quieter < tl.load(scalars + _GAP_LEVELS + which))
        beside = beside | (filled & _flag(louder >= tl.load(scalars + _GAP_EDGES + which)))
    ratio = tl.load(row + _F_CLICK)
    near = here & (distance > -_DELAY) & (distance < -_ACROSS_NEAR)
    early = tl.max(tl.where(near, both, 0.0), axis=0)
    late = tl.max(tl.where(here & (distance > _ACROSS_NEAR) & (distance < _DELAY), both, 0.0), axis=0)
    lower = tl.minimum(early, late)
    steps = _flag(lower > 0.0) & _flag(tl.maximum(early, late) >= _ACROSS_STEP * lower)
    left, right = tl.load(row + _F_POWER), tl.load(row + _F_POWER + 1)
    mean, other_mean = tl.load(row + _F_MEAN), tl.load(row + _F_MEAN + 1)
    side, mid, purity = tl.load(row + _F_SIDE), tl.load(row + _F_MID), tl.load(row + _F_PURITY)
    tl.debug_barrier()  # every read of the block before comes before it is overwritten
    tl.store(old, left)
    tl.store(old + 1, right)
    tl.store(old + 2, side)
    tl.store(old + 3, mid)
    tl.store(old + 4, mean)
    tl.store(old + 5, other_mean)
    tl.store(old + 6, purity)
    tl.store(old + 7, power)
    tl.store(state + _CLICK, tl.where(beside, 0.0, ratio))
    tl.store(state + _CLICK_PLACE, click_at)
    tl.store(state + _CLICK_STEP, tl.where(steps, 1.0, 0.0))
    tl.store(state + _HISS_BEFORE + hiss_bin, hiss, mask=hiss_bin < _HISS_BINS)

    length, end, last, until_0, before_0, cut_0, pauses = _find_gap(row, state, count, 0, _SHORTEST_0, scalars)
    which = tl.where(length > 0, 0, 1)
    more, more_end, more_last, until_1, before_1, cut_1, _ = _find_gap(row, state, count, 1, _SHORTEST_1, scalars)
    end, last, length = _first_of(length, end, last, more, more_end, more_last)
    which = tl.where(length > 0, which, 2)
    more, more_end, more_last, until_2, before_2, cut_2, _ = _find_gap(row, state, count, 2, _SHORTEST_2, scalars)
    end, last, length = _first_of(length, end, last, more, more_end, more_last)
    which = tl.where(length > 0, which, 3)
    more, more_end, more_last, until_3, before_3, cut_3, _ = _find_gap(row, state, count, 3, _SHORTEST_3, scalars)
    end, last, length = _first_of(length, end, last, more, more_end, more_last)
    which = tl.where(length > 0, which, _GAPS)
    more, more_end, more_last, coded_until, coded_peak, coded_fell, cut_4 = _find_coded_gap(row, state, count, scalars)
    end, last, length = _first_of(length, end, last, more, more_end, more_last)
    is_gap, begin, after, pauses = _is_told(row, state, count, length, end, last, which, pauses, scalars)
    told = tl.where(count > 0, tl.load(state + _GAP_END), _NEVER)
    told = tl.where(length > 0, end.to(tl.float64), told) - _BINS
    length = tl.where(is_gap, length, 0.0)
    # It begins and ends anywhere in the milliseconds beside the whole ones.
    until = tl.where(length > 0, ((end - _BINS) * _BIN + _BIN // 2).to(tl.float64), 0.0)
    length = tl.where(length > 0, length + 1, 0.0)
    tl.store(result + _DROPOUT_AT, length * _BIN / _RATE)
    tl.store(result + _DROPOUT_AT + 1, until - length * _BIN)
    tl.store(result + _DROPOUT_AT + 2, until)
    lane = tl.arange(0, _BIN_LANES)
    current = tl.load(row + _F_ENVELOPE + lane, mask=lane < _BINS, other=0.0)
    tl.debug_barrier()  # every read of the block before comes before it is overwritten
    tl.store(state + _LAST_LOUD, until_0)
    tl.store(state + _LAST_LOUD + 1, until_1)
    tl.store(state + _LAST_LOUD + 2, until_2)
    tl.store(state + _LAST_LOUD + 3, until_3)
    tl.store(state + _BEFORE, before_0)
    tl.store(state + _BEFORE + 1, before_1)
    tl.store(state + _BEFORE + 2, before_2)
    tl.store(state + _BEFORE + 3, before_3)
    tl.store(state + _CUT, cut_0)
    tl.store(state + _CUT + 1, cut_1)
    tl.store(state + _CUT + 2, cut_2)
    tl.store(state + _CUT + 3, cut_3)
    tl.store(state + _CUT + 4, cut_4)
    tl.store(state + _SOUND_FROM, begin)
    tl.store(state + _SOUND_AFTER, after)
    tl.store(state + _PAUSES, pauses)
    tl.store(state + _GAP_END, told)
    tl.store(state + _CODED_LOUD, coded_until)
    tl.store(state + _CODED_PEAK, coded_peak)
    tl.store(state + _CODED_FELL, coded_fell)
    tl.store(state + _ENVELOPE + lane, current, mask=lane < _BINS)


@triton.jit
def _step(state, oldest, middle):
    """What two blocks have more than the two before, around the block `middle` after the oldest."""
    ring = state + _LEVELS
    after = tl.load(ring + (oldest + middle + 1) % _LEVELS_SIZE) + tl.load(ring + (oldest + middle + 2) % _LEVELS_SIZE)
    before = tl.load(ring + (oldest + middle - 1) % _LEVELS_SIZE) + tl.load(ring + (oldest + middle) % _LEVELS_SIZE)
    return (after - before) / 2


@triton.jit
def _ranked(state, first, rank, COUNT: tl.constexpr):
    """The level of this rank, from 0, of COUNT levels that begin at `first` in the ring."""
    lane = tl.arange(0, _PART_LANES)
    place = state + _LEVELS + (first + lane) % _LEVELS_SIZE
    value = tl.load(place, mask=lane < COUNT, other=float("inf"))
    below = (value[None, :] < value[:, None]) | ((value[None, :] == value[:, None]) & (lane[None, :] < lane[:, None]))
    rank_of = tl.sum(below.to(tl.int32), axis=1)
    return tl.sum(tl.where(rank_of == rank, value, 0.0), axis=0)


@triton.jit
def _active(state, first, rank, COUNT: tl.constexpr):
    """Mean level of the sound among COUNT levels that begin at `first` in the ring."""
    lane = tl.arange(0, _PART_LANES)
    value = tl.load(state + _LEVELS + (first + lane) % _LEVELS_SIZE, mask=lane < COUNT, other=float("-inf"))
    kept = value >= _ranked(state, first, rank, COUNT) - _ACTIVE
    return tl.sum(tl.where(kept, value, 0.0), axis=0) / tl.sum(kept.to(tl.int32), axis=0)


@triton.jit
def _is_near(level, before, after, change):
    """Whether the best border between levels like `before` and like `after` is near, or nearly so."""
    lane = tl.arange(0, _LEVELS_LANES)
    cost = tl.where(lane < _LEVELS_SIZE, tl.abs(level - before) - tl.abs(level - after), 0.0)
    border = tl.cumsum(cost, axis=0)  # that of the border after each block
    tried = (lane >= _HALF - _REACH - 1) & (lane <= _HALF + _REACH - 1)
    here = (lane >= _HALF - 2) & (lane <= _HALF)
    best = tl.min(tl.where(tried, border, float("inf")), axis=0)
    return _flag(tl.min(tl.where(here, border, float("inf")), axis=0) <= best + _BORDER_BLOCKS * change)


@triton.jit
def _border(level, loud, quiet, sign, change):
    """The first block after the border with the least against it; a pause of the louder side says little."""
    lane = tl.arange(0, _LEVELS_LANES)
    pause = tl.minimum(tl.maximum(loud - level, 0.0), _BORDER_PAUSE * change)
    cost = tl.where(lane < _LEVELS_SIZE, sign * (tl.maximum(level - quiet, 0.0) - pause), 0.0)
    border = tl.cumsum(cost, axis=0)
    tried = (lane >= _HALF - _REACH - 1) & (lane <= _HALF + _REACH - 1)
    best = tl.min(tl.where(tried, border, float("inf")), axis=0)
    return tl.min(tl.where(tried & (border <= best + _BORDER_SAME), lane + 1, _LEVELS_SIZE), axis=0)


@triton.jit
def _keep_bands(row, state, count, power, sounding, scalars):
    """The levels of low frequencies and of steps, beside those of the whole."""
    low = tl.load(row + _F_LOW_SIDE) + tl.load(row + _F_LOW_MID)
    low = tl.where(_flag(low == low), low, power)  # mono has no measure of it
    steps = tl.sum(tl.load(row + _F_SLOPE + tl.arange(0, _CHANNELS)), axis=0) / sounding
    place = state + _BANDS + count % _LEVELS_SIZE
    tl.store(place, _decibels(tl.maximum(low, tl.load(scalars + _LOW_LEAST) * power), scalars))
    steps = tl.maximum(steps, tl.load(scalars + _STEPS_LEAST) * power)
    tl.store(place + _LEVELS_SIZE, _decibels(steps, scalars))


@triton.jit
def _most_apart(state, oldest, middle, high):
    """How far low frequencies and steps moved otherwise than the whole, by `middle` and `high` at the two ranks, dB."""
    most = middle * 0
    # A loop in the compiled code, too: its passes take a time that grows with the square of what is written out.
    for band in range(2):
        ring = state + _BANDS - _LEVELS + band * _LEVELS_SIZE
        after = oldest + _HALF + 1
        off = _ranked(ring, after, _MIDDLE_RANK, _PART) - _ranked(ring, oldest, _MIDDLE_RANK, _PART)
        above = _ranked(ring, after, _HIGH_RANK, _PART) - _ranked(ring, oldest, _HIGH_RANK, _PART)
        most = tl.maximum(most, (tl.abs(off - middle) + tl.abs(above - high)) / 2)
    return most


@triton.jit
def _level_jump(state, count, level, scalars, result):
    tl.store(state + _LEVELS + count % _LEVELS_SIZE, level)
    tl.debug_barrier()
    oldest = (count + 1) % _LEVELS_SIZE
    step = _step(state, oldest, _HALF - 1)
    sign = tl.where(step > 0, 1.0, -1.0)
    step = step * sign
    known = (count + 1 >= _LEVELS_SIZE) & _flag(step >= _STEP_LEAST)
    known = known & _flag(step >= sign * _step(state, oldest, _HALF - 2))
    known = known & _flag(step > sign * _step(state, oldest, _HALF))
    change = level * 0
    border = count * 0 + _HALF
    if known:
        after = oldest + _HALF + 1
        usual_before, usual_after = (
            _ranked(state, oldest, _MIDDLE_RANK, _PART),
            _ranked(state, after, _MIDDLE_RANK, _PART),
        )
        high_before, high_after = _ranked(state, oldest, _HIGH_RANK, _PART), _ranked(state, after, _HIGH_RANK, _PART)
        whole = _active(state, after, _ACTIVE_RANK, _PART) - _active(state, oldest, _ACTIVE_RANK, _PART)
        near = _active(state, after, _CLOSE_RANK, _CLOSE)
        near -= _active(state, oldest + _PART - _CLOSE, _CLOSE_RANK, _CLOSE)
        moved = tl.minimum(tl.minimum(sign * whole, sign * near), sign * (usual_after - usual_before))
        moved = tl.minimum(moved, sign * (high_after - high_before))
        near_before = _ranked(state, oldest + _PART - _NEAR, _NEAR_RANK, _NEAR)
        near = sign * (_ranked(state, after, _NEAR_RANK, _NEAR) - near_before)
        lane = tl.arange(0, _LEVELS_LANES)
        levels = state + _LEVELS + (oldest + lane) % _LEVELS_SIZE
        levels = tl.load(levels, mask=lane < _LEVELS_SIZE, other=0.0)
        heard = _is_near(levels, usual_before, usual_after, moved)
        heard = heard & _flag(near >= tl.load(scalars + _NEAR_SHARE) * moved)
        heard = heard & _flag(tl.maximum(high_before, high_after) >= _SOUNDING_DB)
        heard = heard & _flag(tl.minimum(high_before, high_after) >= _QUIETEST)
        at_once = _flag(step >= tl.load(scalars + _STEP_SHARE) * moved) & _flag(step <= moved + _STEP_MORE)
        apart = _most_apart(state, oldest, usual_after - usual_before, high_after - high_before)
        heard = heard & _flag(apart <= tl.maximum(moved * _UNIFORM_SHARE, _UNIFORM))
        heard = heard & at_once & _flag(moved >= _CHANGE_LEAST)
        change = tl.where(heard, moved, 0.0)
        rises = _flag(sign > 0)
        quieter = tl.where(rises, oldest, after)
        loud = tl.where(rises, usual_after, usual_before)
        quiet = _ranked(state, quieter, _ACTIVE_RANK, _PART)
        border = tl.where(heard, _border(levels, loud, quiet, sign, moved), _HALF)
    tl.store(result + _JUMP_AT, change)
    tl.store(result + _JUMP_AT + 1, ((border + 1 - _LEVELS_SIZE) * _BLOCK).to(tl.float64))
    tl.store(result + _JUMP_AT + 2, ((border + 2 - _LEVELS_SIZE) * _BLOCK).to(tl.float64))


@triton.jit
def _bandwidth(row, state, scalars, result):
    """For how long sound that had high frequencies has been without them."""
    mid = tl.load(row + _F_MID)
    power = tl.where(_flag(mid == mid), mid, tl.load(row + _F_POWER))
    lane = tl.arange(0, _HISS_LANES)
    hiss = tl.load(row + _F_HISS + lane, mask=lane < _HISS_BINS, other=0.0)
    third = tl.sum(hiss, axis=0) * tl.load(scalars + _THIRD_GAIN)
    fourth = tl.load(row + _F_FOURTH)
    heard = _flag(power >= tl.load(scalars + _BAND_POWER))
    narrow = _flag(fourth <= tl.load(scalars + _NARROW_STEPS) * third)
    is_broad = tl.where(_flag(fourth >= tl.load(scalars + _BROAD_STEPS) * third), power * 0 + 1, power * 0)
    run, broad, was = tl.load(state + _NARROW), tl.load(state + _BROAD), tl.load(state + _WAS_BROAD)
    was = tl.where(heard & narrow & _flag(run == 0), broad, was)
    then = tl.where(narrow, tl.minimum(run + 1, _RUN_MOST), tl.maximum(run - _RUN_BACK, 0))
    run = tl.where(heard, then, run)
    broad = tl.where(heard, broad + tl.load(scalars + _BROAD_KEPT) * (is_broad - broad), broad)
    since = tl.where(_flag(run > 0), tl.load(state + _NARROW_SINCE) + 1, 0.0)
    lost = _flag(run >= _NARROW_BLOCKS) & _flag(was >= _BROAD_SHARE)
    tl.store(result + _NARROW_AT, tl.where(lost, since * tl.load(scalars + _BLOCK_SECONDS), 0.0))
    tl.debug_barrier()  # every read of the state comes before it is overwritten
    tl.store(state + _NARROW, run)
    tl.store(state + _NARROW_SINCE, since)
    tl.store(state + _BROAD, broad)
    tl.store(state + _WAS_BROAD, was)


@triton.jit
def _minute(state, momentary, scalars, result):
    """Distance of the last minute's gated loudness from the target."""
    offset = tl.load(scalars + _OFFSET)
    known = _flag(momentary == momentary)
    power = tl.exp(tl.where(known, momentary - offset, 0.0) / tl.load(scalars + _DECIBEL))
    count = tl.load(state + _MINUTES).to(tl.int32)
    lane = tl.arange(0, _MINUTE_LANES)
    newest = (lane == count % _MINUTE_BLOCKS) & known
    ring = tl.where(newest, power, tl.load(state + _MINUTE + lane, mask=lane < _MINUTE_BLOCKS, other=0.0))
    tl.store(state + _MINUTE + lane, ring, mask=newest)
    count += tl.where(known, 1, 0)
    tl.store(state + _MINUTES, count.to(tl.float64))
    gate = tl.load(scalars + _GATE)
    above = ring > gate
    kept = tl.sum(above.to(tl.int32), axis=0)
    mean = tl.sum(tl.where(above, ring, 0.0), axis=0) / tl.maximum(kept, 1)
    above = ring > tl.maximum(gate, tl.load(scalars + _RELATIVE) * mean)
    loud = tl.sum(tl.where(above, ring, 0.0), axis=0) / tl.maximum(tl.sum(above.to(tl.int32), axis=0), 1)
    error = tl.abs(offset + _decibels(loud, scalars) - tl.load(state + _TARGET))
    error = tl.where(count < _MINUTE_BLOCKS, 0.0, tl.where(kept > 0, error, float("nan")))
    tl.store(result + _MINUTE_AT, tl.where(count % _MINUTE_EVERY == 0, error, float("nan")))
    tl.store(result + _MINUTE_AT + 1, 0.0)
    tl.store(result + _MINUTE_AT + 2, (tl.minimum(count, _MINUTE_BLOCKS) * _BLOCK).to(tl.float64))


@triton.jit
def _follow(features, valid, weights, momentary, momentary_stride, slots, states, scalars, out, out_stride):
    index = tl.program_id(0).to(tl.int64)
    row = features + index * _FEATURES
    state = states + tl.load(slots + index) * _STATE_SIZE
    result = out + index * out_stride
    whole = tl.load(valid + index) == _BLOCK
    count = tl.load(state + _COUNT).to(tl.int32)
    _pair_measures(row, state, whole, scalars, result)
    _channel_measures(row, state, weights + index * _CHANNELS, count, scalars, result)
    _surround_pairs(row, state, weights + index * _CHANNELS, scalars, result)
    if whole:
        _order(row, state, weights + index * _CHANNELS, scalars, result)
        channel = tl.arange(0, _CHANNELS)
        power = tl.load(row + _F_POWER + channel)
        sounding = tl.maximum(tl.sum((power > 0).to(tl.int32), axis=0), 1)
        total = tl.sum(power, axis=0)
        power_each = total / sounding
        level = _decibels(power_each, scalars)
        _keep_bands(row, state, count, power_each, sounding, scalars)
        _level_jump(state, count, level, scalars, result)
        _hum(row, state, count, scalars, result)
        _hiss(row, state, count, scalars, result)
        _tone(row, state, count, level, scalars, result)
        _gaps_and_clicks(row, state, count, total, scalars, result)
        _minute(state, tl.load(momentary + index * momentary_stride), scalars, result)
        _bandwidth(row, state, scalars, result)
        tl.store(state + _COUNT, (count + 1).to(tl.float64))
    else:
        # It comes before a hole: nothing goes on after it, and its features are not there.
        column = tl.arange(0, _COLUMN_LANES)
        unknown = (column >= _HUM_AT) & (column < _COLUMNS)
        tl.store(result + column, column.to(tl.float64) * 0 + float("nan"), mask=unknown)
        tl.store(result + _SWAPPED_AT, tl.load(state + _COUNT) * 0 + float("nan"))
        if count > 0:
            tl.debug_barrier()
            _told_click(state, count, result, _flag(count < 0), tl.load(state + _COUNT) * 0.0, count * 0)
        tl.store(state + _COUNT, 0.0)


def sound_trends(
    features: Tensor, valid: Tensor, weights: Tensor, momentary: Tensor, slots: Tensor, state: Tensor, out: Tensor
) -> None:
    """The CUDA implementation of `avjury::sound_trends`; arguments as there. No synchronisation, no atomics."""
    device = features.device
    if device not in _constants:
        _constants[device] = torch.tensor(_SCALARS, dtype=torch.float64).to(device)
    if slots.shape[0]:
        _follow[(slots.shape[0],)](
            features, valid, weights, momentary, momentary.stride(0), slots, state, _constants[device], out,
            out.stride(0), num_warps=8,
        )  # fmt: skip
