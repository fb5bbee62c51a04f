"""Small clips, made with PyAV where a test asks for them."""

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_folder = Path(tempfile.mkdtemp(prefix="avjury-clips-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


def picture(index: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB: a gradient that moves by four pixels a picture."""
    x = np.arange(width)[None, :] + 4 * index
    y = np.arange(height)[:, None]
    return np.stack([(x + y) % 256, (x * 2 + 0 * y) % 256, (y * 3 + 0 * x) % 256], axis=-1).astype(np.uint8)


def tone(seconds: float, rate: int, channels: int, level: float = 0.25) -> np.ndarray:
    """(channels, samples) float32: a 1 kHz sine in every channel."""
    t = np.arange(round(seconds * rate)) / rate
    return np.tile((level * np.sin(2 * np.pi * 1000 * t)).astype(np.float32), (channels, 1))


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Whatever is done within it, this thread is scheduled afterwards as it was before.

    SVT-AV1 makes the thread that encodes a real-time one where it may, and all that this one starts later
    inherit that: the tests that follow would take both cores from the services that they watch.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


@functools.cache
@usual_priority()
def make(
    name: str,
    *,
    seconds: float = 2.0,
    video: str | None = "mpeg4",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (160, 96),
    rate: int = 25,
    audio: str | None = "aac",
    layout: str = "stereo",
    sample_rate: int = 48_000,
    options: tuple[tuple[str, str], ...] = (),
    start: float = 0.0,
) -> Path:
    """A clip with moving pictures and a 1 kHz tone; made once per test run. `name`'s suffix decides the container."""
    path = _folder / name
    container = av.open(str(path), "w", options=dict(options))
    pictures = sound = None
    if video:
        pictures = container.add_stream(video, rate=rate)
        pictures.width, pictures.height = size
        pictures.pix_fmt = pixel_format
        pictures.codec_context.gop_size = 10
    if audio:
        sound = container.add_stream(audio, rate=sample_rate, layout=layout)
    if pictures is not None:
        for index in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24").reformat(format=pixel_format)
            frame.pts = index + round(start * rate)
            frame.time_base = Fraction(1, rate)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    if sound is not None:
        wanted = sound.codec_context.format.name
        samples = tone(seconds, sample_rate, sound.codec_context.layout.nb_channels)
        resampler = av.AudioResampler(format=wanted, layout=layout, rate=sample_rate)
        step = sound.codec_context.frame_size or 1024
        for at in range(0, samples.shape[1], step):
            part = np.ascontiguousarray(samples[:, at : at + step].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
            frame.sample_rate = sample_rate
            frame.pts = at + round(start * sample_rate)
            frame.time_base = Fraction(1, sample_rate)
            for converted in resampler.resample(frame):
                container.mux(sound.encode(converted))
        container.mux(sound.encode(None))
    container.close()
    return path
