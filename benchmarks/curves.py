"""Precision over recall and calibration of each label of a network, side by side, as one SVG picture."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

_SIDE: Final = 150
_GAP: Final = 46
_COLUMNS: Final = 2
_CELL: Final = 2 * _SIDE + 2 * _GAP + 20
_ROW: Final = _SIDE + 70
_CURVE, _CALIBRATION = "#1565c0", "#ef6c00"


def draw_curves(labels: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the picture.

    Args:
        labels: by label what models.evaluate.figures_of tells; those without an average precision are left out.
        path: ends in ".svg".
    """
    shown = [(name, told) for name, told in labels.items() if told.get("average_precision") is not None]
    rows = -(-len(shown) // _COLUMNS)
    width, height = _COLUMNS * _CELL + 20, rows * _ROW + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, (name, told) in enumerate(shown):
        left, top = 40 + index % _COLUMNS * _CELL, 40 + index // _COLUMNS * _ROW
        area = told["average_precision"]
        lines.append(f'<text x="{left}" y="{top - 10}" font-size="13">{escape(name)}: {area:.3f}, '
                     f'{told["positive"]} of {told["known"]}</text>')  # fmt: skip
        curve = [(float(recall), value) for recall, value in told["precision_at_recall"].items()]
        lines += _plot(left, top, "recall", "precision", curve, _CURVE)
        right = left + _SIDE + _GAP
        lines += _plot(right, top, "said", "was so", [(b["said"], b["was"]) for b in told["calibration"]], _CALIBRATION)
        lines.append(f'<line x1="{right}" y1="{top + _SIDE}" x2="{right + _SIDE}" y2="{top}" stroke="#999999" '
                     'stroke-dasharray="3 3"/>')  # fmt: skip
    path.write_text("\n".join([*lines, "</svg>"]) + "\n", encoding="utf-8")


def _plot(left: int, top: int, across: str, up: str, points: list[tuple[float, float]], colour: str) -> list[str]:
    places = [(left + _SIDE * x, top + _SIDE * (1 - y)) for x, y in points]
    return [
        f'<rect x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#cccccc"/>',
        f'<text x="{left + _SIDE / 2}" y="{top + _SIDE + 26}" text-anchor="middle">{across}</text>',
        f'<text x="{left - 22}" y="{top + _SIDE / 2}" text-anchor="middle" '
        f'transform="rotate(-90 {left - 22} {top + _SIDE / 2})">{up}</text>',
        *(f'<text x="{left + _SIDE * at}" y="{top + _SIDE + 13}" text-anchor="middle">{at:g}</text>' for at in (0, 1)),
        *(f'<text x="{left - 4}" y="{top + _SIDE * (1 - at) + 4}" text-anchor="end">{at:g}</text>' for at in (0, 1)),
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" fill="none" stroke="{colour}" '
        'stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in places),
    ]
