"""A track as another process needs it: what its decoder has to know, in plain values.

`describe` reads it off the demuxer's own track, `Track` gives a decoder the same attributes again. PyAV does not hand
out the block size of sound, so the few old codecs that cannot do without it (WMA, ADPCM in WAV and ASF) are refused
where they were demuxed by another process.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import av.error
import msgspec

from engine.media import AudioInfo, StreamInfo, VideoInfo

# libav's names of the options that stand for fields which PyAV's contexts do not let be set.
_DEPTH_OPTION: Final = "bits_per_coded_sample"
_DELAY_OPTION: Final = "has_b_frames"
_FRAME_OPTION: Final = "frame_size"
_TIME_OPTION: Final = "pkt_timebase"


class TrackDescription(msgspec.Struct, frozen=True):
    """One track.

    Args:
        codec: name of libav's decoder.
        tag: the container's four characters for it; "" without.
        extradata: the codec's own headers.
        time_base: numerator and denominator of a tick in seconds.
        duration: of the track in ticks; None where unknown.
        container: libav's format name.
        container_flags: libav's AVFMT flags of it.
        width, height, pixel_format, rate, reorder_depth, bits: of pictures; `rate` as a fraction.
        sample_rate, layout, sample_format, frame_size: of sound.
    """

    codec: str
    tag: str
    extradata: bytes
    time_base: tuple[int, int]
    duration: int | None
    container: str
    container_flags: int
    width: int = 0
    height: int = 0
    pixel_format: str = ""
    rate: tuple[int, int] = (0, 1)
    reorder_depth: int = 0
    bits: int = 0
    sample_rate: int = 0
    layout: str = ""
    sample_format: str = ""
    frame_size: int = 0


class VideoDescription(msgspec.Struct, frozen=True):
    """`VideoInfo` for another process."""

    codec: str
    profile: str
    width: int
    height: int
    pixel_format: str
    bit_depth: int
    frame_rate: float | None
    interlaced: bool
    track: TrackDescription
    top_field_first: bool | None = None


class AudioDescription(msgspec.Struct, frozen=True):
    """`AudioInfo` for another process."""

    codec: str
    sample_rate: int
    layout: str
    channels: int
    track: TrackDescription


class InputDescription(msgspec.Struct, frozen=True):
    """`StreamInfo` for another process."""

    container: str
    duration: float | None
    live: bool
    video: VideoDescription | None
    audio: AudioDescription | None
    undecodable: dict[str, str] = {}


def describe(info: StreamInfo) -> InputDescription:
    """What another process needs of an opened input; its tracks' handles are the demuxer's own."""
    video, audio = info.video, info.audio
    return InputDescription(
        container=info.container,
        duration=info.duration,
        live=info.live,
        video=None
        if video is None
        else VideoDescription(
            video.codec,
            video.profile,
            video.width,
            video.height,
            video.pixel_format,
            video.bit_depth,
            video.frame_rate,
            video.interlaced,
            _track(video.handle),
            video.top_field_first,
        ),
        audio=None
        if audio is None
        else AudioDescription(audio.codec, audio.sample_rate, audio.layout, audio.channels, _track(audio.handle)),
        undecodable=dict(info.undecodable),
    )


def rebuild(said: InputDescription, stream: str) -> StreamInfo:
    """The opened input as this process's decoders need it; they make their contexts anew.

    Raises: `av` errors where this process's libav lacks the codec.
    """
    video, audio = said.video, said.audio
    return StreamInfo(
        stream=stream,
        container=said.container,
        duration=said.duration,
        live=said.live,
        video=None
        if video is None
        else VideoInfo(
            video.codec,
            video.profile,
            video.width,
            video.height,
            video.pixel_format,
            video.bit_depth,
            video.frame_rate,
            video.interlaced,
            Track.of(video.track),
            video.top_field_first,
        ),
        audio=None
        if audio is None
        else AudioInfo(audio.codec, audio.sample_rate, audio.layout, audio.channels, Track.of(audio.track)),
        undecodable=said.undecodable,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Format:
    name: str
    flags: int


@dataclass(frozen=True, slots=True, eq=False)
class _Container:
    format: _Format


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What decoders ask of a demuxer's track, under the same names.

    Args:
        codec_context: libav's decoder, not yet opened.
        time_base: seconds of a tick.
        duration: in ticks; None where unknown.
        container: with the `format` that has `name` and `flags`.
    """

    codec_context: Any
    time_base: Fraction
    duration: int | None
    container: _Container

    @classmethod
    def of(cls, said: TrackDescription) -> "Track":
        """Put together from a description."""
        context: Any = av.CodecContext.create(said.codec, "r")
        context.extradata = said.extradata or None
        if len(said.tag) == 4 and said.tag.isascii():
            context.codec_tag = said.tag
        options = {_TIME_OPTION: f"{said.time_base[0]}/{said.time_base[1]}"}
        if said.bits:
            options[_DEPTH_OPTION] = str(said.bits)
        if context.type == "video":
            context.width, context.height = said.width, said.height
            if said.pixel_format:
                context.pix_fmt = said.pixel_format
            if said.rate[0]:
                context.framerate = Fraction(*said.rate)
            options[_DELAY_OPTION] = str(said.reorder_depth)
        else:
            if said.sample_rate:
                context.sample_rate = said.sample_rate
            if said.layout:
                context.layout = said.layout
            if said.sample_format:
                context.format = said.sample_format
            if said.frame_size:
                options[_FRAME_OPTION] = str(said.frame_size)
        context.options = options
        return cls(
            context, Fraction(*said.time_base), said.duration, _Container(_Format(said.container, said.container_flags))
        )


def _track(track: Any) -> TrackDescription:
    context = track.codec_context
    values: dict[str, Any] = {}
    if track.type == "video":
        rate = context.framerate
        values = {
            "width": context.width,
            "height": context.height,
            "pixel_format": context.pix_fmt or "",
            "rate": (rate.numerator, rate.denominator) if rate else (0, 1),
            "reorder_depth": int(context.reorder_depth),
            "bits": context.bits_per_coded_sample,
        }
    else:
        values = {
            "sample_rate": context.sample_rate or 0,
            "layout": context.layout.name if context.layout is not None else "",
            "sample_format": context.format.name if context.format is not None else "",
            "frame_size": context.frame_size or 0,
        }
    base = track.time_base
    return TrackDescription(
        codec=context.name,
        tag=_tag(context),
        extradata=bytes(context.extradata or b""),
        time_base=(base.numerator, base.denominator),
        duration=track.duration,
        container=track.container.format.name,
        container_flags=int(track.container.format.flags),
        **values,
    )


def _tag(context: Any) -> str:
    try:
        tag = context.codec_tag
    except (UnicodeDecodeError, ValueError):  # PyAV reads it as ASCII
        return ""
    return tag if isinstance(tag, str) and len(tag) == 4 and tag != "\0\0\0\0" else ""
