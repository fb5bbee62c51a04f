"""Every kernel once, on small pictures, in several processes side by side.

A kernel is compiled where it is first launched, which takes seconds each; what is compiled is kept on the disk for the
processes after these. Each kernel's numbers are compared with the CPU's here, before anything is timed.

Run by: the calling process, which waits for its workers; they are processes that end by themselves, or are ended at the
limit.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.progress import Progress

ROOT: Final = Path(__file__).parents[1]
MOST_WORKERS: Final = 8
# What a worker runs: kernels by name of benchmarks.gpu_kernels, or a whole benchmark. The last waits for the others, as
# it launches their kernels too.
_SHARES: Final = (
    ("benchmarks.gpu_kernels", "frame_stats"),
    ("benchmarks.gpu_kernels", "blockiness"),
    ("benchmarks.gpu_kernels", "texture"),
    ("benchmarks.gpu_kernels", "edge_width", "tear", "scaled_blocks"),
    ("benchmarks.gpu_kernels", "audio_stats", "active_area", "siti", "fields"),
    ("benchmarks.gpu_kernels", "network", "torn_blocks", "tile_stats", "sharpness"),
    ("benchmarks.gpu_blocks",),
    ("benchmarks.gpu_path",),
)


def _command(share: tuple[str, ...], device: str) -> list[str]:
    module, *kernels = share
    return [
        sys.executable, "-m", module, "--device", device, "--quick", *(["--only", *kernels] if kernels else []),
    ]  # fmt: skip


def run_first(device: str, progress: Progress, workers: int | None = None) -> dict[str, Any]:
    """Run all shares, and tell what went wrong in them.

    Args:
        device: "cuda:0" or "cpu".
        progress: told of each share that is done.
        workers: processes at a time; the cores, unless told.
    """
    workers = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    waiting = list(_SHARES)
    running: dict[str, tuple[subprocess.Popen[str], float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers and not (running and waiting[0] == _SHARES[-1]):
                share = waiting.pop(0)
                process = subprocess.Popen(
                    _command(share, device), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
                running[" ".join(share).removeprefix("benchmarks.")] = process, time.monotonic()
            name, (process, began) = next(iter(running.items()))
            try:
                output, _ = process.communicate(timeout=max(progress.left(), 0.1))
            except subprocess.TimeoutExpired:
                progress.found["error"] = f"no time left for {', '.join([*running, *(s[0] for s in waiting)])}"
                break
            del running[name]
            told: dict[str, Any] = {"seconds": round(time.monotonic() - began, 1)}
            if process.returncode:
                told["error"] = _reason(output)
            progress.add(name, told)
    finally:
        for process, _ in running.values():
            process.kill()
            process.communicate()
    return progress.found


def _reason(output: str) -> str:
    """Why a share failed: the errors that it names itself, else its last words."""
    try:
        found = json.loads(output[output.index("{") :])
        errors = [f"{name}: {part['error']}" for name, part in found.items() if "error" in part]
    except (ValueError, TypeError, AttributeError):
        errors = []
    return "; ".join(errors)[:600] or output[-600:]
