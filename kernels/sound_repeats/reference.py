"""What `sound_repeats` has to give, written plainly and over a whole programme at once. Used by tests only."""

import math

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]


def _difference(now: _Array, before: _Array) -> float:
    both = float((now**2).sum() + (before**2).sum())
    return float(((now - before) ** 2).sum()) / both if both > 0 else 1.0


def _between(points: _Array, at: int, period: int) -> tuple[float, float]:
    """Difference of a block from what was between `period` and one point more before it, and their mean power."""
    now, one, other = (points[at - back : at - back + 800] for back in (0, period, period + 1))
    apart = one - other
    power = float((apart**2).sum())
    share = min(max(float(((one - now) * apart).sum()) / power, 0.0), 1.0) if power > 0 else 0.0
    before = one - share * apart
    return _difference(now, before), float((now**2).sum() + (before**2).sum()) / 1600


def _differences(coarse: _Array, at: int, periods: range) -> list[float]:
    now = coarse[at : at + 200]
    return [_difference(now, coarse[at - period : at - period + 200]) for period in periods]


def _search(points: _Array, coarse: _Array, at: int) -> tuple[int, int, float]:
    """The shortest of the best periods, in coarse and in fine points, and the difference there."""
    found = _differences(coarse, at // 4, range(39, 1002))
    inner = range(1, len(found) - 1)
    best = min(found[k] for k in inner)
    lows = [k for k in inner if found[k] <= best + 0.02 and found[k] <= found[k - 1] and found[k] < found[k + 1]]
    if best > 0.4 or not lows:
        return 0, 0, 1.0
    period = lows[0] + 39
    fine, least = 0, 2.0
    for one in range(4 * period - 5, 4 * period + 5):
        off = _between(points, at, one)[0]
        if off < least - 1e-6:
            fine, least = one, off
    if least <= 0.05:
        for parts in range(12, 1, -1):
            off = _between(points, at, fine // parts)[0]
            if fine // parts >= 160 and off <= 0.05:
                return (fine // parts + 2) // 4, fine // parts, off
    return period, fine, least


def follow(signal: npt.NDArray[np.float32], lengths: list[int]) -> _Array:
    """(blocks, 3) of one stream.

    Args:
        signal: (channels, samples) float32 at 48 kHz, all blocks one after the other.
        lengths: real samples of each block, 1..4800; their sum is `samples`.
    """
    clean = np.clip(np.where(np.isnan(signal), 0.0, signal).astype(np.float64), -1e4, 1e4).mean(axis=0)
    points = np.zeros(0)
    coarse_period = period = run = quiet = 0
    contrasts: list[tuple[float, float, float]] = []
    likeness = 0.0
    result = []
    begin = 0
    for length in lengths:
        block = clean[begin : begin + length]
        begin += length
        if length < 4800:
            points, period = np.zeros(0), 0
            result.append([math.nan] * 3)
            continue
        at = len(points)
        points = np.concatenate([points, block.reshape(800, 6).mean(axis=1).astype(np.float32).astype(np.float64)])
        if at < 4800:
            result.append([0.0] * 3)
            continue
        coarse = points.reshape(-1, 4).mean(axis=1).astype(np.float32).astype(np.float64)
        off, power = _between(points, at, period) if period else (1.0, 0.0)
        if period and power < 1e-7:
            quiet += 1
            run += 1
            if quiet > 6:
                period = 0
        else:
            quiet = 0
            if not (period and off <= 0.05):
                contrasts, run, period = [], 0, 0
                if (points[at:] ** 2).mean() >= 1e-7:
                    coarse_period, period, off = _search(points, coarse, at)
                    period = period if off <= 0.05 else 0
            if period:
                run += 1
                likeness = 1 - off
                near = np.array(_differences(coarse, at // 4, range(2, 3 * coarse_period // 4)))
                now = points[at : at + 800]
                fine = [_difference(now, points[at - lag : at - lag + 800]) for lag in range(8, 33)]
                contrasts.append((min(float(near.min()), *fine), float(((1 - near) ** 2).mean()), off))
        contrast, lines, apart = np.mean(contrasts, axis=0) if period else (0.0, 1.0, 1.0)
        is_piece = contrast >= 0.15 and lines <= 0.1
        if len(contrasts) >= 25 and contrast >= 0.1:
            is_piece = is_piece or apart <= (0.01 if lines <= 0.1 else 0.005 if lines <= 0.25 else -1.0)
        result.append([likeness if is_piece else 0.0, 0.0, 4800.0 * run if period else 0.0])
    return np.array(result)
