"""What to do without when an engine cannot keep up: the network first, then pictures, then streams of low priority; and
back again.

Pure decisions, asked once a second by the engine's loop. Judging pictures less often is the first aid, given within
seconds. How much it helps is measured: while there is too much to do, the share of its packets that an engine gets done
says how many streams it can judge, at all pictures and at few. Where few pictures are enough for every stream, that is
all. Where they are not, streams are shed, and those that are left are judged as it is worth most: in full where
decoding is most of the work, so that fewer pictures would keep hardly a stream more; with fewer pictures where these
keep many.

What comes back is in proportion to the room that the load leaves. What proved too much is not tried again for a while,
and for a longer one each time, so that the engine does not swing. That it was too much holds for as long as other
programs take what they took then: once they have let go of it, what an engine found beside them is forgotten.

A stream of which nothing comes costs nothing: it is never shed, so that its outage is told, and takes no place of
another one. When it comes back while others of its priority are shed, it waits with them. See
docs/decisions/0070-what-is-shed.md, 0121-shedding-by-what-is-done.md and 0130-what-others-took.md.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

# Pictures judged per second at each level; after the last one streams are shed.
RATES: Final[tuple[float | None, ...]] = (None, 25.0, 5.0, 1.0)
# What a stream is worth that is judged so, against one that is judged in full: at a lower rate what lasts is still
# found, later; what needs every picture is not.
WORTH: Final[Mapping[float | None, float]] = {None: 1.0, 25.0: 0.9, 5.0: 0.6, 1.0: 0.4}
_USUAL_RATE: Final = 25.0  # of pictures, where no stream has said its own
# Of the streams that were found to fit, so many are kept, as what has piled up has to be worked off too.
_KEPT_SHARE: Final = 0.92
# Of the streams that are left, what one step sheds at most, however little was found to fit.
MOST_SHED_SHARE: Final = 0.8
# More than this share skipped is no hiccup.
_SKIPS_SHARE: Final = 0.02
# Less than this share done, and no single level of fewer pictures will do.
_FAR_SHARE: Final = 0.75
# More than this of what comes is done: what has piled up is being worked off.
_CATCHES_UP: Final = 1.02
_PACE_SECONDS: Final = 4
_LATEST_SECONDS: Final = 2
# Streams come back up to this load, by what those that are judged cost on average.
_BACK_LOAD: Final = 0.9
_LEAST_LOAD: Final = 0.05
_LEAST_FITS: Final = 0.1
_MOST_CAUTION: Final = 16.0
_SOON_SECONDS: Final = 60.0
_AWAY_SECONDS: Final = 4.0
_FORGET_SECONDS: Final = 900.0
# Of the machine, what other programs have to take less than when there was too much to do, and for how long, until that
# says nothing any more; for longer where they came back too soon.
FREED_SHARE: Final = 0.15
_FREED_SECONDS: Final = 10
_MOST_DOUBT: Final = 16


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
    calm: float = 0.8
    patience_seconds: float = 2.0
    settle_seconds: float = 3.0
    calm_seconds: float = 5.0


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
        self._lowered_at = -math.inf
        self._raised_at = -math.inf
        self._raised_from = 0
        self._caution = 1.0
        self._paces: deque[float] = deque(maxlen=_PACE_SECONDS)  # since the last change
        self._fits: dict[int, float] = {}  # by level, how many streams were found to fit
        self._sure: set[int] = set()  # levels of which that was found while nearly all was done
        self._most = math.inf  # streams that may be judged, until
        self._most_until = -math.inf
        self._others: deque[float] = deque(
            maxlen=_FREED_SECONDS * _MOST_DOUBT
        )  # what they took since the last lowering
        self._others_then = 0.0  # when it was lowered
        self._forgot = False  # what was found, for others had let go, since then
        self._doubt = 1  # so many times longer they have to have let go
        self._fastest: float | None = None
        self._looked_at = math.inf
        self._silent: frozenset[str] = frozenset()

    @property
    def rate(self) -> float | None:
        """Pictures judged per second and stream; None for all."""
        return self._levels[self.level]

    @property
    def network_share(self) -> float:
        """Of the network's usual rate."""
        return 1.0 if self._network and self.level == 0 else 0.0

    def told(self) -> str:
        """What is done without, in words."""
        parts = []
        if self._network and self.level:
            parts.append("the networks look at nothing")
        if self.rate is not None:
            parts.append(f"{self.rate:g} pictures a second are judged")
        if self.shed:
            parts.append(f"{len(self.shed)} streams are shed")
        return "overloaded: " + ", ".join(parts) if parts else "everything is judged"

    def decide(
        self,
        now: float,
        lag: float,
        load: float,
        priorities: Mapping[str, int],
        skipped_share: float = 0.0,
        silent: Collection[str] = (),
        pace: float | None = None,
        fastest: float | None = None,
        used: float | None = None,
        others: float = 0.0,
    ) -> bool:
        """Look at the last second.

        Args:
            now: monotonic seconds.
            lag: of the stream that is furthest behind, in seconds.
            load: share of its time that the engine is busy.
            priorities: of its streams, by id; higher stays longer.
            skipped_share: of the packets that came of the streams that are judged, what was skipped for want of time.
            silent: streams of which nothing comes.
            pace: packets of the streams that are judged that were taken to be decoded, over those that came; above 1
                while what had piled up is worked off. None: all that was not skipped.
            fastest: the highest picture rate of its streams, as far as that is known.
            used: share of what it could use that it does use, by which more is taken on; None: the load. A loop that
                waits for other threads is busy, and yet leaves room.
            others: share of the machine that other programs took.
        Returns: whether something changed.
        """
        settings = self._settings
        before = list(self.shed)
        self._part(priorities, frozenset(silent))
        changed = self.shed != before
        self._fastest = fastest
        away, self._looked_at = now - self._looked_at, now
        if away > _AWAY_SECONDS:  # that says nothing of what it can do
            self._others.clear()
            self._changed(now)
            return changed
        self._others.append(others)
        self._forget_what_others_took()
        used = load if used is None else used
        self._paces.append(1.0 - skipped_share if pace is None else pace)
        skips = skipped_share > _SKIPS_SHARE
        # A stream that has just skipped is not behind, and yet too late.
        late = (lag > settings.lag_seconds or skips) and load >= settings.busy and not self._catches_up()
        calm = lag <= settings.lag_seconds / 2 and used <= settings.calm and not skips
        self._late_since = (self._late_since or now) if late else None
        self._calm_since = (self._calm_since or now) if calm else None
        if now - self._changed_at < settings.settle_seconds:
            return changed
        if self._late_since is not None and now - self._late_since >= settings.patience_seconds:
            return self._lower(now, priorities) or changed
        wait = settings.calm_seconds * self._caution
        if self._calm_since is not None and now - self._calm_since >= wait:
            return self._raise(now, used, priorities) or changed
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

    def _catches_up(self) -> bool:
        latest = list(self._paces)[-_LATEST_SECONDS:]
        return sum(latest) / len(latest) > _CATCHES_UP

    def _pace(self) -> float:
        """The share of its packets that it gets done at this level, without the second in which that began."""
        seen = list(self._paces)[1:] or list(self._paces)
        return max(0.0, min(1.0, sum(seen) / len(seen)))

    def _forget_what_others_took(self) -> None:
        """What was too much beside other programs may be tried again once these have let go of much of the machine."""
        seconds = _FREED_SECONDS * self._doubt
        latest = list(self._others)[-seconds:]
        if len(latest) < seconds or max(latest) > self._others_then - FREED_SHARE:
            return
        self._others_then, self._forgot = max(latest), True
        self._sure.clear()
        self._caution, self._most, self._most_until = 1.0, math.inf, -math.inf

    def _remember_what_others_take(self, *, too_early: bool) -> None:
        """It is lowered: this was too much beside what others take now."""
        latest = list(self._others)[-_LATEST_SECONDS:]
        self._others_then = sum(latest) / len(latest)
        self._others.clear()
        if not too_early:
            self._doubt = 1
        elif self._forgot:  # they took it again
            self._doubt = min(2 * self._doubt, _MOST_DOUBT)
        self._forgot = False

    def _lower(self, now: float, priorities: Mapping[str, int]) -> bool:
        left = sorted((p, s) for s, p in priorities.items() if s not in self.shed and s not in self._silent)
        pace, last = self._pace(), len(self._levels) - 1
        too_early = now - self._raised_at < _SOON_SECONDS
        if pace < 1.0 - _SKIPS_SHARE:
            self._learn(len(left) * pace, sure=too_early or pace >= _FAR_SHARE)
        if not self.shed and self.level < last:
            if too_early and self._raised_from > self.level:
                self.level = self._raised_from
            else:
                self.level = self._lower_level() if pace >= _FAR_SHARE else last
        elif len(left) > 1:
            self.level, fits = self._best(len(left) * pace)
            least = math.ceil((1.0 - MOST_SHED_SHARE) * len(left))
            keep = min(max(int(_KEPT_SHARE * fits), least, 1), len(left) - 1)
            self.shed += [stream for _, stream in left[: len(left) - keep]]
        else:
            return False
        self._lowered_at = now
        self._remember_what_others_take(too_early=too_early)
        if too_early:
            self._caution = min(2.0 * self._caution, _MOST_CAUTION)
            self._most = max(self.judged(priorities), int(len(left) * pace))
            self._most_until = now + _SOON_SECONDS * self._caution
        self._changed(now)
        return True

    def _lower_level(self) -> int:
        """The next level at which fewer pictures are judged, or the network does without."""
        level = self.level + 1
        while level < len(self._levels) - 1 and not self._tells(level):
            level += 1
        return level

    def _higher_level(self) -> int:
        """The next level at which more pictures are judged, or the network looks on."""
        level = self.level - 1
        while level > 0 and not self._tells(level):
            level -= 1
        return level

    def _may_rise(self, now: float, used: float, judged: int) -> bool:
        """Whether the streams that are judged may fit at the next level, as far as anything sure is known of it."""
        if self._fits:
            self._learn(judged / used, sure=True)
        there = self._fits_at(self._higher_level(), sure=True)
        # What was found to be too much is tried again once that is long ago, however often it was: what it was for want
        # of need not be seen here.
        holds = now - self._lowered_at < _FORGET_SECONDS
        return there is None or judged <= _BACK_LOAD * there or not holds

    def _tells(self, level: int) -> bool:
        """Whether a level differs from full pictures."""
        rate = self._levels[level]
        return rate is None or self._fastest is None or rate < self._fastest

    def _learn(self, fits: float, *, sure: bool) -> None:
        """So many streams fit at this level; what was found at others is seen in its light.

        Args:
            fits: streams.
            sure: found while nearly all was done; who skips most of what comes gets less done than it could.
        """
        if sure:
            self._sure.add(self.level)
        elif self.level in self._sure:
            self._sure.clear()
        fits = max(fits, _LEAST_FITS)
        before = self._fits.get(self.level)
        for level, those in self._fits.items():
            scaled = those * fits / before if before else those
            # Fewer pictures are never more work.
            self._fits[level] = min(scaled, fits) if level < self.level else max(scaled, fits)
        self._fits[self.level] = fits

    def _best(self, fits: float) -> tuple[int, float]:
        """While streams are shed: the level at which what fits is worth most, and how many streams that are.

        Args:
            fits: how many do at this level.
        """
        full = 1 if self._network else 0  # the network does without before any stream has to
        best, most = self.level, fits
        for level in range(full, len(self._levels)):
            those = fits if level == self.level else self._fits_at(level)
            if those is not None and those * WORTH[self._levels[level]] > most * WORTH[self._levels[best]]:
                best, most = level, those
        return best, most

    def _fits_at(self, level: int, *, sure: bool = False) -> float | None:
        """How many streams fit at a level, by what was found at two others: what they take grows with the pictures.

        Args:
            level: in question.
            sure: go by what is sure alone.
        """
        found = {each: fits for each, fits in self._fits.items() if not sure or each in self._sure}
        if level in found or len(found) < 2:
            return found.get(level)
        few, many = max(found), min(found)
        slow, fast = self._pictures(few), self._pictures(many)
        if fast <= slow:
            return None
        share = (self._pictures(level) - slow) / (fast - slow)
        taken = (1.0 - share) / self._fits[few] + share / self._fits[many]
        return 1.0 / taken if 0.0 <= share <= 1.0 else None

    def _pictures(self, level: int) -> float:
        full = self._fastest or _USUAL_RATE
        rate = self._levels[level]
        return full if rate is None else min(rate, full)

    def _raise(self, now: float, used: float, priorities: Mapping[str, int]) -> bool:
        used, judged = max(used, _LEAST_LOAD), self.judged(priorities)
        full = 1 if self._network and self.shed else 0  # the network does without before any stream has to
        if self.level > full and (self._fits or not self.shed) and self._may_rise(now, used, judged):
            self._raised_from = self.level
            self.level = self._higher_level()
        elif self.shed:
            room = int(judged * (_BACK_LOAD / used - 1.0))
            if now < self._most_until:
                room = min(room, int(self._most) - judged)
            if room < 1:
                return False
            # Half of the room: what comes back may cost more than what is judged.
            self.shed.sort(key=lambda stream: (priorities[stream], stream))
            del self.shed[-max(1, room // 2) :]
            self._raised_from = self.level
        else:
            return False
        if now - self._raised_at > 4 * _SOON_SECONDS:
            self._caution = 1.0
        if not self.level and not self.shed:
            self._fits.clear()
            self._sure.clear()
        self._raised_at = now
        self._changed(now)
        return True

    def _changed(self, now: float) -> None:
        """What was seen before says nothing of what there is from now on."""
        self._changed_at = now
        self._late_since = self._calm_since = None
        self._paces.clear()
