"""One engine process: judges the streams of a group on one device, for the supervisor.

Run by: the supervisor, as `python -m engine.child`. Its main thread is the engine's loop; a second thread, `control`,
talks to the supervisor, and there are the readers' and links' threads of the engine. It owns the device. It ends at the
supervisor's word or at SIGTERM, having judged what was queued; when the supervisor is gone; and is killed with it. If
the loop fails (a GPU that is lost), the process ends and is started anew: nothing is repaired in place. If it dies, its
streams are judged again from where they are then, in new sessions.
"""

import argparse
import contextlib
import faulthandler
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from engine import heap
from engine.compile_apart import compile_apart
from engine.compiling import told_of_compiling
from engine.errors import AvjuryError, ConfigError, DeviceError, SourceError
from engine.evidence.recorder import EvidenceSettings
from engine.ffmpeg_release import ffmpeg_in_use, ffmpeg_warning
from engine.handling import HandlingTable
from engine.hardening import die_with_parent
from engine.incidents import Change
from engine.ingest.causes import cause_of
from engine.ingest.link import Links
from engine.listener import Silent
from engine.live import LiveEngine, Order, policy_of
from engine.nearby_cpus import stay_near
from engine.networks import audio_network_of, network_of, sync_network_of
from engine.outcome import Outcome
from engine.overload import OverloadSettings
from engine.played import Played
from engine.remote_log import log_remotely
from engine.service.messages import (
    Drain,
    DropIngest,
    Ended,
    EngineCompiles,
    EngineReady,
    Evidence,
    IncidentSaid,
    Judge,
    Move,
    Picture,
    Remove,
    Report,
    SecondSaid,
    ShadowSaid,
    Snap,
    SupervisorSays,
    TakeIngest,
)
from engine.slate_images import slate_of
from engine.slates import Slate
from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings, StreamSpec, SyncNetworkSettings
from engine.verdicts import Incident, StreamSecond
from engine.wire import Channel, ConnectionLost

_POLL_SECONDS: Final = 0.5
_FLUSH_SECONDS: Final = 3.0
# What a burst needed and nothing holds any longer: decoders' threads have many arenas (decision 0072), and each keeps
# the most it ever had.
_GIVE_BACK_SECONDS: Final = 300.0
# By SIGTERM nobody says how long; the supervisor that sent it kills after ten seconds.
_DRAIN_SECONDS: Final = 5.0
_MOST_INCIDENTS: Final = 20_000
_log: Final = logging.getLogger("engine.child")  # run as a program, the module is called __main__


class ChildSettings(msgspec.Struct, frozen=True):
    """How the process runs, as JSON on its command line.

    Args:
        device, max_batch, max_wait_seconds, decode_threads, graphs: see EngineSettings.
        slots: most streams.
        load_limit: see LiveEngine.
        overload: see OverloadSettings, by name.
        evidence: see EvidenceSettings, by name.
        handover: folder in which clips are left for the supervisor; None keeps no clips.
        slates: pictures to look for, by name: each an image's path or a hash.
        levels: tell the lowest and highest value of each measure with every second.
        network: see NetworkSettings, by name; empty leaves the network out.
        audio_network: see AudioNetworkSettings, by name; empty leaves that network out.
        sync_network: see SyncNetworkSettings, by name; empty leaves that network out.
    """

    device: str = "auto"
    max_batch: int = 256
    max_wait_seconds: float | None = None
    decode_threads: int = 1
    graphs: bool = True
    slots: int = 64
    load_limit: float = 0.9
    overload: dict[str, float] = msgspec.field(default_factory=dict)
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)
    handover: str | None = None
    slates: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    levels: bool = True
    network: dict[str, Any] = msgspec.field(default_factory=dict)
    audio_network: dict[str, Any] = msgspec.field(default_factory=dict)
    sync_network: dict[str, Any] = msgspec.field(default_factory=dict)


class EngineProcess(Silent):
    """The engine, and its listener that tells the supervisor.

    Args:
        control: connection to the supervisor.
        table: where it marks what it works on.
        settings: how it runs.
    """

    def __init__(self, control: socket.socket, table: HandlingTable, settings: ChildSettings) -> None:
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        self._control: Channel[SupervisorSays] = Channel(control, SupervisorSays, self._ring)
        self._links = Links()
        self._sessions: dict[str, str] = {}
        self._played = Played()
        self._incidents: dict[str, str] = {}  # the sessions of the latest ones, by id
        self._over = False
        log_remotely(lambda line: self._control.send(line, spare=True))
        self.engine = LiveEngine(
            EngineSettings(
                device=settings.device,
                max_batch=settings.max_batch,
                max_wait_seconds=settings.max_wait_seconds,
                decode_threads=settings.decode_threads,
                graphs=settings.graphs,
                reconnect=True,
                evidence=_evidence(settings),
                slates=_slates(settings),
                levels=settings.levels,
                network=_network(settings),
                audio_network=_audio_network(settings),
                sync_network=_sync_network(settings),
            ),
            self,
            self._links,
            table,
            slots=settings.slots,
            overload=OverloadSettings(**settings.overload),
            load_limit=settings.load_limit,
            evidence=self._show,
        )
        self._thread = threading.Thread(target=self._talk, name="control")

    def run(self) -> None:
        """Judge until told to end."""
        self._thread.start()
        try:
            with told_of_compiling(self._compiles):
                self.engine.warm_up()
            self._control.send(EngineReady(os.getpid(), str(self.engine.device)))
            if (release := ffmpeg_in_use()) and (trouble := ffmpeg_warning(release)):
                _log.warning(trouble)
            self.engine.run()
        except Exception:
            _log.exception("the engine failed")
            raise
        finally:
            self._over = True
            self._ring()
            self._thread.join(_FLUSH_SECONDS + 1.0)
            self._links.close()

    def _compiles(self) -> None:
        """A kernel was never compiled here: the first of many, on a CPU. What follows finds them in the cache."""
        self._control.send(EngineCompiles())
        if self.engine.device.type == "cpu":
            compile_apart()

    def terminate(self, *_: object) -> None:
        """SIGTERM: as if the supervisor had said so."""
        self.engine.order(lambda: self.engine.drain(time.monotonic() + _DRAIN_SECONDS))

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # it is awake already, or the process is ending
            self._wake.send(b"!")

    def _talk(self) -> None:
        """The thread `control`: reads what the supervisor says, and writes what there is to say."""
        give_back_at = time.monotonic() + _GIVE_BACK_SECONDS
        try:
            while not self._over:
                if time.monotonic() >= give_back_at:
                    heap.give_back()
                    give_back_at = time.monotonic() + _GIVE_BACK_SECONDS
                poll = select.poll()
                poll.register(self._woken, select.POLLIN)
                poll.register(self._control, select.POLLIN | (select.POLLOUT if self._control.pending_bytes else 0))
                ready = dict(poll.poll(1000 * _POLL_SECONDS))
                if self._woken.fileno() in ready:
                    self._woken.recv(4096)
                if ready.get(self._control.fileno(), 0) & ~select.POLLOUT:
                    for message in self._control.receive():
                        self._obey(message)
                self._control.flush()
            deadline = time.monotonic() + _FLUSH_SECONDS
            while not self._control.flush() and time.monotonic() < deadline:
                time.sleep(0.01)
        except ConnectionLost:
            self.engine.stop()  # the supervisor is gone
            self.engine.bell.ring()

    def _obey(self, message: SupervisorSays) -> None:
        engine = self.engine
        if isinstance(message, TakeIngest):
            fds = self._control.fds
            connection = socket.socket(fileno=fds.popleft())
            self._links.add(message.name, connection, fds.popleft(), fds.popleft(), message.pid)
        elif isinstance(message, DropIngest):
            self._links.remove(message.name)
        elif isinstance(message, Judge):
            engine.order(lambda: self._judge(message))
        elif isinstance(message, Move):
            engine.order(lambda: engine.move(message.id, message.ingest))
        elif isinstance(message, Remove):
            engine.order(lambda: engine.remove(message.id))
        elif isinstance(message, Snap):
            engine.order(lambda: engine.snap(message.id))
        elif isinstance(message, Drain):
            engine.order(lambda: engine.drain(time.monotonic() + message.seconds))

    def _judge(self, said: Judge) -> None:
        policy = policy_of(said.private_addresses)
        spec = StreamSpec(said.id, said.url, said.detectors, policy, said.rendition, said.reference, said.shadow)
        before = self._sessions.get(said.id)
        try:
            wanted = Order(spec, said.ingest, said.session, said.priority, said.loop)
            self.engine.take(wanted)
            self._sessions[said.id] = said.session
        except AvjuryError as error:
            if before is None:
                self._sessions.pop(said.id, None)
            self._control.send(Ended(said.id, said.session, "failed", "refused", error.line()))

    # What the engine found; called from its loop.

    def on_incident(self, incident: Incident, change: Change) -> None:
        """An incident changed."""
        # Its evidence may come long after it has closed, and its stream is gone.
        self._incidents[incident.id] = self._sessions.get(incident.stream, "")
        if len(self._incidents) > _MOST_INCIDENTS:
            del self._incidents[next(iter(self._incidents))]
        self._control.send(IncidentSaid(incident, change, self._sessions.get(incident.stream, ""), time.time()))

    def on_shadow(self, incident: Incident, change: Change) -> None:
        """Rules that are tried found something; their worst values nobody asks for."""
        if change != "updated":
            session = self._sessions.get(incident.stream, "")
            self._control.send(ShadowSaid(incident, change, session, time.time()), spare=True)

    def on_second(self, second: StreamSecond) -> None:
        """A media second was completed: it was played as long ago as the stream has gone on since."""
        since = max(0.0, self.engine.media_seconds(second.stream) - second.second)
        session = self._sessions.get(second.stream, "")
        at = self._played.at(second.stream, time.time() - since)
        self._control.send(SecondSaid(second, session, round(at, 3)), spare=True)

    def on_thumbnail(self, stream: str, jpeg: bytes) -> None:
        """A picture that was asked for."""
        self._control.send(Picture(stream, jpeg), spare=True)

    def _show(
        self, incident_id: str, kind: Literal["thumbnail", "clip", "series", "overlay"], content: bytes | Path
    ) -> None:
        """A piece of evidence; called from the thread that makes it."""
        session = self._incidents.get(incident_id, "")
        data = content if isinstance(content, bytes) else None
        path = None if isinstance(content, bytes) else str(content)
        self._control.send(Evidence(incident_id, session, kind, data, path), spare=True)

    def on_end(self, outcome: Outcome) -> None:
        """A stream ended, or was removed."""
        session = self._sessions.pop(outcome.stream, "")
        self._played.forget(outcome.stream)
        error = outcome.error
        state: Literal["ended", "failed", "removed"] = "failed" if error is not None else "ended"
        cause = None if error is None else cause_of(error) if isinstance(error, SourceError) else "not_decodable"
        detail = error.line() if error is not None else ""
        self._control.send(Ended(outcome.stream, session, state, cause, detail))

    def on_report(self, report: Report) -> None:
        """Once a second."""
        self._control.send(report, spare=True)


def _slates(settings: ChildSettings) -> tuple[Slate, ...]:
    """The slates that can be read; the others are told in the log, and no stream goes unjudged for them."""
    found = []
    for name, slate in settings.slates.items():
        try:
            found.append(slate_of(name, slate))
        except ConfigError as error:
            _log.error("the slate %s is not looked for: %s", name, error)
    return tuple(found)


def _network(settings: ChildSettings) -> NetworkSettings | None:
    """How the network is used; left out where its weights cannot be: no stream goes unjudged for them."""
    if not settings.network:
        return None
    weights = settings.network.get("weights")
    wanted = NetworkSettings(**(settings.network | {"weights": None if weights is None else Path(weights)}))
    try:
        network_of(wanted)
    except ConfigError as error:
        _log.error("no picture is seen by the network: %s", error)
        return None
    return wanted


def _sync_network(settings: ChildSettings) -> SyncNetworkSettings | None:
    """As `_network`, of lip sync."""
    if not settings.sync_network:
        return None
    weights = settings.sync_network.get("weights")
    wanted = SyncNetworkSettings(**(settings.sync_network | {"weights": None if weights is None else Path(weights)}))
    try:
        sync_network_of(wanted)
    except ConfigError as error:
        _log.error("no lip sync is judged by the network: %s", error)
        return None
    return wanted


def _audio_network(settings: ChildSettings) -> AudioNetworkSettings | None:
    """As `_network`, of sound."""
    if not settings.audio_network:
        return None
    weights = settings.audio_network.get("weights")
    wanted = AudioNetworkSettings(**(settings.audio_network | {"weights": None if weights is None else Path(weights)}))
    try:
        audio_network_of(wanted)
    except ConfigError as error:
        _log.error("no sound is heard by the network: %s", error)
        return None
    return wanted


def _evidence(settings: ChildSettings) -> EvidenceSettings:
    folder = None if settings.handover is None else Path(settings.handover)
    values = {"clips": folder is not None} | settings.evidence
    return EvidenceSettings(**(values | {"folder": folder, "clips": values["clips"] and folder is not None}))


def _stay_near(device: str) -> frozenset[int]:
    """The cores that the process was narrowed to, before it has threads; none where that says nothing."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return frozenset()
    try:
        return stay_near(int(index or 0))
    except DeviceError:
        return frozenset()  # the engine will say it


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="engine.child")
    for name in ("control", "table", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--name", required=True, help="shown in the list of processes")
    parser.add_argument("--settings", required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the supervisor, which then says what to do
    settings = msgspec.json.decode(given.settings, type=ChildSettings)
    near = _stay_near(settings.device)
    process = EngineProcess(socket.socket(fileno=given.control), HandlingTable(given.table), settings)
    if near:
        _log.info("on the cores near %s: %s", settings.device, sorted(near))
    signal.signal(signal.SIGTERM, process.terminate)
    code = 1
    with contextlib.suppress(Exception):  # it was told already; the exit code says the rest
        process.run()
        code = 0
    # Everything is written and closed. Python's own end would take apart torch and the compiled kernels for seconds.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
