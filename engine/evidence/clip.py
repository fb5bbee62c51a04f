"""Cuts a playable file out of compressed packets, without decoding or encoding anything.

Codecs that players expect in MP4 go there; a file with any other goes to Matroska. A clip begins at a key frame at or
before the wished start. Where the coding changed on the way (another size, codec or rate), one file cannot hold both
sides: the side that has more of the incident is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error

from engine.errors import AvjuryError
from engine.evidence.packet_ring import Kept, KeptPacket
from engine.evidence.track_format import TrackFormat

MP4_CODECS: Final = frozenset(
    {"h264", "hevc", "av1", "vp9", "mpeg4", "aac", "mp3", "opus", "flac", "ac3", "eac3", "alac"}
)
_VIDEO_TICK: Final = Fraction(1, 90_000)
# A packet without a duration of its own lasts as long as the one before; the first, if it is alone, so long.
_ONE_PACKET_SECONDS: Final = 0.04


class ClipError(AvjuryError):
    """No clip can be cut."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a clip is to show, in media seconds.

    Args:
        begin, end: of the clip.
        incident_begin, incident_end: of what it is about.
    """

    begin: float
    end: float
    incident_begin: float
    incident_end: float


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The packets of a clip.

    Args:
        video, audio: in the order of decoding; the first picture is a key frame.
        begin, end: media seconds of the first and after the last presentation.
        changed_at: where the coding changed within the wish, so that the clip holds one side only; None if it did not.
    """

    video: tuple[KeptPacket, ...]
    audio: tuple[KeptPacket, ...]
    begin: float
    end: float
    changed_at: float | None

    @property
    def suffix(self) -> str:
        """ ".mp4", or ".mkv" for what MP4 players do not expect."""
        codecs = {packets[0].format.codec for packets in (self.video, self.audio) if packets}
        return ".mp4" if codecs <= MP4_CODECS else ".mkv"


def choose(kept: Kept, wish: Wish) -> Cut | None:
    """The packets that show a wish best.

    Args:
        kept: of one stream.
        wish: media seconds.
    Returns: None if nothing of it is there.
    """
    video, video_change = _one_format(kept.video, wish)
    video = _from_key_frame(video, wish.begin)
    begin = video[0].pts if video else wish.begin
    video = _until(video, wish.end)
    end = wish.end
    if video:
        # The last picture may lie beyond the wish; and sound from the other side of a change would play over nothing.
        end = _ends(video) if video_change is not None else max(end, _ends(video))
    heard = [p for p in kept.audio if p.pts + p.duration > begin and p.pts < end]
    audio, audio_change = _one_format(heard, wish)
    if not video and not audio:
        return None
    shown = (*video, *audio)
    changes = [at for at in (video_change, audio_change) if at is not None]
    return Cut(tuple(video), tuple(audio), min(p.pts for p in shown), _ends(shown), min(changes) if changes else None)


def _ends(packets: Sequence[KeptPacket]) -> float:
    return max(p.pts + p.duration for p in packets)


def _one_format(packets: Sequence[KeptPacket], wish: Wish) -> tuple[list[KeptPacket], float | None]:
    """Of packets of several formats the run with most of the incident, and where the formats changed in the wish."""
    runs: list[list[KeptPacket]] = []
    for packet in packets:
        if not runs or runs[-1][-1].format is not packet.format:
            runs.append([])
        runs[-1].append(packet)
    within = [run for run in runs if run[0].pts < wish.end and _ends(run) > wish.begin]
    if not within:
        return [], None

    def shown(run: list[KeptPacket]) -> tuple[float, float]:
        begin, end = min(p.pts for p in run), _ends(run)
        incident = min(end, wish.incident_end) - max(begin, wish.incident_begin)
        return max(0.0, incident), min(end, wish.end) - max(begin, wish.begin)

    return max(within, key=shown), within[1][0].pts if len(within) > 1 else None


def _from_key_frame(video: list[KeptPacket], begin: float) -> list[KeptPacket]:
    """From the last key frame at or before `begin` on, or the first one after it."""
    keys = [index for index, packet in enumerate(video) if packet.key]
    if not keys:
        return []
    first = max((index for index in keys if video[index].pts <= begin), default=keys[0])
    key = video[first]
    # Pictures that come after a key frame and are shown before it need what came before it (open groups of pictures).
    return [packet for packet in video[first:] if packet.pts >= key.pts]


def _until(video: list[KeptPacket], end: float) -> list[KeptPacket]:
    """Up to `end`, with every picture that is shown before the last one that is kept."""
    kept: list[KeptPacket] = []
    shown = float("-inf")
    for packet in video:
        if packet.dts < end and packet.pts < end:
            shown = max(shown, packet.pts)
            kept.append(packet)
        elif packet.dts < end or packet.pts < shown:
            kept.append(packet)  # others are decoded from it, or are missing without it
            shown = max(shown, packet.pts) if packet.dts < end else shown
    return kept


def write(cut: Cut, path: Path, title: str = "") -> None:
    """Write a clip; its times begin at 0.

    Args:
        cut: what is in it.
        path: of the file, with the cut's suffix.
        title: kept in the file.
    Raises: ClipError if libav does not take the packets; OSError.
    """
    options = {"movflags": "+faststart", "movie_timescale": "90000"} if path.suffix == ".mp4" else {}
    base = min(packet.dts for packet in (*cut.video, *cut.audio))
    try:
        with av.open(str(path), "w", options=options) as container:
            container.metadata["title"] = title
            container.metadata["comment"] = f"media seconds {cut.begin:.3f} to {cut.end:.3f}"
            packets: list[tuple[float, Any]] = []
            for track in (cut.video, cut.audio):
                if track:
                    stream, tick = _add_track(container, track[0].format)
                    packets += _stamped(track, stream, tick, base)
            for _, packet in sorted(packets, key=lambda one: one[0]):
                container.mux(packet)
    except (av.error.FFmpegError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise ClipError(
            "cannot cut a clip",
            why=getattr(error, "strerror", None) or str(error),
            remedy="nothing: its packets are too damaged, or no file can hold its codec",
        ) from error


def _add_track(container: Any, form: TrackFormat) -> tuple[Any, Fraction]:
    stream = form.add_to(container)
    tick = Fraction(1, form.sample_rate) if form.sample_rate else _VIDEO_TICK
    stream.time_base = tick
    if form.codec == "hevc" and container.format.name == "mp4":
        # Apple's players take HEVC only with its parameter sets in the header, which this tag says.
        stream.codec_context.codec_tag = "hvc1"
    return stream, tick


def _stamped(track: Sequence[KeptPacket], stream: Any, tick: Fraction, base: float) -> list[tuple[float, Any]]:
    """libav's packets with times from 0 on, decoding times rising at every packet."""
    made = []
    before = -1
    rate = float(1 / tick)  # of a track of hours, a product of floats is off by far less than a tick
    duration = next((p.duration for p in track if p.duration > 0), _ONE_PACKET_SECONDS)
    for kept in track:
        packet = av.Packet(kept.content)
        packet.stream = stream
        packet.time_base = tick
        dts = max(before + 1, round((kept.dts - base) * rate))
        before = dts
        duration = kept.duration or duration
        packet.dts = dts
        packet.pts = max(dts, round((kept.pts - base) * rate))
        packet.duration = max(1, round(duration * rate))
        packet.is_keyframe = kept.key
        made.append((dts / rate, packet))
    return made
