"""One stream's pictures on NVDEC: compressed packets in, NV12 and P016 surfaces in device memory out.

Used by: the stream's reader thread. Sessions and the pictures' memory are the pool's; see nvdec_pool.py.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from engine.decode.base import VideoDecoder
from engine.decode.headers import HeaderWatch
from engine.decode.length_prefixed import LengthPrefixed
from engine.decode.nal import CODECS
from engine.decode.nvdec_pool import DecoderPool, Picture, PictureLost, Session, SessionRefused
from engine.decode.sequence import SequenceFormat
from engine.errors import DecodeError, DeviceError
from engine.media import Packet, Surface, VideoInfo

_DEFAULT_SECONDS = 0.04
_MAX_FAILURES = 3
_PENDING_TIMES = 128  # far above any reordering (H.265 A.4.2: 16 pictures)


class NvdecDecoder:
    """Decodes one stream's pictures on NVDEC, and goes over to a software decoder where NVDEC will not.

    Packets may hold Annex B or length-prefixed NAL units (`info.handle` says which), as `av.Packet` or as bytes.

    Damage: NVDEC hands a damaged picture out as if it were good. `errors` and `Surface.corrupt` come from what
    PyNvVideoCodec prints (see damage.py), from damaged headers, from missing slices (slices.py), from gaps in
    H.264's frame numbers, and from the container's own mark.

    Args:
        info: the track.
        stream: the stream's id.
        pool: of the device.
        software: makes the decoder that goes on where NVDEC will not, given the reason; None raises instead.
    """

    def __init__(
        self,
        info: VideoInfo,
        stream: str,
        pool: DecoderPool,
        software: Callable[[str], VideoDecoder] | None = None,
    ) -> None:
        codec = next((c for c in CODECS if c == info.codec), None)
        if codec is None:
            raise DecodeError(
                "cannot decode on NVDEC", stream=stream, why=f"the codec is {info.codec}", remedy="decode in software"
            )
        self.name: Literal["nvdec", "software"] = "nvdec"
        self.errors = 0
        self.reason = ""
        """Why this stream is decoded in software; "" as long as it is not."""
        self._stream = stream
        self._pool = pool
        self._make_software = software
        self._software: VideoDecoder | None = None
        self._errors_before = 0
        self._watch = HeaderWatch(codec)
        self._lengths: LengthPrefixed | None = None
        context = getattr(info.handle, "codec_context", None)
        extradata = bytes(getattr(context, "extradata", None) or b"")
        if extradata:
            self._lengths = LengthPrefixed.of(extradata, codec)
            self._watch.read(self._lengths.parameter_sets if self._lengths else extradata)
        self._frame_rate = info.frame_rate
        self._session: Session | None = None
        self._format: SequenceFormat | None = None
        self._starting = True
        self._failures = 0
        self._serial = 0
        self._times: OrderedDict[int, float | None] = OrderedDict()
        self._lacking: set[int] = set()  # serials of pictures that lack slices or a reference, not given yet
        self._keys: set[int] = set()  # those of key pictures
        self._last_pts: float | None = None

    def decode(self, packet: Packet) -> list[Surface]:
        """Feed one packet of the video track.

        Returns: the pictures that became ready, complete, in presentation order.
        Raises: DecodeError if NVDEC will not and there is no software decoder; DeviceError if the GPU failed.
        """
        if self._software is not None:
            return self._decode_in_software(packet)
        data: bytes | None = bytes(packet.payload)
        if data and self._lengths is not None:
            data = self._lengths.to_annex_b(data)
        if not data:
            self.errors += 1
            return []
        headers = self._watch.read(data)
        self.errors += headers.damage + packet.corrupt
        if headers.format is None or (self._starting and not (headers.key or packet.key)):
            return []  # joined in the middle: nothing can be decoded before the next key picture
        surfaces: list[Surface] = []
        try:
            fmt = headers.format
            # Nearly always it is the same object, and comparing fifteen fields is dear for once a picture.
            if self._session is None or (fmt is not self._format and fmt != self._format):
                surfaces += self._drain()
                self._leave_session(usable=True)
                self._session = self._pool.take(fmt)
                self._format = fmt
                self._starting = True
            if self._starting and not headers.has_parameter_sets:
                data = self._watch.parameter_sets() + data
            self._starting = False
            self._serial += 1
            if headers.lacks_slices or headers.missing:
                self._lacking.add(self._serial)
            if headers.key or packet.key:
                self._keys.add(self._serial)
            self._times[self._serial] = packet.pts
            while len(self._times) > _PENDING_TIMES:
                forgotten, _ = self._times.popitem(last=False)
                self._lacking.discard(forgotten)
                self._keys.discard(forgotten)
            surfaces += self._feed(data)
            self._failures = 0
        except SessionRefused as exc:
            self._leave_session(usable=False)
            surfaces += self._fall_back(str(exc), packet)
        except PictureLost as exc:
            self._leave_session(usable=False)
            self.errors += 1
            self._failures += 1
            if self._failures >= _MAX_FAILURES:
                surfaces += self._fall_back(f"NVDEC failed {_MAX_FAILURES} times in a row: {exc}", packet)
        except DeviceError:
            self._leave_session(usable=False)
            raise
        return surfaces

    def flush(self) -> list[Surface]:
        """Give the pictures still held back; decoding may go on at the next key picture."""
        if self._software is not None:
            surfaces = self._software.flush()
            self.errors = self._errors_before + self._software.errors
            return surfaces
        surfaces = self._drain()
        self._starting = True
        self._watch.forget_order()
        self._times.clear()
        self._last_pts = None
        return surfaces

    def close(self) -> None:
        """Give the session back. Surfaces stay valid. Idempotent."""
        if self._session is not None:
            # The next stream must not get what this one left inside; its pictures are nobody's.
            try:
                self._pool.decode(self._session, b"", 0)
                self._leave_session(usable=True)
            except (SessionRefused, PictureLost, DeviceError):
                self._leave_session(usable=False)
        if self._software is not None:
            self._software.close()

    def _drain(self) -> list[Surface]:
        """What the session still holds back."""
        if self._session is None:
            return []
        try:
            return self._feed(b"")
        except (SessionRefused, PictureLost):
            self.errors += 1
            self._leave_session(usable=False)
            return []

    def _feed(self, data: bytes) -> list[Surface]:
        assert self._session is not None
        assert self._format is not None
        frames = self._pool.decode(self._session, data, self._serial)
        pictures = self._pool.copy([frame for frame, _, _ in frames]) if frames else []
        surfaces = []
        for picture, (_, serial, damaged) in zip(pictures, frames, strict=True):
            self.errors += damaged
            corrupt = damaged or serial in self._lacking
            self._lacking.discard(serial)
            key = serial in self._keys
            self._keys.discard(serial)
            surfaces.append(self._surface(picture, self._format, self._times.pop(serial, None), corrupt, key=key))
        return surfaces

    def _surface(
        self, picture: Picture, fmt: SequenceFormat, pts: float | None, corrupt: bool, *, key: bool
    ) -> Surface:
        rate = self._frame_rate or fmt.frame_rate
        duration = 1 / rate if rate else _DEFAULT_SECONDS
        if pts is None:
            pts = 0.0 if self._last_pts is None else self._last_pts + duration
        self._last_pts = pts
        sample = 1 if fmt.bit_depth == 8 else 2
        pitch = fmt.width * sample
        chroma = picture.address + pitch * fmt.height
        return Surface(
            stream=self._stream,
            pts=pts,
            duration=duration,
            addresses=(picture.address, chroma, chroma + sample),
            luma_pitch=pitch,
            chroma_pitch=pitch,
            chroma_step=2,
            width=fmt.width,
            height=fmt.height,
            chroma_width=fmt.width // 2,
            chroma_height=fmt.height // 2,
            bit_depth=fmt.bit_depth,
            shift=0 if fmt.bit_depth == 8 else 16 - fmt.bit_depth,
            full_range=fmt.full_range,
            matrix=fmt.matrix,
            interlaced=fmt.interlaced,
            corrupt=corrupt,
            device=self._pool.device,
            owner=picture,
            release=picture.release,
            key=key,
        )

    def _leave_session(self, *, usable: bool) -> None:
        session, self._session = self._session, None
        self._starting = True
        if session is not None:
            self._pool.give_back(session, usable=usable)

    def _fall_back(self, why: str, packet: Packet) -> list[Surface]:
        """Go on in software from this packet."""
        if self._make_software is None:
            raise DecodeError(
                "NVDEC does not decode this stream", stream=self._stream, why=why, remedy="decode it in software"
            )
        self.reason = why
        self.name = "software"
        self._errors_before = self.errors
        self._software = self._make_software(why)
        return self._decode_in_software(packet)

    def _decode_in_software(self, packet: Packet) -> list[Surface]:
        assert self._software is not None
        surfaces = self._software.decode(packet)
        self.errors = self._errors_before + self._software.errors
        return surfaces
