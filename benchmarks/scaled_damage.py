"""`avjury bench scaled-damage`: what is found of damage that was there before pictures were scaled.

Held-out clips are coded, damaged as transmission damages them, decoded, scaled and coded anew, as a transcoder makes
renditions of a contribution that broke, and judged for corruption with `source_height` and without (decision 0157).
Clean clips, those and what `--clean` names, go the same way, whole: what is raised on them with `source_height` is
false. Decoders tell nothing of either.

avjury bench scaled-damage --media FOLDER [--clean FOLDER]... [--skip PREFIX]...
"""

import argparse
import itertools
import os
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import av
import imageio_ffmpeg
import torch

from benchmarks.clean_content import Variant, encode
from benchmarks.harness import write_result
from benchmarks.network_streams import DAMAGED, LINES, SECONDS, Streamed, refuse_twins, times_of
from benchmarks.side_by_side import each
from benchmarks.tallies import false_per_hour_at_most
from engine.errors import AvjuryError
from engine.pipeline import Engine
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.synthesis.coded_damage import CODECS, KINDS, plant_damage
from models.synthesis.held_out import is_held_out
from models.synthesis.picture_clip import read_pictures
from models.synthesis.picture_windows import coded_rate
from models.synthesis.planted import Planted
from models.train import clips_of

_CODED: Final = ("-preset", "veryfast", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-g", "50")


def _way(name: str, scale: str, *codec: str, suffix: str = ".mp4") -> Variant:
    size = f"scale=trunc(iw*{scale}/2+0.5)*2:trunc(ih*{scale}/2+0.5)*2"
    return Variant(name, size, (*codec, *_CODED), suffix, seconds=SECONDS)


# What a transcoder makes: renditions that are smaller, and old programmes that are enlarged.
WAYS: Final = (
    _way("H.264 of three quarters", "3/4", "-c:v", "libx264", "-crf", "23"),
    _way("H.264 of two thirds", "2/3", "-c:v", "libx264", "-crf", "23"),
    _way("MPEG-2 of one and a half", "3/2", "-c:v", "mpeg2video", "-q:v", "4", suffix=".ts"),
    _way("H.264 of a half", "1/2", "-c:v", "libx264", "-crf", "23"),
    _way("HEVC of four thirds", "4/3", "-c:v", "libx265", "-crf", "26", "-x265-params", "log-level=error"),
)
# Of each damaged stream, so many of these.
WAYS_EACH: Final = 2
# In what clean clips are coded before they are scaled.
CONTRIBUTIONS: Final = (
    Variant("H.264", "null", ("-c:v", "libx264", "-crf", "26", *_CODED), ".ts"),
    Variant("MPEG-2", "null", ("-c:v", "mpeg2video", "-q:v", "5", *_CODED), ".ts"),
    Variant("coarse H.264", "null", ("-c:v", "libx264", "-crf", "31", *_CODED), ".ts"),
)
CLEAN_LINES: Final = 720
CLEAN_SECONDS: Final = 60.0
SELDOM: Final = 0.01
# Smaller pictures have no blocks to speak of.
LEAST_LINES: Final = 96


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One scaled stream.

    Args:
        without: as it was judged without `source_height`.
        told: incidents with it, media seconds from when until when.
    """

    without: Streamed
    told: list[tuple[float, float]]

    @property
    def found(self) -> bool:
        """With `source_height`."""
        return replace(self.without, blocks=self.told).found


def judge(path: Path, name: str, how: str, size: tuple[int, int], planted: Planted | None = None) -> Judged:
    """A stream through the engine, without `source_height` and with it.

    Args:
        path: of the file.
        name, how: as of `Streamed`.
        size: width and height before it was scaled.
        planted: the damage, if any.
    Raises: what ended the stream.
    """
    seconds, times = 0.0, []
    for own in ({}, {"source_width": float(size[0]), "source_height": float(size[1])}):
        # The network looks where it is asked, and hardly ever else.
        engine = Engine(EngineSettings(device="cpu", network=NetworkSettings(pictures_per_second=SELDOM)), slots=1)
        engine.add(StreamSpec(name, str(path), {"video.corruption": own}))
        engine.run()
        outcome = engine.outcomes[name]
        if outcome.error is not None:
            raise outcome.error
        seconds = 0.0 if outcome.summary is None else outcome.summary.duration
        times.append(times_of(outcome))
    return Judged(Streamed(name, how, seconds, times[0], planted), times[1])


def damaged(clip: Path, seed: int) -> list[Judged]:
    """A clip, damaged and scaled in several ways."""
    pictures, rate, depth = read_pictures(clip, SECONDS, most_lines=LINES)
    if depth != 8 or len(pictures) < SECONDS * float(rate) * 0.8:
        return []
    rate, ffmpeg, found = coded_rate(rate), imageio_ffmpeg.get_ffmpeg_exe(), []
    with tempfile.TemporaryDirectory(prefix="avjury-scaled-") as folder:
        for number, (codec, kind) in enumerate(itertools.product(CODECS, KINDS)):
            if (codec, kind) == ("hevc", "lost"):
                continue
            path = Path(folder) / "damaged.ts"
            planted = plant_damage(path, codec, kind, pictures, rate=rate, start=DAMAGED[0], end=DAMAGED[1],
                                   strength=(0.1, 0.3, 0.6)[number % 3], seed=seed + number)  # fmt: skip
            if planted is None:
                continue
            for turn in range(WAYS_EACH):
                way = WAYS[(number + 2 * turn) % len(WAYS)]
                scaled = Path(folder) / f"scaled{way.suffix}"
                try:
                    encode(path, way, scaled, ffmpeg, "fatal")  # that it is damaged is known
                    found.append(judge(scaled, clip.name, f"{codec} {kind}, then {way.name}", _size(path), planted))
                except subprocess.SubprocessError as error:
                    print(f"{clip.name}, {codec} {kind}, {way.name}: left out: {error}", flush=True)  # noqa: T201
    print(f"{clip.name}: {len(found)} damaged streams", flush=True)  # noqa: T201 - progress
    return found


def clean(clip: Path) -> list[Judged]:
    """A clip that nobody has damaged, coded and scaled."""
    ffmpeg, number = imageio_ffmpeg.get_ffmpeg_exe(), zlib.crc32(clip.name.encode())
    first, way = CONTRIBUTIONS[number % len(CONTRIBUTIONS)], WAYS[number // 8 % len(WAYS)]
    # Of even sides, as most coders want them.
    fit = f"scale=-2:min(trunc(ih/2)*2\\,{CLEAN_LINES})"
    first, way = replace(first, filters=fit, seconds=CLEAN_SECONDS), replace(way, seconds=CLEAN_SECONDS)
    with tempfile.TemporaryDirectory(prefix="avjury-scaled-") as folder:
        coded, scaled = Path(folder) / f"coded{first.suffix}", Path(folder) / f"scaled{way.suffix}"
        try:
            encode(clip, first, coded, ffmpeg)
            encode(coded, way, scaled, ffmpeg)
            size = _size(coded)
            if min(*size, *_size(scaled)) < LEAST_LINES:
                return []
            found = [judge(scaled, clip.name, f"{first.name}, then {way.name}", size)]
        except (AvjuryError, subprocess.SubprocessError) as error:
            print(f"{clip.name}: left out: {error}", flush=True)  # noqa: T201 - progress
            return []
    print(f"{clip.name}: {found[0].told or 'nothing'} told", flush=True)  # noqa: T201 - progress
    return found


def _size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return video.width, video.height


def summed(clean_ones: Sequence[Judged], damaged_ones: Sequence[Judged]) -> dict[str, Any]:
    """All figures."""
    hours = sum(one.without.seconds for one in clean_ones) / 3600
    raised = {f"{one.without.name}, {one.without.how}": [round(t, 2) for t, _ in one.told]
              for one in clean_ones if one.told}  # fmt: skip
    false = sum(len(times) for times in raised.values())
    ways: dict[str, dict[str, int]] = {}
    for one in damaged_ones:
        of = ways.setdefault(one.without.how.partition(", then ")[2], {"streams": 0, "without": 0, "found": 0})
        of["streams"] += 1
        of["without"] += one.without.found
        of["found"] += one.found
    return {
        "damaged": {"clips": sorted({one.without.name for one in damaged_ones}), "streams": len(damaged_ones),
                    "found_without_source_height": sum(one.without.found for one in damaged_ones),
                    "found": sum(one.found for one in damaged_ones)},
        "by_way": [{"way": way, **of} for way, of in ways.items()],
        "clean": {"clips": sorted({one.without.name for one in clean_ones}), "streams": len(clean_ones),
                  "hours": round(hours, 4), "false_alarms": false,
                  "false_alarms_without_source_height": sum(len(one.without.blocks) for one in clean_ones),
                  "per_hour_at_most": false_per_hour_at_most(false, hours), "raised": raised},
    }  # fmt: skip


def main() -> None:
    """Judge damaged and clean streams, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--clean", type=Path, action="append", default=[], metavar="FOLDER",
                        help="more clean content, that nobody has damaged")  # fmt: skip
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="side by side")
    options = parser.parse_args()
    torch.set_num_threads(1)
    skipped = tuple(options.skip)
    held_out = [path for path in clips_of(options.media, skipped) if is_held_out(path.name)]
    more = [clip for media in options.clean for clip in clips_of(media, skipped)]
    refuse_twins([*held_out, *more])
    damaged_ones = each(partial(damaged, seed=options.seed), held_out, options.processes)
    clean_ones = each(clean, [*held_out, *more], options.processes)
    figures = summed(clean_ones, damaged_ones) | {"seed": options.seed}
    path = write_result("scaled-damage", figures)
    for key in ("damaged", "by_way", "clean"):
        print(f"{key}: {figures[key]}")  # noqa: T201 - the command's output
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
