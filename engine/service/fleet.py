"""The engines and ingest processes of this machine, behind the contract that the service knows.

Run by: two threads of the supervisor. `fleet` keeps the processes (keeper.py); `fleet reports` tells the listener what
they found. Public methods may be called from any thread: they change what is wanted (roster.py), under one lock, and
never wait for a stream. It ends by `stop`. If an engine dies, its streams are judged again in new sessions; if an
ingest process dies, only its streams see an outage, and no new session. A stream under which processes keep dying is
found by parting its company, and is then left out.
"""

import logging
import shutil
import threading
import time
from collections.abc import Collection, Container, Mapping
from typing import Final

from engine.detectors import resolve
from engine.queues import Bell, BoundedQueue, QueueClosed
from engine.service.contract import EngineStatus, FleetListener, StreamPlan, StreamStatus
from engine.service.fleet_settings import FleetSettings
from engine.service.keeper import Keeper
from engine.service.messages import Snap
from engine.service.roster import Call, Roster

_MOST_REPORTS: Final = 100_000
_FRESH_SECONDS: Final = 2.0
_OLD_SECONDS: Final = 5.0
_PICTURE_SECONDS: Final = 2.0
_JOIN_SECONDS: Final = 10.0
_log: Final = logging.getLogger(__name__)


class LocalFleet:
    """Engines and ingest processes on this machine; see contract.Fleet.

    Args:
        settings: which, and their limits.
    """

    def __init__(self, settings: FleetSettings) -> None:
        self._roster = Roster(settings)
        self._guard = self._roster.guard
        self._keeper = Keeper(self._roster, self._take_picture)
        self._pictures: dict[str, tuple[float, bytes]] = {}
        self._pictured = threading.Condition(self._guard)
        self._stopping = False
        self._drain_seconds = 0.0
        self._failure: BaseException | None = None
        self._bell = Bell()
        self._reports: BoundedQueue[Call] = BoundedQueue(_MOST_REPORTS, self._bell)
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self, listener: FleetListener) -> None:
        """Start the processes."""
        self._empty_handover()
        self._threads = (
            threading.Thread(target=self._run, name="fleet"),
            threading.Thread(target=self._tell, args=(listener,), name="fleet reports"),
        )
        for thread in self._threads:
            thread.start()

    def apply(self, plan: StreamPlan) -> None:
        """Take a stream in, or change it; what can change without opening the source again does.

        Raises: CapacityError, with the headroom, where no engine has room; ConfigError.
        """
        resolve(plan.detectors)
        resolve(plan.shadow or {})
        with self._guard:
            place = self._roster.streams.get(plan.id)
            if place is None:
                self._roster.take_in(plan)
            else:
                self._roster.change(place, plan)
        self._roster.wake()

    def remove(self, stream_id: str) -> None:
        """Stop judging a stream; its open incidents are reported closed as "removed". Unknown ids are nothing."""
        with self._guard:
            place = self._roster.streams.pop(stream_id, None)
            if place is not None:
                self._roster.halt(place)
                self._pictures.pop(stream_id, None)
        self._roster.wake()

    def unheeded(self, streams: Collection[str]) -> None:
        """The streams, and no others, of whose incidents nobody is told now: under load they go first."""
        with self._guard:
            self._roster.set_unheeded(frozenset(streams))
        self._roster.wake()

    def keep_only(self, streams: Container[str]) -> None:
        """Nothing to do: these engines began with this service."""

    def status(self, stream_id: str) -> StreamStatus | None:
        """One stream; None if it was not applied."""
        with self._guard:
            place = self._roster.streams.get(stream_id)
            return place.status() if place is not None else None

    def statuses(self) -> Mapping[str, StreamStatus]:
        """All streams by id."""
        with self._guard:
            return {name: place.status() for name, place in self._roster.streams.items()}

    def engines(self) -> tuple[EngineStatus, ...]:
        """All engines, as they last reported."""
        limit = self._roster.settings.load_limit
        with self._guard:
            return tuple(e.status(self._roster.judged_by(e), limit) for e in self._roster.engines.values())

    def thumbnail(self, stream_id: str) -> bytes | None:
        """A JPEG of what the stream shows now, at most a few seconds old; waits for it for two seconds at most."""
        with self._pictured:
            place = self._roster.streams.get(stream_id)
            at, jpeg = self._pictures.get(stream_id, (0.0, None))
            if place is None or (jpeg is not None and time.monotonic() - at < _FRESH_SECONDS):
                return jpeg
            if place.session and place.engine is not None and place.engine.ready:
                self._roster.say(place.engine, Snap(stream_id))
                self._roster.wake()
                self._pictured.wait_for(
                    lambda: self._stopping or self._pictures.get(stream_id, (at, None))[0] > at, _PICTURE_SECONDS
                )
                at, jpeg = self._pictures.get(stream_id, (at, jpeg))
            return jpeg if time.monotonic() - at < _OLD_SECONDS else None

    def ready(self) -> str | None:
        """None when every engine answers, else what is missing, in words."""
        with self._guard:
            if self._failure is not None:
                return f"the fleet failed: {self._failure}"
            down = [engine.waiting()[1] for engine in self._roster.engines.values() if not engine.ready]
            return "; ".join(down) or None

    def readers(self) -> Mapping[str, tuple[int, tuple[str, ...]]]:
        """Process id (0 while it is down) and streams of each ingest process, by its name."""
        with self._guard:
            return {
                name: (
                    ingest.child.pid if ingest.child is not None else 0,
                    tuple(place.plan.id for place in self._roster.read_by(ingest)),
                )
                for name, ingest in self._roster.ingests.items()
            }

    def stop(self, drain_seconds: float = 10.0) -> None:
        """End all processes: finish batches, report what is left, close files; what outlasts the limit is killed."""
        with self._guard:
            self._drain_seconds = drain_seconds
            self._stopping = True
            self._pictured.notify_all()
        self._roster.wake()
        for thread in self._threads:
            thread.join(drain_seconds + _JOIN_SECONDS)
        if not self._threads:
            self._roster.close()

    def _empty_handover(self) -> None:
        """Clips of an earlier run were taken then, or are nobody's."""
        folder = self._roster.settings.handover
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _take_picture(self, stream_id: str, jpeg: bytes) -> None:
        if stream_id in self._roster.streams:
            self._pictures[stream_id] = (time.monotonic(), jpeg)
            self._pictured.notify_all()

    def _run(self) -> None:
        """The thread `fleet`."""
        try:
            while not self._stopping:
                self._keeper.one_pass()
                self._give_out()
        except QueueClosed:
            pass
        except Exception as error:  # noqa: BLE001 - kept, and told by `ready`
            _log.exception("the fleet failed")
            self._failure = error
        finally:
            self._keeper.shut_down(self._drain_seconds, self._give_out)
            self._reports.close(self._failure)
            self._roster.close()

    def _give_out(self) -> None:
        """Hand what was found to the thread that tells it. Waits, outside the lock, where the listener is too slow."""
        with self._guard:
            calls, self._roster.calls = self._roster.calls, []
        for call in calls:
            self._reports.put(call, lambda: False)

    def _tell(self, listener: FleetListener) -> None:
        """The thread `fleet reports`."""
        while not self._reports.ended:
            rings = self._bell.rings
            call = self._reports.take()
            if call is None:
                self._bell.wait(rings, 1.0)
                continue
            try:
                call(listener)
            except Exception:  # noqa: BLE001 - a listener's failure is its own; the next report may be taken
                _log.exception("a report of the fleet was not taken")
