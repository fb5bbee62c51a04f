"""Adds up, per media second of a stream, what was seen in it: StreamSecond."""

import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from engine.verdicts import Severity, StreamSecond

# A second is given out when every track has been judged for so long beyond its end. What is decided later is not told
# of it, also where it happens not to be given out yet: seconds must not depend on when somebody looks.
SETTLED_SECONDS = 1.0


@dataclass(slots=True)
class _Second:
    frames_measured: int = 0
    frames_left_out: int = 0
    frames_seen_by_network: int = 0
    audio_seconds: float = 0.0
    decode_errors: int = 0
    open: set[str] = field(default_factory=set)
    critical: set[str] = field(default_factory=set)


class Coverage:
    """The running seconds of one stream.

    Args:
        stream: the stream's id.
        video_detectors, audio_detectors: enabled ones, which are unknown in a second without pictures or sound.
    """

    def __init__(self, stream: str, video_detectors: tuple[str, ...], audio_detectors: tuple[str, ...]) -> None:
        self.stream = stream
        self.frame_rate: float | None = None
        self._video_detectors = video_detectors
        self._audio_detectors = audio_detectors
        self._seconds: defaultdict[int, _Second] = defaultdict(_Second)
        self._emitted = 0
        self._open: dict[str, int] = {}  # the first second that tells of it
        self._suspended: dict[str, float] = {}  # detector: media second from which on it does not judge
        self._lifted: dict[str, tuple[float, float]] = {}  # from when until when it did not
        self._critical: set[str] = set()

    def frame(self, pts: float) -> None:
        """A picture was measured."""
        self._seconds[self._index(pts)].frames_measured += 1

    def network(self, pts: float) -> None:
        """The network looked at a picture."""
        self._seconds[self._index(pts)].frames_seen_by_network += 1

    def left_out(self, pts: float) -> None:
        """A picture was decoded and not measured, for want of time."""
        self._seconds[self._index(pts)].frames_left_out += 1

    def sound(self, pts: float, seconds: float) -> None:
        """A block of sound was measured."""
        self._seconds[self._index(pts)].audio_seconds += seconds

    def errors(self, at: float, count: int) -> None:
        """The decoder reported damage."""
        self._seconds[self._index(at)].decode_errors += count

    def judged_by(self, video_detectors: tuple[str, ...], audio_detectors: tuple[str, ...]) -> None:
        """Other detectors are enabled from here on."""
        self._video_detectors, self._audio_detectors = video_detectors, audio_detectors

    @property
    def suspended(self) -> frozenset[str]:
        """Detectors that do not judge for now, whatever is measured."""
        return frozenset(self._suspended)

    def suspend(self, detectors: Collection[str], at: float) -> None:
        """From media second `at` on these do not judge, and no others."""
        for name in [name for name in self._suspended if name not in detectors]:
            since = self._suspended.pop(name)
            self._lifted[name] = min(since, self._lifted.get(name, (since, at))[0]), at
        for name in detectors:
            self._suspended.setdefault(name, at)

    def _did_not_judge(self, second: int) -> set[str]:
        for name in [name for name, (_, until) in self._lifted.items() if until <= second]:
            del self._lifted[name]
        names = {name for name, since in self._suspended.items() if since < second + 1}
        return names | {name for name, (since, _) in self._lifted.items() if since < second + 1}

    def opened(
        self, detector: str, at: float, severity: Severity = Severity.WARNING, decided_at: float | None = None
    ) -> None:
        """An incident opened; from `at` on, as far as its seconds were not settled when that was decided."""
        # What was decided so late that all its seconds were settled counts in the first one that was not.
        self._open[detector] = max(int(at), _unsettled(at if decided_at is None else decided_at), self._emitted)
        if severity is Severity.CRITICAL:
            self._critical.add(detector)

    def closed(self, detector: str, start: float, end: float, decided_at: float | None = None) -> None:
        """An incident closed; seconds that were settled before that was decided had it open."""
        first = self._open.pop(detector, max(int(start), self._emitted))
        closing = end if decided_at is None else decided_at
        critical = detector in self._critical
        self._critical.discard(detector)
        touched = int(end) if end > int(end) or end <= start else int(end) - 1
        last = max(first, touched, _unsettled(closing) - 1)
        for second in range(max(first, self._emitted), last + 1):
            self._seconds[second].open.add(detector)
            if critical:
                self._seconds[second].critical.add(detector)

    def complete(self, until: float) -> list[StreamSecond]:
        """The seconds that ended at or before media time `until`, each given once, in order."""
        done = []
        while self._emitted + 1 <= until + 1e-6:
            done.append(self._take())
        return done

    def rest(self, until: float) -> list[StreamSecond]:
        """Everything up to the end of the stream, the last second possibly begun only."""
        done = self.complete(until)
        if until > self._emitted + 1e-6:
            done.append(self._take(until - self._emitted))
        return done

    def _index(self, at: float) -> int:
        # What comes after its second was given out counts in the oldest one that was not.
        return max(int(at), self._emitted)

    def _take(self, share: float = 1.0) -> StreamSecond:
        index = self._emitted
        second = self._seconds.pop(index, None) or _Second()
        self._emitted += 1
        held = {name for name, first in self._open.items() if first <= index}
        unknown = () if second.frames_measured else self._video_detectors
        unknown += () if second.audio_seconds else self._audio_detectors
        unknown += tuple(sorted(self._did_not_judge(index).difference(unknown)))
        return StreamSecond(
            stream=self.stream,
            second=index,
            frames_expected=(self.frame_rate or 0.0) * share,
            frames_decoded=second.frames_measured + second.frames_left_out,
            frames_measured=second.frames_measured,
            audio_seconds=round(second.audio_seconds, 6),
            decode_errors=second.decode_errors,
            open=tuple(sorted(second.open | held)),
            unknown=unknown,
            critical=tuple(sorted(second.critical | (held & self._critical))),
            frames_seen_by_network=second.frames_seen_by_network,
        )


def _unsettled(decided_at: float) -> int:
    """The first second that was not settled when something was decided."""
    return max(0, math.ceil(decided_at - 1.0 - SETTLED_SECONDS - 1e-6))
