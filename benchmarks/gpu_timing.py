"""How long work takes on a device, without what launching it takes of Python.

A batch of a few hundred microseconds is launched in as long: a host's clock around it would time Python. So on a GPU
each side's launches are recorded a few times over as a CUDA graph, and the GPU's own clock is read around its playback.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from benchmarks.harness import compare

# Calls in a recording: the clock ticks every half microsecond or so.
CALLS: Final = 8


def device_seconds(
    sides: Mapping[str, Callable[[], object]], device: torch.device, repeats: int
) -> dict[str, list[float]]:
    """Seconds of one call of each side, turn by turn, so that a device that slows down slows all of them.

    Args:
        sides: work by name; it waits for nothing, and may be called any number of times.
        device: where. On the CPU the host's clock is read.
        repeats: samples of each.
    """
    if device.type != "cuda":
        return compare(sides, repeats=repeats, warm_up=2)
    players = {name: _recorded(work, device) for name, work in sides.items()}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, play in players.items():
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            began.record()
            play()
            ended.record()
            ended.synchronize()
            if turn:
                found[name].append(began.elapsed_time(ended) / 1e3 / CALLS)
    return found


def _recorded(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Plays CALLS calls back; what cannot be recorded is launched."""
    for _ in range(2):  # compiles, and takes memory
        work()
    torch.cuda.synchronize(device)
    graph: Any = torch.cuda.CUDAGraph()
    kept: list[object] = []

    def calls() -> None:
        kept[:] = [work() for _ in range(CALLS)]

    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            calls()
    except RuntimeError:
        torch.cuda.synchronize(device)
        return calls
    return lambda held=kept: graph.replay()  # type: ignore[misc]
