"""One engine of a cluster: a fleet of one group, with the store of what it finds, under what the database says it owns.

Run by: the process of an actor (engine/cluster/actors.py), or a test. The thread `member` registers the engine, renews
its lease, reads what it owns, has its fleet judge that and what it is to take over, and takes it over once it is
judged. It ends by `stop`: the fleet is drained, what it reported is written, and what it owned is free at once. If the
process is killed, its fleet's processes end with it (parent-death signal), and its lease ends by itself. While the
database is away everything is judged as before, and what is found waits in the gate until it is read that nobody else
owned it.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from engine.cluster.capacity import LEAST_SHARE, capacity, network_share, received
from engine.cluster.feed import Feed, News
from engine.cluster.gate import Gate, Owned
from engine.cluster.last_will import started
from engine.cluster.plans import local_name, plan_from
from engine.config import Config
from engine.errors import AvjuryError, CapacityError, StoreError
from engine.service.contract import EngineStatus, Fleet, StreamPlan, StreamStatus
from engine.service.evidence_files import KeepsEvidence
from engine.service.gpu_metrics import GpuMetrics
from engine.service.maintenance import suppressed
from engine.service.recorder import Recorder
from engine.service.sinks import VerdictSink
from engine.settings.maintenance import Window
from engine.store.owners import LATE_SECONDS, NOTICE_SECONDS, Mine, Owners, UnitRow
from engine.store.sql import Store

POLL_SECONDS: Final = 0.5
RENEW_SECONDS: Final = 1.5
# A stream that is to be taken over and is not judged after so long is taken over all the same: its source is at fault.
PATIENCE_SECONDS: Final = 10.0
_REGISTER_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemberParts:
    """What a member is made of.

    Args:
        store: the database that all engines share.
        fleet: of one group.
        verdicts: the store of stream-seconds.
        evidence: where evidence is kept.
    """

    store: Store
    fleet: Fleet
    verdicts: VerdictSink
    evidence: KeepsEvidence


@dataclass(frozen=True, slots=True)
class Report:
    """What a member says of itself to who shows it.

    Args:
        name, incarnation: whose report.
        statuses: of what it owns, by stream and part.
        engine: how its engine is.
        news: since the last question.
        dropped: reports that were not its own, by why.
    """

    name: str
    incarnation: int
    statuses: Mapping[tuple[str, int], StreamStatus]
    engine: EngineStatus | None
    news: News
    dropped: Mapping[str, int] = field(default_factory=dict)


class Member:
    """An engine that has not started yet.

    Args:
        name: unique in the cluster, and the same after a restart.
        node: of the cluster, by its id.
        labels: that streams may ask for.
        config: of the cluster.
        parts: see MemberParts.
        begun: told the number of each life that it begins, before it owns anything in it.
    """

    def __init__(
        self,
        name: str,
        node: str,
        labels: Mapping[str, str],
        config: Config,
        parts: MemberParts,
        begun: Callable[[int], None] = lambda incarnation: None,
    ) -> None:
        self.name = name
        self.incarnation = 0
        self._node = node
        self._labels = dict(labels)
        self._slots = config.processes.streams_per_engine
        self._parts = parts
        self._begun = begun
        self._owners = Owners(parts.store.database)
        self.feed = Feed()
        self._offset = 0.0  # the database's clock less this machine's, seconds
        self._recorder = Recorder(
            parts.store.incidents,
            parts.evidence,
            muted=self._muted,
            recorded=self.feed.on_recorded,
            backlog=config.service.recorder_backlog,
            counts=self._counts,
        )
        self.gate = Gate(self.feed.beyond(self._recorder, parts.verdicts))
        self._plans: dict[str, tuple[int, StreamPlan]] = {}  # by name in the fleet: revision and plan as applied
        self._windows: Mapping[str, tuple[Window, ...]] = {}  # by stream
        self._quiet: set[str] = set()  # by name in the fleet, of whose incidents nobody is told now
        self._mine: Mine | None = None
        self._renewed = 0.0
        self._nvml = GpuMetrics()
        self._traffic: tuple[float, int] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="member")
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start everything; the engine registers itself as soon as it may."""
        self._recorder.start()
        self._parts.verdicts.start()
        self._parts.fleet.start(self.gate)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, drain_seconds: float) -> None:
        """Drain, write what is left, and give back what is owned."""
        until = time.monotonic() + drain_seconds
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        self._parts.fleet.stop(max(0.5, until - time.monotonic() - 2.0))
        self._recorder.stop(max(0.5, until - time.monotonic()))
        self._parts.verdicts.stop(max(0.5, until - time.monotonic()))
        if self.incarnation:
            try:
                self._owners.leave(self.name, self.incarnation)
            except StoreError as error:
                log.warning("the lease could not be given back, and ends by itself: %s", error.line())

    def report(self, since: tuple[str, int]) -> Report:
        """How it is, and what happened since.

        Args:
            since: `News.until` of the last report; `feed.BEGINNING` at first.
        """
        statuses = self._parts.fleet.statuses()
        mine = self._mine
        owned = {} if mine is None else {u.key: u for u in mine.units if self._is_owner(u)}
        shown: dict[tuple[str, int], StreamStatus] = {}
        for key in owned:
            status = statuses.get(local_name(*key))
            if status is not None:
                shown[key] = replace(status, id=key[0], engine=self.name)
        engines = self._parts.fleet.engines()
        engine = replace(engines[0], name=self.name) if engines else None
        return Report(self.name, self.incarnation, shown, engine, self.feed.since(since), dict(self.gate.dropped))

    def thumbnail(self, stream: str, part: int) -> bytes | None:
        """A JPEG of what a stream shows now; None without pictures."""
        return self._parts.fleet.thumbnail(local_name(stream, part))

    # The thread.

    def _run(self) -> None:
        away = False
        try:
            while not self._stop.is_set():
                try:
                    if self.incarnation == 0:
                        self._register()
                    else:
                        self._round()
                    if away:
                        log.info("the database is there again")
                    away = False
                except StoreError as error:
                    if not away:
                        log.error("the database is away, and what is found waits: %s", error.line())
                    away = True
                self._stop.wait(POLL_SECONDS if self.incarnation else _REGISTER_SECONDS)
        except BaseException as error:
            self.failure = error
            raise

    def _register(self) -> None:
        before = self._owners.engine(self.name)
        died = before is not None and _is_gone(before.process)
        incarnation = self._owners.register(self.name, self._node, _this_process(), self._labels, died=died)
        if incarnation is None:
            return  # the one before may live: its lease has to end
        self._begun(incarnation)
        self.incarnation = incarnation
        self._renewed = time.monotonic()
        log.info("engine %s begins its life number %d", self.name, incarnation)

    def _round(self) -> None:
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            if not self._owners.renew(self.name, self.incarnation, self._state()):
                self._begin_anew("another process has its name")
                return
            self._renewed = time.monotonic()
        asked = time.time()
        mine = self._owners.mine(self.name, self.incarnation)
        self._offset = mine.now - (asked + time.time()) / 2
        if mine.lease_until == 0.0:
            self._begin_anew("another process has its name")
            return
        self._mine = mine
        self._judge(mine)
        self._open_gate(mine)
        self._take_over(mine)

    def _begin_anew(self, why: str) -> None:
        log.error("engine %s stops: %s", self.name, why)
        for name in list(self._plans):
            self._parts.fleet.remove(name)
        self._plans.clear()
        self._mine = None
        self.gate.update({}, time.time())
        self.incarnation = 0

    def _judge(self, mine: Mine) -> None:
        """Have the fleet judge what is owned, what is to be taken over, and what was owned until a moment ago."""
        wanted = {
            local_name(*unit.key): unit
            for unit in mine.units
            if self._is_owner(unit) or self._is_next(unit) or mine.now < unit.owned_from + LATE_SECONDS
        }
        changed = [
            unit.key
            for name, unit in wanted.items()
            if name not in self._plans or self._plans[name][0] != unit.revision
        ]
        plans = self._owners.plans(changed) if changed else {}
        for key in changed:
            if key in plans:
                self._apply(wanted[local_name(*key)], plans[key])
        for name in [one for one in self._plans if one not in wanted]:
            del self._plans[name]
            self._parts.fleet.remove(name)
        self._windows = {
            plan.id: tuple(Window.model_validate(dict(window)) for window in plan.windows)
            for _, plan in self._plans.values()
            if plan.windows
        }
        now = time.time()
        quiet = {name for name, (_, plan) in self._plans.items() if self._muted(plan.id, now)}
        if quiet != self._quiet:
            self._quiet = quiet
            self._parts.fleet.unheeded(quiet)

    def _apply(self, unit: UnitRow, kept: Mapping[str, Any]) -> None:
        name = local_name(*unit.key)
        plan = plan_from(kept)
        try:
            self._parts.fleet.apply(replace(plan, id=name, group="", reference=self._local_reference(plan)))
        except CapacityError as error:
            log.warning("%s does not fit: %s", unit.stream, error.line())
            if self._is_owner(unit):
                self._owners.refuse({unit.key: (unit.epoch, error.line())})
            else:
                self._owners.forgo([unit.key])
        except AvjuryError as error:
            log.error("%s cannot be judged: %s", unit.stream, error.line())
            self._owners.refuse({unit.key: (unit.epoch, error.line())})
        else:
            self._plans[name] = (unit.revision, plan)

    def _local_reference(self, plan: StreamPlan) -> str | None:
        return None if plan.reference is None else local_name(plan.reference, 0)

    def _open_gate(self, mine: Mine) -> None:
        known_until = min(mine.now + NOTICE_SECONDS, mine.lease_until) - self._offset
        owned = {}
        for unit in mine.units:
            if self._is_owner(unit):
                owned[local_name(*unit.key)] = Owned(unit.owned_from - self._offset, float("inf"))
            elif (unit.before, unit.before_incarnation) == (self.name, self.incarnation):
                owned[local_name(*unit.key)] = Owned(unit.before_from - self._offset, unit.owned_from - self._offset)
            else:
                owned[local_name(*unit.key)] = Owned(float("inf"), float("inf"))
        self.gate.update(owned, known_until)

    def _take_over(self, mine: Mine) -> None:
        """What it was to get ready for, and is judged by now."""
        waiting = [unit for unit in mine.units if self._is_next(unit)]
        if not waiting:
            return
        statuses = self._parts.fleet.statuses()
        ready: dict[tuple[str, int], int] = {}
        for unit in waiting:
            status = statuses.get(local_name(*unit.key))
            late = mine.now - unit.next_since > PATIENCE_SECONDS
            if status is not None and (status.state == "running" or late):
                ready[unit.key] = unit.epoch
        if ready:
            self._owners.take_over(self.name, self.incarnation, ready)

    def _is_owner(self, unit: UnitRow) -> bool:
        return (unit.owner, unit.owner_incarnation) == (self.name, self.incarnation)

    def _is_next(self, unit: UnitRow) -> bool:
        return (unit.next, unit.next_incarnation) == (self.name, self.incarnation)

    # What it says.

    def _state(self) -> dict[str, Any]:
        engines = self._parts.fleet.engines()
        if not engines:
            return {"ready": False, "detail": "the fleet is starting", "release": release()}
        engine = engines[0]
        shares = {"loop": engine.load} | self._shares(engine.device)
        can = capacity(engine.streams, self._slots, shares)
        # The engine itself knows best when it is full.
        full = engine.up and engine.load >= LEAST_SHARE
        streams = min(can.streams, engine.streams + engine.headroom_streams) if full else can.streams
        return {
            "ready": engine.up and self._parts.fleet.ready() is None,
            "detail": engine.detail,
            "streams": engine.streams,
            "load": engine.load,
            "capacity": streams,
            "binds": can.binds if streams >= can.streams else "loop",
            "device": engine.device,
            "release": release(),
        }

    def _shares(self, device: str) -> dict[str, float]:
        """Share in use of what the engine's load does not show."""
        found: dict[str, float] = {}
        try:
            traffic = (time.monotonic(), received(Path("/proc/net/dev").read_text()))
        except OSError:
            traffic = None
        if traffic is not None and self._traffic is not None:
            share = network_share(self._traffic, traffic, _link_bits())
            if share is not None:
                found["network"] = share
        self._traffic = traffic
        if device.startswith("cuda"):
            used = self._nvml.used(int(device.partition(":")[2] or 0))
            if used is not None:
                found |= used
        return found

    def _muted(self, stream: str, at: float) -> bool:
        windows = self._windows.get(stream)
        return windows is not None and suppressed(windows, at)

    def _counts(self, connection: Connection, *, stream: str, at: float) -> bool:
        return self._owners.counts(connection, stream, self.name, self.incarnation, at + self._offset)


@functools.cache
def release() -> str:
    """The release that this process runs; "" where it is not installed."""
    try:
        return version("avjury")
    except PackageNotFoundError:
        return ""


def _this_process() -> dict[str, Any]:
    return {"boot": _boot(), "pid": os.getpid(), "started": started(os.getpid())}


def _is_gone(process: Mapping[str, Any]) -> bool:
    """Whether that process is known not to run any more: it was one of this machine, in this run of it."""
    if process.get("boot") != _boot():
        return False
    return started(int(process.get("pid", 0))) != process.get("started")


def _boot() -> str:
    try:
        # In a container the machine's boot is shared, its processes are not: the namespace tells them apart.
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _link_bits() -> float | None:
    """Bits per second of the fastest link that is up; None where the kernel does not say."""
    speeds = []
    for link in Path("/sys/class/net").glob("*"):
        try:
            speeds.append(int((link / "speed").read_text()))
        except (OSError, ValueError):
            continue
    fastest = max(speeds, default=0)
    return fastest * 1e6 if fastest > 0 else None
