"""What spoils sound, with whether it shows: hum, noise, distortion, clicks, starved coders, and what is lost.

Every spoiler takes (2, n) samples, the part of them that counts, and a generator; it gives new samples and whether the
defect can be heard in that part: True, False, or None where nobody could say.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from models.synthesis.coded_sound import (
    CODERS,
    CodedSound,
    broken,
    concealed_by_opus,
    concealed_by_repeating,
    decode,
    encode,
    lost_packets,
)
from models.synthesis.sound import SAMPLE_RATE, Samples

Spoilt = tuple[Samples, bool | None]
Spoiler = Callable[[Samples, slice, np.random.Generator], Spoilt]
Floats = npt.NDArray[np.float64]
# Mean difference of two spectrograms in dB: less is not heard, more is.
_NOT_HEARD_DB: Final = 1.0
_HEARD_DB: Final = 2.5
# Of the short spectra where they differ most: what was lost can be heard from here on.
_GAP_DB: Final = 8.0


def _decibels(power: float) -> float:
    return 10 * math.log10(power + 1e-12)


def _level(samples: Samples) -> float:
    return _decibels(float((samples.astype(np.float64) ** 2).mean()))


def mains_level(mono: Floats) -> float:
    """Level of a steady line at 50, 60, 100 or 120 Hz that stands out, dB of full scale; -120 where none does."""
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)))) * 4 / len(mono)
    width = len(mono) / SAMPLE_RATE
    found = -120.0
    for frequency in (50, 60, 100, 120):
        at = round(frequency * width)
        line = float(spectrum[max(0, at - 1) : at + 2].max())
        around = np.concatenate([spectrum[at - 12 : at - 4], spectrum[at + 5 : at + 13]])
        if line > 8 * float(np.median(around)) + 1e-9:
            found = max(found, 20 * math.log10(line + 1e-12))
    return found


def hum(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """Mains hum with harmonics, of a steady or buzzing kind."""
    mains = float(rng.choice([50.0, 60.0])) + float(rng.normal(0, 0.1))
    low = _band_level(samples[:, inside], 30, 250)
    level = float(rng.uniform(max(-62.0, low - 14), max(-40.0, min(low + 12, -14))))
    time = np.arange(samples.shape[1]) / SAMPLE_RATE
    falls, harmonics = float(rng.uniform(0.4, 1.6)), int(rng.integers(1, 14))
    odd = rng.random() < 0.4
    wave = np.zeros(len(time))
    for k in range(1, harmonics + 1):
        if odd and k % 2 == 0 and k > 2:
            continue
        wave += k**-falls * float(rng.uniform(0.2, 1)) * np.sin(2 * np.pi * k * mains * time + float(rng.uniform(0, 6)))
    wave *= 10 ** (level / 20) / (wave.std() + 1e-12)
    made = samples + wave.astype(np.float32)
    there = level >= max(-56.0, low - 3)
    return made, True if there else (None if level > -75 else False)


def _band_level(samples: Samples, low: float, high: float) -> float:
    """Level of what is between two frequencies, dB of full scale."""
    mono = samples.mean(axis=0).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(mono)) / len(mono)
    frequency = np.fft.rfftfreq(len(mono), 1 / SAMPLE_RATE)
    return _decibels(2 * float((spectrum[(frequency >= low) & (frequency <= high)] ** 2).sum()))


def noise(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """Steady noise: white, pink, hissing or of one band."""
    count = samples.shape[1]
    frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    slope = float(rng.choice([0.0, 0.5, -0.5, 1.0]))
    shape = np.maximum(frequency, 40.0) ** -slope
    if rng.random() < 0.3:
        middle, wide = float(rng.uniform(1500, 9000)), float(rng.uniform(0.5, 2.0))
        shape = shape / (1 + (np.log2(np.maximum(frequency, 1) / middle) / wide) ** 4)
    one = np.fft.irfft(np.fft.rfft(rng.standard_normal((2, count)), axis=1) * shape, count, axis=1)
    if rng.random() < 0.5:
        one[1] = one[0]
    quiet = brightness(samples[:, inside].mean(axis=0), 15)
    loud = _level(samples[:, inside])
    level = float(rng.uniform(-64.0, max(-44.0, min(loud - 4, -18))))
    added = (one * 10 ** (level / 20) / (one.std() + 1e-12)).astype(np.float32)
    above = brightness(added[:, inside].mean(axis=0), 50) - quiet
    if level >= -60.0 and above >= 0:
        return samples + added, True
    return samples + added, None if above > -12 else False


def brightness(mono: npt.NDArray[np.floating], percentile: float) -> float:
    """Level of what is high in the quieter blocks of 10 ms, dB: what hums and rumbles is no hiss."""
    blocks = mono[: len(mono) // 480 * 480].astype(np.float64).reshape(-1, 480)
    return _decibels(float(np.percentile((np.diff(blocks, axis=1) ** 2).mean(axis=1), percentile)))


def distortion(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """Overdriven: cut off, rounded off, wrapped round, or in too few steps; then turned up or down."""
    peak = max(float(np.abs(samples).max()), 1e-4)
    way = str(rng.choice(["hard", "hard", "hard", "soft", "few", "wrapped"]))
    x = samples.astype(np.float64) / peak
    if way == "hard":
        limit = 10 ** (-float(rng.uniform(1, 24)) / 20)
        made = np.clip(x, -limit, limit) if rng.random() < 0.8 else np.clip(x, -1, limit)
    elif way == "soft":
        drive = 10 ** (float(rng.uniform(3, 30)) / 20)
        made = np.tanh(drive * x)
    elif way == "few":
        steps = 2.0 ** float(rng.uniform(2.5, 7))
        made = np.round(x * steps) / steps
    else:
        drive = 10 ** (float(rng.uniform(0.5, 6)) / 20)
        made = (drive * x + 1) % 2 - 1
    a, b = x[:, inside].ravel(), made[:, inside].ravel()
    power = float(b @ b)
    fit = float(a @ b) / max(float(a @ a), 1e-12)
    error = _decibels(float(((b - fit * a) ** 2).sum()) / max(power, 1e-12))
    high = max(float(np.abs(made).max()), 1e-6)
    level = 10 ** (-float(rng.exponential(3.0)) / 20) if rng.random() < 0.7 else peak
    result = (made * min(level, 1.0) / high).astype(np.float32)
    return result, True if error > -22 else (None if error > -42 else False)


def click(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """A few clicks or a crackle: samples that stand alone, ringing or not."""
    made = samples.copy()
    count = int(rng.integers(1, 4)) if rng.random() < 0.6 else int(rng.integers(4, 40))
    peak = max(float(np.abs(samples[:, inside]).max()), 1e-3)
    strongest = -math.inf
    for place in rng.integers(inside.start + 960, inside.stop - 960, count):
        at, width = int(place), int(rng.integers(1, 6))
        height = peak * 10 ** (float(rng.uniform(-18, 8)) / 20)
        height = min(0.95, max(height, 0.01))
        if rng.random() < 0.5:
            shape = np.full(width, height) * rng.choice([-1, 1])
        else:
            time = np.arange(48)
            shape = height * np.exp(-time / rng.uniform(2, 10)) * np.cos(2 * np.pi * time / rng.uniform(2.2, 16))
        channels = slice(None) if rng.random() < 0.7 else slice(int(rng.integers(0, 2)), None, 2)
        made[channels, at : at + len(shape)] += shape.astype(np.float32)
        near = samples[:, at - 480 : at + 480].astype(np.float64)
        rough = float(np.abs(np.diff(near, axis=1)).max())  # a click hides among steps as large as itself
        strongest = max(strongest, 20 * math.log10(height / max(rough, 1e-4)))
    return np.clip(made, -1, 1), True if strongest > 3 else None


def _coded(samples: Samples, name: str, rng: np.random.Generator, starved: bool) -> CodedSound:
    coder = CODERS[name]
    low, high = coder.starved if starved else coder.plenty
    mono = rng.random() < 0.3 and name != "mp2"
    rate = int(rng.choice(coder.rates)) if starved else coder.rates[int(rng.integers(0, min(2, len(coder.rates))))]
    bits = round(float(rng.uniform(low, high))) * (1 if mono else 2)
    if name in ("mp2", "mp3"):
        bits = _known_rate(name, rate, bits)
    source = samples.mean(axis=0, keepdims=True) if mono else samples
    return encode(source, coder, rate=rate, bits_per_second=bits)


def _known_rate(name: str, rate: int, bits: int) -> int:
    """The nearest bit rate that the format knows."""
    low_rate = name == "mp3" and rate < 32_000
    known = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160) if low_rate else (
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320) if name == "mp3" else (
        48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)  # fmt: skip
    return 1000 * min(known, key=lambda one: abs(1000 * one - bits))


def _as_pair(samples: Samples) -> Samples:
    return samples if len(samples) == 2 else np.repeat(samples, 2, axis=0)


def _spectrum(samples: Samples) -> Floats:
    """(steps, 64) dB: rough bands every 21 ms."""
    mono = samples.mean(axis=0).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(mono, 2048)[::1024] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, 1:] ** 2 / 2048**2
    edges = np.unique(np.geomspace(2, 1024, 49).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    found: Floats = np.maximum(10 * np.log10(bands + 1e-14), -85.0)
    return found


def heard_apart(one: Samples, other: Samples) -> float:
    """How far two spectrograms are apart, dB: the mean over what is not silent in both."""
    a, b = _spectrum(one), _spectrum(other)
    sounding = np.maximum(a, b) > -80
    return float(np.abs(a - b)[sounding].mean()) if sounding.any() else 0.0


def codec(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """Through a coder that is given too few bits, once or twice."""
    made = samples
    try:
        for _ in range(1 if rng.random() < 0.8 else 2):
            made = _as_pair(decode(_coded(made, str(rng.choice(list(CODERS))), rng, starved=True)))
    except av.error.FFmpegError:
        return samples, False
    apart = heard_apart(samples[:, inside], made[:, inside])
    return made, True if apart > _HEARD_DB else (None if apart > _NOT_HEARD_DB else False)


def plainly_coded(samples: Samples, rng: np.random.Generator) -> Samples:
    """Through a coder with plenty of bits, as all sound is that is broadcast."""
    try:
        return _as_pair(decode(_coded(samples, str(rng.choice(list(CODERS))), rng, starved=False)))
    except av.error.FFmpegError:
        return samples


def dropout(samples: Samples, inside: slice, rng: np.random.Generator) -> Spoilt:
    """Packets lost or broken, and what decoders and receivers make of it; or nothing for a moment."""
    way = str(rng.choice(["lost", "lost", "broken", "opus", "repeated", "muted"]))
    if way in ("repeated", "muted"):
        gaps = [
            (at, at + round(float(rng.choice([0.01, 0.02, 0.04, 0.08, 0.16])) * SAMPLE_RATE))
            for at in map(int, rng.integers(inside.start + 2000, inside.stop - 8000, int(rng.integers(1, 6))))
        ]
        fade = 0.0 if way == "muted" else float(rng.uniform(0.3, 1.0))
        made = concealed_by_repeating(samples, sorted(gaps), fade)
        return made, _gap_shows(samples, made, inside)
    try:
        name = "opus" if way == "opus" else str(rng.choice(list(CODERS)))
        coded = _coded(samples, name, rng, starved=False)
        lost = lost_packets(len(coded.packets), rng)
        whole: Samples | None = None
        made_or_none: Samples | None = None
        if way == "opus":
            whole, made_or_none = concealed_by_opus(coded, frozenset()), concealed_by_opus(coded, lost)
        if whole is None or made_or_none is None:
            whole = decode(coded)
            if way == "broken":
                made_or_none = decode(coded, lambda n, data: broken(data, rng) if n in lost else data)
            else:
                made_or_none = decode(coded, lambda n, data: None if n in lost else data)
    except av.error.FFmpegError:
        return samples, False
    whole, made = _as_pair(whole), _as_pair(made_or_none)
    return made, _gap_shows(whole, made, inside)


def _gap_shows(whole: Samples, made: Samples, inside: slice) -> bool | None:
    """Whether some 10 ms differ by nearly as much as there was, where there was something."""
    a, b = whole[:, inside].astype(np.float64), made[:, inside].astype(np.float64)
    count = a.shape[1] // 480 * 480
    error = ((a - b)[:, :count] ** 2).reshape(2, -1, 480).mean(axis=(0, 2))
    power = (a[:, :count] ** 2).reshape(2, -1, 480).mean(axis=(0, 2))
    lost = (error > 0.15 * power) & (np.maximum(error, power) > 10**-5.0)
    if lost.any() and _most_apart(whole[:, inside], made[:, inside]) > _GAP_DB:
        return True
    return None if (error > 1e-8).any() else False


def _most_apart(one: Samples, other: Samples) -> float:
    """How far two short spectra are apart where they are most, dB: the mean over the bands that can be heard in them.

    Sound that was well guessed has another wave and the same spectrum: that nobody hears.
    """
    a, b = _short_spectra(one), _short_spectra(other)
    loudest = np.maximum(a, b).max(axis=1, keepdims=True)
    floor = np.maximum(loudest - 45.0, -85.0)
    a, b = np.maximum(a, floor), np.maximum(b, floor)
    counts = np.maximum(a, b) > floor
    apart = (np.abs(a - b) * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return float(apart[loudest[:, 0] > -60.0].max(initial=0.0))


def _short_spectra(samples: Samples) -> Floats:
    """(steps, 16) dB: rough bands every 5 ms."""
    mono = samples.mean(axis=0).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(mono, 512)[::240] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, 1:] ** 2 * (4 / 512) ** 2
    edges = np.unique(np.geomspace(1, 256, 17).astype(int))
    found: Floats = 10 * np.log10(np.add.reduceat(power, edges[:-1] - 1, axis=1) + 1e-12)
    return found


def harmless(samples: Samples, rng: np.random.Generator) -> Samples:
    """What is no defect: fades, pauses, other loudness, narrow band, a cut to other sound."""
    count = samples.shape[1]
    way = str(rng.choice(["fade", "pause", "step", "narrow", "cut", "one side", "ducked"]))
    made = samples.astype(np.float64)
    at = int(rng.integers(count // 5, 4 * count // 5))
    time = np.arange(count)
    if way == "fade":
        gain = np.clip((time - at) / float(rng.uniform(2_000, 60_000)), 0, 1)
        made *= gain if rng.random() < 0.5 else 1 - gain
    elif way == "pause":
        length, ramp = float(rng.uniform(4_000, 60_000)), float(rng.uniform(300, 4_000))
        made *= np.clip(np.abs(time - at) / ramp - length / 2 / ramp, float(rng.choice([0, 0.001, 0.03])), 1)
    elif way == "step":
        made *= 1 + (10 ** (float(rng.uniform(-18, 6)) / 20) - 1) * np.clip((time - at) / 480, 0, 1)
    elif way == "narrow":
        spectrum, frequency = np.fft.rfft(made, axis=1), np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
        low, high = float(rng.choice([20, 80, 300])), float(rng.choice([3400, 5500, 7500, 11_000, 15_000]))
        spectrum *= (1 / (1 + (low / np.maximum(frequency, 1)) ** 8)) / (1 + (frequency / high) ** 16)
        made = np.fft.irfft(spectrum, count, axis=1)
    elif way == "cut":
        share = np.clip((time - at) / 240, 0, 1)
        made = made * (1 - share) + np.roll(made, count // 2, axis=1) * share * float(rng.uniform(0.3, 1.2))
    elif way == "one side":
        made[int(rng.integers(0, 2))] *= float(rng.choice([0.0, 0.1, 0.4]))
    else:
        points = rng.uniform(0.15, 1, 7)
        made *= np.interp(time, np.linspace(0, count, 7), points)
    limit = float(np.abs(made).max())
    return (made / max(1.0, limit / 0.98)).astype(np.float32)


SPOILERS: Final[Mapping[str, Spoiler]] = {
    "hum": hum, "noise": noise, "distortion": distortion, "click": click, "codec": codec, "dropout": dropout,
}  # fmt: skip
# With the first in it, whether there are the others nobody can tell.
HIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "distortion": ("noise", "codec", "click"),
    "noise": ("codec",),
    "codec": ("noise", "distortion", "dropout"),
    "dropout": ("click",),
    "click": ("dropout",),
}
# What was there before the first came, and of which nobody can tell how much is left.
LEAVES_LITTLE_OF: Final[Mapping[str, tuple[str, ...]]] = {"codec": ("hum", "noise", "distortion", "click")}
