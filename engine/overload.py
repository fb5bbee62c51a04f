"""What to do without when an engine cannot keep up: the network first, then pictures, then streams of low priority; and
back again.

Pure decisions, asked once a second by the engine's loop. Lowering is fast and raising slow, and slower each time that
it was too early, so that the engine does not swing. What is shed, and what comes back, is in proportion: to the
share of the packets that had to be skipped, and to the room that the load leaves.

A stream of which nothing comes costs nothing: it is never shed, so that its outage is told, and takes no place of
another one. When it comes back while others of its priority are shed, it waits with them. See
docs/decisions/0070-what-is-shed.md.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

# Pictures judged per second at each level; after the last one streams are shed.
RATES: Final[tuple[float | None, ...]] = (None, 25.0, 5.0, 1.0)
# Of the streams that are left: what one step sheds at least, and at most, however much is skipped.
SHED_SHARE: Final = 0.1
MOST_SHED_SHARE: Final = 0.5
# More than this share skipped is no hiccup; and where half is, no single level of fewer pictures will do.
_SKIPS_SHARE: Final = 0.02
_HALF: Final = 0.5
# Streams come back up to this load, by what those that are judged cost on average.
_BACK_LOAD: Final = 0.9
_LEAST_LOAD: Final = 0.05
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
        network: the artifact network is in use, so that it can be done without.
    """

    def __init__(self, settings: OverloadSettings, network: bool = False) -> None:
        self._settings = settings
        # The network takes a small part of the time: to lower it by less than all would gain next to nothing.
        self._levels = (None, *RATES) if network else RATES
        self._network = network
        self.level = 0
        self.shed: list[str] = []
        """Streams that are not judged, in the order in which they were given up."""
        self._late_since: float | None = None
        self._calm_since: float | None = None
        self._changed_at = -math.inf
        self._raised_at = -math.inf
        self._caution = 1.0
        self._skipped_share = 0.0  # since the last change; the last seconds count most
        self._silent: frozenset[str] = frozenset()

    @property
    def rate(self) -> float | None:
        """Pictures judged per second and stream; None for all."""
        return self._levels[self.level]

    @property
    def network_share(self) -> float:
        """Of the network's usual rate."""
        return 1.0 if self._network and self.level == 0 else 0.0

    def decide(
        self,
        now: float,
        lag: float,
        load: float,
        priorities: Mapping[str, int],
        skipped_share: float = 0.0,
        silent: Collection[str] = (),
    ) -> bool:
        """Look at the last second.

        Args:
            now: monotonic seconds.
            lag: of the stream that is furthest behind, in seconds.
            load: share of its time that the engine is busy.
            priorities: of its streams, by id; higher stays longer.
            skipped_share: of the packets that came of the streams that are judged, what was skipped for want of time.
            silent: streams of which nothing comes.
        Returns: whether something changed.
        """
        settings = self._settings
        before = list(self.shed)
        self._part(priorities, frozenset(silent))
        changed = self.shed != before
        self._skipped_share = (self._skipped_share + skipped_share) / 2
        skips = skipped_share > _SKIPS_SHARE
        # A stream that has just skipped is not behind, and yet too late.
        late = (lag > settings.lag_seconds or skips) and load >= settings.busy
        calm = lag <= settings.lag_seconds / 2 and load <= settings.calm and not skips
        self._late_since = (self._late_since or now) if late else None
        self._calm_since = (self._calm_since or now) if calm else None
        if now - self._changed_at < settings.settle_seconds:
            return changed
        if self._late_since is not None and now - self._late_since >= settings.patience_seconds:
            return self._lower(now, priorities) or changed
        wait = settings.calm_seconds * self._caution
        if self._calm_since is not None and now - self._calm_since >= wait:
            return self._raise(now, load, priorities) or changed
        return changed

    def judged(self, streams: Collection[str]) -> int:
        """How many streams cost something: they are not shed, and something comes of them."""
        return sum(stream not in self._silent and stream not in self.shed for stream in streams)

    def _part(self, priorities: Mapping[str, int], silent: frozenset[str]) -> None:
        """Bring what is shed to what there is now: who has gone, has fallen silent, came back, or counts otherwise."""
        back = [stream for stream in self._silent - silent if stream in priorities]
        self._silent = silent
        self.shed = [stream for stream in self.shed if stream in priorities and stream not in silent]
        if not self.shed:
            return

        def rank(stream: str) -> tuple[int, str]:
            return priorities[stream], stream

        highest = max(priorities[stream] for stream in self.shed)
        self.shed += sorted((stream for stream in back if priorities[stream] <= highest), key=rank)
        kept = sorted((s for s in priorities if s not in self.shed and s not in silent), key=rank)
        shed = sorted(self.shed, key=rank)
        if not kept:
            self.shed.remove(shed[-1])  # an engine always judges something
            return
        # Who counts for more than one that is judged, takes its place.
        for mine, its in zip(kept, reversed(shed), strict=False):
            if priorities[its] <= priorities[mine]:
                return
            self.shed[self.shed.index(its)] = mine

    def _lower(self, now: float, priorities: Mapping[str, int]) -> bool:
        left = sorted((p, s) for s, p in priorities.items() if s not in self.shed and s not in self._silent)
        if self.level < len(self._levels) - 1:
            self.level = self.level + 1 if self._skipped_share < _HALF else len(self._levels) - 1
        elif len(left) > 1:
            # What is skipped is what there is no time for: so many streams are too many.
            share = min(max(SHED_SHARE, self._skipped_share), MOST_SHED_SHARE)
            self.shed += [stream for _, stream in left[: max(1, int(share * len(left)))]]
        else:
            return False
        if now - self._raised_at < _SOON_SECONDS:
            self._caution = min(2.0 * self._caution, _MOST_CALM)
        self._changed(now)
        return True

    def _raise(self, now: float, load: float, priorities: Mapping[str, int]) -> bool:
        if self.shed:
            room = int(self.judged(priorities) * (_BACK_LOAD / max(load, _LEAST_LOAD) - 1.0))
            if room < 1:
                return False
            # Half of the room: what comes back may cost more than what is judged.
            self.shed.sort(key=lambda stream: (priorities[stream], stream))
            del self.shed[-max(1, room // 2) :]
        elif self.level:
            self.level -= 1
        else:
            return False
        if now - self._raised_at > 4 * _SOON_SECONDS:
            self._caution = 1.0
        self._raised_at = now
        self._changed(now)
        return True

    def _changed(self, now: float) -> None:
        """What was seen before says nothing of what there is from now on."""
        self._changed_at = now
        self._late_since = self._calm_since = None
        self._skipped_share = 0.0
