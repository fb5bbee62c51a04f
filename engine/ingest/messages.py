"""What an engine and an ingest process say to each other.

The engine says on a socket what is to be opened; the ingest process answers through the ring, where its answers keep
their place among the packets. Who is told what: the engine names each stream by a number of its own; the ingest process
knows nothing of streams but this.
"""

import math
import struct
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, get_args

import msgspec
from av.packet import Packet as AvPacket
from av.packet import PacketSideData, PktSideDataT

from engine.errors import SourceError
from engine.ingest.base import Border, Piece
from engine.ingest.clock import Discontinuity
from engine.ingest.track import InputDescription
from engine.media import Packet, Track


class Open(msgspec.Struct, tag=True, frozen=True):
    """Open an input, or open it again.

    Args:
        number: the engine's, of the stream.
        stream: its id.
        url: path or URL, with its secrets.
        loop: a file begins anew at its end.
        rendition: of a master playlist: "best", "worst", or a height.
        allow_files, allow_private: what its policy allows.
        max_pixels: largest picture.
    """

    number: int
    stream: str
    url: str
    loop: bool = False
    rendition: str = "best"
    allow_files: bool = True
    allow_private: bool = True
    max_pixels: int = 8192 * 8192


class Close(msgspec.Struct, tag=True, frozen=True):
    """Close an input; it may be opened again. `forget`: it will not be."""

    number: int
    forget: bool


class GiveUp(msgspec.Struct, tag=True, frozen=True):
    """End a read that blocks for longer than its limit."""

    number: int


class Thin(msgspec.Struct, tag=True, frozen=True):
    """Hand on a packet now and then, as nothing of the input is decoded; or all of them again."""

    number: int
    thin: bool


EngineSays = Open | Close | GiveUp | Thin


class Kind(IntEnum):
    """What a record of the ring is."""

    OPENED = 1
    FAILED = 2
    PACKET = 3
    RAW = 4
    ENDED = 5
    SEAM = 6
    FOUND = 7
    SKIPPED = 8
    WHOLE = 9


class Failure(msgspec.Struct, frozen=True):
    """A SourceError."""

    what: str
    why: str
    remedy: str

    @classmethod
    def of(cls, error: SourceError) -> "Failure":
        """What an error says."""
        return cls(error.what, error.why, error.remedy)

    def error(self, stream: str) -> SourceError:
        """The error again."""
        return SourceError(self.what, stream=stream, why=self.why, remedy=self.remedy)


class Opened(msgspec.Struct, frozen=True):
    """Kind.OPENED: an input is open, and its packets follow.

    Args:
        info: what is in it.
        base: where its timeline stands, in its own media seconds; not 0 where it was open before.
        target_seconds: length of a segment of its playlist; 0 without one.
        raw: bytes of a transport stream follow too.
        renditions: that it offers; see ingest/source.py.
    """

    info: InputDescription
    base: float
    target_seconds: float
    raw: bool
    renditions: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True):
    """Kind.FAILED: it could not be opened."""

    failure: Failure


class Ended(msgspec.Struct, frozen=True):
    """Kind.ENDED: no more packets; `failure` says why where reading broke off, `why` in one word."""

    failure: Failure | None
    why: str


class Found(msgspec.Struct, frozen=True):
    """Kind.FOUND: a jump of the input's clock that was taken out."""

    track: Track
    at: float
    jump_seconds: float
    declared: bool

    def discontinuity(self, shift: float) -> Discontinuity:
        """On a timeline that lies `shift` seconds later."""
        return Discontinuity(self.track, self.at + shift, self.jump_seconds, self.declared)


class Skipped(msgspec.Struct, frozen=True):
    """Kind.SKIPPED: so many packets were dropped before what follows, for which there was no room."""

    packets: int


# What reading a record raises that none of our ingest processes writes: one that was taken over may send anything.
UNREADABLE: Final = (ValueError, struct.error)

_RAW: Final = struct.Struct("<qB")


def pack_raw(position: int, piece: Piece) -> tuple[bytes, bytes]:
    """Kind.RAW: bytes of a transport stream, and the place of the first of them, as the pieces of a record."""
    return _RAW.pack(position, piece.border), piece.data


def unpack_raw(content: bytes) -> tuple[int, Piece]:
    """Their place, and the bytes."""
    position, border = _RAW.unpack_from(content)
    return position, Piece(content[_RAW.size :], Border(border))


_KEY: Final = 1
_CORRUPT: Final = 2
_VIDEO: Final = 4
_NONE: Final = -(2**63)
# flags, side data entries, ticks: pts dts duration, time base, media: pts dts offset, position, arrival, payload bytes
_PACKET: Final = struct.Struct("<BBqqqiidddqdI")
_SIDE: Final = struct.Struct("<BI")
_SIDE_TYPES: Final = get_args(PktSideDataT)
# libav's demuxer puts it beside every packet of a transport stream; no decoder asks for it.
_OF_NO_DECODER: Final = frozenset({"mpegts_stream_id"})
_new_side_data: Any = PacketSideData  # PyAV's stubs leave its arguments out


def pack_packet(packet: Packet, arrived: float) -> list[bytes | memoryview]:
    """A packet as the pieces of a record.

    Args:
        packet: as demuxed; its payload is an `av.Packet`.
        arrived: monotonic seconds at which it came.
    """
    payload = packet.payload
    side = [data for data in payload.iter_sidedata() if data.data_type not in _OF_NO_DECODER]
    base = payload.time_base
    head = _PACKET.pack(
        packet.key * _KEY | packet.corrupt * _CORRUPT | (packet.track == "video") * _VIDEO,
        len(side),
        _NONE if payload.pts is None else payload.pts,
        _NONE if payload.dts is None else payload.dts,
        payload.duration or 0,
        base.numerator,
        base.denominator,
        math.nan if packet.pts is None else packet.pts,
        math.nan if packet.dts is None else packet.dts,
        packet.offset,
        -1 if packet.position is None else packet.position,
        arrived,
        packet.size,
    )
    pieces: list[bytes | memoryview] = [head]
    for data in side:
        content = bytes(data)
        pieces += [_SIDE.pack(_SIDE_TYPES.index(data.data_type), len(content)), content]
    pieces.append(memoryview(payload))
    return pieces


@lru_cache(maxsize=64)
def _fraction(numerator: int, denominator: int) -> Fraction:
    """A time base; every packet of a track has the same, and to make it takes longer than all the rest of its head."""
    return Fraction(numerator, denominator)


class Head(msgspec.Struct, frozen=True):
    """What is known of a packet without its payload."""

    track: Track
    key: bool
    arrived: float
    size: int


def head_of(content: bytes) -> Head:
    """Read the beginning of a packet's record."""
    flags, *_, arrived, size = _PACKET.unpack_from(content)
    return Head("video" if flags & _VIDEO else "audio", bool(flags & _KEY), arrived, size)


def unpack_packet(content: bytes, stream: str, shift: float) -> Packet:
    """The packet again, on a timeline that lies `shift` seconds later.

    Args:
        content: of its record.
        stream: the stream's id.
        shift: media seconds to add.
    Raises: UNREADABLE.
    """
    flags, side, pts, dts, duration, num, den, at, decoding, offset, position, _, size = _PACKET.unpack_from(content)
    if size > len(content) - _PACKET.size or num <= 0 or den <= 0:
        raise ValueError(f"a packet of {size} bytes in {len(content)}, with a time base of {num}/{den}")
    place = _PACKET.size
    view = memoryview(content)
    beside: list[Any] = []
    for _ in range(side):
        kind, length = _SIDE.unpack_from(content, place)
        place += _SIDE.size
        if length > len(content) - place or kind >= len(_SIDE_TYPES):
            raise ValueError(f"{length} bytes of side data of kind {kind}, in {len(content)}")
        data: Any = _new_side_data(kind, length)
        if length:
            data.update(view[place : place + length])
            beside.append(data)
        place += length
    if size != len(content) - place:
        raise ValueError(f"a packet of {size} bytes, and {len(content) - place} are there")
    # Into libav's own memory, as its decoders read a little beyond the end.
    payload: Any = AvPacket(content[place : place + size]) if size else AvPacket(0)
    for data in beside:
        payload.set_sidedata(data, move=True)
    payload.time_base = _fraction(num, den)
    payload.pts = None if pts == _NONE else pts
    payload.dts = None if dts == _NONE else dts
    payload.duration = duration
    payload.is_keyframe = key = bool(flags & _KEY)
    payload.is_corrupt = corrupt = bool(flags & _CORRUPT)
    return Packet(
        stream,
        "video" if flags & _VIDEO else "audio",
        None if math.isnan(at) else at + shift,
        None if math.isnan(decoding) else decoding + shift,
        offset + shift,
        size,
        key,
        corrupt,
        payload,
        None if position < 0 else position,
    )
