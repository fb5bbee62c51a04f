"""Rows of tiles and of bands of a clip, for the sync network; the same as the engine takes of a stream."""

from pathlib import Path
from typing import Any

import av
import numpy as np

from models.sync_signals import BANDS, SOUND_STEP_SECONDS, TILE_COLUMNS, TILE_ROWS, Floats, Times
from models.synthesis.picture_clip import planes_of
from models.synthesis.sound import SAMPLE_RATE, Samples

_SPAN = 1024
_QUIET = 1e-6


def tile_rows(luma: Any, full: int) -> Floats:
    """(144,): mean of each of 16x9 tiles, full scale 1."""
    height, width = luma.shape
    rows = np.arange(TILE_ROWS) * height // TILE_ROWS
    columns = np.arange(TILE_COLUMNS) * width // TILE_COLUMNS
    sums = np.add.reduceat(np.add.reduceat(luma.astype(np.int64), rows, axis=0), columns, axis=1)
    high, wide = np.diff([*rows, height]), np.diff([*columns, width])
    found: Floats = (sums / (high[:, None] * wide[None]) / full).astype(np.float32).ravel()
    return found


def band_rows(samples: Samples, start: float = 0.0) -> tuple[Times, Floats]:
    """Times and logarithms of the energies of sound, every 10 ms over 21 ms.

    Args:
        samples: (channels, n) at SAMPLE_RATE.
        start: media second of the first one.
    """
    step = round(SOUND_STEP_SECONDS * SAMPLE_RATE)
    edges = np.geomspace(150.0, 6000.0, BANDS + 1)
    hertz = np.fft.rfftfreq(_SPAN, 1 / SAMPLE_RATE)
    within = ((hertz[:, None] >= edges[:-1]) & (hertz[:, None] < edges[1:])).astype(np.float64) / _SPAN
    count = max(0, (samples.shape[1] - _SPAN) // step + 1)
    times = start + (_SPAN / 2 + step * np.arange(count)) / SAMPLE_RATE
    if not count:
        return times, np.zeros((0, BANDS), np.float32)
    spans = np.lib.stride_tricks.sliding_window_view(samples, _SPAN, axis=1)[:, : count * step : step]
    power = np.abs(np.fft.rfft(spans * np.hanning(_SPAN).astype(np.float32))) ** 2
    return times, np.log(power.mean(axis=0) @ within + _QUIET).astype(np.float32)


def read_sync_rows(path: Path, seconds: float) -> dict[str, Any]:
    """Rows of a clip.

    Args:
        path: of a file with pictures and sound.
        seconds: how much of it, at most.
    Returns: picture_times, tiles, sound_times, bands.
    Raises: av.FFmpegError if it cannot be read; ValueError if a track is missing.
    """
    times: list[float] = []
    tiles: list[Floats] = []
    parts: list[Any] = []
    sound_start: float | None = None
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        if not container.streams.video or not container.streams.audio:
            raise ValueError(f"{path.name} lacks pictures or sound")
        video, audio = container.streams.video[0], container.streams.audio[0]
        video.thread_type = audio.thread_type = "NONE"
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
        for packet in container.demux(video, audio):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                at = float(frame.pts * packet.stream.time_base)
                if packet.stream is audio:
                    sound_start = at if sound_start is None else sound_start
                    parts += [part.to_ndarray() for part in resampler.resample(frame)]
                elif not times or at > times[-1]:
                    depth = 10 if "10" in frame.format.name else 8
                    times.append(at)
                    tiles.append(tile_rows(planes_of(frame, depth)[0], 1 << depth))
            if times and times[-1] - times[0] > seconds:
                break
    if len(times) < 2 or sound_start is None:
        raise ValueError(f"{path.name} has too little of pictures or sound")
    sound_times, bands = band_rows(np.concatenate(parts, axis=1).astype(np.float32), sound_start)
    return {"picture_times": np.array(times), "tiles": np.stack(tiles), "sound_times": sound_times, "bands": bands}
