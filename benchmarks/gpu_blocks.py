"""The candidates of kernels/tuning.py, measured on the GPU that is there, beside what its table takes."""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_kernels import Pairs, batch_of, on_a_side_stream
from benchmarks.gpu_timing import device_seconds
from benchmarks.harness import quantiles
from benchmarks.progress import Progress
from engine.measure.network import CUDA_BATCH, PIECES, network_dtype
from engine.references import DeviceReferences
from kernels.tuning import CANDIDATES, Blocks, blocks_on


def _launchers(device: torch.device, streams: int, size: tuple[int, int]) -> dict[str, Callable[[Blocks], Tensor]]:
    """What launches a kernel in given blocks, by its name."""
    from kernels.frame_stats import gpu as frame_gpu
    from kernels.scaled_blocks import gpu as scaled_gpu
    from kernels.tile_stats import gpu as tile_gpu
    from kernels.to_network import gpu as network_gpu
    from kernels.torn_blocks import gpu as torn_gpu

    pairs = Pairs.made(device, streams, size)
    frames, references = pairs.frames, pairs.references
    batch, buffers = batch_of(pairs.surfaces[1], device), DeviceReferences(streams, device)
    buffers.prepare(batch)
    keep = buffers.rows(batch.slots.to(device))[1]
    corners = [(row, 16 * (row % 3), 16 * place, 0) for row in range(streams) for place in range(PIECES)]
    crops = torch.tensor(corners[:CUDA_BATCH], device=device)
    dtype = network_dtype(device)
    coded = torch.tensor([[size[0] * 2 // 3, size[1] * 2 // 3]] * streams, device=device)

    def frame_stats(blocks: Blocks, held: object = (pairs, buffers)) -> Tensor:
        """The tables point to memory of what is held, for all kernels."""
        return frame_gpu.frame_stats(frames, references, keep, blocks=blocks)

    return {
        "frame_stats": frame_stats,
        "tile_stats": lambda blocks: tile_gpu.tile_stats(frames, references, blocks=blocks),
        "torn_blocks": lambda blocks: torn_gpu.torn_blocks(frames, references, blocks=blocks),
        "scaled_blocks": lambda blocks: scaled_gpu.scaled_blocks(frames, references, coded, blocks=blocks),
        "to_network": lambda blocks: network_gpu.to_network(frames, references, crops, dtype, blocks=blocks),
    }


def name_of(blocks: Blocks) -> str:
    """Of a candidate: "16x256, 8 warps, 128 registers"."""
    tile = "x".join(map(str, blocks.tile))
    return f"{tile}, {blocks.warps} warps" + (f", {blocks.registers} registers" if blocks.registers else "")


def measure_blocks(
    launch: Callable[[Blocks], Tensor], kernel: str, device: torch.device, repeats: int
) -> dict[str, Any]:
    """Seconds of each candidate; one that gives other numbers than the first, or does not run, is an error.

    Args:
        launch: of the kernel.
        kernel: one of CANDIDATES.
        device: where.
        repeats: of each candidate, turn by turn.
    """
    usual = launch(CANDIDATES[kernel][0])
    sides: dict[str, Callable[[], object]] = {}
    wrong: dict[str, str] = {}
    for blocks in CANDIDATES[kernel]:
        try:
            same = torch.equal(launch(blocks).nan_to_num(-1.0), usual.nan_to_num(-1.0))
        except RuntimeError as error:  # does not fit on this GPU
            wrong[name_of(blocks)] = str(error)[:200]
            continue
        if not same:
            raise AssertionError(f"{kernel} gives other numbers in blocks of {name_of(blocks)}")
        sides[name_of(blocks)] = lambda blocks=blocks: launch(blocks)  # type: ignore[misc]
    seconds = device_seconds(sides, device, repeats)
    middle = {name: quantiles(found)["p50"] for name, found in seconds.items()}
    best, table = min(middle, key=middle.__getitem__), name_of(blocks_on(kernel, device))
    return {
        "seconds": {name: quantiles(found) for name, found in seconds.items()},
        "best": best,
        "table": table,
        "table_over_best": round(middle[table] / middle[best], 3) if table in middle else None,
        "does_not_run": wrong,
    }


def run_blocks(device: torch.device, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """All kernels of which there are candidates, but the judge's, which has one row per stream and no time to save."""
    if device.type != "cuda":
        return {"skipped": "blocks are a matter of the GPU", "candidates": {k: len(c) for k, c in CANDIDATES.items()}}
    streams, size, repeats = (2, (320, 180), 2) if quick else (64, (1920, 1080), 15)
    with on_a_side_stream(device):
        for kernel, launch in _launchers(device, streams, size).items():
            if progress.has_time_for(kernel, 1.0):
                try:
                    found = measure_blocks(launch, kernel, device, repeats)
                except Exception as error:  # noqa: BLE001 - one kernel that fails is a finding; others are measured
                    found = {"error": f"{type(error).__name__}: {error}"[:500]}
                progress.add(kernel, found)
    return progress.found


def main() -> int:
    """Measure and print; `python -m benchmarks.gpu_check` keeps the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = run_blocks(torch.device(options.device), quick=options.quick, progress=Progress())
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    return int(any("error" in part for part in found.values() if isinstance(part, dict)))


if __name__ == "__main__":
    raise SystemExit(main())
