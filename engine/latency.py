"""How long things take, counted by how long: what a histogram of Prometheus shows.

Each is written by one thread; whoever reads it meanwhile may see the newest one in part.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, math.inf)
"""Upper bounds in seconds."""


class Latency:
    """Durations since it was made."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        """By bound, those that are longer than the bound before it."""
        self.sum = 0.0
        """Of all of them, in seconds."""

    def add(self, seconds: float, many: int = 1) -> None:
        """So many that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += many
        self.sum += seconds * many

    def merge(self, other: "Latency") -> None:
        """Those of another one, too."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


def merged(parts: Iterable[Latency]) -> Latency:
    """All together."""
    total = Latency()
    for part in parts:
        total.merge(part)
    return total
