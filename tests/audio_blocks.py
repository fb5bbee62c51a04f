"""Programmes as the 100 ms blocks that `audio_stats` takes, for its tests."""

import numpy as np
import torch

from kernels.audio_stats import COLUMNS, AudioState, loudness_summary, measure_audio

SAMPLE_RATE = 48_000
CLIP_LEVEL_16_BIT = 1 - 2**-16


def block_batch(parts, weights=None, clip_level=CLIP_LEVEL_16_BIT, silence_threshold=1e-3, slots=None, beyond=0.0):
    """Arguments of `measure_audio` after the state; `parts`: one (channels, 1..4800) array per row."""
    rows = len(parts)
    samples = np.full((rows, 8, 4800), beyond, np.float32)  # torch would start threads for it
    loudness_weights = torch.zeros(rows, 8, dtype=torch.float64)
    for row, part in enumerate(parts):
        channels, valid = part.shape
        samples[row, :channels, :valid] = part
        loudness_weights[row, :channels] = torch.tensor((weights or {}).get(row, [1.0] * channels), dtype=torch.float64)
    return (
        torch.from_numpy(samples),
        torch.tensor([part.shape[0] for part in parts], dtype=torch.int64),
        torch.tensor([part.shape[1] for part in parts], dtype=torch.int64),
        loudness_weights,
        torch.full((rows,), clip_level, dtype=torch.float64),
        torch.tensor(range(rows) if slots is None else slots, dtype=torch.int64),
        torch.full((rows,), silence_threshold, dtype=torch.float64),
    )


def measure_signal(signal, weights=None, **options):
    """A whole (channels, samples) programme on the CPU: its columns by name, and its loudness."""
    state = AudioState.allocate(1)
    rows = [
        measure_audio(state, *block_batch([signal[:, begin : begin + 4800]], weights and {0: list(weights)}, **options))
        for begin in range(0, signal.shape[1], 4800)
    ]
    values = torch.cat(rows).numpy()
    return {name: values[:, index] for index, name in enumerate(COLUMNS)}, loudness_summary(state, 0)


def tone(levels_and_seconds, frequency=1000.0, channels=2, phase=0.0):
    """Sine of successive peak levels in dBFS (None: silence), phase continuous, the same in every channel."""
    gains = np.concatenate(
        [
            np.full(round(seconds * SAMPLE_RATE), 0.0 if level is None else 10 ** (level / 20))
            for level, seconds in levels_and_seconds
        ]
    )
    wave = gains * np.sin(2 * np.pi * frequency / SAMPLE_RATE * np.arange(len(gains)) + phase)
    return np.tile(wave.astype(np.float32), (channels, 1))
