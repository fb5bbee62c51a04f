"""When a source that broke is opened again: soon at first, then ever more rarely, never all at once."""

import random
import threading
import time
from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
# Most outages are short: a source that is back after some seconds is to be judged again within five.
SOON_SECONDS: Final = 3.0
SOON_ATTEMPTS: Final = 10
# A shorter pause would spin on a server that accepts and hangs up.
SHORTEST_SECONDS: Final = 0.1
# Media for so long means that the connection was good: the next break counts as the first one.
GOOD_SECONDS: Final = 10.0
# At most 20 are promised: threads wake up late, and what was late is made up for by the next ones.
OPENS_PER_SECOND: Final = 19.0


class Backoff:
    """The pauses between the attempts of one source: full jitter up to 1 s, 2 s, 3 s nine times, and doubling to 30 s.

    Args:
        source_of_chance: of the jitter.
    Source: full jitter: M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """

    def __init__(self, source_of_chance: random.Random | None = None) -> None:
        self._chance = source_of_chance or random.Random()
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        longest = min(SOON_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 16))
        if self._failures > SOON_ATTEMPTS:
            longest = min(LONGEST_SECONDS, SOON_SECONDS * 2.0 ** min(self._failures - SOON_ATTEMPTS, 16))
        self._failures += 1
        return max(SHORTEST_SECONDS, self._chance.uniform(0.0, longest))

    def good_for(self, seconds: float) -> None:
        """The last connection gave media for so long."""
        if seconds >= GOOD_SECONDS:
            self._failures = 0


class OpenPace:
    """Keeps the streams of an engine from reopening all at once, after an origin that many of them share came back.

    Thread-safe. Nothing waits in here: who asks is told how long to wait.
    """

    def __init__(self, per_second: float = OPENS_PER_SECOND) -> None:
        self._interval = 1.0 / per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def turn(self) -> float:
        """Seconds to wait until this caller's turn."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._free_at)
            self._free_at = at + self._interval
            return at - now
