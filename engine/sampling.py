"""Which pictures of a stream are judged, when the machine cannot judge all of them.

Set by the engine's loop, asked by the stream's reader; what was left out is told in the stream's coverage.
"""

from collections import deque
from typing import Final

# A rate that is asked for is met on average, whatever the stream's own rate is.
_EARLY: Final = 1e-6
_MOST_UNTOLD: Final = 4096


class Sampling:
    """One stream's."""

    def __init__(self) -> None:
        self.rate: float | None = None
        """Pictures per media second that are judged; None for all."""
        self.shed = False
        """Nothing of it is decoded or judged."""
        self.left_out = 0
        """Pictures that were decoded and not judged, so far."""
        self._due = 0.0
        self._untold: deque[float] = deque(maxlen=_MOST_UNTOLD)

    def takes(self, pts: float) -> bool:
        """Whether the picture of this media second is judged."""
        rate = self.rate
        if rate is None:
            return True
        step = 1.0 / rate
        if pts < self._due - step:
            self._due = pts  # the rate was lower before, or the timeline begins anew
        if pts < self._due - _EARLY:
            self.left_out += 1
            self._untold.append(pts)
            return False
        # From where it would have been due, as long as that is not long ago.
        self._due = max(self._due, pts - step) + step
        return True

    def told(self) -> list[float]:
        """The times of pictures that were left out since the last call."""
        times = []
        while self._untold:
            times.append(self._untold.popleft())
        return times
