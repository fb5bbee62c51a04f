"""temporal, plain and slow: the definition that the fast versions are held to. For tests only.

It keeps everything that a stream has shown and looks at it anew for every picture, instead of carrying a state.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.temporal import layout as at
from kernels.tile_stats.grid import TILE_COLUMNS, TILE_ROWS, TILES

Numbers = npt.NDArray[np.float64]


def levels(codes: Numbers, full_range: bool) -> Numbers:
    """From black, 0, to white, 1, of 8-bit codes of luma."""
    return codes / 255 if full_range else (codes - 16) / 219


def luminance(level: Numbers) -> Numbers:
    """cd/m2 of luma levels, on the straight lines between the 256 levels of 8 bits."""
    known = np.arange(256) / 255
    return np.asarray(np.interp(np.clip(level, 0, 1), known, at.PEAK_LUMINANCE * known**at.GAMMA))


def redness(luma: Numbers, u: Numbers, v: Numbers) -> Numbers:
    """(R - G - B) * 320 where red is saturated, else 0."""
    red = luminance(luma + 1.5748 * v) / at.PEAK_LUMINANCE
    green = luminance(luma - 0.187324 * u - 0.468124 * v) / at.PEAK_LUMINANCE
    blue = luminance(luma + 1.8556 * u) / at.PEAK_LUMINANCE
    saturated = (red > 0) & (red >= at.RED_SHARE * (red + green + blue))
    return np.where(saturated, np.maximum(0, red - green - blue) * at.RED_SCALE, 0.0)


def transitions(values: list[float], times: list[float], darkest: float) -> list[float]:
    """When a tile's value had changed by FLASH_STEP from its last extreme, against the direction of the last change."""
    found: list[float] = []
    rising, extreme = True, values[0]
    for value, time in zip(values[1:], times[1:], strict=True):
        further = value > extreme if rising else value < extreme
        if further:
            extreme = value
        elif abs(value - extreme) >= at.FLASH_STEP and min(value, extreme) < darkest:
            found.append(time)
            rising, extreme = not rising, value
    return found


def rate(per_tile: list[list[float]], now: float) -> float:
    """Half the number of transitions in the last second that FLASH_TILES tiles have made."""
    counts = sorted(
        (sum(1 for time in times[-at.TURN_TIMES :] if now - time < at.FLASH_WINDOW_SECONDS) for times in per_tile),
        reverse=True,
    )
    return counts[at.FLASH_TILES - 1] / 2


def flash_since(general: list[list[float]], red: list[list[float]], rate: float, now: float) -> float:
    """Seconds since the first transition of many tiles that the rate counts, or since the latest."""
    tiles = [set(one) | set(other) for one, other in zip(general, red, strict=True)]
    times = sorted({time for own in tiles for time in own})
    together = [time for time in times if sum(time in own for own in tiles) >= at.FLASH_TOGETHER]
    if not together or rate == 0:
        return 0.0
    if together[-1] < now:
        return now - together[-1]
    recent = [time for time in together[-at.FLASHES_SIZE :] if now - time < at.FLASH_WINDOW_SECONDS]
    return now - recent[-min(round(2 * rate), len(recent))]


def flicker_since(levels: list[float], times: list[float], periodic: bool) -> float:
    """Seconds since the latest levels began to flicker, or since they rest."""
    n = at.LEVELS_SIZE
    if len(levels) < n:
        return 0.0
    steps = np.abs(np.diff(levels[-n:]))
    large = np.flatnonzero(steps >= at.FLICKER_STEP * steps.max()) + 1
    first, last = int(large[0]), int(large[-1])
    if n - 1 - last <= at.FLICKER_RESTS:
        return min(times[-1] - times[-n:][first], at.FLICKER_BACK_SECONDS) if periodic else 0.0
    return times[-1] - times[-n:][last + 1]


def goes_on(levels: list[float]) -> bool:
    """Whether one of the latest FLICKER_RESTS steps of the levels is a large one."""
    steps = np.abs(np.diff(levels[-at.LEVELS_SIZE :]))
    latest = steps[-at.FLICKER_RESTS - 1 :]
    return len(levels) >= at.LEVELS_SIZE and bool((latest >= at.FLICKER_STEP * steps.max()).any())


def flicker(levels: list[float]) -> float:
    """Amplitude in percent of the periodic part of the latest levels; 0 if there is none."""
    n = at.LEVELS_SIZE
    if len(levels) < n:
        return 0.0
    values, x = np.array(levels[-n:]), np.arange(n)
    values = values - np.polyval(np.polyfit(x, values, 1), x)
    power = float((values * values).sum())
    if power <= n * at.LEAST_POWER:
        return 0.0
    opposed = False
    for distance in range(1, at.PERIOD_MAX + 1):
        likeness = float((values[:-distance] * values[distance:]).mean()) * n / power
        if opposed and distance >= at.PERIOD_MIN and likeness >= at.PERIODIC:
            return float(100 * np.sqrt(2 * power / n))
        opposed = opposed or likeness <= at.OPPOSED
    return 0.0


def rectangle(together: npt.NDArray[np.bool_], still: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The tiles around `together`, less the sides of which the least stands still, until RECTANGULAR of them do."""
    rows, columns = np.nonzero(together)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    while True:
        box = still[top : bottom + 1, left : right + 1]
        if box.sum() >= at.RECTANGULAR * box.size:
            break
        sides = [box[0].mean(), box[-1].mean(), box[:, 0].mean(), box[:, -1].mean()]
        least = int(np.argmin(sides))
        top, bottom = top + (least == 0), bottom - (least == 1)
        left, right = left + (least == 2), right - (least == 3)
        if top > bottom or left > right:
            break
    mask = np.zeros_like(still)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def same_rows(planes: list[Numbers]) -> int:
    """How many steps from a row to the next are none, from the last row on."""
    apart = sum(np.abs(np.diff(plane, axis=0)).mean(axis=1) for plane in planes)
    differs = np.flatnonzero(apart > at.SMEAR_SAME)
    return len(planes[0]) - 1 - (int(differs[-1]) + 1 if len(differs) else 0)


def rolled_by(luma: Numbers, earlier: Numbers) -> int:
    """By how many rows of tiles a picture is an earlier one that has rolled on; 0: it is none."""
    now, then = luma.reshape(TILE_ROWS, TILE_COLUMNS), earlier.reshape(TILE_ROWS, TILE_COLUMNS)
    apart, fitting, ways = 0.0, {}, range(at.ROLL_LEAST, TILE_ROWS - at.ROLL_LEAST + 1)
    for rows in ways:
        own, other = np.abs(now - then).mean(axis=1), np.abs(now - np.roll(then, -rows, axis=0)).mean(axis=1)
        halves = slice(TILE_ROWS - rows), slice(-rows, None)
        parts = [(own[part].mean(), other[part].mean()) for part in halves]
        changed = np.abs(now - then) > at.ROLL_NOISE
        whole = all(changed[part].sum() >= at.ROLL_CHANGED * changed[part].size for part in halves)
        if whole and all(a >= at.ROLL_APART and b <= at.ROLL_SHARE * (a - at.ROLL_NOISE) for a, b in parts):
            apart = max(apart, min(a for a, _ in parts))
            fitting[rows] = float(other.mean())
    alike = min(np.abs(then - np.roll(then, -rows, axis=0)).mean() for rows in ways)
    return min(fitting, key=fitting.__getitem__) if fitting and alike >= at.ROLL_ALIKE * apart else 0


def negative_distances(luma: Numbers, was: Numbers) -> tuple[float, float]:
    """How far luma is from what it was, and from its negative, the mean left out of both."""
    change, total = luma - was, luma + was
    return float(np.abs(change - change.mean()).mean()), float(np.abs(total - total.mean()).mean())


def swap_distances(tiles: Numbers, was: tuple[Numbers, Numbers] | Numbers) -> tuple[float, float]:
    """How far U and V are from what they were, and from that in each other's place or running the other way."""
    u, v, (was_u, was_v) = tiles[2], tiles[3], was
    own = float((abs(u - was_u) + abs(v - was_v)).mean())
    other = float((abs(u - was_v) + abs(v - was_u)).mean())
    return own, min(other, float((abs(u + was_u - at.OPPOSITE) + abs(v + was_v - at.OPPOSITE)).mean()))


@dataclass
class Stream:
    """All that one slot has been shown since it began, or since the last hole."""

    times: list[float] = field(default_factory=list)
    luminances: list[Numbers] = field(default_factory=list)
    reds: list[Numbers] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    offset: float = 0.0
    flashes: bool = False
    kept: bool = False
    mafd: float = np.nan
    # Of stutter.
    moves: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    share: float = at.FIRST_REPEATS
    since: int = 0
    run: int = 0
    suspect: bool = False
    rhythm: bool = False
    high: float = 0.0
    late_in_a_row: int = 0
    # Of the part that is stuck.
    activity: Numbers = field(default_factory=lambda: np.zeros(TILES))
    drift: Numbers = field(default_factory=lambda: np.zeros(TILES))
    luma: Numbers = field(default_factory=lambda: np.zeros(TILES))
    still: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(TILES, bool))
    jumped: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(TILES, bool))
    since_stop: Numbers = field(default_factory=lambda: np.full(TILES, np.inf))
    stuck: Numbers = field(default_factory=lambda: np.zeros(TILES))
    cut_at: float = -np.inf
    motion: float = 0.0
    # Of the picture of one colour that interrupts a scene.
    card_seconds: float = 0.0
    broken_card: bool = False
    holed: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(TILES, bool))
    holed_seconds: float = 0.0
    colours: tuple[Numbers, Numbers] | None = None
    kept_tiles: tuple[Numbers, ...] = ()  # of earlier pictures
    tiles_kept_at: float = -np.inf
    luma_before: Numbers = field(default_factory=lambda: np.zeros(TILES))
    motion_before: float = np.nan
    swapped: bool = False
    swapped_at: float = 0.0
    swap_size: float = 0.0
    negative: bool = False
    negative_at: float = 0.0
    negative_size: float = 0.0
    smeared: int = 0  # 1: rows, 2: columns
    smeared_seconds: float = 0.0
    # Of rolling: an earlier picture and when it was.
    roll_luma: Numbers | None = None
    roll_luma_at: float = 0.0
    rolled_at: float = at.LONG_AGO
    roll_motion: float = 0.0
    roll_began: float = 0.0
    roll_usual: float = 0.0
    roll_rose_at: float = at.LONG_AGO
    roll_rows: int = 0
    roll_rows_at: float = 0.0
    roll_way: int = 0
    roll_rose: float = 0.0
    before_card: Numbers = field(default_factory=lambda: np.full(TILES, np.inf))

    def hole(self, tiles: Numbers, now: float) -> float:
        """Share of the tiles that are a hole, once it is told."""
        luma, difference, (u, v) = tiles[0], tiles[1], tiles[2:4]
        grey = (abs(u - 0.5) <= at.HOLE_GREY) & (abs(v - 0.5) <= at.HOLE_GREY)
        coloured = (~grey).sum() >= at.HOLE_COLOURED
        dead = grey & ((luma <= at.HOLE_BLACK) | (coloured & (abs(luma - 0.5) <= at.HOLE_GREY)))
        born = dead & (difference > at.JUMP) & (difference >= at.HOLE_RISE * self.activity)
        black = grey & (luma <= at.HOLE_BLACK)
        if self.holed.any():
            if born.sum() >= at.HOLE_TILES and self.holed_seconds < at.HOLE_TOLD_SECONDS:
                self.holed = np.zeros(TILES, bool)
            before = self.holed.sum()
            self.holed = self.holed & dead
            if self.holed.sum() < at.HOLE_TILES or 2 * self.holed.sum() <= before:
                self.holed = np.zeros(TILES, bool)
            self.holed_seconds += now - self.times[-1]
        elif born.sum() >= at.HOLE_TILES and now - self.cut_at > at.ACTIVITY_SECONDS:
            rows, columns = np.nonzero(born.reshape(TILE_ROWS, TILE_COLUMNS))
            around = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            outside = np.ones((TILE_ROWS, TILE_COLUMNS), bool)
            outside[max(0, rows.min() - 1) : rows.max() + 2, max(0, columns.min() - 1) : columns.max() + 2] = False
            rest = outside.ravel()
            usual, change = self.activity[rest].sum(), difference[rest].sum()
            as_before = at.HOLE_REST_LEAST * usual <= change <= at.REST_MOST * usual
            box = np.zeros((TILE_ROWS, TILE_COLUMNS), bool)
            box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
            there = box.ravel() & dead
            edge = ~rest & ~box.ravel()
            alone = 2 * (edge & (dead | (grey & (luma <= at.HOLE_DARK)))).sum() <= edge.sum()
            moving = (
                rest.sum() >= at.HOLE_REST and (self.activity[rest] >= at.ACTIVE).sum() >= at.HOLE_MOVING * rest.sum()
            )
            filled = len(rows) >= at.HOLE_NEW * around and there.sum() >= at.RECTANGULAR * around
            within = np.zeros((TILE_ROWS, TILE_COLUMNS), bool)
            within[1:-1, 2:-2] = True
            ground = (rest & black & within.ravel()).sum() >= at.HOLE_GROUND and (born & black).any()
            if filled and alone and moving and as_before and not ground:
                self.holed, self.holed_seconds = there, 0.0
        told = self.holed.any() and self.holed_seconds >= at.HOLE_TOLD_SECONDS
        return float(self.holed.mean()) if told else 0.0

    def smear(self, tiles: Numbers, now: float, coloured: bool) -> float:
        """Share of the picture that is smeared, once it is told."""
        planes = [tiles[k].reshape(TILE_ROWS, TILE_COLUMNS) for k in ((0, 2, 3) if coloured else (0,))]
        grids = {1: planes, 2: [plane.T for plane in planes]}
        steps = {1: at.SMEAR_ROWS, 2: at.SMEAR_COLUMNS}
        same = {kind: same_rows(own) for kind, own in grids.items()}
        if self.smeared:
            self.smeared_seconds += now - self.times[-1]
            if same[self.smeared] < steps[self.smeared]:
                self.smeared = 0
        elif now - self.cut_at > at.SMEAR_CUT_SECONDS:
            for kind, own in grids.items():
                moved, usual, before = (
                    values.reshape(TILE_ROWS, TILE_COLUMNS) for values in (tiles[1], self.activity, self.luma)
                )
                if kind == 2:
                    moved, usual, before = moved.T, usual.T, before.T
                n, rest = same[kind], len(moved) - 2 - same[kind]
                if n < steps[kind] or rest <= 0 or self.smeared:
                    continue
                rough = np.abs(np.diff(own[0][-1], n=2)).mean() >= at.SMEAR_ROUGH
                differed = np.abs(np.diff(before, axis=0))[-n:].mean() >= at.SMEAR_BEFORE
                goes_on = moved[:rest].sum() <= at.REST_MOST * usual[:rest].sum() + moved[:rest].size * at.ACTIVE
                if rough and differed and goes_on:
                    self.smeared, self.smeared_seconds = kind, 0.0
        if not self.smeared or self.smeared_seconds < at.SMEAR_TOLD_SECONDS:
            return 0.0
        return (same[self.smeared] + 1) / len(grids[self.smeared][0])

    def roll(self, luma: Numbers, motion: float, now: float) -> float:
        """Seconds since the picture rolls, where it does, else 0."""
        self.roll_usual = self.roll_usual or motion
        if motion < at.ROLL_MOVES * self.roll_rose:
            self.roll_rose_at = at.LONG_AGO
        first = now - self.roll_rose_at > at.ROLL_SECONDS or motion > at.ROLL_RISE * self.roll_rose
        if motion > at.ROLL_RISE * self.roll_usual and first:
            self.roll_rose_at, self.roll_rose = now, motion
        step = now - self.times[-1]
        self.roll_usual += (motion - self.roll_usual) * min(1.0, step / at.ACTIVITY_SECONDS)
        goes_on = now - self.rolled_at <= at.ROLL_HOLD_SECONDS
        moves = motion >= at.ACTIVE and (not goes_on or motion >= at.ROLL_MOVES * self.roll_motion)
        assert self.roll_luma is not None
        rows, rests = rolled_by(luma, self.roll_luma) if moves else 0, False
        if rows:
            if not goes_on:
                recent = now - self.roll_rose_at <= at.ROLL_SECONDS
                self.roll_began, self.roll_motion = self.roll_rose_at if recent else now, motion
                self.roll_rows, self.roll_rows_at, self.roll_way = rows, now, 0
            if rows != self.roll_rows:
                self.roll_way += rows - self.roll_rows
                self.roll_rows, self.roll_rows_at = rows, now
            rests = now - self.roll_rows_at > at.ROLL_REST_SECONDS
            if rests:
                self.roll_way = 0
            else:
                self.rolled_at = now
            goes_on = True
        tells = goes_on and moves and abs(self.roll_way) >= at.ROLL_STEPS
        if (rests or not goes_on) and now - self.roll_luma_at >= at.ROLL_SECONDS:
            self.roll_luma, self.roll_luma_at = luma, now
        return max(now - self.roll_began, 1e-12) if tells else 0.0

    def keep(self, tiles: Numbers, now: float) -> None:
        """This picture's tiles beside those kept last, once in a while, as long as nothing is swapped."""
        if not self.kept_tiles:
            self.kept_tiles, self.tiles_kept_at = (tiles, tiles), now
        elif not self.swapped and not self.negative and now - self.tiles_kept_at >= at.SWAP_KEPT_SECONDS:
            self.kept_tiles, self.tiles_kept_at = (self.kept_tiles[1], tiles), now

    def turn(self, luma: Numbers, now: float) -> float:
        """Seconds since luma runs the other way, once it is told, else 0."""
        if self.times:
            own, other = negative_distances(luma, self.luma)
            turns = abs((luma + self.luma).mean() - at.OPPOSITE) <= at.NEGATIVE_SUM and own >= at.NEGATIVE_LEAST
            if turns and other <= at.SWAP_SHARE * (own - at.NEGATIVE_NOISE):
                self.negative, self.negative_at, self.negative_size = not self.negative, now, own
            elif self.times[-1] - self.negative_at < at.SWAP_TOLD_SECONDS and own >= at.SWAP_AGAIN * self.negative_size:
                self.negative = False
            if self.negative and self.times[-1] - self.negative_at < at.SWAP_TOLD_SECONDS:
                own, other = negative_distances(luma, self.kept_tiles[0][0])
                self.negative = not own <= at.SWAP_BACK * other
        ago = now - self.negative_at
        return ago if self.negative and at.SWAP_TOLD_SECONDS <= ago <= at.SWAP_OWN_SECONDS else 0.0

    def swap(self, tiles: Numbers, now: float) -> float:
        """Seconds since U and V have changed places or run the other way, once it is told, else 0."""
        if self.colours is not None:
            own, other = swap_distances(tiles, self.colours)
            same = float(abs(tiles[0] - self.luma_before).mean()) <= at.SWAP_LUMA
            near = now - self.times[-1] <= at.SWAP_STEP_SECONDS
            same = same or (near and float(tiles[1].mean()) <= at.SWAP_MOTION * self.motion_before)
            if own >= at.SWAP_LEAST and other <= at.SWAP_SHARE * (own - at.SWAP_NOISE) and same:
                self.swapped, self.swapped_at, self.swap_size = not self.swapped, now, own
            elif self.times[-1] - self.swapped_at < at.SWAP_TOLD_SECONDS and own >= at.SWAP_AGAIN * self.swap_size:
                self.swapped = False
            if self.swapped and self.times[-1] - self.swapped_at < at.SWAP_TOLD_SECONDS:
                own, other = swap_distances(tiles, self.kept_tiles[0][2:])
                self.swapped = not own <= at.SWAP_BACK * other
        self.colours, self.luma_before = (tiles[2], tiles[3]), tiles[0]
        self.motion_before = float(tiles[1].mean())
        ago = now - self.swapped_at
        return ago if self.swapped and at.SWAP_TOLD_SECONDS <= ago <= at.SWAP_OWN_SECONDS else 0.0

    def broken_colour(self, tiles: Numbers, spread: float, step: float, coloured: bool, red: float) -> float:
        """The measure of that name; `step` is the time since the last picture, `red` how red it is."""
        luma, u, v = tiles[0], tiles[2], tiles[3]
        neutral = not coloured or (abs(u[0] - 0.5) < at.NEUTRAL and abs(v[0] - 0.5) < at.NEUTRAL)
        card = spread <= at.UNIFORM_SPREAD and red == 0 and not (neutral and not at.DARK < luma[0] < at.BRIGHT)
        if card:
            self.card_seconds += step
            nothing = coloured and bool(((u < at.LEAST_CHROMA) & (v < at.LEAST_CHROMA)).all())
            self.broken_card = self.broken_card or nothing
        else:
            back = float(np.abs(luma - self.before_card).mean()) <= at.SAME_SCENE
            lasted = self.card_seconds + step
            if self.broken_card:
                interrupted = self.card_seconds > 0 and lasted < at.UNTOLD_CARD_SECONDS
            else:
                away = float(tiles[1].mean()) > at.SAME_SCENE  # from the card, which is the picture before
                interrupted = self.card_seconds > 0 and lasted <= at.SHORTEST_CARD_SECONDS and back and away
            self.card_seconds, self.before_card, self.broken_card = 0.0, luma, False
            if interrupted:
                return 1.0
        return float(((u < at.LEAST_CHROMA) & (v < at.LEAST_CHROMA)).mean()) if coloured else 0.0

    def stutter(self, motion: float, now: float) -> tuple[float, float]:
        """The measure of that name, and since when; `motion` is the mean difference of all tiles."""
        usual = sorted(self.moves[-at.MOVES_SIZE :])[at.MOVES_SIZE // 2] if len(self.moves) >= at.MOVES_SIZE else 0.0
        repeat = usual >= at.LEAST_MOTION and motion <= at.REPEAT_SHARE * usual
        low = repeat or motion <= at.LOW_SHARE * self.high
        long_run = repeat and self.run >= at.LONG_HOLD_REPEATS
        if usual >= at.LEAST_MOTION and not long_run:  # in what stands nobody sees whether pictures repeat
            self.share += (float(low) - self.share) / at.REPEAT_MEMORY
        self.since += 1
        event, long_hold = False, False
        if repeat:
            if not self.run:
                self.rhythm = self.since in self.gaps[-at.GAPS_SIZE :]
                self.suspect = self.high >= at.GOES_ON * usual
                self.gaps.append(self.since)
                self.since = 0
            self.run += 1
        else:
            goes_on = motion >= at.GOES_ON * usual
            irregular = not self.rhythm and self.share <= at.MOST_REPEATS
            held = self.run >= at.HELD_REPEATS and self.gaps[-1] - self.run >= at.HELD_AFTER
            held = held and self.share <= at.MOST_HELD
            event = self.run > 0 and self.suspect and (irregular or held) and goes_on
            long_hold = event and held and self.run * (now - self.times[-1]) >= at.LONG_HOLD_SECONDS
            self.run = 0
            if low:
                self.high = max(motion, at.HIGH_FADES * self.high)
            else:
                self.high = motion
                self.moves.append(motion)
        step, steps = now - self.times[-1], self.steps[-at.STEPS_SIZE :]
        even = len(steps) == at.STEPS_SIZE and max(steps) <= at.EVEN * min(steps)
        if even and step > at.LATE * min(steps):
            self.late_in_a_row += 1
            if self.late_in_a_row >= at.MOST_OUTLIERS:
                self.steps.append(step)
        else:
            if 0 < self.late_in_a_row < at.MOST_OUTLIERS and usual >= at.LEAST_MOTION:
                event = True
            self.late_in_a_row = 0
            self.steps.append(step)
        if event:
            self.events += [now, now] if long_hold else [now]
        recent = [time for time in self.events[-at.EVENTS_SIZE :] if now - time < at.STUTTER_WINDOW_SECONDS]
        known = self.events[-1] if self.events else now
        return len(recent) / at.STUTTER_WINDOW_SECONDS, now - (min(recent) if event else known)

    def stuck_share(self, luma: Numbers, difference: Numbers, now: float) -> float:
        """The measure of that name."""
        step = now - self.times[-1]
        still = difference <= at.STILL
        motion = float(difference.mean())
        many = (difference > at.CUT_DIFFERENCE).sum() >= at.CUT_TILES
        if many and motion >= at.CUT_RISE * self.motion:
            self.cut_at = now
        self.motion = motion
        moved = (self.activity >= at.ACTIVE) & (abs(self.drift) <= at.FADING * self.activity)
        stops = still & ~self.still & ~self.jumped & moved
        self.since_stop = np.where(stops, 0.0, np.where(still, self.since_stop + step, np.inf))
        self.stuck = np.where(still, np.ceil(self.stuck), np.maximum(0, self.stuck - 0.5))
        self.still = still
        self.jumped = (difference > at.JUMP) & (difference >= at.CUT_RISE * self.activity)
        self.stuck[self.jumped] = 0.0
        together = self.since_stop <= at.TOGETHER_SECONDS
        enough = max(at.STUCK_TILES, (self.stuck > 0).sum() + 1)
        if together.sum() >= enough and now - self.cut_at > at.STUCK_CUT_SECONDS:
            box = rectangle(together.reshape(TILE_ROWS, TILE_COLUMNS), still.reshape(TILE_ROWS, TILE_COLUMNS)).ravel()
            rest = ~box & ~still
            usual = at.REST_LEAST * self.activity[rest].sum(), at.REST_MOST * self.activity[rest].sum()
            as_before = rest.sum() >= at.MOVING_TILES and usual[0] <= difference[rest].sum() <= usual[1]
            if (together & box).sum() >= enough and as_before:
                self.stuck = (together & box).astype(float)
        known = min(at.ACTIVITY_SECONDS, now - self.cut_at)
        pace = step / known if known > step else 1.0
        self.activity += (difference - self.activity) * pace
        self.drift += (luma - self.luma - self.drift) * pace
        self.luma = luma
        return float((self.stuck > 0).mean())


class Temporal:
    """The streams of any number of slots."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

    def step(
        self,
        tiles: Numbers,
        mean_luma: float,
        mafd: float,
        gradient: float,
        pts: float,
        full_range: bool,
        slot: int,
    ) -> dict[str, float]:
        """The columns of one picture; see kernels/temporal/op.py."""
        if np.isnan(tiles[0, 0]):
            return dict.fromkeys(at.COLUMNS, np.nan)
        s = self._streams.get(slot)
        if s is None or pts < s.times[-1] or pts - s.times[-1] > at.LONGEST_GAP_SECONDS:
            s = self._streams[slot] = Stream(luma=tiles[0], cut_at=pts)
        code = tiles * 256
        luma, level = levels(code[0], full_range), float(levels(np.array([256 * mean_luma]), full_range)[0])
        u, v = ((code[plane] - 128) / (255 if full_range else 224) for plane in (2, 3))
        coloured = not np.isnan(u[0])
        s.luminances.append(luminance(luma))
        s.reds.append(redness(luma, u, v) if coloured else np.zeros(TILES))
        change = tiles[0] - s.luma
        many = s.times and (tiles[1] > at.CUT_DIFFERENCE).sum() >= at.CUT_TILES
        mixed = abs(float(change.sum())) <= at.ONE_WAY * float(np.abs(change).sum())
        if many and float(tiles[1].mean()) >= at.LEVEL_CUT_RISE * s.motion and mixed:
            s.offset = s.levels[-1] - level
        s.levels.append(level + s.offset)
        out: dict[str, Any] = dict.fromkeys(at.COLUMNS, 0.0)
        hole = smear = rolls = 0.0
        if not s.times:
            s.roll_luma, s.roll_luma_at = tiles[0], pts
        negative = s.turn(tiles[0], pts)
        if s.times and not np.isnan(tiles[1]).any():
            hole, smear = s.hole(tiles, pts), s.smear(tiles, pts, coloured)
            rolls = s.roll(tiles[0], float(tiles[1].mean()), pts)
            out["stutter_rate"], out["stutter_since"] = s.stutter(float(tiles[1].mean()), pts)
            out["stuck_share"] = s.stuck_share(tiles[0], tiles[1], pts)
        step = pts - s.times[-1] if s.times else 0.0
        planes = (0, 2, 3) if coloured else (0,)
        out["colour_spread"] = max(float(np.ptp(tiles[plane])) for plane in planes) + gradient
        broken = s.broken_colour(tiles, out["colour_spread"], step, coloured, float(s.reds[-1][-1]))
        since = max(s.swap(tiles, pts), negative, rolls)
        s.keep(tiles, pts)
        out["broken_colour"] = max(broken, hole, smear, float(since > 0))
        out["broken_since"] = max(since, s.holed_seconds * (hole > 0), s.smeared_seconds * (smear > 0))
        s.times.append(pts)
        general, red = (
            [transitions([float(row[t]) for row in rows], s.times, darkest) for t in range(TILES)]
            for rows, darkest in ((s.luminances, at.DARKEST_BRIGHT), (s.reds, np.inf))
        )
        out["red_flash_rate"] = rate(red, pts)
        out["flash_rate"] = max(rate(general, pts), out["red_flash_rate"])
        out["flash_since"] = flash_since(general, red, out["flash_rate"], pts)
        out["flicker"] = flicker(s.levels)
        out["flicker_since"] = flicker_since(s.levels, s.times, out["flicker"] > 0)
        flickers = goes_on(s.levels)
        if out["flash_rate"] >= at.MANY_FLASHES:
            s.flashes, s.kept = True, False
        elif s.flashes and flickers and out["flicker"] >= at.FLICKERS:
            out["flash_rate"], s.kept = at.KEPT_FLASH_RATE, True
        else:
            if s.kept:
                out["flash_since"] = 0.0 if flickers else min(out["flash_since"], out["flicker_since"])
            s.flashes = s.kept = False
        out["colour"] = float(np.hypot(tiles[2] - 0.5, tiles[3] - 0.5).mean()) if coloured else 0.0
        if not np.isnan(mafd):
            if not np.isnan(s.mafd):
                out["scene_score"] = 100 * min(mafd, abs(mafd - s.mafd))
            s.mafd = mafd
        return out
