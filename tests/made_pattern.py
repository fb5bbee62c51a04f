"""A test pattern of flashes and beeps, as a file."""

from fractions import Fraction

import av
import numpy as np

RATE = 25


def write_pattern(path, offset, *, seconds=8.0, codec="aac", beeps=True, area=1.0, rate=RATE, seed=0):
    """A flash of one picture every second, and a beep of 40 ms that begins `offset` seconds after its first moment."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "20"})
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream(codec, rate=48000, layout="stereo")
        resampler = av.AudioResampler(
            format=sound.codec_context.format.name, layout="stereo", rate=48000,
            frame_size=sound.codec_context.frame_size or 1024,
        )  # fmt: skip
        for index in range(round(seconds * rate)):
            grey = rng.integers(30, 40, (96, 160, 3)).astype(np.uint8)
            if index % rate == rate // 2:
                grey[: round(96 * area)] = 235
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        samples = rng.normal(0, 1e-4, round(seconds * 48000)).astype(np.float32)
        t = np.arange(1920) / 48000
        for second in range(int(seconds)):
            begin = round((second + (rate // 2) / rate + offset) * 48000)
            if beeps and 0 <= begin < len(samples) - 1920:
                samples[begin : begin + 1920] += (0.5 * np.cos(2 * np.pi * 1000 * t)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.tile(samples, (2, 1)), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path
