"""Defects of the sound that are planted before a lossy coder, or in other ways than benchmarks/detectors.py does."""

import random
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.tallies import Tally, set_seconds, tally
from engine.detectors import detector
from engine.verdicts import Incident
from models.synthesis import sound
from models.synthesis.sound_clip import read_sound, write_sound

# By name: codec, bitrate and container of the ffmpeg program.
CODERS: Mapping[str, tuple[str, str, str]] = {
    "AAC": ("aac", "128k", "mp4"),
    "AC-3": ("ac3", "192k", "mkv"),
    "Opus": ("libopus", "96k", "mkv"),
}
CLICK, STUTTER = "audio.click", "audio.stutter"
STUTTER_SECONDS = 6.0
PULSE_SECONDS = (0.0002, 0.0009)
SECONDS = 20.0
# What is added to sound at full scale is cut off, and so is what a coder made of it: that is another defect.
MOST_PEAK = 0.5


def programme(clip: Path, seconds: float) -> sound.Samples:
    """(2, n) of a clip's first 20 s, again and again, turned down where it is too loud to be added to."""
    samples = read_sound(clip, SECONDS)
    count = round(seconds * sound.SAMPLE_RATE)
    samples = np.tile(samples, (1, -(-count // samples.shape[1])))[:, :count]
    return samples * np.float32(min(1.0, MOST_PEAK / max(float(np.abs(samples).max()), MOST_PEAK)))


def bench_coded_sound(
    folder: Path,
    clips: Sequence[Path],
    ffmpeg: str,
    judge: Callable[[Sequence[Path]], dict[str, list[Incident]]],
    seed: int,
    say: Callable[[str, Tally], None],
) -> dict[str, Tally]:
    """Plant pulses into every clip's sound, and what is then coded with loss: a click, and a piece that repeats.

    Args:
        folder: for copies, which are removed again.
        clips: whose sound it is.
        ffmpeg: the program.
        judge: gives the incidents of files.
        seed: of the random times.
        say: is told each kind when it is done.
    Returns: one tally for each kind.
    """
    tallies: dict[str, Tally] = defaultdict(Tally)
    lasts = set_seconds(detector(CLICK))

    def coded(samples: sound.Samples, coder: str) -> Path:
        source = folder / "coded-source.flac"
        write_sound(source, samples)
        codec, rate, suffix = CODERS[coder]
        target = folder / f"coded.{suffix}"
        command = [ffmpeg, "-y", "-v", "error", "-i", str(source), "-c:a", codec, "-b:a", rate, str(target)]
        subprocess.run(command, check=True, timeout=120)
        source.unlink()
        return target

    def told(path: Path) -> list[Incident]:
        found = judge([path])[str(path)]
        path.unlink()
        return found

    for clip in clips:
        samples = programme(clip, SECONDS)
        whole = folder / f"{clip.stem}.flac"
        write_sound(whole, samples)
        clean = {incident.detector for incident in told(whole)}
        draw = random.Random(f"{seed} pulse {clip.name}")
        spoilt, planted = sound.plant_pulse(samples, 4.0 + draw.random(), draw.uniform(*PULSE_SECONDS))
        write_sound(whole, spoilt)
        tally(tallies["pulse"], clip.name, planted, told(whole), clean, set_seconds=lasts, rate=10.0)
        for coder in CODERS:
            start = 4.0 + random.Random(f"{seed} {coder} {clip.name}").random()
            spoilt, planted = sound.plant_clicks(samples, start, start + 1.0, seed=draw.randrange(1000))
            clean = {incident.detector for incident in told(coded(samples, coder))}
            found = told(coded(spoilt, coder))
            tally(tallies[f"{coder}, click"], clip.name, planted, found, clean, set_seconds=lasts, rate=10.0)
            piece = 0.02 * 25.0 ** draw.random()
            spoilt, planted = sound.plant_stutter(samples, start, start + STUTTER_SECONDS, piece)
            found, known = told(coded(spoilt, coder)), set_seconds(detector(STUTTER))
            tally(tallies[f"{coder}, stutter"], clip.name, planted, found, clean, set_seconds=known, rate=10.0)
    for name, counted in tallies.items():
        say(name, counted)
    return dict(tallies)
