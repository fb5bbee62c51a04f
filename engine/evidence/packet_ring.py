"""The last seconds of a stream as it came, compressed: what clips are cut from.

Filled by the stream's reader thread, read by the engine's; one lock, held for microseconds. Bounded in seconds and in
bytes: whole groups of pictures are forgotten, the oldest first, so that what is left always begins with a picture that
can be decoded.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from engine.evidence.track_format import TrackFormat
from engine.media import Packet, StreamInfo, Track

NEVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class KeptPacket:
    """One compressed packet.

    Args:
        format: of its track.
        pts, dts: media seconds.
        duration: seconds; 0 where the container does not say.
        key: a decoder can begin here.
        content: the payload.
    """

    format: TrackFormat
    pts: float
    dts: float
    duration: float
    key: bool
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a ring held at one moment.

    Args:
        video, audio: in the order of decoding.
    """

    video: tuple[KeptPacket, ...]
    audio: tuple[KeptPacket, ...]


class PacketRing:
    """The ring of one stream.

    Args:
        hold_seconds: how much is held when nobody has asked for more.
        most_bytes: of payloads, whoever has asked.
    """

    def __init__(self, hold_seconds: float, most_bytes: int) -> None:
        self.bytes = 0
        self.skipped = 0
        """Packets that no clip can hold: without a time, or of a codec that libav cannot mux."""
        self._hold_seconds = hold_seconds
        self._most_bytes = most_bytes
        self._wanted_from = NEVER
        self._newest = 0.0
        self._lock = threading.Lock()
        self._formats: dict[Track, TrackFormat | None] = {}
        self._tracks: dict[Track, deque[KeptPacket]] = {"video": deque(), "audio": deque()}
        self._keys: deque[KeptPacket] = deque()  # the video packets in the ring that a decoder can begin at

    def opened(self, info: StreamInfo) -> None:
        """The source was opened, perhaps again; in the thread that opened it, before its packets come."""
        if info.video is None:
            self._formats["video"] = None
        else:
            self._formats["video"] = TrackFormat.of("video", info.video, self._formats.get("video"))
        if info.audio is None:
            self._formats["audio"] = None
        else:
            self._formats["audio"] = TrackFormat.of("audio", info.audio, self._formats.get("audio"))

    def packet(self, packet: Packet) -> None:
        """A packet came."""
        form = self._formats.get(packet.track)
        pts = packet.pts if packet.pts is not None else packet.dts
        if form is None or pts is None:
            self.skipped += 1
            return
        payload = packet.payload
        if packet.track == "video" and not packet.key and not self._keys:
            return  # nothing that it could be decoded from
        base = payload.time_base
        kept = KeptPacket(
            form,
            pts,
            packet.dts if packet.dts is not None else pts,
            payload.duration * base.numerator / base.denominator if payload.duration and base else 0.0,
            packet.key,
            bytes(payload),
        )
        with self._lock:
            self._tracks[packet.track].append(kept)
            self.bytes += packet.size
            self._newest = max(self._newest, kept.dts)
            if packet.track == "video" and packet.key:
                self._keys.append(kept)
            self._forget()

    def want(self, since: float) -> None:
        """Hold everything from this media second on, as far as the bound in bytes allows; NEVER for no such wish."""
        with self._lock:
            self._wanted_from = since

    def kept(self) -> Kept:
        """All that is held now."""
        with self._lock:
            return Kept(tuple(self._tracks["video"]), tuple(self._tracks["audio"]))

    def _forget(self) -> None:
        needed = min(self._newest - self._hold_seconds, self._wanted_from)
        video, audio, keys = self._tracks["video"], self._tracks["audio"], self._keys
        while len(keys) > 1 and keys[1].pts <= needed:
            self._forget_group()
        if len(keys) == 1 and video[-1].pts < needed:
            self._forget_video()  # pictures have stopped coming
        oldest = min(needed, keys[0].pts) if keys else needed
        while len(audio) > 1 and audio[1].pts <= oldest:
            self.bytes -= len(audio.popleft().content)
        while self.bytes > self._most_bytes and (audio or video):
            if len(keys) > 1:
                self._forget_group()
            elif video:
                self._forget_video()  # one group of pictures is too much alone
            else:
                self.bytes -= len(audio.popleft().content)

    def _forget_group(self) -> None:
        """The oldest group of pictures, and the sound before the next one."""
        video, audio = self._tracks["video"], self._tracks["audio"]
        following = self._keys[1]
        while video[0] is not following:
            self.bytes -= len(video.popleft().content)
        self._keys.popleft()
        while audio and audio[0].pts + audio[0].duration <= following.pts:
            self.bytes -= len(audio.popleft().content)

    def _forget_video(self) -> None:
        for packet in self._tracks["video"]:
            self.bytes -= len(packet.content)
        last = self._tracks["video"][-1].pts
        self._tracks["video"].clear()
        self._keys.clear()
        audio = self._tracks["audio"]
        while audio and audio[0].pts <= last:
            self.bytes -= len(audio.popleft().content)
