"""The kernels on surfaces that lie in device memory: what `frame_stats` moves per second against a device copy, and
what the others take. No decoder takes part.
"""

import argparse
import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_timing import device_seconds
from benchmarks.harness import quantiles
from benchmarks.made_surfaces import copy_to_host, make_surface, picture_bytes
from benchmarks.progress import Progress
from engine.batch import Batcher
from engine.measure.network import CUDA_BATCH, PIECES, network_dtype
from engine.media import FrameBatch, Surface
from engine.references import DeviceReferences
from kernels.active_area import active_area
from kernels.audio_stats import AudioState, measure_audio
from kernels.blockiness import blockiness
from kernels.coded_pieces import coded_pieces
from kernels.edge_width import edge_width
from kernels.fields import fields
from kernels.frame_stats import frame_stats
from kernels.jitter import jitter
from kernels.layout import REFERENCE_FIELDS
from kernels.scaled_blocks import scaled_blocks
from kernels.sharpness import sharpness
from kernels.siti import siti
from kernels.tear import tear
from kernels.texture import texture
from kernels.tile_stats import tile_stats
from kernels.to_network import to_network
from kernels.torn_blocks import torn_blocks
from models.artifact_net import ArtifactNet

_BLACK = 0.1


def on_a_side_stream(device: torch.device) -> AbstractContextManager[Any]:
    """Work on a stream that is not the default one: NULL-stream work throttles NVDEC."""
    if device.type != "cuda":
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]


def waiter(device: torch.device) -> Callable[[], object] | None:
    """What waits for queued work; None where nothing queues."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else None


def batch_of(surfaces: list[Surface], device: torch.device) -> FrameBatch:
    """A batch of one picture per slot."""
    slots = list(range(len(surfaces)))
    return Batcher(device, len(surfaces), 0.0).assemble(
        list(zip(slots, surfaces, strict=True)), dict.fromkeys(slots, _BLACK)
    )


def measure_frame_stats(device: torch.device, streams: int, size: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Bytes per second of `frame_stats` (picture and reference read, copy kept) over those of a device copy.

    Args:
        device: where.
        streams: pictures in one launch.
        size: width and height in samples.
        repeats: of each side, turn by turn.
    """
    surfaces = [make_surface(f"s{i}", device, *size, seed=i) for i in range(streams)]
    batch = batch_of(surfaces, device)
    references = DeviceReferences(streams, device)
    noise = torch.zeros(streams, dtype=torch.float64, device=device)
    frames = batch.frames.to(device)
    first = _stats(frames, references, batch, noise)
    if device.type == "cuda":  # the correctness gate: the same bits as on the CPU
        host = batch_of([copy_to_host(s) for s in surfaces], torch.device("cpu"))
        nothing = torch.zeros((streams, REFERENCE_FIELDS), dtype=torch.int64)
        expected = frame_stats(host.frames, nothing, nothing)
        if not torch.equal(torch.nan_to_num(first.cpu(), nan=-1.0), torch.nan_to_num(expected, nan=-1.0)):
            raise AssertionError(
                "frame_stats on the GPU and on the CPU disagree; see tests/kernels/test_frame_stats.py"
            )
    table, keep = references.rows(batch.slots.to(device))
    one = sum(picture_bytes(s) for s in surfaces)
    none, keep_none = torch.zeros_like(table), torch.zeros_like(keep)
    source = torch.empty(one, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = device_seconds(
        {
            "frame_stats": lambda: frame_stats(frames, table, keep),
            "copy": lambda: target.copy_(source),
            "without_reference": lambda: frame_stats(frames, none, keep_none),
        },
        device,
        repeats,
    )
    moved = [3 * one / s for s in seconds["frame_stats"]]
    copied = [2 * one / s for s in seconds["copy"]]
    return {
        "streams": streams,
        "size": list(size),
        "bytes_per_second": quantiles(moved),
        "copy_bytes_per_second": quantiles(copied),
        "over_copy": quantiles([a / b for a, b in zip(moved, copied, strict=True)]),
        "frames_per_second": quantiles([streams / s for s in seconds["frame_stats"]]),
        "frames_per_second_without_reference": quantiles([streams / s for s in seconds["without_reference"]]),
    }


def _stats(frames: Tensor, references: DeviceReferences, batch: FrameBatch, noise: Tensor) -> Tensor:
    references.prepare(batch)
    slots = batch.slots.to(frames.device)
    table, keep = references.rows(slots)
    stats: Tensor = frame_stats(frames, table, keep)
    references.update(slots, stats[:, 0], noise, torch.zeros_like(stats[:, 0]))
    return stats


def measure_edge_width(device: torch.device, streams: int, size: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Pictures per second of `edge_width`; arguments as for `measure_frame_stats`."""
    surfaces = [make_surface(f"s{i}", device, *size, seed=i) for i in range(streams)]
    frames = batch_of(surfaces, device).frames.to(device)
    largest = size[0] * size[1]
    got = edge_width(frames, largest)
    if device.type == "cuda":
        host = batch_of([copy_to_host(s) for s in surfaces[:2]], torch.device("cpu"))  # which holds its pictures
        expected = edge_width(host.frames, largest)
        if not torch.allclose(got[:2].cpu(), expected, rtol=1e-6, atol=0, equal_nan=True):
            raise AssertionError("edge_width on the GPU and on the CPU disagree; see tests/kernels/test_edge_width.py")
    seconds = device_seconds({"kernel": lambda: edge_width(frames, largest)}, device, repeats)["kernel"]
    return {"streams": streams, "size": list(size), "frames_per_second": quantiles([streams / s for s in seconds])}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Two pictures of each stream, and the tables of the second ones with the first ones as their references.

    Args:
        surfaces: the first and the second pictures; whoever reads the tables has to hold them.
        frames, references: (streams, fields) int64 on the device.
    """

    surfaces: list[list[Surface]]
    frames: Tensor
    references: Tensor

    @classmethod
    def of(cls, surfaces: list[list[Surface]], device: torch.device) -> "Pairs":
        """Of pictures that lie on the device."""
        rows = [[*s.addresses, s.luma_pitch, s.chroma_pitch] for s in surfaces[0]]
        frames = batch_of(surfaces[1], device).frames.to(device)
        return cls(surfaces, frames, torch.tensor(rows, dtype=torch.int64).to(device))

    @classmethod
    def made(cls, device: torch.device, streams: int, size: tuple[int, int]) -> "Pairs":
        """Of random pictures of one size."""
        return cls.of(
            [[make_surface(f"s{i}", device, *size, seed=2 * i + k) for i in range(streams)] for k in (0, 1)], device
        )

    def few_on_host(self) -> "Pairs":
        """Those of the first two streams in host memory."""
        return Pairs.of([[copy_to_host(s) for s in pictures[:2]] for pictures in self.surfaces], torch.device("cpu"))


def measure_pictures(
    name: str, kernel: Callable[[Tensor, Tensor], Tensor], device: torch.device, streams: int, size: tuple[int, int],
    repeats: int,
) -> dict[str, Any]:  # fmt: skip
    """Pictures per second of a kernel, and its time over that of a device copy of the same pictures.

    Args:
        name: of the kernel.
        kernel: takes rows of pictures and of their references.
        device, streams, size, repeats: as for `measure_frame_stats`.
    """
    pairs = Pairs.made(device, streams, size)
    frames, references = pairs.frames, pairs.references
    got = kernel(frames, references)
    if device.type == "cuda":
        few = pairs.few_on_host()
        expected = kernel(few.frames, few.references)
        if not torch.allclose(got[:2].cpu(), expected, rtol=1e-6, atol=0, equal_nan=True):
            raise AssertionError(f"{name} on the GPU and on the CPU disagree; see its tests in tests/kernels")
    source = torch.empty(sum(picture_bytes(s) for s in pairs.surfaces[1]), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = device_seconds(
        {"kernel": lambda: kernel(frames, references), "copy": lambda: target.copy_(source)}, device, repeats
    )
    return {
        "streams": streams,
        "size": list(size),
        "frames_per_second": quantiles([streams / s for s in seconds["kernel"]]),
        "time_over_copy": quantiles([a / b for a, b in zip(seconds["kernel"], seconds["copy"], strict=True)]),
    }


def picture_kernels(size: tuple[int, int]) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Those that look at pictures besides `frame_stats` and `edge_width`."""

    @cache
    def coded(count: int, device: torch.device) -> Tensor:
        """Of pictures that were two thirds as large when they were coded."""
        return torch.tensor([[size[0] * 2 // 3, size[1] * 2 // 3]] * count, device=device)

    return {
        "tile_stats": tile_stats,
        "texture": lambda frames, _: texture(frames),
        "active_area": lambda frames, _: active_area(frames),
        "blockiness": lambda frames, _: blockiness(frames, max(size)),
        "sharpness": lambda frames, _: sharpness(frames, size[0] * size[1]),
        "torn_blocks": torn_blocks,
        "scaled_blocks": lambda frames, references: scaled_blocks(
            frames, references, coded(len(frames), frames.device)
        ),
        "tear": lambda frames, references: tear(frames, references, size[1]),
        "jitter": lambda frames, _: jitter(frames),
        "siti": siti,
        "fields": fields,
    }


def random_network() -> ArtifactNet:
    """The artifact network for use, with weights that mean nothing: they are no matter of speed."""
    torch.manual_seed(0)
    net = ArtifactNet().folded().eval().requires_grad_(False)
    moved: ArtifactNet = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def measure_network(device: torch.device, streams: int, size: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Pieces per second of `to_network` alone, and of the artifact network behind it as the engine runs it.

    And of `coded_pieces`, which makes pieces of pictures that were scaled.
    The weights are random: they are no matter of speed, and the shipped ones need a library that is not here.

    Args:
        device, streams, size, repeats: as for `measure_frame_stats`.
    """
    pairs = Pairs.made(device, streams, size)
    frames, references = pairs.frames, pairs.references
    corners = [(row, 16 * (row % 3), 16 * place, 0) for row in range(streams) for place in range(PIECES)]
    crops = torch.tensor(corners[:CUDA_BATCH], device=device)
    dtype = network_dtype(device)
    got = to_network(frames, references, crops, dtype)
    # As if they had been half as large again when they were coded; a call of the engine is of one picture's pieces.
    coded = torch.tensor([(*corner[:3], size[0] * 3 // 2, size[1] * 3 // 2) for corner in corners[:PIECES]])
    coded = coded.to(device)
    scaled_back = coded_pieces(frames, references, coded)
    net = random_network().to(device)
    with torch.no_grad():
        if device.type == "cuda":
            few = pairs.few_on_host()
            expected = to_network(few.frames, few.references, crops[: 2 * PIECES].cpu(), dtype)
            if not torch.equal(got[: 2 * PIECES].cpu(), expected):
                raise AssertionError(
                    "to_network on the GPU and on the CPU disagree; see tests/kernels/test_to_network.py"
                )
            if not torch.equal(scaled_back.cpu(), coded_pieces(few.frames, few.references, coded.cpu())):
                raise AssertionError(
                    "coded_pieces on the GPU and on the CPU disagree; see tests/kernels/test_coded_pieces.py"
                )
            net = net.to(dtype)
        seconds = device_seconds(
            {
                "to_network": lambda: to_network(frames, references, crops, dtype),
                "coded_pieces": lambda: coded_pieces(frames, references, coded),
                "both": lambda: net(to_network(frames, references, crops, dtype)),
            },
            device,
            repeats,
        )
    pieces = len(crops)
    return {
        "pieces": pieces,
        "size": list(size),
        "pieces_per_second": quantiles([pieces / s for s in seconds["both"]]),
        "to_network_pieces_per_second": quantiles([pieces / s for s in seconds["to_network"]]),
        "coded_pieces_pieces_per_second": quantiles([len(coded) / s for s in seconds["coded_pieces"]]),
    }


def measure_audio_stats(device: torch.device, streams: int, repeats: int, channels: int = 2) -> dict[str, Any]:
    """Stream-seconds of sound per second of `audio_stats`, in blocks of 100 ms.

    Args:
        device: where.
        streams: blocks in one launch.
        repeats: launches.
        channels: of each stream.
    """
    draw = torch.Generator(device=device).manual_seed(0)
    samples = torch.zeros((streams, 8, 4800), dtype=torch.float32, device=device)
    samples[:, :channels] = torch.rand((streams, channels, 4800), generator=draw, device=device) - 0.5
    whole = torch.full((streams,), 4800, dtype=torch.int64, device=device)
    weights = torch.zeros((streams, 8), dtype=torch.float64, device=device)
    weights[:, :channels] = 1.0
    arguments = (
        samples,
        torch.full((streams,), channels, dtype=torch.int64, device=device),
        whole,
        weights,
        torch.full((streams,), 0.9999, dtype=torch.float64, device=device),
        torch.arange(streams, device=device),
        torch.full((streams,), 0.001, dtype=torch.float64, device=device),
    )
    state = AudioState.allocate(streams, device)
    got = measure_audio(state, *arguments)
    if device.type == "cuda":
        host = AudioState.allocate(streams, "cpu")
        expected = measure_audio(host, *(a.cpu() for a in arguments))
        # Peaks are exact; levels pass through float32 sums (see the bound in tests/kernels/test_audio_stats.py).
        if not torch.allclose(got.cpu(), expected, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise AssertionError(
                "audio_stats on the GPU and on the CPU disagree; see tests/kernels/test_audio_stats.py"
            )
    seconds = device_seconds({"kernel": lambda: measure_audio(state, *arguments)}, device, repeats)["kernel"]
    return {
        "streams": streams,
        "channels": channels,
        "stream_seconds_per_second": quantiles([0.1 * streams / s for s in seconds]),
    }


def run(
    device: torch.device, *, quick: bool, only: Collection[str] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """All of it, or some kernels; `quick` proves the script on small pictures and says nothing of speed."""
    streams, size, repeats = (2, (320, 180), 2) if quick else (64, (1920, 1080), 30)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "frame_stats": lambda: measure_frame_stats(device, streams, size, repeats),
        "edge_width": lambda: measure_edge_width(device, streams, size, max(2, repeats // 3)),
        "audio_stats": lambda: measure_audio_stats(device, streams, repeats),
        "network": lambda: measure_network(device, streams, size, max(2, repeats // 2)),
    }
    for name, kernel in picture_kernels(size).items():
        parts[name] = partial(measure_pictures, name, kernel, device, streams, size, max(2, repeats // 2))
    progress = progress or Progress()
    with on_a_side_stream(device):
        for name, part in parts.items():
            if (only and name not in only) or not progress.has_time_for(name, 1.0):
                continue
            try:
                found = part()
            except Exception as error:  # noqa: BLE001 - one kernel that fails is a finding; the others are still measured
                found = {"error": f"{type(error).__name__}: {error}"[:500]}
            progress.add(name, found)
    return progress.found


def main() -> int:
    """Measure and print; `python -m benchmarks.gpu_check` keeps the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=(), help="kernels")
    options = parser.parse_args()
    found = run(torch.device(options.device), quick=options.quick, only=options.only)
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    return int(any("error" in part for part in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
