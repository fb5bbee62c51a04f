"""What a muxer has to know of a track, kept beyond the life of the demuxer that said it."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import av
import av.stream

from engine.media import AudioInfo, Track, VideoInfo

# Any muxer that takes every codec; nothing is ever written with it.
_HOLDER: Final = "nut"


@dataclass(frozen=True, slots=True, eq=False)
class TrackFormat:
    """One track as it was coded for some time.

    Args:
        track: pictures or sound.
        codec: libavcodec's name of the coding ("h264"), whatever decodes it.
        signature: equal for formats whose packets one track of a file can hold.
        template: libav's parameters; of a container that is never written.
        sample_rate: of sound, in hertz; 0 for pictures.
    """

    track: Track
    codec: str
    signature: tuple[object, ...]
    template: Any = field(repr=False)
    sample_rate: int = 0

    @classmethod
    def of(cls, track: Track, info: VideoInfo | AudioInfo) -> "TrackFormat | None":
        """The format of a track that was just opened.

        Returns: None where libav cannot mux what it can read.
        """
        context = info.handle.codec_context
        extradata = bytes(context.extradata or b"")
        if isinstance(info, VideoInfo):
            shape: tuple[object, ...] = (info.width, info.height, info.pixel_format)
            rate = 0
        else:
            shape, rate = (info.sample_rate, info.layout), info.sample_rate
        template = _copied(info.handle) if isinstance(info.handle, av.stream.Stream) else _put_together(context)
        if template is None:
            return None
        return cls(track, info.codec, (track, info.codec, *shape, extradata), template, rate)


def _copied(handle: Any) -> Any:
    """A track like a demuxer's own, in a container of ours."""
    holder: Any = av.open(BytesIO(), "w", format=_HOLDER)
    try:
        return holder.add_stream_from_template(handle, opaque=True)
    except (av.error.FFmpegError, ValueError):
        return None


def _put_together(context: Any) -> Any:
    """A track from a decoder's context alone, which is what is left of one that another process demuxes."""
    holder: Any = av.open(BytesIO(), "w", format=_HOLDER)
    try:
        seed = holder.add_stream(context.codec.canonical_name or context.name)
        made = holder.add_stream_from_template(seed, opaque=True)
    except (av.error.FFmpegError, ValueError):
        return None  # PyAV makes tracks of codings only that libav can encode
    ours = made.codec_context
    if context.extradata:
        ours.extradata = context.extradata
    if context.type == "video":
        ours.width, ours.height = context.width, context.height
        if context.pix_fmt:
            ours.pix_fmt = context.pix_fmt
    else:
        if context.sample_rate:
            ours.sample_rate = context.sample_rate
        if context.layout is not None:
            ours.layout = context.layout.name
    made._finalize_for_output()
    return made
