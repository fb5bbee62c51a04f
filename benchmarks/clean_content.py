"""Clean content, which must raise nothing: real clips as they are, the same coded otherwise, and what is drawn here."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av

from benchmarks.made_content import CLEAN_AAC, KINDS, SECONDS, made_clips
from benchmarks.tallies import CONFIDENCE, false_per_hour_at_most
from engine.detectors import all_detectors
from engine.pipeline import check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec

# Optional detectors that are measured beside those that judge by default.
ASKED_FOR = ("audio.stutter", "audio.bandwidth")


def judged_by() -> dict[str, dict[str, object]]:
    """The detectors of every benchmark here, at their defaults."""
    return {one.name: {} for one in all_detectors() if not one.optional or one.name in ASKED_FOR}


@dataclass(frozen=True, slots=True)
class Variant:
    """Another way to code a clip.

    Args:
        name: for people.
        filters: of FFmpeg, for the pictures.
        codec: options of FFmpeg's output.
        suffix: of the file.
        seconds: of the clip that are coded.
        sound: options of FFmpeg for the sound, in place of AAC or Opus.
        lines: that pictures of less are enlarged to; 0 where they never are, or hardly.
    """

    name: str
    filters: str
    codec: tuple[str, ...]
    suffix: str = ".mp4"
    seconds: float = 6.0
    sound: tuple[str, ...] = ()
    lines: int = 0


AAC = ("-c:a", "aac", *(word for name, value in CLEAN_AAC.items() for word in (f"-{name}", value)))
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "22", "-x265-params", "log-level=error")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "30", "-b:v", "0")
FIT = "scale={0}:{1}:force_original_aspect_ratio=increase,crop={0}:{1}"
VARIANTS: tuple[Variant, ...] = (
    Variant("144p H.264, 25 pictures a second", FIT.format(256, 144) + ",fps=25", H264),
    Variant("360p H.264, 24", FIT.format(640, 360) + ",fps=24", H264),
    Variant("480p MPEG-2, 30000/1001", FIT.format(720, 480) + ",fps=30000/1001",
            ("-c:v", "mpeg2video", "-q:v", "3", "-pix_fmt", "yuv420p"), ".ts"),
    Variant("anamorphic 576p H.264, 25", FIT.format(720, 576) + ",setsar=64/45,fps=25", H264),
    Variant("10 bit HEVC 540p, 30", FIT.format(960, 540) + ",fps=30", (*HEVC, "-pix_fmt", "yuv420p10le")),
    Variant("427x241 VP9", "scale=427:241", (*VP9, "-pix_fmt", "yuv420p"), ".webm"),
    Variant("720p H.264, 50", FIT.format(1280, 720) + ",fps=50", H264, seconds=4.0),
    Variant("10 bit H.264 4:2:2 360p, 60", FIT.format(640, 360) + ",fps=60",
            ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv422p10le"), seconds=4.0),
    Variant("2160p H.264", FIT.format(3840, 2160), ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "22",
            "-pix_fmt", "yuv420p"), seconds=2.5, lines=2160),
    Variant("portrait 608x1080 H.264, 60", FIT.format(608, 1080) + ",fps=60", H264, seconds=4.0, lines=1080),
    Variant("360p MPEG-4 Part 2 in AVI", FIT.format(640, 360) + ",fps=25",
            ("-c:v", "mpeg4", "-q:v", "3", "-pix_fmt", "yuv420p"), ".avi"),
    Variant("360p of variable rate", FIT.format(640, 360) + ",select='not(eq(mod(n\\,7)\\,3))'",
            (*H264, "-fps_mode", "vfr"), ".mkv"),
    Variant("cropped to 70 %, 9 dB quieter", "crop=trunc(iw*0.35)*2:trunc(ih*0.35)*2", H264,
            sound=("-af", "volume=-9dB", *AAC, "-b:a", "128k")),
    Variant("mirrored 540p MPEG-2 at 25, MP2", FIT.format(960, 540) + ",hflip,fps=25",
            ("-c:v", "mpeg2video", "-b:v", "8M", "-pix_fmt", "yuv420p"), ".ts", sound=("-c:a", "mp2", "-b:a", "256k")),
    Variant("360p H.264 at 1.5 Mbit/s, MP3, 6 dB quieter", FIT.format(640, 360),
            ("-c:v", "libx264", "-preset", "medium", "-b:v", "1500k", "-pix_fmt", "yuv420p"), ".mkv",
            sound=("-af", "volume=-6dB", "-c:a", "libmp3lame", "-b:a", "128k")),
)  # fmt: skip


# Channels of 2160 lines carry old programmes of 480 and 576, at 4.5 times their size; a picture enlarged by more than
# this, as QCIF by 15, has no detail for its size and is blurred for whoever sees it.
MOST_ENLARGED = 6.0


def is_fair(clip: Path, variant: Variant) -> bool:
    """Whether a clip that is coded so still looks clean, and not blurred by its enlargement alone."""
    with av.open(str(clip), metadata_errors="replace") as container:
        lines = max((stream.codec_context.height for stream in container.streams.video), default=0)
    return not lines or variant.lines <= MOST_ENLARGED * lines


def encode(clip: Path, variant: Variant, path: Path, ffmpeg: str, log: str = "error") -> None:
    """Write a clip's beginning, coded otherwise.

    Args:
        clip: to be coded.
        variant: how.
        path: of the file.
        ffmpeg: the program.
        log: from which of its levels on it says something.
    Raises: CalledProcessError where FFmpeg cannot.
    """
    usual = ("-c:a", "libopus") if variant.suffix == ".webm" else (*AAC, "-b:a", "192k")
    sound = variant.sound or usual
    command = [ffmpeg, "-y", "-v", log, "-i", str(clip), "-t", f"{variant.seconds:g}", "-map", "0:V:0",
               "-map", "0:a:0?", "-vf", variant.filters, *variant.codec, *sound, "-ac", "2", "-ar", "48000",
               "-threads", "2", str(path)]  # fmt: skip
    subprocess.run(command, check=True, timeout=300 + 5 * variant.seconds, stdin=subprocess.DEVNULL)


def bench_clean(clips: Sequence[Path], real: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """False alarms on clips as they are.

    Args:
        clips: without a fault but for those in `real`.
        real: why an incident of a clip, by name, and detector is none.
    """
    return _judged(((clip.name, clip) for clip in clips), real)


def bench_variants(
    folder: Path, clips: Sequence[Path], real: Mapping[tuple[str, str], str], ffmpeg: str, each: int = 2
) -> dict[str, Any]:
    """False alarms on clips that are coded otherwise.

    Args:
        folder: for the copies.
        clips: as for `bench_clean`.
        real: the same; what a clip has, its copies have.
        ffmpeg: the program.
        each: variants of each clip; they take turns, and those that enlarge it too much are passed over.
    """

    def copies() -> Iterator[tuple[str, Path]]:
        for number, clip in enumerate(clips):
            begin = number * each % len(VARIANTS)
            for variant in islice(filter(partial(is_fair, clip), (*VARIANTS[begin:], *VARIANTS[:begin])), each):
                path = folder / f"variant{variant.suffix}"
                encode(clip, variant, path, ffmpeg)
                yield f"{clip.name}: {variant.name}", path

    return _judged(copies(), real) | {"variants": [variant.name for variant in VARIANTS]}


def bench_made(folder: Path, seed: int, rounds: int = 1) -> dict[str, Any]:
    """False alarms on content that is drawn here (benchmarks/made_content.py).

    Args:
        folder: for the clips.
        seed: of the first round; each takes the next, and every round draws every kind anew.
        rounds: how many.
    """
    named = (clip for turn in range(rounds) for clip in made_clips(folder, seed + turn))
    return _judged(named, {}) | {"kinds": [kind.name for kind in KINDS], "rounds": rounds, "seconds_each": SECONDS}


def _judged(named: Iterator[tuple[str, Path]], real: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Hours judged, the false alarms by detector with their places, those that are real, and what it proves."""
    false: dict[str, list[str]] = defaultdict(list)
    there: dict[str, list[str]] = defaultdict(list)
    hours, files = 0.0, 0
    for name, path in named:
        print(f"clean: {name}", file=sys.stderr, flush=True)  # noqa: T201 - progress
        settings = EngineSettings(device="cpu", network=NetworkSettings())  # as `avjury check` has it
        [outcome] = check([StreamSpec(name, str(path), judged_by())], settings)
        if outcome.error is not None or outcome.summary is None:
            raise outcome.error or RuntimeError(f"{name}: nothing was judged")
        hours, files = hours + outcome.summary.duration / 3600, files + 1
        for incident in outcome.incidents:
            if incident.cause == "absent_track":
                continue
            kind = there if (name.partition(": ")[0], incident.detector) in real else false
            kind[incident.detector].append(f"{name} {incident.start:.2f} s")
            if kind is false:
                print(f"false: {incident.detector} in {name}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    alarms = sum(map(len, false.values()))
    return {
        "files": files,
        "hours": hours,
        "false_alarms": dict(false),
        "real": dict(there),
        "false_per_hour": alarms / hours if hours else None,
        "confidence": CONFIDENCE,
        # Of one detector without a false alarm; and of all detectors together.
        "one_at_most_per_hour": false_per_hour_at_most(0, hours),
        "all_at_most_per_hour": false_per_hour_at_most(alarms, hours),
    }
