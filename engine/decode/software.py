"""Software video decoder: libav through PyAV, pictures read in place from libav's own buffers.

Measured on PyAV 18.1 (libav 8.1) with damaged clips: a picture that was concealed carries a corrupt mark in the frame
itself, so libav's log, whose lines come from its worker threads and need Python's lock, is not needed to know it. What
it does not mark is a picture that never came, nor those that refer to it: H.264 and MPEG-2 number their pictures, and a
gap in the numbers is counted, and the picture after it is marked.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal

import av.error
import numpy as np
from av import VideoFrame

from engine.decode.field_order import Mpeg2FieldOrder
from engine.decode.headers import HeaderWatch
from engine.decode.length_prefixed import LengthPrefixed
from engine.decode.picture_order import PictureOrder
from engine.errors import DecodeError
from engine.media import Packet, Surface, VideoInfo

_PLANAR: Final = re.compile(r"(?:yuvj?4(?:20|22|44|40|11|10)p|gray)(?:(?:9|10|12|14|16)le)?\Z")
_SEMI_PLANAR: Final = re.compile(r"(?:nv(?:12|16|24)|p[024](?:10|12|16)le)\Z")
_JPEG_RANGE: Final = 2  # AVCOL_RANGE_JPEG
_RGB_MATRIX: Final = 0  # H.273: the identity, so red, green and blue
_BT601_MATRIX: Final = 6  # what libswscale makes of RGB
_NO_TIMESTAMPS: Final = 0x0080  # AVFMT_NOTIMESTAMPS: raw elementary streams
_UNALIGNED: Final = 1  # AV_CODEC_FLAG_UNALIGNED: crop exactly, also where rows then begin at odd addresses
_DEFAULT_SECONDS: Final = 0.04
_MOST_LACKING: Final = 64  # more than any decoder holds back


@dataclass(frozen=True, slots=True)
class _Geometry:
    """How pictures of one format and size are read; `convert` names the format to bring them into first."""

    convert: str | None
    planes: int
    chroma_step: int
    chroma_width: int
    chroma_height: int
    bit_depth: int
    shift: int
    full_range: bool
    rgb: bool


class SoftwareVideoDecoder:
    """Decodes one stream's pictures on the CPU.

    Planar YUV and grey of 8 to 16 bits and NV12-like formats are handed on where libav decoded them. All else is
    converted by libswscale: big-endian, alpha and packed YUV to the planar format of the same subsampling and depth;
    RGB and palettes to 4:4:4 YUV of the same depth (BT.601, studio range).

    Args:
        info: the track, as `Source.open` describes it.
        stream: the stream's id.
        thread_count: 1 decodes in the calling thread; 0 lets libav use all cores, frames apart, which delays pictures
            by as many frames and lets damage fall differently from run to run.
        max_pixels: width x height above which nothing is decoded.

    Raises: DecodeError: the picture is larger than `max_pixels`, or libav refuses to open the codec.
    """

    name: Literal["nvdec", "software"] = "software"

    def __init__(self, info: VideoInfo, stream: str, *, thread_count: int = 1, max_pixels: int = 8192 * 8192) -> None:
        self.errors = 0
        self._stream = stream
        self._max_pixels = max_pixels
        self._check_size(info.width, info.height)
        track = info.handle
        context = track.codec_context
        self._context: Any = context
        if not context.is_open:
            context.thread_count = thread_count
            context.thread_type = "SLICE" if thread_count == 1 else "AUTO"
            context.flags |= _UNALIGNED
            context.options = {**(context.options or {}), "max_pixels": str(max_pixels)}
            try:
                context.open()
            except (av.error.FFmpegError, OSError, ValueError) as error:
                raise DecodeError(
                    "cannot decode video",
                    stream=stream,
                    why=f"libav refuses to open {info.codec} {info.profile} ({getattr(error, 'strerror', error)})",
                    remedy="re-encode it, or use a codec that `avjury doctor` lists",
                ) from error
        self._tick = float(track.time_base)
        self._timestamps_unreliable = bool(track.container.format.flags & _NO_TIMESTAMPS)
        self._average_ticks = self._ticks(info.frame_rate)
        self._offset = 0.0
        self._geometries: dict[tuple[str, int, int], _Geometry] = {}
        self._headers, self._lengths = _header_watch(context)
        self._mpeg2_fields = Mpeg2FieldOrder() if context.name in ("mpeg1video", "mpeg2video") else None
        self._order = PictureOrder() if context.name in ("mpeg1video", "mpeg2video") else None
        self._container_order = info.top_field_first
        self._forget()

    def _forget(self) -> None:
        # Times of pictures, not given yet, of which slices are missing, or reference pictures before them.
        self._lacking: set[int] = set()
        self._orders: dict[int | None, bool] = {}  # by their times: whether the top field of pictures comes first
        self._last_pts: int | None = None
        self._last_duration = 0
        # libav's own choice between decoding order and presentation times (AVFrame.best_effort_timestamp), which
        # PyAV does not hand out: presentation times, unless they have run backwards more often than decoding times.
        self._faulty_pts = 0
        self._faulty_dts = 0
        self._seen_pts: int | None = None
        self._seen_dts: int | None = None

    def _ticks(self, rate: float | Fraction | None) -> int:
        return round(1 / (float(rate) * self._tick)) if rate else 0

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise DecodeError(
                "resolution over limit",
                stream=self._stream,
                why=f"{width}x{height} pictures; {self._max_pixels} pixels are allowed",
                remedy="raise the limit, or send a smaller picture",
            )

    def decode(self, packet: Packet) -> list[Surface]:
        """Feed one packet. Returns: the pictures that became ready. Raises: DecodeError "resolution over limit"."""
        if packet.offset != self._offset:
            self._forget_order()  # a jump: the pictures before it are another sequence's
        self._offset = packet.offset
        self._read_headers(packet.payload)
        try:
            frames = self._context.decode(packet.payload)
        except av.error.FFmpegError:
            if has_picture(self._context.name, self._context.extradata, bytes(packet.payload)):
                self.errors += 1
                self._check_size(self._context.width, self._context.height)
            return []
        return [self._surface(frame) for frame in frames]

    def _read_headers(self, payload: Any) -> None:
        """Count what is missing, and note the order of fields. Damaged headers are left to libav."""
        if self._order is not None and self._mpeg2_fields is not None:
            read = bytes(payload)
            self._note_order(payload.pts, self._mpeg2_fields.read(read))
            if self._order.missing_before(read):
                self._lacks(payload.pts)
            return
        if self._headers is None:
            return
        data: bytes | None = bytes(payload)
        if data and self._lengths is not None:
            data = self._lengths.to_annex_b(data)
        if not data:
            return
        headers = self._headers.read(data)
        self._note_order(payload.pts, headers.top_field_first)
        # Of H.264 libav marks pictures that lack slices itself.
        if headers.missing or (headers.lacks_slices and self._headers.codec == "hevc"):
            self._lacks(payload.pts)

    def _lacks(self, pts: int | None) -> None:
        """Count, and mark, a picture that lacks slices or a picture that it refers to."""
        self.errors += 1
        if pts is not None:
            if len(self._lacking) >= _MOST_LACKING:
                self._lacking.clear()  # pictures that never came
            self._lacking.add(pts)

    def _forget_order(self) -> None:
        for watch in (self._headers, self._order):
            if watch is not None:
                watch.forget_order()

    def _note_order(self, pts: int | None, top_field_first: bool | None) -> None:
        if top_field_first is None:
            return
        if len(self._orders) >= _MOST_LACKING:
            self._orders.clear()  # pictures that never came
        # A second field that comes by itself has a time at which no picture begins.
        self._orders[pts] = top_field_first

    def flush(self) -> list[Surface]:
        """Give the pictures that were held back for reordering; decoding may go on after it."""
        if self._context is None:
            return []
        surfaces: list[Surface] = []
        while True:
            try:
                frames = self._context.decode(None)
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                self.errors += 1
                continue
            surfaces += [self._surface(frame) for frame in frames]
        self._context.flush_buffers()
        self._forget_order()
        return surfaces

    def close(self) -> None:
        """Let go of the decoder; surfaces stay valid, each holds its own frame."""
        self._context = None
        self._geometries.clear()

    def _surface(self, frame: Any) -> Surface:
        width, height = frame.width, frame.height
        name = frame.format.name
        corrupt = frame.is_corrupt
        if corrupt:
            self.errors += 1
        if frame.pts in self._lacking:
            self._lacking.discard(frame.pts)
            corrupt = True
        pts, ticks = self._time(frame)
        geometry = self._geometries.get((name, width, height))
        if geometry is None:
            geometry = self._geometries[name, width, height] = _geometry_of(frame.format)
        full_range = geometry.full_range or frame.color_range == _JPEG_RANGE
        matrix = frame.colorspace
        interlaced, key = frame.interlaced_frame, frame.key_frame
        order = self._orders.pop(frame.pts, None) if self._orders else None
        if order is None:
            order = self._container_order
        if geometry.convert:
            frame = frame.reformat(format=geometry.convert)
            if geometry.rgb:
                full_range, matrix = False, _BT601_MATRIX
        elif matrix == _RGB_MATRIX:
            matrix = 2
        planes = frame.planes
        if any(plane.line_size < 0 for plane in planes):
            frame = _upright(frame)
            planes = frame.planes
        luma = planes[0].buffer_ptr
        u = v = chroma_pitch = 0
        if geometry.planes == 3:
            u, v, chroma_pitch = planes[1].buffer_ptr, planes[2].buffer_ptr, planes[1].line_size
        elif geometry.planes == 2:
            u, chroma_pitch = planes[1].buffer_ptr, planes[1].line_size
            v = u + (1 if geometry.bit_depth == 8 else 2)
        return Surface(
            self._stream,
            pts * self._tick + self._offset,
            ticks * self._tick if ticks > 0 else _DEFAULT_SECONDS,
            (luma, u, v),
            planes[0].line_size,
            chroma_pitch,
            geometry.chroma_step,
            width,
            height,
            geometry.chroma_width,
            geometry.chroma_height,
            geometry.bit_depth,
            geometry.shift,
            full_range,
            matrix,
            interlaced,
            corrupt,
            "cpu",
            frame,
            top_field_first=order,
            key=key,
        )

    def _time(self, frame: Any) -> tuple[int, int]:
        """Presentation time and duration in ticks, as the ffmpeg program's decoder stage finds them.

        Source: guess_correct_pts in libavcodec/decode.c; video_duration_estimate in fftools/ffmpeg_dec.c.
        """
        pts: int | None = frame.pts
        dts: int | None = frame.dts
        if dts is not None:
            self._faulty_dts += self._seen_dts is not None and dts <= self._seen_dts
            self._seen_dts = dts
        elif pts is not None:
            self._seen_dts = pts
        if pts is not None:
            self._faulty_pts += self._seen_pts is not None and pts <= self._seen_pts
            self._seen_pts = pts
        elif dts is not None:
            self._seen_pts = dts
        best = pts if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts) else dts
        last = self._last_pts
        if best is None:
            best = 0 if last is None else last + self._last_duration
        self._last_duration = self._duration(frame.duration or 0, -1 if last is None else best - last)
        self._last_pts = best
        return best, self._last_duration

    def _duration(self, given: int, step: int) -> int:
        """Ticks that a picture lasts: what the packet said, unless it is a guess of the demuxer."""
        # A duration of one tick beside much larger steps was made up.
        if given > 0 and not self._timestamps_unreliable and not (given == 1 and step > 2):
            return given
        coded = self._ticks(self._context.framerate) if self._context is not None else 0
        if coded and self._timestamps_unreliable:
            return coded
        for ticks in (step, given, coded, self._average_ticks, self._last_duration):
            if ticks > 0:
                return ticks
        return 1


def _header_watch(context: Any) -> tuple[HeaderWatch | None, LengthPrefixed | None]:
    """What reads the picture numbers of an H.264 track, and where slices of HEVC begin; no other codec has such."""
    if context.name not in ("h264", "hevc"):
        return None, None
    watch, lengths = HeaderWatch(context.name), None
    extradata = bytes(context.extradata or b"")
    try:
        lengths = LengthPrefixed.of(extradata, context.name)
    except DecodeError:
        return None, None  # libav says what it thinks of such a track
    sets = lengths.parameter_sets if lengths is not None else extradata
    if sets:
        watch.read(sets)
    return watch, lengths


def has_picture(codec: str, extradata: bytes | None, payload: bytes) -> bool:
    """Whether a packet that a decoder refused was meant to hold a picture; True where that cannot be told.

    Some muxers write packets of messages and parameter sets alone. libav refuses them, but nothing is damaged.

    Args:
        codec: libavcodec's name.
        extradata: the track's; it tells the size of the length before each unit.
        payload: the packet.
    Source: ITU-T H.264 table 7-1 (1 to 5 and 20 are slices), H.265 table 7-1 (0 to 31); ISO/IEC 14496-15, 5.3.3.1.
    """
    if codec not in ("h264", "hevc") or len(payload) < 5:
        return True
    hevc = codec == "hevc"
    heads: list[int] = []
    if payload.startswith((b"\0\0\1", b"\0\0\0\1")):
        heads = [match.group(1)[0] for match in re.finditer(rb"\x00\x00\x01(.)", payload, re.DOTALL)]
    else:
        field = 22 - 1 if hevc else 4
        length_bytes = (extradata[field] & 3) + 1 if extradata and len(extradata) > field else 4
        at = 0
        while at + length_bytes < len(payload):
            heads.append(payload[at + length_bytes])
            at += length_bytes + int.from_bytes(payload[at : at + length_bytes], "big")
        if at != len(payload):
            return True  # cut in the middle of a unit
    if hevc:
        return any(head >> 1 & 63 < 32 for head in heads) or not heads
    return any(head & 31 in (1, 2, 3, 4, 5, 20) for head in heads) or not heads


def _geometry_of(pixels: Any) -> _Geometry:
    """Describe a libav pixel format (`av.VideoFormat`) of one size."""
    name = pixels.name
    direct = _direct(pixels)
    if direct is not None:
        return direct
    deepest = max(component.bits for component in pixels.components)
    depth = next(d for d in (8, 9, 10, 12, 14, 16, 32) if d >= deepest)
    suffix = "" if depth == 8 else f"{min(depth, 16)}le"
    rgb = pixels.is_rgb or pixels.has_palette or name.startswith(("bayer", "xyz"))
    if rgb:
        target = f"yuv444p{suffix}"
    elif len(pixels.components) <= 2:
        target = "gray" if depth == 8 else f"gray{suffix}"
    else:
        wide = pixels.width // max(1, pixels.components[1].width)
        high = pixels.height // max(1, pixels.components[1].height)
        sampling = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}
        target = f"yuv{sampling.get((wide, high), '444')}p{suffix}"
    described = _direct(type(pixels)(target, pixels.width, pixels.height))
    if described is None:
        described = _direct(type(pixels)(target := "yuv444p", pixels.width, pixels.height))
    assert described is not None  # yuv444p is direct
    return replace(described, convert=target, rgb=rgb)


def _direct(pixels: Any) -> _Geometry | None:
    """How to read a format in place; None where its samples have to be rearranged first."""
    name = pixels.name
    semi = _SEMI_PLANAR.match(name) is not None
    if not semi and not _PLANAR.match(name):
        return None
    components = pixels.components
    depth = components[0].bits
    grey = len(components) == 1
    return _Geometry(
        convert=None,
        planes=1 if grey else 2 if semi else 3,
        chroma_step=2 if semi else 1,
        chroma_width=0 if grey else components[1].width,
        chroma_height=0 if grey else components[1].height,
        bit_depth=depth,
        shift=16 - depth if semi and depth > 8 else 0,
        full_range=name.startswith("yuvj"),
        rgb=False,
    )


def _upright(frame: Any) -> Any:
    """A copy whose rows lie from top to bottom; some raw and old codecs decode upside down."""
    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        pitch = abs(source.line_size)
        rows = np.frombuffer(memoryview(source), np.uint8).reshape(source.height, pitch)
        if source.line_size < 0:
            rows = rows[::-1]
        into = np.frombuffer(memoryview(target), np.uint8).reshape(target.height, target.line_size)
        width = min(pitch, target.line_size)
        into[:, :width] = rows[:, :width]
    return copy
