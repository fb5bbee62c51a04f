"""Training data of the audio network: two seconds of sound, clean and spoilt, with their truth.

Analogue damage is added to the sound; what coders and lost packets do is done by real coders. The truth of each defect
is found by comparing with the sound as it would have been: there where it shows, none where nothing changed, and where
nobody could say, it says so. What a clip brings along itself (its hiss, its clipping, what its own coder left) is such
a doubt as well. Everything random is drawn from the seed and the clip's name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import torch

from models.audio_labels import CONTENT, DEFECTS, LABELS
from models.audio_net import (
    BANDS,
    FLOOR_DB,
    SPECTROGRAMS,
    STEPS,
    WINDOW_SAMPLES,
    LogMel,
    heard,
)
from models.synthesis import sound_damage
from models.synthesis.held_out import seed_of
from models.synthesis.made_sound import MAKERS
from models.synthesis.sound import SAMPLE_RATE, Samples
from models.synthesis.sound_clip import read_sound

UNKNOWN: Final = 255
# Coders need a moment before the window and after it.
MARGIN_SAMPLES: Final = 14_400
MOST_SECONDS: Final = 90.0
# With less than this per channel a clip's own coder may be heard.
_PLAIN_BITS: Final = 48_000
# What a spectrogram is kept in: half decibels from the floor on.
_STEPS_PER_DB: Final = 2.0
_CLEAN_SHARE: Final = 0.25

Truth = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class SoundSource:
    """Sound that windows are taken of.

    Args:
        name: decides what is random of it.
        samples: (2, n).
        content: which of CONTENT it is; None where nobody knows.
        doubtful: defects that it may have itself, all along.
    """

    name: str
    samples: Samples
    content: tuple[str, ...] | None
    doubtful: frozenset[str] = field(default_factory=frozenset)


def made_source(number: int, seed: int, seconds: float = 40.0) -> SoundSource:
    """Made-up sound: speech, music and other noises in turn, each in parts of five seconds."""
    kind = CONTENT[number % len(CONTENT)]
    rng = np.random.default_rng([seed, number])
    parts = [MAKERS[kind](5.0, rng) for _ in range(round(seconds / 5))]
    return SoundSource(f"made {number}", np.concatenate(parts, axis=1), (kind,))


def clip_source(path: Path, content: tuple[str, ...] | None) -> SoundSource:
    """A clip's sound.

    Raises: av.FFmpegError if it cannot be read; ValueError if it has less than a window.
    """
    samples = read_sound(path, MOST_SECONDS)
    if samples.shape[1] < WINDOW_SAMPLES + 2 * MARGIN_SAMPLES:
        # The end is heard backwards: what is short is worth having all the same.
        if samples.shape[1] < WINDOW_SAMPLES // 2:
            raise ValueError(f"{path.name} has less than a second of sound")
        turns = math.ceil((WINDOW_SAMPLES + 2 * MARGIN_SAMPLES + 1) / samples.shape[1])
        samples = np.concatenate([samples if k % 2 == 0 else samples[:, ::-1] for k in range(turns)], axis=1)
    return SoundSource(path.name, samples, content, frozenset({"codec"} if _is_coarse(path) else ()))


def _is_coarse(path: Path) -> bool:
    """Whether its own coder was given few bits."""
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        stream = container.streams.audio[0]
        name = stream.codec_context.name
        if name.startswith("pcm_") or name in ("flac", "tta", "alac", "wavpack"):
            return False
        bits = stream.bit_rate or 0
        if not bits:
            taken = seconds = 0.0
            for packet in container.demux(stream):
                taken += packet.size or 0
                seconds += float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
                if seconds > 10:
                    break
            bits = round(8 * taken / seconds) if seconds else 0
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        return bool(bits / max(1, min(2, channels)) < _PLAIN_BITS or rate < 32_000)


def own_doubts(window: Samples, content: tuple[str, ...] | None) -> set[str]:
    """Defects that a window may have before anything is done to it.

    Args:
        window: (2, n).
        content: which of CONTENT it is; music plays on and has no pauses in which its noise could be known.
    """
    found: set[str] = set()
    mono = window.mean(axis=0).astype(np.float64)
    peak = float(np.abs(window).max())
    if peak > 0.05:
        runs = (np.abs(window) >= 0.999 * peak).sum()
        if runs > 24:
            found.add("distortion")
    if content != ("music",) and sound_damage.brightness(mono, 5) > -66.0:
        found.add("noise")
    if sound_damage.mains_level(mono) > -58.0:
        found.add("hum")
    loud = np.abs(np.diff(mono, n=2))
    local = np.convolve(loud, np.ones(241) / 241, "same")
    if float((loud / (local + 1e-4)).max()) > 25:
        found.add("click")
    # Digital silence beside sound within a moment: a gap, or a cut.
    quiet = (np.abs(window).max(axis=0) == 0).astype(np.int8)
    edges = np.flatnonzero(np.diff(quiet))
    if len(edges) and any(np.abs(window[:, max(0, e - 48) : e + 48]).max() > 0.02 for e in edges):
        found.update(("dropout", "click"))
    return found


def case_of(source: SoundSource, rng: np.random.Generator) -> tuple[Samples, Truth, str]:
    """A window of a source, spoilt or not.

    Returns: (2, WINDOW_SAMPLES) samples; a truth per label, 0, 1 or UNKNOWN; how it was made.
    """
    whole = WINDOW_SAMPLES + 2 * MARGIN_SAMPLES
    first = int(rng.integers(0, max(1, source.samples.shape[1] - whole)))
    samples = source.samples[:, first : first + whole].astype(np.float32)
    if rng.random() < 0.15:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), 2, axis=0)
    loudness = float(np.sqrt((samples.astype(np.float64) ** 2).mean()))
    gain = 10 ** (float(rng.uniform(-36, -14)) / 20) / max(loudness, 1e-4)
    samples = samples * np.float32(min(gain, 0.97 / max(float(np.abs(samples).max()), 1e-6)))
    inside = slice(MARGIN_SAMPLES, MARGIN_SAMPLES + WINDOW_SAMPLES)
    truth = np.zeros(len(LABELS), np.uint8)
    for label in CONTENT:
        truth[LABELS.index(label)] = UNKNOWN if source.content is None else label in source.content
    if float(np.sqrt((samples[:, inside].astype(np.float64) ** 2).mean())) < 1e-3:
        truth[[LABELS.index(label) for label in CONTENT]] = UNKNOWN  # a pause is no content
    for label in source.doubtful | own_doubts(samples[:, inside], source.content):
        truth[LABELS.index(label)] = UNKNOWN
    chosen: list[str] = []
    if rng.random() >= _CLEAN_SHARE:
        number = 1 if rng.random() < 0.7 else 2
        chosen = [str(name) for name in rng.choice(DEFECTS, number, replace=False)]
    if not chosen or rng.random() < 0.2:
        samples = sound_damage.harmless(samples, rng)
    # In the order in which a chain would do it.
    for name in ("hum", "noise", "distortion", "click", "codec", "dropout"):
        if name not in chosen:
            continue
        spoilt, there = sound_damage.SPOILERS[name](samples, inside, rng)
        index = LABELS.index(name)
        if there is None:
            truth[index] = UNKNOWN
        elif there:
            truth[index] = 1
            # What one defect hides of another nobody can tell.
            for other in sound_damage.HIDES.get(name, ()):
                if truth[LABELS.index(other)] == 0:
                    truth[LABELS.index(other)] = UNKNOWN
        samples = spoilt
    if "codec" not in chosen and "dropout" not in chosen and rng.random() < 0.5:
        samples = sound_damage.plainly_coded(samples, rng)
    return np.clip(samples[:, inside], -1.0, 1.0), truth, "+".join(chosen) or "clean"


def packed(decibels: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Spectrograms as they are kept."""
    steps = ((decibels - FLOOR_DB) * _STEPS_PER_DB).round().clamp(0, 255)
    found: npt.NDArray[np.uint8] = steps.to(torch.uint8).numpy()
    return found


def unpacked(steps: torch.Tensor) -> torch.Tensor:
    """Decibels of kept spectrograms."""
    return steps.float() / _STEPS_PER_DB + FLOOR_DB


def make_sound_shard(source: SoundSource, seed: int, count: int) -> Mapping[str, npt.NDArray[Any]]:
    """Windows of one source.

    Args:
        source: a clip or made-up sound.
        seed: of what is random.
        count: windows.
    Returns: mel (count, SPECTROGRAMS, BANDS, STEPS) uint8, see `unpacked`; truth (count, labels); kind.
    """
    rng = np.random.default_rng([seed, *seed_of(source.name)])
    spectra = LogMel()
    mel, truth, kinds = [], [], []
    for _ in range(count):
        samples, known, kind = case_of(source, rng)
        with torch.inference_mode():
            mel.append(packed(spectra(heard(torch.from_numpy(np.ascontiguousarray(samples))[None])))[0])
        truth.append(known)
        kinds.append(kind)
    empty = np.zeros((0, SPECTROGRAMS, BANDS, STEPS), np.uint8)
    return {
        "mel": np.stack(mel) if mel else empty,
        "truth": np.stack(truth) if truth else np.zeros((0, len(LABELS)), np.uint8),
        "kind": np.array(kinds, "U24"),
    }


__all__ = [
    "SAMPLE_RATE", "UNKNOWN", "SoundSource", "case_of", "clip_source", "made_source", "make_sound_shard", "own_doubts",
    "packed", "unpacked",
]  # fmt: skip
