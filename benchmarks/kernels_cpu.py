"""`avjury bench kernels-cpu`: what each kernel and each detector costs on one core, for 1080p and stereo sound.

The limit is memory: a picture and the one before it, 6.2 MB at 1920x1080, must each be read once. So the first row is
numpy's copy of the same luma planes, and every kernel is given as a ratio to it, taken turn by turn. How often a kernel
runs is beside it: measures of texture, edges and blocks are due about twice a second, tears and borders more often,
the others at every picture.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.detector_costs import detector_costs
from benchmarks.harness import compare, quantiles, write_result
from kernels import tile_stats as tiles
from kernels.active_area import active_area
from kernels.audio_stats import AudioState, measure_audio
from kernels.blockiness import blockiness
from kernels.coded_pieces import coded_pieces
from kernels.fields import fields
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats
from kernels.jitter import jitter
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.scaled_blocks import scaled_blocks
from kernels.sharpness import sharpness
from kernels.sound_features import FeatureState, sound_features
from kernels.sound_repeats import COLUMNS as REPEAT_COLUMNS
from kernels.sound_repeats import RepeatState, sound_repeats
from kernels.sound_trends import COLUMNS as TREND_COLUMNS
from kernels.sound_trends import TrendState, sound_trends
from kernels.tear import tear
from kernels.temporal import new_state, temporal
from kernels.texture import texture
from kernels.torn_blocks import torn_blocks
from models.synthesis.picture import Picture, moving_pattern

WIDTH, HEIGHT = 1920, 1080
RATE = 25
PICTURES = 5  # shown in turn to the detectors
# How often each is run, per second of a 1080p25 stream with everything on, while nothing changes.
PER_SECOND = {
    "frame_stats": 25.0,
    "tile_stats": 25.0,
    "temporal": 25.0,
    "blockiness": 2.0,
    "torn_blocks": 25.0,
    "scaled_blocks": 25.0,  # of streams only that were scaled and say so
    "tear": 5.0,
    "jitter": 5.0,
    "fields": 25.0,  # of interlaced streams only
    "sharpness": 2.0,
    "texture": 2.0,
    "active_area": 5.0,
    "coded_pieces": 1.0,  # four of a picture, of streams that were scaled
    "audio_stats": 10.0,
    "sound_features": 10.0,
    "sound_trends": 10.0,
    "sound_repeats": 10.0,
}


def frame_row(picture: Picture) -> Tensor:
    """(1, FRAME_FIELDS) int64: the planes of an 8-bit 4:2:0 picture, where they lie."""
    y, u, v = picture
    row = torch.zeros((1, FRAME_FIELDS), dtype=torch.int64)
    for field, value in (
        (Field.LUMA_ADDRESS, y.ctypes.data),
        (Field.U_ADDRESS, u.ctypes.data),
        (Field.V_ADDRESS, v.ctypes.data),
        (Field.LUMA_PITCH, y.strides[0]),
        (Field.CHROMA_PITCH, u.strides[0]),
        (Field.CHROMA_STEP, 1),
        (Field.WIDTH, y.shape[1]),
        (Field.HEIGHT, y.shape[0]),
        (Field.CHROMA_WIDTH, u.shape[1]),
        (Field.CHROMA_HEIGHT, u.shape[0]),
        (Field.BIT_DEPTH, 8),
        (Field.BLACK_LEVEL, 38),
    ):
        row[0, field] = value
    return row


def reference_row(picture: Picture) -> Tensor:
    """(1, REFERENCE_FIELDS) int64 of the earlier picture."""
    y, u, v = picture
    row = torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
    for field, value in (
        (ReferenceField.LUMA_ADDRESS, y.ctypes.data),
        (ReferenceField.U_ADDRESS, u.ctypes.data),
        (ReferenceField.V_ADDRESS, v.ctypes.data),
        (ReferenceField.LUMA_PITCH, y.strides[0]),
        (ReferenceField.CHROMA_PITCH, u.strides[0]),
    ):
        row[0, field] = value
    return row


def sides(earlier: Picture, now: Picture) -> dict[str, Callable[[], object]]:
    """One call of each kernel, by name, and the copy that they are compared with."""
    frame, reference = frame_row(now), reference_row(earlier)
    nothing = torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
    into: list[npt.NDArray[Any]] = [np.empty_like(earlier[0]), np.empty_like(now[0])]

    def copy() -> None:
        np.copyto(into[0], earlier[0])
        np.copyto(into[1], now[0])

    stats = frame_stats(frame, reference, nothing)
    names = ("luma_mean", "mafd", "gradient")
    mean, mafd, gradient = (stats[:, FRAME_COLUMNS.index(name)].clone() for name in names)
    if not 0 < float(mafd) < 1:
        raise RuntimeError(f"two pictures that differ have a difference of {float(mafd)}")
    grid, state, clock = tiles.tile_stats(frame, reference), new_state(1), iter(range(1 << 40))
    slots = torch.zeros(1, dtype=torch.int64)

    def over_time() -> Tensor:
        pts = torch.tensor([next(clock) / RATE], dtype=torch.float64)
        return temporal(grid, mean, mafd, gradient, pts, slots, slots, state)

    device = torch.device("cpu")
    rng = np.random.default_rng(1)
    samples = torch.from_numpy((0.1 * rng.standard_normal((1, 8, 4800))).astype(np.float32))
    channels, valid = torch.tensor([2]), torch.tensor([4800])
    weights = torch.tensor([[1.0, 1.0, 0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    clip, noise = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.001, dtype=torch.float64)
    audio, features = AudioState.allocate(1, device), FeatureState.allocate(1, device)
    trends, columns = TrendState.allocate(1, device), torch.empty((1, len(TREND_COLUMNS)), dtype=torch.float64)
    trends.reset(0)
    # Noise that goes on, so that a period is looked for in every block.
    noises = [torch.from_numpy((0.1 * rng.standard_normal((1, 8, 4800))).astype(np.float32)) for _ in range(11)]
    turn = itertools.cycle(noises)
    repeats = RepeatState.allocate(1, device)
    repeated = torch.empty((1, len(REPEAT_COLUMNS)), dtype=torch.float64)
    loudness = torch.full((1,), -23.0, dtype=torch.float64)
    heard = sound_features(features, samples, channels, valid, slots)
    pieces = torch.tensor([[0, 160 * k, 288 * k, WIDTH * 2 // 3, HEIGHT * 2 // 3] for k in range(4)])
    coded = torch.tensor([[WIDTH * 2 // 3, HEIGHT * 2 // 3]])
    return {
        "copy of both luma planes": copy,
        "frame_stats": lambda: frame_stats(frame, reference, nothing),
        "tile_stats": lambda: tiles.tile_stats(frame, reference),
        "temporal": over_time,
        "blockiness": lambda: blockiness(frame),
        "torn_blocks": lambda: torn_blocks(frame, reference),
        "scaled_blocks": lambda: scaled_blocks(frame, reference, coded),
        "tear": lambda: tear(frame, reference, HEIGHT),
        "jitter": lambda: jitter(frame),
        "fields": lambda: fields(frame, reference),
        "sharpness": lambda: sharpness(frame),
        "texture": lambda: texture(frame),
        "active_area": lambda: active_area(frame),
        "coded_pieces": lambda: coded_pieces(frame, reference, pieces),
        "audio_stats": lambda: measure_audio(audio, samples, channels, valid, weights, clip, slots, noise),
        "sound_features": lambda: sound_features(features, samples, channels, valid, slots),
        "sound_trends": lambda: sound_trends(trends, heard, valid, weights, loudness, slots, columns),
        "sound_repeats": lambda: sound_repeats(repeats, next(turn), channels, valid, slots, repeated),
    }


def table(costs: dict[str, Any]) -> Iterator[str]:
    """What detectors cost, as lines; see benchmarks/detector_costs.py."""
    for figures in costs.values():
        yield f"| detector alone | {figures['unit'].replace('_', ' ')}, p20 / p50 / p80 |"
        yield "|---|---|"
        for name, spread in figures.items():
            if name != "unit":
                sign = "" if name == "every stream" else "+"
                yield f"| {name} | " + " / ".join(f"{spread[q]:{sign}.3f}" for q in ("p20", "p50", "p80")) + " |"


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="avjury bench kernels-cpu", description=__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="turns")
    parser.add_argument("--turns", type=int, default=10, help="media seconds of each detector")
    parser.add_argument("--results", type=Path, help="where the result goes; benchmarks/results unless told")
    options = parser.parse_args()
    pictures = list(islice(moving_pattern(WIDTH, HEIGHT), PICTURES))
    seconds = compare(sides(pictures[0], pictures[1]), repeats=options.repeats, warm_up=3)
    base = np.array(seconds["copy of both luma planes"])
    figures: dict[str, Any] = {"picture": f"{WIDTH}x{HEIGHT}, 8 bit, 4:2:0", "sound": "100 ms, stereo", "kernels": {}}
    per_second = 0.0
    for name, taken in seconds.items():
        often = PER_SECOND.get(name)
        figures["kernels"][name] = {
            "ms": quantiles([1000 * value for value in taken]),
            "over_copy": quantiles(list(np.array(taken) / base)),
            "per_second": often,
        }
        per_second += (often or 0.0) * float(np.median(taken))
    figures["share_of_a_core_for_1080p25"] = round(per_second, 4)
    figures["detectors"] = detector_costs(pictures, options.turns)
    path = write_result("kernels-cpu", figures, *([options.results] if options.results else []))
    print(json.dumps({name: value for name, value in figures.items() if name != "detectors"}, indent=1))  # noqa: T201
    print("\n".join(table(figures["detectors"])))  # noqa: T201 - the command's output
    print(path)  # noqa: T201


if __name__ == "__main__":
    main()
