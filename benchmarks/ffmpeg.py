"""`avjury bench ffmpeg`: the filter chain that users would run instead, at full size and scaled to 360p.

FFmpeg's filters of the same defects in one chain, on every core; the same after scaling to 640x360, which is what one
does who cannot pay for the full size, and which no longer sees what is small; and avjury with every detector at full
size, decoding on every core too. The sides take turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.chain import media_clips
from benchmarks.cpu import AUDIO_FILTERS, VIDEO_FILTERS, judged
from benchmarks.ffmpeg_filters import ffmpeg, version
from benchmarks.harness import quantiles, write_result
from benchmarks.looped import loop_clip, make_clip

SCALED: Final = f"scale=640:360,{VIDEO_FILTERS}"


def filtered(clip: Path, filters: str) -> dict[str, float]:
    """Run a chain of picture filters and that of sound; seconds, CPU seconds and pictures."""
    import resource
    import time

    command = [ffmpeg(), "-hide_banner", "-nostats", "-i", str(clip), "-vf", filters, "-af", AUDIO_FILTERS,
               "-f", "null", "-progress", "pipe:1", "-"]  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    frames = [int(line.partition("=")[2]) for line in done.stdout.splitlines() if line.startswith("frame=")]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "frames": frames[-1]}


def compare_clip(clip: Path, repeats: int) -> dict[str, Any]:
    """All sides on one clip, turn by turn: how much faster avjury is, and what CPU the others take over ours."""
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "avjury": lambda: judged(clip, 1, decode_threads=0),
        "ffmpeg_full_size": lambda: filtered(clip, VIDEO_FILTERS),
        "ffmpeg_360p": lambda: filtered(clip, SCALED),
    }
    judged(clip, 1, decode_threads=0)  # compiles the kernels, fills the caches
    turns = [{name: side() for name, side in sides.items()} for _ in range(repeats)]
    figures: dict[str, Any] = {"frames": turns[0]["avjury"]["frames"]}
    for name in sides:
        figures[f"{name}_frames_per_second"] = quantiles([t[name]["frames"] / t[name]["seconds"] for t in turns])
        figures[f"{name}_cpu_ms_per_frame"] = quantiles(
            [1000 * t[name]["cpu_seconds"] / t[name]["frames"] for t in turns]
        )
    for name in ("ffmpeg_full_size", "ffmpeg_360p"):
        figures[f"speed_over_{name}"] = quantiles(
            [t[name]["seconds"] / t[name]["frames"] / (t["avjury"]["seconds"] / t["avjury"]["frames"]) for t in turns]
        )
    return figures


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="avjury bench ffmpeg", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("clips", nargs="*", type=Path, help="besides the made clip; default: large ones of --media")
    parser.add_argument("--media", default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    parser.add_argument("--seconds", type=float, default=10.0, help="media seconds that clips are looped to")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    figures: dict[str, Any] = {"ffmpeg": version(), "filters": [VIDEO_FILTERS, SCALED, AUDIO_FILTERS], "clips": []}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        made = make_clip(folder / "made_1080p25_h264.mp4")
        for clip in [made, *(options.clips or media_clips(options.media))]:
            looped = loop_clip(clip, folder / f"looped_{clip.stem}.mkv", options.seconds)
            figures["clips"].append({"clip": clip.name, **compare_clip(looped, options.repeats)})
            print(json.dumps(figures["clips"][-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    path = write_result("ffmpeg", figures, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
