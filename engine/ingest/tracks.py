"""Which tracks of an opened container are judged, and what is in them."""

from collections.abc import Iterable
from typing import Any, Final

from av.stream import Discard, Disposition

from engine.errors import SourceError
from engine.ingest.renditions import Rendition, choose, rules
from engine.media import AudioInfo, StreamInfo, Track, VideoInfo

_PICTURES: Final = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image

Tracks = list[tuple[Track, Any]]
"""Kind and libav's stream of each, pictures first."""


class TrackChoice:
    """The best video and the best audio track of a container; all others are discarded.

    Args:
        container: of PyAV.
        stream: the stream's id.
        rendition: which variant; see `renditions.choose`.
        max_pixels: largest picture.
    Raises: SourceError: there is nothing to judge, or too large a picture.
    """

    def __init__(self, container: Any, stream: str, rendition: str, max_pixels: int) -> None:
        self.problems: list[str] = []
        """Of tracks that cannot be judged, one line each."""
        self.renditions: tuple[str, ...] = ()
        """Rules of the variants, the chosen one first, where libav opened several."""
        self._container, self._stream, self._rendition = container, stream, rendition
        video, audio = self._best("video"), self._best("audio")
        if video is not None:
            video, audio = self._rendered(video, audio)
        kinds: Iterable[tuple[Track, Any]] = (("video", video), ("audio", audio))
        self.tracks: Tracks = [(kind, track) for kind, track in kinds if track is not None]
        """Those that are judged."""
        if not self.tracks:
            raise self._nothing_to_judge()
        self._undecodable: dict[str, str] = {
            kind: problem
            for kind, track in kinds
            if track is None
            for problem in self.problems
            if problem.startswith(f"{kind} ")
        }
        if video is not None and video.codec_context.width * video.codec_context.height > max_pixels:
            raise SourceError(
                "resolution over limit",
                stream=stream,
                why=f"{video.codec_context.width}x{video.codec_context.height} pictures; "
                f"{max_pixels} pixels are allowed",
                remedy="raise the limit, or send a smaller picture",
            )
        chosen = {track.index for _, track in self.tracks}
        for track in container.streams:
            if track.index not in chosen:
                track.discard = Discard.all

    def info(self, name: str, *, local: bool) -> StreamInfo:
        """What is in them.

        Args:
            name: of the container.
            local: it is a file of this machine.
        """
        container = self._container
        found = dict(self.tracks)
        video, audio = found.get("video"), found.get("audio")
        duration = None if container.duration is None or container.duration <= 0 else container.duration / 1e6
        return StreamInfo(
            stream=self._stream,
            container=name,
            duration=duration,
            live=duration is None and not local,
            video=None if video is None else _video_info(video),
            audio=None if audio is None else _audio_info(audio),
            undecodable=self._undecodable,
        )

    def _best(self, kind: Track) -> Any:
        """libav's best decodable track of a kind. A cover picture is not a video track."""
        streams = self._container.streams
        usable = []
        for s in getattr(streams, kind):
            if s.disposition & _PICTURES:
                continue
            if s.codec_context is None:
                self.problems.append(f"{kind} track {s.index} cannot be decoded: {_codec_tag(s)}")
                continue
            usable.append(s)
        best = streams.best(kind)
        return best if best in usable else next(iter(usable), None)

    def _rendered(self, video: Any, audio: Any) -> tuple[Any, Any]:
        """Of an HLS master playlist's variants the one that is asked for, with the sound of that variant."""
        streams = self._container.streams
        several = [s for s in streams.video if "variant_bitrate" in s.metadata and s.codec_context is not None]
        if len(several) < 2:
            return video, audio
        offered = [
            Rendition("", s.codec_context.width, s.codec_context.height, int(s.metadata["variant_bitrate"]))
            for s in several
        ]
        index = choose(offered, self._rendition)
        self.renditions = rules(offered, index)
        video = several[index]
        rate = video.metadata["variant_bitrate"]
        # Sound within the variant's own segments; of sound that all variants share libav's best is the one.
        own = [s for s in streams.audio if s.metadata.get("variant_bitrate") == rate and s.codec_context is not None]
        return video, own[0] if own and audio not in own else audio

    def _nothing_to_judge(self) -> SourceError:
        if self.problems:
            return SourceError(
                "cannot decode input",
                stream=self._stream,
                why=f"unknown codec ({'; '.join(self.problems)})",
                remedy="re-encode it, or use a codec that `avjury doctor` lists",
            )
        kinds = sorted({s.type for s in self._container.streams})
        return SourceError(
            "nothing to judge in input",
            stream=self._stream,
            why=f"it has no video and no audio track ({'only ' + ', '.join(kinds) if kinds else 'no track at all'})",
            remedy="name an input with pictures or sound",
        )


def _codec_tag(stream: Any) -> str:
    """What the container calls the codec of a track that libav has no decoder for."""
    try:
        name = stream.codec.name
    except AttributeError:
        name = ""
    return name or f"track type {stream.type}, codec not known to libav"


# libav's AVFieldOrder: TT and BB. The other two, of fields that are not shown as they are stored, mean one thing to
# muxers and another to demuxers.
_TOP_FIELD_FIRST: Final = {2: True, 3: False}


def _video_info(stream: Any) -> VideoInfo:
    context = stream.codec_context
    pixels = context.format
    rate = stream.average_rate or stream.guessed_rate
    return VideoInfo(
        codec=context.name if context.codec.canonical_name == "" else context.codec.canonical_name,
        profile=stream.profile or "",
        width=context.width,
        height=context.height,
        pixel_format=pixels.name if pixels is not None else "",
        bit_depth=max((c.bits for c in pixels.components), default=0) if pixels is not None else 0,
        frame_rate=float(rate) if rate else None,
        interlaced=context.field_order > 1,
        handle=stream,
        top_field_first=_TOP_FIELD_FIRST.get(context.field_order),
    )


def _audio_info(stream: Any) -> AudioInfo:
    context = stream.codec_context
    layout = context.layout
    return AudioInfo(
        codec=context.codec.canonical_name or context.name,
        sample_rate=context.sample_rate or 0,
        layout=layout.name if layout is not None else "",
        channels=layout.nb_channels if layout is not None else 0,
        handle=stream,
    )
