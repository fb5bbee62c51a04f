"""Brings what the engines report into the database, in the order in which they reported it.

Run by: one thread, started by `start`. The fleet's thread hands reports in through a bounded queue and never waits. The
thread owns all writes of incidents' changes and their evidence. While the database is away it tries again, for ever,
and reports pile up to the bound; what does not fit any more is counted, updates first. It ends by `stop`, which
writes what is left within a limit; if it dies, /healthz says so.
"""

import contextlib
import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from engine.errors import StoreError
from engine.queues import Bell, BoundedQueue, QueueClosed
from engine.service.contract import Change, EvidenceKind
from engine.service.evidence_files import KeepsEvidence
from engine.store.incidents import Incidents, part_key
from engine.store.records import Recorded
from engine.verdicts import Incident

# While an incident lasts its worst value may change with every picture; nobody needs to read it more often than that.
UPDATE_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 0.5
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
# The last part of the queue is kept for what opens and closes.
UPDATES_SHARE: Final = 0.5
# What the database says while it is away, or its disk full; anything else is wrong with the report itself.
_AWAY: Final = (OperationalError, InternalError, InterfaceError)

log = logging.getLogger(__name__)


class Counts(Protocol):
    """Whether what was found on a stream at a Unix second is ours to keep."""

    def __call__(self, connection: Connection, *, stream: str, at: float) -> bool:
        """Asked in the transaction that would keep it."""


@dataclass(frozen=True, slots=True)
class _Report:
    incident: Incident
    change: Change
    session: str
    at: float


@dataclass(frozen=True, slots=True)
class _Piece:
    incident_id: str
    session: str
    kind: EvidenceKind
    content: bytes | Path


class Recorder:
    """Writes reports of incidents.

    Args:
        incidents: where they are kept.
        files: where evidence lies.
        muted: whether nobody is to be told of what begins on a stream at a moment (Unix seconds).
        recorded: told, in the recording thread, what each report came to.
        backlog: reports kept while the database is away.
        counts: asked in the transaction of each report whether what was found on a stream at a Unix second is ours to
            keep; everything is, unless given.
    """

    def __init__(
        self,
        incidents: Incidents,
        files: KeepsEvidence,
        *,
        muted: Callable[[str, float], bool],
        recorded: Callable[[Recorded], None],
        backlog: int,
        counts: Counts | None = None,
    ) -> None:
        self._counts = counts
        self._incidents = incidents
        self._files = files
        self._muted = muted
        self._recorded = recorded
        self._bell = Bell()
        self._queue: BoundedQueue[_Report | _Piece] = BoundedQueue(backlog, self._bell)
        self._most_updates = int(backlog * UPDATES_SHARE)
        # Updates that wait for their second, by part; the recording thread's own.
        self._updates: OrderedDict[str, _Report] = OrderedDict()
        self._flushed = 0.0
        self._stop_at: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder")
        self.dropped: Counter[str] = Counter()
        """Reports lost, by why: "full" (no room while the database was away), "rejected", "disk", "stopped"."""
        self.failures = 0
        self.written = 0
        self.away: str | None = None
        """Why the database cannot be written to; None while it can."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def backlog(self) -> int:
        """Reports that wait."""
        return len(self._queue) + len(self._updates)

    def report(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Take a report in; never waits. The incident is copied: its engine goes on changing it."""
        kept = replace(incident, measures=dict(incident.measures))
        self._put(_Report(kept, change, session, at), change == "updated", kept.stream, f"{kept.detector} {change}")

    def evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Take a piece of evidence in; never waits."""
        if not self._put(_Piece(incident_id, session, kind, content), True, "", f"the {kind} of {incident_id}"):
            _discard(content)

    def stop(self, deadline_seconds: float) -> bool:
        """Write what is left, and end. Returns: whether all was written within the limit."""
        self._stop_at = time.monotonic() + deadline_seconds
        self._stopping.set()
        self._queue.close()
        if self._thread.ident is not None:
            self._thread.join(deadline_seconds + 5)
        return not self.backlog and not self._thread.is_alive()

    def _put(self, item: "_Report | _Piece", can_be_missed: bool, stream: str, what: str) -> bool:
        why = "full"
        with contextlib.suppress(QueueClosed):
            if not (can_be_missed and len(self._queue) >= self._most_updates) and self._queue.offer(item):
                return True
        if self._stop_at is not None:
            why = "stopped"
        self._lose(stream, why, what)
        return False

    def _lose(self, stream: str, why: str, what: str) -> None:
        self.dropped[why] += 1
        log.error("lost: %s (%s)", what, why, extra={"stream": stream})

    def _run(self) -> None:
        while not (self._queue.ended and not self._updates):
            rings = self._bell.rings
            item = self._queue.take()
            if item is None:
                if not self._queue.ended:
                    self._bell.wait(rings, IDLE_SECONDS)
            elif isinstance(item, _Piece):
                self._persist(partial(self._attach, item), "", f"the {item.kind} of {item.incident_id}")
                _discard(item.content)
            else:
                self._take_report(item)
            now = time.monotonic()
            if self._updates and (now - self._flushed >= UPDATE_SECONDS or self._queue.ended):
                self._flushed = now
                while self._updates:
                    _, update = self._updates.popitem(last=False)
                    self._write(update)
            if self._stop_at is not None and now > self._stop_at:
                break
        for _ in range(self.backlog):
            self._lose("", "stopped", "a report that could not be written before the end")

    def _take_report(self, report: _Report) -> None:
        key = part_key(report.incident.id, report.session)
        if report.change == "updated":
            self._updates[key] = report
            return
        self._updates.pop(key, None)  # what closes carries the last values itself
        self._write(report)

    def _write(self, report: _Report) -> None:
        incident = report.incident
        told: list[Recorded] = []

        counts = None if self._counts is None else partial(self._counts, stream=incident.stream, at=report.at)

        def write() -> None:
            muted = self._muted(incident.stream, report.at)
            told.append(
                self._incidents.record(
                    incident, report.change, session=report.session, at=report.at, muted=muted, counts=counts
                )
            )

        self._persist(write, incident.stream, f"{incident.detector} {report.change}")
        for one in told:
            self._recorded(one)

    def _attach(self, piece: _Piece) -> None:
        record = self._incidents.get(part_key(piece.incident_id, piece.session))
        if record is None:
            self._lose("", "rejected", f"the {piece.kind} of an incident that is not known: {piece.incident_id}")
            return
        try:
            place, size = self._files.keep(record, piece.kind, piece.content)
        except OSError as error:
            # A disk that is full must not hold up the incidents, which may lie elsewhere.
            self._lose(record.stream, "disk", f"the {piece.kind} of {record.id}: {error.strerror or error}")
            return
        for old in record.evidence:
            if old.kind == piece.kind and old.place != place:
                self._files.remove(old.place)
        self._incidents.attach(record.id, piece.kind, place, size)

    def _persist(self, write: Callable[[], None], stream: str, what: str) -> None:
        """Write, again and again while the database or the disk is away."""
        attempt = 0
        while True:
            try:
                write()
                self.written += 1
                if self.away is not None:
                    log.info("the database can be written to again; %d reports wait", self.backlog)
                self.away = None
                return
            except (StoreError, OSError) as error:
                self.failures += 1
                away = isinstance(error, OSError) or isinstance(error.__cause__, _AWAY)
                if not away:
                    log.error("%s: %s", what, error, extra={"stream": stream})
                    self._lose(stream, "rejected", what)
                    return
                if self.away is None:
                    log.error("the database cannot be written to: %s", error)
                self.away = error.why if isinstance(error, StoreError) else str(error)
                if self._stop_at is not None and time.monotonic() > self._stop_at:
                    self._lose(stream, "stopped", what)
                    return
                # A stop ends the wait, and from then on it is tried often.
                if self._stopping.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]):
                    time.sleep(RETRY_SECONDS[0])
                attempt += 1
            except Exception:  # a report that nobody thought of must not end the recording of all others
                log.exception("a report could not be recorded: %s", what, extra={"stream": stream})
                self._lose(stream, "rejected", what)
                return


def _discard(content: bytes | Path) -> None:
    """A file that was handed over is ours to remove."""
    if isinstance(content, Path):
        with contextlib.suppress(OSError):
            os.unlink(content)
