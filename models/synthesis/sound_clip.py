"""Sound read from clips and written to files, so that nothing can be heard of the coding."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.synthesis.sound import SAMPLE_RATE, Samples


def read_sound(path: Path, seconds: float, *, skip: float = 0.0) -> Samples:
    """(2, n) float32 at 48 kHz: some of a clip's sound, from its first sample on.

    Args:
        path: of a file that libav reads.
        seconds: how much of it, at most.
        skip: how much of it to leave out before.
    Raises: av.FFmpegError if it cannot be read.
    """
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    first, most = round(skip * SAMPLE_RATE), round((skip + seconds) * SAMPLE_RATE)
    parts: list[Any] = []
    with av.open(str(path), metadata_errors="replace") as container:
        for frame in container.decode(audio=0):
            parts += [resampled.to_ndarray() for resampled in resampler.resample(frame)]
            if sum(part.shape[1] for part in parts) >= most:
                break
    joined: Samples = np.concatenate(parts, axis=1)[:, first:most]
    return joined.astype(np.float32)


def write_sound(path: Path, samples: Samples) -> None:
    """A 24-bit FLAC file, stereo or 5.1."""
    layout = "stereo" if len(samples) == 2 else "5.1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout=layout, format="s32")
        whole = np.rint(np.clip(samples.T, -1, 1 - 2.0**-23) * 2.0**31).astype(np.int32)
        for at in range(0, len(whole), 4096):
            part = np.ascontiguousarray(whole[at : at + 4096]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="s32", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
