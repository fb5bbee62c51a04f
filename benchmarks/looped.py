"""Input for benchmarks: a made 1080p clip, and any clip repeated to a length without touching its packets."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.synthesis.made_sound import music
from models.synthesis.sound import Samples

SIZE = (1920, 1080)
RATE = 25
_ENDING_SAMPLES = 4800


def make_clip(path: Path, seconds: float = 8.0, bit_rate: int = 6_000_000) -> Path:
    """A 1080p25 H.264 clip with AAC: a textured ground that pans, with grain, as a camera gives it, and music.

    Args:
        path: of the new file.
        seconds: its length.
        bit_rate: of its video, in bit/s; 6 Mbit/s is usual for 1080p.
    """
    width, height = SIZE
    rng = np.random.default_rng(1)
    # 1/f noise has the spectrum of natural pictures (Field, 1987), so that the encoder has real work.
    rows, columns = np.fft.fftfreq(height * 2)[:, None], np.fft.rfftfreq(width * 2)[None, :]
    spectrum = np.fft.rfft2(rng.standard_normal((height * 2, width * 2))) / np.maximum(np.hypot(rows, columns), 1e-4)
    ground = np.fft.irfft2(spectrum, s=(height * 2, width * 2))
    ground = np.clip(110 + 35 * ground / ground.std(), 20, 235)
    grain = rng.normal(0, 2.0, (height + 64, width + 64))
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE, options={"preset": "fast"})
        pictures.width, pictures.height, pictures.pix_fmt, pictures.bit_rate = width, height, "yuv420p", bit_rate
        sound = container.add_stream("aac", rate=48000, layout="stereo")
        for index in range(round(seconds * RATE)):
            y, x = (3 * index) % height, (5 * index) % width
            dy, dx = rng.integers(0, 64, 2)
            luma = ground[y : y + height, x : x + width] + grain[dy : dy + height, dx : dx + width]
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = luma.clip(0, 255).astype(np.uint8)
            planes[height:] = 118 + 20 * ((np.arange(height // 2)[:, None] + index) % 64 > 32)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        heard = healthy_sound(seconds)
        for at in range(0, heard.shape[1], 1024):
            part = av.AudioFrame.from_ndarray(np.ascontiguousarray(heard[:, at : at + 1024]), "fltp", "stereo")
            part.sample_rate, part.pts, part.time_base = 48000, at, Fraction(1, 48000)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def healthy_sound(seconds: float) -> Samples:
    """(2, n): music in which nothing is wrong, and which ends softly, as it is repeated. Noise alone is a defect."""
    heard = music(seconds, np.random.default_rng(2))
    heard[:, -_ENDING_SAMPLES:] *= np.linspace(1.0, 0.0, _ENDING_SAMPLES, dtype=np.float32)
    return heard


def named_clips(folder: str | Path | None, names: Sequence[str]) -> list[Path]:
    """The clips of these names that are anywhere in a folder, in the order of the names; without those not there."""
    found = {path.name: path for path in Path(folder).rglob("*")} if folder else {}
    return [found[name] for name in names if name in found]


def loop_clip(clip: Path, path: Path, seconds: float, every: float | None = None) -> Path:
    """The clip's first video and sound track repeated until `seconds` are full, packets copied as they are.

    Args:
        clip: what libav reads.
        path: of the new file; a Matroska file holds every codec.
        seconds: its least length.
        every: seconds from one beginning to the next, as where it matters when what is in the clip comes; packets that
            begin later, as the last ones of a coder of sound do, are left out. As long as all packets last unless told.
    """
    packets, span = _read(clip)
    if every is not None:
        span = Fraction(every)
        packets = [packet for packet in packets if packet[2] < span]
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        tracks = {
            track.index: target.add_stream_from_template(track, opaque=True)
            for track in (*source.streams.video[:1], *source.streams.audio[:1])
        }
        offset, last = Fraction(0), dict.fromkeys(tracks, -(10**9))
        while offset < seconds:
            for index, dts, pts, duration, key, payload in packets:
                packet = av.Packet(payload)
                packet.stream, packet.time_base = tracks[index], Fraction(1, 90000)
                # Muxers want rising decode times, also where one round's last packets overlap the next one's first.
                last[index] = max(round((dts + offset) * 90000), last[index] + 1)
                packet.dts, packet.pts = last[index], max(round((pts + offset) * 90000), last[index])
                packet.duration, packet.is_keyframe = round(duration * 90000), key
                target.mux(packet)
            offset += span
    return path


def _read(clip: Path) -> tuple[list[tuple[int, Fraction, Fraction, Fraction, bool, bytes]], Fraction]:
    """Packets with times from 0 on, and how long they last together; elementary streams get times by their rate."""
    packets: list[Any] = []
    with av.open(str(clip)) as source:
        tracks = (*source.streams.video[:1], *source.streams.audio[:1])
        for packet in source.demux(*tracks):
            if packet.size == 0:
                continue
            track = packet.stream
            rate = Fraction(track.average_rate or RATE) if track.type == "video" else None
            unit = Fraction(packet.time_base)
            step = Fraction(packet.duration * unit) if packet.duration else Fraction(1) / (rate or 50)
            seen = sum(1 for p in packets if p[0] == track.index) if packet.dts is None else 0
            dts = packet.dts * unit if packet.dts is not None else seen * step
            pts = packet.pts * unit if packet.pts is not None else dts
            packets.append((track.index, Fraction(dts), Fraction(pts), step, bool(packet.is_keyframe), bytes(packet)))
    first = min(min(p[1], p[2]) for p in packets)
    span = max(max(p[1], p[2]) + p[3] for p in packets) - first
    return [(index, dts - first, pts - first, step, key, data) for index, dts, pts, step, key, data in packets], span
