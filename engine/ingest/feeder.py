"""One stream in an ingest process: its input is read, and its packets are put into the ring.

Run by: one thread per stream, started by the ingest process's main thread, which calls the public methods. It owns the
source. It ends when the stream is forgotten. If it fails, the engine is told that reading broke off; the ingest
process goes on. It never waits for the engine: where the ring has no room, packets are dropped up to the next key
frame, and the engine is told how many.

Of a stream that is not decoded for want of time a packet is handed on now and then, so that it is seen to be there; a
`Kind.WHOLE` stands before the first one from which on all are.

A file is paced by its own clock, as a live source would send it; a looped one begins anew at its end, its timeline
going on.
"""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.errors import SourceError
from engine.handling import Handling
from engine.ingest.base import RawBytes
from engine.ingest.messages import Ended, Failed, Failure, Found, Kind, Open, Opened, Skipped, pack_packet, pack_raw
from engine.ingest.ring import RingWriter
from engine.ingest.source import Source
from engine.ingest.track import InputDescription, describe
from engine.ingest.url_policy import UrlPolicy
from engine.media import Packet, StreamInfo

# What says where the packets belong is waited for; the engine empties the ring many times a second.
SAY_SECONDS: Final = 10.0
_SAY_PAUSE_SECONDS: Final = 0.005
# A clock that is further behind was not read for a while (a suspended machine): it starts anew.
_LATE_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 5.0
# No stall is told sooner than after several of these.
THIN_SECONDS: Final = 0.25
_log: Final = logging.getLogger(__name__)


class Feeder:
    """The reader of one stream.

    Args:
        wish: what it reads.
        handling: where it marks that libav is at work for it.
    """

    def __init__(self, wish: Open, handling: Handling) -> None:
        self._wish = wish
        self._handling = handling
        self._policy = UrlPolicy(
            allow_files=wish.allow_files, allow_private=wish.allow_private, max_pixels=wish.max_pixels
        )
        self._source = self._make_source()
        self._state = threading.Condition()
        self._ring: RingWriter | None = None
        self._wanted = False  # the engine wants it open
        self._closes = 0  # how often it wanted it closed: a connection of before that is not what it asks for now
        self._again = False  # an engine has come that knows nothing of it yet
        self._over = False
        self._raw: RawBytes | None = None
        self._raw_at = 0
        self._info: InputDescription | None = None
        self._paced = False  # nobody else sends it at its pace
        self._lost_packets = 0  # since there was room in the ring; packets wait for a key frame
        self._thin = False
        self._whole = 0  # so many times all packets were asked for again, which is to be said
        self._handed_at = 0.0
        self.number = wish.number
        self.orphaned = False
        """No engine has asked for it since the last one was lost."""
        self.packets = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"feeder {wish.stream}")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def serves(self, wish: Open) -> bool:
        """Whether it is what a wish asks for."""
        mine, its = self._wish, wish
        return not self._over and msgspec.structs.replace(mine, number=0) == msgspec.structs.replace(its, number=0)

    def open(self, number: int, ring: RingWriter) -> None:
        """Read, for the stream of this number; goes on with what is open already."""
        with self._state:
            self.number, self._ring = number, ring
            self.orphaned = False
            self._wanted = self._again = True
            self._thin, self._whole = False, 0
            self._state.notify_all()

    def close(self) -> None:
        """Close the input, until it is asked for again."""
        with self._state:
            self._wanted = False
            self._closes += 1
            self._state.notify_all()
        self._source.give_up()

    def thin(self, thin: bool) -> None:
        """Hand on a packet now and then, or all of them again."""
        with self._state:
            self._whole += self._thin and not thin
            self._thin = thin

    def give_up(self) -> None:
        """End a read that hangs."""
        self._source.give_up()

    def detach(self) -> None:
        """The engine is gone; read on for its successor."""
        with self._state:
            self._ring = None
        self.orphaned = True

    def forget(self) -> None:
        """End, soon."""
        with self._state:
            self._over, self._wanted = True, False
            self._state.notify_all()
        self._source.stop()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _make_source(self) -> Source:
        wish = self._wish
        return Source(wish.url, stream=wish.stream, policy=self._policy, rendition=wish.rendition)

    def _run(self) -> None:
        try:
            while True:
                with self._state:
                    self._state.wait_for(lambda: self._wanted or self._over, _IDLE_SECONDS)
                    if self._over:
                        return
                    if not self._wanted:
                        continue
                    closes = self._closes
                self._connection(closes)
        finally:
            self._source.close()
            self._handling.release()

    def _serves_on(self, closes: int) -> bool:
        return self._wanted and self._closes == closes

    def _connection(self, closes: int) -> None:
        """Open the input and read it until it ends, or nobody wants it; `closes` tells this connection from later."""
        source = self._source
        failure: SourceError | None = None
        try:
            self._handling.begin()
            info = source.open()
            self._handling.end()
            self._lost_packets = 0
            self._again = False
            self._paced = not info.live
            self._info = self._as_live(info)
            self._watch_bytes()
            self._say_opened(0.0)
            self._read(closes)
            failure = source.error
        except SourceError as error:
            self._finish(closes, Kind.FAILED, Failed(Failure.of(error)))
            return
        except Exception as error:  # noqa: BLE001 - it must end this stream only, and be seen
            _log.exception("%s: reading failed", self._wish.stream)
            failure = SourceError(
                "reading broke off",
                stream=self._wish.stream,
                why=f"{type(error).__name__}: {error}",
                remedy="this is a bug in avjury; please report it with the input",
            )
        finally:
            self._handling.end()
            if self._raw is not None:
                self._raw.close()
                self._raw = None
        why = "broken"
        if self._serves_on(closes) and failure is source.error:
            why = source.why_ended()
        self._finish(closes, Kind.ENDED, Ended(None if failure is None else Failure.of(failure), why))

    def _finish(self, closes: int, kind: Kind, last: Failed | Ended) -> None:
        """Close the input and say so, unless the engine itself wanted it closed."""
        self._source.close()
        with self._state:
            said = self._serves_on(closes)
            if said:
                self._wanted = False
        if said:
            self._say(kind, last)

    def _as_live(self, info: StreamInfo) -> InputDescription:
        said = describe(info)
        return msgspec.structs.replace(said, live=True, duration=None) if self._loops(info) else said

    def _loops(self, info: StreamInfo) -> bool:
        return self._wish.loop and not info.live

    def _watch_bytes(self) -> None:
        self._raw = self._source.raw_bytes()
        self._raw_at = 0

    def _read(self, closes: int) -> None:
        """Hand the packets on; a file's at the pace of its clock, and again from its start where it loops."""
        paced = self._paced
        began: float | None = None
        while True:
            end = 0.0
            said = 0
            for packet in self._packets():
                at = packet.pts if packet.dts is None else packet.dts
                if paced and at is not None:
                    now = time.monotonic()
                    if began is None or began + at < now - _LATE_SECONDS:
                        began = now - at
                    with self._state:
                        self._state.wait_for(lambda: not self._serves_on(closes), max(0.0, began + at - now))
                if not self._serves_on(closes):
                    return
                found = self._source.clock.found if self._source.clock is not None else ()
                if self._again:
                    self._again = False
                    self._say_opened(at or 0.0)
                    said = len(found)
                for jump in found[said:]:
                    self._say(Kind.FOUND, Found(jump.track, jump.at, jump.jump_seconds, jump.declared))
                said = len(found)
                payload = packet.payload
                last = packet.pts if packet.pts is not None else at
                end = max(end, (last or 0.0) + float((payload.duration or 0) * payload.time_base))
                self._hand_on(packet)
            if self._raw is not None:
                self._send_bytes(None)
            if self._source.goes_on and self._serves_on(closes):
                self._info = self._as_live(self._open_at(end))
                self._watch_bytes()
                self._say_opened(end)
                continue
            loops = self._wish.loop and paced and end > 0
            if not loops or self._source.error is not None or not self._serves_on(closes):
                return
            self._source.close()
            if self._as_live(self._open_at(end)) != self._info:
                return  # another file lies there now: it is opened as one
            self._watch_bytes()
            self._say(Kind.SEAM, None)

    def _open_at(self, media_second: float) -> StreamInfo:
        """Open the input again, its timeline going on."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self._handling.begin()
        info = self._source.open(lambda: media_second)
        self._handling.end()
        return info

    def _packets(self) -> Iterator[Packet]:
        """The source's packets, marked while libav is at work for the next one."""
        packets = self._source.packets()
        mark = self._handling
        while True:
            mark.begin()
            packet = next(packets, None)
            mark.end()
            if packet is None:
                return
            yield packet

    def _hand_on(self, packet: Packet) -> None:
        ring = self._ring
        if ring is None:
            return  # until the engine's successor comes
        if (self._thin or self._whole) and not self._take_part(ring, packet):
            return
        if self._lost_packets:
            has_video = self._info is not None and self._info.video is not None
            key = packet.key and packet.track == "video"
            if (has_video and not key) or not ring.half_empty():  # else it would be full again at once
                self._lose(1)
                return
            skipped = msgspec.msgpack.encode(Skipped(self._lost_packets))
            if not ring.write(self.number, Kind.SKIPPED, skipped):
                self._lose(1)
                return
            self._lost_packets = 0
        if self._raw is not None and packet.position is not None:
            self._send_bytes(packet.position)
        if ring.write(self.number, Kind.PACKET, *pack_packet(packet, time.monotonic())):
            self.packets += 1
        else:
            self._lose(1)

    def _take_part(self, ring: RingWriter, packet: Packet) -> bool:
        """Whether a packet is handed on that comes while most are not, or when all are to be again."""
        if self._raw is not None and packet.position is not None:
            self._send_bytes(packet.position, keep=False)
        while self._whole:
            if not ring.write(self.number, Kind.WHOLE, b""):
                return False
            with self._state:
                self._whole = max(0, self._whole - 1)
        if not self._thin:
            return True
        now = time.monotonic()
        if now - self._handed_at < THIN_SECONDS:
            return False
        self._handed_at = now
        return True

    def _lose(self, packets: int) -> None:
        self._lost_packets += packets
        self.dropped += packets

    def _send_bytes(self, position: int | None, *, keep: bool = True) -> None:
        """The transport stream's bytes before a packet; where there is no room they are lost with the packets."""
        ring = self._ring if keep else None
        assert self._raw is not None
        while piece := self._raw.read_until(position):
            if ring is not None:
                ring.write(self.number, Kind.RAW, *pack_raw(self._raw_at, piece))
            self._raw_at += len(piece.data)

    def _say_opened(self, base: float) -> None:
        assert self._info is not None
        self._say(
            Kind.OPENED,
            Opened(
                info=self._info,
                base=base,
                target_seconds=self._source.target_seconds,
                raw=self._raw is not None,
                renditions=self._source.renditions,
            ),
        )

    def _say(self, kind: Kind, message: Any) -> None:
        """Put in what may not be lost; room is waited for, unless the engine goes."""
        content = msgspec.msgpack.encode(message)
        deadline = time.monotonic() + SAY_SECONDS
        while (ring := self._ring) is not None and not ring.write(self.number, kind, content):
            if time.monotonic() > deadline:
                _log.warning("%s: the engine takes nothing", self._wish.stream)
                return
            time.sleep(_SAY_PAUSE_SECONDS)
