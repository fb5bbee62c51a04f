"""The actors: what Ray starts, places, restarts, and finds by name.

- *Engine*: one for each GPU, or each share that `cluster.resources` names; named, detached, spread over the nodes. Ray
  restarts it for ever, where there is room for it. Its constructor only starts a thread: what fails there is tried
  again with growing pauses, so that a fault of the database or of the device neither ends the actor for good nor has
  it restarted without a pause.
- *Coordinator*: one, named, detached, restarted for ever. It decides who judges what (coordinator.py), and sees that
  there are as many engines as there are to be.

No picture and no packet goes through Ray: engines open their streams themselves, and keep what they find themselves.
"""

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

import ray
from ray.actor import ActorHandle

from engine.cluster.coordinator import Coordinator
from engine.cluster.feed import BEGINNING
from engine.cluster.last_will import LastWill, started
from engine.cluster.member import Member, Report, release
from engine.cluster.placement import Limits
from engine.cluster.setup import Written, engine_folder, make_member
from engine.config import Config
from engine.errors import AvjuryError
from engine.ingest.backoff import Backoff
from engine.service import logs
from engine.store.database import Database
from engine.store.owners import Owners

NAMESPACE: Final = "avjury"
COORDINATOR: Final = "coordinator"
# An engine that answers nothing holds up nobody: who asks goes on without it.
ANSWER_SECONDS: Final = 1.5
_LOOK_SECONDS: Final = 2.0
_SCALE_SECONDS: Final = 10.0
_FORGET_SECONDS: Final = 60.0
# Longer than an engine takes to start on a machine that has too much to do.
_STUCK_SECONDS: Final = 300.0
_REPLACE_SECONDS: Final = 20.0

log = logging.getLogger(__name__)


class EngineActor:
    """An engine of the cluster, in a process of its own.

    Args:
        name: see Member.
        configuration: as it was written.
    """

    def __init__(self, name: str, configuration: Written) -> None:
        logs.configure("text", "info")  # to stderr, which Ray keeps for each process
        self._name = name
        self._configuration = configuration
        self._member: Member | None = None
        self._will: LastWill | None = None
        self._problem = "it is starting"
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="engine actor").start()

    def _run(self) -> None:
        take_turns_fairly()
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                config = self._configuration.load()
                if self._will is None:
                    process = (os.getpid(), started(os.getpid()))
                    self._will = LastWill(str(config.storage.database), self._name, process)
                context = ray.get_runtime_context()
                member = make_member(
                    self._name,
                    context.get_node_id(),
                    _labels_here(),
                    config,
                    engine_folder(config, self._name),
                    self._will.name_life,
                )
                member.start()
                self._member = member
                break
            except AvjuryError as error:
                self._problem = error.line()
                log.error("engine %s cannot start, and tries again: %s", self._name, error.line())
                self._stop.wait(backoff.next())
        while not self._stop.wait(1.0):
            if self._member is not None and not self._member.alive:
                # A bug: nothing of it can be trusted any more. Ray starts another process.
                log.critical("engine %s ends: %s", self._name, self._member.failure)
                os._exit(1)

    def report(self, since: tuple[str, int]) -> Report | None:
        """See Member.report; None while it starts."""
        return None if self._member is None else self._member.report(since)

    def thumbnail(self, stream: str, part: int) -> bytes | None:
        """See Member.thumbnail."""
        return None if self._member is None else self._member.thumbnail(stream, part)

    def problem(self) -> str:
        """Why it does not judge yet, for people; "" where it does."""
        return self._problem if self._member is None else ""

    def pid(self) -> int:
        """Of its process."""
        return os.getpid()

    def node(self) -> str:
        """The node that it runs on, by Ray's id."""
        return str(ray.get_runtime_context().get_node_id())

    def stop(self, drain_seconds: float) -> None:
        """End in order: what was judged is kept, what is owned is free. The actor itself is to be killed after it."""
        self._stop.set()
        if self._member is not None:
            self._member.stop(drain_seconds)
        if self._will is not None:
            self._will.revoke()


class CoordinatorActor:
    """The coordinator, in a process of its own.

    Args:
        configuration: as it was written.
    """

    def __init__(self, configuration: Written) -> None:
        logs.configure("text", "info")
        self._configuration = configuration
        self._coordinator: Coordinator | None = None
        self._problem = "it is starting"
        self._asked: tuple[float, int] = (0.0, 0)
        self._missing: dict[str, float] = {}  # by name of the engine, monotonic seconds since which it is not there
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="coordinator actor").start()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                config = self._configuration.load()
                owners = Owners(Database(str(config.storage.database)))
                coordinator = Coordinator(owners, limits_of(config), self._scaler(config))
                coordinator.start()
                self._coordinator = coordinator
                break
            except AvjuryError as error:
                self._problem = error.line()
                log.error("the coordinator cannot start, and tries again: %s", error.line())
                self._stop.wait(backoff.next())
        while not self._stop.wait(_LOOK_SECONDS):
            if self._coordinator is not None and not self._coordinator.alive:
                log.critical("the coordinator's thread has ended")
                os._exit(1)
            with contextlib.suppress(Exception):  # Ray's head is away: the engines are there all the same
                self._see_to_engines(config, owners)

    def _see_to_engines(self, config: Config, owners: Owners) -> None:
        """Have as many engines as there are to be. Where there is no room, Ray has the actor wait for it.

        An engine whose node is gone for long, and in whose place there is another one, is waited for no more: else the
        autoscaler would start a node for it.
        """
        rows = owners.engines()
        names = engines_to_have(engines_wanted(config, _there()), {row.name for row in rows if row.alive})
        for name in names:
            engine_actor(name, self._configuration, config)
        alive = {row.name for row in rows if row.alive}
        now = time.monotonic()
        missing = {*names, *(row.name for row in rows)} - alive
        self._missing = {name: self._missing.get(name, now) for name in missing}
        for name in [name for name, since in self._missing.items() if now - since > _FORGET_SECONDS]:
            if name not in names:
                log.info("engine %s is gone for good, and waited for no more", name)
                _end_actor(name)
                owners.forget(name)
            elif now - self._missing[name] > _STUCK_SECONDS and _has_room(config) and not _answers(name):
                # Ray has been seen to leave an actor waiting for ever that died while its head came back.
                log.warning("engine %s waits for room though there is some, and is started anew", name)
                _end_actor(name)
                self._missing[name] = now

    def _scaler(self, config: Config) -> Callable[[float, float], None]:
        """Asks Ray's autoscaler for room, where that is wanted."""

        def scale(wanted: float, each: float) -> None:
            if config.cluster.most_engines is None:
                return
            there = engines_wanted(config, _there())
            more = -int(-wanted // max(each, 1.0))
            count = min(config.cluster.most_engines, there + more)
            at, before = self._asked
            # A request stands until another one takes its place; what it was for takes minutes.
            if count != before and (count > before or time.monotonic() - at > _SCALE_SECONDS):
                from ray.autoscaler.sdk import request_resources

                request_resources(bundles=[dict(_resources(config, _there()))] * count)
                self._asked = (time.monotonic(), count)
                log.info("asked for room for %d engines", count)

        def quietly(wanted: float, each: float) -> None:
            with contextlib.suppress(Exception):  # no autoscaler, or its head is away: nothing else hangs on it
                scale(wanted, each)

        return quietly

    def tally(self) -> Mapping[str, float]:
        """What was done since it began."""
        if self._coordinator is None:
            return {}
        tally = self._coordinator.tally
        return {
            "given": tally.given,
            "moves": tally.moves,
            "refused": tally.refused,
            "rounds": tally.rounds,
            "slowest_seconds": tally.slowest_seconds,
            "wanted": tally.wanted,
        }

    def pid(self) -> int:
        """Of its process."""
        return os.getpid()

    def made_from(self) -> tuple[str, Written]:
        """The release that it is of, and the configuration that it has."""
        return release(), self._configuration

    def stop(self) -> None:
        """End in order. The actor itself is to be killed after it."""
        self._stop.set()
        if self._coordinator is not None:
            self._coordinator.stop()


def take_turns_fairly() -> None:
    """Give this thread, and what it starts, the priority of an ordinary process: Ray's workers have the lowest but a
    few, so that an engine, which has no time to lose, waits for whatever else has something to do. Where the user may
    not, the log says what is to be done."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness <= 0:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except PermissionError:
        log.warning(
            "this engine has niceness %d, and is late where anything else is busy: start Ray's nodes with "
            "RAY_worker_niceness=0",
            niceness,
        )


def connect(config: Config, **options: Any) -> None:
    """Be a client of the Ray cluster that the configuration names."""
    if not ray.is_initialized():
        ray.init(
            address=config.cluster.address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, **options
        )
        listen_to_no_errors()


def listen_to_no_errors() -> None:
    """End the thread by which a client of Ray prints the errors of other processes.

    While Ray's head is away its question is answered at once by nothing, and it asks again without a pause (Ray 2.60,
    ray/_private/worker.py): that takes a core of the machine, and this process's interpreter, for all that time. The
    errors are in Ray's logs, and what matters of them in ours.
    """
    from ray._private.worker import global_worker

    global_worker.threads_stopped.set()


def limits_of(config: Config) -> Limits:
    """How much is done at a time."""
    section = config.cluster
    return Limits(section.fill, section.moves, section.spread, section.dwell_seconds)


def engine_name(number: int) -> str:
    """Of an engine actor, and of its engine."""
    return f"engine-{number}"


def engines_wanted(config: Config, resources: Mapping[str, float]) -> int:
    """How many engines there are to be: as configured, else as many as the resources that each takes allow, else one.

    Args:
        resources: of all nodes.
    """
    if config.cluster.engines is not None:
        return config.cluster.engines
    each = _resources(config, resources)
    if not config.cluster.resources and "GPU" not in each:
        return 1  # without a GPU one engine has a machine's cores
    room = [int(resources.get(name, 0) / amount) for name, amount in each.items() if amount > 0]
    return max(1, min(room, default=1))


def engines_to_have(wanted: int, alive: Collection[str]) -> list[str]:
    """The names of engines that there are to be: those that live, and so many more."""
    names = sorted(alive)
    for number in itertools.count():
        if len(names) >= wanted:
            return names
        if engine_name(number) not in alive:
            names.append(engine_name(number))
    raise AssertionError  # numbers do not end


def engine_actor(name: str, configuration: Written, config: Config) -> ActorHandle[Any]:
    """The actor of that name; started where there is none."""
    asked = dict(_resources(config, _there()))
    options: dict[str, Any] = {
        "num_gpus": asked.pop("GPU", 0),
        "num_cpus": asked.pop("CPU", 0),
        "resources": asked,
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": 4,
        "scheduling_strategy": "SPREAD",
    }
    handle: ActorHandle[Any] = ray.remote(EngineActor).options(**options).remote(name, configuration)  # type: ignore[assignment]
    return handle


def coordinator_actor(configuration: Written) -> ActorHandle[Any]:
    """The coordinator; started where there is none."""
    options: dict[str, Any] = {
        "num_cpus": 0,
        "name": COORDINATOR,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": 4,
    }
    handle: ActorHandle[Any] = ray.remote(CoordinatorActor).options(**options).remote(configuration)  # type: ignore[assignment]
    return handle


def present_coordinator(configuration: Written) -> ActorHandle[Any]:
    """The coordinator of this release and configuration; one of another release or configuration makes room for it."""
    handle = coordinator_actor(configuration)
    try:
        made_from: Any = ray.get(handle.made_from.remote(), timeout=_REPLACE_SECONDS)
    except (AttributeError, ray.exceptions.RayError):
        made_from = None  # of a release that cannot tell, or it hangs
    if made_from == (release(), configuration):
        return handle
    log.info("the coordinator is of another release or configuration, and is replaced")
    with contextlib.suppress(ray.exceptions.RayError):
        ray.wait([handle.stop.remote()], timeout=_LOOK_SECONDS)
        ray.kill(handle)
    until = time.monotonic() + _REPLACE_SECONDS
    while actor(COORDINATOR) is not None and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS / 10)
    return coordinator_actor(configuration)


def actor(name: str) -> ActorHandle[Any] | None:
    """The actor of that name; None where there is none, or Ray does not answer."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _end_actor(name: str) -> None:
    handle = actor(name)
    if handle is not None:
        ray.kill(handle)


def _answers(name: str) -> bool:
    """Whether an engine's actor runs: one that waits for room answers nothing."""
    handle = actor(name)
    if handle is None:
        return False
    try:
        ray.get(handle.pid.remote(), timeout=_REPLACE_SECONDS)
    except ray.exceptions.RayError:
        return False
    return True


def _has_room(config: Config) -> bool:
    """Whether the nodes have what an engine takes, and nobody uses it."""
    ask: Any = ray.available_resources  # it has no types
    free: Mapping[str, float] = ask()
    return all(free.get(name, 0.0) >= amount for name, amount in _resources(config, _there()).items())


def _there() -> Mapping[str, float]:
    """What the nodes of the cluster have in all."""
    ask: Any = ray.cluster_resources  # it has no types
    return ask()  # type: ignore[no-any-return]


def _resources(config: Config, there: Mapping[str, float]) -> Mapping[str, float]:
    if config.cluster.resources:
        return config.cluster.resources
    return {"GPU": 1.0} if there.get("GPU", 0) >= 1 else {"CPU": 1.0}


def _labels_here() -> dict[str, str]:
    """The labels of this node, as `ray start --labels` gave them."""
    node = ray.get_runtime_context().get_node_id()
    nodes: Any = ray.nodes  # it has no types
    for one in nodes():
        if one["NodeID"] == node:
            return {name: str(value) for name, value in one.get("Labels", {}).items() if not name.startswith("ray.io/")}
    return {}


class RayLink:
    """The way to the engines' actors; see fleet.Link.

    Args:
        owners: the tables, for the engines' names.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._handles: dict[str, ActorHandle[Any]] = {}

    def reports(self, since: Mapping[str, tuple[str, int]]) -> Mapping[str, Report]:
        """What every engine that answers says."""
        asked: dict[Any, str] = {}
        for engine in self._owners.engines():
            handle = self._handle(engine.name) if engine.alive else None
            if handle is not None:
                asked[handle.report.remote(since.get(engine.name, BEGINNING))] = engine.name
        if not asked:
            return {}
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        found: dict[str, Report] = {}
        for reference in answered:
            try:
                report = ray.get(reference)
            except ray.exceptions.RayError:
                self._handles.pop(asked[reference], None)  # it died: the next question finds its successor
                continue
            if report is not None:
                found[asked[reference]] = report
        return found

    def thumbnail(self, engine: str, stream: str, part: int, timeout_seconds: float) -> bytes | None:
        """A JPEG of what a stream shows now; None where its engine does not answer in time."""
        handle = self._handle(engine)
        if handle is None:
            return None
        try:
            jpeg: Any = ray.get(handle.thumbnail.remote(stream, part), timeout=timeout_seconds)
        except ray.exceptions.RayError:
            return None
        return cast("bytes | None", jpeg)

    def _handle(self, name: str) -> ActorHandle[Any] | None:
        if name not in self._handles:
            handle = actor(name)
            if handle is None:
                return None
            self._handles[name] = handle
        return self._handles[name]
