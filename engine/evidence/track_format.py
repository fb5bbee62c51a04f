"""What a muxer has to know of a track, kept beyond the life of the demuxer that said it."""

from collections.abc import Mapping
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
        values: what the template lacks, as attributes of a codec context.
        sample_rate: of sound, in hertz; 0 for pictures.
    """

    track: Track
    codec: str
    signature: tuple[object, ...]
    template: Any = field(repr=False)
    values: Mapping[str, object] = field(repr=False)
    sample_rate: int = 0

    @classmethod
    def of(cls, track: Track, info: VideoInfo | AudioInfo, before: "TrackFormat | None" = None) -> "TrackFormat | None":
        """The format of a track that was just opened.

        Args:
            track: which one.
            info: what the container said.
            before: its format at the last opening. If nothing has changed it is given again: libav keeps half a
                kilobyte of every template for ever, which sources that flap would make megabytes of.
        Returns: None where libav cannot mux what it can read.
        """
        context = info.handle.codec_context
        extradata = bytes(context.extradata or b"")
        rate = 0 if isinstance(info, VideoInfo) else info.sample_rate
        shape: tuple[object, ...] = (
            (info.width, info.height, info.pixel_format) if isinstance(info, VideoInfo) else (rate, info.layout)
        )
        signature = (track, info.codec, *shape, extradata)
        if before is not None and before.signature == signature:
            return before
        holder: Any = av.open(BytesIO(), "w", format=_HOLDER)
        try:
            if isinstance(info.handle, av.stream.Stream):
                template = holder.add_stream_from_template(info.handle, opaque=True)
                return cls(track, info.codec, signature, template, {}, rate)
            # Another process demuxes: a decoder's context is all that there is of its track. PyAV makes tracks out of
            # nothing only for codings that libav can encode.
            template = holder.add_stream(context.codec.canonical_name or context.name)
            return cls(track, info.codec, signature, template, _values(context, extradata), rate)
        except (av.error.FFmpegError, ValueError):
            return None

    def add_to(self, container: Any) -> Any:
        """A track of this format in a container that is to be written."""
        made = container.add_stream_from_template(self.template, opaque=True)
        for name, value in self.values.items():
            setattr(made.codec_context, name, value)
        return made


def _values(context: Any, extradata: bytes) -> dict[str, object]:
    """What a muxer has to know, as attributes of PyAV's contexts."""
    values: dict[str, object] = {}
    if extradata:
        values["extradata"] = extradata
    if context.type == "video":
        values |= {"width": context.width, "height": context.height}
        if context.pix_fmt:
            values["pix_fmt"] = context.pix_fmt
        if context.framerate:
            values["framerate"] = context.framerate
    else:
        if context.sample_rate:
            values["sample_rate"] = context.sample_rate
        if context.layout is not None:
            values["layout"] = context.layout.name
    return values
