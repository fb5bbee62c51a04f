"""`avjury bench clean-hours`: what avjury tells of hours of clean content, which ought to be nothing.

A fault that is told once in ten hours of a stream wakes somebody every night who has a hundred, and minutes of clips
show nothing of it. So here are judged, as `avjury check` judges them, all films in the folders named, each whole, as it
is and in several forms in which programmes come that look unlike films (benchmarks/clean_forms.py). Every incident of
the detector in question is a false alarm: name no folder with damaged films, or pass those over by `--skip`. What was
told of a stream is kept in `--work`, so that a run that was ended goes on where it was. It is not known there which
avjury judged it: name another folder after a change.

avjury bench clean-hours --clean FOLDER [--clean FOLDER]... [--forms N] [--work FOLDER] [--skip PREFIX]...
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import imageio_ffmpeg
import torch

from benchmarks.clean_content import judged_by
from benchmarks.clean_forms import FORMS, Form, draw_strip, form_clip
from benchmarks.harness import write_result
from benchmarks.network_streams import MOST_SECONDS, refuse_twins
from benchmarks.side_by_side import each
from benchmarks.tallies import APART_SECONDS, CONFIDENCE, GOAL_FALSE_PER_HOUR, false_per_hour_at_most
from engine.errors import AvjuryError
from engine.pipeline import check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.train import clips_of

AS_IT_IS: Final = "as it is"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was told of a stream.

    Args:
        folder: of the clip.
        name: of the clip.
        how: the name of its form, or AS_IT_IS.
        seconds: of it.
        told: detectors, with the media seconds of when.
    """

    folder: str
    name: str
    how: str
    seconds: float
    told: Mapping[str, Sequence[tuple[float, float]]]


def judge(path: Path, clip: Path, how: str) -> Heard:
    """What is told of a file by every detector, as `avjury check` has them.

    Raises: AvjuryError where it cannot be judged.
    """
    settings = EngineSettings(device="cpu", network=NetworkSettings())
    [outcome] = check([StreamSpec(clip.name, str(path), judged_by())], settings)
    if outcome.error is not None:
        raise outcome.error
    told: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in outcome.incidents:
        told[one.detector].append((round(one.start, 2), round(one.start if one.end is None else one.end, 2)))
    seconds = 0.0 if outcome.summary is None else outcome.summary.duration
    return Heard(clip.parent.name, clip.name, how, seconds, dict(told))


def ways_of(clip: Path, clips: Sequence[Path], forms: int) -> list[tuple[Form, Path]]:
    """The forms of a clip, and the other one beside it: by its name, whatever number of forms is asked for."""
    first = zlib.crc32(clip.name.encode())
    others = [one for one in clips if one != clip] or [clip]
    return [(FORMS[(first + turn * 5) % len(FORMS)], others[(first + turn) % len(others)]) for turn in range(forms)]


def judge_clip(clip: Path, *, clips: Sequence[Path], forms: int, work: Path) -> list[Heard]:
    """A clip as it is and in its forms; what cannot be judged is named and left out, as some files are no films."""
    torch.set_num_threads(1)
    heard: list[Heard] = []
    with tempfile.TemporaryDirectory(prefix="avjury-clean-") as folder:
        strip = Path(folder) / "strip.png"
        draw_strip(strip)
        for form, other in [(None, clip), *ways_of(clip, clips, forms)]:
            how = AS_IT_IS if form is None else form.name
            beside = other.name if form is not None and form.has_other else ""
            kept = work / f"{clip.name}-{zlib.crc32((how + beside).encode()):08x}.json"
            if kept.exists():
                heard.append(Heard(**json.loads(kept.read_text())))
                continue
            path = clip if form is None else Path(folder) / f"form{form.suffix}"
            try:
                if form is not None:
                    form_clip(clip, other, form, path, MOST_SECONDS, imageio_ffmpeg.get_ffmpeg_exe(), strip)
                one = judge(path, clip, how)
            except (AvjuryError, subprocess.SubprocessError) as error:
                print(f"{clip.name}, {how}: left out: {error}", file=sys.stderr, flush=True)  # noqa: T201 - progress
                continue
            unfinished = kept.with_suffix(".part")
            unfinished.write_text(json.dumps(asdict(one)))
            unfinished.replace(kept)
            heard.append(one)
            print(f"{clip.name}, {how}: {dict(one.told) or 'nothing'}", file=sys.stderr, flush=True)  # noqa: T201
    return heard


def alarms(times: Sequence[tuple[float, float]]) -> int:
    """How many alarms incidents are: those close together are one."""
    count, last = 0, float("-inf")
    for start, end in sorted(times):
        count += start - last > APART_SECONDS
        last = max(last, end)
    return count


def summed(heard: Sequence[Heard], asked: str) -> dict[str, Any]:
    """All figures.

    Args:
        heard: of all streams.
        asked: the detector in question.
    """
    groups: dict[str, dict[str, float]] = {}
    forms: dict[str, dict[str, float]] = {}
    for one in heard:
        for table, key in ((groups, one.folder), (forms, one.how)):
            of = table.setdefault(key, {"streams": 0, "hours": 0.0, "false_alarms": 0})
            of["streams"] += 1
            of["hours"] = round(of["hours"] + one.seconds / 3600, 5)
            of["false_alarms"] += alarms(one.told.get(asked, ()))
    hours = sum(one.seconds for one in heard) / 3600
    false = sum(alarms(one.told.get(asked, ())) for one in heard)
    others = Counter(name for one in heard for name, times in one.told.items() for _ in range(alarms(times)))
    return {
        "detector": asked,
        "clips": len({one.name for one in heard}),
        "streams": len(heard),
        "hours": round(hours, 4),
        "hours_as_they_are": round(sum(one.seconds for one in heard if one.how == AS_IT_IS) / 3600, 4),
        "false_alarms": false,
        "false_per_hour": round(false / hours, 4) if hours else None,
        "goal_per_hour": GOAL_FALSE_PER_HOUR,
        "confidence": CONFIDENCE,
        "per_hour_at_most": false_per_hour_at_most(false, hours),
        "raised": {f"{one.name}, {one.how}": list(one.told[asked]) for one in heard if asked in one.told},
        "folders": groups,
        "forms": forms,
        # What others tell is not all false: films have still pictures, silence, and heavy grain is noise.
        "told_by_others": dict(sorted(others.items())),
    }


def main() -> None:
    """Judge all streams, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=Path, action="append", required=True, metavar="FOLDER",
                        help="of films that nobody has damaged; may be given again")  # fmt: skip
    parser.add_argument("--forms", type=int, default=4, help="of each film, beside itself")
    parser.add_argument("--detector", default="video.corruption", help="in question")
    parser.add_argument("--work", type=Path, help="where what was told is kept, and found again")
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="side by side")
    parser.add_argument("--results", type=Path, default=None, help="where the result goes")
    options = parser.parse_args()
    clips = [clip for folder in options.clean for clip in clips_of(folder, tuple(options.skip))]
    refuse_twins(clips)
    with tempfile.TemporaryDirectory(prefix="avjury-clean-hours-") as name:
        work = options.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        job = partial(judge_clip, clips=clips, forms=options.forms, work=work)
        heard = each(job, clips, options.processes)
    figures = summed(heard, options.detector)
    where = {} if options.results is None else {"folder": options.results}
    path = write_result("clean-hours", figures, **where)
    for key in ("hours", "false_alarms", "per_hour_at_most", "raised", "folders", "forms", "told_by_others"):
        print(f"{key}: {figures[key]}")  # noqa: T201 - the command's output
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
