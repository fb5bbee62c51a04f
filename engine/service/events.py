"""What happens, for those who watch: a bounded ring of events that any number of readers follow at their own pace.

Run by: any thread publishes; readers live in the API's event loop. The hub owns the ring. A reader that is slower than
the ring loses its oldest events, is told how many, and holds up nobody. `close` ends all readers.
"""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["incident", "status", "second"]
KINDS: Final[tuple[Kind, ...]] = ("incident", "status", "second")


@dataclass(slots=True, eq=False)
class Event:
    """One event.

    Args:
        number: 1, 2, 3, ... since the service began, over all kinds.
        kind: what it is.
        streams: ids that it concerns.
        body: makes the JSON value; asked for when somebody reads it.
    """

    number: int
    kind: Kind
    streams: tuple[str, ...]
    body: Callable[[], dict[str, Any]]
    _text: str | None = None

    def text(self) -> str:
        """Its JSON text, made once for all readers."""
        if self._text is None:
            self._text = json.dumps(self.body(), separators=(",", ":"))
        return self._text


class _Ring:
    """The last events, and the number up to which they are gone."""

    def __init__(self, most: int) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._gone = 0

    def add(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            self._gone = self._events[0].number
        self._events.append(event)

    def after(self, number: int) -> tuple[list[Event], bool]:
        """The events after a number, the youngest first, and whether some of them are gone."""
        found: list[Event] = []
        for event in reversed(self._events):
            if event.number <= number:
                break
            found.append(event)
        return found, self._gone > number


class EventHub:
    """The ring.

    Args:
        backlog: events kept of incidents and statuses together, and as many seconds: these come so often that they
            would push the others out.
        most_readers: at a time.
    """

    def __init__(self, backlog: int, most_readers: int) -> None:
        self._changes, self._seconds = _Ring(backlog), _Ring(backlog)
        self._lock = threading.Lock()
        self._most_readers = most_readers
        self._readers: set[EventReader] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: set[Kind] = set()
        # Ids of an earlier run mean nothing in this one.
        self.run = f"{time.time_ns() // 1_000_000:x}"
        self.last = 0
        self.lost = 0
        self.dropped_readers = 0
        self.closed = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that readers live in."""
        self._loop = loop

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._readers)

    def publish(self, kind: Kind, streams: Iterable[str], body: Callable[[], dict[str, Any]]) -> None:
        """Add an event. Never waits.

        Args:
            body: makes the event's JSON value from values that do not change.
        """
        with self._lock:
            self.last += 1
            (self._seconds if kind == "second" else self._changes).add(Event(self.last, kind, tuple(streams), body))
            # Seconds come by the hundred; only those who want them are woken.
            wake = kind not in self._woken and any(kind in reader.kinds for reader in self._readers)
            if wake:
                self._woken.add(kind)
        if wake:
            self._call(self._wake)

    def reader(self, kinds: Iterable[Kind], stream: str | None, last_id: str | None) -> "EventReader | None":
        """A new reader; None where there are too many.

        Args:
            kinds: that it wants.
            stream: only what concerns this one.
            last_id: of the last event that it had, to go on after it.
        """
        with self._lock:
            if len(self._readers) >= self._most_readers or self.closed:
                return None
            run, _, number = (last_id or "").partition("-")
            ours = run == self.run and number.isdecimal() and len(number) < 20
            position = self.last if last_id is None else min(int(number), self.last) if ours else 0
            reader = EventReader(self, frozenset(kinds), stream, position, missed=last_id is not None and not ours)
            self._readers.add(reader)
        return reader

    def after(self, number: int, kinds: frozenset[Kind]) -> tuple[list[Event], bool, int]:
        """The events of these kinds after a number, the oldest first; whether some are gone; the last number."""
        found: list[Event] = []
        gone = False
        with self._lock:
            for ring, of in ((self._changes, {"incident", "status"}), (self._seconds, {"second"})):
                if of & kinds:
                    events, some_gone = ring.after(number)
                    found += [event for event in events if event.kind in kinds]
                    gone = gone or some_gone
            last = self.last
        found.sort(key=lambda event: event.number)
        return found, gone, last

    def leave(self, reader: "EventReader | None", *, dropped: bool = False) -> None:
        """A reader is gone; None for one of what is not in the ring."""
        with self._lock:
            if reader is not None:
                self._readers.discard(reader)
            self.dropped_readers += dropped

    def close(self) -> None:
        """End all readers."""
        with self._lock:
            self.closed = True
        self._call(self._wake)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            pass  # the loop has ended, and with it all readers

    def _wake(self) -> None:
        with self._lock:
            woken, self._woken = self._woken, set()
            readers = [reader for reader in self._readers if self.closed or woken & reader.kinds]
        for reader in readers:
            reader.wake.set()


class EventReader:
    """One who watches.

    Args:
        hub: that it reads.
        kinds, stream: what it wants.
        position: number of the last event that it had.
        missed: what it had before is of an earlier run of the service.
    """

    def __init__(self, hub: EventHub, kinds: frozenset[Kind], stream: str | None, position: int, missed: bool) -> None:
        self.wake = asyncio.Event()
        self._hub = hub
        self.kinds = kinds
        self._stream = stream
        self._position = position
        self._missed = missed

    async def chunks(self, heartbeat_seconds: float) -> AsyncIterator[str]:
        """Server-sent events as text, for ever: what is there, then what comes, a comment where nothing does.

        Source: HTML Living Standard, section 9.2 (server-sent events).
        """
        # Readers that come back wait this long, in milliseconds.
        yield "retry: 2000\n\n"
        while not self._hub.closed:
            self.wake.clear()
            events, gone, last = self._hub.after(self._position, self.kinds)
            if gone or self._missed:
                self._hub.lost += gone and not self._missed
                self._missed = False
                # The id of what came before, so that a reader that comes back is not told again.
                before = events[0].number - 1 if events else last
                yield self._text("lost", before, '{"why":"events were lost; read the lists again"}')
            chunk = ""
            for event in events:
                if self._stream is None or self._stream in event.streams:
                    chunk += self._text(event.kind, event.number, event.text())
                    if len(chunk) > 1 << 16:
                        yield chunk
                        chunk = ""
            self._position = last
            if chunk:
                yield chunk
            try:
                await asyncio.wait_for(self.wake.wait(), heartbeat_seconds)
            except TimeoutError:
                yield ": still here\n\n"

    def _text(self, kind: str, number: int, text: str) -> str:
        return f"id: {self._hub.run}-{number}\nevent: {kind}\ndata: {text}\n\n"
