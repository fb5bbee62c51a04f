"""Programmes that are made up: as many as there are seeds, each the same however it is coded."""

from fractions import Fraction

import av
import numpy as np


def write_programme(path, seed, *, seconds=34, rate=25, size=(160, 90), sound_late=0.0, codecs=None, tone=None):
    """A made programme: bars that move, cuts, and noise in bursts; drawn at its own moments for any rate.

    `tone`: from and to which second there is a tone of 640 Hz below the noise, as loud as that is.
    """
    rng = np.random.default_rng(seed)
    bars = rng.uniform(0, 1, (64, 6))
    levels = np.interp(
        np.arange(round(48000 * seconds)), 4800 * np.arange(10 * seconds), rng.exponential(1, 10 * seconds)
    )
    noise = rng.normal(0, 0.05, len(levels)) * levels
    if tone is not None:
        here = slice(*(round(48000 * at) for at in tone))
        noise[here] += 0.2 * (levels * np.sin(2 * np.pi * 640 / 48000 * np.arange(len(levels))))[here]
    width, height = size
    video, audio = codecs or ("libx264", "aac")
    late = round(48000 * sound_late)
    samples = np.concatenate((np.zeros(max(0, late)), noise[max(0, -late) :])).astype(np.float32)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "26"} if video == "libx264" else {}
        pictures = container.add_stream(video, rate=rate, options=options)
        pictures.width, pictures.height, pictures.pix_fmt = width, height, "yuv420p"
        if video != "libx264":
            pictures.bit_rate = 800_000
        sound = container.add_stream(audio, rate=48000, layout="stereo")
        resampler = av.AudioResampler(
            format=sound.codec_context.format.name, layout="stereo", rate=48000,
            frame_size=sound.codec_context.frame_size or 1024,
        )  # fmt: skip
        frame = av.AudioFrame.from_ndarray(np.tile(samples, (2, 1)), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        packets = [p for piece in (*resampler.resample(frame), *resampler.resample(None)) for p in sound.encode(piece)]
        packets += sound.encode(None)
        x = np.linspace(0, 1, width)
        for index in range(round(seconds * rate)):
            at = float(index / Fraction(rate))
            scene = bars[int(at / 1.7) % 64]
            row = 100 + 60 * np.sin(2 * np.pi * (x * (1 + 3 * scene[0]) + at * (0.2 + scene[1]))) * scene[2]
            grey = np.tile(row + 40 * scene[3], (height, 1))
            grey[: height // 2] *= 0.6 + 0.4 * np.sin(2 * np.pi * at * (0.1 + 0.5 * scene[4]))
            picture = av.VideoFrame.from_ndarray(grey.clip(0, 255).astype(np.uint8), format="gray")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = index, 1 / Fraction(rate)
            packets += pictures.encode(picture)
        packets += pictures.encode(None)
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path
