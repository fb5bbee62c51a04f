"""What `avjury bench fuzz` sends bytes to: all that reads what strangers, or a process that was taken over, send.

Each target takes bytes, does with them what the service does, and may raise errors of ours; whatever else it raises is
a mistake. Beside it: inputs to begin with, and words that inputs are made of.
"""

import base64
import contextlib
import os
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

Feed = Callable[[bytes], None]

_BASE: Final = "http://192.0.2.1/a/index.m3u8"


@dataclass(frozen=True, slots=True)
class Target:
    """One reader.

    Args:
        about: what it reads, in words.
        make: makes what is fed; what it needs is imported there, where the engine's branches are watched.
        seeds: inputs to begin with.
        words: that inputs are made of.
        longest: bytes of an input.
    """

    about: str
    make: Callable[[], Feed]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = field(default=())
    longest: int = 4096


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _playlists() -> Feed:
    from engine.errors import AvjuryError
    from engine.ingest.playlist import parse_master, parse_media
    from engine.ingest.url_policy import UrlPolicy

    policy = UrlPolicy(allow_files=False)

    def feed(data: bytes) -> None:
        text = _text(data)
        with contextlib.suppress(AvjuryError):
            policy.check_playlist(_BASE, text, "s")
        for read in (parse_media, parse_master):
            with contextlib.suppress(AvjuryError):
                read(text, _BASE)

    return feed


def _manifests() -> Feed:
    from engine.errors import AvjuryError
    from engine.ingest.dash import parse_manifest

    def feed(data: bytes) -> None:
        with contextlib.suppress(AvjuryError):
            parse_manifest(data, "http://192.0.2.1/a.mpd", "s", 1e9)

    return feed


def _addresses() -> Feed:
    from engine.errors import AvjuryError
    from engine.ingest.url_policy import UrlPolicy, redact

    def nobody(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "nobody is asked")

    socket.getaddrinfo = nobody  # names are not looked up: this process does nothing else
    public = UrlPolicy(allow_files=False, allow_private=False)

    def feed(data: bytes) -> None:
        url = _text(data)
        with contextlib.suppress(AvjuryError):
            public.check(url, "s")
        if redact(redact(url)) != redact(url):
            raise AssertionError("what is redacted changes when it is redacted again")

    return feed


def _frames() -> Feed:
    from engine.ingest.control import IngestSays
    from engine.ingest.messages import EngineSays
    from engine.service.messages import SupervisorSays
    from engine.wire import Channel, ConnectionLost

    kinds = (EngineSays, SupervisorSays, IngestSays)

    def feed(data: bytes) -> None:
        near, far = socket.socketpair()
        channel: Channel[Any] = Channel(near, kinds[data[0] % len(kinds)] if data else EngineSays)
        try:
            far.sendall(data[1:])
            far.close()
            for _ in range(8):
                channel.receive()
        except ConnectionLost:
            pass
        finally:
            channel.close()

    return feed


def _ring() -> Feed:
    from engine.ingest.ring import RingBroken, RingReader, make_ring

    size = 4096

    def feed(data: bytes) -> None:
        memory, doorbell = make_ring(size)
        os.pwrite(memory, data[:8], 0)  # how much was written, and how much was read
        os.pwrite(memory, data[8:16], 64)
        os.pwrite(memory, data[16 : 16 + size], 4096)
        ring = RingReader(memory, doorbell)
        try:
            for number, _ in enumerate(ring.read()):
                if number > size:
                    raise AssertionError("it gives out more records than it can hold")
        except RingBroken:
            pass
        finally:
            ring.close()

    return feed


def _records() -> Feed:
    import av.error

    from engine.errors import AvjuryError
    from engine.ingest.messages import (
        UNREADABLE,
        Ended,
        Failed,
        Found,
        Opened,
        Skipped,
        head_of,
        unpack_packet,
        unpack_raw,
    )
    from engine.ingest.track import rebuild

    # The last is of a track that no decoder takes; remote.py makes an error of ours of it.
    told = (*UNREADABLE, AvjuryError, av.error.FFmpegError)
    reads: tuple[Callable[[bytes], object], ...] = (
        head_of,
        unpack_raw,
        lambda content: unpack_packet(content, "s", 0.0),
        lambda content: rebuild(msgspec.msgpack.decode(content, type=Opened).info, "s"),
        lambda content: msgspec.msgpack.decode(content, type=Ended),
        lambda content: msgspec.msgpack.decode(content, type=Failed).failure.error("s"),
        lambda content: msgspec.msgpack.decode(content, type=Found).discontinuity(0.0),
        lambda content: msgspec.msgpack.decode(content, type=Skipped),
    )

    def feed(data: bytes) -> None:
        if data:
            with contextlib.suppress(*told):
                reads[data[0] % len(reads)](data[1:])

    return feed


def _configurations() -> Feed:
    from engine.configured import load_config
    from engine.errors import AvjuryError

    path = Path(tempfile.mkdtemp(prefix="avjury-fuzz-")) / "config.yaml"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(AvjuryError):
            load_config(path, {})

    return feed


def _state() -> Feed:
    from engine.errors import AvjuryError
    from engine.service.sessions import Sessions
    from engine.store.cursor import decode
    from engine.store.spool_log import read_log

    path = Path(tempfile.mkdtemp(prefix="avjury-fuzz-")) / "log"

    class Nobody:
        callers = ()

    sessions = Sessions(Nobody(), bytes(32))  # type: ignore[arg-type]

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        content = read_log(path)
        if content.damaged_bytes > len(data):
            raise AssertionError("more is damaged than there is")
        text = _text(data)
        with contextlib.suppress(AvjuryError):
            decode(text, (float, str))
        if sessions.caller(text, "h", None, False) is not None:
            raise AssertionError("a cookie that nobody signed is somebody's")

    return feed


def _replies() -> Feed:
    import asyncio

    import h11
    import httpx

    from engine.notify.http import Poster

    poster = Poster("fuzz", 2.0, {})
    answer: list[bytes] = [b""]

    class Made(httpx.AsyncBaseTransport):
        """Answers with the bytes, read as httpx's own transport reads them."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            connection = h11.Connection(h11.CLIENT)
            connection.send(h11.Request(method="POST", target="/", headers=[("host", "h"), ("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            try:
                connection.receive_data(answer[0])
                connection.receive_data(b"")
                event = connection.next_event()
                while isinstance(event, h11.InformationalResponse):
                    event = connection.next_event()
                if not isinstance(event, h11.Response):
                    raise httpx.RemoteProtocolError("no response")
                body = b""
                while isinstance(part := connection.next_event(), h11.Data):
                    body += bytes(part.data)
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            reason = {"reason_phrase": bytes(event.reason)}
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            return httpx.Response(event.status_code, headers=headers, stream=httpx.ByteStream(body), extensions=reason)

    asyncio.run(poster._client.aclose())
    poster._client = httpx.AsyncClient(transport=Made(), timeout=2.0)

    def feed(data: bytes) -> None:
        answer[0] = data
        [reply] = poster.post(["http://192.0.2.1/hook"], b"{}")
        later = reply.retry_after_seconds
        if later is not None and not 0 <= later <= 1e6:
            raise AssertionError(f"to be tried again after {later} s")

    return feed


def _transport_streams() -> Feed:
    from engine.ingest.splice import parse_splice
    from engine.ingest.transport_stream import TransportStream

    def feed(data: bytes) -> None:
        stream = TransportStream()
        half = len(data) // 2
        stream.feed(data[:half])
        stream.begin_segment(anew=bool(len(data) % 2))
        stream.feed(data[half:])
        parse_splice(data)

    return feed


def _headers() -> Feed:
    from engine.decode.headers import HeaderWatch
    from engine.decode.length_prefixed import LengthPrefixed
    from engine.errors import DecodeError
    from engine.ingest.captions import has_captions

    def feed(data: bytes) -> None:
        for codec in ("h264", "hevc"):
            HeaderWatch(codec).read(b"\x00\x00\x01" + data)
            with contextlib.suppress(DecodeError):
                found = LengthPrefixed.of(data, codec)
                if found is not None:
                    found.to_annex_b(data)
            has_captions(data, codec)

    return feed


def _framed(kind: int, message: Mapping[str, Any]) -> bytes:
    body = msgspec.msgpack.encode(message)
    return bytes([kind]) + struct.pack("<IB", len(body), 1) + body


def _logged(content: bytes) -> bytes:
    return b"\xa7vs\x01" + struct.pack("<II", len(content), zlib.crc32(content)) + content


def _transport_packets() -> bytes:
    table = bytes.fromhex("474000100000b00d0001c100000001f0002ab104b2").ljust(188, b"\xff")
    return b"".join(table[:3] + bytes([0x10 | count]) + table[4:] for count in range(8))


TARGETS: Final[Mapping[str, Target]] = {
    "playlists": Target(
        "HLS playlists and variants",
        _playlists,
        (b'#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1\n'
         b'#EXT-X-MAP:URI="i.mp4",BYTERANGE="9@0"\n#EXTINF:4,\n#EXT-X-BYTERANGE:5@1\na.ts\n#EXT-X-ENDLIST\n',
         b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b",URI="c"\n'
         b'#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=2x2,CODECS="avc1.4",AUDIO="a"\nv.m3u8\n'),
        (b"#EXTM3U", b"#EXTINF:", b"#EXT-X-KEY:METHOD=", b"#EXT-X-MAP:URI=", b"#EXT-X-BYTERANGE:",
         b"#EXT-X-STREAM-INF:", b"#EXT-X-MEDIA:", b"#EXT-X-DISCONTINUITY", b"http://[::1", b"file:///", b"0x", b"nan"),
    ),
    "manifests": Target(
        "DASH manifests",
        _manifests,
        (b"<MPD type='dynamic' availabilityStartTime='2026-01-01T00:00:00Z' minimumUpdatePeriod='PT2S'><Period start="
         b"'PT0S'><AdaptationSet mimeType='video/mp4'><SegmentTemplate media='$Number%05d$.m4s' initialization='i.mp4' "
         b"timescale='1' startNumber='1'><SegmentTimeline><S t='0' d='2' r='3'/></SegmentTimeline></SegmentTemplate>"
         b"<Representation id='1' bandwidth='1'/></AdaptationSet></Period></MPD>",
         b"<MPD><Period duration='PT4S'><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
         b"<BaseURL>x/</BaseURL><SegmentTemplate media='$Time$' timescale='1' duration='1'/></Representation>"
         b"</AdaptationSet></Period></MPD>"),
        (b"<Period>", b"$Number%09d$", b"$Time$", b"r='-1'", b"PT1H", b"<BaseURL>", b"timescale='0'", b"duration='"),
    ),
    "addresses": Target(
        "addresses of streams, and what is hidden of them",
        _addresses,
        (b"http://user:pass@192.0.2.1:80/a?token=x#y", b"rtsp://[2001:db8::1%25lo]/x", b"udp://@239.0.0.1:1234?ttl=1",
         b"srt://192.0.2.1:9?passphrase=secret&streamid=x", b"http://2130706433/", b"http://0x7f.1/"),
        (b"file:", b"concat:", b"subfile,,start,0,end,9,,:", b"async:", b"data:", b"http://", b"@", b"%2f", b"[::1]"),
        512,
    ),
    "frames": Target(
        "messages between processes",
        _frames,
        (_framed(0, {"type": "Open", "number": 1, "stream": "a", "url": "x"}), _framed(0, {"type": "Close"}),
         _framed(1, {"type": "Remove", "id": "a"}), _framed(2, {"type": "Ready", "pid": 1})),
    ),
    "ring": Target(
        "packets in the memory that an ingest process shares",
        _ring,
        (struct.pack("<QQ", 48, 0) + struct.pack("<IIHHI", 24, 1, 2, 0, 8) + bytes(8) +
         struct.pack("<IIHHI", 24, 1, 2, 0, 3) + bytes(8), struct.pack("<QQ", 4096, 4080) + b"\xff" * 64),
        (b"\xff\xff\xff\xff",),
    ),
    "records": Target(
        "what an ingest process says of its sources",
        _records,
        (b"\x02" + struct.pack("<BBqqqiidddqdI", 5, 1, 1, 1, 1, 1, 90000, 0.0, 0.0, 0.0, 0, 0.0, 3) + b"\x00" +
         struct.pack("<I", 2) + b"ab" + b"pkt", b"\x00" + bytes(80), b"\x01" + bytes(12),
         b"\x04" + msgspec.msgpack.encode({"why": "ended", "failure": None}),
         b"\x05" + msgspec.msgpack.encode({"failure": {"what": "a", "why": "b", "remedy": "c"}}),
         b"\x07" + msgspec.msgpack.encode({"packets": 3})),
    ),
    "configurations": Target(
        "the configuration",
        _configurations,
        (b"streams: [{id: a, url: a.ts, detectors: {video.black: {black_min_duration: 1}}, labels: {x: y}}]\n",
         b"auth: {token: x, failures_per_minute: 3}\nengine: {device: cpu}\nprofiles: {p: {video.freeze: false}}\n",
         b"notify: {sinks: {a: {type: webhook, url: 'http://192.0.2.1/'}}, routes: [{sinks: [a]}]}\n"),
        (b"streams:", b"detectors:", b"!!python/object:", b"&a ", b"*a", b".nan", b"<<: ", b"? ", b"url:", b"id:"),
        2048,
    ),
    "state": Target(
        "files of state, cursors and cookies",
        _state,
        (_logged(b"one") + _logged(b"two"), base64.urlsafe_b64encode(b"[1.5, \"a\"]"), b"v1.eyJuIjoxfQ.c2ln"),
    ),
    "replies": Target(
        "what a webhook's receiver answers",
        _replies,
        (b"HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno",
         b"HTTP/1.1 429 X\r\nRetry-After: Fri, 31 Dec 2099 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n",
         b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Y\r\n\r\n",
         b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        (b"Retry-After: ", b"Content-Encoding: deflate\r\n", b"Transfer-Encoding: chunked\r\n", b"GMT", b"99999999"),
    ),
    "transport streams": Target(
        "tables and timestamps of transport streams",
        _transport_streams,
        (_transport_packets(), bytes.fromhex("fc302000000000000000fff00f05000000007fbf00000000000001010000")),
        (b"G@\x00", b"G\x1f\xff", b"\xfc0"),
    ),
    "headers": Target(
        "headers of H.264 and HEVC",
        _headers,
        (bytes.fromhex("6764001facd9405005bb016a02020280000003008000001e078c18cb00000168ebe3cb22c0000001658884"),
         bytes.fromhex("40010c01ffff016000000300900000030000030078959809000001420101016000000300900000030000030078"
                       "a003c08010e596566924caf01010000003001000000301e080000001440172b46240"),
         bytes.fromhex("0164001fffe1000467640 01f01000468ebe3cb".replace(" ", ""))),
        (b"\x00\x00\x01\x67", b"\x00\x00\x01\x68", b"\x00\x00\x01\x42\x01", b"\x00\x00\x01\x44\x01", b"\x00\x00\x03"),
        1024,
    ),
}  # fmt: skip
