"""What follows decoding, on surfaces made in device memory, and what crosses to the host: it wants no NVDEC.

Run by: the calling thread alone.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.elementary_clip import CLIP, Clip
from benchmarks.gpu_kernels import on_a_side_stream, random_network, waiter
from benchmarks.harness import quantiles, time_repeats
from benchmarks.host_costs import reader_costs
from benchmarks.judged_path import JudgedPath
from benchmarks.made_surfaces import copy_to_host, make_surface, picture_bytes
from benchmarks.progress import Progress
from engine.decode.driver import wait_by_blocking
from engine.decode.upload import Uploader
from engine.measure.network import NetworkUse
from engine.media import AudioBlock, StreamTick, Surface
from engine.queues import Bell, BoundedQueue
from models.artifact_weights import Artifact, OperatingPoint, RatedPoints


def judge_made_surfaces(
    device: torch.device,
    streams: int,
    size: tuple[int, int],
    seconds: int,
    rate: int = 30,
    *,
    graphs: bool = True,
    network: NetworkUse | None = None,
    uploaded: int = 0,
) -> dict[str, Any]:
    """What follows decoding, on surfaces made beforehand: speed, and bytes to the host per stream-second.

    Every stream has `rate` pictures, ten sound blocks and one tick per media second, as a real one has.

    Args:
        device: where.
        streams: how many.
        size: of the pictures, in samples.
        seconds: of media to judge, after one that warms up.
        rate: pictures per second.
        graphs: play recorded launches back.
        network: used so; None leaves it out.
        uploaded: of the streams, those whose pictures come from host memory, as the software decoder's do.
    """
    path = JudgedPath(device, streams, graphs=graphs, network=network)
    uploader = Uploader(device) if uploaded else None
    # Two pictures per stream take turns, so that nothing freezes.
    pictures = [[make_surface(f"s{i}", device, *size, seed=2 * i + k) for k in range(2)] for i in range(streams)]
    noise = (torch.rand((2, 4800), generator=torch.Generator().manual_seed(0)) - 0.5).numpy()
    bell = Bell()
    wait = waiter(device) or (lambda: None)
    rows: list[float] = []
    pictures[:uploaded] = [[copy_to_host(surface) for surface in turn] for turn in pictures[:uploaded]]
    before, cpu, loop = 0, 0.0, 0.0
    for second in range(seconds + 1):
        wait()
        began = time.perf_counter()
        if second == 1:
            before, cpu, loop = path.device_to_host_bytes(), time.process_time(), time.thread_time()
        for n in range(rate):
            pts = second + n / rate
            shown = [replace(pictures[i][n % 2], pts=pts) for i in range(streams)]
            if uploader is not None:
                shown[:uploaded] = [uploader.upload(surface) for surface in shown[:uploaded]]
            path.frames(path.batcher.assemble(list(enumerate(shown)), path.black))
            if n * 10 // rate != (n - 1) * 10 // rate:
                audio: dict[int, BoundedQueue[AudioBlock]] = {}
                for i in range(streams):
                    audio[i] = BoundedQueue(1, bell)
                    at = second + (n * 10 // rate) / 10
                    audio[i].put(AudioBlock(f"s{i}", at, noise, 4800, (1.0, 1.0), 0.9999), lambda: False)
                path.sound(audio)
        path.ticks([(i, StreamTick(float(second), second + 1.0, 0, 0.0, 0.0)) for i in range(streams)])
        path.settle(0)
        wait()
        if second:
            rows.append(time.perf_counter() - began)
    crossed = path.device_to_host_bytes() - before
    cpu, loop = time.process_time() - cpu, time.thread_time() - loop
    return {
        "streams": streams,
        "size": list(size),
        "frames_per_second": quantiles([streams * rate / s for s in rows]),
        "host_cpu_us_per_frame": round(1e6 * cpu / (streams * seconds * rate), 2),
        # Of the loop's thread alone; what it holds Python's lock for is no more.
        "loop_us_per_frame": round(1e6 * loop / (streams * seconds * rate), 2),
        "batches_played_back": path.measure.replays,
        "batches_of_sound_played_back": path.measure.sound_replays,
        "recording_problem": path.measure.graph_problem,
        "device_to_host_bytes_per_stream_second": round(crossed / (streams * seconds), 1),
    }


def run_path(device: torch.device, clip: Path, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """The way after decoding, on surfaces made in the device's memory, and what the host spends on a picture."""
    streams, size, seconds = (2, (320, 180), 1) if quick else (64, (1920, 1080), 3)
    if device.type == "cuda":
        wait_by_blocking(device.index or 0)
    with on_a_side_stream(device):
        recorded = judge_made_surfaces(device, streams, size, seconds)
        progress.add("recorded", recorded)
        reader = reader_costs(Clip(clip), *((20, 2) if quick else ()))
        progress.add("reader", reader)
        progress.add(
            "under_the_lock_us_per_frame_at_most",
            round(recorded["loop_us_per_frame"] + reader["us_per_picture"]["p50"], 2),
        )
        if progress.has_time_for("network", 8.0):
            points = RatedPoints(((1.0, OperatingPoint(0.5, 0.5, 2)),))
            network = NetworkUse(Artifact(random_network(), points, "random"), 1.0)
            progress.add("with_network", judge_made_surfaces(device, streams, size, seconds, network=network))
        if device.type == "cuda" and progress.has_time_for("uploads", 8.0):
            progress.add("uploads", _uploads(device, streams, size, seconds, recorded))
        if progress.has_time_for("one_by_one", 15.0):
            progress.add("one_by_one", judge_made_surfaces(device, streams, size, seconds, graphs=False))
        # Last, as no profiler that fails is to take the others with it.
        if device.type == "cuda" and progress.has_time_for("launches", 12.0):
            try:
                progress.add("launches_per_batch", _launches(device, size, (2, 4) if quick else (8, streams)))
            except RuntimeError as failure:
                progress.add("launches_problem", str(failure)[:300])
    return progress.found


# What the CUDA runtime and the driver call what is put into a stream, as torch's profiler tells it.
LAUNCHES = (
    *("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch"),
    *("cudaMemcpyAsync", "cudaMemsetAsync", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync"),
)


def _launches(device: torch.device, size: tuple[int, int], counts: tuple[int, ...]) -> dict[str, float]:
    """Launches and copies of a batch of pictures by number of streams, where no second ends and no verdict changes.

    Args:
        device: a GPU.
        size: of the pictures, in samples.
        counts: numbers of streams.
    """
    from torch.profiler import ProfilerActivity, profile

    found = {}
    rate, first, batches = 30, 36, 12  # all kinds of batches were recorded by then, and the next second is far
    for streams in counts:
        path = JudgedPath(device, streams)
        pictures = [[make_surface(f"s{i}", device, *size, seed=2 * i + k) for k in range(2)] for i in range(streams)]

        def judge(
            n: int, path: JudgedPath = path, pictures: list[list[Surface]] = pictures, streams: int = streams
        ) -> None:
            shown = [(i, replace(pictures[i][n % 2], pts=n / rate)) for i in range(streams)]
            path.frames(path.batcher.assemble(shown, path.black))

        for n in range(first):
            judge(n)
        path.settle(0)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            for n in range(first, first + batches):
                judge(n)
            path.settle(0)
        counted = sum(event.count for event in profiler.key_averages() if event.key in LAUNCHES)
        found[str(streams)] = round(counted / batches, 2)
    return found


def _uploads(
    device: torch.device, streams: int, size: tuple[int, int], seconds: int, without: dict[str, Any], rate: int = 30
) -> dict[str, Any]:
    """A quarter of the streams decoded in software: how much of their upload is hidden behind everything else.

    Args:
        device, streams, size, seconds, rate: as for `judge_made_surfaces`.
        without: its figures with all pictures on the device.
    """
    share = max(1, streams // 4)
    both = judge_made_surfaces(device, streams, size, seconds, rate, uploaded=share)
    uploader = Uploader(device)
    pictures = [copy_to_host(make_surface(f"u{i}", device, *size, seed=i)) for i in range(share)]
    wait = waiter(device) or (lambda: None)

    def upload_all() -> None:
        for surface in [uploader.upload(picture) for picture in pictures]:
            surface.release()

    alone = quantiles(time_repeats(upload_all, repeats=15, wait=wait))["p50"] * rate
    second, with_them = (streams * rate / figures["frames_per_second"]["p50"] for figures in (without, both))
    return {
        "streams": share,
        "of": streams,
        "bytes_per_second_alone": round(share * rate * picture_bytes(pictures[0]) / alone),
        "seconds_per_stream_second_alone": round(alone / share, 6),
        "frames_per_second": both["frames_per_second"],
        # 1: all of the shorter of both is hidden behind the longer one; 0: they take turns.
        "hidden": round((second + alone - with_them) / min(second, alone), 3),
    }


def main() -> int:
    """Measure and print; `python -m benchmarks.gpu_check` keeps the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    found = {
        "path": run_path(device, options.clip, quick=options.quick, progress=Progress()),
    }
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
