"""Made-up sound of which it is known what it is: speech by the program espeak-ng, music, and other noises.

Real clips seldom say whether they are speech or music; these do. Everything random is drawn from a generator.
"""

import io
import shutil
import subprocess
from collections.abc import Callable
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from models.synthesis.coded_sound import resampled
from models.synthesis.sound import SAMPLE_RATE, Samples

_VOICES: Final = ("en-us", "en-gb", "de", "fr-fr", "es", "it", "pl", "ru", "nl", "sv", "pt", "cs", "fi", "tr", "el")
_SYLLABLES: Final = tuple(
    c + v + e
    for c in ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl", "sh", "")
    for v in ("a", "e", "i", "o", "u", "ai", "ou")
    for e in ("", "n", "s", "t", "l")
)
Floats = npt.NDArray[np.float64]


def has_speech() -> bool:
    """Whether speech can be made here."""
    return shutil.which("espeak-ng") is not None


def speech(seconds: float, rng: np.random.Generator) -> Samples:
    """(2, n): somebody talks nonsense, with pauses, at times in a room.

    Raises: OSError, subprocess.SubprocessError where espeak-ng is not installed or fails.
    """
    words = [
        "".join(str(rng.choice(_SYLLABLES)) for _ in range(int(rng.integers(1, 4)))) or "a"
        for _ in range(round(3 * seconds) + 4)
    ]
    text = " ".join(word + (rng.choice([",", "."]) if rng.random() < 0.2 else "") for word in words)
    voice = f"{rng.choice(_VOICES)}+{rng.choice(['m1', 'm2', 'm3', 'm4', 'm7', 'f1', 'f2', 'f3', 'f4', 'croak'])}"
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(int(rng.integers(120, 200))),
               "-p", str(int(rng.integers(20, 80))), text]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, timeout=60, stdin=subprocess.DEVNULL)
    parts: list[Any] = []
    opened: Any = av.open(io.BytesIO(done.stdout))
    with opened as container:
        parts = [frame.to_ndarray().astype(np.float32) / 32768 for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    spoken = np.concatenate(parts, axis=1)
    count = round(seconds * SAMPLE_RATE)
    mono = resampled(spoken, rate, max(count, spoken.shape[1] * SAMPLE_RATE // rate))[0, :count].astype(np.float64)
    if rng.random() < 0.5:
        mono = in_a_room(mono, float(rng.uniform(0.1, 0.5)), rng)
    return _stereo(mono, mono)


def in_a_room(mono: Floats, seconds: float, rng: np.random.Generator) -> Floats:
    """With the echoes of a room that take so long to fall by 60 dB."""
    length = round(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= float(rng.uniform(0.1, 0.5)) / np.sqrt((tail**2).sum() + 1e-12)
    tail[0] += 1.0
    size = 1 << (len(mono) + length).bit_length()
    made: Floats = np.fft.irfft(np.fft.rfft(mono, size) * np.fft.rfft(tail, size), size)[: len(mono)]
    return made


def music(seconds: float, rng: np.random.Generator) -> Samples:
    """(2, n): chords, a melody, a bass and drums in time, of plain synthetic instruments."""
    count = round(seconds * SAMPLE_RATE)
    out = np.zeros((2, count))
    beat = 60 / float(rng.uniform(70, 160))
    key = int(rng.integers(40, 64))
    scale = [0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10]
    timbres = [(rng.uniform(0.3, 1.6), rng.uniform(0.001, 0.08), rng.uniform(0.15, 1.5)) for _ in range(3)]
    with_drums = rng.random() < 0.6
    at = 0.0
    while at < seconds:
        root = int(rng.integers(0, 7))
        for step in (0, 2, 4):
            _note(out, at, 4 * beat, key + 12 * ((root + step) // 7) + scale[(root + step) % 7], 0.08, timbres[0], rng)
        _note(out, at, 2 * beat, key - 24 + scale[root], 0.25, timbres[1], rng)
        for k in range(8):
            when = at + k * beat / 2
            if rng.random() < 0.7:
                tone = key + 12 + scale[int(rng.integers(0, 7))]
                _note(out, when, beat / 2 * float(rng.choice([1, 2])), tone, 0.14, timbres[2], rng)
            if with_drums:
                _drum(out, when, "hat", rng)
                if k % 4 == 0:
                    _drum(out, when, "kick", rng)
                if k % 4 == 2:
                    _drum(out, when, "snare", rng)
        at += 4 * beat
    return _stereo(out[0], out[1])


def _note(
    out: Floats, at: float, seconds: float, key: int, level: float, timbre: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add a note: harmonics that fall with their number, an attack and a decay."""
    first = round(at * SAMPLE_RATE)
    length = min(round(1.3 * seconds * SAMPLE_RATE), out.shape[1] - first)
    if length <= 0:
        return
    brightness, attack, decay = timbre
    time = np.arange(length) / SAMPLE_RATE
    frequency = 440 * 2 ** ((key - 69) / 12) * (1 + float(rng.normal(0, 0.001)))
    most = max(1, min(12, int(18_000 / frequency)))
    wave = sum(
        (k**-brightness) * np.sin(2 * np.pi * k * frequency * time + float(rng.uniform(0, 6))) for k in range(1, most)
    ) if most > 1 else np.sin(2 * np.pi * frequency * time)  # fmt: skip
    envelope = (
        np.minimum(1, time / attack) * np.exp(-time / decay) * np.clip((length / SAMPLE_RATE - time) / 0.02, 0, 1)
    )
    side = float(rng.uniform(0.3, 0.7))
    out[:, first : first + length] += level * np.array([[side], [1 - side]]) * 2 * (wave * envelope)[None]


def _drum(out: Floats, at: float, kind: str, rng: np.random.Generator) -> None:
    first = round(at * SAMPLE_RATE)
    length = min(round(0.25 * SAMPLE_RATE), out.shape[1] - first)
    if length <= 0:
        return
    time = np.arange(length) / SAMPLE_RATE
    if kind == "kick":
        wave = 0.6 * np.sin(2 * np.pi * (45 * time + 4 * (1 - np.exp(-time * 30)))) * np.exp(-time * 14)
    elif kind == "snare":
        wave = 0.2 * rng.standard_normal(length) * np.exp(-time * 22)
    else:
        wave = 0.06 * np.diff(rng.standard_normal(length + 1)) * np.exp(-time * 60)
    wave *= np.minimum(1, time / 0.002)
    out[:, first : first + length] += wave


def other(seconds: float, rng: np.random.Generator) -> Samples:
    """(2, n): wind, steps, water, an engine: noises that rise and fall, knocks and whistles."""
    count = round(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    out = np.zeros(count)
    for _ in range(int(rng.integers(1, 4))):
        low, slope = float(rng.uniform(50, 3000)), float(rng.uniform(0.5, 2.5))
        frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
        shape = 1 / (1 + (frequency / low) ** (2 * slope))
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count)
        points = np.clip(rng.normal(0.4, 0.5, max(4, round(seconds * rng.uniform(1, 6)))), 0.0, 2)
        swell = np.interp(time, np.linspace(0, seconds, len(points)), points)
        out += float(rng.uniform(0.02, 0.3)) * noise / (noise.std() + 1e-9) * swell
    for _ in range(int(rng.integers(0, 12))):
        at, tone = float(rng.uniform(0, seconds)), float(rng.uniform(80, 5000))
        since = np.maximum(time - at, 0)
        rise = np.clip(since / 0.003, 0, 1)
        out += (
            float(rng.uniform(0.05, 0.5))
            * rise
            * np.exp(-since * rng.uniform(8, 60))
            * np.sin(2 * np.pi * tone * since)
        )
    return _stereo(out, out)


def _stereo(left: Floats, right: Floats) -> Samples:
    both = np.stack([left, right])
    peak = float(np.abs(both).max())
    made: Samples = (0.5 * both / max(peak, 1e-9)).astype(np.float32)
    return made


MAKERS: Final[dict[str, Callable[[float, np.random.Generator], Samples]]] = {
    "speech": speech,
    "music": music,
    "other": other,
}
