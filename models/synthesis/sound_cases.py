"""Training data of the audio network: two seconds of sound, clean and spoilt, with their truth.

Analogue damage is added to the sound; what coders and lost packets do is done by real coders. The truth of each defect
is found by comparing with the sound as it would have been: there where it shows, none where nothing changed, and where
nobody could say, it says so. What a clip brings along itself (its hiss, its clipping, what its own coder left) is such
a doubt as well. Everything random is drawn from the seed and the clip's name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import torch

from models.audio_hearing import BANDS, FLOOR_DB, SHAPES, SPECTROGRAMS, STEPS, TONES, WINDOW_SAMPLES, Hearing
from models.audio_labels import CONTENT, DEFECTS, LABELS
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
# So many windows have the sound of another source under them or over them, and by how many dB at most it differs.
_MIXED_SHARE: Final = 0.15
_MIXED_DB: Final = 8.0
# What is softer than the other by more than this, as amplitude, may not be heard beside it.
_BESIDE: Final = 0.15

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


def _cut(source: SoundSource, rng: np.random.Generator) -> Samples:
    """(2, n): as much of a source as a window needs, from anywhere."""
    whole = WINDOW_SAMPLES + 2 * MARGIN_SAMPLES
    first = int(rng.integers(0, max(1, source.samples.shape[1] - whole)))
    return source.samples[:, first : first + whole].astype(np.float32)


def _with_another(one: Samples, other: Samples, inside: slice, rng: np.random.Generator) -> Samples | None:
    """Both at once, about as loud as each other; None where one of them could not be heard in the window."""
    levels = [float(np.sqrt((part.astype(np.float64) ** 2).mean())) for part in (one, other)]
    if min(levels) < 1e-4 or one.shape != other.shape:
        return None
    other = other * np.float32(levels[0] / levels[1] * 10 ** (float(rng.uniform(-_MIXED_DB, _MIXED_DB)) / 20))
    loud, soft = sorted(
        (float(np.sqrt((part[:, inside].astype(np.float64) ** 2).mean())) for part in (one, other)), reverse=True
    )
    return one + other if soft > _BESIDE * loud else None


def _content_truth(contents: Sequence[tuple[str, ...] | None], label: str) -> int:
    """Whether a kind of sound is among those that sound at once."""
    if any(content is not None and label in content for content in contents):
        return 1
    return UNKNOWN if None in contents else 0


def case_of(
    source: SoundSource, rng: np.random.Generator, beside: SoundSource | None = None
) -> tuple[Samples, Truth, str]:
    """A window of a source, spoilt or not.

    Args:
        source: that the window is of.
        rng: what is random is drawn from it.
        beside: another source, that sounds at the same time in some windows.
    Returns: (2, WINDOW_SAMPLES) samples; a truth per label, 0, 1 or UNKNOWN; how it was made.
    """
    inside = slice(MARGIN_SAMPLES, MARGIN_SAMPLES + WINDOW_SAMPLES)
    samples, sources = _cut(source, rng), [source]
    if beside is not None and rng.random() < _MIXED_SHARE:
        mixed = _with_another(samples, _cut(beside, rng), inside, rng)
        if mixed is not None:
            samples, sources = mixed, [source, beside]
    if rng.random() < 0.15:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), 2, axis=0)
    loudness = float(np.sqrt((samples.astype(np.float64) ** 2).mean()))
    gain = 10 ** (float(rng.uniform(-36, -14)) / 20) / max(loudness, 1e-4)
    samples = samples * np.float32(min(gain, 0.97 / max(float(np.abs(samples).max()), 1e-6)))
    truth = np.zeros(len(LABELS), np.uint8)
    contents = [one.content for one in sources]
    for label in CONTENT:
        truth[LABELS.index(label)] = _content_truth(contents, label)
    if float(np.sqrt((samples[:, inside].astype(np.float64) ** 2).mean())) < 1e-3:
        truth[[LABELS.index(label) for label in CONTENT]] = UNKNOWN  # a pause is no content
    only_music = ("music",) if all(content == ("music",) for content in contents) else None
    for label in frozenset().union(*(one.doubtful for one in sources), own_doubts(samples[:, inside], only_music)):
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
            for other in sound_damage.LEAVES_LITTLE_OF.get(name, ()):
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


def make_sound_shard(
    source: SoundSource, seed: int, count: int, beside: SoundSource | None = None
) -> Mapping[str, npt.NDArray[Any]]:
    """Windows of one source.

    Args:
        source: a clip or made-up sound.
        seed: of what is random.
        count: windows.
        beside: another source, that is heard along with it in some of them.
    Returns: mel (count, SPECTROGRAMS, BANDS, STEPS) uint8, see `unpacked`; shape (count, SHAPES, STEPS) and tones
        (count, TONES) float16; truth (count, labels); kind.
    """
    rng = np.random.default_rng([seed, *seed_of(source.name)])
    hearing = Hearing()
    mel = np.zeros((count, SPECTROGRAMS, BANDS, STEPS), np.uint8)
    shape = np.zeros((count, len(SHAPES), STEPS), np.float16)
    tones = np.zeros((count, TONES), np.float16)
    truth, kinds = np.zeros((count, len(LABELS)), np.uint8), []
    for index in range(count):
        samples, truth[index], kind = case_of(source, rng, beside)
        with torch.inference_mode():
            sound = hearing(torch.from_numpy(np.ascontiguousarray(samples))[None])
        mel[index] = packed(sound.mel)[0]
        shape[index], tones[index] = sound.shape[0].half().numpy(), sound.tones[0].half().numpy()
        kinds.append(kind)
    return {"mel": mel, "shape": shape, "tones": tones, "truth": truth, "kind": np.array(kinds, "U24")}


__all__ = [
    "SAMPLE_RATE", "UNKNOWN", "SoundSource", "case_of", "clip_source", "made_source", "make_sound_shard", "own_doubts",
    "packed", "unpacked",
]  # fmt: skip
