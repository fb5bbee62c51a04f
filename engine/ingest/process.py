"""One ingest process: reads a shard of streams for one engine, so that a crash in a demuxer touches only these.

Run by: the supervisor, as `python -m engine.ingest.process`. Its main thread listens to the supervisor and to the
engine; each stream has a thread that reads it (ingest/feeder.py). It owns the inputs' connections and the writing end
of the ring. It ends at the supervisor's word, at SIGTERM, when the supervisor is gone, and is killed with it. When it
dies, the engine sees an outage of its streams, and asks its successor to open them again. When the engine dies, its
successor takes over the connections that are open.
"""

import argparse
import contextlib
import faulthandler
import logging
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

from engine import heap
from engine.handling import HandlingTable
from engine.hardening import die_with_parent, give_up_privileges
from engine.ingest.control import IngestReport, Ready, Stop, SupervisorSays, TakeLink
from engine.ingest.feeder import Feeder
from engine.ingest.messages import Close, EngineSays, GiveUp, Open, Thin
from engine.ingest.ring import RingWriter
from engine.ingest.sandbox import Replaced, split_paths, system_devices, system_paths
from engine.remote_log import log_remotely
from engine.wire import Channel, ConnectionLost

REPORT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0
# What a lost engine had open is kept for its successor for so long.
ORPHAN_SECONDS: Final = 60.0
JOIN_SECONDS: Final = 3.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_log: Final = logging.getLogger("engine.ingest.process")  # run as a program, the module is called __main__


class OwnMemory:
    """How much memory this process has; /proc is opened before it is closed to us, and stays open."""

    def __init__(self) -> None:
        self._descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident_bytes(self) -> int:
        """What of it is in memory."""
        return int(os.pread(self._descriptor, 256, 0).split()[1]) * _PAGE


class IngestProcess:
    """The main thread's part.

    Args:
        control: connection to the supervisor.
        table: where it marks what it works on.
        memory: of this process.
        missing: what this machine could not take from it, to be told.
        confined: it may open what it was told at its start only.
    """

    def __init__(
        self, control: socket.socket, table: HandlingTable, memory: OwnMemory, missing: Sequence[str], confined: bool
    ) -> None:
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)
        self._control: Channel[SupervisorSays] = Channel(control, SupervisorSays, self.wake)
        self._table = table
        self._memory = memory
        self._missing = missing
        self._replaced = Replaced() if confined else None
        self._looked = time.monotonic()
        self._engine: Channel[EngineSays] | None = None
        self._ring: RingWriter | None = None
        self._feeders: list[Feeder] = []
        self._orphaned_at: float | None = None
        self._stopping = False
        self._left = False  # a stream did, since memory was given back last
        self._reported = 0.0

    def wake(self) -> None:
        """Let the main thread look again. From any thread or signal handler."""
        with contextlib.suppress(OSError):  # it is awake already, or the process is ending
            self._wake.send(b"!")

    def stop(self, *_: object) -> None:
        """End soon."""
        self._stopping = True
        self.wake()

    def run(self) -> None:
        """Serve until told to stop."""
        log_remotely(lambda line: self._control.send(line, spare=True))
        self._control.send(Ready(os.getpid()))
        for line in self._missing:
            _log.warning("%s", line)
        try:
            while not self._stopping:
                self._pass()
        except ConnectionLost:
            pass  # the supervisor is gone
        finally:
            self._end()

    def _pass(self) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(self._control, select.POLLIN | (select.POLLOUT if self._control.pending_bytes else 0))
        if self._engine is not None:
            poll.register(self._engine, select.POLLIN)
        ready = {fd for fd, events in poll.poll(1000 * REPORT_SECONDS / 2) if events != select.POLLOUT}
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        if self._control.fileno() in ready:
            for message in self._control.receive():
                if isinstance(message, TakeLink):
                    self._take_link()
                elif isinstance(message, Stop):
                    self._stopping = True
        if self._engine is not None and self._engine.fileno() in ready:
            try:
                for wish in self._engine.receive():
                    self._obey(wish)
            except ConnectionLost:
                self._lose_engine()
        if self._control.pending_bytes:
            self._control.flush()
        there, self._feeders = len(self._feeders), [feeder for feeder in self._feeders if feeder.alive]
        self._left |= len(self._feeders) < there
        now = time.monotonic()
        if self._orphaned_at is not None and now - self._orphaned_at > ORPHAN_SECONDS:
            self._orphaned_at = None
            for feeder in self._feeders:
                if feeder.orphaned:
                    feeder.forget()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report()
            self._look(now)
            if self._left:
                self._left = False
                heap.give_back()

    def _look(self, now: float) -> None:
        """End, to be started anew, where a file that names are resolved by is another one now."""
        if self._replaced is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if (name := self._replaced.look()) is not None:
            _log.warning("%s was replaced, and this process may not read the new one: it is started again", name)
            self._stopping = True

    def _take_link(self) -> None:
        fds = self._control.fds
        if len(fds) < 3:
            raise ConnectionLost("a link without its descriptors")
        connection = socket.socket(fileno=fds.popleft())
        ring = RingWriter(fds.popleft(), fds.popleft())
        self._lose_engine()
        self._engine, self._ring = Channel(connection, EngineSays), ring
        for feeder in self._feeders:
            feeder.orphaned = True
        self._orphaned_at = time.monotonic()

    def _lose_engine(self) -> None:
        """The engine is gone; what it had open waits for its successor."""
        for feeder in self._feeders:
            feeder.detach()
        if self._engine is not None:
            self._engine.close()
        if self._ring is not None:
            self._ring.close()
        self._engine = self._ring = None
        self._orphaned_at = time.monotonic()

    def _obey(self, wish: EngineSays) -> None:
        ring = self._ring
        if ring is None:
            return
        if isinstance(wish, Open):
            feeder = next((f for f in self._feeders if f.alive and f.serves(wish)), None)
            if feeder is None:
                feeder = Feeder(wish, self._table.claim(wish.stream))
                self._feeders.append(feeder)
            feeder.open(wish.number, ring)
            return
        feeder = next((f for f in self._feeders if f.number == wish.number and not f.orphaned), None)
        if feeder is None:
            return
        if isinstance(wish, GiveUp):
            feeder.give_up()
        elif isinstance(wish, Thin):
            feeder.thin(wish.thin)
        elif isinstance(wish, Close) and wish.forget:
            feeder.forget()
        else:
            feeder.close()

    def _report(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._control.send(
            IngestReport(
                streams=len(self._feeders),
                packets=sum(feeder.packets for feeder in self._feeders),
                dropped=sum(feeder.dropped for feeder in self._feeders),
                cpu_seconds=used.ru_utime + used.ru_stime,
                resident_bytes=self._memory.resident_bytes(),
            ),
            spare=True,
        )
        self._control.flush()

    def _end(self) -> None:
        for feeder in self._feeders:
            feeder.forget()
        deadline = time.monotonic() + JOIN_SECONDS
        hang = [feeder for feeder in self._feeders if not feeder.join(max(0.0, deadline - time.monotonic()))]
        if self._ring is not None:
            self._ring.close()
        if hang:
            os._exit(1)  # a thread that hangs in libav holds nothing that outlives the process


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="engine.ingest.process")
    for name in ("control", "table", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--name", required=True, help="shown in the list of processes")
    parser.add_argument("--most-memory-bytes", type=int, default=0)
    parser.add_argument("--open-files", action="store_true", help="do not close the file system to it")
    parser.add_argument("--may-read", action="append", default=[], help="a file, folder or device of its sources")
    given = parser.parse_args()
    die_with_parent(given.parent)
    heap.use_few_arenas()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is for the supervisor, which then says what to do
    memory = OwnMemory()
    readable, devices = split_paths(given.may_read)
    missing = give_up_privileges(
        given.most_memory_bytes,
        None if given.open_files else [*system_paths(), *readable],
        [*system_devices(), *devices],
    )
    process = IngestProcess(
        socket.socket(fileno=given.control), HandlingTable(given.table), memory, missing, not given.open_files
    )
    signal.signal(signal.SIGTERM, process.stop)
    process.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
