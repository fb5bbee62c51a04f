"""Lines over time as SVG: drawn once, read by every browser and printer, without a library.

A plot is WIDTH by `height` units and stretched to the page's width; what must not be stretched (text) is HTML around
it. Lines carry their bounds (`data-*`), so that the page's few lines of script can say a value under the pointer.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from engine.evidence.series import Points

WIDTH: Final = 1000
# A stretch without values of more than so many usual steps is a hole in the line.
_HOLE_STEPS: Final = 4.0
# A threshold further away than so many heights of the line would flatten it to nothing.
_FURTHEST_THRESHOLD: Final = 40.0
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)

Span = tuple[float, float, str]
"""From, to, severity."""


def bounds(line: Points, threshold: float) -> tuple[float, float]:
    """Lowest and highest value of the plot: the line's, and the threshold's where it is near enough to be shown."""
    low, high = float(line.values.min()), float(line.values.max())
    size = max(high - low, 0.05 * abs(high), 1e-6)
    if math.isfinite(threshold) and abs(threshold - (low + high) / 2) < _FURTHEST_THRESHOLD * size:
        low, high = min(low, threshold), max(high, threshold)
    room = 0.08 * (high - low or abs(high) or 1.0)
    return (max(low - room, -0.3 * room) if low >= 0 else low - room), high + room


def plot(line: Points, threshold: float, spans: Iterable[Span], since: float, until: float, height: int) -> str:
    """A line with its threshold, and what was told shaded.

    Args:
        line: known values.
        threshold: where it is bad from.
        spans: of incidents, media seconds.
        since, until: what the plot shows.
        height: units.
    """
    low, high = bounds(line, threshold)

    def across(at: float) -> float:
        return WIDTH * (at - since) / max(until - since, 1e-9)

    def down(value: float) -> float:
        return height * (high - value) / (high - low)

    parts = [
        f'<rect class="{severity}" x="{across(max(start, since)):.1f}" y="0" '
        f'width="{max(2.0, across(min(end, until)) - across(max(start, since))):.1f}" height="{height}"/>'
        for start, end, severity in spans
        if end >= since and start <= until
    ]
    parts += [f'<path class="grid" d="M{across(at):.1f} 0V{height}"/>' for at in ticks(since, until)]
    if low <= threshold <= high:
        parts.append(f'<path class="threshold" d="M0 {down(threshold):.1f}H{WIDTH}"/>')
    parts.append(f'<path class="line" d="{_path(line, across, down)}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" data-since="{since:.6g}" '
        f'data-until="{until:.9g}" data-low="{low:.6g}" data-high="{high:.6g}">{"".join(parts)}</svg>'
    )


def _path(line: Points, across: Callable[[float], float], down: Callable[[float], float]) -> str:
    steps = np.diff(line.times)
    hole = _HOLE_STEPS * float(np.median(steps)) if len(steps) else math.inf
    drawn, before = [], -math.inf
    for at, value in zip(line.times.tolist(), line.values.tolist(), strict=True):
        drawn.append(f"{'M' if at - before > hole else 'L'}{across(at):.1f} {down(value):.1f}")
        before = at
    # A line of one point is a dot, which a round end of nothing shows.
    return "".join(drawn) + ("h0.1" if len(drawn) == 1 else "")


def ticks(since: float, until: float, most: int = 10) -> list[float]:
    """Round times to be written below a plot."""
    span = until - since
    step = next((step for step in _STEPS if span / step <= most), _STEPS[-1] * math.ceil(span / _STEPS[-1] / most))
    first = math.ceil(since / step - 1e-9)
    return [round(number * step, 3) for number in range(first, int(until / step + 1e-9) + 1)]


def axis(since: float, until: float) -> str:
    """The times below a plot, as HTML."""
    marks = "".join(
        f'<span style="left:{100 * (at - since) / max(until - since, 1e-9):.2f}%">{short_clock(at, until)}</span>'
        for at in ticks(since, until)
    )
    return f'<div class="axis">{marks}</div>'


def lane(spans: Sequence[Span], since: float, until: float) -> str:
    """One detector's incidents as bars, as HTML."""
    span = max(until - since, 1e-9)
    return "".join(
        f'<i class="{severity}" style="left:{100 * (start - since) / span:.2f}%;'
        f'width:{100 * (end - start) / span:.2f}%"></i>'
        for start, end, severity in spans
    )


def short_clock(at: float, until: float) -> str:
    """A time for an axis: seconds, or minutes and hours where there are."""
    if until < 100:
        return f"{at:g} s"
    minutes, seconds = divmod(round(at), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if until >= 3600 else f"{minutes}:{seconds:02d}"
