"""Clean sound to plant defects into: speech-like, music-like, noise; deterministic, (2, n) float32 at 48 kHz."""

import numpy as np

SAMPLE_RATE = 48_000


def _smoothed(values, width):
    kernel = np.hanning(width + 2)[1:-1]
    return np.convolve(values, kernel / np.sqrt((kernel**2).sum()), mode="same")


def speech_like(seconds, seed=1, right=0.8):
    """Voiced syllables of changing pitch with short pauses between them; nearly the same in both channels."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    bends = np.arange(0, n + 9600, 9600)
    pitch = 130 * 2 ** np.interp(np.arange(n), bends, rng.uniform(-0.4, 0.4, len(bends)))
    angle = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * angle + k) / k**1.2 for k in range(1, 20))
    points = np.arange(0, n + 7200, 7200)
    level = np.interp(np.arange(n), points, rng.choice([0.02, 0.5, 0.8, 1.0], len(points), p=[0.2, 0.3, 0.3, 0.2]))
    breath = 0.01 * _smoothed(rng.standard_normal(n), 5)
    mono = 0.08 * level * (voice + breath) + 2e-4 * rng.standard_normal(n)
    room = 2e-3 * _smoothed(rng.standard_normal(n), 60)
    return np.stack([mono + room, right * mono - room]).astype(np.float32)


def music_like(seconds, seed=2):
    """Plucked chords over a bass, panned left and right."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    out = 1e-4 * rng.standard_normal((2, n))
    for start in range(0, n, 12_000):
        length = min(60_000, n - start)
        time = np.arange(length) / SAMPLE_RATE
        for _ in range(3):
            frequency = 98.0 * 2 ** (rng.integers(0, 36) / 12)
            wave = np.exp(-3 * time) * np.minimum(1, time * 200)
            wave *= sum(np.sin(2 * np.pi * k * frequency * time) / k**2 for k in range(1, 6))
            pan = rng.uniform(0.2, 0.8)
            out[:, start : start + length] += 0.08 * np.array([[pan], [1 - pan]]) * wave
    return out.astype(np.float32)


def noise_like(seconds, seed=3):
    """Surf: noise without high frequencies, its level going up and down, half of it common to both channels."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.3 * np.arange(n) / SAMPLE_RATE)
    common, *own = (_smoothed(rng.standard_normal(n), 40) for _ in range(3))
    return (0.06 * swell * (common + 0.5 * np.stack(own))).astype(np.float32)


CARRIERS = {"speech": speech_like, "music": music_like, "noise": noise_like}
