"""The engine's end of its ingest processes: what they hand on goes to the streams that it belongs to.

Run by: one thread per link, which empties the ring. It owns the ring's reading end and the socket. It ends when the
ingest process is gone, or the link is closed; every stream on it is then told. If the thread itself fails, that is a
lost link. The streams' readers call `send`, and wait in `Links.get` for a link to come.
"""

import contextlib
import itertools
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from engine.ingest.arrivals import Arrivals
from engine.ingest.messages import UNREADABLE, EngineSays, Open
from engine.ingest.ring import Record, RingBroken, RingReader
from engine.wire import Channel, ConnectionLost

_POLL_SECONDS: Final = 0.5
_JOIN_SECONDS: Final = 5.0
_log: Final = logging.getLogger(__name__)


class Link:
    """The connection to one ingest process.

    Args:
        name: of the process.
        connection: socket to it.
        memory, doorbell: descriptors of the ring; all three become the link's.
        pid: of the process; 0 where it is not known.
    """

    def __init__(self, name: str, connection: socket.socket, memory: int, doorbell: int, pid: int = 0) -> None:
        self.name = name
        self.pid = pid
        self._channel: Channel[Open] = Channel(connection, Open)
        self._ring = RingReader(memory, doorbell)
        self._streams: dict[int, Arrivals] = {}
        self._guard = threading.Lock()
        self.closing = False
        """It is to end, soon."""
        self.alive = True
        self._thread = threading.Thread(target=self._run, name=f"ingest link {name}")
        self._thread.start()

    def attach(self, number: int, arrivals: Arrivals) -> None:
        """Let a stream's records go there."""
        with self._guard:
            self._streams[number] = arrivals

    def detach(self, number: int) -> None:
        """Let a stream's records go nowhere."""
        with self._guard:
            self._streams.pop(number, None)

    def send(self, message: EngineSays) -> None:
        """Tell the ingest process. A lost link takes it and does nothing."""
        with contextlib.suppress(ConnectionLost):
            self._channel.send(message)
            self._channel.flush()

    def close(self) -> None:
        """End it."""
        self.closing = True
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        poll = select.poll()
        socket_at = self._channel.fileno()
        for each in (self._ring.doorbell, socket_at):
            poll.register(each, select.POLLIN)
        try:
            while not self.closing:
                ready = dict(poll.poll(1000 * _POLL_SECONDS))
                self._hand_out()
                if socket_at in ready:
                    self._channel.receive()
                if self._channel.pending_bytes:
                    self._channel.flush()
        except (ConnectionLost, RingBroken, OSError, *UNREADABLE) as error:
            _log.info("the link to %s is lost (%s)", self.name, error)
        finally:
            with contextlib.suppress(RingBroken, *UNREADABLE):
                self._hand_out()  # what it put in before it went
            self.alive = False
            self._channel.close()
            self._ring.close()
            with self._guard:
                waiting = list(self._streams.values())
            for arrivals in waiting:
                arrivals.wake()

    def _hand_out(self) -> None:
        came: dict[int, list[Record]] = {}
        try:
            for record in self._ring.read():
                came.setdefault(record.number, []).append(record)
        finally:
            for number, records in came.items():
                arrivals = self._streams.get(number)
                if arrivals is not None:
                    arrivals.put(*records)


class Links:
    """All links of an engine, by the name of their ingest process. Thread-safe."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)

    def add(self, name: str, connection: socket.socket, memory: int, doorbell: int, pid: int = 0) -> None:
        """A process is there; the link to its predecessor, if there is one, is closed."""
        link = Link(name, connection, memory, doorbell, pid)
        with self._changed:
            before = self._links.pop(name, None)
            self._links[name] = link
            self._changed.notify_all()
        if before is not None:
            before.close()

    def remove(self, name: str) -> None:
        """A process is no longer needed."""
        with self._changed:
            link = self._links.pop(name, None)
        if link is not None:
            link.close()

    def pids(self) -> frozenset[int]:
        """Of the ingest processes."""
        with self._changed:
            return frozenset(link.pid for link in self._links.values() if link.pid)

    def number(self) -> int:
        """A number that no stream had before."""
        return next(self._numbers)

    def get(self, name: Callable[[], str], stopped: Callable[[], bool], deadline: float) -> Link | None:
        """The living link of that name, waited for.

        Args:
            name: asked again while waiting, as a stream may be moved.
            stopped: gives up.
            deadline: monotonic seconds.
        """
        with self._changed:
            while not stopped():
                link = self._links.get(name())
                if link is not None and link.alive:
                    return link
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, _POLL_SECONDS))
        return None

    def close(self) -> None:
        """Close all."""
        with self._changed:
            links = list(self._links.values())
            self._links.clear()
        for link in links:
            link.closing = True
        for link in links:
            link.close()
