"""When what died is started again, and which stream is to blame.

Pure decisions of the fleet's thread.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

# At once, then ever later, but always within three seconds: whoever watches a channel waits for it.
DELAYS_SECONDS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 2.5)
GOOD_SECONDS: Final = 60.0


@dataclass(slots=True)
class Restarts:
    """The restarts of one process.

    Args:
        count: of all.
        due: monotonic second of the next one; None while it runs.
    """

    count: int = 0
    due: float | None = None
    _in_a_row: int = 0

    def died(self, now: float, lived_seconds: float) -> None:
        """It died, having lived so long."""
        self._in_a_row = 0 if lived_seconds >= GOOD_SECONDS else self._in_a_row
        self.due = now + DELAYS_SECONDS[min(self._in_a_row, len(DELAYS_SECONDS) - 1)]
        self._in_a_row += 1
        self.count += 1

    def started(self) -> None:
        """It was started."""
        self.due = None


@dataclass(slots=True)
class Suspicion:
    """How often a process died while it was working on one stream.

    Args:
        deaths: monotonic seconds, the latest ones.
    """

    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def count(self, now: float, window_seconds: float) -> int:
        """Of late."""
        return sum(1 for at in self.deaths if now - at <= window_seconds)


def suspects(busy: Collection[str], present: Sequence[str]) -> list[str]:
    """The streams that a process may have died of: those that it was working on, or else all that it had."""
    marked = [stream for stream in present if stream in busy]
    return marked or list(present)


def split(streams: Sequence[str]) -> tuple[list[str], list[str]]:
    """Suspects in two halves, so that the next death tells in which one the culprit is."""
    half = (len(streams) + 1) // 2
    return list(streams[:half]), list(streams[half:])
