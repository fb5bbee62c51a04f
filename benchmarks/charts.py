"""Small SVG charts for pages: bars of parts beside each other, and lines over a number."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#1565c0", "#ef6c00", "#2e7d32", "#8e24aa", "#6d4c41", "#546e7a")
_ROW, _LEFT, _BAR = 30, 350, 420
_WIDTH = _LEFT + _BAR + 170


def bars(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, float]]],
    unit: str,
    digits: int = 3,
    *,
    goal: float | None = None,
    colours: Mapping[str, str] | None = None,
) -> str:
    """Horizontal bars, each of coloured parts, with its sum.

    Args:
        title: written above.
        rows: name and parts; parts of one name have one colour.
        unit: of the numbers.
        digits: significant ones of the sums.
        goal: a line is drawn at it.
        colours: of parts by name; others take the next of COLOURS.
    """
    of = dict(colours or {})
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))
    for index, name in enumerate(names):
        of.setdefault(name, COLOURS[index % len(COLOURS)])
    longest = max([sum(parts.values()) for _, parts in rows] + ([goal] if goal is not None else []), default=0.0) or 1.0
    legend = len(names) > 1
    height = _ROW * (len(rows) + 1 + legend) + 16
    lines = _head(title, height)
    x = _LEFT
    for name in names if legend else ():
        lines.append(f'<rect x="{x}" y="{_ROW}" width="12" height="12" fill="{of[name]}"/>')
        lines.append(f'<text x="{x + 16}" y="{_ROW + 11}">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    for index, (row, parts) in enumerate(rows):
        y = _ROW * (index + 1 + legend) + 4
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(row)}</text>')
        at = float(_LEFT)
        for name, value in parts.items():
            width = _BAR * value / longest
            lines.append(f'<rect x="{at:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{of[name]}"/>')
            at += width
        lines.append(f'<text x="{at + 6:.1f}" y="{y + 15}">{sum(parts.values()):.{digits}g} {escape(unit)}</text>')
    if goal is not None:
        x_goal = _LEFT + _BAR * goal / longest
        lines.append(
            f'<path d="M{x_goal:.1f} {_ROW - 4} V{height - 12}" stroke="#b71c1c" stroke-dasharray="4 3"/>'
            f'<text x="{x_goal:.1f}" y="{_ROW - 8}" text-anchor="middle" fill="#b71c1c">goal {goal:g}</text>'
        )
    return "\n".join([*lines, "</svg>"])


def lines_over(title: str, series: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Lines through points, from zero on both axes.

    Args:
        title: written above.
        series: points by name.
        across, up: what the axes are.
    """
    height, top, bottom = 270, 40, 220
    points = [point for some in series.values() for point in some]
    step_x, step_y = (_step(max((point[axis] for point in points), default=1.0) or 1.0) for axis in (0, 1))
    most_x, most_y = (
        step * math.ceil(round(max((point[axis] for point in points), default=0.0) / step, 9) or 1)
        for axis, step in ((0, step_x), (1, step_y))
    )
    drawn = _head(title, height)
    for index in range(round(most_y / step_y) + 1):
        y = bottom - (bottom - top) * index * step_y / most_y
        drawn.append(f'<path d="M{_LEFT} {y:.1f} H{_LEFT + _BAR}" stroke="{"#444" if not index else "#ddd"}"/>')
        unit = f" {escape(up)}" if index == round(most_y / step_y) else ""
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{index * step_y:g}{unit}</text>')
    for index in range(round(most_x / step_x) + 1):
        x = _LEFT + _BAR * index * step_x / most_x
        drawn.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{index * step_x:g}</text>')
    drawn.append(f'<text x="{_LEFT + _BAR / 2}" y="{bottom + 38}" text-anchor="middle">{escape(across)}</text>')
    taken: list[float] = []
    for index, (name, some) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        placed = [(_LEFT + _BAR * x / most_x, bottom - (bottom - top) * y / most_y) for x, y in some]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        if placed:
            at = placed[-1][1] + 4
            aside = 3 if at < (top + bottom) / 2 else -3  # below the chart are the numbers of its axis
            while any(abs(at - other) < 15 for other in taken):
                at += aside
            taken.append(at)
            drawn.append(f'<text x="{placed[-1][0] + 8:.1f}" y="{at:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>"])


def _step(most: float) -> float:
    """1, 2 or 5 times a power of ten, of which three to six make up the axis."""
    power = 10.0 ** math.floor(math.log10(most / 3))
    return next(times * power for times in (1, 2, 5, 10) if most / (times * power) <= 6)


def _head(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="{escape(title)}">',
        f'<text x="0" y="16" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
