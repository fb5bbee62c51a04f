"""The service: its parts put together, started in order, and ended in the opposite order within a limit.

Run by: the main thread, which owns the signals and the API's event loop. SIGTERM and SIGINT end the service: the fleet
finishes, what it reported is written, incidents that are open stay open for the next start. SIGHUP reads the
configuration again. A second SIGTERM or SIGINT ends at once. If a part dies, /healthz says so; whoever started the
service starts it again.
"""

import asyncio
import contextlib
import faulthandler
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final

import uvicorn

from engine import heap
from engine.config import Config
from engine.configured import Known, load_config
from engine.errors import AvjuryError, ConfigError, StoreError
from engine.service import logs
from engine.service.api.app import make_app
from engine.service.auth import Gate
from engine.service.canary import Canary, CanaryListener
from engine.service.contract import FleetListener
from engine.service.core import Core
from engine.service.events import EventHub
from engine.service.health import Health
from engine.service.history import History
from engine.service.housekeeper import Housekeeper
from engine.service.listener import Listener, recorded
from engine.service.makers import DEFAULT_MAKERS, Makers
from engine.service.metrics import ServiceCollector, registry
from engine.service.open_incidents import OpenIncidents
from engine.service.parts import Parts
from engine.service.probe import Prober
from engine.service.recorder import Recorder
from engine.service.reload import Reload
from engine.service.reserve import Reserve
from engine.service.sessions import Sessions, session_key
from engine.service.shadow import Shadow, ShadowListener
from engine.service.wall import Wall
from engine.store.database import sqlite_url
from engine.store.records import Recorded
from engine.store.sql import Store, nobody

TICK_SECONDS: Final = 0.5
# Of the time to drain: what the API's last answers, and the last writes, may take.
ANSWERS_SECONDS: Final = 1.0
WRITES_SECONDS: Final = 2.0
# Beyond the time to drain, before a service that hangs is ended.
OVERTIME_SECONDS: Final = 5.0
# Some tools signal a process and then its group: that is no second wish.
IMPATIENT_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


def serve(
    config_path: Path | None, *, data: Path | None = None, listen: str | None = None, makers: Makers = DEFAULT_MAKERS
) -> None:
    """Run the service until a signal ends it.

    Args:
        config_path: the operator's file; None for the environment alone.
        data: the data folder, in place of `service.data`.
        listen: HOST:PORT, in place of `service.listen`; port 0 takes a free one.
        makers: of the parts that may be another's.
    Raises: ConfigError; StoreError.
    """
    heap.use_few_arenas()
    config, known = load_config(config_path)
    host, port = _address(listen or config.service.listen)
    gate = Gate(config.auth, host)
    folder = data or Path(config.service.data)
    handler = logs.configure(config.service.log_format, config.service.log_level)
    try:
        with _locked(folder), _bound(host, port) as bound:
            if Reserve(folder).take():
                log.error("the disk of %s is full: the reserve is used up to start at all", folder)
            service = Service(config, known, config_path, folder, gate, makers)
            asyncio.run(service.run(bound))
    finally:
        logs.remove(handler)


class Service:
    """A service that has not started yet.

    Args:
        config, known: as loaded.
        config_path: to load it again from.
        data: the data folder, which is there and locked.
        gate: who may call.
        makers: of the parts that may be another's.
    Raises: StoreError if the database cannot be opened.
    """

    def __init__(
        self,
        config: Config,
        known: Known,
        config_path: Path | None,
        data: Path,
        gate: Gate,
        makers: Makers,
    ) -> None:
        settings = config.service
        self._ending = asyncio.Event()
        self._ended_at = 0.0
        self._running: set[str] = set()
        self._drain_seconds = settings.drain_seconds
        self._max_connections = settings.max_connections
        self._notifier = makers.notifier(config)
        url = getattr(config.storage, "database", None) or sqlite_url(data / "avjury.db")
        self._store = Store(
            url,
            route=nobody if self._notifier is None else self._notifier.route,
            damping_seconds=settings.damping_seconds,
        )
        self._verdicts, seconds = makers.verdicts(config, data)
        self._fleet = makers.fleet(config, data)
        self._hub = EventHub(settings.event_backlog, settings.max_event_clients)
        self._open = OpenIncidents(self._store.incidents.open_incidents())
        files = makers.evidence(config, data)
        self._core = Core(config, known, self._store.streams, self._fleet)
        take = recorded(self._hub, self._open)
        self._recorder = Recorder(
            self._store.incidents,
            files,
            muted=self._core.suppressed,
            recorded=take,
            backlog=settings.recorder_backlog,
        )
        self._history = History(data / "history", settings.history_hours)
        self._wall = Wall(self._core, self._open)
        self._listener = Listener(self._recorder, self._verdicts, self._hub, (self._history.put, self._wall.put), take)
        self._shadow = Shadow(data, self._core)
        self._canary = Canary(config.canary, data / "canary", self._fleet) if config.canary.enabled else None
        self._housekeeper = Housekeeper(
            data,
            self._store,
            self._core,
            self._fleet,
            self._hub,
            self._open,
            lambda record: take(Recorded(record, "closed")),
            self._forget_all_but,
        )
        self._reload = Reload(config_path, self._core, gate, self._notifier)
        self._health = Health(
            data,
            lambda: self._core.config.service.min_free_bytes,
            self._store,
            self._fleet,
            lambda: self._recorder.away,
            self._verdicts.problem,
            {"recorder": lambda: self._recorder.alive, "housekeeper": lambda: self._housekeeper.alive},
        )
        collector = ServiceCollector(
            self._core,
            self._fleet,
            self._recorder,
            self._verdicts,
            self._notifier,
            self._hub,
            self._open,
            self._reload,
            self._health.ready,
            self._canary,
        )
        self._gate = gate
        self.parts = Parts(
            data=data,
            core=self._core,
            fleet=self._fleet,
            store=self._store,
            seconds=seconds,
            files=files,
            hub=self._hub,
            open_incidents=self._open,
            gate=gate,
            health=self._health,
            reload=self._reload,
            prober=Prober(),
            registry=registry(collector),
            sessions=Sessions(gate, session_key(data)),
            history=self._history,
            wall=self._wall,
            shadow=self._shadow,
            notifier=self._notifier,
            canary=self._canary,
        )

    async def run(self, bound: socket.socket) -> None:
        """Serve on a bound socket until a signal comes, or `end`; then drain."""
        ending = self._ending
        server = _Server(
            uvicorn.Config(
                make_app(self.parts),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=self._max_connections,
                timeout_graceful_shutdown=int(ANSWERS_SECONDS),
                h11_max_incomplete_event_size=64 << 10,
            )
        )
        loop = asyncio.get_running_loop()
        self._hub.attach(loop)
        if threading.current_thread() is threading.main_thread():
            self._handle_signals(loop)
        ticking = asyncio.create_task(self._tick())
        try:
            await asyncio.to_thread(self._start)
            self._say_hello(bound)
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            ended = asyncio.create_task(ending.wait())
            await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
            log.info("ending: the fleet finishes, within %g s", self._drain_seconds)
            # From here on nothing may take for ever: what hangs is ended, and says where it hung.
            faulthandler.dump_traceback_later(self._drain_seconds + OVERTIME_SECONDS, exit=True)
            self._health.draining = True
            self._hub.close()
            server.should_exit = True
            await asyncio.gather(serving, asyncio.to_thread(self._drain))
            ended.cancel()
        finally:
            ticking.cancel()
            await asyncio.to_thread(self._drain)  # after a start that failed; else there is nothing left to end
            self._store.close()
            faulthandler.cancel_dump_traceback_later()
        log.info("ended")

    def end(self) -> None:
        """Drain and end; what a first SIGTERM does. From the event loop's thread."""
        if not self._ending.is_set():
            self._ended_at = time.monotonic()
            self._ending.set()
        elif time.monotonic() - self._ended_at >= IMPATIENT_SECONDS:
            log.error("ended by a second signal")
            os._exit(128 + signal.SIGINT)

    def _forget_all_but(self, streams: Container[str]) -> None:
        """Streams that are gone leave nothing behind."""
        self._listener.keep_only(streams)
        self._wall.keep_only(streams)
        self._history.keep_only(self._core.all())

    def _start(self) -> None:
        for part, start in (
            ("recorder", self._recorder.start),
            ("verdicts", self._verdicts.start),
            ("fleet", partial(self._fleet.start, self._heard_by())),
            ("core", self._core.start),
            ("notifier", self._start_notifier),
            ("housekeeper", self._housekeeper.start),
            ("health", self._health.start),
            ("canary", self._start_canary),
        ):
            self._running.add(part)
            start()

    def _heard_by(self) -> FleetListener:
        told = ShadowListener(self._shadow, self._listener)
        return told if self._canary is None else CanaryListener(self._canary.book, told)

    def _start_canary(self) -> None:
        if self._canary is not None:
            self._canary.start()

    def _start_notifier(self) -> None:
        if self._notifier is not None:
            self._notifier.start(self._store)

    def _drain(self) -> None:
        """End what runs: first what reports, then what writes."""
        until = time.monotonic() + self._drain_seconds

        def left(kept: float = 0.0) -> float:
            return max(0.2, until - kept - time.monotonic())

        running, self._running = self._running, set()
        if "canary" in running and self._canary is not None:
            self._canary.stop(1.0)
        if "health" in running:
            self._health.stop(1.0)
        if "housekeeper" in running:
            self._housekeeper.stop(1.0)
        if "fleet" in running:
            self._fleet.stop(left(kept=WRITES_SECONDS))
        if "recorder" in running and not self._recorder.stop(left(kept=WRITES_SECONDS / 2)):
            log.error("%d reports could not be written", self._recorder.backlog)
        if "notifier" in running and self._notifier is not None:
            self._notifier.stop(left())
        if "verdicts" in running and not self._verdicts.stop(left()):
            log.warning("some verdicts wait in the spool for the next start")

    def _say_hello(self, bound: socket.socket) -> None:
        if self._store.set_aside is not None:
            log.error("the database was damaged; it is kept as %s", self._store.set_aside)
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if self._gate.open:
            log.warning("no token is set: whoever is on this machine may do everything (auth.token)")
        log.info("listening on http://%s:%d with %d streams; %d incidents are open",
                 shown, port, len(self._core.all()), sum(self._open.by_detector().values()))  # fmt: skip

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def reload() -> None:
            # Its failure is told where it happens.
            threading.Thread(target=self._reload_quietly, name="reload").start()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def _reload_quietly(self) -> None:
        with contextlib.suppress(AvjuryError):
            self._reload.run()

    async def _tick(self) -> None:
        """Notes how late the loop is; the worst is forgotten slowly."""
        worst = 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            worst = max(time.monotonic() - before - TICK_SECONDS, worst * 0.9)
            self._health.loop_lag_seconds = worst


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError("wrong address", stream=listen, why="it is not HOST:PORT", remedy="write 127.0.0.1:8080")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket.

    Raises: ConfigError if the address is taken, or is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        bound = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            "cannot listen",
            stream=f"{host}:{port}",
            why=error.strerror or str(error),
            remedy="end what listens there, or choose another address (--listen)",
        ) from error
    with bound:
        yield bound


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[IO[str]]:
    """The data folder, for this service alone.

    Raises: StoreError if it cannot be made, or another service has it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "lock").open("a+")
    except OSError as error:
        raise StoreError("cannot use the data folder", stream=str(data), why=error.strerror or str(error),
                         remedy="name another one (--data)") from error  # fmt: skip
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise StoreError("the data folder is in use", stream=str(data),
                             why=f"another service has it (process {file.read().strip() or 'unknown'})",
                             remedy="end that one, or name another folder (--data)") from error  # fmt: skip
        with contextlib.suppress(OSError):  # of a full disk; it only helps people
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield file
