"""Small SVG charts for pages: bars of parts beside each other, and lines over a number."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#1565c0", "#ef6c00", "#2e7d32", "#8e24aa", "#6d4c41", "#546e7a")
_ROW, _LEFT, _BAR = 30, 330, 420
_WIDTH = _LEFT + _BAR + 120


def bars(title: str, rows: Sequence[tuple[str, Mapping[str, float]]], unit: str, digits: int = 3) -> str:
    """Horizontal bars, each of coloured parts, with its sum.

    Args:
        title: written above.
        rows: name and parts; parts of one name have one colour.
        unit: of the numbers.
        digits: significant ones of the sums.
    """
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))
    longest = max((sum(parts.values()) for _, parts in rows), default=0.0) or 1.0
    legend = len(names) > 1
    height = _ROW * (len(rows) + 1 + legend) + 16
    lines = _head(title, height)
    x = _LEFT
    for index, name in enumerate(names if legend else ()):
        lines.append(f'<rect x="{x}" y="{_ROW}" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
        lines.append(f'<text x="{x + 16}" y="{_ROW + 11}">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    for index, (row, parts) in enumerate(rows):
        y = _ROW * (index + 1 + legend) + 4
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(row)}</text>')
        at = float(_LEFT)
        for name, value in parts.items():
            width = _BAR * value / longest
            colour = COLOURS[names.index(name) % len(COLOURS)]
            lines.append(f'<rect x="{at:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{colour}"/>')
            at += width
        lines.append(f'<text x="{at + 6:.1f}" y="{y + 15}">{sum(parts.values()):.{digits}g} {escape(unit)}</text>')
    return "\n".join([*lines, "</svg>"])


def lines_over(title: str, series: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Lines through points, from zero on both axes.

    Args:
        title: written above.
        series: points by name.
        across, up: what the axes are.
    """
    height, top, bottom = 260, 50, 220
    points = [point for some in series.values() for point in some]
    most_x, most_y = (max((point[axis] for point in points), default=1.0) or 1.0 for axis in (0, 1))
    drawn = _head(title, height)
    drawn.append(f'<path d="M{_LEFT} {top} V{bottom} H{_LEFT + _BAR}" fill="none" stroke="#444"/>')
    drawn.append(f'<text x="{_LEFT - 8}" y="{top + 5}" text-anchor="end">{most_y:.3g} {escape(up)}</text>')
    drawn.append(f'<text x="{_LEFT - 8}" y="{bottom}" text-anchor="end">0</text>')
    drawn.append(f'<text x="{_LEFT + _BAR}" y="{bottom + 18}" text-anchor="end">{most_x:.3g} {escape(across)}</text>')
    for index, (name, some) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        placed = [(_LEFT + _BAR * x / most_x, bottom - (bottom - top) * y / most_y) for x, y in some]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in placed]
        drawn.append(f'<text x="{_LEFT + _BAR + 10}" y="{top + 16 * index}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*drawn, "</svg>"])


def _head(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="{escape(title)}">',
        f'<text x="0" y="16" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
