"""temporal on the CPU: numba, a row at a time, some microseconds each."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from kernels.rows import compiled
from kernels.temporal import layout as at
from kernels.tile_stats.grid import TILE_COLUMNS, TILE_ROWS, TILES

_N_COLUMNS: Final = len(at.COLUMNS)
_LAST_PTS, _LAST_MAFD, _CUT_AT = int(at.Scalar.LAST_PTS), int(at.Scalar.LAST_MAFD), int(at.Scalar.CUT_AT)
_REPEATS, _SINCE_REPEAT, _OUTLIERS = int(at.Scalar.REPEATS), int(at.Scalar.SINCE_REPEAT), int(at.Scalar.OUTLIERS)
_MOVES, _GAPS, _EVENTS = int(at.Scalar.MOVES), int(at.Scalar.GAPS), int(at.Scalar.EVENTS)
_STEPS, _LEVELS = int(at.Scalar.STEPS), int(at.Scalar.LEVELS)
_RUN, _SUSPECT, _HIGH_MOTION = int(at.Scalar.RUN), int(at.Scalar.SUSPECT), int(at.Scalar.HIGH_MOTION)
_LUMINANCE_EXTREME, _LUMINANCE_WAY, _LUMINANCE_TURNS = at.LUMINANCE_EXTREME, at.LUMINANCE_WAY, at.LUMINANCE_TURNS
_RED_EXTREME, _RED_WAY, _RED_TURNS = at.RED_EXTREME, at.RED_WAY, at.RED_TURNS
_LUMINANCE_TIMES, _RED_TIMES, _TURN_TIMES = at.LUMINANCE_TIMES, at.RED_TIMES, at.TURN_TIMES
_ACTIVITY, _WAS_STILL, _SINCE_STOP, _STUCK = at.ACTIVITY, at.WAS_STILL, at.SINCE_STOP, at.STUCK
_DRIFT, _LAST_LUMA, _FADING = at.DRIFT, at.LAST_LUMA, at.FADING
_REST_LEAST, _REST_MOST = at.REST_LEAST, at.REST_MOST
_TOGETHER = at.TOGETHER_SECONDS
_MOVES_AT, _MOVES_SIZE, _GAPS_AT, _GAPS_SIZE = at.MOVES_AT, at.MOVES_SIZE, at.GAPS_AT, at.GAPS_SIZE
_EVENTS_AT, _EVENTS_SIZE, _STEPS_AT, _STEPS_SIZE = at.EVENTS_AT, at.EVENTS_SIZE, at.STEPS_AT, at.STEPS_SIZE
_LEVELS_AT, _LEVELS_SIZE = at.LEVELS_AT, at.LEVELS_SIZE
_FLASH_STEP, _DARKEST_BRIGHT, _FLASH_TILES = at.FLASH_STEP, at.DARKEST_BRIGHT, at.FLASH_TILES
_FLASH_WINDOW, _PEAK, _RED_SHARE, _RED_SCALE = (
    at.FLASH_WINDOW_SECONDS, at.PEAK_LUMINANCE, at.RED_SHARE, at.RED_SCALE,
)  # fmt: skip
_PERIOD_MIN, _PERIOD_MAX, _PERIODIC, _OPPOSED = at.PERIOD_MIN, at.PERIOD_MAX, at.PERIODIC, at.OPPOSED
_LEAST_POWER = at.LEAST_POWER
_FLICKER_STEP, _FLICKER_RESTS, _FLICKER_BACK = at.FLICKER_STEP, at.FLICKER_RESTS, at.FLICKER_BACK_SECONDS
_LEVEL_TIMES, _LEVEL_OFFSET, _ONE_WAY = at.LEVEL_TIMES, at.LEVEL_OFFSET, at.ONE_WAY
_LEVEL_CUT_RISE = at.LEVEL_CUT_RISE
_FLASH_TOGETHER, _FLASHES_AT, _FLASHES_SIZE, _FLASHES = at.FLASH_TOGETHER, at.FLASHES_AT, at.FLASHES_SIZE, at.FLASHES
_REPEAT_SHARE, _LEAST_MOTION, _MOST_REPEATS = at.REPEAT_SHARE, at.LEAST_MOTION, at.MOST_REPEATS
_GOES_ON, _REPEAT_MEMORY, _STUTTER_WINDOW = at.GOES_ON, at.REPEAT_MEMORY, at.STUTTER_WINDOW_SECONDS
_LATE, _EVEN, _MOST_OUTLIERS = at.LATE, at.EVEN, at.MOST_OUTLIERS
_HELD_REPEATS, _HELD_AFTER, _MOST_HELD = at.HELD_REPEATS, at.HELD_AFTER, at.MOST_HELD
_BROKEN_CARD, _UNTOLD_CARD = at.BROKEN_CARD, at.UNTOLD_CARD_SECONDS
_STILL, _ACTIVITY_SECONDS, _ACTIVE = at.STILL, at.ACTIVITY_SECONDS, at.ACTIVE
_STUCK_CUT = at.STUCK_CUT_SECONDS
_CUT_DIFFERENCE, _CUT_RISE, _CUT_TILES, _STUCK_TILES = at.CUT_DIFFERENCE, at.CUT_RISE, at.CUT_TILES, at.STUCK_TILES
_LONG_HOLD, _LONG_REPEATS = at.LONG_HOLD_SECONDS, at.LONG_HOLD_REPEATS
_NOW = 1e-12  # seconds that are none, with a sign
_JUMP = at.JUMP
_FLICKERS, _MANY_FLASHES = at.FLICKERS, at.MANY_FLASHES
_KEPT_RATE, _FLASHES_KEPT = at.KEPT_FLASH_RATE, at.FLASHES_KEPT
_MOTION, _CARD_SECONDS = int(at.Scalar.MOTION), int(at.Scalar.CARD_SECONDS)
_LEAST_CHROMA, _UNIFORM_SPREAD, _SHORTEST_CARD = at.LEAST_CHROMA, at.UNIFORM_SPREAD, at.SHORTEST_CARD_SECONDS
_SAME_SCENE, _NEUTRAL, _DARK, _BRIGHT, _BEFORE_CARD = at.SAME_SCENE, at.NEUTRAL, at.DARK, at.BRIGHT, at.BEFORE_CARD
_FIRST_REPEATS = at.FIRST_REPEATS
_LOW_SHARE, _HIGH_FADES = at.LOW_SHARE, at.HIGH_FADES
_HOLE_TILES, _HOLE_RISE, _HOLE_BLACK, _HOLE_GREY = at.HOLE_TILES, at.HOLE_RISE, at.HOLE_BLACK, at.HOLE_GREY
_HOLE_COLOURED, _HOLE_DARK, _HOLE_GROUND = at.HOLE_COLOURED, at.HOLE_DARK, at.HOLE_GROUND
_LAST_U, _LAST_V, _SWAPPED, _SWAPPED_AT = at.LAST_U, at.LAST_V, at.SWAPPED, at.SWAPPED_AT
_SWAP_LEAST, _SWAP_SHARE, _SWAP_LUMA = at.SWAP_LEAST, at.SWAP_SHARE, at.SWAP_LUMA
_SWAP_NOISE, _SWAP_MOTION, _MOTION_BEFORE = at.SWAP_NOISE, at.SWAP_MOTION, at.SWAP_MOTION_BEFORE
_SWAP_STEP, _SWAP_KEPT, _SWAP_BACK = at.SWAP_STEP_SECONDS, at.SWAP_KEPT_SECONDS, at.SWAP_BACK
_SWAP_AGAIN, _SWAP_SIZE, _NEGATIVE_SIZE = at.SWAP_AGAIN, at.SWAP_SIZE, at.NEGATIVE_SIZE
_KEPT, _KEPT_BEFORE, _KEPT_AT = at.KEPT, at.KEPT_BEFORE, at.KEPT_AT
_SWAP_TOLD, _SWAP_OWN = at.SWAP_TOLD_SECONDS, at.SWAP_OWN_SECONDS
_OPPOSITE, _NEGATIVE, _NEGATIVE_AT = at.OPPOSITE, at.NEGATIVE, at.NEGATIVE_AT
_NEGATIVE_SUM, _NEGATIVE_LEAST, _NEGATIVE_NOISE = at.NEGATIVE_SUM, at.NEGATIVE_LEAST, at.NEGATIVE_NOISE
_SMEAR_SAME, _SMEAR_BEFORE, _SMEAR_ROUGH = at.SMEAR_SAME, at.SMEAR_BEFORE, at.SMEAR_ROUGH
_SMEAR_ROWS, _SMEAR_COLUMNS, _SMEAR_TOLD = at.SMEAR_ROWS, at.SMEAR_COLUMNS, at.SMEAR_TOLD_SECONDS
_SMEARED, _SMEARED_SECONDS, _SMEAR_CUT = at.SMEARED, at.SMEARED_SECONDS, at.SMEAR_CUT_SECONDS
_ROLL_LEAST, _ROLL_SECONDS, _ROLL_SHARE, _ROLL_NOISE = at.ROLL_LEAST, at.ROLL_SECONDS, at.ROLL_SHARE, at.ROLL_NOISE
_ROLL_CHANGED = at.ROLL_CHANGED
_ROLL_APART, _ROLL_ALIKE, _ROLL_MOVES, _ROLL_HOLD = at.ROLL_APART, at.ROLL_ALIKE, at.ROLL_MOVES, at.ROLL_HOLD_SECONDS
_ROLL_RISE, _LONG_AGO, _ROLL_LUMA, _ROLL_LUMA_AT = at.ROLL_RISE, at.LONG_AGO, at.ROLL_LUMA, at.ROLL_LUMA_AT
_ROLLED_AT, _ROLL_MOTION, _ROLL_BEGAN = at.ROLLED_AT, at.ROLL_MOTION, at.ROLL_BEGAN
_ROLL_USUAL, _ROLL_ROSE_AT = at.ROLL_USUAL, at.ROLL_ROSE_AT
_ROLL_ROWS, _ROLL_ROWS_AT, _ROLL_WAY = at.ROLL_ROWS, at.ROLL_ROWS_AT, at.ROLL_WAY
_ROLL_STEPS, _ROLL_REST, _ROLL_ROSE = at.ROLL_STEPS, at.ROLL_REST_SECONDS, at.ROLL_ROSE
_HOLE_NEW, _HOLE_REST_LEAST = at.HOLE_NEW, at.HOLE_REST_LEAST
_HOLE_MOVING, _HOLE_REST = at.HOLE_MOVING, at.HOLE_REST
_HOLE, _HOLE_SECONDS, _HOLE_TOLD = at.HOLE, at.HOLE_SECONDS, at.HOLE_TOLD_SECONDS
_MOVING_TILES, _RECTANGULAR, _LONGEST_GAP = at.MOVING_TILES, at.RECTANGULAR, at.LONGEST_GAP_SECONDS


@compiled
def _level(share, full_range):
    """From black, 0, to white, 1, of a share of all codes."""
    return share * 256.0 / 255.0 if full_range else (share * 256.0 - 16.0) / 219.0


@compiled
def _luminance(level, table):
    """cd/m2 of a luma level, 0 to 1 after clipping, between the table's entries on a straight line."""
    place = min(max(level, 0.0), 1.0) * 255.0
    index = min(int(place), 254)
    return table[index] + (table[index + 1] - table[index]) * (place - index)


@compiled
def _turn(state, tile, extreme, way, turns, times, value, darkest, pts):
    """Follow a tile's value between its turning points, and note when a change against the last one is large enough."""
    last = state[extreme + tile]
    if state[way + tile] >= 0.0:  # rising, or not yet known
        if value > last:
            state[extreme + tile] = value
            return
        if not (last - value >= _FLASH_STEP and value < darkest):
            return
        state[way + tile] = -1.0
    else:
        if value < last:
            state[extreme + tile] = value
            return
        if not (value - last >= _FLASH_STEP and last < darkest):
            return
        state[way + tile] = 1.0
    state[extreme + tile] = value
    count = state[turns + tile]
    state[times + tile * _TURN_TIMES + int(count) % _TURN_TIMES] = pts
    state[turns + tile] = count + 1.0


@compiled
def _rate(state, turns, times, pts):
    """Half the number of transitions in the last second that FLASH_TILES tiles have made."""
    made = np.zeros(_TURN_TIMES + 1, np.int64)
    for tile in range(TILES):
        held = min(int(state[turns + tile]), _TURN_TIMES)
        recent = 0
        for k in range(held):
            if pts - state[times + tile * _TURN_TIMES + k] < _FLASH_WINDOW:
                recent += 1
        made[recent] += 1
    tiles = 0
    for count in range(_TURN_TIMES, 0, -1):
        tiles += made[count]
        if tiles >= _FLASH_TILES:
            return 0.5 * count
    return 0.0


@compiled
def _turned_now(state, turns, times, tile, pts):
    count = int(state[turns + tile])
    return count > 0 and state[times + tile * _TURN_TIMES + (count - 1) % _TURN_TIMES] == pts


@compiled
def _flashed_since(state, rate, pts):
    """Note a transition of many tiles; seconds since the first of those that the rate counts, or since the latest."""
    together = 0
    for tile in range(TILES):
        together += _turned_now(state, _LUMINANCE_TURNS, _LUMINANCE_TIMES, tile, pts) or _turned_now(
            state, _RED_TURNS, _RED_TIMES, tile, pts
        )
    if together >= _FLASH_TOGETHER:
        state[_FLASHES_AT + int(state[_FLASHES]) % _FLASHES_SIZE] = pts
        state[_FLASHES] += 1.0
    made = int(state[_FLASHES])
    if made == 0 or rate == 0.0:
        return 0.0
    if together < _FLASH_TOGETHER:
        return pts - state[_FLASHES_AT + (made - 1) % _FLASHES_SIZE]
    recent = 0
    for k in range(min(made, _FLASHES_SIZE)):
        recent += pts - state[_FLASHES_AT + k] < _FLASH_WINDOW
    return pts - state[_FLASHES_AT + (made - min(int(2.0 * rate), recent)) % _FLASHES_SIZE]


@compiled
def _push(state, count, first, size, value):
    state[first + int(state[count]) % size] = value
    state[count] += 1.0


@compiled
def _flicker(state, pts):
    n = _LEVELS_SIZE
    if state[_LEVELS] < n:
        return 0.0, 0.0, False
    values = np.empty(n)
    newest = int(state[_LEVELS])
    for i in range(n):
        values[i] = state[_LEVELS_AT + (newest + i) % n]
    since = _flickered_since(state, values, newest, pts)
    middle = (n - 1) / 2.0
    mean, slope, spread = 0.0, 0.0, 0.0
    for i in range(n):
        mean += values[i]
        slope += (i - middle) * values[i]
        spread += (i - middle) * (i - middle)
    mean /= n
    slope /= spread
    power = 0.0
    for i in range(n):
        values[i] -= mean + slope * (i - middle)
        power += values[i] * values[i]
    if power <= n * _LEAST_POWER:
        return 0.0, max(since, 0.0), since < 0.0
    opposed = False
    for distance in range(1, _PERIOD_MAX + 1):
        product = 0.0
        for i in range(n - distance):
            product += values[i] * values[i + distance]
        likeness = product * n / (power * (n - distance))
        if opposed and distance >= _PERIOD_MIN and likeness >= _PERIODIC:
            return 100.0 * np.sqrt(2.0 * power / n), abs(since), since < 0.0
        opposed = opposed or likeness <= _OPPOSED
    return 0.0, max(since, 0.0), since < 0.0


@compiled
def _flickered_since(state, values, newest, pts):
    """Seconds since the first large step of the levels, below 0; or since they rest, not below 0."""
    n = _LEVELS_SIZE
    largest = 0.0
    for i in range(1, n):
        largest = max(largest, abs(values[i] - values[i - 1]))
    first, last = n, -1
    for i in range(1, n):
        if abs(values[i] - values[i - 1]) >= _FLICKER_STEP * largest:
            first, last = min(first, i), i
    if n - 1 - last <= _FLICKER_RESTS:
        return min(max(state[_LEVEL_TIMES + (newest + first) % n] - pts, -_FLICKER_BACK), -_NOW)
    return pts - state[_LEVEL_TIMES + (newest + last + 1) % n]


@compiled
def _usual_motion(state):
    """Median (the upper one) of the last sixteen differences of pictures that moved; 0 before there are so many."""
    if state[_MOVES] < _MOVES_SIZE:
        return 0.0
    return np.sort(state[_MOVES_AT : _MOVES_AT + _MOVES_SIZE])[_MOVES_SIZE // 2]


@compiled
def _stutter(state, motion, pts):
    usual = _usual_motion(state)
    repeat = motion <= _REPEAT_SHARE * usual and usual >= _LEAST_MOTION
    high = state[_HIGH_MOTION]
    low = repeat or motion <= _LOW_SHARE * high
    if usual >= _LEAST_MOTION and not (repeat and state[_RUN] >= _LONG_REPEATS):
        state[_REPEATS] += ((1.0 if low else 0.0) - state[_REPEATS]) / _REPEAT_MEMORY
    state[_SINCE_REPEAT] += 1.0
    event, long_hold, step = False, False, pts - state[_LAST_PTS]
    if repeat:
        if state[_RUN] == 0.0:
            gap, known = state[_SINCE_REPEAT], False
            state[_SINCE_REPEAT] = 0.0
            for k in range(min(int(state[_GAPS]), _GAPS_SIZE)):
                known = known or state[_GAPS_AT + k] == gap
            _push(state, _GAPS, _GAPS_AT, _GAPS_SIZE, gap)
            state[_SUSPECT] = 0.0 if high < _GOES_ON * usual else 0.5 if known else 1.0
        state[_RUN] += 1.0
    else:
        irregular = state[_SUSPECT] == 1.0 and state[_REPEATS] <= _MOST_REPEATS
        gap = state[_GAPS_AT + (int(state[_GAPS]) - 1) % _GAPS_SIZE]
        held = state[_SUSPECT] > 0.0 and state[_RUN] >= _HELD_REPEATS and gap >= state[_RUN] + _HELD_AFTER
        held = held and state[_REPEATS] <= _MOST_HELD
        event = state[_RUN] > 0.0 and (irregular or held) and motion >= _GOES_ON * usual
        long_hold = event and held and state[_RUN] * step >= _LONG_HOLD
        state[_RUN] = 0.0
        if low:
            state[_HIGH_MOTION] = max(motion, _HIGH_FADES * high)
        else:
            state[_HIGH_MOTION] = motion
            _push(state, _MOVES, _MOVES_AT, _MOVES_SIZE, motion)
    late = False
    if state[_STEPS] >= _STEPS_SIZE:
        steps = state[_STEPS_AT : _STEPS_AT + _STEPS_SIZE]
        late = steps.max() <= _EVEN * steps.min() and step > _LATE * steps.min()
    if late:
        state[_OUTLIERS] += 1.0
    else:
        event = event or (0.0 < state[_OUTLIERS] < _MOST_OUTLIERS and usual >= _LEAST_MOTION)
        state[_OUTLIERS] = 0.0
    if not late or state[_OUTLIERS] >= _MOST_OUTLIERS:
        _push(state, _STEPS, _STEPS_AT, _STEPS_SIZE, step)
    if event:
        _push(state, _EVENTS, _EVENTS_AT, _EVENTS_SIZE, pts)
    if long_hold:
        _push(state, _EVENTS, _EVENTS_AT, _EVENTS_SIZE, pts)
    recent, first, latest = 0, pts, -np.inf
    for k in range(min(int(state[_EVENTS]), _EVENTS_SIZE)):
        at_event = state[_EVENTS_AT + k]
        latest = max(latest, at_event)
        if pts - at_event < _STUTTER_WINDOW:
            recent += 1
            first = min(first, at_event)
    since = pts - first if event else 0.0 if state[_EVENTS] == 0.0 else pts - latest
    return recent / _STUTTER_WINDOW, since


@compiled
def _side(state, top, bottom, left, right):
    """How many tiles of a rectangle stand still, and how many it has."""
    filled = 0
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            filled += state[_WAS_STILL + row * TILE_COLUMNS + column] > 0.0
    return filled, (bottom - top + 1) * (right - left + 1)


@compiled
def _rectangle(state, top, bottom, left, right):
    """The rectangle less the sides of which the least stands still, until RECTANGULAR of it does."""
    while top <= bottom and left <= right:
        filled, size = _side(state, top, bottom, left, right)
        if filled >= _RECTANGULAR * size:
            break
        least, filled, size = 0, 2, 1
        for side in range(4):
            if side == 0:
                here, of = _side(state, top, top, left, right)
            elif side == 1:
                here, of = _side(state, bottom, bottom, left, right)
            elif side == 2:
                here, of = _side(state, top, bottom, left, left)
            else:
                here, of = _side(state, top, bottom, right, right)
            if here * size < filled * of:  # a smaller share, in integers
                least, filled, size = side, here, of
        if least == 0:
            top += 1
        elif least == 1:
            bottom -= 1
        elif least == 2:
            left += 1
        else:
            right -= 1
    return top, bottom, left, right


@compiled
def _stuck(state, luma, difference, motion, step, pts):
    cut, held = 0, 0
    stopped, left, right, top, bottom = 0, TILES, -1, TILES, -1
    for tile in range(TILES):
        still = difference[tile] <= _STILL
        cut += difference[tile] > _CUT_DIFFERENCE
        if still:
            if state[_WAS_STILL + tile] == 0.0:
                activity = state[_ACTIVITY + tile]
                moved = activity >= _ACTIVE and abs(state[_DRIFT + tile]) <= _FADING * activity
                state[_SINCE_STOP + tile] = 0.0 if moved else -1.0
            elif state[_SINCE_STOP + tile] >= 0.0:
                state[_SINCE_STOP + tile] += step
            if state[_STUCK + tile] > 0.0:
                state[_STUCK + tile] = 1.0
        else:
            state[_SINCE_STOP + tile] = -1.0
            state[_STUCK + tile] = max(0.0, state[_STUCK + tile] - 0.5)
        jumped = difference[tile] > _JUMP and difference[tile] >= _CUT_RISE * state[_ACTIVITY + tile]
        if jumped:
            state[_STUCK + tile] = 0.0
        state[_WAS_STILL + tile] = 1.0 if still else -1.0 if jumped else 0.0
        held += state[_STUCK + tile] > 0.0
        if 0.0 <= state[_SINCE_STOP + tile] <= _TOGETHER:
            stopped += 1
            left, right = min(left, tile % TILE_COLUMNS), max(right, tile % TILE_COLUMNS)
            top, bottom = min(top, tile // TILE_COLUMNS), max(bottom, tile // TILE_COLUMNS)
    if cut >= _CUT_TILES and motion >= _CUT_RISE * state[_MOTION]:
        state[_CUT_AT] = pts
    state[_MOTION] = motion
    enough = max(_STUCK_TILES, held + 1)
    if stopped >= enough and pts - state[_CUT_AT] > _STUCK_CUT:
        top, bottom, left, right = _rectangle(state, top, bottom, left, right)
        stopped, moving, change, usual = 0, 0, 0.0, 0.0
        for tile in range(TILES):
            row, column = tile // TILE_COLUMNS, tile % TILE_COLUMNS
            if top <= row <= bottom and left <= column <= right:
                stopped += 0.0 <= state[_SINCE_STOP + tile] <= _TOGETHER
            elif state[_WAS_STILL + tile] <= 0.0:
                moving += 1
                change += difference[tile]
                usual += state[_ACTIVITY + tile]
        as_before = moving >= _MOVING_TILES and _REST_LEAST * usual <= change <= _REST_MOST * usual
        if stopped >= enough and as_before:
            for tile in range(TILES):
                row, column = tile // TILE_COLUMNS, tile % TILE_COLUMNS
                within = top <= row <= bottom and left <= column <= right
                state[_STUCK + tile] = 1.0 if within and 0.0 <= state[_SINCE_STOP + tile] <= _TOGETHER else 0.0
            held = stopped
    known = min(_ACTIVITY_SECONDS, pts - state[_CUT_AT])
    pace = step / known if known > step else 1.0
    for tile in range(TILES):
        state[_ACTIVITY + tile] += (difference[tile] - state[_ACTIVITY + tile]) * pace
        state[_DRIFT + tile] += (luma[tile] - state[_LAST_LUMA + tile] - state[_DRIFT + tile]) * pace
        state[_LAST_LUMA + tile] = luma[tile]
    return held / TILES


@compiled
def _is_grey(u, v):
    """Whether a tile has no colour; NaN of a picture without chroma is none."""
    return abs(u - 0.5) <= _HOLE_GREY and abs(v - 0.5) <= _HOLE_GREY


@compiled
def _is_black(luma, u, v):
    """Whether a tile is black."""
    return _is_grey(u, v) and luma <= _HOLE_BLACK


@compiled
def _is_dead(luma, u, v, coloured):
    """Whether a tile has the colour of a hole."""
    return _is_black(luma, u, v) or (coloured and _is_grey(u, v) and abs(luma - 0.5) <= _HOLE_GREY)


@compiled
def _hole(tiles, state, step, pts):
    """Share of the tiles that are a hole, once it is told; before the state of motion is brought up to date."""
    born, born_black, held, still, moving, usual, change = 0, 0, 0, 0, 0, 0.0, 0.0
    left, right, top, bottom = TILES, -1, TILES, -1
    colours = 0
    for tile in range(TILES):
        colours += not _is_grey(tiles[2, tile], tiles[3, tile])
    coloured = colours >= _HOLE_COLOURED
    for tile in range(TILES):
        activity, difference = state[_ACTIVITY + tile], tiles[1, tile]
        dead = _is_dead(tiles[0, tile], tiles[2, tile], tiles[3, tile], coloured)
        held += state[_HOLE + tile] > 0.0
        still += state[_HOLE + tile] > 0.0 and dead
        if dead and difference > _JUMP and difference >= _HOLE_RISE * activity:
            born += 1
            born_black += _is_black(tiles[0, tile], tiles[2, tile], tiles[3, tile])
            left, right = min(left, tile % TILE_COLUMNS), max(right, tile % TILE_COLUMNS)
            top, bottom = min(top, tile // TILE_COLUMNS), max(bottom, tile // TILE_COLUMNS)
    if held > 0:
        ends = (born >= _HOLE_TILES and state[_HOLE_SECONDS] < _HOLE_TOLD) or still < _HOLE_TILES or 2 * still <= held
        state[_HOLE_SECONDS] += step
        if still < held or ends:
            for tile in range(TILES):
                if ends or not _is_dead(tiles[0, tile], tiles[2, tile], tiles[3, tile], coloured):
                    state[_HOLE + tile] = 0.0
        told = not ends and state[_HOLE_SECONDS] >= _HOLE_TOLD
        return still / TILES if told else 0.0
    if born < _HOLE_TILES or not pts - state[_CUT_AT] > _ACTIVITY_SECONDS:
        return 0.0
    there, rest, edge, edge_dead, ground = 0, 0, 0, 0, 0
    for tile in range(TILES):
        row, column = tile // TILE_COLUMNS, tile % TILE_COLUMNS
        if row < top - 1 or row > bottom + 1 or column < left - 1 or column > right + 1:
            rest += 1
            moving += state[_ACTIVITY + tile] >= _ACTIVE
            usual += state[_ACTIVITY + tile]
            change += tiles[1, tile]
            within = 1 <= row < TILE_ROWS - 1 and 2 <= column < TILE_COLUMNS - 2
            ground += within and _is_black(tiles[0, tile], tiles[2, tile], tiles[3, tile])
        elif top <= row <= bottom and left <= column <= right:
            there += _is_dead(tiles[0, tile], tiles[2, tile], tiles[3, tile], coloured)
        else:
            edge += 1
            dark = tiles[0, tile] <= _HOLE_DARK and _is_grey(tiles[2, tile], tiles[3, tile])
            edge_dead += dark or _is_dead(tiles[0, tile], tiles[2, tile], tiles[3, tile], coloured)
    around = (bottom - top + 1) * (right - left + 1)
    filled = born >= _HOLE_NEW * around and there >= _RECTANGULAR * around
    moves, alone = rest >= _HOLE_REST and moving >= _HOLE_MOVING * rest, 2 * edge_dead <= edge
    if ground >= _HOLE_GROUND and born_black > 0:
        return 0.0
    if filled and alone and moves and _HOLE_REST_LEAST * usual <= change <= _REST_MOST * usual:
        state[_HOLE_SECONDS] = 0.0
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                tile = row * TILE_COLUMNS + column
                dead = _is_dead(tiles[0, tile], tiles[2, tile], tiles[3, tile], coloured)
                state[_HOLE + tile] = 1.0 if dead else 0.0
    return 0.0


@compiled
def _same_rows(tiles, coloured, along, across, along_step, across_step):
    """How many steps from a row of tiles to the next are none, from the last row on; of columns with other steps."""
    for a in range(along - 2, -1, -1):
        apart = 0.0
        for b in range(across):
            tile = a * along_step + b * across_step
            apart += abs(tiles[0, tile + along_step] - tiles[0, tile])
            if coloured:
                apart += abs(tiles[2, tile + along_step] - tiles[2, tile])
                apart += abs(tiles[3, tile + along_step] - tiles[3, tile])
        if apart > across * _SMEAR_SAME:
            return along - 2 - a
    return along - 1


@compiled
def _smears(tiles, state, same, along, across, along_step, across_step):
    """Whether the last `same` steps are none since this picture; before the state of motion is brought up to date."""
    rough, before, usual, change = 0.0, 0.0, 0.0, 0.0
    for b in range(across - 2):
        tile = (along - 1) * along_step + b * across_step
        rough += abs(tiles[0, tile] - 2.0 * tiles[0, tile + across_step] + tiles[0, tile + 2 * across_step])
    rest = along - 2 - same  # rows that have nothing of it; the one after them may have some
    for b in range(across):
        for a in range(along - 1 - same, along - 1):
            tile = a * along_step + b * across_step
            before += abs(state[_LAST_LUMA + tile + along_step] - state[_LAST_LUMA + tile])
        for a in range(rest):
            tile = a * along_step + b * across_step
            usual += state[_ACTIVITY + tile]
            change += tiles[1, tile]
    return (
        rest > 0
        and rough >= (across - 2) * _SMEAR_ROUGH
        and before >= same * across * _SMEAR_BEFORE
        and change <= _REST_MOST * usual + rest * across * _ACTIVE
    )


@compiled
def _smear(tiles, state, coloured, step, pts):
    """Share of the picture that is smeared, once it is told."""
    down = _same_rows(tiles, coloured, TILE_ROWS, TILE_COLUMNS, TILE_COLUMNS, 1)
    right = _same_rows(tiles, coloured, TILE_COLUMNS, TILE_ROWS, 1, TILE_COLUMNS)
    kind = state[_SMEARED]
    if kind > 0.0:
        state[_SMEARED_SECONDS] += step
        if (down < _SMEAR_ROWS) if kind == 1.0 else (right < _SMEAR_COLUMNS):
            state[_SMEARED] = 0.0
    elif pts - state[_CUT_AT] > _SMEAR_CUT:
        if down >= _SMEAR_ROWS and _smears(tiles, state, down, TILE_ROWS, TILE_COLUMNS, TILE_COLUMNS, 1):
            state[_SMEARED], state[_SMEARED_SECONDS] = 1.0, 0.0
        elif right >= _SMEAR_COLUMNS and _smears(tiles, state, right, TILE_COLUMNS, TILE_ROWS, 1, TILE_COLUMNS):
            state[_SMEARED], state[_SMEARED_SECONDS] = 2.0, 0.0
    if state[_SMEARED] == 0.0 or state[_SMEARED_SECONDS] < _SMEAR_TOLD:
        return 0.0
    return (down + 1) / TILE_ROWS if state[_SMEARED] == 1.0 else (right + 1) / TILE_COLUMNS


@compiled
def _rolled(luma, state):
    """By how many rows of tiles the picture is an earlier one that has rolled on; 0: it is none."""
    found, apart, least = 0, 0.0, np.inf
    for rows in range(_ROLL_LEAST, TILE_ROWS - _ROLL_LEAST + 1):
        fits, further, total = True, np.inf, 0.0
        for part in range(2):
            first, last = (0, TILE_ROWS - rows) if part == 0 else (TILE_ROWS - rows, TILE_ROWS)
            own, other, changed = 0.0, 0.0, 0
            for tile in range(first * TILE_COLUMNS, last * TILE_COLUMNS):
                away = abs(luma[tile] - state[_ROLL_LUMA + tile])
                own += away
                changed += away > _ROLL_NOISE
                other += abs(luma[tile] - state[_ROLL_LUMA + (tile + rows * TILE_COLUMNS) % TILES])
            many = (last - first) * TILE_COLUMNS
            fits = fits and own >= many * _ROLL_APART and other <= _ROLL_SHARE * (own - many * _ROLL_NOISE)
            fits = fits and changed >= many * _ROLL_CHANGED
            further, total = min(further, own / many), total + other
        if fits:
            apart = max(apart, further)
            if total < least:
                found, least = rows, total
    if found > 0:
        for rows in range(_ROLL_LEAST, TILE_ROWS - _ROLL_LEAST + 1):
            alike = 0.0
            for tile in range(TILES):
                alike += abs(state[_ROLL_LUMA + tile] - state[_ROLL_LUMA + (tile + rows * TILE_COLUMNS) % TILES])
            if alike < TILES * _ROLL_ALIKE * apart:
                return 0
    return found


@compiled
def _roll(luma, state, motion, step, pts):
    """Seconds since the picture rolls, where it does, else 0."""
    if state[_ROLL_USUAL] == 0.0:
        state[_ROLL_USUAL] = motion
    if motion < _ROLL_MOVES * state[_ROLL_ROSE]:
        state[_ROLL_ROSE_AT] = _LONG_AGO
    rises = motion > _ROLL_RISE * state[_ROLL_USUAL]
    if rises and (pts - state[_ROLL_ROSE_AT] > _ROLL_SECONDS or motion > _ROLL_RISE * state[_ROLL_ROSE]):
        state[_ROLL_ROSE_AT], state[_ROLL_ROSE] = pts, motion
    state[_ROLL_USUAL] += (motion - state[_ROLL_USUAL]) * min(1.0, step / _ACTIVITY_SECONDS)
    goes_on = pts - state[_ROLLED_AT] <= _ROLL_HOLD
    moves = motion >= _ACTIVE and (not goes_on or motion >= _ROLL_MOVES * state[_ROLL_MOTION])
    rows, rests = _rolled(luma, state) if moves else 0, False
    if rows > 0:
        if not goes_on:
            ago = pts - state[_ROLL_ROSE_AT]
            state[_ROLL_BEGAN] = state[_ROLL_ROSE_AT] if ago <= _ROLL_SECONDS else pts
            state[_ROLL_MOTION], state[_ROLL_WAY] = motion, 0.0
        elif rows != state[_ROLL_ROWS]:
            state[_ROLL_WAY] += rows - state[_ROLL_ROWS]
        if not goes_on or rows != state[_ROLL_ROWS]:
            state[_ROLL_ROWS], state[_ROLL_ROWS_AT] = rows, pts
        rests = pts - state[_ROLL_ROWS_AT] > _ROLL_REST
        if rests:
            state[_ROLL_WAY] = 0.0
        else:
            state[_ROLLED_AT] = pts
        goes_on = True
    tells = goes_on and moves and abs(state[_ROLL_WAY]) >= _ROLL_STEPS
    if (rests or not goes_on) and pts - state[_ROLL_LUMA_AT] >= _ROLL_SECONDS:
        state[_ROLL_LUMA : _ROLL_LUMA + TILES] = luma
        state[_ROLL_LUMA_AT] = pts
    return max(pts - state[_ROLL_BEGAN], _NOW) if tells else 0.0


@compiled
def _negative_distances(luma, was):
    """How far luma is from what it was, and from its negative, the mean left out of both; and the mean of their sum."""
    total, change = 0.0, 0.0
    for tile in range(TILES):
        total += luma[tile] + was[tile]
        change += luma[tile] - was[tile]
    total, change = total / TILES, change / TILES
    own, other = 0.0, 0.0
    for tile in range(TILES):
        own += abs(luma[tile] - was[tile] - change)
        other += abs(luma[tile] + was[tile] - total)
    return own, other, total


@compiled
def _negative(tiles, state, fresh, step, pts):
    """Seconds since luma runs the other way, once it is told, else 0; before the last luma is brought up to date."""
    own, other, total = _negative_distances(tiles[0], state[_LAST_LUMA : _LAST_LUMA + TILES])
    turns = abs(total - _OPPOSITE) <= _NEGATIVE_SUM and own >= TILES * _NEGATIVE_LEAST
    if not fresh and turns and other <= _SWAP_SHARE * (own - TILES * _NEGATIVE_NOISE):
        state[_NEGATIVE], state[_NEGATIVE_AT], state[_NEGATIVE_SIZE] = 1.0 - state[_NEGATIVE], pts, own
    elif pts - step - state[_NEGATIVE_AT] < _SWAP_TOLD and own >= _SWAP_AGAIN * state[_NEGATIVE_SIZE]:
        state[_NEGATIVE] = 0.0
    if state[_NEGATIVE] > 0.0 and pts - step - state[_NEGATIVE_AT] < _SWAP_TOLD:
        own, other, _ = _negative_distances(tiles[0], state[_KEPT_BEFORE : _KEPT_BEFORE + TILES])
        if own <= _SWAP_BACK * other:
            state[_NEGATIVE] = 0.0
    ago = pts - state[_NEGATIVE_AT]
    return ago if state[_NEGATIVE] > 0.0 and ago >= _SWAP_TOLD and ago <= _SWAP_OWN else 0.0


@compiled
def _swap_distances(u, v, was_u, was_v):
    """How far U and V are from what they were, and from that in each other's place or running the other way."""
    own, other, turned = 0.0, 0.0, 0.0
    for tile in range(TILES):
        own += abs(u[tile] - was_u[tile]) + abs(v[tile] - was_v[tile])
        other += abs(u[tile] - was_v[tile]) + abs(v[tile] - was_u[tile])
        turned += abs(u[tile] + was_u[tile] - _OPPOSITE) + abs(v[tile] + was_v[tile] - _OPPOSITE)
    return own, min(other, turned)


@compiled
def _keep(tiles, state, fresh, pts):
    """This picture's tiles beside those kept last, once in a while, as long as nothing is swapped."""
    kept = state[_SWAPPED] == 0.0 and state[_NEGATIVE] == 0.0 and pts - state[_KEPT_AT] >= _SWAP_KEPT
    if not (fresh or kept):
        return
    for plane in range(3):
        for tile in range(TILES):
            at, now = plane * TILES + tile, tiles[plane + (plane > 0), tile]
            state[_KEPT_BEFORE + at] = now if fresh else state[_KEPT + at]
            state[_KEPT + at] = now
    state[_KEPT_AT] = pts


@compiled
def _swap(tiles, state, fresh, coloured, apart, motion, step, pts):
    """Seconds since U and V have changed places or run the other way, once it is told, else 0; `apart` is how much the
    tiles' means have changed.
    """
    was_u, was_v = state[_LAST_U : _LAST_U + TILES], state[_LAST_V : _LAST_V + TILES]
    own, other = _swap_distances(tiles[2], tiles[3], was_u, was_v)
    was_u[:], was_v[:] = tiles[2], tiles[3]
    as_before = step <= _SWAP_STEP and motion <= _SWAP_MOTION * state[_MOTION_BEFORE]
    same = apart <= TILES * _SWAP_LUMA or as_before
    state[_MOTION_BEFORE] = motion
    swaps = own >= TILES * _SWAP_LEAST and other <= _SWAP_SHARE * (own - TILES * _SWAP_NOISE) and same
    if coloured and not fresh and swaps:
        state[_SWAPPED], state[_SWAPPED_AT], state[_SWAP_SIZE] = 1.0 - state[_SWAPPED], pts, own
    elif pts - step - state[_SWAPPED_AT] < _SWAP_TOLD and own >= _SWAP_AGAIN * state[_SWAP_SIZE]:
        state[_SWAPPED] = 0.0
    if state[_SWAPPED] > 0.0 and pts - step - state[_SWAPPED_AT] < _SWAP_TOLD:
        kept_u = state[_KEPT_BEFORE + TILES : _KEPT_BEFORE + 2 * TILES]
        kept_v = state[_KEPT_BEFORE + 2 * TILES : _KEPT_BEFORE + 3 * TILES]
        own, other = _swap_distances(tiles[2], tiles[3], kept_u, kept_v)
        if own <= _SWAP_BACK * other:
            state[_SWAPPED] = 0.0
    ago = pts - state[_SWAPPED_AT]
    return ago if state[_SWAPPED] > 0.0 and ago >= _SWAP_TOLD and ago <= _SWAP_OWN else 0.0


@compiled
def _broken_colour(tiles, state, spread, step, coloured, redness):
    luma = tiles[0, 0]
    neutral = not coloured or (abs(tiles[2, 0] - 0.5) < _NEUTRAL and abs(tiles[3, 0] - 0.5) < _NEUTRAL)
    if spread <= _UNIFORM_SPREAD and redness == 0.0 and not (neutral and not (luma > _DARK and luma < _BRIGHT)):
        state[_CARD_SECONDS] += step
        nothing = coloured
        for tile in range(TILES):
            nothing = nothing and tiles[2, tile] < _LEAST_CHROMA and tiles[3, tile] < _LEAST_CHROMA
        if nothing:
            state[_BROKEN_CARD] = 1.0
    else:
        apart, away = 0.0, 0.0  # from the scene before the card, and from the card, which is the picture before
        for tile in range(TILES):
            away += tiles[1, tile]
            apart += abs(tiles[0, tile] - state[_BEFORE_CARD + tile])
            state[_BEFORE_CARD + tile] = tiles[0, tile]
        lasted, broken = state[_CARD_SECONDS], state[_BROKEN_CARD] > 0.0
        state[_CARD_SECONDS] = state[_BROKEN_CARD] = 0.0
        within = lasted + step < _UNTOLD_CARD if broken else lasted + step <= _SHORTEST_CARD
        interrupted = apart / TILES <= _SAME_SCENE and away / TILES > _SAME_SCENE
        if lasted > 0.0 and within and (broken or interrupted):
            return 1.0
    if not coloured:
        return 0.0
    impossible = 0
    for tile in range(TILES):
        impossible += tiles[2, tile] < _LEAST_CHROMA and tiles[3, tile] < _LEAST_CHROMA
    return impossible / TILES


@compiled
def step(tiles, mean_luma, mafd, gradient, pts, full_range, state, table, out):
    """One row of `temporal`, of a slot's own state."""
    if np.isnan(tiles[0, 0]):
        out[:] = np.nan
        return
    last = state[_LAST_PTS]
    fresh = not (pts >= last and pts - last <= _LONGEST_GAP)  # also where nothing was seen: NaN
    if fresh:
        state[:] = 0.0
        state[_CUT_AT] = pts
        state[_LAST_LUMA : _LAST_LUMA + TILES] = tiles[0]
        state[_LAST_MAFD] = np.nan
        state[_REPEATS] = _FIRST_REPEATS
        state[_SINCE_STOP : _SINCE_STOP + TILES] = -1.0
        state[_BEFORE_CARD : _BEFORE_CARD + TILES] = np.inf
        state[_ROLL_LUMA : _ROLL_LUMA + TILES] = tiles[0]
        state[_ROLL_LUMA_AT] = pts
        state[_ROLLED_AT] = state[_ROLL_ROSE_AT] = _LONG_AGO
    coloured = not np.isnan(tiles[2, 0])
    low, high = np.empty(3), np.empty(3)
    motion_sum, colour_sum = 0.0, 0.0
    cut, change, apart = 0, 0.0, 0.0
    for plane in range(3):
        row = 0 if plane == 0 else plane + 1
        low[plane], high[plane] = tiles[row, 0], tiles[row, 0]
    for tile in range(TILES):
        luma = _level(tiles[0, tile], full_range)
        motion_sum += tiles[1, tile]
        cut += tiles[1, tile] > _CUT_DIFFERENCE
        change += tiles[0, tile] - state[_LAST_LUMA + tile]
        apart += abs(tiles[0, tile] - state[_LAST_LUMA + tile])
        for plane in range(3 if coloured else 1):
            row = 0 if plane == 0 else plane + 1
            low[plane] = min(low[plane], tiles[row, tile])
            high[plane] = max(high[plane], tiles[row, tile])
        luminance = _luminance(luma, table)
        redness = 0.0
        if coloured:
            colour_sum += np.sqrt((tiles[2, tile] - 0.5) ** 2 + (tiles[3, tile] - 0.5) ** 2)
            scale = 255.0 if full_range else 224.0
            u, v = (tiles[2, tile] * 256.0 - 128.0) / scale, (tiles[3, tile] * 256.0 - 128.0) / scale
            red = _luminance(luma + 1.5748 * v, table) / _PEAK
            green = _luminance(luma - 0.187324 * u - 0.468124 * v, table) / _PEAK
            blue = _luminance(luma + 1.8556 * u, table) / _PEAK
            if red > 0.0 and red >= _RED_SHARE * (red + green + blue):
                redness = max(0.0, red - green - blue) * _RED_SCALE
        if fresh:
            state[_LUMINANCE_EXTREME + tile] = luminance
            state[_RED_EXTREME + tile] = redness
        else:
            _turn(state, tile, _LUMINANCE_EXTREME, _LUMINANCE_WAY, _LUMINANCE_TURNS, _LUMINANCE_TIMES, luminance,
                  _DARKEST_BRIGHT, pts)  # fmt: skip
            _turn(state, tile, _RED_EXTREME, _RED_WAY, _RED_TURNS, _RED_TIMES, redness, np.inf, pts)
    out[1] = _rate(state, _RED_TURNS, _RED_TIMES, pts)
    out[0] = max(out[1], _rate(state, _LUMINANCE_TURNS, _LUMINANCE_TIMES, pts))
    out[9] = _flashed_since(state, out[0], pts)
    state[_LEVEL_TIMES + int(state[_LEVELS]) % _LEVELS_SIZE] = pts
    level = _level(mean_luma, full_range)
    cuts = not fresh and cut >= _CUT_TILES and motion_sum / TILES >= _LEVEL_CUT_RISE * state[_MOTION]
    if cuts and abs(change) <= _ONE_WAY * apart:
        state[_LEVEL_OFFSET] = state[_LEVELS_AT + (int(state[_LEVELS]) - 1) % _LEVELS_SIZE] - level
    _push(state, _LEVELS, _LEVELS_AT, _LEVELS_SIZE, level + state[_LEVEL_OFFSET])
    out[2], out[10], flickers = _flicker(state, pts)
    before, state[_FLASHES_KEPT] = state[_FLASHES_KEPT], 0.0
    if out[0] >= _MANY_FLASHES:
        state[_FLASHES_KEPT] = 1.0
    elif before > 0.0 and flickers and out[2] >= _FLICKERS:
        state[_FLASHES_KEPT], out[0] = 2.0, _KEPT_RATE
    elif before == 2.0:
        out[9] = 0.0 if flickers else min(out[9], out[10])
    out[3], out[4], out[6], out[11], out[12] = 0.0, 0.0, 0.0, 0.0, 0.0
    hole, smear, rolls = 0.0, 0.0, 0.0
    negative = _negative(tiles, state, fresh, pts - last, pts)
    if not fresh and not np.isnan(motion_sum):
        hole = _hole(tiles, state, pts - last, pts)
        smear = _smear(tiles, state, coloured, pts - last, pts)
        rolls = _roll(tiles[0], state, motion_sum / TILES, pts - last, pts)
        out[3], out[11] = _stutter(state, motion_sum / TILES, pts)
        out[4] = _stuck(state, tiles[0], tiles[1], motion_sum / TILES, pts - last, pts)
    spread = high[0] - low[0]
    if coloured:
        spread = max(spread, high[1] - low[1], high[2] - low[2])
    out[5] = spread + gradient
    out[8] = colour_sum / TILES
    broken = _broken_colour(tiles, state, out[5], 0.0 if fresh else pts - last, coloured, redness)
    swapped = _swap(tiles, state, fresh, coloured, apart, motion_sum / TILES, pts - last, pts)
    _keep(tiles, state, fresh, pts)
    out[12] = max(swapped, negative, rolls)
    if out[12] > 0.0:
        broken = 1.0
    out[7] = max(broken, hole, smear)
    if hole > 0.0:
        out[12] = max(out[12], state[_HOLE_SECONDS])
    if smear > 0.0:
        out[12] = max(out[12], state[_SMEARED_SECONDS])
    if not np.isnan(mafd):
        if not np.isnan(state[_LAST_MAFD]):
            out[6] = min(100.0 * mafd, 100.0 * abs(mafd - state[_LAST_MAFD]))
        state[_LAST_MAFD] = mafd
    state[_LAST_PTS] = pts


@compiled
def _steps(tiles, luma, mafd, gradient, pts, ranges, slots, state, table, out):
    """Every row in turn; the arrays are those of `temporal`, `out` its result."""
    for n in range(tiles.shape[0]):
        step(tiles[n], luma[n], mafd[n], gradient[n], pts[n], ranges[n] == 1, state[slots[n]], table, out[n])


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
    """The op's CPU implementation; see kernels/temporal/op.py."""
    out = torch.empty((tiles.shape[0], _N_COLUMNS), dtype=torch.float64)
    arrays = (tiles, luma, mafd, gradient, pts, ranges, slots, state, table, out)
    _steps(*(tensor.numpy() for tensor in arrays))
    return out
