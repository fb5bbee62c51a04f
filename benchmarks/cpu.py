"""`avjury bench cpu`: what judging costs on a CPU, over decoding alone and over FFmpeg's filters, and its memory.

Three sides take turns on the same clips: decoding alone (the same source and decoders, pictures given back at once),
avjury with every detector, and the `ffmpeg` program with the filters of the same defects in one chain. "One stream" is
what a user of `avjury check` sees, who has a core to spare for judging; "every core" runs one stream per core, so that
judging takes its time from decoding. Against ffmpeg, which decodes on as many cores as there are, so does avjury.

The limit: judging must read each picture once, and the picture before it once. At 1920x1080 that is 6.2 MB, 0.3 ms at
20 GB/s of one core; what the kernels add to it is arithmetic.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
VIDEO_FILTERS = "freezedetect,blackdetect,blockdetect,blurdetect,signalstats"
AUDIO_FILTERS = "silencedetect,ebur128=peak=true"
MEGABYTE = 1024 * 1024


def decode_only(clip: Path, streams: int) -> dict[str, float]:
    """Decode every track of `streams` copies side by side, a thread each, and give the pictures back at once."""
    import torch

    from engine.decode.choose import DecoderChooser
    from engine.ingest.source import Source

    chooser = DecoderChooser(torch.device("cpu"), decode_threads=1)
    frames = [0] * streams

    def run(index: int) -> None:
        with Source(str(clip), stream=f"{clip.name}#{index}") as source:
            decoders = chooser.open(source.open())
            video, audio = decoders.video, decoders.audio
            for packet in source.packets():
                if packet.track == "audio" and audio is not None:
                    audio.decode(packet)
                elif packet.track == "video" and video is not None:
                    for surface in video.decode(packet):
                        frames[index] += 1
                        surface.release()
            if video is not None:
                for surface in video.flush():
                    frames[index] += 1
                    surface.release()
                video.close()
            if audio is not None:
                audio.flush()
                audio.close()

    def work() -> None:
        threads = [threading.Thread(target=run, args=(index,)) for index in range(streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return {**_timed(work, resource.RUSAGE_SELF), "frames": sum(frames)}


def judged(clip: Path, streams: int, decode_threads: int = 1, *, networks: bool = False) -> dict[str, float]:
    """Judge `streams` copies in one engine with every detector; with the networks at their usual rates if told."""
    from engine.pipeline import check
    from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings, StreamSpec

    outcomes: list[Any] = []
    settings = EngineSettings(device="cpu", decode_threads=decode_threads)
    if networks:
        settings = replace(settings, network=NetworkSettings(), audio_network=AudioNetworkSettings())

    def work() -> None:
        specs = [StreamSpec(id=f"{clip.name}#{index}", url=str(clip)) for index in range(streams)]
        outcomes.extend(check(specs, settings))

    timed = _timed(work, resource.RUSAGE_SELF)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        if outcome.summary.frames_measured != outcome.summary.frames_decoded:
            raise RuntimeError(f"{outcome.stream}: {outcome.summary} has frames that were not measured")
    return {**timed, "frames": sum(outcome.summary.frames_measured for outcome in outcomes)}


def ffmpeg_chain(clip: Path, program: str, filters: str = VIDEO_FILTERS) -> dict[str, float]:
    """Run FFmpeg's filters of the same defects in one chain; it uses what cores it likes."""
    command = [program, "-hide_banner", "-nostats", "-i", str(clip), "-vf", filters, "-af", AUDIO_FILTERS]
    log = ""

    def work() -> None:
        nonlocal log
        done = subprocess.run(
            [*command, "-f", "null", "-progress", "pipe:1", "-"], capture_output=True, text=True, check=True
        )
        log = done.stdout

    timed = _timed(work, resource.RUSAGE_CHILDREN)
    frames = [int(line.partition("=")[2]) for line in log.splitlines() if line.startswith("frame=")]
    return {**timed, "frames": frames[-1]}


def _timed(work: Callable[[], None], who: int) -> dict[str, float]:
    before, began = resource.getrusage(who), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - began, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu}


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


def measure_memory(clip: Path) -> dict[str, Any]:
    """Resident memory of this process while it judges the clip, above what the imported libraries take.

    Returns: megabytes above the imports, largest and per minute of media, and the growth per hour over the second half.
    """
    from engine.detectors import all_detectors
    from engine.listener import Silent
    from engine.pipeline import check
    from engine.spec import EngineSettings, StreamSpec
    from kernels.audio_stats import cpu as _audio
    from kernels.frame_stats import cpu as _frames
    from kernels.judge import cpu as _judge
    from kernels.sharpness import cpu as _edges

    assert all_detectors()
    assert all((_audio, _edges, _frames, _judge))  # numba and its compiled kernels are imports too
    imports = _resident_mb()
    samples: list[tuple[int, float]] = []

    class Sampler(Silent):
        def on_second(self, second: Any) -> None:
            if second.second % 10 == 0:
                samples.append((second.second, _resident_mb() - imports))

    began = time.perf_counter()
    (outcome,) = check([StreamSpec(id=clip.name, url=str(clip))], EngineSettings(device="cpu"), Sampler())
    if outcome.error is not None or outcome.summary is None:
        raise outcome.error or RuntimeError(f"{clip.name}: nothing was judged")
    half = [(at, mb) for at, mb in samples if at >= samples[-1][0] / 2]
    mean_at, mean_mb = (sum(values) / len(half) for values in zip(*half, strict=True))
    spread = sum((at - mean_at) ** 2 for at, _ in half)
    slope = sum((at - mean_at) * (mb - mean_mb) for at, mb in half) / spread if spread else 0.0
    return {
        "media_seconds": round(outcome.summary.duration, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "imports_mb": round(imports, 1),
        "largest_mb_above_imports": round(max(mb for _, mb in samples), 1),
        "growth_mb_per_hour_second_half": round(slope * 3600, 2),
        "mb_above_imports_per_five_minutes": [round(mb, 1) for at, mb in samples if at % 300 == 0],
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / MEGABYTE


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
    arguments.add_argument("--measure-memory", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure_memory is not None:
        print(json.dumps(measure_memory(options.measure_memory)))  # noqa: T201 - read by the parent
        return 0
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
            child = [sys.executable, "-m", "benchmarks.cpu", "--measure-memory", str(looped)]
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
