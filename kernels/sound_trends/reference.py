"""What `sound_trends` has to give, written plainly over all of a stream's features. Used by tests only."""

import itertools
import math

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]


def _decibels(power: float) -> float:
    return 10 * math.log10(max(power, 1e-12))


def _polarity(pairs: list[tuple[float, float]]) -> list[float]:
    latest = pairs[-20:]
    lower = min(sum(pair[k] for pair in latest) / len(latest) for k in (0, 1))
    opposed = sum(min(pair) < 0 for pair in latest)
    return [lower, 4800 * min(0, opposed + 1 - len(latest)), 4800 * opposed]


def _mono(distances: list[float]) -> list[float]:
    latest = distances[-20:]
    same = [distance <= 1e-5 for distance in reversed(latest)]  # from the newest back
    scores = list(itertools.accumulate(3 if one else -2 for one in same))
    tail = scores.index(max(scores)) + 1 if max(scores) > 0 else 0
    unlike = next((k for k, one in enumerate(same[1:]) if one), len(same) - 1)
    close = sorted(latest)[math.ceil(2 * len(latest) / 5) - 1]
    return [1 - max(close, sum(latest) / len(latest) * 2e-3), -4800.0 * unlike, 4800.0 * tail]


def _imbalance(powers: list[tuple[float, float]]) -> list[float]:
    latest = np.array(powers[-20:])
    left, right = latest.mean(axis=0)
    louder, quieter = (0, 1) if left >= right else (1, 0)
    leaning = int((latest[:, louder] >= 10**0.6 * latest[:, quieter]).sum())
    apart = abs(_decibels(left) - _decibels(right))
    return [apart if leaning >= len(latest) / 2 else 0.0, 4800 * min(0, leaning + 1 - len(latest)), 4800 * leaning]


def _hum(run: list[_Array]) -> float:
    amplitudes = np.zeros((30, 6), complex)
    for place, row in enumerate(run[-30:]):
        amplitudes[place] = row[25:37:2] + 1j * row[26:37:2]
    steady = np.abs(amplitudes.mean(axis=0)) ** 2
    kept = np.where(steady >= 0.6 * (np.abs(amplitudes) ** 2).mean(axis=0), steady, 0.0)
    return _decibels(max(kept[:3].sum(), kept[3:].sum()))


def _gap(
    envelope: _Array, begin: int, told: float, shortest: int, longest: float, level: float, edge: float
) -> tuple[float, int, int]:  # fmt: skip
    """Length in ms, end and last bin before the longest gap that ended in the 100 bins up to 45 before the last.

    Args:
        envelope: of every millisecond since the last hole.
        begin: of the last block, in `envelope`.
        told: end of the last gap that was told.
    """
    best, end, before = 0.0, 0, 0
    loud = np.flatnonzero(envelope >= level)
    for last, first in itertools.pairwise(loud):
        length = first - last - 1
        if not (begin - 45 <= first < begin + 55 and shortest <= length < longest and last >= max(4, told - 1)):
            continue
        if (
            np.minimum(envelope[last - 4 : last + 1], 2 * edge).mean() >= edge
            and np.minimum(envelope[first : first + 5], 2 * edge).mean() >= edge
            and length > best
        ):
            best, end, before = float(length), int(first), int(last)
    return best, end, before


def _coded_gap(envelope: _Array, begin: int, told: float, longest: float) -> tuple[float, int, int]:
    """As `_gap`, of gaps that are not as sharp at their beginning."""
    best, end, latest = 0.0, 0, 0
    for last, first in itertools.pairwise(np.flatnonzero(envelope >= 5e-4)):
        if not (begin - 45 <= first < begin + 55 and first - last - 1 >= 40) or last < 24:
            continue
        before = envelope[last - 23 : last + 1]
        fell = last - 23 + int(np.flatnonzero(before >= 0.25 * before.max())[-1]) + 1
        sharp = before.max() >= 0.02 and np.minimum(envelope[first : first + 5], 0.01).mean() >= 5e-3
        if sharp and fell >= told and best < first - fell and first - last - 1 < longest:
            best, end, latest = float(first - fell), int(first), int(last)
    return best, end, latest


def _is_pause(envelope: _Array, length: float, end: int, last: int) -> tuple[bool, bool]:
    """Whether what lies before a gap is too short for it, and whether sound dies away and begins beside it.

    Args:
        envelope: of every millisecond since the last hole.
        length, end: of the gap.
        last: the bin of its level before it; after a coder sound has fallen earlier.
    """
    start = end - int(length)
    padded = np.concatenate([np.zeros(100), envelope])
    before = padded[start + 90 : start + 100].mean() / max(padded[last + 56 : last + 101].max(), 1e-12)
    after = envelope[end : end + 10].mean() / max(envelope[end : end + 45].max(), 1e-12)
    loud = np.flatnonzero(envelope >= 5e-4)
    sounds = [(int(first), math.inf) for first in loud[:1]]
    sounds += [(int(b), float(b - a - 1)) for a, b in itertools.pairwise(loud) if b - a - 1 >= 9]
    begin, pause = max([one for one in sounds if one[0] < start], default=(-math.inf, 0.0))
    short = start - begin < min(1.5 * length, 1050) and pause >= 0.5 * length
    return short, before * after < 0.13


def _beside_gap(envelope: _Array, begin: int, place: float) -> bool:
    padded = np.concatenate([np.zeros(100), envelope]) if begin == 0 else envelope[begin - 100 :]
    distance = np.arange(200) - (100 + place / 48)
    before = padded[(distance > -10) & (distance < -2)].max(initial=0.0)
    after = padded[(distance > 1) & (distance < 10)].max(initial=0.0)
    louder, quieter = max(before, after), min(before, after)
    return bool(
        (quieter < 0.0005 <= louder) or (quieter < 0.0014 and louder >= 0.028) or (quieter < 0.004 and louder >= 0.08)
    )


def _level_steps(envelope: _Array, begin: int, place: float) -> bool:
    padded = np.concatenate([np.zeros(100), envelope]) if begin == 0 else envelope[begin - 100 :]
    distance = np.arange(200) - (100 + place / 48)
    before = padded[(distance > -10) & (distance < -5)].max(initial=0.0)
    after = padded[(distance > 5) & (distance < 10)].max(initial=0.0)
    return bool(min(before, after) > 0 and max(before, after) >= 2.5 * min(before, after))


def _burst(envelope: _Array, hiss: _Array, begin: int) -> tuple[float, int]:
    """Ten times the ratio of a peak to those around it, where it is that of a click behind a coder, and its bin."""
    best, found = 0.0, begin - 50
    for k in range(begin - 50, begin + 50):
        around = max(envelope[k - 25 : k - 2].max(), envelope[k + 3 : k + 26].max(), 1e-3)
        ratio = float(envelope[k] / around)
        if envelope[k] < 0.2 or ratio < 1.75 or ratio <= best:
            continue
        more, white = (64.0, 0.016) if ratio >= 10 else (160.0, 0.04)
        if ratio < 3:
            more, white = 160 * (3 / ratio) ** 4, 0.25
        b = k // 10 - 1 + int(hiss[k // 10 - 1 : k // 10 + 2].argmax())
        beside = max(hiss[b - 4 : b - 1].mean(), hiss[b + 2 : b + 5].mean(), 1e-9)
        if hiss[b] >= more * beside and hiss[b] >= white / 480 * envelope[k] ** 2:
            best, found = ratio, k
    return 10 * max(best, 3.0) if best else 0.0, found


def _differs(old: _Array, new: _Array, stepped: bool) -> bool:
    """Whether another sound, or the same one otherwise, begins between two blocks."""
    offsets = np.abs(old[8:10] - new[8:10])
    if ((offsets >= 0.015) & (offsets**2 >= 0.25 * np.maximum(old[:2], new[:2]))).any():
        return True
    if max(old[21], new[21]) >= 0.99 and min(old[21], new[21]) < 0.9:
        return True
    powers = sorted([old[:8].sum(), new[:8].sum()])
    if stepped and powers[1] >= 4 * powers[0]:
        return True
    if math.isnan(old[17]) or math.isnan(new[17]) or max(old[:2]) < 1e-6 or max(new[:2]) < 1e-6:
        return False
    before, after = (1 - 2 * row[17] / max(row[17] + row[18], 1e-12) for row in (old, new))
    if before * after < 0 and abs(before - after) >= 1:
        return True
    one, two = (old[0] + 1e-12) * (new[1] + 1e-12), (old[1] + 1e-12) * (new[0] + 1e-12)
    return bool(max(one, two) >= 10**0.8 * min(one, two))


class _Tone:
    """A steady tone, through the breaks that tell its channels."""

    def __init__(self) -> None:
        self.run = self.missing = 0
        self.angle = self.level = self.purity = 0.0

    def follow(self, angle: float, purity: float, level: float, *, steady: bool) -> tuple[float, float]:
        """Value, and blocks at the head that were still it."""
        lasted = self.run >= 5
        own = purity >= 0.9 and abs(angle - self.angle) <= 0.01
        louder = level - self.level
        if steady and purity >= 0.9:
            self.run, self.missing = self.run + 1 if own else 1, 0
            self.angle, self.level, self.purity = angle, level, purity
            return purity, 0.5
        if lasted and own and -7 <= louder <= 1:
            self.missing = 0
            return self.purity, 0.5
        if lasted and louder <= 1 and self.missing < 5:
            self.missing += 1
            return self.purity, 0.5
        head = 0.5 - self.missing if lasted else 0.5
        self.run = self.missing = 0
        return purity if steady else 0.0, head


def _bands(row: _Array) -> tuple[float, float, float]:
    """Levels of the whole, of what is below 450 Hz (mono has no measure of it), and of the steps, dB."""
    sounding = max(1, int((row[:8] > 0).sum()))
    whole = row[:8].sum() / sounding
    low = whole if math.isnan(row[19]) else row[19] + row[20]
    steps = row[147:155].sum() / sounding
    return _decibels(whole), _decibels(max(low, 1e-3 * whole)), _decibels(max(steps, 1e-6 * whole))


def _level_jump(levels: list[tuple[float, float, float]]) -> tuple[float, int]:
    """Change of level, and the first block after it, of the latest 80."""
    if len(levels) < 80:
        return 0.0, 40
    bands = np.array(levels[-80:])
    r = bands[:, 0]
    steps = [(r[k + 1] + r[k + 2] - r[k - 1] - r[k]) / 2 for k in (38, 39, 40)]
    sign = 1.0 if steps[1] > 0 else -1.0
    earlier, step, later = (sign * value for value in steps)
    before, after = np.sort(r[:39]), np.sort(r[41:])

    def active(part: _Array, rank: int) -> float:
        return float(part[part >= np.sort(part)[rank] - 15].mean())

    whole = active(after, 35) - active(before, 35)
    close = active(r[41:61], 17) - active(r[19:39], 17)
    change = min(sign * moved for moved in (whole, close, after[19] - before[19], after[27] - before[27]))
    high = sorted([before[27], after[27]])
    here = step >= 1 and step >= earlier and step > later and 0.4 * change <= step <= change + 20
    near = sign * (np.sort(r[41:49])[6] - np.sort(r[31:39])[6])
    cost = [
        float(np.abs(r[:border] - before[19]).sum() + np.abs(r[border:] - after[19]).sum()) for border in range(25, 56)
    ]
    best = min(cost[14:17]) <= min(cost) + 6.5 * change
    loud, quiet = (after, before) if sign > 0 else (before, after)
    against_loud = np.minimum(np.maximum(loud[19] - r, 0), change / 8)
    against_quiet = np.maximum(r - quiet[35], 0)
    left, right = (against_quiet, against_loud) if sign > 0 else (against_loud, against_quiet)
    against = [float(left[:border].sum() + right[border:].sum()) for border in range(25, 56)]
    first = next(k for k, value in enumerate(against) if value <= min(against) + 1e-6)
    lasts = change >= 6 and high[1] >= -60 and high[0] >= -70 and near >= 0.5 * change
    moved = np.sort(bands[41:], axis=0)[[19, 27]] - np.sort(bands[:39], axis=0)[[19, 27]]
    alike = np.abs(moved[:, 1:] - moved[:, :1]).mean(axis=0).max() <= max(4, 0.4375 * change)
    return (float(change), 25 + first) if here and lasts and best and alike else (0.0, 40)


class _Band:
    """Whether high frequencies are gone that were there."""

    def __init__(self) -> None:
        self.broad = self.was_broad = 0.0
        self.run = self.since = 0

    def narrow(self, row: _Array) -> float:
        power = row[0] if math.isnan(row[18]) else row[18]
        third = 20 * row[37:47].mean()
        if power >= 10**-4.5:
            if row[156] <= third * (2 * math.sin(math.pi * 5000 / 48_000)) ** 2:
                self.was_broad = self.was_broad if self.run else self.broad
                self.run = min(self.run + 1, 100)
            else:
                self.run = max(self.run - 10, 0)
            is_broad = row[156] >= third * (2 * math.sin(math.pi * 8000 / 48_000)) ** 2
            self.broad += 0.01 * (is_broad - self.broad)
        self.since = self.since + 1 if self.run else 0
        return self.since / 10 if self.run >= 50 and self.was_broad >= 0.5 else 0.0


def _minute_error(powers: list[float], target: float) -> float:
    if len(powers) % 10:
        return math.nan
    if len(powers) < 600:
        return 0.0
    latest = np.array(powers[-600:])
    above = latest[latest > 10 ** (-6.9309)]
    if not len(above):
        return math.nan
    kept = above[above > above.mean() / 10]
    return abs(float(-0.691 + 10 * np.log10(kept.mean())) - target)


def _surround_imbalance(row: _Array, weight: _Array, late: _Array) -> float:
    around = [c for c in range(8) if weight[c] > 1]
    if len(around) % 2:
        return math.nan
    pairs = [(a, b) for a, b in zip(around[::2], around[1::2], strict=True)
             if max(row[a], row[b]) >= 1e-6 and min(row[a], row[b]) >= 1e-8]  # fmt: skip
    return max((abs(_decibels(late[a]) - _decibels(late[b])) for a, b in pairs), default=math.nan)


class _Order:
    """Whether LFE and another channel have changed places."""

    def __init__(self) -> None:
        self.run = [0] * 8
        self.since = [0] * 8

    def swapped(self, row: _Array, weight: _Array) -> float:
        low_steps, wide_steps = (2 - 2 * math.cos(2 * math.pi * hertz / 48_000) for hertz in (160, 250))
        effects = [c for c in range(8) if weight[c] <= 0]
        full = [c for c in range(8) if weight[c] > 0]
        heard = any(row[c] >= 1e-6 or self.run[c] for c in effects)
        was_known = any(self.run[c] >= 20 for c in full)
        for c in range(8):
            low, wide = row[147 + c] <= low_steps * row[c], row[147 + c] >= wide_steps * row[c]
            for_it = wide and row[c] >= 1e-6 if c in effects else low and row[c] >= 1e-4
            against = low and row[c] >= 1e-4 if c in effects else wide and row[c] >= 1e-6
            if against:
                self.run[c] = max(self.run[c] - 10, 0)
            elif for_it:
                self.run[c] = min(self.run[c] + 1, 100)
            self.since[c] = self.since[c] + 1 if self.run[c] else 0
        known = any(self.run[c] >= 20 for c in full)
        longest = max((self.since[c] / 10 for c in effects if self.run[c] >= 50), default=0.0)
        if was_known and not known:
            for c in effects:
                self.run[c] = self.since[c] = 0
        return (longest if known else 0.0) if heard else math.nan


def follow(
    rows: _Array, valid: list[int], weights: _Array, momentary: _Array, longest_gap_seconds: float, target: float
) -> _Array:
    """(blocks, COLUMNS) of one stream.

    Args:
        rows: (blocks, FEATURES) of `sound_features`.
        valid: samples of each block.
        weights: (blocks, 8) loudness weights.
        momentary: (blocks,) LUFS.
        longest_gap_seconds: a longer gap is no dropout.
        target: LUFS.
    """
    run: list[_Array] = []  # whole blocks since the last hole
    levels: list[tuple[float, float, float]] = []
    pairs: list[tuple[float, float]] = []
    sides: list[tuple[float, float]] = []
    distances: list[float] = []
    powers: list[float] = []
    quiet = 0
    sounded = np.zeros(8)
    means = np.zeros(8)
    order, tone, told, band = _Order(), _Tone(), -math.inf, _Band()
    click, place, stepped = 0.0, 0.0, False
    pauses = 0.0
    late = np.zeros(8)
    result = []
    for row, length, weight, loudness in zip(rows, valid, weights, momentary, strict=True):
        nan = math.nan
        count = len(run)
        late = late + 0.1 * (row[:8] - late)
        whole = length == 4800
        louder, quieter = max(row[0], row[1]), min(row[0], row[1])
        pair = not math.isnan(row[17]) and louder >= 1e-6
        correlation = 1 - 2 * row[17] / max(row[17] + row[18], 1e-12) if pair else nan
        quiet = 0 if pair else quiet + 1
        neutral = quiet == 20 and not math.isnan(row[17])
        nothing = 0.0 if neutral else nan
        polarity = [nothing] * 9
        if neutral:
            pairs, sides, distances = [], [], []
        if pair and whole:
            low = row[19] + row[20]
            known = low >= 1e-8 and low >= 1e-3 * (row[17] + row[18])
            pairs.append((correlation, 1 - 2 * row[19] / low if known else correlation))
            sides.append((max(row[0] - row[8] ** 2, 0.0), max(row[1] - row[9] ** 2, 0.0)))
            distances.append(1 - correlation)
            polarity = _polarity(pairs) + _mono(distances) + _imbalance(sides)
        elif pair:
            polarity = [nan] * 9
        lost = (1.0 if quieter < 1e-8 else 0.0) if pair else nothing
        further = [c for c in range(2, 8) if weight[c] > 0]
        surround = nan
        if further:
            if row[:8].max() >= 1e-6:
                surround = float(any(row[c] < 1e-8 and sounded[c] >= 100 for c in further))
            for c in further:
                sounded[c] += row[c] >= 1e-6
        steady = [min(abs(a), abs(b)) if a * b > 0 and count else 0.0 for a, b in zip(row[8:16], means, strict=True)]
        means = row[8:16]
        columns = [
            row[16] if pair else nan,
            correlation if pair else nothing,
            *polarity,
            lost,
            surround,
            _surround_imbalance(row, weight, late),
            order.swapped(row, weight) if whole else nan,
            max(steady),
            0.0,
            4800.0,
        ]
        if not whole:
            rest = [nan] * 22
            if count:
                rest[9:12] = [click, place - 4812, place - 4788]
            result.append(columns + rest)
            run, levels, tone, told = [], [], _Tone(), -math.inf
            pairs, sides, distances = [], [], []
            continue
        run.append(row)
        levels.append(_bands(row))
        level = levels[-1][0]
        columns += [_hum(run), -12 * 4800, 18 * 4800]
        enough = len(run) >= 30
        quietest = min(float(r[37:47].min()) for r in run[-30:])
        lower = min(float(r[155]) for r in run[-30:])
        if quietest < lower <= 4 * quietest:
            quietest = lower
        columns += [_decibels(quietest) if enough else -120.0, 0.0, (29 if enough else len(run)) * 4800]
        same = count > 0 and abs(row[22] - run[-2][22]) <= 0.01 and abs(level - levels[-2][0]) <= 1
        value, head = tone.follow(row[22], row[21], level, steady=same and level >= -60)
        columns += [value, head * 4800, (1.5 if count else 1) * 4800]
        envelope = np.concatenate([r[47:147] for r in run])
        begin = 100 * count
        if count == 0:
            click = place = 0.0
        is_edge = count > 1 and click > 0 and _differs(run[-3], row, stepped)
        told_click = [0.0 if is_edge else click, place - 4812, place - 4788]
        if count > 0:
            burst, bin_of_it = _burst(envelope, np.concatenate([r[37:47] for r in run]), begin)
            if burst > told_click[0]:
                told_click = [burst, 48.0 * (bin_of_it - begin), 48.0 * (bin_of_it + 1 - begin)]
        columns += told_click
        click = 0.0 if row[23] > 0 and _beside_gap(envelope, begin, row[24]) else row[23]
        place, stepped = row[24], _level_steps(envelope, begin, row[24])
        longest = 1000 * longest_gap_seconds
        gap, end, last = 0.0, 0, 0
        for level_and_edge in ((9, 5e-4, 1e-2), (9, 1.4e-3, 2.8e-2), (9, 4e-3, 8e-2), (18, 3e-5, 1e-3)):
            shortest, below, edge = level_and_edge
            found = _gap(envelope, begin, told, shortest, longest, below, edge)
            if gap == 0:
                gap, end, last = found
        if gap == 0:
            gap, end, last = _coded_gap(envelope, begin, told, longest)
        until = 48.0 * (end - begin) + 24 if gap else 0.0
        told = end if gap else told
        pauses = 0.98 * pauses if count else 0.0
        is_gap = pauses < 0.3
        if gap:
            short, dies = _is_pause(envelope, gap, end, last)
            if short or dies:
                is_gap = not short and pauses < 0.1 and count >= 40
                pauses += 1
        gap = gap if is_gap else 0.0
        until = until if is_gap else 0.0
        gap = gap + 1 if gap else 0.0
        columns += [gap / 1000, until - 48 * gap, until]
        change, border = _level_jump(levels)
        columns += [change, (border - 79) * 4800, (border - 78) * 4800]
        if not math.isnan(loudness):
            powers.append(10 ** ((loudness + 0.691) / 10))
        columns += [_minute_error(powers, target), 0.0, min(len(powers), 600) * 4800, band.narrow(row)]
        result.append(columns)
    return np.array(result, np.float64)
