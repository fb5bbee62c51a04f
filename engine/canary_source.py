"""A channel of our own into which known defects are planted on a schedule, sent as a live source over loopback.

Run by: the supervisor's canary (engine/service/canary.py), as a process of its own: `python -m engine.canary_source`.
It owns one listening socket on 127.0.0.1 and serves whoever connects, one at a time, with an MPEG transport stream at
the pace of its clock. What it does is said on stdout, one JSON object a line: where it listens, and each defect in the
moment at which its first bad bytes are sent. It ends with its parent, or at a signal; if it dies it is started again.

The programme is a loop whose end fits its beginning. Of each loop either the clean packets are sent, or those of a
variant that was coded with one defect in it; they are coded once, and kept in a folder.
"""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from engine.demo_channels import FRAME_RATE, KEY_PICTURES, Channel, ground, picture
from engine.demo_channels import sound as voices
from engine.demo_scenes import HEIGHT, WIDTH
from engine.hardening import die_with_parent
from models.synthesis import sound
from models.synthesis.sound import SAMPLE_RATE

# A whole number of pictures and of AAC frames.
LOOP_SECONDS: Final = 32
AUDIO_FRAME: Final = 1024
# Of the loop; borders of key pictures and of AAC frames.
BAD_START, BAD_END = 12.8, 19.2
STALL_SECONDS: Final = 8.0
CHANNEL: Final = Channel("canary", LOOP_SECONDS, 0.15, 1.1)
_TS_PACKET: Final = 188
_SEND_SECONDS: Final = 10.0
_VERSION: Final = 1

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect.

    Args:
        detector: that has to find it.
        kind: "picture", "sound" or "transport": what is spoilt.
        besides: detectors that tell of its effects, and are right.
    """

    detector: str
    kind: str
    besides: tuple[str, ...] = ()


DEFECTS: Final = (
    Defect("video.black", "picture"),
    Defect("audio.silence", "sound", ("audio.dropout", "audio.level_jump")),
    Defect("video.freeze", "picture", ("video.partial_freeze", "video.stutter")),
    Defect("audio.clipping", "sound", ("audio.level_jump", "audio.true_peak", "audio.loudness", "audio.noise")),
    Defect("video.bars", "picture"),
    Defect("audio.channel_lost", "sound", ("audio.imbalance", "audio.phase")),
    Defect("stream.continuity", "transport", ("stream.decode_errors", "video.corruption", "video.tearing",
                                              "video.partial_freeze", "video.stutter", "audio.dropout")),
    Defect("stream.stall", "transport", ("audio.dropout", "stream.continuity", "stream.bitrate", "stream.timestamps")),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """One track of one loop.

    Args:
        packets: bytes, and whether it is a key packet; in the order of time, equally far apart.
        template: file whose track has its parameters.
    """

    packets: Sequence[tuple[bytes, bool]]
    template: Path


def spoilt_picture(detector: str, at: float, whole: Callable[[float], Image]) -> Image:
    """A picture of the loop with a defect in it."""
    if detector == "video.black":
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    if detector == "video.freeze":
        return whole(BAD_START)
    bars = np.array([(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0),
                     (0, 0, 191), (0, 0, 0)], np.uint8)  # fmt: skip
    return np.broadcast_to(bars[np.arange(WIDTH) * 8 // WIDTH], (HEIGHT, WIDTH, 3)).copy()


def spoilt_sound(detector: str, samples: sound.Samples) -> sound.Samples:
    """The loop's sound with a defect in it."""
    plant = {
        "audio.silence": sound.plant_silence,
        "audio.clipping": sound.plant_clipping,
        "audio.channel_lost": sound.plant_lost_channel,
    }[detector]
    return plant(samples, BAD_START, BAD_END)[0]


def code_pictures(path: Path, detector: str | None) -> None:
    """The loop's pictures, in a file of their own."""
    texture = ground()

    def whole(at: float) -> Image:
        return picture(CHANNEL, at, texture)

    with av.open(str(path), "w", format="matroska") as container:
        video: Any = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # Key pictures are chosen: coded anew, a held picture would differ from the one that is held.
        video.options = {"preset": "veryfast", "crf": "20", "g": "100000", "sc_threshold": "0", "bf": "0"}
        for index in range(LOOP_SECONDS * FRAME_RATE):
            at = index / FRAME_RATE
            bad = detector is not None and BAD_START <= at < BAD_END
            image = spoilt_picture(detector, at, whole) if bad and detector is not None else whole(at)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            if index % KEY_PICTURES == 0 and not (bad and detector == "video.freeze"):
                frame.pict_type = PictureType.I
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def code_sound(path: Path, detector: str | None) -> None:
    """The loop's sound, in a file of its own; coded after a clean loop, so that it follows one without a seam."""
    clean = voices(CHANNEL)
    spoilt = clean if detector is None else spoilt_sound(detector, clean)
    both = np.concatenate([clean, spoilt, clean[:, : 4 * AUDIO_FRAME]], axis=1)
    with av.open(str(path), "w", format="matroska") as container:
        audio: Any = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        audio.bit_rate = 128_000
        for at in range(0, both.shape[1], AUDIO_FRAME):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(both[:, at : at + AUDIO_FRAME]), format="fltp", layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def prepared(folder: Path, defects: Sequence[Defect]) -> tuple[dict[str, Coded], dict[str, Coded]]:
    """Pictures and sound by detector, "" being the clean ones; coded where they are not there yet.

    Args:
        folder: theirs.
        defects: whose variants are wanted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Coded] = {}
    heard: dict[str, Coded] = {}
    for detector, kind in (("", "picture"), ("", "sound"), *((one.detector, one.kind) for one in defects)):
        if kind == "transport":
            continue
        path = folder / f"{kind}-{detector or 'clean'}-{_VERSION}.mkv"
        if not path.exists():
            beside = path.with_suffix(".part")
            (code_pictures if kind == "picture" else code_sound)(beside, detector or None)
            os.replace(beside, path)  # one that was interrupted is made again
        (pictures if kind == "picture" else heard)[detector] = _read(path, kind)
    return pictures, heard


def _read(path: Path, kind: str) -> Coded:
    with av.open(str(path)) as container:
        packets = [(bytes(p), bool(p.is_keyframe)) for p in container.demux(container.streams[0]) if p.size]
    if kind == "sound":
        # The second of two loops; an encoder's first packet is of the time before its first sample.
        frames = LOOP_SECONDS * SAMPLE_RATE // AUDIO_FRAME
        packets = packets[frames : 2 * frames]
    return Coded(packets, path)


class _Wire:
    """What the muxer writes to: hands it on to a socket, and loses a packet where it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.lose = 0
        """Packets of pictures that are still to be lost."""

    def write(self, data: bytes) -> int:
        """All of it, or an OSError."""
        content = bytes(data)
        if self.lose and len(content) % _TS_PACKET == 0:
            kept = []
            for at in range(0, len(content), _TS_PACKET):
                packet = content[at : at + _TS_PACKET]
                pid, begins = (packet[1] & 0x1F) << 8 | packet[2], packet[1] & 0x40
                # In the middle of a picture, without an adaptation field, which may carry a clock.
                if self.lose and pid == 0x100 and not begins and packet[3] & 0x30 == 0x10:
                    self.lose -= 1
                else:
                    kept.append(packet)
            content = b"".join(kept)
        self._connection.sendall(content)
        return len(data)


class Sender:
    """One connection's stream.

    Args:
        connection: whom it goes to.
        pictures, heard: coded loops, by detector.
        say: told of each defect in the moment it begins.
    """

    def __init__(
        self,
        connection: socket.socket,
        pictures: dict[str, Coded],
        heard: dict[str, Coded],
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._wire = _Wire(connection)
        self._pictures, self._heard, self._say = pictures, heard, say
        self._container: Any = av.open(
            self._wire, "w", format="mpegts", options={"flush_packets": "1"}, buffer_size=4 * _TS_PACKET
        )
        self._tracks = []
        for coded in (pictures[""], heard[""]):
            with av.open(str(coded.template)) as template:
                self._tracks.append(self._container.add_stream_from_template(template.streams[0]))
        self._began = time.monotonic()
        self._loops = 0

    def loop(self, defect: Defect | None) -> None:
        """Send one loop.

        Raises: OSError, av.FFmpegError where nobody takes it any more.
        """
        name = "" if defect is None else defect.detector
        shown = self._pictures.get(name, self._pictures[""])
        heard = self._heard.get(name, self._heard[""])
        told = defect is None
        for at, track, index, (content, key) in _in_order(shown, heard):
            self._wait(self._loops * LOOP_SECONDS + at)
            if not told and defect is not None and at >= BAD_START:
                told = True
                self._begin(defect)
            packet = av.Packet(content)
            clock, step = ((Fraction(1, FRAME_RATE), 1), (Fraction(1, SAMPLE_RATE), AUDIO_FRAME))[track]
            count = len((shown, heard)[track].packets)
            packet.time_base = clock
            packet.pts = packet.dts = (self._loops * count + index) * step
            packet.is_keyframe = key
            packet.stream = self._tracks[track]
            self._container.mux(packet)
        self._loops += 1

    def _begin(self, defect: Defect) -> None:
        seconds = {"stream.stall": STALL_SECONDS, "stream.continuity": 0.1}.get(defect.detector, BAD_END - BAD_START)
        now = time.time()
        self._say({"says": "planted", "detector": defect.detector, "at": now, "until": now + seconds,
                   "besides": list(defect.besides)})  # fmt: skip
        if defect.detector == "stream.stall":
            time.sleep(STALL_SECONDS)
            self._began += STALL_SECONDS
        elif defect.detector == "stream.continuity":
            self._wire.lose = 3

    def _wait(self, at: float) -> None:
        late = time.monotonic() - self._began - at
        if late < 0:
            time.sleep(-late)


def _in_order(shown: Coded, heard: Coded) -> Iterator[tuple[float, int, int, tuple[bytes, bool]]]:
    """Second of the loop, track (0 pictures, 1 sound), number in the track, and the packet."""
    both = [(index / FRAME_RATE, 0, index, packet) for index, packet in enumerate(shown.packets)]
    both += [(index * AUDIO_FRAME / SAMPLE_RATE, 1, index, packet) for index, packet in enumerate(heard.packets)]
    yield from sorted(both, key=lambda one: one[:2])


def serve(folder: Path, every_seconds: float, defects: Sequence[Defect], say: Callable[[dict[str, Any]], None]) -> None:
    """Serve for ever.

    Args:
        folder: where the coded loops are kept.
        every_seconds: from one defect to the next, at least; whole loops.
        defects: in turn.
        say: told where it listens, and of each defect.
    """
    pictures, heard = prepared(folder, defects)
    clean_loops = max(0, -(-round(every_seconds) // LOOP_SECONDS) - 1)
    turn = 0
    with socket.create_server(("127.0.0.1", 0)) as listening:
        say({"says": "listening", "port": listening.getsockname()[1]})
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(_SEND_SECONDS)
                try:
                    sender = Sender(connection, pictures, heard, say)
                    sender.loop(None)  # whoever begins to look has to see what is good first
                    while True:
                        sender.loop(defects[turn % len(defects)])
                        turn += 1
                        for _ in range(clean_loops):
                            sender.loop(None)
                except (OSError, av.FFmpegError) as error:
                    say({"says": "left", "why": str(error)})


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every", type=float, required=True)
    parser.add_argument("--detectors", required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    av.logging.set_level(av.logging.PANIC)
    names = given.detectors.split(",")

    def say(what: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    serve(given.folder, given.every, [one for one in DEFECTS if one.detector in names], say)


if __name__ == "__main__":
    main()
