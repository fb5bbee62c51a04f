"""Streams that go through the engine to see what is said of damage: clean, as several coders make them, and damaged.

`avjury bench network` and `avjury bench whole-streams` judge the same ones; the first judges damaged ones too that a
transcoder coded anew, as everything comes that broke before the last coder (decision 0155).
"""

import itertools
import subprocess
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from benchmarks.clean_content import VARIANTS, Variant, encode
from engine.errors import AvjuryError
from engine.outcome import Outcome
from engine.pipeline import Engine
from engine.spec import StreamSpec
from models.synthesis.coded_damage import CODECS, KINDS, plant_damage
from models.synthesis.picture_clip import read_pictures
from models.synthesis.picture_windows import coded_rate
from models.synthesis.planted import Planted

CLEAN_VARIANTS: Final = 6
# Of what `--clean` names: so many ways of coding it beside the clip as it is, others for each clip; and no more than
# so long of a clip, lest one film outweighs all others.
MORE_VARIANTS: Final = 2
MOST_SECONDS: Final = 600.0
# Of the damaged streams: their length, and from when until when they are damaged.
SECONDS: Final = 7.0
DAMAGED: Final = (2.0, 5.0)
LINES: Final = 480
# What is told so long after damage belongs to it, and so long before, as times are rounded.
AFTER_SECONDS: Final = 2.0
BEFORE_SECONDS: Final = 0.2
_SAME, _CODED = "of its size", ("-preset", "veryfast", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-g", "50")
# What a transcoder makes of a damaged stream: of its own size, and of others, where blocks lie on no grid of 16.
ANEW: Final = (
    Variant(f"H.264 {_SAME}", "null", ("-c:v", "libx264", "-crf", "23", *_CODED), seconds=SECONDS),
    Variant("H.264 of three quarters", "scale=trunc(iw*3/8)*2:trunc(ih*3/8)*2",
            ("-c:v", "libx264", "-crf", "23", *_CODED), seconds=SECONDS),
    Variant(f"coarse H.264 {_SAME}", "null", ("-c:v", "libx264", "-crf", "29", *_CODED), seconds=SECONDS),
    Variant("MPEG-2 of one and a half", "scale=trunc(iw*3/4)*2:trunc(ih*3/4)*2",
            ("-c:v", "mpeg2video", "-q:v", "4", *_CODED[2:]), ".ts", seconds=SECONDS),
    Variant(f"HEVC {_SAME}", "null", ("-c:v", "libx265", "-crf", "26", "-x265-params", "log-level=error", *_CODED),
            seconds=SECONDS),
)  # fmt: skip
# Of each damaged stream, so many of these.
ANEW_WAYS: Final = 2

_THEN: Final = ", then "

T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)


class Look(Protocol[S_co]):
    """Puts a stream through the engine: its file, clip, how it was coded or damaged, and the damage."""

    def __call__(self, path: Path, name: str, how: str, planted: Planted | None = None) -> S_co: ...


class Known(Protocol[S_co]):
    """What came of a stream before; None: nothing is known of it."""

    def __call__(self, name: str, how: str) -> S_co | None: ...


def nothing(name: str, how: str) -> None:
    """Nothing is known of any stream."""


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """A stream that went through the engine.

    Args:
        name: of the clip.
        how: it was coded, or damaged.
        seconds: of pictures.
        blocks: incidents of `video.corruption` by the torn blocks and the decoder: media seconds, from when until when.
        planted: the damage; None where it is clean.
    """

    name: str
    how: str
    seconds: float
    blocks: list[tuple[float, float]]
    planted: Planted | None

    @property
    def group(self) -> str:
        """Of damaged streams: whether and how it was coded anew, in what is enough to tell them apart."""
        if not self.how.partition(_THEN)[2]:
            return "as_sent"
        return "anew_same_size" if self.how.endswith(_SAME) else "anew_another_size"

    @property
    def found(self) -> bool:
        """Whether the torn blocks or the decoder told of the damage: an incident that was open while it could be seen.

        Nobody sees anything of the first pictures that miss something, of which a decoder tells.
        """
        if self.planted is None:
            return False
        first, last = self.planted.start - BEFORE_SECONDS, self.planted.end + AFTER_SECONDS
        began = DAMAGED[0] - BEFORE_SECONDS
        return any(began <= start <= last and end >= first for start, end in self.blocks)


def place_of(folder: Path, name: str, how: str) -> Path:
    """Where it is kept what came of a stream."""
    return folder / f"{name}-{zlib.crc32(how.encode()):08x}.npz"


def keep(place: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays, wholly or not at all: who dies over it leaves nothing that is taken for what came of a stream."""
    unfinished = place.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    unfinished.replace(place)


def refuse_twins(clips: Sequence[Path]) -> None:
    """What is kept of a clip goes by its name.

    Raises: ValueError where two clips have the same one.
    """
    seen: dict[str, Path] = {}
    for clip in clips:
        if clip.name in seen:
            raise ValueError(f"{clip} and {seen[clip.name]} have the same name; rename one of them")
        seen[clip.name] = clip


def through(
    engine: Engine, path: Path, name: str, how: str, planted: Planted | None
) -> tuple[Outcome, tuple[str, str, float, list[tuple[float, float]], Planted | None]]:
    """A stream through an engine, judged for corruption: its outcome, and the fields of `Streamed`.

    Raises: what ended the stream.
    """
    engine.add(StreamSpec(name, str(path), {"video.corruption": {}}))
    engine.run()
    outcome = engine.outcomes[name]
    if outcome.error is not None:
        raise outcome.error
    seconds = 0.0 if outcome.summary is None else outcome.summary.duration
    return outcome, (name, how, seconds, times_of(outcome), planted)


def times_of(outcome: Outcome) -> list[tuple[float, float]]:
    """Its incidents: media seconds, from when until when."""
    return [(one.start, one.start if one.end is None else one.end) for one in outcome.incidents]


def clean_streams(clips: Sequence[Path], folder: Path, look: Look[T], known: Known[T] = nothing) -> Iterator[T]:
    """What `look` makes of held-out clips as they are, and as some coders make them."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    for clip in clips:
        yield known(clip.name, "as it is") or look(clip, clip.name, "as it is")
        for variant in VARIANTS[:CLEAN_VARIANTS]:
            before = known(clip.name, variant.name)
            if before is not None:
                yield before
                continue
            path = folder / f"{clip.stem}{variant.suffix}"
            try:
                encode(clip, variant, path, ffmpeg)
            except subprocess.CalledProcessError:
                continue
            yield look(path, clip.name, variant.name)
            path.unlink()


def more_clean_streams(clips: Sequence[Path], folder: Path, look: Look[T], known: Known[T]) -> Iterator[T]:
    """What `look` makes of clips that are clean: as they are, and in ways to code them that go round.

    A clip that cannot be judged is named and left out: of somebody's films some are no films.
    """
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    for clip in clips:
        # By its name, so that it is coded the same whatever else is in the folder.
        first = zlib.crc32(clip.name.encode())
        ways = [None, *(VARIANTS[(first + turn) % CLEAN_VARIANTS] for turn in range(MORE_VARIANTS))]
        for variant in ways:
            how = "as it is" if variant is None else f"{variant.name}, whole"
            before = known(clip.name, how)
            if before is not None:
                yield before
                continue
            path = clip if variant is None else folder / f"{clip.stem}{variant.suffix}"
            try:
                if variant is not None:
                    encode(clip, replace(variant, seconds=MOST_SECONDS), path, ffmpeg)
                yield look(path, clip.name, how)
            except (AvjuryError, subprocess.SubprocessError) as error:
                print(f"{clip.name}, {how}: left out: {error}", flush=True)  # noqa: T201 - progress
            finally:
                if variant is not None:
                    path.unlink(missing_ok=True)


def damaged_streams(
    clips: Sequence[Path], folder: Path, seed: int, look: Look[T], known: Known[T] = nothing, *, anew: bool = False
) -> Iterator[T]:
    """What `look` makes of held-out clips, damaged as coded streams are; and of these again as a transcoder makes them.

    Args:
        clips: of which those are taken that are long enough.
        folder: for files on the way.
        seed: of what is damaged.
        look, known: as for the others.
        anew: coded anew too.
    """
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    for clip in clips:
        pictures, rate, depth = read_pictures(clip, SECONDS, most_lines=LINES)
        if depth != 8 or len(pictures) < SECONDS * float(rate) * 0.8:
            continue
        rate = coded_rate(rate)
        for number, (codec, kind) in enumerate(itertools.product(CODECS, KINDS)):
            if (codec, kind) == ("hevc", "lost"):
                continue
            how = f"{codec} {kind}"
            ways = [ANEW[(number + 2 * turn) % len(ANEW)] for turn in range(ANEW_WAYS if anew else 0)]
            names = [how, *(f"{how}{_THEN}{way.name}" for way in ways)]
            before = [known(clip.name, name) for name in names]
            if all(one is not None for one in before):
                yield from (one for one in before if one is not None)
                continue
            path = folder / "damaged.ts"
            planted = plant_damage(path, codec, kind, pictures, rate=rate, start=DAMAGED[0], end=DAMAGED[1],
                                   strength=(0.1, 0.3, 0.6)[number % 3], seed=seed + number)  # fmt: skip
            if planted is None:
                continue
            for name, way, one in zip(names, [None, *ways], before, strict=True):
                if one is None and way is not None:
                    behind = folder / f"anew{way.suffix}"
                    try:
                        encode(path, way, behind, ffmpeg, "fatal")  # that it is damaged is known
                        yield look(behind, clip.name, name, planted)
                    except subprocess.SubprocessError as error:
                        print(f"{clip.name}, {name}: left out: {error}", flush=True)  # noqa: T201 - progress
                    finally:
                        behind.unlink(missing_ok=True)
                else:
                    yield look(path, clip.name, name, planted) if one is None else one
