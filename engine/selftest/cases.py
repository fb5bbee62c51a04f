"""What the self-test plants: one small clip with one defect each, made here from nothing.

Pictures come from a moving pattern, sound from a few voices, transport streams from both, coded in this process. A
case writes its clip and says what is in it; the planters are those of models/synthesis, which `avjury bench detectors`
plants into real clips.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from engine.demo_channels import Channel
from engine.demo_channels import sound as voices
from models.synthesis import sound, transport
from models.synthesis.picture import PLANTERS, Picture, moving_pattern, plant
from models.synthesis.picture_clip import starve, write_pictures
from models.synthesis.planted import Planted
from models.synthesis.sound_clip import write_sound

RATE: Final = Fraction(25)
WIDTH, HEIGHT = 320, 192
PICTURE_SECONDS: Final = 9.0
SOUND_SECONDS: Final = 20
TRANSPORT_SECONDS: Final = 8
# Far enough from both ends for every detector to see what is good before and after.
PICTURE_START, PICTURE_END = 2.0, 8.0
SOUND_START, SOUND_END = 4.0, 16.0
SURROUND_SECONDS: Final = 100
TRANSPORT_AT: Final = 4.0

# Of each planter of the picture, a strength that everybody sees, in its own unit.
STRENGTHS: Final[Mapping[str, float]] = {
    "black": 1.0,
    "freeze": 1.0,
    "uniform": 1.0,
    "block_dropout": 0.02,
    "no_data": 0.25,
    "bars": 0.75,
    "combing": 1.0,
    "noise": 14.0,
    "banding": 6.0,
    "blur": 6.0,
    "levels": 4.0,
    "chroma_loss": 1.0,
    "plane_loss": 0.0,
    "partial_freeze": 0.5,
    "flash": 0.6,
    "flicker": 0.12,
    "stutter": 0.15,
    "tearing": 0.4,
    "letterbox": 0.25,
}


class Material:
    """What defects are planted into; each part is made when it is first asked for."""

    @cached_property
    def pictures(self) -> list[Picture]:
        """Nine seconds of a moving pattern."""
        return list(islice(moving_pattern(WIDTH, HEIGHT), round(PICTURE_SECONDS * RATE)))

    @cached_property
    def heard(self) -> sound.Samples:
        """(2, n): twenty seconds of voices."""
        return voices(Channel("selftest", SOUND_SECONDS, 0.0, 1.0))

    @cached_property
    def surround(self) -> sound.Samples:
        """(6, n): 5.1 that lasts long enough for what takes a minute to be known."""
        return np.tile(sound.surround_of(self.heard), (1, SURROUND_SECONDS // SOUND_SECONDS))

    @cached_property
    def stream(self) -> bytes:
        """Pictures and sound in an MPEG transport stream."""
        return transport_stream(self.pictures[: TRANSPORT_SECONDS * 25], self.heard)


@dataclass(frozen=True, slots=True)
class Case:
    """One defect in one clip.

    Args:
        name: what is planted.
        detector: that has to find it; "" where nothing may be found.
        suffix: of the clip's file.
        write: writes the clip, and says what is in it; None where nothing is.
        quick: it is part of the short self-test.
    """

    name: str
    detector: str
    suffix: str
    write: Callable[[Material, Path], Planted | None]
    quick: bool = False


def cases() -> tuple[Case, ...]:
    """All of them; those without a defect first."""
    return (*_clean(), *_of_pictures(), *_of_sound(), *_of_transport())


def _clean() -> list[Case]:
    def whole(material: Material, path: Path) -> None:
        path.write_bytes(material.stream)

    def long_sound(material: Material, path: Path) -> None:
        write_sound(path, material.heard)

    return [
        Case("nothing (pictures and sound)", "", ".ts", whole, quick=True),
        Case("nothing (sound)", "", ".flac", long_sound, quick=True),
    ]


def _of_pictures() -> list[Case]:
    quick = {"black", "freeze", "uniform", "block_dropout", "bars", "letterbox"}

    def made(name: str, strength: float) -> Case:
        def write(material: Material, path: Path) -> Planted:
            spoilt = plant(iter(material.pictures), name, rate=RATE, start=PICTURE_START, end=PICTURE_END,
                           strength=strength)  # fmt: skip
            write_pictures(path, spoilt, rate=RATE)
            return Planted(PLANTERS[name][1], PICTURE_START, PICTURE_END, strength, {"what": name})

        return Case(name, PLANTERS[name][1], ".mp4", write, name in quick)

    def blocks(material: Material, path: Path) -> Planted:
        first, after = round(PICTURE_START * RATE), round(PICTURE_END * RATE)
        coarse = starve(material.pictures[first:after], RATE, 31)
        write_pictures(path, iter([*material.pictures[:first], *coarse, *material.pictures[after:]]), rate=RATE)
        return Planted("video.blockiness", PICTURE_START, PICTURE_END, 31.0)

    return [made(name, strength) for name, strength in STRENGTHS.items()] + [
        Case("blockiness", "video.blockiness", ".mp4", blocks)
    ]


def _of_sound() -> list[Case]:
    quick = {"audio.silence", "audio.clipping", "audio.channel_lost", "audio.dropout", "audio.tone"}

    def lasting(one: Callable[[sound.Samples, float, float], sound.Result]) -> Callable[[sound.Samples], sound.Result]:
        return lambda samples: one(samples, SOUND_START, SOUND_END)

    plants = {name: lasting(one) for name, one in sound.LASTING.items()}
    plants["audio.click"] = lambda samples: sound.plant_clicks(samples, SOUND_START, SOUND_START + 1.0)
    plants["audio.dropout"] = lambda samples: sound.plant_dropout(samples, SOUND_START)
    plants["audio.level_jump"] = lambda samples: sound.plant_level_jump(samples, SOUND_START)

    def made(name: str, plant_into: Callable[[sound.Samples], sound.Result]) -> Case:
        def write(material: Material, path: Path) -> Planted:
            samples, planted = plant_into(material.heard)
            write_sound(path, samples)
            return planted[0]

        return Case(_sound_name(name), name, ".flac", write, name in quick)

    def around(name: str, plant_into: Callable[[sound.Samples], sound.Result]) -> Case:
        def write(material: Material, path: Path) -> Planted:
            samples, planted = plant_into(material.surround)
            write_sound(path, samples)
            return planted[0]

        return Case(_sound_name(name), name, ".flac", write)

    # A channel is lost that has sounded for a while.
    start, end = 15.0, SURROUND_SECONDS - 10.0
    return [
        *(made(name, one) for name, one in plants.items()),
        around("audio.surround_lost", lambda s: sound.plant_lost_channel(s, start, end, channel=5)),
        around("audio.surround_imbalance", lambda s: sound.plant_surround_imbalance(s, start, end)),
    ]


def _sound_name(detector: str) -> str:
    return f"{detector.partition('.')[2]} (sound)"


def _of_transport() -> list[Case]:
    def spoilt(name: str, spoil: Callable[[bytes], tuple[bytes, Planted]], detector: str, quick: bool = False) -> Case:
        def write(material: Material, path: Path) -> Planted:
            data, planted = spoil(material.stream)
            path.write_bytes(data)
            return replace(planted, detector=detector)

        return Case(name, detector, ".ts", write, quick)

    def remade(name: str, detector: str, make: Callable[[Path], Planted], quick: bool = False) -> Case:
        return Case(name, detector, ".ts", lambda _, path: make(path), quick)

    at = TRANSPORT_AT
    errors, stamps = "stream.continuity", "stream.timestamps"
    return [
        spoilt("lost packet", lambda data: transport.drop_packets(data, at), errors, quick=True),
        spoilt("bit errors of 1e-4", lambda data: transport.flip_bits(data, at, at + 2, 1e-4), "stream.decode_errors"),
        spoilt("PAT missing", lambda data: transport.remove_table(data, at, at + 2), errors),
        spoilt("no PCR", lambda data: transport.pause_pcr(data, at, at + 2), errors),
        spoilt("timestamps jump by 5 s", lambda data: transport.jump_timestamps(data, at, 5.0), stamps, quick=True),
        spoilt("no timestamps", lambda data: transport.strip_stamps(data, at, at + 2), stamps),
        remade("picture size", "stream.format_change",
               lambda path: transport.changed_size(path, 4.0, 8.0, ((320, 180), (160, 96))), quick=True),
        remade("no key frame for 14 s", "stream.gop", lambda path: transport.starved_keys(path, 4.0, 18.0, 24.0)),
        remade("captions gone", "stream.captions_missing",
               lambda path: transport.lost_captions(path, 4.0, None, 40.0)),
    ]  # fmt: skip


def transport_stream(pictures: list[Picture], samples: sound.Samples) -> bytes:
    """Pictures as H.264 with a key frame each second, and sound as AAC, in an MPEG transport stream."""
    import io

    written = io.BytesIO()
    with av.open(written, "w", format="mpegts") as container:
        video: Any = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "veryfast", "crf": "18", "g": "25", "sc_threshold": "0", "bf": "0"}
        # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
        video.options |= {"x264-params": "mbtree=0"}
        audio: Any = container.add_stream("aac", rate=sound.SAMPLE_RATE, layout="stereo")
        audio.bit_rate = 192_000
        coded = 0
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
            for plane, values in zip(frame.planes, picture, strict=True):
                rows = np.zeros((values.shape[0], plane.line_size), np.uint8)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, 1 / RATE
            container.mux(video.encode(frame))
            until = round((index + 1) / RATE * sound.SAMPLE_RATE)
            while coded + 1024 <= min(until, samples.shape[1]):
                block = np.ascontiguousarray(samples[:, coded : coded + 1024])
                heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = sound.SAMPLE_RATE, coded, Fraction(1, sound.SAMPLE_RATE)
                container.mux(audio.encode(heard))
                coded += 1024
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return written.getvalue()
