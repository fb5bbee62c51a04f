"""How notifying goes, as plain numbers; exporters read a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LATENCY_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, float("inf"))


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """Totals of one sink since the service began, and how it is.

    Args:
        outcomes: notices by outcome: "delivered"; "failed" attempts, which are made again; "dead" letters.
        latency_buckets: delivered openings by upper bound in seconds from the change to its delivery, cumulative.
        latency_sum: of all of them, in seconds.
        failing_since: Unix seconds of the first of the failures that no delivery has followed; None while it works.
        error: why the last attempt failed; "" while it works.
        pending: notices that are still to be sent, those that wait for their time included; a few seconds old.
        oldest_seconds: how long the oldest of them has been waiting.
    """

    outcomes: Mapping[str, int]
    latency_buckets: Mapping[float, int]
    latency_sum: float
    failing_since: float | None
    error: str
    pending: int
    oldest_seconds: float


@dataclass(slots=True)
class Tally:
    """Counts of one sink; written by its thread only, but for what waits, which is the keeper's."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    latency_sum: float = 0.0
    failing_since: float | None = None
    error: str = ""
    pending: int = 0
    oldest_seconds: float = 0.0
    _latency: list[int] = field(default_factory=lambda: [0] * len(LATENCY_BOUNDS))

    def note_latency(self, seconds: float) -> None:
        """An opening was delivered so long after it was recorded."""
        self.latency_sum += seconds
        for index, bound in enumerate(LATENCY_BOUNDS):
            if seconds <= bound:
                self._latency[index] += 1

    def snapshot(self) -> SinkCounts:
        """A copy that no longer changes."""
        outcomes = {"delivered": self.delivered, "failed": self.failed, "dead": self.dead}
        buckets = dict(zip(LATENCY_BOUNDS, self._latency, strict=True))
        return SinkCounts(
            outcomes, buckets, self.latency_sum, self.failing_since, self.error, self.pending, self.oldest_seconds
        )
