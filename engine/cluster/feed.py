"""What an engine of a cluster found and kept, for those who show it: the last minutes, in order.

Run by: the fleet's and the recorder's threads put in, the actor's calls read, under one lock. Nobody waits for a
reader: who asks too seldom misses what is too old, and is told so.
"""

import threading
import uuid
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from engine.cluster.plans import stream_of
from engine.service.contract import Change, EvidenceKind, FleetListener, StreamStatus
from engine.service.recorder import Recorder
from engine.service.sinks import VerdictSink
from engine.store.records import Recorded
from engine.verdicts import Incident, StreamSecond

# Two minutes of 256 streams.
_MOST: Final = 30_000
_AT_ONCE: Final = 5_000

Kind = Literal["second", "recorded", "shadow"]


BEGINNING: Final = ("", 0)
"""The place before everything."""


@dataclass(frozen=True, slots=True)
class News:
    """What happened.

    Args:
        items: kind and the arguments of FleetListener's call, the oldest first.
        until: what to ask with next: which feed it is, as another process begins another one, and how far it was read.
        missed: how many were too old by the time of the question.
    """

    items: tuple[tuple[Kind, tuple[Any, ...]], ...]
    until: tuple[str, int]
    missed: int


class Feed:
    """The last minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[tuple[Kind, tuple[Any, ...]]] = deque(maxlen=_MOST)
        self._put = 0
        self._id = uuid.uuid4().hex

    def put(self, kind: Kind, *arguments: Any) -> None:
        """Add what happened."""
        with self._lock:
            self._items.append((kind, arguments))
            self._put += 1

    def since(self, place: tuple[str, int]) -> News:
        """What was added after a place; after one of another feed, everything."""
        with self._lock:
            first = self._put - len(self._items)
            begin = place[1] if place[0] == self._id else 0
            missed = max(0, first - begin)
            start = max(begin, first) - first
            items = tuple(self._items[i] for i in range(start, min(len(self._items), start + _AT_ONCE)))
            return News(items, (self._id, first + start + len(items)), missed)

    def on_recorded(self, told: Recorded) -> None:
        """An incident was kept."""
        if told.change is not None:
            self.put("recorded", told)

    def beyond(self, recorder: Recorder, verdicts: VerdictSink) -> FleetListener:
        """Who keeps what is let out, and adds it here."""
        return _Keeper(self, recorder, verdicts)


class _Keeper:
    """Keeps what the engine owns; its streams have their own names again."""

    def __init__(self, feed: Feed, recorder: Recorder, verdicts: VerdictSink) -> None:
        self._feed = feed
        self._recorder = recorder
        self._verdicts = verdicts

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Kept in the database, and put into the feed from there."""
        self._recorder.report(replace(incident, stream=stream_of(incident.stream)), change, session, at)

    def on_recorded(self, told: Recorded) -> None:
        """A fleet of this machine keeps nothing itself."""

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Shown only."""
        self._feed.put("shadow", replace(incident, stream=stream_of(incident.stream)), change, session, at)

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """Kept in the store of seconds, and shown."""
        named = replace(second, stream=stream_of(second.stream))
        self._verdicts.put(named, session, at)
        self._feed.put("second", named, session, at)

    def on_status(self, status: StreamStatus) -> None:
        """Who shows it asks for it."""

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Kept."""
        self._recorder.evidence(incident_id, session, kind, content)
