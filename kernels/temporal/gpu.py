"""temporal on CUDA: Triton, one launch, a program per row with a lane per tile.

What a slot remembers, 30 KB, is read and written once per picture: less than a fiftieth of the picture's own bytes.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.temporal import layout as at
from kernels.tile_stats.grid import MEASURES, TILE_COLUMNS, TILE_ROWS, TILES

_TILES, _TILE_COLUMNS = tl.constexpr(TILES), tl.constexpr(TILE_COLUMNS)
_TILE_ROWS, _SIDE = tl.constexpr(TILE_ROWS), tl.constexpr(triton.next_power_of_2(max(TILE_ROWS, TILE_COLUMNS)))
_LANES = tl.constexpr(triton.next_power_of_2(TILES))
_MEASURES = tl.constexpr(len(MEASURES))
_N_COLUMNS = tl.constexpr(len(at.COLUMNS))
_STATE_SIZE = tl.constexpr(at.STATE_SIZE)
_LAST_PTS, _LAST_MAFD = tl.constexpr(int(at.Scalar.LAST_PTS)), tl.constexpr(int(at.Scalar.LAST_MAFD))
_CUT_AT, _REPEATS = tl.constexpr(int(at.Scalar.CUT_AT)), tl.constexpr(int(at.Scalar.REPEATS))
_SINCE_REPEAT, _MOVES = tl.constexpr(int(at.Scalar.SINCE_REPEAT)), tl.constexpr(int(at.Scalar.MOVES))
_GAPS, _EVENTS = tl.constexpr(int(at.Scalar.GAPS)), tl.constexpr(int(at.Scalar.EVENTS))
_STEPS, _LEVELS = tl.constexpr(int(at.Scalar.STEPS)), tl.constexpr(int(at.Scalar.LEVELS))
_OUTLIERS, _RUN = tl.constexpr(int(at.Scalar.OUTLIERS)), tl.constexpr(int(at.Scalar.RUN))
_SUSPECT, _HIGH_MOTION = tl.constexpr(int(at.Scalar.SUSPECT)), tl.constexpr(int(at.Scalar.HIGH_MOTION))
_MOVES_AT, _MOVES_SIZE = tl.constexpr(at.MOVES_AT), tl.constexpr(at.MOVES_SIZE)
_GAPS_AT, _GAPS_SIZE = tl.constexpr(at.GAPS_AT), tl.constexpr(at.GAPS_SIZE)
_EVENTS_AT, _EVENTS_SIZE = tl.constexpr(at.EVENTS_AT), tl.constexpr(at.EVENTS_SIZE)
_STEPS_AT, _STEPS_SIZE = tl.constexpr(at.STEPS_AT), tl.constexpr(at.STEPS_SIZE)
_LEVELS_AT, _LEVELS_SIZE = tl.constexpr(at.LEVELS_AT), tl.constexpr(at.LEVELS_SIZE)
_LUMINANCE_EXTREME, _LUMINANCE_WAY = tl.constexpr(at.LUMINANCE_EXTREME), tl.constexpr(at.LUMINANCE_WAY)
_LUMINANCE_TURNS, _LUMINANCE_TIMES = tl.constexpr(at.LUMINANCE_TURNS), tl.constexpr(at.LUMINANCE_TIMES)
_RED_EXTREME, _RED_WAY = tl.constexpr(at.RED_EXTREME), tl.constexpr(at.RED_WAY)
_RED_TURNS, _RED_TIMES = tl.constexpr(at.RED_TURNS), tl.constexpr(at.RED_TIMES)
_TURN_TIMES, _ACTIVITY = tl.constexpr(at.TURN_TIMES), tl.constexpr(at.ACTIVITY)
_WAS_STILL, _STUCK = tl.constexpr(at.WAS_STILL), tl.constexpr(at.STUCK)
_SINCE_STOP, _TOGETHER = tl.constexpr(at.SINCE_STOP), tl.constexpr(at.TOGETHER_SECONDS)
_LONGEST_GAP, _PEAK = tl.constexpr(at.LONGEST_GAP_SECONDS), tl.constexpr(at.PEAK_LUMINANCE)
_FLASH_STEP, _DARKEST_BRIGHT = tl.constexpr(at.FLASH_STEP), tl.constexpr(at.DARKEST_BRIGHT)
_FLASH_TILES, _FLASH_WINDOW = tl.constexpr(at.FLASH_TILES), tl.constexpr(at.FLASH_WINDOW_SECONDS)
_RED_SHARE, _RED_SCALE = tl.constexpr(at.RED_SHARE), tl.constexpr(at.RED_SCALE)
_PERIOD_MIN, _PERIOD_MAX = tl.constexpr(at.PERIOD_MIN), tl.constexpr(at.PERIOD_MAX)
_PERIODIC, _OPPOSED, _LEAST_POWER = tl.constexpr(at.PERIODIC), tl.constexpr(at.OPPOSED), tl.constexpr(at.LEAST_POWER)
_REPEAT_SHARE, _LEAST_MOTION = tl.constexpr(at.REPEAT_SHARE), tl.constexpr(at.LEAST_MOTION)
_GOES_ON, _MOST_REPEATS = tl.constexpr(at.GOES_ON), tl.constexpr(at.MOST_REPEATS)
_REPEAT_MEMORY, _STUTTER_WINDOW = tl.constexpr(at.REPEAT_MEMORY), tl.constexpr(at.STUTTER_WINDOW_SECONDS)
_LATE, _EVEN, _MOST_OUTLIERS = tl.constexpr(at.LATE), tl.constexpr(at.EVEN), tl.constexpr(at.MOST_OUTLIERS)
_STILL, _ACTIVITY_SECONDS, _ACTIVE = (
    tl.constexpr(at.STILL), tl.constexpr(at.ACTIVITY_SECONDS), tl.constexpr(at.ACTIVE),
)  # fmt: skip
_CUT_DIFFERENCE, _CUT_TILES = tl.constexpr(at.CUT_DIFFERENCE), tl.constexpr(at.CUT_TILES)
_CUT_RISE, _MOTION = tl.constexpr(at.CUT_RISE), tl.constexpr(int(at.Scalar.MOTION))
_JUMP = tl.constexpr(at.JUMP)
_LONG_HOLD, _LONG_REPEATS = tl.constexpr(at.LONG_HOLD_SECONDS), tl.constexpr(at.LONG_HOLD_REPEATS)
_FLICKERS, _KEPT_RATE = tl.constexpr(at.FLICKERS), tl.constexpr(at.KEPT_FLASH_RATE)
_FLASHES_KEPT, _MANY_FLASHES = tl.constexpr(at.FLASHES_KEPT), tl.constexpr(at.MANY_FLASHES)
_STUCK_TILES, _MOVING_TILES = tl.constexpr(at.STUCK_TILES), tl.constexpr(at.MOVING_TILES)
_CARD_SECONDS, _BEFORE_CARD = tl.constexpr(int(at.Scalar.CARD_SECONDS)), tl.constexpr(at.BEFORE_CARD)
_LEAST_CHROMA, _UNIFORM_SPREAD = tl.constexpr(at.LEAST_CHROMA), tl.constexpr(at.UNIFORM_SPREAD)
_SHORTEST_CARD, _SAME_SCENE = tl.constexpr(at.SHORTEST_CARD_SECONDS), tl.constexpr(at.SAME_SCENE)
_NEUTRAL, _DARK, _BRIGHT = tl.constexpr(at.NEUTRAL), tl.constexpr(at.DARK), tl.constexpr(at.BRIGHT)
_FLICKER_STEP, _FLICKER_RESTS = tl.constexpr(at.FLICKER_STEP), tl.constexpr(at.FLICKER_RESTS)
_FLASH_TOGETHER, _FLASHES = tl.constexpr(at.FLASH_TOGETHER), tl.constexpr(at.FLASHES)
_LEVEL_CUT_RISE = tl.constexpr(at.LEVEL_CUT_RISE)
_LEVEL_OFFSET, _ONE_WAY = tl.constexpr(at.LEVEL_OFFSET), tl.constexpr(at.ONE_WAY)
_FLASHES_AT, _FLASHES_SIZE = tl.constexpr(at.FLASHES_AT), tl.constexpr(at.FLASHES_SIZE)
_FLICKER_BACK, _LEVEL_TIMES = tl.constexpr(at.FLICKER_BACK_SECONDS), tl.constexpr(at.LEVEL_TIMES)
_RECTANGULAR, _FADING = tl.constexpr(at.RECTANGULAR), tl.constexpr(at.FADING)
_FIRST_REPEATS = tl.constexpr(at.FIRST_REPEATS)
_HELD_REPEATS, _HELD_AFTER, _MOST_HELD = (
    tl.constexpr(at.HELD_REPEATS), tl.constexpr(at.HELD_AFTER), tl.constexpr(at.MOST_HELD),
)  # fmt: skip
_BROKEN_CARD, _UNTOLD_CARD = tl.constexpr(at.BROKEN_CARD), tl.constexpr(at.UNTOLD_CARD_SECONDS)
_LOW_SHARE, _HIGH_FADES = tl.constexpr(at.LOW_SHARE), tl.constexpr(at.HIGH_FADES)
_DRIFT, _LAST_LUMA = tl.constexpr(at.DRIFT), tl.constexpr(at.LAST_LUMA)
_HOLE_TILES, _HOLE_RISE = tl.constexpr(at.HOLE_TILES), tl.constexpr(at.HOLE_RISE)
_HOLE_BLACK, _HOLE_GREY = tl.constexpr(at.HOLE_BLACK), tl.constexpr(at.HOLE_GREY)
_HOLE_COLOURED, _HOLE_DARK = tl.constexpr(float(at.HOLE_COLOURED)), tl.constexpr(at.HOLE_DARK)
_HOLE_GROUND = tl.constexpr(at.HOLE_GROUND)
_LAST_U, _LAST_V = tl.constexpr(at.LAST_U), tl.constexpr(at.LAST_V)
_SWAPPED, _SWAPPED_AT = tl.constexpr(at.SWAPPED), tl.constexpr(at.SWAPPED_AT)
_SWAP_LEAST, _SWAP_SHARE, _SWAP_LUMA = (
    tl.constexpr(at.SWAP_LEAST), tl.constexpr(at.SWAP_SHARE), tl.constexpr(at.SWAP_LUMA),
)  # fmt: skip
_SWAP_NOISE, _SWAP_MOTION = tl.constexpr(at.SWAP_NOISE), tl.constexpr(at.SWAP_MOTION)
_MOTION_BEFORE = tl.constexpr(at.SWAP_MOTION_BEFORE)
_SWAP_STEP = tl.constexpr(at.SWAP_STEP_SECONDS)
_SWAP_KEPT, _SWAP_BACK = tl.constexpr(at.SWAP_KEPT_SECONDS), tl.constexpr(at.SWAP_BACK)
_KEPT, _KEPT_BEFORE = tl.constexpr(at.KEPT), tl.constexpr(at.KEPT_BEFORE)
_KEPT_AT, _SWAP_AGAIN = tl.constexpr(at.KEPT_AT), tl.constexpr(at.SWAP_AGAIN)
_SWAP_SIZE, _NEGATIVE_SIZE = tl.constexpr(at.SWAP_SIZE), tl.constexpr(at.NEGATIVE_SIZE)
_SWAP_TOLD, _SWAP_OWN = tl.constexpr(at.SWAP_TOLD_SECONDS), tl.constexpr(at.SWAP_OWN_SECONDS)
_OPPOSITE, _NEGATIVE, _NEGATIVE_AT = (
    tl.constexpr(at.OPPOSITE), tl.constexpr(at.NEGATIVE), tl.constexpr(at.NEGATIVE_AT),
)  # fmt: skip
_NEGATIVE_SUM, _NEGATIVE_LEAST, _NEGATIVE_NOISE = (
    tl.constexpr(at.NEGATIVE_SUM), tl.constexpr(at.NEGATIVE_LEAST), tl.constexpr(at.NEGATIVE_NOISE),
)  # fmt: skip
_SMEAR_SAME, _SMEAR_BEFORE, _SMEAR_ROUGH = (
    tl.constexpr(at.SMEAR_SAME), tl.constexpr(at.SMEAR_BEFORE), tl.constexpr(at.SMEAR_ROUGH),
)  # fmt: skip
_SMEAR_ROWS, _SMEAR_COLUMNS, _SMEAR_TOLD = (
    tl.constexpr(at.SMEAR_ROWS), tl.constexpr(at.SMEAR_COLUMNS), tl.constexpr(at.SMEAR_TOLD_SECONDS),
)  # fmt: skip
_SMEARED, _SMEARED_SECONDS = tl.constexpr(at.SMEARED), tl.constexpr(at.SMEARED_SECONDS)
_SMEAR_CUT, _STUCK_CUT = tl.constexpr(at.SMEAR_CUT_SECONDS), tl.constexpr(at.STUCK_CUT_SECONDS)
_ROLL_LEAST, _ROLL_SECONDS = tl.constexpr(at.ROLL_LEAST), tl.constexpr(at.ROLL_SECONDS)
_ROLL_SHARE, _ROLL_NOISE = tl.constexpr(at.ROLL_SHARE), tl.constexpr(at.ROLL_NOISE)
_ROLL_APART, _ROLL_ALIKE = tl.constexpr(at.ROLL_APART), tl.constexpr(at.ROLL_ALIKE)
_ROLL_CHANGED = tl.constexpr(at.ROLL_CHANGED)
_ROLL_MOVES, _ROLL_HOLD = tl.constexpr(at.ROLL_MOVES), tl.constexpr(at.ROLL_HOLD_SECONDS)
_ROLL_RISE, _LONG_AGO = tl.constexpr(at.ROLL_RISE), tl.constexpr(at.LONG_AGO)
_ROLL_LUMA, _ROLL_LUMA_AT = tl.constexpr(at.ROLL_LUMA), tl.constexpr(at.ROLL_LUMA_AT)
_ROLLED_AT, _ROLL_MOTION = tl.constexpr(at.ROLLED_AT), tl.constexpr(at.ROLL_MOTION)
_ROLL_BEGAN, _ROLL_USUAL = tl.constexpr(at.ROLL_BEGAN), tl.constexpr(at.ROLL_USUAL)
_ROLL_ROSE_AT, _ROLL_ROWS = tl.constexpr(at.ROLL_ROSE_AT), tl.constexpr(at.ROLL_ROWS)
_ROLL_ROWS_AT, _ROLL_WAY = tl.constexpr(at.ROLL_ROWS_AT), tl.constexpr(at.ROLL_WAY)
_ROLL_STEPS, _ROLL_REST = tl.constexpr(at.ROLL_STEPS), tl.constexpr(at.ROLL_REST_SECONDS)
_ROLL_ROSE = tl.constexpr(at.ROLL_ROSE)
_HOLE_NEW, _HOLE_REST_LEAST = tl.constexpr(at.HOLE_NEW), tl.constexpr(at.HOLE_REST_LEAST)
_HOLE_MOVING, _HOLE_REST = tl.constexpr(at.HOLE_MOVING), tl.constexpr(at.HOLE_REST)
_HOLE, _HOLE_SECONDS, _HOLE_TOLD = (
    tl.constexpr(at.HOLE), tl.constexpr(at.HOLE_SECONDS), tl.constexpr(at.HOLE_TOLD_SECONDS),
)  # fmt: skip
_REST_LEAST, _REST_MOST = tl.constexpr(at.REST_LEAST), tl.constexpr(at.REST_MOST)


@triton.jit
def _flag(condition):
    """The same truth, by integers: the interpreter cannot spread the outcome of comparing two float scalars."""
    return tl.where(condition, 1, 0) == 1


@triton.jit
def _known(value):
    """Whether it is a number."""
    return _flag(tl.abs(value) >= 0.0)


@triton.jit
def _count(condition):
    """How many are true, as float64."""
    return tl.sum(condition.to(tl.int32), axis=0).to(tl.float64)


@triton.jit
def _level(share, full_range):
    """From black, 0, to white, 1, of a share of all codes."""
    return tl.where(full_range, share * 256.0 / 255.0, (share * 256.0 - 16.0) / 219.0)


@triton.jit
def _luminance(level, table):
    place = tl.minimum(tl.maximum(level, 0.0), 1.0) * 255.0
    index = tl.minimum(place.to(tl.int32), 254)
    low = tl.load(table + index)
    return low + (tl.load(table + index + 1) - low) * (place - index.to(tl.float64))


@triton.jit
def _turns(state, tile, inside, fresh, value, darkest, pts, EXTREME: tl.constexpr, WAY: tl.constexpr,
           TURNS: tl.constexpr, TIMES: tl.constexpr):  # fmt: skip
    """Follow every tile's value between its turning points; the rate of transitions of the last second, and which turn
    now.
    """
    extreme = tl.load(state + EXTREME + tile, mask=inside, other=0.0)
    extreme = tl.where(fresh, value, extreme)
    way = tl.load(state + WAY + tile, mask=inside, other=0.0)
    way = tl.where(fresh, 0.0, way)
    turns = tl.load(state + TURNS + tile, mask=inside, other=0.0)
    turns = tl.where(fresh, 0.0, turns)
    rising = way >= 0.0
    further = tl.where(rising, value > extreme, value < extreme)
    fell = (extreme - value >= _FLASH_STEP) & (value < darkest)
    rose = (value - extreme >= _FLASH_STEP) & (extreme < darkest)
    turned = inside & (further == 0) & tl.where(rising, fell, rose)
    place = turns.to(tl.int32) % _TURN_TIMES
    after = turns + turned.to(tl.float64)
    recent = tl.zeros(tile.shape, tl.int32)
    for k in tl.static_range(_TURN_TIMES):
        time = tl.load(state + TIMES + tile * _TURN_TIMES + k, mask=inside, other=0.0)
        time = tl.where(turned & (place == k), pts, time)
        recent += ((k < after) & (pts - time < _FLASH_WINDOW) & inside).to(tl.int32)
    tl.store(state + TIMES + tile * _TURN_TIMES + place, pts + tl.zeros(tile.shape, tl.float64), mask=turned)
    tl.store(state + EXTREME + tile, tl.where(further | turned, value, extreme), mask=inside)
    tl.store(state + WAY + tile, tl.where(turned, tl.where(rising, -1.0, 1.0), way), mask=inside)
    tl.store(state + TURNS + tile, after, mask=inside)
    rate = pts * 0.0
    for count in tl.static_range(1, _TURN_TIMES + 1):
        rate = tl.where(_count(recent >= count) >= _FLASH_TILES, 0.5 * count, rate)
    return rate, turned


@triton.jit
def _flashed_since(state, fresh, turned, rate, pts):
    """Note a transition of many tiles; seconds since the first of those that the rate counts, or since the latest."""
    together = _flag(_count(turned) >= _FLASH_TOGETHER)
    made = tl.where(fresh, 0.0, tl.load(state + _FLASHES))
    newest = made.to(tl.int32) % _FLASHES_SIZE
    tl.store(state + _FLASHES_AT + newest, pts, mask=together)
    k = tl.arange(0, _FLASHES_SIZE)
    times = tl.load(state + _FLASHES_AT + k)
    times = tl.where(together & (k == newest), pts, times)
    made += tl.where(together, 1.0, 0.0)
    tl.store(state + _FLASHES, made)
    recent = _count((k < made) & (pts - times < _FLASH_WINDOW))
    back = tl.where(together, tl.minimum(2.0 * rate, recent), 1.0)
    at_that = tl.sum(tl.where(k == (made - back).to(tl.int32) % _FLASHES_SIZE, times, 0.0), axis=0)
    return tl.where((made > 0.0) & (rate > 0.0), pts - at_that, 0.0)


@triton.jit
def _scalar(state, which, fresh, initial):
    return tl.where(fresh, initial, tl.load(state + which))


@triton.jit
def _flicker(state, fresh, level, pts):
    count = _scalar(state, _LEVELS, fresh, 0.0)
    newest = count.to(tl.int32) % _LEVELS_SIZE
    i = tl.arange(0, _LEVELS_SIZE)
    place = (newest + 1 + i) % _LEVELS_SIZE
    values = tl.where(place == newest, level, tl.load(state + _LEVELS_AT + place))
    before = (place + _LEVELS_SIZE - 1) % _LEVELS_SIZE
    earlier = tl.where(i == 0, values, tl.load(state + _LEVELS_AT + before))
    steps = tl.abs(values - earlier)
    large = (i > 0) & (steps >= _FLICKER_STEP * tl.max(steps, axis=0))
    first, last = tl.min(tl.where(large, i, _LEVELS_SIZE), axis=0), tl.max(tl.where(large, i, -1), axis=0)
    goes_on = _LEVELS_SIZE - 1 - last <= _FLICKER_RESTS
    times = tl.where(place == newest, pts, tl.load(state + _LEVEL_TIMES + place))
    since = pts - tl.sum(tl.where(i == tl.where(goes_on, first, last + 1), times, 0.0), axis=0)
    since = tl.where(goes_on & (since > _FLICKER_BACK), _FLICKER_BACK, since)
    tl.store(state + _LEVEL_TIMES + newest, pts)
    middle = (_LEVELS_SIZE - 1) / 2.0
    x = i.to(tl.float64) - middle
    mean = tl.sum(values, axis=0) / _LEVELS_SIZE
    slope = tl.sum(x * values, axis=0) / tl.sum(x * x, axis=0)
    values -= mean + slope * x
    power = tl.sum(values * values, axis=0)
    opposed = power < 0.0
    found = opposed
    for distance in tl.static_range(1, _PERIOD_MAX + 1):
        later = (place + distance) % _LEVELS_SIZE
        shifted = tl.where(later == newest, level, tl.load(state + _LEVELS_AT + later))
        shifted -= mean + slope * (x + distance)
        product = tl.sum(tl.where(i + distance < _LEVELS_SIZE, values * shifted, 0.0), axis=0)
        likeness = product * _LEVELS_SIZE / (power * (_LEVELS_SIZE - distance))
        if distance >= _PERIOD_MIN:
            found = found | (opposed & (likeness >= _PERIODIC))
        opposed = opposed | (likeness <= _OPPOSED)
    tl.store(state + _LEVELS_AT + newest, level)
    tl.store(state + _LEVELS, count + 1.0)
    periodic = found & (count + 1.0 >= _LEVELS_SIZE) & (power > _LEVELS_SIZE * _LEAST_POWER)
    amplitude = tl.where(periodic, 100.0 * tl.sqrt(2.0 * power / _LEVELS_SIZE), 0.0)
    known = (count + 1.0 >= _LEVELS_SIZE) & (periodic | (goes_on == 0))
    return amplitude, tl.where(known, since, 0.0), goes_on & (count + 1.0 >= _LEVELS_SIZE)


@triton.jit
def _usual_motion(state, count):
    rows = tl.arange(0, _MOVES_SIZE)[:, None]
    columns = tl.arange(0, _MOVES_SIZE)[None, :]
    own = tl.load(state + _MOVES_AT + rows)
    other = tl.load(state + _MOVES_AT + columns)
    rank = tl.sum(((other < own) | ((other == own) & (columns < rows))).to(tl.int32), axis=1)
    moves = tl.load(state + _MOVES_AT + tl.arange(0, _MOVES_SIZE))
    median = tl.sum(tl.where(rank == _MOVES_SIZE // 2, moves, 0.0), axis=0)
    return tl.where(count >= _MOVES_SIZE, median, 0.0)


@triton.jit
def _stutter(state, valid, fresh, motion, step, pts):
    """The rate; where not `valid`, the state only is begun anew if it is `fresh`."""
    moves = _scalar(state, _MOVES, fresh, 0.0)
    gaps = _scalar(state, _GAPS, fresh, 0.0)
    events = _scalar(state, _EVENTS, fresh, 0.0)
    steps = _scalar(state, _STEPS, fresh, 0.0)
    share = _scalar(state, _REPEATS, fresh, _FIRST_REPEATS)
    since = _scalar(state, _SINCE_REPEAT, fresh, 0.0)
    run = _scalar(state, _RUN, fresh, 0.0)
    suspect = _scalar(state, _SUSPECT, fresh, 0.0)
    high = _scalar(state, _HIGH_MOTION, fresh, 0.0)
    outliers = _scalar(state, _OUTLIERS, fresh, 0.0)

    usual = _usual_motion(state, moves)
    repeat = valid & (motion <= _REPEAT_SHARE * usual) & (usual >= _LEAST_MOTION)
    moves_on = valid & (repeat == 0)
    seen = valid & (usual >= _LEAST_MOTION)
    low = repeat | (motion <= _LOW_SHARE * high)
    counts = seen & ((repeat & (run >= _LONG_REPEATS)) == 0)
    share = tl.where(counts, share + (tl.where(low, 1.0, 0.0) - share) / _REPEAT_MEMORY, share)
    since += tl.where(valid, 1.0, 0.0)

    begins = repeat & (run == 0.0)
    k = tl.arange(0, _GAPS_SIZE)
    known = _count((tl.load(state + _GAPS_AT + k) == since) & (k < gaps)) > 0.0
    tl.store(state + _GAPS_AT + gaps.to(tl.int32) % _GAPS_SIZE, since, mask=begins)
    gaps += tl.where(begins, 1.0, 0.0)
    since = tl.where(begins, 0.0, since)
    suspect = tl.where(begins, tl.where(high < _GOES_ON * usual, 0.0, tl.where(known, 0.5, 1.0)), suspect)

    irregular = (suspect == 1.0) & (share <= _MOST_REPEATS)
    gap = tl.load(state + _GAPS_AT + tl.maximum(gaps.to(tl.int32) - 1, 0) % _GAPS_SIZE)
    held = (suspect > 0.0) & (run >= _HELD_REPEATS) & (gap >= run + _HELD_AFTER) & (share <= _MOST_HELD)
    event = moves_on & (run > 0.0) & (irregular | held) & (motion >= _GOES_ON * usual)
    long_hold = _flag(event & held & (run * step >= _LONG_HOLD))
    run = tl.where(repeat, run + 1.0, tl.where(moves_on, 0.0, run))
    is_high = moves_on & (low == 0)
    high = tl.where(moves_on, tl.where(low, tl.maximum(motion, _HIGH_FADES * high), motion), high)
    tl.store(state + _MOVES_AT + moves.to(tl.int32) % _MOVES_SIZE, motion, mask=is_high)
    moves += tl.where(is_high, 1.0, 0.0)

    held = tl.load(state + _STEPS_AT + tl.arange(0, _STEPS_SIZE))
    shortest = tl.min(held, axis=0)
    even = (steps >= _STEPS_SIZE) & (tl.max(held, axis=0) <= _EVEN * shortest)
    late = valid & even & (step > _LATE * shortest)
    on_time = valid & (late == 0)
    isolated = (outliers > 0.0) & (outliers < _MOST_OUTLIERS) & (usual >= _LEAST_MOTION)
    event = _flag(event | (on_time & isolated))
    outliers = tl.where(late, outliers + 1.0, tl.where(on_time, 0.0, outliers))
    kept = on_time | (late & (outliers >= _MOST_OUTLIERS))
    tl.store(state + _STEPS_AT + steps.to(tl.int32) % _STEPS_SIZE, step, mask=kept)
    steps += tl.where(kept, 1.0, 0.0)

    k = tl.arange(0, _EVENTS_SIZE)
    newest = events.to(tl.int32) % _EVENTS_SIZE
    times = tl.load(state + _EVENTS_AT + k)
    times = tl.where(event & (k == newest), pts, times)
    tl.store(state + _EVENTS_AT + newest, pts, mask=event)
    events += tl.where(event, 1.0, 0.0)
    newest = events.to(tl.int32) % _EVENTS_SIZE
    times = tl.where(long_hold & (k == newest), pts, times)
    tl.store(state + _EVENTS_AT + newest, pts, mask=long_hold)
    events += tl.where(long_hold, 1.0, 0.0)
    recent = _count((k < events) & (pts - times < _STUTTER_WINDOW))

    oldest = tl.min(tl.where((k < events) & (pts - times < _STUTTER_WINDOW), times, pts), axis=0)
    latest = tl.max(tl.where(k < events, times, float("-inf")), axis=0)
    ago = tl.where(event, pts - oldest, tl.where(events > 0.0, pts - latest, 0.0))

    tl.store(state + _MOVES, moves)
    tl.store(state + _GAPS, gaps)
    tl.store(state + _EVENTS, events)
    tl.store(state + _STEPS, steps)
    tl.store(state + _REPEATS, share)
    tl.store(state + _SINCE_REPEAT, since)
    tl.store(state + _RUN, run)
    tl.store(state + _SUSPECT, suspect)
    tl.store(state + _HIGH_MOTION, high)
    tl.store(state + _OUTLIERS, outliers)
    return tl.where(valid, recent / _STUTTER_WINDOW, 0.0), tl.where(valid, ago, 0.0)


@triton.jit
def _stands(row, column, still, top, bottom, left, right):
    """How many tiles of a rectangle stand still."""
    return _count(still & (row >= top) & (row <= bottom) & (column >= left) & (column <= right))


@triton.jit
def _rectangle(row, column, still, top, bottom, left, right):
    """The rectangle less the sides of which the least stands still, until RECTANGULAR of it does."""
    going = True
    while going:
        high, wide = (bottom - top + 1).to(tl.float64), (right - left + 1).to(tl.float64)
        full = _stands(row, column, still, top, bottom, left, right) >= _RECTANGULAR * (high * wide)
        upper = _stands(row, column, still, top, top, left, right) * high
        lower = _stands(row, column, still, bottom, bottom, left, right) * high
        first = _stands(row, column, still, top, bottom, left, left) * wide
        last = _stands(row, column, still, top, bottom, right, right) * wide
        # Shares times the size of the whole, which are integers; the first of equals goes.
        least = tl.minimum(tl.minimum(upper, lower), tl.minimum(first, last))
        trim = tl.where(upper == least, 0, tl.where(lower == least, 1, tl.where(first == least, 2, 3)))
        trim = tl.where(full, 4, trim)
        top, bottom = top + tl.where(trim == 0, 1, 0), bottom - tl.where(trim == 1, 1, 0)
        left, right = left + tl.where(trim == 2, 1, 0), right - tl.where(trim == 3, 1, 0)
        going = (trim < 4) & (top <= bottom) & (left <= right)
    return top, bottom, left, right


@triton.jit
def _stuck(state, tile, inside, valid, fresh, luma, difference, motion, step, pts):
    cut_at = _scalar(state, _CUT_AT, fresh, pts)
    last_luma = tl.where(fresh, luma, tl.load(state + _LAST_LUMA + tile, mask=inside, other=0.0))
    drift = tl.where(fresh, 0.0, tl.load(state + _DRIFT + tile, mask=inside, other=0.0))
    activity = tl.where(fresh, 0.0, tl.load(state + _ACTIVITY + tile, mask=inside, other=0.0))
    was_still = tl.where(fresh, 0.0, tl.load(state + _WAS_STILL + tile, mask=inside, other=0.0))
    since = tl.where(fresh, -1.0, tl.load(state + _SINCE_STOP + tile, mask=inside, other=-1.0))
    stuck = tl.where(fresh, 0.0, tl.load(state + _STUCK + tile, mask=inside, other=0.0))
    still = inside & (difference <= _STILL)
    moving = inside & (difference > _STILL)
    moved = (activity >= _ACTIVE) & (tl.abs(drift) <= _FADING * activity)
    before = _scalar(state, _MOTION, fresh, 0.0)
    many = _count(inside & (difference > _CUT_DIFFERENCE)) >= _CUT_TILES
    cut = valid & many & (motion >= _CUT_RISE * before)
    cut_at = tl.where(cut, pts, cut_at)
    stops = tl.where(moved, 0.0, -1.0)
    goes_on = tl.where(since >= 0.0, since + step, since)
    new_since = tl.where(still, tl.where(was_still == 0.0, stops, goes_on), -1.0)
    jumped = (difference > _JUMP) & (difference >= _CUT_RISE * activity)
    new_stuck = tl.where(still, tl.where(stuck > 0.0, 1.0, 0.0), tl.maximum(0.0, stuck - 0.5))
    new_stuck = tl.where(jumped, 0.0, new_stuck)
    rests = tl.where(still, 1.0, tl.where(jumped, -1.0, 0.0))
    since = tl.where(valid, new_since, since)
    stuck = tl.where(valid, new_stuck, stuck)
    held = _count(stuck > 0.0)
    together = inside & (since >= 0.0) & (since <= _TOGETHER)
    stopped = _count(together)
    row = tile // _TILE_COLUMNS
    column = tile % _TILE_COLUMNS
    left, right = tl.min(tl.where(together, column, _TILES), axis=0), tl.max(tl.where(together, column, -1), axis=0)
    top, bottom = tl.min(tl.where(together, row, _TILES), axis=0), tl.max(tl.where(together, row, -1), axis=0)
    least = tl.maximum(_STUCK_TILES, held + 1.0)
    uncut = pts - cut_at > _STUCK_CUT
    if _flag(valid & (stopped >= least) & uncut):
        top, bottom, left, right = _rectangle(row, column, still, top, bottom, left, right)
        boxed = (column >= left) & (column <= right) & (row >= top) & (row <= bottom)
        rest = moving & (boxed == 0)
        usual = tl.sum(tl.where(rest, activity, 0.0), axis=0)
        change = tl.sum(tl.where(rest, difference, 0.0), axis=0)
        as_before = (change >= _REST_LEAST * usual) & (change <= _REST_MOST * usual)
        enough = (_count(together & boxed) >= least) & (_count(rest) >= _MOVING_TILES)
        stuck = tl.where(_flag(enough & as_before), tl.where(together & boxed, 1.0, 0.0), stuck)
    known = tl.minimum(pts - cut_at, _ACTIVITY_SECONDS)
    pace = tl.where(known > step, step / tl.where(known > step, known, 1.0), 1.0)
    active = activity + (difference - activity) * pace
    drifted = drift + (luma - last_luma - drift) * pace
    tl.store(state + _CUT_AT, cut_at)
    tl.store(state + _MOTION, tl.where(valid, motion, before))
    tl.store(state + _STUCK + tile, stuck, mask=inside)
    tl.store(state + _SINCE_STOP + tile, since, mask=inside)
    tl.store(state + _WAS_STILL + tile, tl.where(valid, rests, was_still), mask=inside)
    tl.store(state + _ACTIVITY + tile, tl.where(valid, active, activity), mask=inside)
    tl.store(state + _DRIFT + tile, tl.where(valid, drifted, drift), mask=inside)
    tl.store(state + _LAST_LUMA + tile, tl.where(valid, luma, last_luma), mask=inside)
    return tl.where(valid, _count(stuck > 0.0) / _TILES, 0.0)


@triton.jit
def _span(values, inside):
    """Largest less smallest value of the tiles."""
    return tl.max(tl.where(inside, values, float("-inf")), axis=0) - tl.min(
        tl.where(inside, values, float("inf")), axis=0
    )


@triton.jit
def _hole(state, tile, inside, valid, fresh, luma, u, v, difference, step, pts):
    """Share of the tiles that are a hole, once it is told; before the state of motion is brought up to date."""
    cut_at = _scalar(state, _CUT_AT, fresh, pts)
    activity = tl.where(fresh, 0.0, tl.load(state + _ACTIVITY + tile, mask=inside, other=0.0))
    hole = tl.where(fresh, 0.0, tl.load(state + _HOLE + tile, mask=inside, other=0.0))
    lasted = _scalar(state, _HOLE_SECONDS, fresh, 0.0)
    grey = (tl.abs(u - 0.5) <= _HOLE_GREY) & (tl.abs(v - 0.5) <= _HOLE_GREY)
    coloured = _flag(_count(inside & (grey == 0)) >= _HOLE_COLOURED)
    black = inside & grey & (luma <= _HOLE_BLACK)
    dead = black | (inside & grey & (tl.abs(luma - 0.5) <= _HOLE_GREY) & coloured)
    born = dead & (difference > _JUMP) & (difference >= _HOLE_RISE * activity)
    many, held = _count(born), _count(hole > 0.0)
    remains = (hole > 0.0) & dead
    still = _count(remains)
    ends = _flag(((many >= _HOLE_TILES) & (lasted < _HOLE_TOLD)) | (still < _HOLE_TILES) | (2.0 * still <= held))
    goes_on = tl.where(remains & (ends == 0), 1.0, 0.0)
    row = tile // _TILE_COLUMNS
    column = tile % _TILE_COLUMNS
    left, right = tl.min(tl.where(born, column, _TILES), axis=0), tl.max(tl.where(born, column, -1), axis=0)
    top, bottom = tl.min(tl.where(born, row, _TILES), axis=0), tl.max(tl.where(born, row, -1), axis=0)
    wide, high = right - left + 1, bottom - top + 1
    rest = inside & ((row < top - 1) | (row > bottom + 1) | (column < left - 1) | (column > right + 1))
    usual = tl.sum(tl.where(rest, activity, 0.0), axis=0)
    change = tl.sum(tl.where(rest, difference, 0.0), axis=0)
    as_before = (change >= _HOLE_REST_LEAST * usual) & (change <= _REST_MOST * usual)
    moving = (_count(rest) >= _HOLE_REST) & (_count(rest & (activity >= _ACTIVE)) >= _HOLE_MOVING * _count(rest))
    around = (wide * high).to(tl.float64)
    box = dead & (row >= top) & (row <= bottom) & (column >= left) & (column <= right)
    edge = inside & (rest == 0) & ((row < top) | (row > bottom) | (column < left) | (column > right))
    alone = 2.0 * _count(edge & (dead | (grey & (luma <= _HOLE_DARK)))) <= _count(edge)
    boxed = (many >= _HOLE_TILES) & (many >= _HOLE_NEW * around) & (_count(box) >= _RECTANGULAR * around)
    within = (row >= 1) & (row < _TILE_ROWS - 1) & (column >= 2) & (column < _TILE_COLUMNS - 2)
    ground = (_count(rest & black & within) >= _HOLE_GROUND) & (_count(born & black) > 0)
    begins = _flag(boxed & alone & moving & as_before & (ground == 0) & (pts - cut_at > _ACTIVITY_SECONDS))
    there = _flag(held > 0.0)
    new = tl.where(there, goes_on, tl.where(begins & box, 1.0, 0.0))
    lasts = tl.where(there, lasted + step, 0.0)
    tl.store(state + _HOLE + tile, tl.where(valid, new, hole), mask=inside)
    tl.store(state + _HOLE_SECONDS, tl.where(valid, lasts, lasted))
    told = there & (ends == 0) & _flag(lasts >= _HOLE_TOLD) & valid
    return tl.where(told, still / _TILES, 0.0)


@triton.jit
def _same_rows(rows, state, fresh, coloured, ALONG: tl.constexpr, ACROSS: tl.constexpr, ALONG_STEP: tl.constexpr,
               ACROSS_STEP: tl.constexpr):  # fmt: skip
    """How many steps from a row of tiles to the next are none, from the last row on, and whether they are none since
    this picture; of columns with other steps. Before the state of motion is brought up to date.
    """
    a, b = tl.arange(0, _SIDE), tl.arange(0, _SIDE)
    tile = a[:, None] * ALONG_STEP + b[None, :] * ACROSS_STEP
    pair = (a[:, None] < ALONG - 1) & (b[None, :] < ACROSS)
    apart = tl.abs(tl.load(rows + tile + ALONG_STEP, mask=pair, other=0.0) - tl.load(rows + tile, mask=pair, other=0.0))
    us, vs = rows + 2 * _TILES + tile, rows + 3 * _TILES + tile
    u_apart = tl.abs(tl.load(us + ALONG_STEP, mask=pair, other=0.0) - tl.load(us, mask=pair, other=0.0))
    v_apart = tl.abs(tl.load(vs + ALONG_STEP, mask=pair, other=0.0) - tl.load(vs, mask=pair, other=0.0))
    apart += tl.where(coloured, u_apart + v_apart, 0.0)
    differs = tl.sum(apart, axis=1) > ACROSS * _SMEAR_SAME
    last = tl.max(tl.where(differs, a, -1), axis=0)  # the row above the step that is one
    same = last.to(tl.float64) * -1.0 + (ALONG - 2)
    edge = rows + (ALONG - 1) * ALONG_STEP + b * ACROSS_STEP
    within = b < ACROSS - 2
    bend = tl.load(edge, mask=within, other=0.0) - 2.0 * tl.load(edge + ACROSS_STEP, mask=within, other=0.0)
    rough = tl.sum(tl.abs(bend + tl.load(edge + 2 * ACROSS_STEP, mask=within, other=0.0)), axis=0)
    luma = state + _LAST_LUMA + tile
    was = tl.load(luma + ALONG_STEP, mask=pair, other=0.0) - tl.load(luma, mask=pair, other=0.0)
    before = tl.sum(tl.sum(tl.where(a[:, None] > last, tl.abs(was), 0.0), axis=1), axis=0)
    rest = pair & (a[:, None] < last)
    usual = tl.sum(tl.sum(tl.load(state + _ACTIVITY + tile, mask=rest, other=0.0), axis=1), axis=0)
    change = tl.sum(tl.sum(tl.load(rows + _TILES + tile, mask=rest, other=0.0), axis=1), axis=0)
    many = (last * ACROSS).to(tl.float64)
    begins = _flag(last > 0) & _flag(rough >= (ACROSS - 2) * _SMEAR_ROUGH)
    begins = begins & _flag(before >= same * (ACROSS * _SMEAR_BEFORE))
    return same, begins & _flag(change <= _REST_MOST * usual + many * _ACTIVE) & (fresh == 0)


@triton.jit
def _smear(rows, state, valid, fresh, coloured, step, pts):
    """Share of the picture that is smeared, once it is told, and since when."""
    down, down_begins = _same_rows(rows, state, fresh, coloured, _TILE_ROWS, _TILE_COLUMNS, _TILE_COLUMNS, 1)
    right, right_begins = _same_rows(rows, state, fresh, coloured, _TILE_COLUMNS, _TILE_ROWS, 1, _TILE_COLUMNS)
    kind, lasted = _scalar(state, _SMEARED, fresh, 0.0), _scalar(state, _SMEARED_SECONDS, fresh, 0.0)
    is_down, is_right = _flag(down >= _SMEAR_ROWS), _flag(right >= _SMEAR_COLUMNS)
    settled = _flag(pts - _scalar(state, _CUT_AT, fresh, pts) > _SMEAR_CUT)
    new = tl.where(is_down & down_begins, 1.0, tl.where(is_right & right_begins, 2.0, 0.0))
    goes_on = tl.where(kind == 1.0, tl.where(is_down, 1.0, 0.0), tl.where(is_right, 2.0, 0.0))
    there = _flag(kind > 0.0)
    now = tl.where(there, goes_on, tl.where(settled, new, 0.0))
    lasts = tl.where(there, lasted + step, tl.where(now > 0.0, 0.0, lasted))
    tl.store(state + _SMEARED, tl.where(valid, now, kind))
    tl.store(state + _SMEARED_SECONDS, tl.where(valid, lasts, lasted))
    told = valid & _flag(now > 0.0) & _flag(lasts >= _SMEAR_TOLD)
    share = tl.where(now == 1.0, (down + 1.0) / _TILE_ROWS, (right + 1.0) / _TILE_COLUMNS)
    return tl.where(told, share, 0.0), tl.where(told, lasts, 0.0)


@triton.jit
def _roll(state, tile, inside, valid, fresh, luma, motion, step, pts):
    """Seconds since the picture rolls, where it does, else 0."""
    earlier = tl.load(state + _ROLL_LUMA + tile, mask=inside, other=0.0)
    away = tl.where(inside, tl.abs(luma - earlier), 0.0)
    apart, alike = pts * 0.0, pts * 0.0 + float("inf")
    found, least = pts * 0.0, pts * 0.0 + float("inf")
    for rows in tl.static_range(_ROLL_LEAST, _TILE_ROWS - _ROLL_LEAST + 1):
        shifted = tl.load(state + _ROLL_LUMA + (tile + rows * _TILE_COLUMNS) % _TILES, mask=inside, other=0.0)
        alike = tl.minimum(alike, tl.sum(tl.where(inside, tl.abs(earlier - shifted), 0.0), axis=0))
        fit = tl.where(inside, tl.abs(luma - shifted), 0.0)
        main, many = tile < (_TILE_ROWS - rows) * _TILE_COLUMNS, (_TILE_ROWS - rows) * _TILE_COLUMNS
        own = tl.sum(tl.where(main, away, 0.0), axis=0)
        other = tl.sum(tl.where(main, fit, 0.0), axis=0)
        fits = _flag(own >= many * _ROLL_APART) & _flag(other <= _ROLL_SHARE * (own - many * _ROLL_NOISE))
        fits = fits & _flag(_count(main & (away > _ROLL_NOISE)) >= many * _ROLL_CHANGED)
        further, total = own / many, other
        many = rows * _TILE_COLUMNS
        own = tl.sum(tl.where(main, 0.0, away), axis=0)
        other = tl.sum(tl.where(main, 0.0, fit), axis=0)
        fits = fits & _flag(own >= many * _ROLL_APART)
        fits = fits & _flag(other <= _ROLL_SHARE * (own - many * _ROLL_NOISE))
        fits = fits & _flag(_count((main == 0) & (away > _ROLL_NOISE)) >= many * _ROLL_CHANGED)
        apart = tl.maximum(apart, tl.where(fits, tl.minimum(further, own / many), 0.0))
        total = tl.where(fits, total + other, float("inf"))
        found = tl.where(total < least, rows * 1.0, found)
        least = tl.minimum(least, total)
    usual, rose_at = _scalar(state, _ROLL_USUAL, fresh, 0.0), _scalar(state, _ROLL_ROSE_AT, fresh, _LONG_AGO)
    usual = tl.where(valid & _flag(usual == 0.0), motion, usual)
    rose = _scalar(state, _ROLL_ROSE, fresh, 0.0)
    rose_at = tl.where(valid & _flag(motion < _ROLL_MOVES * rose), _LONG_AGO, rose_at)
    rises = _flag(pts - rose_at > _ROLL_SECONDS) | _flag(motion > _ROLL_RISE * rose)
    rises = _flag(motion > _ROLL_RISE * usual) & rises & valid
    rose_at = tl.where(rises, pts, rose_at)
    pace = tl.minimum(1.0, step / _ACTIVITY_SECONDS)
    rolled_at, began = _scalar(state, _ROLLED_AT, fresh, _LONG_AGO), _scalar(state, _ROLL_BEGAN, fresh, 0.0)
    first_motion = _scalar(state, _ROLL_MOTION, fresh, 0.0)
    goes_on = _flag(pts - rolled_at <= _ROLL_HOLD)
    moves = _flag(motion >= _ACTIVE) & ((goes_on == 0) | _flag(motion >= _ROLL_MOVES * first_motion)) & valid
    matches = _flag(found > 0.0) & _flag(alike >= _TILES * _ROLL_ALIKE * apart) & moves
    first = matches & (goes_on == 0)
    began = tl.where(first, tl.where(pts - rose_at <= _ROLL_SECONDS, rose_at, pts), began)
    was, was_at = _scalar(state, _ROLL_ROWS, fresh, 0.0), _scalar(state, _ROLL_ROWS_AT, fresh, 0.0)
    way = tl.where(first, 0.0, _scalar(state, _ROLL_WAY, fresh, 0.0))
    further_on = matches & (goes_on != 0) & _flag(found != was)
    way = tl.where(further_on, way + found - was, way)
    at = tl.where(first | further_on, pts, was_at)
    rests = matches & _flag(pts - at > _ROLL_REST)
    way = tl.where(rests, 0.0, way)
    tells = (goes_on | matches) & moves & _flag(tl.abs(way) >= _ROLL_STEPS)
    luma_at = _scalar(state, _ROLL_LUMA_AT, fresh, pts)
    stands = rests | ((goes_on | matches) == 0)
    anew = (valid & stands & _flag(pts - luma_at >= _ROLL_SECONDS)) | _flag(fresh)
    tl.store(state + _ROLL_ROWS, tl.where(first | further_on, found, was))
    tl.store(state + _ROLL_ROWS_AT, at)
    tl.store(state + _ROLL_WAY, way)
    tl.store(state + _ROLL_USUAL, tl.where(valid, usual + (motion - usual) * pace, usual))
    tl.store(state + _ROLL_ROSE_AT, rose_at)
    tl.store(state + _ROLL_ROSE, tl.where(rises, motion, rose))
    tl.store(state + _ROLLED_AT, tl.where(matches & (rests == 0), pts, rolled_at))
    tl.store(state + _ROLL_BEGAN, began)
    tl.store(state + _ROLL_MOTION, tl.where(first, motion, first_motion))
    tl.store(state + _ROLL_LUMA + tile, tl.where(anew, luma, earlier), mask=inside)
    tl.store(state + _ROLL_LUMA_AT, tl.where(anew, pts, luma_at))
    return tl.where(tells, tl.maximum(pts - began, 1e-12), 0.0)


@triton.jit
def _negative_distances(inside, luma, was):
    """How far luma is from what it was, and from its negative, the mean left out of both; and the mean of their sum."""
    total = tl.sum(tl.where(inside, luma + was, 0.0), axis=0) / _TILES
    change = tl.sum(tl.where(inside, luma - was, 0.0), axis=0) / _TILES
    own = tl.sum(tl.where(inside, tl.abs(luma - was - change), 0.0), axis=0)
    return own, tl.sum(tl.where(inside, tl.abs(luma + was - total), 0.0), axis=0), total


@triton.jit
def _negative(state, tile, inside, fresh, luma, step, pts):
    """Seconds since luma runs the other way, once it is told, else 0; and whether it does.

    Before the last luma is brought up to date.
    """
    was = tl.load(state + _LAST_LUMA + tile, mask=inside, other=0.0)
    own, other, total = _negative_distances(inside, luma, was)
    turns = _flag(tl.abs(total - _OPPOSITE) <= _NEGATIVE_SUM) & _flag(own >= _TILES * _NEGATIVE_LEAST) & (fresh == 0)
    turns = turns & _flag(other <= _SWAP_SHARE * (own - _TILES * _NEGATIVE_NOISE))
    before = _scalar(state, _NEGATIVE, fresh, 0.0)
    negative = tl.where(turns, 1.0 - before, before)
    since = tl.where(turns, pts, _scalar(state, _NEGATIVE_AT, fresh, 0.0))
    # The sums below are barriers: all threads have read what one of them writes then.
    size = tl.where(turns, own, _scalar(state, _NEGATIVE_SIZE, fresh, 0.0))
    kept = tl.load(state + _KEPT_BEFORE + tile, mask=inside, other=0.0)
    as_kept, as_turned, _ = _negative_distances(inside, luma, kept)
    again = _flag(own >= _SWAP_AGAIN * size) & (turns == 0)
    untold = _flag(pts - step - since < _SWAP_TOLD) & (fresh == 0)
    negative = tl.where(untold & (again | _flag(as_kept <= _SWAP_BACK * as_turned)), 0.0, negative)
    tl.store(state + _NEGATIVE_SIZE, size)
    tl.store(state + _NEGATIVE, negative)
    tl.store(state + _NEGATIVE_AT, since)
    told = (negative > 0.0) & (pts - since >= _SWAP_TOLD) & (pts - since <= _SWAP_OWN)
    return tl.where(told, pts - since, 0.0), negative


@triton.jit
def _swap_distances(inside, u, v, was_u, was_v):
    """How far U and V are from what they were, and from that in each other's place or running the other way."""
    own = tl.sum(tl.where(inside, tl.abs(u - was_u) + tl.abs(v - was_v), 0.0), axis=0)
    other = tl.sum(tl.where(inside, tl.abs(u - was_v) + tl.abs(v - was_u), 0.0), axis=0)
    turned = tl.abs(u + was_u - _OPPOSITE) + tl.abs(v + was_v - _OPPOSITE)
    return own, tl.minimum(other, tl.sum(tl.where(inside, turned, 0.0), axis=0))


@triton.jit
def _swap(state, tile, inside, fresh, coloured, apart, motion, u, v, step, pts):
    """Seconds since U and V have changed places or run the other way, once it is told, else 0; and whether they do.

    `apart` is how much the tiles' means have changed.
    """
    was_u = tl.load(state + _LAST_U + tile, mask=inside, other=0.0)
    was_v = tl.load(state + _LAST_V + tile, mask=inside, other=0.0)
    own, other = _swap_distances(inside, u, v, was_u, was_v)
    as_before = (step <= _SWAP_STEP) & (motion <= _SWAP_MOTION * tl.load(state + _MOTION_BEFORE))
    same = (apart <= _TILES * _SWAP_LUMA) | as_before
    tl.store(state + _MOTION_BEFORE, motion)
    swaps = (own >= _TILES * _SWAP_LEAST) & (other <= _SWAP_SHARE * (own - _TILES * _SWAP_NOISE)) & same
    swaps = _flag(coloured & (fresh == 0) & swaps)
    before = _scalar(state, _SWAPPED, fresh, 0.0)
    since = tl.where(swaps, pts, _scalar(state, _SWAPPED_AT, fresh, 0.0))
    swapped = tl.where(swaps, 1.0 - before, before)
    size = tl.where(swaps, own, _scalar(state, _SWAP_SIZE, fresh, 0.0))
    kept_u = tl.load(state + _KEPT_BEFORE + _TILES + tile, mask=inside, other=0.0)
    kept_v = tl.load(state + _KEPT_BEFORE + 2 * _TILES + tile, mask=inside, other=0.0)
    as_kept, as_swapped = _swap_distances(inside, u, v, kept_u, kept_v)
    again = _flag(own >= _SWAP_AGAIN * size) & (swaps == 0)
    untold = _flag(pts - step - since < _SWAP_TOLD) & (fresh == 0)
    swapped = tl.where(untold & (again | _flag(as_kept <= _SWAP_BACK * as_swapped)), 0.0, swapped)
    tl.store(state + _SWAP_SIZE, size)
    tl.store(state + _LAST_U + tile, u, mask=inside)
    tl.store(state + _LAST_V + tile, v, mask=inside)
    tl.store(state + _SWAPPED, swapped)
    tl.store(state + _SWAPPED_AT, since)
    told = (swapped > 0.0) & (pts - since >= _SWAP_TOLD) & (pts - since <= _SWAP_OWN)
    return tl.where(told, pts - since, 0.0), swapped


@triton.jit
def _keep(state, tile, inside, fresh, turned, kept_at, luma, u, v, pts):
    """This picture's tiles beside those kept last, once in a while, as long as nothing is `turned`."""
    keeps = (fresh > 0) | (_flag(turned == 0.0) & _flag(pts - kept_at >= _SWAP_KEPT))
    _keep_plane(state + _KEPT_BEFORE + tile, state + _KEPT + tile, inside & keeps, fresh, luma)
    _keep_plane(state + _KEPT_BEFORE + _TILES + tile, state + _KEPT + _TILES + tile, inside & keeps, fresh, u)
    _keep_plane(state + _KEPT_BEFORE + 2 * _TILES + tile, state + _KEPT + 2 * _TILES + tile, inside & keeps, fresh, v)
    tl.store(state + _KEPT_AT, pts, mask=keeps)


@triton.jit
def _keep_plane(before, kept, where, fresh, now):
    last = tl.load(kept, mask=where, other=0.0)
    tl.store(before, tl.where(fresh > 0, now, last), mask=where)
    tl.store(kept, now, mask=where)


@triton.jit
def _broken_colour(
    state, tile, inside, fresh, coloured, spread, luma, motion, u, v, first_luma, first_u, first_v, redness, step
):
    pale = (tl.abs(first_u - 0.5) < _NEUTRAL) & (tl.abs(first_v - 0.5) < _NEUTRAL)
    neutral = _flag(coloured == 0) | _flag(pale)
    extreme = _flag(((first_luma > _DARK) & (first_luma < _BRIGHT)) == 0)
    red = tl.sum(tl.where(tile == _TILES - 1, redness, 0.0), axis=0)
    card = _flag((spread <= _UNIFORM_SPREAD) & (red == 0.0)) & ((neutral & extreme) == 0)
    before = tl.load(state + _BEFORE_CARD + tile, mask=inside, other=0.0)
    before = tl.where(fresh, float("inf"), before)
    lasted = _scalar(state, _CARD_SECONDS, fresh, 0.0)
    step = tl.where(fresh, 0.0, step)
    apart = tl.sum(tl.where(inside, tl.abs(luma - before), 0.0), axis=0)
    # As it was, and away from the card, which is the picture before.
    back = _flag((apart / _TILES <= _SAME_SCENE) & (motion > _SAME_SCENE))
    soon = _flag((lasted > 0.0) & (lasted + step <= _SHORTEST_CARD))
    impossible = _count(inside & coloured & (u < _LEAST_CHROMA) & (v < _LEAST_CHROMA))
    broken = _scalar(state, _BROKEN_CARD, fresh, 0.0)
    nothing = _flag((lasted > 0.0) & (lasted + step < _UNTOLD_CARD) & (broken > 0.0))
    interrupted = (card == 0) & (nothing | ((broken == 0.0) & soon & back))
    tl.store(state + _BROKEN_CARD, tl.where(card, tl.where(impossible == _TILES, 1.0, broken), 0.0))
    tl.store(state + _CARD_SECONDS, tl.where(card, lasted + step, 0.0))
    tl.store(state + _BEFORE_CARD + tile, tl.where(card, before, luma), mask=inside)
    return tl.where(interrupted, 1.0, impossible / _TILES)


@triton.jit
def _temporal_kernel(tiles, mean_lumas, mafds, gradients, all_pts, ranges, slots, states, table, out):
    n = tl.program_id(0).to(tl.int64)
    tile = tl.arange(0, _LANES)
    inside = tile < _TILES
    rows = tiles + n * _MEASURES * _TILES
    columns = out + n * _N_COLUMNS
    first = tl.load(rows)
    if _known(first):  # else it has no tiles
        state = states + tl.load(slots + n) * _STATE_SIZE
        pts = tl.load(all_pts + n)
        last = tl.load(state + _LAST_PTS)
        fresh = _flag(((pts >= last) & (pts - last <= _LONGEST_GAP)) == 0)
        full_range = tl.load(ranges + n) == 1
        code = tl.load(rows + tile, mask=inside, other=0.0)
        difference = tl.load(rows + _TILES + tile, mask=inside, other=0.0)
        u_code = tl.load(rows + 2 * _TILES + tile, mask=inside, other=0.0)
        v_code = tl.load(rows + 3 * _TILES + tile, mask=inside, other=0.0)
        first_u = tl.load(rows + 2 * _TILES)
        coloured = _known(first_u)
        luma = _level(code, full_range)
        scale = tl.where(full_range, 255.0, 224.0)
        u = tl.where(coloured, (u_code * 256.0 - 128.0) / scale, 0.0)
        v = tl.where(coloured, (v_code * 256.0 - 128.0) / scale, 0.0)
        red = _luminance(luma + 1.5748 * v, table) / _PEAK
        green = _luminance(luma - 0.187324 * u - 0.468124 * v, table) / _PEAK
        blue = _luminance(luma + 1.8556 * u, table) / _PEAK
        saturated = coloured & (red > 0.0) & (red >= _RED_SHARE * (red + green + blue))
        redness = tl.where(saturated, tl.maximum(0.0, red - green - blue) * _RED_SCALE, 0.0)
        general, turned = _turns(state, tile, inside, fresh, _luminance(luma, table), _DARKEST_BRIGHT, pts,
                         _LUMINANCE_EXTREME, _LUMINANCE_WAY, _LUMINANCE_TURNS, _LUMINANCE_TIMES)  # fmt: skip
        reds, reddened = _turns(state, tile, inside, fresh, redness, float("inf"), pts,
                      _RED_EXTREME, _RED_WAY, _RED_TURNS, _RED_TIMES)  # fmt: skip
        tl.store(columns + 1, reds)
        level = _level(tl.load(mean_lumas + n), full_range)
        levels = _scalar(state, _LEVELS, fresh, 0.0).to(tl.int32)
        change = tl.where(inside, code - tl.load(state + _LAST_LUMA + tile, mask=inside, other=0.0), 0.0)
        apart = tl.sum(tl.abs(change), axis=0)
        mixed = tl.abs(tl.sum(change, axis=0)) <= _ONE_WAY * apart
        cut = _count(inside & (difference > _CUT_DIFFERENCE)) >= _CUT_TILES
        cut = cut & (tl.sum(difference, axis=0) / _TILES >= _LEVEL_CUT_RISE * tl.load(state + _MOTION)) & (levels > 0)
        before = tl.load(state + _LEVELS_AT + (levels + _LEVELS_SIZE - 1) % _LEVELS_SIZE)
        offset = tl.where(_flag(cut & mixed), before - level, _scalar(state, _LEVEL_OFFSET, fresh, 0.0))
        tl.store(state + _LEVEL_OFFSET, offset)
        level += offset
        rate = tl.maximum(general, reds)
        flash_since = _flashed_since(state, fresh, turned | reddened, rate, pts)
        amplitude, flicker_since, flickers = _flicker(state, fresh, level, pts)
        was = _scalar(state, _FLASHES_KEPT, fresh, 0.0)
        flashes = rate >= _MANY_FLASHES
        kept = (flashes == 0) & (was > 0.0) & flickers & (amplitude >= _FLICKERS)
        over = (flashes == 0) & (kept == 0) & (was == 2.0)
        rested = tl.where(flickers, 0.0, tl.minimum(flash_since, flicker_since))
        tl.store(columns, tl.where(kept, _KEPT_RATE, rate))
        tl.store(columns + 9, tl.where(over, rested, flash_since))
        tl.store(state + _FLASHES_KEPT, tl.where(kept, 2.0, tl.where(flashes, 1.0, 0.0)))
        tl.store(columns + 2, amplitude)
        tl.store(columns + 10, flicker_since)
        colour = tl.sqrt((u_code - 0.5) * (u_code - 0.5) + (v_code - 0.5) * (v_code - 0.5))
        tl.store(columns + 8, tl.sum(tl.where(inside & coloured, colour, 0.0), axis=0) / _TILES)
        motion = tl.sum(difference, axis=0) / _TILES
        valid = (fresh == 0) & _known(motion)
        step = pts - last
        kept_at = _scalar(state, _KEPT_AT, fresh, pts)
        negative, is_negative = _negative(state, tile, inside, fresh, code, step, pts)
        hole = _hole(state, tile, inside, valid, fresh, code, u_code, v_code, difference, step, pts)
        smear, smeared = _smear(rows, state, valid, fresh, coloured, step, pts)
        rolls = _roll(state, tile, inside, valid, fresh, code, motion, step, pts)
        stutter, stutter_since = _stutter(state, valid, fresh, motion, step, pts)
        tl.store(columns + 3, stutter)
        tl.store(columns + 11, stutter_since)
        tl.store(columns + 4, _stuck(state, tile, inside, valid, fresh, code, difference, motion, step, pts))
        spread = _span(code, inside)
        if coloured:
            spread = tl.maximum(spread, tl.maximum(_span(u_code, inside), _span(v_code, inside)))
        spread += tl.load(gradients + n)
        tl.store(columns + 5, spread)
        broken = _broken_colour(state, tile, inside, fresh, coloured, spread, code, motion, u_code, v_code,
                                first, first_u, tl.load(rows + 3 * _TILES), redness, step)  # fmt: skip
        swapped, is_swapped = _swap(state, tile, inside, fresh, coloured, apart, motion, u_code, v_code, step, pts)
        _keep(state, tile, inside, fresh, is_negative + is_swapped, kept_at, code, u_code, v_code, pts)
        since = tl.maximum(tl.maximum(swapped, negative), rolls)
        broken = tl.where(since > 0.0, 1.0, broken)
        tl.store(columns + 7, tl.maximum(tl.maximum(broken, hole), smear))
        holed = tl.where(hole > 0.0, tl.load(state + _HOLE_SECONDS), 0.0)
        tl.store(columns + 12, tl.maximum(tl.maximum(since, holed), smeared))
        mafd = tl.load(mafds + n)
        last_mafd = _scalar(state, _LAST_MAFD, fresh, float("nan"))
        comparable = _known(mafd) & _known(last_mafd)
        score = tl.minimum(100.0 * mafd, 100.0 * tl.abs(mafd - last_mafd))
        tl.store(columns + 6, tl.where(comparable, score, 0.0))
        tl.store(state + _LAST_MAFD, tl.where(_known(mafd), mafd, last_mafd))
        tl.store(state + _LAST_PTS, pts)


def temporal(
    tiles: Tensor,
    luma: Tensor,
    mafd: Tensor,
    gradient: Tensor,
    pts: Tensor,
    ranges: Tensor,
    slots: Tensor,
    state: Tensor,
    table: Tensor,
) -> Tensor:
    """The op's CUDA implementation; see kernels/temporal/op.py."""
    count = tiles.shape[0]
    out = torch.full((count, len(at.COLUMNS)), torch.nan, dtype=torch.float64, device=tiles.device)
    if count:
        # Columns of wider tables have strides; these are N numbers each.
        _temporal_kernel[(count,)](
            tiles.contiguous(), luma.contiguous(), mafd.contiguous(), gradient.contiguous(), pts, ranges, slots, state,
            table, out, num_warps=8,
        )  # fmt: skip
    return out
