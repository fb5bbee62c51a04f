"""The figures of `bench detectors` as one SVG picture: recall, time to detect and false alarms of each detector."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from benchmarks.tallies import GOAL_RECALL

ROW, LEFT, BAR, GAP = 22, 210, 260, 60
RIGHT = LEFT + BAR + GAP
WIDTH = RIGHT + BAR + 150
PARTS = {
    "picture": "Picture",
    "damage": "Coded pictures, damaged",
    "sound": "Sound",
    "transport": "Transport and container",
}
# Seconds at the end of the scale of the time to detect.
LONGEST_SECONDS = 15.0
COLOURS = {"good": "#2e7d32", "missed": "#c62828", "time": "#1565c0"}


def rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Titles (with None) and what was planted, in the order in which they are drawn."""
    for part, title in PARTS.items():
        if figures.get(part):
            yield title, None
            yield from figures[part].items()


def chart(figures: Mapping[str, Any], title: str) -> str:
    """An SVG document.

    Args:
        figures: of a result of `bench detectors`.
        title: what is written above.
    """
    drawn = list(rows(figures))
    height = ROW * (len(drawn) + 4)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="15">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{ROW + 22}">found of planted (line: goal {GOAL_RECALL:g})</text>',
        f'<text x="{RIGHT}" y="{ROW + 22}">seconds from its start until it was known</text>',
    ]
    for index, (name, counted) in enumerate(drawn):
        y = ROW * (index + 2) + 10
        if counted is None:
            lines.append(f'<text x="10" y="{y + 15}" font-weight="bold">{escape(name)}</text>')
        else:
            lines += _row(name, counted, y)
    top, bottom = ROW * 2 + 10, height - ROW
    x = LEFT + BAR * GOAL_RECALL
    lines.append(f'<line x1="{x:g}" y1="{top}" x2="{x:g}" y2="{bottom}" stroke="#555555" stroke-dasharray="3 3"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _row(name: str, counted: Mapping[str, Any], y: int) -> Iterator[str]:
    yield f'<text x="20" y="{y + 15}">{escape(name)}</text>'
    planted, found = counted["planted"], counted["found"]
    yield f'<rect x="{LEFT}" y="{y + 3}" width="{BAR}" height="{ROW - 7}" fill="#eeeeee"/>'
    if planted:
        colour = COLOURS["good" if found / planted >= GOAL_RECALL else "missed"]
        yield (f'<rect x="{LEFT}" y="{y + 3}" width="{BAR * found / planted:.1f}" height="{ROW - 7}" fill="{colour}"/>')
    yield f'<text x="{LEFT + BAR + 6}" y="{y + 15}">{found}/{planted}</text>'
    seconds = counted.get("detection_seconds")
    if seconds:
        scale = BAR / LONGEST_SECONDS
        low, middle, high = (min(LONGEST_SECONDS, max(0.0, seconds[q])) * scale for q in ("p20", "p50", "p80"))
        yield (
            f'<line x1="{RIGHT + low:.1f}" y1="{y + 11}" x2="{RIGHT + high:.1f}" y2="{y + 11}" '
            f'stroke="{COLOURS["time"]}" stroke-width="3"/>'
        )
        yield f'<circle cx="{RIGHT + middle:.1f}" cy="{y + 11}" r="4" fill="{COLOURS["time"]}"/>'
        yield f'<text x="{RIGHT + BAR + 6}" y="{y + 15}">{seconds["p50"]:.2f} s</text>'
