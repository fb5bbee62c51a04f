"""A few channels of our own for a first look at the service: looped files whose ends fit their beginnings.

One of them misbehaves every twenty seconds: black, frozen, silent, loud. The others have nothing to be told.
"""

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from engine.demo import SAMPLE_RATE
from engine.demo_scenes import HEIGHT, SCENES, WIDTH
from engine.errors import ConfigError

FRAME_RATE: Final = 25
# How much of the texture lies over a scene.
_GRAIN: Final = 0.3
# Long enough for nobody to notice a loop, and a whole number of AAC frames (1024 samples), of pictures and of cycles.
LOOP_SECONDS: Final = 32
TROUBLED_SECONDS: Final = 80
KEY_PICTURES: Final = 50
_AUDIO_FRAME: Final = 1024


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong from when to when.

    Args:
        kind: "black", "freeze", "silence" or "loud".
        start, end: seconds of the loop.
    """

    kind: str
    start: float
    end: float


TROUBLES: Final = (
    Trouble("black", 8, 13),
    Trouble("freeze", 28, 33),
    Trouble("silence", 48, 53),
    Trouble("loud", 68, 73),
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel.

    Args:
        name: its id.
        seconds: length of its loop.
        hue: turns its colours, 0 to 1.
        pitch: raises its voices.
        troubles: what is wrong with it.
    """

    name: str
    seconds: int
    hue: float
    pitch: float
    troubles: tuple[Trouble, ...] = ()


CHANNELS: Final = (
    Channel("news", LOOP_SECONDS, 0.0, 1.0),
    Channel("sport", TROUBLED_SECONDS, 0.33, 1.19, TROUBLES),
    Channel("films", LOOP_SECONDS, 0.66, 0.84),
)

CONFIG: Final = """\
# Written by `avjury serve --demo`; yours to change. docs/configuration.md tells what may be in it.
detectors:
  audio.loudness: {{max_short_term: -18.0}}
streams:
{streams}
"""


def prepare(folder: Path) -> Path:
    """Make what is not there yet.

    Args:
        folder: gets one file for each channel, and demo.yaml.
    Returns: the configuration.
    Raises: ConfigError if it cannot be written.
    """
    config = folder / "demo.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for channel in CHANNELS:
            path = folder / f"{channel.name}.mp4"
            if not path.exists():
                beside = path.with_suffix(".part")
                with av.open(str(beside), "w", format="mp4") as container:
                    _encode(container, channel)
                os.replace(beside, path)  # one that was interrupted is made again
        if not config.exists():
            streams = (
                f'  - {{id: {channel.name}, url: "{(folder / channel.name).resolve()}.mp4", loop: true, '
                f"labels: {{made: demo}}}}"
                for channel in CHANNELS
            )
            config.write_text(CONFIG.format(streams="\n".join(streams)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "cannot write the demo's channels",
            stream=str(folder),
            why=error.strerror or str(error),
            remedy="name another folder (--data)",
        ) from error
    return config


def picture(channel: Channel, at: float, ground: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) RGB at a second of the loop; the same at its end as at its beginning."""
    turn = 2 * math.pi * at / channel.seconds
    cycles = channel.seconds // 8  # of the slowest motion, which takes about eight seconds
    across, down = int(24 * np.sin(cycles * turn)), int(-ground.shape[1] * cycles * at / channel.seconds / 2)
    drift = np.roll(ground, (across, 2 * down), axis=(0, 1))[:HEIGHT, :WIDTH]
    if channel.name in SCENES:
        image = SCENES[channel.name](turn, cycles) + _GRAIN * drift[..., None]
        return np.clip(image, 0, 255).astype(np.uint8)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    shade = 0.5 + 0.25 * np.sin(x / 55 + cycles * turn) + 0.25 * np.cos(y / 42 - cycles * turn)
    layers = [60 + 90 * shade, 70 + 60 * (1 - shade), 110 + 50 * np.sin(shade * 3)]
    image = np.stack(layers, axis=-1) + drift[..., None]
    for k, colour in enumerate(((235, 180, 60), (70, 190, 170), (220, 90, 90))):
        cx = WIDTH * (0.5 + 0.4 * np.sin((cycles + k) * turn + 2 * k))
        cy = HEIGHT * (0.5 + 0.35 * np.cos((cycles + 1) * turn + k))
        inside = (x - cx) ** 2 + (y - cy) ** 2 < (20 + 6 * k) ** 2
        image[inside] = np.asarray(colour, np.float32) + 0.5 * drift[inside][:, None]
    if channel.hue:
        image = image * (1 - channel.hue) + np.roll(image, 1, axis=-1) * channel.hue
    return np.clip(image, 0, 255).astype(np.uint8)


def sound(channel: Channel) -> npt.NDArray[np.float32]:
    """(2, samples) at SAMPLE_RATE: the whole loop, whose end fits its beginning, at about -27 LUFS."""
    count = channel.seconds * SAMPLE_RATE
    turn = 2 * np.pi * np.arange(count) / count

    def cycles(hertz: float) -> int:
        return max(1, round(hertz * channel.seconds))

    noise = np.random.default_rng(7)
    rhythm = 0.65 + 0.35 * np.sin(cycles(3.1) * turn) * np.sin(cycles(0.37) * turn)
    sides = []
    for side in (0.0, 0.3):
        voices = sum(
            amount * np.sin(cycles(pitch * channel.pitch) * turn + 3 * np.sin(cycles(wander) * turn + side))
            for pitch, amount, wander in ((180, 0.5, 0.21), (410, 0.35, 0.33), (930, 0.2, 0.27), (2100, 0.08, 0.41))
        )
        sides.append(rhythm * voices + 0.01 * noise.standard_normal(count))
    both = np.stack(sides) * 0.112
    for trouble in channel.troubles:
        # On borders of AAC frames, or the codec's pre-echo would blur them.
        first, last = (round(at * SAMPLE_RATE / _AUDIO_FRAME) * _AUDIO_FRAME for at in (trouble.start, trouble.end))
        if trouble.kind == "silence":
            both[:, first:last] = 0
        elif trouble.kind == "loud":
            both[:, first:last] *= 10 ** (13 / 20)
    return both.astype(np.float32)


def ground() -> npt.NDArray[np.float32]:
    """A smooth texture that fits itself at its borders; unsmoothed it would be noise, which is a defect."""
    ground = np.random.default_rng(5).standard_normal((HEIGHT + 64, WIDTH + 64)).astype(np.float32)
    for axis in (0, 1, 0, 1):
        ground = np.mean([np.roll(ground, shift, axis) for shift in range(5)], axis=0, dtype=np.float32)
    smooth: npt.NDArray[np.float32] = (ground * (16 / ground.std())).astype(np.float32)
    return smooth


def _encode(container: Any, channel: Channel) -> None:
    video = container.add_stream("libx264", rate=FRAME_RATE)
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    # Key pictures are chosen below: coded anew, a held picture would differ from the one that is held.
    video.options = {"preset": "veryfast", "crf": "20", "g": "100000", "sc_threshold": "0"}
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
    audio.bit_rate = 128_000
    texture, samples, written = ground(), sound(channel), 0
    for index in range(channel.seconds * FRAME_RATE):
        at = index / FRAME_RATE
        trouble = next((one for one in channel.troubles if one.start <= at < one.end), None)
        held = trouble is not None and trouble.kind == "freeze"
        if trouble is not None and trouble.kind == "black":
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        else:
            image = picture(channel, trouble.start if held and trouble is not None else at, texture)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
        if index % KEY_PICTURES == 0 and not held:
            frame.pict_type = PictureType.I
        container.mux(video.encode(frame))
        while written < min(samples.shape[1], round((at + 1 / FRAME_RATE) * SAMPLE_RATE)):
            block = np.ascontiguousarray(samples[:, written : written + _AUDIO_FRAME])
            sound_frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            sound_frame.sample_rate, sound_frame.pts = SAMPLE_RATE, written
            sound_frame.time_base = Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound_frame))
            written += block.shape[1]
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


if __name__ == "__main__":
    import sys

    prepare(Path(sys.argv[1]))
