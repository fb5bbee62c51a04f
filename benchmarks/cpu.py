"""`avjury bench cpu`: what judging costs on a CPU, over decoding alone and over FFmpeg's filters, and its memory.

Three sides take turns on the same clips: decoding alone (the same source and decoders, pictures given back at once),
avjury with every detector, and the `ffmpeg` program with the filters of the same defects in one chain. "One stream" is
what a user of `avjury check` sees, who has a core to spare for judging; "every core" runs one stream per core, so that
judging takes its time from decoding. Against ffmpeg, which decodes on as many cores as there are, so does avjury.

The limit: judging must read each picture once, and the picture before it once. At 1920x1080 that is 6.2 MB, 0.3 ms at
20 GB/s of one core; what the kernels add to it is arithmetic.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cpu_sides import AUDIO_FILTERS, VIDEO_FILTERS, decode_only, ffmpeg_chain, judged
from benchmarks.harness import parser, quantiles, say, write_result
from benchmarks.looped import loop_clip, make_clip, named_clips

# Real clips of the media folder that differ in codec and are long enough to be looped: large ones, and one of 360p.
MEDIA_CLIPS = (
    "media3_bbb_2500ms_1080p24_mpeg2.ts",
    "latentsync_demo1_1080x1920_hevc.mp4",
    "openh264_street_1920x1080_temporal_direct.264",
    "simpl_tears-of-steel_1920x800p24_av1.webm",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
)


def compare_clip(clip: Path, *, repeats: int, program: str | None) -> dict[str, Any]:
    """All sides on one clip, turn by turn."""
    cores = len(os.sched_getaffinity(0))
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "decode_one": lambda: decode_only(clip, 1),
        "judge_one": lambda: judged(clip, 1),
        "judge_one_with_networks": lambda: judged(clip, 1, networks=True),
        "decode_every_core": lambda: decode_only(clip, cores),
        "judge_every_core": lambda: judged(clip, cores),
    }
    if program is not None:
        # Both programs take what cores they like: ffmpeg by itself, avjury by `--decode-threads 0`.
        sides["judge_one_decoded_on_every_core"] = lambda: judged(clip, 1, decode_threads=0)
        sides["ffmpeg"] = lambda: ffmpeg_chain(clip, program)
    judged(clip, 1, networks=True)  # compiles the kernels, fills the caches
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    loads = []
    for _ in range(repeats):
        loads.append(os.getloadavg()[0])
        for name, side in sides.items():
            runs[name].append(side())
    if any(run["frames"] != runs["decode_one"][0]["frames"] for run in runs["judge_one"]):
        raise RuntimeError(f"{clip.name}: decoding alone and judging saw different numbers of frames")
    # What ran beside it: CPU seconds bear that, frames per second do not.
    loaded = {"load_before_each_turn": quantiles(loads)}
    return {"clip": clip.name, "frames": runs["decode_one"][0]["frames"], **loaded, **_figures(runs)}


def _figures(runs: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Frames per second of each side, and the ratios between sides within one turn."""
    fps = {name: [run["frames"] / run["seconds"] for run in turns] for name, turns in runs.items()}
    cpu = {name: [run["cpu_seconds"] / run["frames"] for run in turns] for name, turns in runs.items()}

    def ratio(above: str, below: str, of: Mapping[str, list[float]]) -> dict[str, float]:
        return quantiles([a / b for a, b in zip(of[above], of[below], strict=True)])

    figures: dict[str, Any] = {
        "judged_over_decode_only": ratio("judge_one", "decode_one", fps),
        "judged_with_networks_over_decode_only": ratio("judge_one_with_networks", "decode_one", fps),
        "judged_over_decode_only_every_core": ratio("judge_every_core", "decode_every_core", fps),
        "decode_only_cpu_over_judged_cpu": ratio("decode_every_core", "judge_every_core", cpu),
        "decode_only_cpu_over_judged_cpu_one_stream": ratio("decode_one", "judge_one", cpu),
    }
    if "ffmpeg" in runs:
        figures["speed_over_ffmpeg"] = ratio("judge_one_decoded_on_every_core", "ffmpeg", fps)
        figures["speed_over_ffmpeg_one_decode_thread"] = ratio("judge_one", "ffmpeg", fps)
        figures["ffmpeg_cpu_over_judged_cpu"] = ratio("ffmpeg", "judge_one", cpu)
        figures["ffmpeg_cpu_over_judged_cpu_every_core"] = ratio("ffmpeg", "judge_one_decoded_on_every_core", cpu)
    figures["frames_per_second"] = {name: quantiles(values) for name, values in fps.items()}
    figures["cpu_ms_per_frame"] = {name: quantiles([1000 * s for s in values]) for name, values in cpu.items()}
    return figures


def _ffmpeg() -> str | None:
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("cpu", __doc__)
    arguments.add_argument("clips", nargs="*", type=Path, help="besides the made clip; default: large ones of --media")
    arguments.add_argument("--media", type=Path, default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    arguments.add_argument("--seconds", type=float, default=20.0, help="media seconds that clips are looped to")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--memory-seconds", type=float, default=3600.0, help="media seconds of the memory run")
    arguments.add_argument("--only", choices=("speed", "memory"), help="one half; default: both")
    options = arguments.parse_args()
    program = _ffmpeg()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        made = make_clip(folder / "made_1080p25_h264.mp4")
        if options.only != "memory":
            figures |= {"ffmpeg": _version_line(program), "filters": [VIDEO_FILTERS, AUDIO_FILTERS], "clips": []}
            for clip in [made, *(options.clips or named_clips(options.media, MEDIA_CLIPS))]:
                looped = loop_clip(clip, folder / f"looped_{clip.stem}.mkv", options.seconds)
                figure = {**compare_clip(looped, repeats=options.repeats, program=program), "clip": clip.name}
                figures["clips"].append(figure)
                say(json.dumps(figure))
        if options.only != "speed":
            say(f"memory: judging {options.memory_seconds:.0f} s of media")
            looped = loop_clip(made, folder / "long.mkv", options.memory_seconds)
            child = [sys.executable, "-m", "benchmarks.cpu_memory", str(looped)]
            done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
            figures["memory"] = json.loads(done.stdout)
            say(done.stdout)
    path = write_result("cpu", figures, options.results)
    print(path)  # noqa: T201 - the command's result
    return 0


def _version_line(program: str | None) -> str | None:
    if program is None:
        return None
    done = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


if __name__ == "__main__":
    raise SystemExit(main())
