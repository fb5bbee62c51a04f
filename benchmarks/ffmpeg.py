"""`avjury bench ffmpeg`: the filter chain that users would run instead, at full size and scaled to 360p.

FFmpeg's filters of the same defects in one chain, on every core; the same after scaling to 640x360, which is what one
does who cannot pay for the full size, and which no longer sees what is small; and avjury with every detector at full
size, decoding on every core too. The sides take turns.
"""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.chain import MEDIA_CLIPS
from benchmarks.cpu_sides import AUDIO_FILTERS, VIDEO_FILTERS, ffmpeg_chain, judged
from benchmarks.ffmpeg_filters import ffmpeg, version
from benchmarks.harness import parser, quantiles, say, write_result
from benchmarks.looped import loop_clip, make_clip, named_clips

SCALED: Final = f"scale=640:360,{VIDEO_FILTERS}"


def compare_clip(clip: Path, repeats: int) -> dict[str, Any]:
    """All sides on one clip, turn by turn: how much faster avjury is, and what CPU the others take over ours."""
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "avjury": lambda: judged(clip, 1, decode_threads=0),
        "ffmpeg_full_size": lambda: ffmpeg_chain(clip, ffmpeg()),
        "ffmpeg_360p": lambda: ffmpeg_chain(clip, ffmpeg(), SCALED),
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
    arguments = parser("ffmpeg", __doc__)
    arguments.add_argument("clips", nargs="*", type=Path, help="besides the made clip; default: large ones of --media")
    arguments.add_argument("--media", default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    arguments.add_argument("--seconds", type=float, default=10.0, help="media seconds that clips are looped to")
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    figures: dict[str, Any] = {"ffmpeg": version(), "filters": [VIDEO_FILTERS, SCALED, AUDIO_FILTERS], "clips": []}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        made = make_clip(folder / "made_1080p25_h264.mp4")
        for clip in [made, *(options.clips or named_clips(options.media, MEDIA_CLIPS))]:
            looped = loop_clip(clip, folder / f"looped_{clip.stem}.mkv", options.seconds)
            figures["clips"].append({"clip": clip.name, **compare_clip(looped, options.repeats)})
            say(json.dumps(figures["clips"][-1]))
    path = write_result("ffmpeg", figures, options.results)
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
