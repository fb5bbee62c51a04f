"""A source that another process reads: the same to the stream's reader as one of its own (ingest/source.py).

Belongs to the one thread that opens and reads it; `stop`, `give_up` and `move` may be called from others. The ingest
process answers in its own media seconds; here they are laid onto the stream's timeline. If that process dies, reading
breaks off with the cause "ingest_restart", and the next `open` waits for its successor.
"""

import time
from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import Final

import av.error
import msgspec

from engine.errors import SourceError
from engine.ingest.after_silence import AfterSilence
from engine.ingest.arrivals import MOST_SECONDS, Arrivals, Item
from engine.ingest.base import Piece, RawBytes
from engine.ingest.causes import cause_of
from engine.ingest.clock import Discontinuity
from engine.ingest.link import Link, Links
from engine.ingest.messages import (
    UNREADABLE,
    Close,
    Ended,
    Failed,
    Failure,
    Found,
    GiveUp,
    Kind,
    Open,
    Opened,
    Skipped,
    Thin,
    unpack_packet,
    unpack_raw,
)
from engine.ingest.pieces import Pieces
from engine.ingest.ring import Record
from engine.ingest.source import HELD_TARGETS, READ_TIMEOUT_SECONDS
from engine.ingest.track import rebuild
from engine.ingest.url_policy import is_local
from engine.media import Packet, StreamInfo
from engine.turns import Turn, Turns

# An ingest process starts within about a second; one that does not come is an outage, told as one meanwhile.
LINK_SECONDS: Final = 10.0
# The ingest process's own limits end an open before that.
OPEN_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.25
_MOST_RAW_BYTES: Final = 64 << 20


class _Clock:
    """The jumps of the clock, as the other process found them."""

    def __init__(self) -> None:
        self.found: list[Discontinuity] = []


class ForwardedBytes:
    """A transport stream's bytes, as they come along with its packets. Belongs to the reader's thread."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._wanted = True

    def feed(self, position: int, piece: Piece) -> None:
        """The next ones; after a gap those before it are of no use."""
        if not self._wanted:
            return
        pieces = self._pieces
        if position != pieces.position + pieces.size or pieces.size > _MOST_RAW_BYTES:
            pieces.clear(position)
        pieces.add(piece)

    def read_until(self, position: int | None) -> Piece | None:
        """See RawBytes."""
        return self._pieces.read_until(position)

    def forget(self) -> None:
        """See RawBytes."""
        self.close()

    def close(self) -> None:
        """Keep nothing more. Idempotent."""
        self._wanted = False
        self._pieces.clear(0)


class RemoteSource:
    """One input in another process.

    Args:
        links: to the ingest processes.
        place: name of the one that reads it.
        wish: what is to be opened; its number is ignored.
        turns: of all that read from the links.
    """

    def __init__(self, links: Links, place: str, wish: Open, turns: Turns | None = None) -> None:
        self.stream = wish.stream
        self.error: SourceError | None = None
        self.target_seconds = 0.0
        self.breaks = 0
        self.renditions: tuple[str, ...] = ()
        self.clock: _Clock | None = None
        self.arrivals = Arrivals(turn=Turn(turns))
        self._links = links
        self._place = place
        self._wish = wish
        self._stop = Event()
        self._link: Link | None = None
        self._number = 0
        self._thin = False
        self._thinned = 0  # so many times it was asked for that all packets have not come again since
        self._guard = Lock()  # of these three, and of the order in which they are said
        self._shift = 0.0
        self._why = "ended"
        self._raw: ForwardedBytes | None = None
        self._lost = False
        self.goes_on = False
        self._behind: Opened | None = None  # what comes behind the break at which it goes on

    @property
    def is_network(self) -> bool:
        """Whether it lies beyond this machine's files, or goes on without end as if it did."""
        return self._wish.loop or not is_local(self._wish.url)

    @property
    def read_timeout_seconds(self) -> float:
        """The ingest process's limit for the next packet."""
        return max(READ_TIMEOUT_SECONDS, HELD_TARGETS * self.target_seconds)

    @property
    def retries_at_once(self) -> bool:
        """Whether it was the ingest process that failed, and not the source."""
        return self._lost

    def move(self, place: str) -> None:
        """Another process reads it from the next `open` on. From any thread."""
        self._place = place

    def open(self, begin: Callable[[], float] | None = None) -> StreamInfo:
        """Have the input opened, and wait for its tracks. Once closed, it may be opened again.

        Args:
            begin: media seconds at which its first packet lies, asked for when the tracks are known.
        Raises: SourceError.
        """
        self.error, self._lost = None, False
        behind, self._behind, self.goes_on = self._behind, None, False
        if behind is not None:
            return self._opened(behind, begin)
        link = self._links.get(lambda: self._place, self._stop.is_set, time.monotonic() + LINK_SECONDS)
        if link is None:
            if self._stop.is_set():
                raise self._stopped()
            self._lost = True
            raise self._without_process("has not started yet")
        self.arrivals.clear()
        with self._guard:
            self._link, self._number = link, self._links.number()
            link.attach(self._number, self.arrivals)
            link.send(msgspec.structs.replace(self._wish, number=self._number))
            self._thinned = int(self._thin)
            if self._thin:
                link.send(Thin(self._number, thin=True))
        deadline = time.monotonic() + OPEN_SECONDS
        while time.monotonic() < deadline:
            item = self._take()
            if not isinstance(item, Record):
                continue
            try:
                opened = self._answer(item)
            except UNREADABLE as error:
                raise self._unreadable(error) from error
            if opened is not None:
                return self._opened(opened, begin)
        raise self._broken(f"nothing was opened within {OPEN_SECONDS:g} s")

    def _answer(self, item: Record) -> Opened | None:
        """What a record says of the opening. Raises: SourceError; UNREADABLE."""
        if item.kind == Kind.OPENED:
            return msgspec.msgpack.decode(item.content, type=Opened)
        failure: Failure | None = None
        if item.kind == Kind.FAILED:
            failure = msgspec.msgpack.decode(item.content, type=Failed).failure
        elif item.kind == Kind.ENDED:
            failure = msgspec.msgpack.decode(item.content, type=Ended).failure
        if failure is not None:
            raise failure.error(self.stream)
        return None

    def _opened(self, said: Opened, begin: Callable[[], float] | None) -> StreamInfo:
        self.target_seconds = said.target_seconds
        self.renditions = said.renditions
        self.arrivals.most_seconds = max(MOST_SECONDS, 1.5 * said.target_seconds)
        self.arrivals.has_video = said.info.video is not None
        self.clock = _Clock()
        self._raw = ForwardedBytes() if said.raw else None
        try:
            info = rebuild(said.info, self.stream)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._broken(f"this process cannot decode what the ingest process found ({error})") from error
        self._shift = (begin() if begin is not None else 0.0) - said.base
        return info

    def packets(self, after_silence: Callable[[], float | None] | None = None) -> Iterator[Packet]:
        """The packets in the order in which the container has them, until the input ends; see `Source.packets`."""
        if self.clock is None:
            raise RuntimeError("open() comes first")
        try:
            yield from self._packets(self.clock, after_silence)
        except UNREADABLE as error:
            self.error = self._unreadable(error)
            self._why = cause_of(self.error)

    def _packets(self, clock: _Clock, after_silence: Callable[[], float | None] | None) -> Iterator[Packet]:
        silence: AfterSilence[Record] = AfterSilence(after_silence, self._time_of)
        while not self._stop.is_set():
            try:
                item = self._take()
            except SourceError as error:
                if not self._stop.is_set():
                    self.error, self._why = error, cause_of(error)
                return
            if item is None:
                continue
            if isinstance(item, Skipped) or item.kind in (Kind.SKIPPED, Kind.SEAM, Kind.WHOLE):
                self.breaks += 1
                if isinstance(item, Record) and item.kind == Kind.WHOLE:
                    with self._guard:
                        self._thinned = max(0, self._thinned - 1)
                clock.found.clear()
                if self._raw is not None:
                    self._raw = ForwardedBytes()  # whoever reads the old ones gets none of what follows
                if isinstance(item, Record) and item.kind == Kind.SKIPPED:
                    self.arrivals.skips += 1
                    self.arrivals.skipped_packets += msgspec.msgpack.decode(item.content, type=Skipped).packets
            elif item.kind == Kind.PACKET:
                given, late = silence.take(item)
                self._shift += late
                for record in given:
                    yield unpack_packet(record.content, self.stream, self._shift)
            elif item.kind == Kind.RAW:
                if self._raw is not None:
                    self._raw.feed(*unpack_raw(item.content))
            elif item.kind == Kind.FOUND:
                found = msgspec.msgpack.decode(item.content, type=Found)
                clock.found.append(found.discontinuity(self._shift))
            elif item.kind == Kind.OPENED:
                self._behind = msgspec.msgpack.decode(item.content, type=Opened)
                self.goes_on = True
                return
            elif item.kind in (Kind.ENDED, Kind.FAILED):
                self._end(item)
                return

    def _time_of(self, record: Record) -> float | None:
        packet = unpack_packet(record.content, self.stream, self._shift)
        return packet.pts if packet.dts is None else packet.dts

    def _end(self, item: Record) -> None:
        ended = msgspec.msgpack.decode(item.content, type=Ended) if item.kind == Kind.ENDED else None
        failure = ended.failure if ended is not None else msgspec.msgpack.decode(item.content, type=Failed).failure
        self._why = ended.why if ended is not None else ""
        self.error = failure.error(self.stream) if failure is not None else None
        if self.error is not None:
            self._why = cause_of(self.error)

    def _take(self) -> Item | None:
        """The next record, None where none came for a moment. Raises: SourceError once the link is lost."""
        item = self.arrivals.take(_POLL_SECONDS)
        if self._stop.is_set():
            raise self._stopped()
        if item is None and (self._link is None or not self._link.alive):
            self._lost = True
            raise self._without_process("ended")
        return item

    def raw_bytes(self) -> RawBytes | None:
        """The bytes of a transport stream from here on; None where it is none."""
        if self._raw is not None:
            self._raw = ForwardedBytes()
        return self._raw

    def go_from(self, position: int) -> bool:
        """See `Source.go_from`: never, as only the other process could read on there."""
        return False

    def why_ended(self) -> str:
        """One word for why a live source's packets ended."""
        return self._why

    def stop(self) -> None:
        """End a blocking `open` or read soon. From any thread."""
        self._stop.set()
        self.arrivals.wake()

    def give_up(self) -> None:
        """Let the ingest process end a read that hangs. From any thread."""
        link = self._link
        if link is not None:
            link.send(GiveUp(self._number))

    @property
    def thinned(self) -> bool:
        """Whether most of its packets are left out, up to the next one that comes."""
        return self._thinned > 0

    def thin(self, thin: bool) -> None:
        """Have most of its packets left out, as none is decoded, or have all of them again. From any thread."""
        with self._guard:
            if thin == self._thin:
                return
            self._thin = thin
            self._thinned += thin
            if self._link is not None:
                self._link.send(Thin(self._number, thin=thin))

    def close(self) -> None:
        """Have the input closed; for good once it was stopped. Ends the thread's turn. Idempotent."""
        self._behind, self.goes_on = None, False
        link, self._link = self._link, None
        if link is not None:
            link.send(Close(self._number, forget=self._stop.is_set()))
            link.detach(self._number)
        self.arrivals.clear()
        self.arrivals.turn.end()

    def _stopped(self) -> SourceError:
        return SourceError(
            "opening was given up",
            stream=self.stream,
            why="it was told to stop",
            remedy="start it again if it is wanted",
        )

    def _without_process(self, what: str) -> SourceError:
        return SourceError(
            "reading broke off",
            stream=self.stream,
            why=f"its ingest process {what}",
            remedy="it is started again by itself; look into the log if this comes back",
        )

    def _unreadable(self, error: Exception) -> SourceError:
        return SourceError(
            "reading broke off",
            stream=self.stream,
            why=f"its ingest process says what cannot be read ({error})",
            remedy="it is opened again by itself; that process may have been taken over by what it reads: end it",
        )

    def _broken(self, why: str) -> SourceError:
        return SourceError(
            "cannot open input", stream=self.stream, why=why, remedy="look into the log; report it with the input"
        )
