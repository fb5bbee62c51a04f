"""What `sound_features` has to give, written plainly and over a whole programme at once. Used by tests only."""

import math

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]


def _single_sine(x: _Array, lag: int) -> tuple[float, float]:
    middle, around = x[lag:-lag], x[2 * lag :] + x[: -2 * lag]
    ends = float((x[2 * lag :] ** 2 + x[: -2 * lag] ** 2).sum())
    power = float((middle**2).sum())
    if power * ends <= 0:
        return 0.0, 0.0
    multiple = float((middle * around).sum()) / power
    return 1 - float(((around - multiple * middle) ** 2).sum()) / ends, multiple / 2


def _stands_alone(difference: _Array, second: _Array, place: int) -> float:
    """Ratio of a bin's largest third difference, and of twice the second one there, to what is 6 to 30 samples away.

    Of the side with more there, another edge that is as steep is left out.
    """
    at = place + int(np.abs(difference[place : place + 24]).argmax())

    sides = [np.arange(at - 30, at - 5), np.arange(at + 6, at + 31)]
    louder = int((difference[sides[1]] ** 2).sum() > (difference[sides[0]] ** 2).sum())
    # The other edge of a pulse, from its middle outwards the first that is largest.
    outwards = sides[1] if louder else sides[0][::-1]
    edge = int(outwards[np.abs(difference[outwards]).argmax()])
    if difference[edge] ** 2 >= 0.4 * difference[at] ** 2:
        sides[louder] = sides[louder][np.abs(sides[louder] - edge) > 3]

    def ratio(values: _Array, peak: float) -> float:
        return peak / math.sqrt(max(float((values[side] ** 2).mean()) for side in sides) + 1e-8)

    third = ratio(difference, float(np.abs(difference[at])))
    return min(third, 2 * ratio(second, float(np.abs(second[at - 3 : at + 4]).max())))


def _click(x: _Array, begin: int, end: int, start: int) -> tuple[float, float]:
    """Of the bins of 24 samples from `begin - 192` on that have their surroundings between `start` and `end`."""
    best, at = 0.0, 0.0
    difference = np.zeros(end)
    difference[3:] = x[3:end] - 3 * x[2 : end - 1] + 3 * x[1 : end - 2] - x[: end - 3]
    second = np.zeros(end)
    second[2:] = x[2:end] - 2 * x[1 : end - 1] + x[: end - 2]
    first_known = start + 24 if start == begin else start
    for place in range(begin - 8 * 24, end - 8 * 24, 24):
        if place - 8 * 24 < first_known:
            continue
        peak = float(np.abs(difference[place : place + 24]).max())
        sides = [difference[place - 192 : place - 24] ** 2, difference[place + 48 : place + 216] ** 2]
        # Of the louder side, the two neighbouring bins of seven that hold most are left out: the click's other edge.
        bins = [side.reshape(7, 24).sum(axis=1) for side in sides]
        louder = int(bins[1].sum() > bins[0].sum())
        most = int((bins[louder][1:] + bins[louder][:-1]).argmax())
        before, after = (
            float(np.delete(each, (most, most + 1)).sum() / 120 if n == louder else each.sum() / 168)
            for n, each in enumerate(bins)
        )
        if max(before, after) > 64 * min(before, after) + 1e-8:
            continue
        ratio = peak / math.sqrt(max(before, after) + 1e-8)
        if ratio > 16:
            ratio = min(ratio, max(16.0, _stands_alone(difference, second, place)))
        if ratio > best:
            best, at = ratio, float(place - begin + 12)
    return best, at


def measure_programme(signal: npt.NDArray[np.float32], lengths: list[int]) -> _Array:
    """(blocks, FEATURES) of a programme that arrives in blocks.

    Args:
        signal: (channels, samples) float32 at 48 kHz, all blocks one after the other.
        lengths: real samples of each block, 1..4800; their sum is `samples`.
    """
    clean = np.clip(np.where(np.isnan(signal), 0.0, signal).astype(np.float64), -1e4, 1e4)
    mean = clean.mean(axis=0)
    rows = []
    begin = start = 0
    for length in lengths:
        end = begin + length
        block = clean[:, begin:end]
        row = np.full(157, math.nan)
        row[:16] = 0.0
        row[: len(block)] = (block**2).mean(axis=1)
        row[8 : 8 + len(block)] = block.mean(axis=1)
        row[147:155] = 0.0
        row[147 : 147 + len(block)] = (np.diff(block, axis=1) ** 2).sum(axis=1) / length
        if len(block) > 1:
            x, y = block[0], block[1]
            power = x**2 + y**2
            row[16] = np.where(power > 0, 2 * x * y / np.where(power > 0, power, 1.0), 1.0).mean()
            row[17] = (((x - y) / 2) ** 2).mean()
            row[18] = (((x + y) / 2) ** 2).mean()
            if length == 4800:
                low_x, low_y = (channel.reshape(100, 48).mean(axis=1) for channel in (x, y))
                row[19], row[20] = ((low_x - low_y) / 2).var(), ((low_x + low_y) / 2).var()
        whole = length // 48
        row[47 : 47 + whole] = np.abs(block[:, : whole * 48]).reshape(len(block), whole, 48).max(axis=(0, 2))
        if length == 4800:
            x = mean[begin:end]
            short, long = _single_sine(x, 12), _single_sine(x, 101)
            row[21], row[22] = min(short[0], long[0]), short[1]
            row[23:25] = _click(mean, begin, end, start)
            # What lies before the start of the stream, or before a hole, is silence of which nothing is known.
            padded = np.concatenate([np.zeros(3), x]) if start == begin else mean[begin - 3 : end]
            difference = padded[3:] - 3 * padded[2:-1] + 3 * padded[1:-2] - padded[:-3]
            row[37:47] = (difference**2).reshape(10, 480).mean(axis=1) / 20
            padded = np.concatenate([np.zeros(6), x]) if start == begin else mean[begin - 6 : end]
            pairs = padded.reshape(-1, 2).mean(axis=1)
            difference = pairs[3:] - 3 * pairs[2:-1] + 3 * pairs[1:-2] - pairs[:-3]
            row[156] = (np.diff(x, 4) ** 2).sum() / 4800
            row[155] = (difference**2).reshape(10, 240).mean(axis=1).min() / 10
            steps = x.reshape(400, 12).sum(axis=1)
            time = (np.arange(400) * 12 + 5.5) / 48_000
            for k, frequency in enumerate((50, 100, 150, 60, 120, 180)):
                angle = 2 * np.pi * frequency * time
                row[25 + 2 * k] = 2 / 4800 * (steps * np.cos(angle)).sum()
                row[26 + 2 * k] = 2 / 4800 * (steps * np.sin(angle)).sum()
        else:
            start = end
        begin = end
        rows.append(row)
    return np.array(rows)
