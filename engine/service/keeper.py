"""Keeps the fleet's processes: starts, links, hears, reaps and starts them again, and finds who kills them.

Run by: the fleet's thread, which is the parent of all processes: they are killed when it ends. It holds the roster's
guard while it works and never while it waits. A process that dies is started again within three seconds; one that says
nothing for too long is killed first.
"""

import json
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, Final

from engine.ingest.control import IngestReport, IngestSays, TakeLink
from engine.ingest.ring import make_ring
from engine.remote_log import LogLine
from engine.service.children import Child, ending
from engine.service.contract import StreamState
from engine.service.messages import (
    Drain,
    Ended,
    EngineCompiles,
    EngineReady,
    EngineSays,
    Evidence,
    IncidentSaid,
    Move,
    Picture,
    Report,
    SecondSaid,
    ShadowSaid,
    TakeIngest,
)
from engine.service.places import COMPILES, EnginePlace, IngestPlace, StreamPlace
from engine.service.roster import Roster
from engine.service.supervision import split, suspects
from engine.wire import ConnectionLost

_PASS_SECONDS: Final = 0.25
# A library that hangs as it compiles is rare; a machine on which the first start takes long is not.
COMPILING_LIMITS: Final = 4
# Of the time to drain, what is left for the engines' last words, and for the ingest processes.
_SPARE_SECONDS: Final = 2.0
# An ingest process that reads the streams of an engine that is restarted twice over has rows to spare.
_SPARE_ROWS: Final = 4
# An engine takes its time to start, so that many deaths of it take longer.
ENGINE_PATIENCE: Final = 5.0
# An ingest process that has only been started loads libav first, perhaps with many others.
_START_PATIENCE: Final = 3.0
_MOST_NAME: Final = 100
_log: Final = logging.getLogger(__name__)


class Keeper:
    """The processes of a roster.

    Args:
        roster: what is wanted.
        on_picture: given each picture that was asked for.
    """

    def __init__(self, roster: Roster, on_picture: Callable[[str, bytes], None]) -> None:
        self._roster = roster
        self._settings = roster.settings
        self._on_picture = on_picture
        self._engine_settings = {
            group.name: json.dumps(
                {
                    "device": group.device,
                    "max_batch": group.max_batch,
                    "max_wait_seconds": group.max_wait_seconds,
                    "decode_threads": group.decode_threads,
                    "graphs": group.graphs,
                    "slots": group.slots,
                    "load_limit": self._settings.load_limit,
                    "overload": dict(self._settings.overload),
                    "evidence": dict(self._settings.evidence),
                    "slates": {name: dict(slate) for name, slate in self._settings.slates.items()},
                    "network": dict(self._settings.network),
                    "audio_network": dict(self._settings.audio_network),
                    "sync_network": dict(self._settings.sync_network),
                    "handover": None if self._settings.handover is None else str(self._settings.handover / group.name),
                }
            )
            for group in self._settings.groups
        }
        now = time.monotonic()
        for engine in roster.engines.values():
            engine.restarts.due = now

    def one_pass(self) -> None:
        """Wait for something to happen, a quarter of a second at most, and see to it."""
        ready = self._wait()
        roster = self._roster
        with roster.guard:
            for engine in roster.engines.values():
                self._hear_engine(engine, ready)
            for ingest in list(roster.ingests.values()):
                self._hear_ingest(ingest, ready)
            self._see_off()
            now = time.monotonic()
            for engine in roster.engines.values():
                self._keep_engine(engine, now)
            for ingest in list(roster.ingests.values()):
                self._keep_ingest(ingest, now)
            for child in self._children():
                _flush(child)

    def _children(self) -> Iterable[Child[Any]]:
        roster = self._roster
        engines = [engine.child for engine in roster.engines.values() if engine.child is not None]
        readers = [ingest.child for ingest in roster.ingests.values() if ingest.child is not None]
        return [*engines, *readers, *roster.leaving]

    def _wait(self) -> set[int]:
        poll = select.poll()
        poll.register(self._roster.woken, select.POLLIN)
        with self._roster.guard:
            for child in self._children():
                if not child.lost:
                    poll.register(child.channel, select.POLLIN | (select.POLLOUT if child.channel.pending_bytes else 0))
        ready = {fd for fd, events in poll.poll(1000 * _PASS_SECONDS) if events != select.POLLOUT}
        if self._roster.woken.fileno() in ready:
            self._roster.woken.recv(65536)
        return ready

    def _received(self, child: Child[Any], ready: set[int]) -> list[Any]:
        """What a child has said. One whose connection is gone is not waited for."""
        if child.channel.fileno() not in ready:
            return []
        try:
            messages = child.channel.receive()
        except ConnectionLost:
            child.lost = True
            return []
        child.heard_at = time.monotonic()
        return messages

    # Engines.

    def _hear_engine(self, engine: EnginePlace, ready: set[int]) -> None:
        child = engine.child
        if child is None:
            return
        for message in self._received(child, ready):
            self._take_engine(engine, message)

    def _take_engine(self, engine: EnginePlace, message: EngineSays) -> None:
        roster = self._roster
        if isinstance(message, EngineReady):
            engine.ready, engine.device = True, message.device
            for ingest in roster.ingests.values():
                if ingest.engine is engine:
                    self._link(ingest)
            for place in roster.judged_by(engine):
                roster.say(engine, roster.order(place))
            roster.tell_waiting(engine)
        elif isinstance(message, EngineCompiles):
            engine.compiles = True
            _log.warning("engine %s %s", engine.group.name, COMPILES)
            roster.tell_waiting(engine)
        elif isinstance(message, IncidentSaid):
            said = message
            roster.calls.append(lambda to: to.on_incident(said.incident, said.change, said.session, said.at))
        elif isinstance(message, ShadowSaid):
            tried = message
            roster.calls.append(lambda to: to.on_shadow(tried.incident, tried.change, tried.session, tried.at))
        elif isinstance(message, SecondSaid):
            second = message
            roster.calls.append(lambda to: to.on_second(second.second, second.session, second.at))
        elif isinstance(message, Report):
            engine.report, engine.added = message, 0
            self._take_streams(engine, message)
        elif isinstance(message, Ended):
            self._take_end(message)
        elif isinstance(message, Picture):
            self._on_picture(message.id, message.jpeg)
        elif isinstance(message, Evidence):
            shown = message
            content = shown.content if shown.content is not None else Path(shown.path or "")
            roster.calls.append(lambda to: to.on_evidence(shown.incident_id, shown.session, shown.kind, content))
        elif isinstance(message, LogLine):
            self._write_down(message)

    def _take_streams(self, engine: EnginePlace, report: Report) -> None:
        for said in report.streams:
            place = self._roster.streams.get(said.id)
            if place is None or place.engine is not engine or place.session != said.session:
                continue
            place.said = said
            state: StreamState = said.state
            cause = said.cause
            if state == "starting":
                cause = place.cause  # why it has to start again
            self._roster.set_state(place, state, cause, place.detail if state == "starting" else said.detail)

    def _take_end(self, message: Ended) -> None:
        place = self._roster.streams.get(message.id)
        if place is None or place.session != message.session or message.state == "removed":
            return
        ingest = place.ingest
        place.end_session()
        place.engine = place.ingest = None
        if ingest is not None:
            self._roster.drop_if_idle(ingest)
        self._roster.set_state(place, message.state, message.cause, message.detail)

    def _keep_engine(self, engine: EnginePlace, now: float) -> None:
        child = engine.child
        if child is not None:
            code = child.ended()
            compiles = engine.compiles and not engine.ready
            limit = self._settings.hang_seconds * (COMPILING_LIMITS if compiles else 1)
            hangs = now - child.heard_at > limit
            if code is None and (child.lost or hangs):
                if hangs:
                    _log.error("engine %s says nothing for %.0f s; killing it", engine.group.name, now - child.heard_at)
                child.kill()
                code = child.ended()
            if code is not None:
                self._bury_engine(engine, child, code, now)
        if engine.child is None and engine.restarts.due is not None and now >= engine.restarts.due:
            arguments = ("--settings", self._engine_settings[engine.group.name])
            try:
                engine.child = Child(
                    engine.group.name, "engine.child", EngineSays, engine.group.slots, self._roster.wake, arguments
                )
            except OSError as error:
                _log.error("cannot start engine %s: %s", engine.group.name, error)
                engine.restarts.died(now, 0.0)
                return
            engine.restarts.started()

    def _bury_engine(self, engine: EnginePlace, child: Child[EngineSays], code: int, now: float) -> None:
        busy = child.table.busy()
        self._hear_last(child, lambda message: self._take_engine(engine, message))
        child.close()
        engine.bury()
        engine.restarts.died(now, now - child.started_at)
        _log.error("engine %s ended (%s); it is started again", engine.group.name, ending(code))
        streams = self._roster.judged_by(engine)
        for place in streams:
            place.restarts += 1
            place.end_session()
        marked = suspects(busy, [place.plan.id for place in streams]) if busy else []
        self._blame(marked, now, ENGINE_PATIENCE * self._settings.quarantine_seconds)
        for place in streams:
            if place.state != "quarantined":
                self._roster.begin(place, engine)
                self._roster.set_state(place, "starting", "engine_restart", f"its engine ended ({ending(code)})")

    def _write_down(self, line: LogLine) -> None:
        """A child's line of the log, with its stream where there is one."""
        stream = _speaker(line.text, self._roster.streams)
        more = f" ({line.dropped} lines before it were dropped)" if line.dropped else ""
        text = line.text.removeprefix(f"{stream}: ") if stream else line.text
        write_down(line.name, line.level, f"{text}{more}", stream)

    # Ingest processes.

    def _hear_ingest(self, ingest: IngestPlace, ready: set[int]) -> None:
        child = ingest.child
        if child is not None:
            for message in self._received(child, ready):
                if isinstance(message, IngestReport):
                    ingest.dropped = message.dropped
                elif isinstance(message, LogLine):
                    self._write_down(message)

    def _keep_ingest(self, ingest: IngestPlace, now: float) -> None:
        child = ingest.child
        if child is not None:
            code = child.ended()
            silent = now - child.heard_at
            patience = self._settings.ingest_hang_seconds * (
                _START_PATIENCE if child.heard_at == child.started_at else 1
            )
            if code is None and (child.lost or silent > patience):
                if not child.lost:
                    _log.error("%s says nothing for %.0f s; killing it", ingest.name, silent)
                child.kill()
                code = child.ended()
            if code is not None:
                self._bury_ingest(ingest, child, code, now)
        due = ingest.restarts.due
        if ingest.child is None and due is not None and now >= due and ingest.name in self._roster.ingests:
            rows = _SPARE_ROWS * self._settings.streams_per_ingest
            arguments = ["--most-memory-bytes", str(self._settings.ingest_memory_bytes)]
            if self._settings.ingest_sandbox:
                ingest.paths = self._roster.paths_for(ingest)
                arguments += [f"--may-read={path}" for path in sorted(ingest.paths)]
            else:
                arguments.append("--open-files")
            try:
                ingest.child = Child(
                    ingest.name, "engine.ingest.process", IngestSays, rows, self._roster.wake, arguments
                )
            except OSError as error:
                _log.error("cannot start %s: %s", ingest.name, error)
                ingest.restarts.died(now, 0.0)
                return
            ingest.restarts.started()
            if ingest.engine.ready:
                self._link(ingest)

    def _link(self, ingest: IngestPlace) -> None:
        """Give an ingest process and its engine a ring and a connection, in place of what they had."""
        engine, child = ingest.engine, ingest.child
        if child is None or engine.child is None or not engine.ready:
            return
        memory, doorbell = make_ring()
        near, far = socket.socketpair()
        for_engine = (near.detach(), os.dup(memory), os.dup(doorbell))
        self._roster.say(engine, TakeIngest(ingest.name, child.pid), fds=for_engine)
        try:
            child.channel.send(TakeLink(), fds=(far.detach(), memory, doorbell))
        except ConnectionLost:
            child.lost = True

    def _bury_ingest(self, ingest: IngestPlace, child: Child[IngestSays], code: int, now: float) -> None:
        busy = child.table.busy()
        child.close()
        ingest.child = None
        ingest.restarts.died(now, now - child.started_at)
        _log.error("%s ended (%s); it is started again", ingest.name, ending(code))
        streams = self._roster.read_by(ingest)
        for place in streams:
            place.restarts += 1
        marked = suspects(busy, [place.plan.id for place in streams])
        self._blame(marked, now, self._settings.quarantine_seconds)
        left = [name for name in marked if self._roster.streams[name].ingest is ingest]
        seconds = self._settings.quarantine_seconds
        again = max((self._deaths(name, now, seconds) for name in left), default=0) > 1
        if again and len(streams) > 1 and left:
            self._part(ingest, left)

    def _part(self, ingest: IngestPlace, marked: list[str]) -> None:
        """Processes die repeatedly: part the suspects, so that the next death tells more."""
        present = [place.plan.id for place in self._roster.read_by(ingest)]
        keep, part = split(marked)
        if len(marked) < len(present):
            keep, part = [], marked  # the others are not suspected at all
        if not part:
            return
        other = self._roster.new_ingest(ingest.engine, alone=True)
        for name in part:
            place = self._roster.streams[name]
            place.ingest = other
            self._roster.say(ingest.engine, Move(name, other.name))
        if keep:
            ingest.alone = True
        _log.warning("%s is read by %s from now on, to find out who ends %s", ", ".join(part), other.name, ingest.name)

    # Blame.

    def _deaths(self, name: str, now: float, window_seconds: float) -> int:
        return self._roster.streams[name].suspicion.count(now, window_seconds)

    def _blame(self, marked: list[str], now: float, window_seconds: float) -> None:
        """Charge a death to the streams that it may have been; the one with too many is left out.

        Args:
            marked: the suspects.
            now: monotonic seconds.
            window_seconds: deaths longer ago no longer count.
        """
        for name in marked:
            self._roster.streams[name].suspicion.deaths.append(now)
        counts = sorted(((self._deaths(name, now, window_seconds), name) for name in marked), reverse=True)
        if not counts:
            return
        deaths, worst = counts[0]
        # Another one that was there just as often may be the culprit: it gets as long again to be told from it.
        alone = len(counts) == 1 or counts[1][0] < deaths
        if deaths >= self._settings.quarantine_deaths * (1 if alone else 2):
            self._quarantine(self._roster.streams[worst], deaths, window_seconds)
            for name in marked:
                self._roster.streams[name].suspicion.deaths.clear()

    def _quarantine(self, place: StreamPlace, deaths: int, seconds: float) -> None:
        self._roster.halt(place)
        self._roster.set_state(
            place,
            "quarantined",
            f"crashed_{deaths}_times",
            f"processes died {deaths} times within {seconds:g} s while they worked on it; apply it again to retry",
        )
        _log.error("%s is quarantined: processes died %d times under it", place.plan.id, deaths)

    # The end.

    def _see_off(self) -> None:
        """Reap the ingest processes that are ending as they should."""
        for child in list(self._roster.leaving):
            if child.ended() is None and time.monotonic() - child.heard_at > _SPARE_SECONDS + 3.0:
                child.kill()
            if child.ended() is not None:
                child.close()
                self._roster.leaving.remove(child)

    def _hear_last(self, child: Child[Any], take: Callable[[Any], None]) -> None:
        """What a process wrote before it ended."""
        while True:
            try:
                messages = child.channel.receive()
            except ConnectionLost:
                return
            if not messages:
                return
            for message in messages:
                take(message)

    def shut_down(self, drain_seconds: float, give_out: Callable[[], None]) -> None:
        """End all processes.

        Args:
            drain_seconds: after which they are killed.
            give_out: called often, so that what they say last is told.
        """
        roster = self._roster
        deadline = time.monotonic() + drain_seconds
        with roster.guard:
            running = [engine for engine in roster.engines.values() if engine.child is not None]
            for engine in running:
                assert engine.child is not None
                if engine.ready:
                    roster.say(engine, Drain(max(0.0, drain_seconds - 2 * _SPARE_SECONDS)))
                else:
                    engine.child.kill()
        while running and time.monotonic() < deadline - _SPARE_SECONDS:
            ready = self._wait()
            with roster.guard:
                for engine in running:
                    self._hear_engine(engine, ready)
                    if engine.child is not None and not engine.child.lost:
                        _flush(engine.child)
                running = [e for e in running if e.child is not None and e.child.ended() is None and not e.child.lost]
            give_out()
        with roster.guard:
            readers = [place.child for place in roster.ingests.values() if place.child is not None] + roster.leaving
            for child in readers:
                child.terminate()
            for engine in roster.engines.values():
                if engine.child is not None:
                    self._end_engine(engine, engine.child)
        give_out()
        while any(child.ended() is None for child in readers) and time.monotonic() < deadline:
            time.sleep(0.02)
        for child in readers:
            if child.ended() is None:
                child.kill()
            child.close()
        with roster.guard:
            roster.leaving.clear()
            for ingest in roster.ingests.values():
                ingest.child = None
        give_out()

    def _end_engine(self, engine: EnginePlace, child: Child[EngineSays]) -> None:
        if child.lost:
            for _ in range(100):  # it has closed its connection and is about to end
                if child.ended() is not None:
                    break
                time.sleep(0.01)
        if child.ended() is None:
            _log.error("engine %s did not end in time; killing it", engine.group.name)
            child.kill()
        self._hear_last(child, lambda message: self._take_engine(engine, message))
        child.close()
        engine.bury()


def _flush(child: Child[Any]) -> None:
    """Write what there is to write."""
    try:
        child.channel.flush()
    except ConnectionLost:
        child.lost = True


def _speaker(text: str, streams: Container[str]) -> str:
    """The stream that a child's line is about, with whose id it begins; "" where it is about none."""
    found = ""
    end = text.find(": ")
    while end >= 0:
        if text[:end] in streams:
            found = text[:end]  # the longest one: an id may hold a colon itself
        end = text.find(": ", end + 1)
    return found


def write_down(name: str, level: int, text: str, stream: str) -> None:
    """A line that another process said, through avjury's own handler, whatever name it gives.

    No logger is made for the name: loggers are kept for good, and a process that was taken over has many names.
    Libraries are heard from warnings on.
    """
    ours = name.partition(".")[0] == "engine"
    logger = logging.getLogger("engine")
    if logger.isEnabledFor(level) and (ours or level >= logging.WARNING):
        logger.handle(logger.makeRecord(name[:_MOST_NAME], level, "", 0, "%s", (text,), None, extra={"stream": stream}))
