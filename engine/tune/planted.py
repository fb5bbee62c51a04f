"""Defects planted into the recording itself: what a proposal would still find."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from engine.pipeline import check
from engine.selftest.cases import STRENGTHS
from engine.selftest.command import overlaps
from engine.spec import EngineSettings, StreamSpec
from models.synthesis import sound
from models.synthesis.picture import PLANTERS, Picture, plant
from models.synthesis.picture_clip import planes_of, write_pictures
from models.synthesis.planted import Planted
from models.synthesis.sound_clip import write_sound

WINDOW_SECONDS: Final = 14.0
START, END = 3.0, 13.0
MOST_LINES: Final = 480


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a recording.

    Args:
        path: of the recording.
        at: seconds into it.
    """

    path: Path
    at: float


def windows(durations: Mapping[Path, float], count: int) -> list[Window]:
    """Pieces that lie evenly over the recordings, none of which is too short.

    Args:
        durations: seconds of each recording.
        count: how many, at most.
    """
    room = {path: seconds - WINDOW_SECONDS for path, seconds in durations.items() if seconds > WINDOW_SECONDS}
    total = sum(room.values())
    found = []
    for index in range(count if room else 0):
        at = (index + 0.5) / count * total
        for path, seconds in room.items():
            if at < seconds:
                found.append(Window(path, at))
                break
            at -= seconds
    return found


def can_be_planted(detector: str) -> bool:
    """Whether there is a planter for what a detector finds."""
    return detector in sound.LASTING or any(PLANTERS[what][1] == detector for what in STRENGTHS)


def found_of_planted(
    detector: str,
    places: Sequence[Window],
    settings: Mapping[str, Mapping[str, Mapping[str, object]]],
    folder: Path,
    device: str,
) -> tuple[int, dict[str, int]]:
    """How many defects were planted, and how many of them each set of parameters finds.

    Args:
        detector: whose defects are planted.
        places: into which they are planted, one each; those that lack the track are left out.
        settings: enabled detectors with their parameters, by name of the set.
        folder: for the copies.
        device: as for `avjury check`.
    """
    found = dict.fromkeys(settings, 0)
    planted_count = 0
    for planted, path in _planted(detector, places, folder):
        planted_count += 1
        specs = [StreamSpec(name, str(path), chosen) for name, chosen in settings.items()]
        for outcome in check(specs, EngineSettings(device=device)):
            hit = any(i.detector == detector and overlaps(i, planted) for i in outcome.incidents)
            found[outcome.stream] += hit
        path.unlink()
    return planted_count, found


def _planted(detector: str, places: Sequence[Window], folder: Path) -> Iterator[tuple[Planted, Path]]:
    for number, window in enumerate(places):
        if detector in sound.LASTING:
            heard = _sound_at(window)
            if heard is None:
                continue
            path = folder / f"planted-{number}.flac"
            samples, [planted, *_] = sound.LASTING[detector](heard, START, END)
            write_sound(path, samples)
            yield planted, path
            continue
        pictures, rate = _pictures_at(window)
        if len(pictures) / rate < END:
            continue
        for what in (one for one in STRENGTHS if PLANTERS[one][1] == detector):
            path = folder / f"planted-{number}-{what}.mp4"
            spoilt = plant(iter(pictures), what, rate=rate, start=START, end=END, strength=STRENGTHS[what], seed=number)
            write_pictures(path, spoilt, rate=rate)
            yield Planted(detector, START, END, STRENGTHS[what], {"what": what}), path


def _from(window: Window, kind: str, take: Callable[[Any, float], bool]) -> None:
    """Hand the frames of a track from a window's start on to `take`, with their seconds in it, until it says no."""
    with av.open(str(window.path), metadata_errors="replace") as container:
        tracks = getattr(container.streams, kind)
        if not tracks:
            return
        zero = (container.start_time or 0) / 1e6
        container.seek(int((zero + window.at) * 1e6))
        for frame in container.decode(tracks[0]):
            at = (frame.time or 0.0) - zero - window.at
            if at >= 0 and not take(frame, at):
                return


def _pictures_at(window: Window) -> tuple[list[Picture], Fraction]:
    pictures: list[Picture] = []
    with av.open(str(window.path)) as container:
        video = container.streams.video
        rate = Fraction(video[0].average_rate or 25) if video else Fraction(25)

    def take(frame: Any, at: float) -> bool:
        smaller = min(1.0, MOST_LINES / frame.height)
        even = [round(size * smaller) // 2 * 2 for size in (frame.width, frame.height)]
        pictures.append(planes_of(frame.reformat(width=even[0], height=even[1], format="yuv420p"), 8))
        return at < WINDOW_SECONDS

    _from(window, "video", take)
    return pictures, rate


def _sound_at(window: Window) -> sound.Samples | None:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=sound.SAMPLE_RATE)
    parts: list[Any] = []

    def take(frame: Any, at: float) -> bool:
        parts.extend(part.to_ndarray() for part in resampler.resample(frame))
        return at < WINDOW_SECONDS

    _from(window, "audio", take)
    if not parts:
        return None
    joined: sound.Samples = np.concatenate(parts, axis=1).astype(np.float32)
    return joined if joined.shape[1] >= END * sound.SAMPLE_RATE else None
