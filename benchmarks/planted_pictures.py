"""Defects of the picture, planted into real clips where there is room for a viewer to see them."""

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks.tallies import Tally, set_seconds, tally
from engine.detectors import all_detectors
from engine.verdicts import Incident
from kernels.temporal.layout import STUTTER_WINDOW_SECONDS
from models.synthesis.picture import FLASH_PICTURES, PLANTERS, Picture, plant, plant_at, repeats_at
from models.synthesis.picture_clip import read_pictures, starve, write_pictures
from models.synthesis.planted import Planted
from models.synthesis.visible import is_visible, samples

DEFECT_SECONDS = 6.0
CLIP_SECONDS = 9.8
# Taller clips are made smaller: so many copies of 1080p would take hours, and no measure needs them.
MOST_LINES = 480
# By the name of a defect that is planted into coded pictures, and not into each picture alone: the detector.
CODED = {"blockiness": "video.blockiness"}

Judge = Callable[[Sequence[Path]], Mapping[str, Sequence[Incident]]]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Some seconds of a clip.

    Args:
        clip: its name.
        skipped: seconds of the clip before it.
        pictures: 4:2:0, of one shape.
        rate: pictures per second.
        depth: bits of a sample.
    """

    clip: str
    skipped: float
    pictures: Sequence[Picture]
    rate: Fraction
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Defect:
    """What is planted into a window.

    Args:
        what: name of the planter.
        strength: see the planter.
        start, end: media seconds of the window.
        seed: of what is random.
    """

    what: str
    strength: float
    start: float
    end: float
    seed: int

    def places(self, window: Window) -> range:
        """The pictures that it spoils."""
        times = [index for index in range(len(window.pictures)) if self.start <= float(index / window.rate) < self.end]
        return range(times[0], times[-1] + 1) if times else range(0)

    def waits(self, window: Window) -> float:
        """Seconds from its first picture until it is a defect by its own definition.

        More than three flashes a second are so at their seventh transition (ITU-R BT.1702-3); stutter is so when motion
        goes on after the third repeat within two seconds, as one hiccup is none and three at equal distances are a
        rhythm; and that a colour has interrupted a scene is so when the scene goes on.
        """
        pictures = 0
        if self.what == "flash":
            pictures = FLASH_PICTURES
        elif self.what == "colour_flash":
            pictures = round(self.strength)
        elif self.what == "stutter":
            places = self.places(window)
            pictures = _third_hiccup([repeats_at(index, self.strength, self.seed) for index in places], window.rate)
        return float(pictures / window.rate)

    def visible(self, window: Window) -> bool:
        """Whether a viewer would see it."""
        places = self.places(window)
        if self.what in CODED:
            coded = self._coded(window)
            spoilt = {index: coded[index] for index in samples(places.start, places.stop)}
        else:
            spoilt = {
                index: plant_at(window.pictures, index, self.what, rate=window.rate, start=self.start, end=self.end,
                                strength=self.strength, depth=window.depth, seed=self.seed)
                for index in samples(places.start, places.stop)
            }  # fmt: skip
        return is_visible(self.what, window.pictures, spoilt, places.start, float(window.rate), window.depth)

    def write(self, window: Window, path: Path) -> Planted:
        """The spoilt window, coded visually losslessly; and what is in it."""
        if self.what in CODED:
            pictures: Iterator[Picture] = iter(self._coded(window))
        else:
            pictures = plant(
                iter(window.pictures), self.what, rate=window.rate, start=self.start, end=self.end,
                strength=self.strength, depth=window.depth, seed=self.seed,
            )  # fmt: skip
        write_pictures(path, pictures, rate=window.rate, depth=window.depth)
        detector = CODED[self.what] if self.what in CODED else PLANTERS[self.what][1]
        places = self.places(window)
        first, after = float(places.start / window.rate), float(places.stop / window.rate)
        return Planted(detector, first, after, self.strength, {"what": self.what, "source": window.clip})

    def _coded(self, window: Window) -> list[Picture]:
        places = self.places(window)
        part = starve(window.pictures[places.start : places.stop], window.rate, round(self.strength))
        return [*window.pictures[: places.start], *part, *window.pictures[places.stop :]]


def _third_hiccup(repeats: Sequence[bool], rate: Fraction) -> int:
    """Pictures up to where motion goes on after the third repeat within STUTTER_WINDOW_SECONDS; 0 if it never does.

    Three at equal distances are no stutter yet: pulldown, and a scene that is drawn at a lower rate, begin so.
    """
    begins = [n for n, repeat in enumerate(repeats) if repeat and not (n and repeats[n - 1])]
    goes_on = [n for n in range(1, len(repeats)) if repeats[n - 1] and not repeats[n]]
    for k in range(len(goes_on) - 2):
        regular = begins[k + 1] - begins[k] == begins[k + 2] - begins[k + 1]
        if not regular and float((goes_on[k + 2] - goes_on[k]) / rate) < STUTTER_WINDOW_SECONDS:
            return goes_on[k + 2]
    return 0


def windows(clip: Path) -> Iterator[Window]:
    """The clip in parts of CLIP_SECONDS; what is left over is left out, but a clip has one part at least."""
    skipped = 0.0
    while True:
        pictures, rate, depth = read_pictures(clip, CLIP_SECONDS, skip=skipped, most_lines=MOST_LINES)
        if len(pictures) < (CLIP_SECONDS - 0.5) * rate:
            return
        yield Window(clip.name, skipped, pictures, rate, depth)
        skipped += CLIP_SECONDS


def bench_pictures(
    folder: Path, clips: Sequence[Path], strengths: Mapping[str, Sequence[float]], judge: Judge, seed: int,
    say: Callable[[str, Tally], None],
) -> dict[str, Tally]:  # fmt: skip
    """Plant every defect into every clip that has room for it.

    Args:
        folder: for the copies.
        clips: real ones, without a fault of their own.
        strengths: by name of the planter: those to try, the first that can be seen is planted.
        judge: gives the incidents of files.
        seed: of the random times.
        say: is told of each kind at the end.
    """
    detectors = {declared.name: declared for declared in all_detectors()}
    known = {name: detector for name, (_, detector) in PLANTERS.items()} | CODED
    wanted = [what for what in strengths if known.get(what) in detectors]
    tallies = {what: Tally(detector=known[what]) for what in wanted}
    for clip in clips:
        left = list(wanted)
        for window in windows(clip):
            if not left:
                break
            copy = folder / f"planted-{clip.stem}.mp4"
            clean: set[str] | None = None
            for what in list(left):
                start = 2.0 + random.Random(f"{seed} {what} {clip.name}").random()
                tries = (Defect(what, strength, start, start + DEFECT_SECONDS, seed) for strength in strengths[what])
                defect = next((one for one in tries if one.visible(window)), None)
                if defect is None:
                    continue
                left.remove(what)
                if clean is None:
                    write_pictures(copy, iter(window.pictures), rate=window.rate, depth=window.depth)
                    clean = {incident.detector for incident in judge([copy])[str(copy)]}
                planted = defect.write(window, copy)
                name = f"{clip.name}+{window.skipped:g} s"
                tally(tallies[what], name, [planted], judge([copy])[str(copy)], clean,
                      set_seconds=set_seconds(detectors[planted.detector]) + defect.waits(window),
                      rate=float(window.rate))  # fmt: skip
                copy.unlink()
        for what in left:
            tallies[what].no_room.append(clip.name)
        room = f"no room for {', '.join(left)}" if left else "room for all"
        print(f"{clip.name}: {room}", file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    for what, counted in tallies.items():
        say(what, counted)
    return tallies
