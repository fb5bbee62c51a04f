"""What happens in a few batches, as a picture on a time axis: `avjury bench trace`.

Writes a Chrome trace (chrome://tracing, ui.perfetto.dev) of torch's profiler: every kernel, copy and wait of the GPU
with the Python that launched it, and the loop's steps by name; on the CPU the operators. Pictures are made in the
device's memory, so no decoder takes part; for NVDEC beside it run `nsys profile -t cuda,nvtx,nvvideo avjury check ...`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.gpu_path import LAUNCHES, judge_made_surfaces


def trace(device: torch.device, target: Path, streams: int, size: tuple[int, int], *, graphs: bool) -> dict[str, Any]:
    """Judge two seconds of made pictures, and the last of them under the profiler.

    Args:
        device: where.
        target: the trace's file.
        streams: how many.
        size: of the pictures, in samples.
        graphs: play recorded launches back.
    Returns: what was launched, and what took longest.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with on_a_side_stream(device):
        judge_made_surfaces(device, streams, size, 1, rate=10, graphs=graphs)  # compiles what is not compiled yet
        with profile(activities=activities) as profiler:
            judge_made_surfaces(device, streams, size, 1, rate=10, graphs=graphs)
    profiler.export_chrome_trace(str(target))
    averages = profiler.key_averages()
    on_gpu = device.type == "cuda"

    def cost(event: Any) -> float:
        return float(event.self_device_time_total if on_gpu else event.self_cpu_time_total)

    longest = sorted(averages, key=cost, reverse=True)[:15]
    return {
        "file": str(target),
        "bytes": target.stat().st_size,
        "launches": sum(event.count for event in averages if event.key in LAUNCHES),
        "longest": [{"name": e.key[:80], "count": e.count, "us": round(cost(e), 1)} for e in longest],
    }


def main() -> int:
    """Trace and print what took longest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path("avjury-trace.json"), help="the trace's file")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--size", default="1920x1080", help="WxH of the pictures")
    parser.add_argument("--one-by-one", action="store_true", help="without recorded launches")
    options = parser.parse_args()
    width, _, height = options.size.partition("x")
    found = trace(
        torch.device(options.device), options.output, options.streams, (int(width), int(height)),
        graphs=not options.one_by_one,
    )  # fmt: skip
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
