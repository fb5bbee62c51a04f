"""Seconds with levels, as an engine reports them."""

import math
import struct

from engine.level_columns import level_names
from engine.verdicts import StreamSecond


def packed(**levels):
    """Levels by column: a value, or the lowest and the highest."""
    pairs = {name: value if isinstance(value, tuple) else (value, value) for name, value in levels.items()}
    rows = [[pairs.get(name, (math.nan, math.nan))[side] for name in level_names()] for side in (0, 1)]
    return struct.pack(f"={2 * len(level_names())}f", *rows[0], *rows[1])


def second(stream, number, opened=(), critical=(), **levels):
    """A second that was judged in full."""
    return StreamSecond(stream, number, 25.0, 25, 25, 1.0, 0, tuple(opened), (), tuple(critical), packed(**levels))
