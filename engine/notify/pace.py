"""How many messages a sink may get: a bucket of tokens that fills with time."""

import time
from collections.abc import Callable


class Pace:
    """A token bucket. Nothing waits in here: who asks is told how long to wait.

    Args:
        per_minute: tokens that come in a minute; None for no limit.
        burst: most tokens at once, and how many there are at the start.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: float | None, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = None if per_minute is None else per_minute / 60.0
        self._burst = float(burst)
        self._clock = clock
        self._tokens = self._burst
        self._at = clock()

    def wait_seconds(self) -> float:
        """Until there is a token; 0 where there is one."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        """Use one."""
        self._tokens -= 1.0
