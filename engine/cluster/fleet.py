"""The engines of a cluster, behind the contract that the service knows (engine/service/contract.py).

Run by: one thread, `cluster`, which asks the engines what happened and tells the listener. What is wanted is written
into the database, where coordinator and engines read it; nothing is judged here, and nothing of what is found is kept
here: the engines do that themselves. It ends by `stop`; the engines go on.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from typing import Final, Protocol

from engine.cluster.member import Report
from engine.cluster.plans import units_of
from engine.detectors import resolve
from engine.errors import CapacityError, StoreError
from engine.service.contract import EngineStatus, FleetListener, StreamPlan, StreamStatus
from engine.store.owners import Overview, Owners, UnitRow

ASK_SECONDS: Final = 0.5
_PICTURE_SECONDS: Final = 2.0
_JOIN_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class Link(Protocol):
    """The way to the engines' processes."""

    def reports(self, since: Mapping[str, tuple[str, int]]) -> Mapping[str, Report]:
        """What every engine that answers says; who does not, is left out. Waits a second or two at most.

        Args:
            since: by engine, `News.until` of its last report.
        """

    def thumbnail(self, engine: str, stream: str, part: int, timeout_seconds: float) -> bytes | None:
        """A JPEG of what a stream shows now."""


class ClusterFleet:
    """See contract.Fleet.

    Args:
        owners: the tables.
        link: to the engines.
    """

    def __init__(self, owners: Owners, link: Link) -> None:
        self._owners = owners
        self._link = link
        self._lock = threading.Lock()
        self._overview = Overview(0.0, (), ())
        self._reports: dict[str, Report] = {}
        self._since: dict[str, tuple[str, int]] = {}
        self._told: dict[str, StreamStatus] = {}
        self._plans: dict[str, StreamPlan] = {}
        self._problem: str | None = "no engine was asked yet"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, listener: FleetListener) -> None:
        """Begin to ask the engines."""
        self._thread = threading.Thread(target=self._run, args=(listener,), name="cluster")
        self._thread.start()

    def apply(self, plan: StreamPlan) -> None:
        """Have a stream judged, or judged otherwise.

        Raises: CapacityError where no engine has room for a new one; ConfigError; StoreError.
        """
        resolve(plan.detectors)
        resolve(plan.shadow or {})
        with self._lock:
            overview, known = self._overview, plan.id in self._plans
        if not known and not plan.paused and all(unit.stream != plan.id for unit in overview.units):
            self._check_room(plan, overview)
        self._owners.want(units_of(plan))
        with self._lock:
            self._plans[plan.id] = plan

    def remove(self, stream_id: str) -> None:
        """Have a stream judged no more."""
        self._owners.want_no_more(stream_id)
        with self._lock:
            self._plans.pop(stream_id, None)

    def unheeded(self, streams: Collection[str]) -> None:
        """The engines know the maintenance windows themselves."""

    def keep_only(self, streams: Container[str]) -> None:
        """Have all streams judged no more that are none of these: an earlier service wanted them."""
        for stream in {unit.stream for unit in self._owners.overview().units}:
            if stream not in streams:
                self._owners.want_no_more(stream)

    def status(self, stream_id: str) -> StreamStatus | None:
        """One stream; None if it is not wanted."""
        return self._shown({stream_id}).get(stream_id)

    def statuses(self) -> Mapping[str, StreamStatus]:
        """All streams by id."""
        return self._shown(None)

    def _shown(self, asked: Container[str] | None) -> dict[str, StreamStatus]:
        """Those that are wanted of the streams that are asked for; None for all."""
        with self._lock:
            overview, reports = self._overview, dict(self._reports)
            plans = {stream for stream in self._plans if asked is None or stream in asked}
        by_stream: defaultdict[str, list[UnitRow]] = defaultdict(list)
        for unit in overview.units:
            if unit.stream in plans:
                by_stream[unit.stream].append(unit)
        shown = {stream: _status(units, reports, overview) for stream, units in by_stream.items()}
        for stream in plans - shown.keys():
            shown[stream] = StreamStatus(stream, "starting", overview.now or time.time(), cause="engine_starting")
        return shown

    def engines(self) -> tuple[EngineStatus, ...]:
        """All engines, as they last reported; the lost ones are down."""
        with self._lock:
            overview, reports = self._overview, dict(self._reports)
        found = []
        for row in overview.engines:
            report = reports.get(row.name)
            said = report.engine if report is not None else None
            capacity = float(row.state.get("capacity", 0.0))
            streams = int(row.state.get("streams", 0))
            room = max(0, int(capacity) - streams) if row.alive and not row.emptied else 0
            if said is None:
                said = EngineStatus(row.name, str(row.state.get("device", "")), 0, False, 0, streams, 0.0, 0, 0)
            detail = said.detail
            if not row.alive:
                detail = "it is lost: its lease has ended"
            elif row.emptied:
                detail = "it is being emptied"
            up = said.up and row.alive
            restarts = said.restarts + row.incarnation - 1
            found.append(replace(said, up=up, restarts=restarts, headroom_streams=room, detail=detail))
        return tuple(found)

    def thumbnail(self, stream_id: str) -> bytes | None:
        """A JPEG of what the stream shows now; None without pictures."""
        with self._lock:
            owner = next((u.owner for u in self._overview.units if u.key == (stream_id, 0)), None)
        return None if owner is None else self._link.thumbnail(owner, stream_id, 0, _PICTURE_SECONDS)

    def ready(self) -> str | None:
        """None when engines answer, else what is missing, in words."""
        with self._lock:
            if self._problem is not None:
                return self._problem
            if not any(row.alive and row.state.get("ready") for row in self._overview.engines):
                return "no engine of the cluster is ready"
            return None

    def stop(self, drain_seconds: float = 10.0) -> None:
        """End the thread; the engines go on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(drain_seconds + _JOIN_SECONDS)

    def _check_room(self, plan: StreamPlan, overview: Overview) -> None:
        room = sum(engine.headroom_streams for engine in self.engines())
        waiting = sum(unit.owner is None and not unit.paused for unit in overview.units)
        if any(row.alive and row.state.get("ready") for row in overview.engines) and room - waiting < 1:
            raise CapacityError(
                "capacity exceeded",
                stream=plan.id,
                why=f"no engine of the cluster has room for one more stream ({waiting} wait already)",
                remedy="remove or pause streams, judge less of them, or add an engine or a machine",
                headroom_streams=0,
            )

    # The thread.

    def _run(self, listener: FleetListener) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._ask(listener)
            except StoreError as error:
                self._note(error.line())
            except Exception as error:  # whatever Ray raises while its head is away: the engines go on all the same
                log.exception("the engines could not be asked")
                self._note(f"the engines could not be asked: {error}")
            self._stop.wait(max(0.05, ASK_SECONDS - (time.monotonic() - began)))

    def _note(self, problem: str | None) -> None:
        with self._lock:
            self._problem = problem

    def _ask(self, listener: FleetListener) -> None:
        overview = self._owners.overview()
        reports = self._link.reports(self._since)
        with self._lock:
            self._overview = overview
            self._reports = {**self._reports, **reports}
            for gone in self._reports.keys() - {row.name for row in overview.engines}:
                del self._reports[gone]
        self._note(None)
        for name, report in reports.items():
            if report.news.missed:
                log.warning("%d reports of %s were not seen in time (they are kept all the same)",
                            report.news.missed, name)  # fmt: skip
            self._since[name] = report.news.until
            for kind, arguments in report.news.items:
                if kind == "second":
                    listener.on_second(*arguments)
                elif kind == "recorded":
                    listener.on_recorded(*arguments)
                else:
                    listener.on_shadow(*arguments)
        self._tell_statuses(listener)

    def _tell_statuses(self, listener: FleetListener) -> None:
        statuses = self.statuses()
        for stream, status in statuses.items():
            before = self._told.get(stream)
            if before is None or _seen(before) != _seen(status):
                self._told[stream] = status
                listener.on_status(status)
        for gone in self._told.keys() - statuses.keys():
            del self._told[gone]


def _seen(status: StreamStatus) -> tuple[object, ...]:
    return (status.state, status.cause, status.detail, status.engine, status.session, status.sampling)


def _status(units: list[UnitRow], reports: Mapping[str, Report], overview: Overview) -> StreamStatus:
    """One status of all units of a stream: the worst of them, with what the others add."""
    found = [_unit_status(unit, reports, overview) for unit in sorted(units, key=lambda unit: unit.part)]
    worst = max(found, key=lambda status: _RANK.get(status.state, 0))
    if len(found) == 1:
        return worst
    seen = next((status for status in found if status.video is not None), worst)
    return replace(
        worst,
        video=worst.video or seen.video,
        audio=worst.audio or next((status.audio for status in found if status.audio), None),
        sessions=tuple(status.session for status in found if status.session),
        engine=", ".join(dict.fromkeys(status.engine for status in found if status.engine)),
        sync=next((status.sync for status in found if status.sync is not None), None),
    )


# Of the parts of one stream, the state that counts.
_RANK: Final[Mapping[str, int]] = {
    "running": 0, "ended": 1, "paused": 2, "starting": 3, "stalled": 4, "shed": 5, "quarantined": 6, "failed": 7,
}  # fmt: skip


def _unit_status(unit: UnitRow, reports: Mapping[str, Report], overview: Overview) -> StreamStatus:
    owner = overview.owner(unit)
    if unit.paused and owner is None:
        return StreamStatus(unit.stream, "paused", unit.owned_from)
    if owner is None:
        if unit.refused is not None:
            return StreamStatus(unit.stream, "shed", unit.owned_from, cause="capacity_exceeded", detail=unit.refused)
        cause = "engine_lost" if unit.owner is not None else "engine_starting"
        detail = f"engine {unit.owner} is lost; another one takes over" if unit.owner is not None else ""
        return StreamStatus(unit.stream, "starting", overview.now, cause=cause, detail=detail)
    report = reports.get(owner.name)
    said = report.statuses.get(unit.key) if report is not None and report.incarnation == owner.incarnation else None
    if said is None:
        return StreamStatus(unit.stream, "starting", unit.owned_from, cause="engine_starting", engine=owner.name)
    return said
