"""Lets out what an engine found while it owned a stream, and nothing else.

Run by: the fleet's thread (reports) and the member's (what is owned), under one lock. A report of a time that is owned
for certain goes on at once; one of a time about which nothing was read yet waits until it was; one of another's time is
dropped and counted. An engine that gets ready to take a stream over judges it already: what it found open when its time
comes is told then.
"""

import logging
import math
import os
import threading
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from engine.service.contract import Change, EvidenceKind, FleetListener, StreamStatus
from engine.store.records import Recorded
from engine.verdicts import Incident, StreamSecond

# Ten minutes of 256 streams, should the database be away for so long.
_MOST_WAITING: Final = 200_000
# Incidents whose evidence may still come.
_REMEMBERED: Final = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owned:
    """When a stream was or is this engine's, in Unix seconds.

    Args:
        since: from then on; infinite for one that it only gets ready for.
        until: not any more from then on; infinite while nobody else is known to follow.
    """

    since: float
    until: float


@dataclass(slots=True)
class _Early:
    """Of a stream whose time has not come: what is open on it, and its evidence."""

    incidents: dict[str, tuple[Incident, str]] = field(default_factory=dict)
    pieces: list[tuple[str, str, EvidenceKind, bytes | Path]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A report that nothing is known of yet."""

    incident: Incident | None
    change: Change
    second: StreamSecond | None
    session: str
    at: float

    @property
    def stream(self) -> str:
        """Whose."""
        found = self.incident if self.incident is not None else self.second
        assert found is not None
        return found.stream


Place = Literal["now", "early", "late", "unknown"]


class Gate:
    """A listener in front of another.

    Args:
        listener: who hears what is owned; streams by the names that the fleet knows.
    """

    def __init__(self, listener: FleetListener) -> None:
        self._listener = listener
        self._lock = threading.RLock()
        self._owned: Mapping[str, Owned] = {}
        self._known_until = 0.0
        self._early: dict[str, _Early] = {}
        self._waiting: deque[_Waiting] = deque()
        self._told: dict[tuple[str, str], None] = {}  # incidents that were let out, the youngest last
        self.dropped: Counter[str] = Counter()
        """Reports that were not let out, by why: "not owned", "full"."""

    def update(self, owned: Mapping[str, Owned], known_until: float) -> None:
        """Take what was read of the owners.

        Args:
            owned: of each stream that is, was, or will be this engine's, by its name in the fleet.
            known_until: Unix second up to which that is certain.
        """
        with self._lock:
            self._owned = dict(owned)
            self._known_until = max(known_until, self._known_until)
            for stream in [one for one in self._early if one not in owned]:
                self._discard(self._early.pop(stream))
            waiting, self._waiting = self._waiting, deque()
            for report in waiting:
                self._take(report)
            for stream, early in list(self._early.items()):
                interval = self._owned[stream]
                if interval.since < self._known_until:
                    del self._early[stream]
                    self._tell_early(early, interval.since)

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """See FleetListener."""
        kept = replace(incident, measures=dict(incident.measures))  # its engine goes on changing it
        with self._lock:
            self._take(_Waiting(kept, change, None, session, at))

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """See FleetListener."""
        with self._lock:
            self._take(_Waiting(None, "updated", second, session, at))

    def on_recorded(self, told: Recorded) -> None:
        """Of a fleet that keeps what it finds itself; none does behind a gate."""
        self._listener.on_recorded(told)

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """What is only tried is told where it is found: nobody counts it twice."""
        with self._lock:
            if self._place(incident.stream, at) == "now":
                self._listener.on_shadow(incident, change, session, at)

    def on_status(self, status: StreamStatus) -> None:
        """Goes on: who shows it asks the owner."""
        self._listener.on_status(status)

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Goes the way of its incident."""
        with self._lock:
            if (incident_id, session) in self._told:
                self._listener.on_evidence(incident_id, session, kind, content)
                return
            for early in self._early.values():
                if incident_id in early.incidents:
                    early.pieces.append((incident_id, session, kind, content))
                    return
            waits = (w for w in self._waiting if w.incident is not None and w.incident.id == incident_id)
            first = next(waits, None)
            if first is not None:  # the incident itself is not through: its piece follows it
                self._early.setdefault(first.stream, _Early()).pieces.append((incident_id, session, kind, content))
                return
        _remove(content)

    def _take(self, report: _Waiting) -> None:
        place = self._place(report.stream, report.at)
        if place == "unknown":
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self.dropped["full"] += 1
            self._waiting.append(report)
        elif report.incident is not None:
            self._take_incident(report.incident, report.change, report.session, report.at, place)
        elif report.second is not None and place == "now":
            self._listener.on_second(report.second, report.session, report.at)
        else:
            self.dropped["not owned"] += 1

    def _take_incident(self, incident: Incident, change: Change, session: str, at: float, place: Place) -> None:
        known = (incident.id, session) in self._told
        if place == "now":
            early = self._early.get(incident.stream)
            if early is not None and incident.id in early.incidents:
                # It began before this engine's time: others hear of it as of something that opens now.
                del early.incidents[incident.id]
                self._tell(incident, "opened", session, at)
                if change == "opened":
                    return
            self._tell(incident, change, session, at)
        elif place == "early":
            early = self._early.setdefault(incident.stream, _Early())
            if change == "closed":
                early.incidents.pop(incident.id, None)
            else:
                early.incidents[incident.id] = (incident, session)
        else:
            # What an earlier owner's engine closes, because it judges the stream no more, is not over.
            self.dropped["not owned"] += 1
            if known and change == "closed":
                self._told.pop((incident.id, session), None)

    def _tell(self, incident: Incident, change: Change, session: str, at: float) -> None:
        self._told.pop((incident.id, session), None)
        self._told[incident.id, session] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        self._listener.on_incident(incident, change, session, at)

    def _tell_early(self, early: _Early, at: float) -> None:
        for incident, session in early.incidents.values():
            self._tell(incident, "opened", session, at)
        for incident_id, session, kind, content in early.pieces:
            if (incident_id, session) in self._told:
                self._listener.on_evidence(incident_id, session, kind, content)
            else:
                _remove(content)

    def _discard(self, early: _Early) -> None:
        for *_, content in early.pieces:
            _remove(content)

    def _place(self, stream: str, at: float) -> Place:
        interval = self._owned.get(stream)
        if interval is None:
            # Just taken in, and not read yet; or read, and another's.
            return "unknown" if at >= self._known_until else "late"
        if at < interval.since < math.inf:
            return "early"
        if at >= interval.until:
            return "late"
        if at >= self._known_until:
            return "unknown"
        return "now" if interval.since < math.inf else "early"


def _remove(content: bytes | Path) -> None:
    """A file that was handed over is ours to remove."""
    if isinstance(content, Path):
        with suppress(OSError):
            os.unlink(content)
