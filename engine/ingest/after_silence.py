"""Where packets lie that come after a silence which was told as an outage already.

Pure decisions of the thread that reads a source. A sender that paused goes on with timestamps that do not show the
silence: what it sends is moved to where the timeline stands by the wall clock. But a connection that ends after a
silence also hands out what its demuxer still held: that came before the silence, and is let go, as a move of it would
be a gap in the timestamps that nobody sent.
"""

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

# Timestamps that are off by less than this after a silence are the sender's own clock, which ran on.
CLOCK_RAN_ON_SECONDS: Final = 1.0
# What a demuxer still holds comes at once with the end; a sender that is back goes on sending.
_HELD_SECONDS: Final = 0.2

T = TypeVar("T")


class AfterSilence(Generic[T]):
    """Holds the first packets after a silence until more have come.

    Args:
        expected: media second at which the timeline has to go on where a silence was told, None where there was none.
        time_of: media second of a packet, as its timestamps say it; None where it has none.
    """

    def __init__(self, expected: Callable[[], float | None] | None, time_of: Callable[[T], float | None]) -> None:
        self._expected = expected
        self._time_of = time_of
        self._held: list[T] = []
        self._since = 0.0
        self._at = 0.0

    def take(self, packet: T) -> tuple[list[T], float]:
        """The packets that may go on, in order, and the seconds by which these and all later ones have to be moved."""
        if not self._held:
            at = self._expected() if self._expected is not None else None
            if at is None:
                return [packet], 0.0
            self._since, self._at = time.monotonic(), at
        self._held.append(packet)
        if time.monotonic() - self._since < _HELD_SECONDS:
            return [], 0.0
        held, self._held = self._held, []
        times = [came for one in held if (came := self._time_of(one)) is not None]
        late = self._at - min(times, default=self._at)
        return held, late if late > CLOCK_RAN_ON_SECONDS else 0.0
