"""Decoding a file's pictures ahead of everything else that its reader does.

Run by: one thread per stream, started with the first packets. It owns the decoder while packets are with it. It is
handed packets some at a time, and gives back what each became, in order; it ends at `close`, once what it decodes is
done, and is waited for up to five seconds; what fails in it is raised where the packet's pictures are asked for. So a
picture is decoded while the one before it is looked through, and what comes out is the same, packet by packet, as if
the reader had decoded each itself.

Nothing behind a place where the timeline is cut is decoded before the reader has come there: it flushes there first.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from engine.decode.base import VideoDecoder
from engine.errors import AvjuryError
from engine.media import Packet, Surface
from engine.queues import Bell, BoundedQueue, QueueClosed

_WAIT_SECONDS: Final = 0.25
_END_SECONDS: Final = 5.0
# A container's times are rounded.
_SAME_SECONDS: Final = 0.0015
# Where pictures are rare, as in a slide show, no more is read ahead than this.
_MOST_PACKETS: Final = 192
# One is decoded while the one before it is looked through, and one waits, so that the decoder need not.
_PARTS: Final = 3


@dataclass(slots=True, eq=False)
class _Part:
    """Packets of all tracks that are read together.

    Args:
        found: jumps of the timestamps that were known when the first of them was read.
        fenced: the reader flushes before them.
        packets: in demux order.
        pictures: how many of the packets are of pictures.
        sent: they are with the thread, or have been.
    """

    found: int
    fenced: bool
    packets: list[Packet] = field(default_factory=list)
    pictures: int = 0
    sent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """What became of one packet.

    Args:
        packet: of pictures.
        surfaces: that it made ready.
        errors: of the decoder, up to it.
        failure: what the decoder raised for it.
    """

    packet: Packet
    surfaces: list[Surface]
    errors: int
    failure: AvjuryError | None


class DecodeAhead:
    """A decoder that works in a thread of its own; the reader uses it as any other.

    Args:
        decoder: opened; it becomes this one's.
        pictures: so many packets of pictures are decoded at a time.
        stream: the stream's id.
        stopped: asked while waiting.
    """

    def __init__(self, decoder: VideoDecoder, pictures: int, stream: str, stopped: Callable[[], bool]) -> None:
        self.name: Literal["nvdec", "software"] = decoder.name
        self.errors = decoder.errors
        self._decoder = decoder
        self._pictures = pictures
        self._stopped = stopped
        self._parts: deque[_Part] = deque()
        self._decoded: deque[_Decoded] = deque()  # of the part that was taken last
        self._to_do, self._done = Bell(), Bell()
        self._orders: BoundedQueue[list[Packet]] = BoundedQueue(_PARTS, self._to_do)
        self._results: BoundedQueue[list[_Decoded]] = BoundedQueue(2 * _PARTS, self._done)
        self._thread = threading.Thread(target=self._run, name=f"decoder {stream}")
        self._outstanding = 0  # parts that are with the thread

    def read(self, packets: Iterator[Packet], found: Callable[[], int]) -> Iterator[Packet]:
        """The packets one by one, while those of pictures behind them are being decoded.

        Args:
            packets: of a source.
            found: how many jumps of the timestamps the source has taken out.
        """
        parts = self._parts_of(packets, found)
        over = False
        while True:
            while not over and len(self._parts) < _PARTS:
                part = next(parts, None)
                if part is None:
                    over = True
                    break
                self._parts.append(part)
                self._send_parts(asked=False)
            if not self._parts:
                return
            yield from self._parts[0].packets
            self._parts.popleft()

    @property
    def found(self) -> int:
        """How many jumps were known at the packet that was read last."""
        return self._parts[0].found

    def _parts_of(self, packets: Iterator[Packet], found: Callable[[], int]) -> Iterator[_Part]:
        part, offset = _Part(found(), fenced=True), None
        for packet in packets:
            jumps = found()
            if packet.offset != offset or jumps != part.found:
                if part.packets:
                    yield part
                part, offset = _Part(jumps, fenced=True), packet.offset
            part.packets.append(packet)
            part.pictures += packet.track == "video"
            if part.pictures >= self._pictures or len(part.packets) >= _MOST_PACKETS:
                yield part
                part = _Part(jumps, fenced=False)
        if part.packets:
            yield part

    def _send_parts(self, *, asked: bool) -> None:
        """Send what may be decoded, in order.

        Args:
            asked: for pictures of the first part; the reader has come there, and flushed where it had to.
        """
        for index, part in enumerate(self._parts):
            if not part.sent:
                if part.fenced and not (asked and index == 0):
                    return
                self._send(part)

    def _send(self, part: _Part) -> None:
        part.sent = True
        pictures = [packet for packet in part.packets if packet.track == "video"]
        if pictures:
            self._outstanding += 1
            self._orders.put(pictures, self._stopped)
            if self._thread.ident is None:
                self._thread.start()

    def decode(self, packet: Packet) -> list[Surface]:
        """The pictures that a packet made ready. Raises: what the decoder raised for it."""
        self._send_parts(asked=True)
        while True:
            while self._decoded:
                decoded = self._decoded.popleft()
                self.errors = decoded.errors
                if decoded.packet is packet:
                    if decoded.failure is not None:
                        raise decoded.failure
                    return decoded.surfaces
                _release(decoded)  # nobody asked for it
            self._take()

    def _take(self) -> None:
        while True:
            rings = self._done.rings
            results = self._results.take()
            if results is not None:
                self._outstanding -= 1
                self._decoded.extend(results)
                return
            if self._results.ended and self._results.failure is not None:
                raise self._results.failure
            if self._stopped():
                raise QueueClosed
            self._done.wait(rings, _WAIT_SECONDS)

    def flush(self) -> list[Surface]:
        """The pictures still held back, of packets that were asked for; of what was decoded beyond them, none."""
        while self._outstanding:
            self._take()
        beyond = [decoded for decoded in self._decoded if decoded.failure is None]
        self._decoded.clear()
        surfaces = [surface for decoded in beyond for surface in decoded.surfaces] + self._decoder.flush()
        if not beyond:
            self.errors = self._decoder.errors
            return surfaces
        later = [decoded.packet.pts for decoded in beyond if decoded.packet.pts is not None]
        kept = []
        for surface in surfaces:
            if any(abs(surface.pts - pts) < _SAME_SECONDS for pts in later):
                surface.release()
            else:
                kept.append(surface)
        return kept

    def close(self) -> None:
        """End the thread and free the decoder. Idempotent."""
        self._orders.close()
        for results in [*self._results.discard(), list(self._decoded)]:
            for decoded in results:
                _release(decoded)
        self._decoded.clear()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)
        self._decoder.close()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            while True:
                rings = self._to_do.rings
                packets = self._orders.take()
                if packets is None:
                    if self._orders.ended:
                        return
                    self._to_do.wait(rings, _WAIT_SECONDS)
                    continue
                self._results.put([self._one(packet) for packet in packets], self._stopped)
        except QueueClosed:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised in the reader
            failure = error
        finally:
            self._results.close(failure)

    def _one(self, packet: Packet) -> _Decoded:
        surfaces: list[Surface] = []
        failure = None
        try:
            surfaces = self._decoder.decode(packet)
        except AvjuryError as error:
            failure = error
        return _Decoded(packet, surfaces, self._decoder.errors, failure)


def _release(decoded: _Decoded) -> None:
    for surface in decoded.surfaces:
        surface.release()
