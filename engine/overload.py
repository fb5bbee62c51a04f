"""What to do without when an engine cannot keep up: pictures first, then streams of low priority; and back again.

Pure decisions, asked once a second by the engine's loop. Lowering is fast and raising slow, and slower each time that
it was too early, so that the engine does not swing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Pictures judged per second at each level; after the last one streams are shed.
RATES: Final[tuple[float | None, ...]] = (None, 25.0, 5.0, 1.0)
SHED_SHARE: Final = 0.1
_MOST_CALM: Final = 16.0
_SOON_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """When an engine is overloaded.

    Args:
        lag_seconds: verdicts that are further behind than this are too late.
        busy: an engine that is less busy than this share is not overloaded: then it is one stream that is slow.
        calm: an engine that is less busy than this share, and not behind, may judge more again.
        patience_seconds: for how long it has to be too late.
        settle_seconds: how long a change is given to show its effect.
        calm_seconds: for how long it has to be calm.
    """

    lag_seconds: float = 1.0
    busy: float = 0.7
    calm: float = 0.75
    patience_seconds: float = 2.0
    settle_seconds: float = 3.0
    calm_seconds: float = 10.0


class Overload:
    """One engine's level.

    Args:
        settings: when.
    """

    def __init__(self, settings: OverloadSettings) -> None:
        self._settings = settings
        self.level = 0
        self.shed: list[str] = []
        """Streams that are not judged, in the order in which they were given up."""
        self._late_since: float | None = None
        self._calm_since: float | None = None
        self._changed_at = -math.inf
        self._raised_at = -math.inf
        self._caution = 1.0

    @property
    def rate(self) -> float | None:
        """Pictures judged per second and stream; None for all."""
        return RATES[self.level]

    def decide(self, now: float, lag: float, load: float, priorities: Mapping[str, int]) -> bool:
        """Look at the last second.

        Args:
            now: monotonic seconds.
            lag: of the stream that is furthest behind, in seconds.
            load: share of its time that the engine is busy.
            priorities: of its streams, by id; higher stays longer.
        Returns: whether something changed.
        """
        settings = self._settings
        gone = [stream for stream in self.shed if stream not in priorities]
        self.shed = [stream for stream in self.shed if stream in priorities]
        late = lag > settings.lag_seconds and load >= settings.busy
        calm = lag <= settings.lag_seconds / 2 and load <= settings.calm
        self._late_since = (self._late_since or now) if late else None
        self._calm_since = (self._calm_since or now) if calm else None
        if now - self._changed_at < settings.settle_seconds:
            return bool(gone)
        if self._late_since is not None and now - self._late_since >= settings.patience_seconds:
            return self._lower(now, priorities) or bool(gone)
        wait = settings.calm_seconds * self._caution
        if self._calm_since is not None and now - self._calm_since >= wait and (self.level or self.shed):
            self._raise(now)
            return True
        return bool(gone)

    def _lower(self, now: float, priorities: Mapping[str, int]) -> bool:
        left = sorted((p, s) for s, p in priorities.items() if s not in self.shed)
        if self.level < len(RATES) - 1:
            self.level += 1
        elif len(left) > 1:
            self.shed += [stream for _, stream in left[: max(1, int(SHED_SHARE * len(left)))]]
        else:
            return False
        if now - self._raised_at < _SOON_SECONDS:
            self._caution = min(2.0 * self._caution, _MOST_CALM)
        self._changed_at, self._late_since = now, None
        return True

    def _raise(self, now: float) -> None:
        if self.shed:
            self.shed.pop()
        else:
            self.level -= 1
        if now - self._raised_at > 4 * _SOON_SECONDS:
            self._caution = 1.0
        self._changed_at = self._raised_at = now
        self._calm_since = None
