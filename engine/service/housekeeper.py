"""Regular work: incidents that no engine will close, streams in a window and what it kept quiet, those without room,
the disk.

Run by: one thread, every few seconds. It owns the file `alive`, whose time says until when the service was up, and lays
by the disk's reserve. It ends by `stop`. A round that fails is told and tried again; if the thread dies, /healthz says
so.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Final

from engine import heap
from engine.detectors import detector
from engine.errors import AvjuryError
from engine.service.contract import Fleet, StreamStatus
from engine.service.core import Core
from engine.service.events import EventHub
from engine.service.open_incidents import OpenIncidents
from engine.service.reserve import Reserve
from engine.store.records import IncidentRecord, OpenPart
from engine.store.sql import Store

ROUND_SECONDS: Final = 2.0
REFUSED_SECONDS: Final = 15.0
FORGET_SECONDS: Final = 3600.0
GIVE_BACK_SECONDS: Final = 30.0
DAY_SECONDS: Final = 86_400.0
# What a new session needs beyond a detector's own duration until it has told again what still holds.
GRACE_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Housekeeper:
    """The regular work.

    Args:
        data: the data folder.
        closed: told of incidents that were closed here.
        gone: told which streams there are, to forget all others.
        clock: Unix seconds.
    """

    def __init__(
        self,
        data: Path,
        store: Store,
        core: Core,
        fleet: Fleet,
        hub: EventHub,
        open_incidents: OpenIncidents,
        closed: Callable[[IncidentRecord], None],
        gone: Callable[[Container[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._alive_file = data / "alive"
        self._reserve = Reserve(data)
        self._store = store
        self._core = core
        self._fleet = fleet
        self._hub = hub
        self._open = open_incidents
        self._closed = closed
        self._gone = gone
        self._clock = clock
        self._began = clock()
        self._was_up_until = _modified(self._alive_file)
        self._tried_refused = self._forgot = self._gave_back = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, deadline_seconds: float) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_seconds)

    def _run(self) -> None:
        failed = False
        while not self._stop.is_set():
            try:
                self.round()
                failed = False
            except (AvjuryError, OSError) as error:
                if not failed:
                    log.warning("housekeeping failed, and is tried again: %s", error)
                failed = True
            self._stop.wait(ROUND_SECONDS)

    def round(self) -> None:
        """One round.

        Raises: StoreError; OSError.
        """
        self._alive_file.touch()
        self._reserve.lay_by(self._core.config.service.min_free_bytes)
        now = self._clock()
        if now - self._tried_refused >= REFUSED_SECONDS:
            self._tried_refused = now
            self._core.retry_refused()
        self._core.follow_renditions()
        self._fleet.unheeded(self._core.all_suppressed(now))
        if now - self._forgot >= FORGET_SECONDS:
            self._forgot = now
            self._forget(now)
        if now - self._gave_back >= GIVE_BACK_SECONDS:
            self._gave_back = now
            heap.give_back()
        self._gone(self._core.all())
        self._unmute(now)
        self._close_orphans(now)

    def _forget(self, now: float) -> None:
        days = self._core.config.service.incident_days
        if days is not None:
            forgotten = self._store.incidents.forget(now - days * DAY_SECONDS)
            if forgotten:
                log.info("%d incidents that closed more than %d days ago were deleted", forgotten, days)

    def _unmute(self, now: float) -> None:
        """What began in a window and holds beyond it is told now."""
        for record in self._open.muted_by_maintenance():
            if not self._core.suppressed(record.stream, now):
                told = self._store.incidents.mute(record.id, None)
                if told is not None:
                    self._open.take(told, "updated")
                    self._publish(told)

    def _publish(self, record: IncidentRecord) -> None:
        self._hub.publish("incident", record.streams, lambda: {"change": "updated", "incident": record.as_json()})

    def _close_orphans(self, now: float) -> None:
        parts = self._store.incidents.open_parts()
        if not parts:
            return
        statuses = self._fleet.statuses()
        for part in parts:
            at = self._over_at(part, parts, statuses, now)
            if at is not None:
                ended = statuses[part.stream].state == "ended" if part.stream in statuses else False
                closed = self._store.incidents.close_part(
                    part.key, closed_by="end_of_stream" if ended else "removed", at=max(at, part.opened_at)
                )
                for record in closed:
                    self._closed(record)

    def _over_at(
        self, part: OpenPart, parts: tuple[OpenPart, ...], statuses: Mapping[str, StreamStatus], now: float
    ) -> float | None:
        """Unix seconds at which a report that no engine holds any more was last seen; None for one that still counts.

        A report counts while its session lasts. After that another session has the time that its detector needs to
        tell it anew: then the incident goes on, and this report of it is over.
        """
        wanted = self._core.all().get(part.stream)
        if wanted is None or (wanted.plan.paused and now - wanted.updated_at > GRACE_SECONDS):
            return now
        status = statuses.get(part.stream)
        if status is None or status.session == "" or status.judges(part.session):
            return None
        last_seen = status.since
        if part.opened_at < self._began and self._was_up_until is not None:
            last_seen = min(last_seen, self._was_up_until)
        again = [other for other in parts if other.incident_id == part.incident_id
                 and other.stream == part.stream and status.judges(other.session)]  # fmt: skip
        if again or status.state in ("ended", "failed"):
            return last_seen
        running_seconds = now - status.since if status.state == "running" else 0.0
        needed = self._core.config.service.damping_seconds + GRACE_SECONDS
        needed += _set_seconds(part.detector, wanted.plan.detectors)
        return last_seen if running_seconds > needed else None


def _set_seconds(name: str, chosen: Mapping[str, Mapping[str, object]]) -> float:
    """How long a defect has to hold before its detector opens; 0 for one that does not judge any more."""
    if name not in chosen:
        return 0.0
    return detector(name).rule(chosen[name]).set_seconds


def _modified(path: Path) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
