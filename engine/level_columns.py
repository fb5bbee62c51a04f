"""Which measures are kept of every second, and how their values are packed. Nothing here loads torch or numpy.

Both processes that have to agree, the engine and the supervisor, read the same declarations of the same release.
"""

import struct
from functools import cache
from typing import Final

from engine.detectors import all_detectors

TRACKS: Final = ("video", "audio", "stream")
# What no detector judges and people want to see.
SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "video": ("luma_mean", "network_corruption"),
    "audio": ("momentary", "network_sound"),
    "stream": (),
}


@cache
def level_columns() -> dict[str, tuple[str, ...]]:
    """The columns of each track whose lowest and highest value is kept of every second, each column once."""
    declared = all_detectors()
    return {
        track: tuple(dict.fromkeys([*(d.column for d in declared if d.track == track), *SHOWN[track]]))
        for track in TRACKS
    }


@cache
def level_names() -> tuple[str, ...]:
    """All of them, in the order in which they are packed: those of the tracks one after the other."""
    return tuple(column for track in TRACKS for column in level_columns()[track])


def unpack_levels(packed: bytes) -> dict[str, tuple[float, float]]:
    """Lowest and highest value by column; columns that had none are left out.

    Args:
        packed: as `engine.levels.Levels.take` made it: all lowest values, then all highest ones, float32 in the
            machine's order; empty where nothing was measured.
    """
    names = level_names()
    if len(packed) != 8 * len(names):
        return {}
    values = struct.unpack(f"={2 * len(names)}f", packed)
    lows, highs = values[: len(names)], values[len(names) :]
    # A value that is none is not equal to itself.
    return {name: (low, high) for name, low, high in zip(names, lows, highs, strict=True) if low == low}
