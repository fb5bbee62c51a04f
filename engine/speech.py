"""How much of a stream's sound is speech: what the audio network said of two seconds of it now and then, by media time.

Filled where the network listens (engine/measure/listening.py), read by what judges lip sync; engine's loop only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Final

# Of music and noises the network says 0.1 to 0.3, of speech 0.7 and more.
SPEAKS: Final = 0.5


class Speech:
    """What was heard of one stream. From a GPU what was said may still be on its way; who reads it waits for it."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._said: list[float | Callable[[], float]] = []

    def add(self, at: float, probability: float | Callable[[], float]) -> None:
        """Two seconds were listened to.

        Args:
            at: media second of their middle, later than those before.
            probability: that it is speech, 0 to 1; or what waits for it, which is called once, when it is needed.
        """
        self._times.append(at)
        self._said.append(probability)

    def share(self, begin: float, end: float) -> float | None:
        """The share of what was listened to in a span that is rather speech than not.

        Where nothing was listened to in it, as under load, what was said last before it counts; None before the first
        time.

        Args:
            begin, end: media seconds, both included.
        """
        first, last = bisect_left(self._times, begin), bisect_right(self._times, end)
        if not last:
            return None
        said = [self._probability(index) >= SPEAKS for index in range(min(first, last - 1), last)]
        return sum(said) / len(said)

    def _probability(self, index: int) -> float:
        said = self._said[index]
        if not isinstance(said, float):
            said = self._said[index] = said()  # lets go of the memory that it crossed to
        return said

    def forget(self, before: float) -> None:
        """Nobody asks for spans that begin earlier any more; the last one before is kept."""
        over = bisect_right(self._times, before) - 1
        if over > 0:
            del self._times[:over], self._said[:over]
