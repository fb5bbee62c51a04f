"""What the kernels have to move and to compute for one stream, and how long that takes at the least.

Bytes are those that a kernel has to read or write in device memory if everything else stays in registers and caches;
operations are of the arithmetic units, rounded to what its inner loop does per sample.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from engine.detectors import DETECTORS
from engine.measure.area import AREA_INTERVAL_SECONDS
from engine.measure.blocks import BLOCKS_INTERVAL_SECONDS
from engine.measure.columns import AUDIO_COLUMNS, VIDEO_COLUMNS
from engine.measure.edges import EDGES_INTERVAL_SECONDS
from engine.measure.information import INFORMATION_INTERVAL_SECONDS
from engine.measure.jitter import JITTER_INTERVAL_SECONDS
from engine.measure.network import PIECES
from engine.measure.sharpness import SHARPNESS_INTERVAL_SECONDS
from engine.measure.tears import TEAR_INTERVAL_SECONDS
from engine.measure.texture import TEXTURE_INTERVAL_SECONDS
from engine.spec import AudioNetworkSettings
from kernels.fields.layout import SAMPLED_PAIRS
from kernels.jitter.layout import ROWS
from kernels.judge.layout import RULE_FIELDS, STATE_FIELDS
from kernels.sharpness.layout import LARGEST_CELL, LINES
from kernels.sound_repeats.layout import COARSE_POINTS, LONGEST, RING
from kernels.sound_trends.layout import STATE_SIZE as TREND_STATE_SIZE
from kernels.tear.layout import BLOCK, block_step, blocks
from kernels.temporal.layout import STATE_SIZE
from kernels.tile_stats.grid import MEASURES, TILES, row_step
from kernels.to_network import INPUTS, PIECE
from kernels.torn_blocks.layout import BLOCK as TORN_BLOCK
from models.artifact_net import ArtifactNet
from models.audio_hearing import SAMPLE_RATE, SPECTROGRAMS, STEPS, WINDOW_SAMPLES, Hearing
from models.audio_net import AudioNet

SOUND_BLOCK_BYTES: Final = 4800 * 4
# Of the audio network's spectra: samples of each step's, and seconds of which the lines of the mains are looked for.
_SPAN: Final = 2048
_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Floor:
    """One kernel's needs for one picture, or 100 ms of stereo sound.

    Args:
        kernel: its name.
        moved: bytes.
        operations: integer or floating-point.
        runs_per_second: of a stream on which nothing changes, at 30 pictures a second; 0 where no detector asks for it
            or the pictures are not of its kind.
        launches: kernels of ours in one run of a batch, whatever the number of streams; torch's own fill and copy.
        why: what the bytes are.
    """

    kernel: str
    moved: int
    operations: int
    runs_per_second: float
    launches: int
    why: str


def floors(width: int = 1920, height: int = 1080, sample_bytes: int = 1, rate: float = 30.0) -> tuple[Floor, ...]:
    """All kernels' floors for a 4:2:0 stream.

    Args:
        width, height: even.
        sample_bytes: 1 for 8 bit, 2 beyond.
        rate: pictures per second.
    """
    luma = width * height
    picture = luma * 3 // 2 * sample_bytes
    tile_rows = height // row_step(height), height // 2 // row_step(height // 2)
    tiles = (2 * tile_rows[0] * width + 2 * tile_rows[1] * (width // 2)) * sample_bytes
    looked = -(-blocks(width) // block_step(width)) * BLOCK * height
    cell = min(max((min(width, height) + LINES // 2) // LINES, 1), LARGEST_CELL)
    cells = luma // (cell * cell)
    seen = PIECES * PIECE * PIECE
    pairs = min(height // 2, SAMPLED_PAIRS)
    torn, scaled = torn_samples(width, height), scaled_samples(width, height)
    network_bytes, network_operations = network_costs()
    heard_bytes, heard_operations = audio_network_costs()
    return (
        Floor("copy out of the decoder", 2 * picture, 0, rate, 1,
              "the picture, read and written (decision of the pool)"),
        Floor("frame_stats", 3 * picture, 15 * luma, rate, 2, "the picture, its reference, and the copy that is kept"),
        Floor("tile_stats", tiles, 3 * tiles, rate, 1, "of both luma planes and of chroma the rows that are looked at"),
        Floor("temporal", (2 * STATE_SIZE + len(MEASURES) * TILES) * 8, 60 * TILES, rate, 1, "tiles, state in and out"),
        Floor("torn_blocks", 2 * torn * sample_bytes, 20 * torn, rate, 3,
              "four of sixteen rows of both luma planes; where blocks are torn, all rows"),
        Floor("scaled_blocks", 2 * scaled * sample_bytes, 20 * scaled, 0.0, 3,
              "as of `torn_blocks`, of pictures that were two thirds as large when they were coded; every picture of "
              "streams that say how large"),
        Floor("tear", 2 * looked * sample_bytes, 40 * looked, 1 / TEAR_INTERVAL_SECONDS, 2,
              "every second block or fewer of both luma planes"),
        Floor("jitter", 3 * ROWS * width * sample_bytes, 9 * ROWS * width, 1 / JITTER_INTERVAL_SECONDS, 1,
              "32 rows of luma, with those above and below"),
        Floor("texture", picture + luma * sample_bytes, 60 * luma, 1 / TEXTURE_INTERVAL_SECONDS, 4,
              "the picture, and its luma once more by blocks"),
        Floor("blockiness", 2 * luma * sample_bytes, 12 * luma, 1 / BLOCKS_INTERVAL_SECONDS, 5,
              "luma, across and down"),
        Floor("sharpness", luma * sample_bytes + 2 * cells, 2 * luma + 30 * cells, 1 / SHARPNESS_INTERVAL_SECONDS, 3,
              "luma, and its cells written and read; two launches for each eight pictures"),
        Floor("active_area", 2 * (width + height) * sample_bytes, 2 * (width + height), 1 / AREA_INTERVAL_SECONDS, 1,
              "one line of each side, where there are no bars"),
        Floor("fields", 4 * pairs * width * sample_bytes, 36 * pairs * width, 0.0, 1,
              "pairs of lines of both luma planes; interlaced pictures, each of them, and others that look combed"),
        Floor("edge_width", luma * (sample_bytes + 2 * (1 + 2 + 1)), 60 * luma, 0.0, 5,
              f"luma, and three planes written and read; every {EDGES_INTERVAL_SECONDS:.0f} s for `--report`; four "
              "launches for each eight pictures"),
        Floor("siti", 2 * luma * sample_bytes, 30 * luma, 0.0, 1,
              f"both luma planes; every {INFORMATION_INTERVAL_SECONDS:.0f} s for `--report`"),
        Floor("to_network", seen * (3 * sample_bytes + 2 * INPUTS // 4), 12 * seen, 1.0, 1,
              "pieces of both pictures, and the network's input"),
        Floor("the artifact network", network_bytes, network_operations, 1.0, 0,
              "of four pieces every layer's values written and read, in 16 bits; the libraries' own launches"),
        Floor("judge, pictures", judge_bytes("video", len(VIDEO_COLUMNS)), judge_operations("video"), rate, 1,
              "rules, and state in and out, of each detector, and the row"),
        Floor("audio_stats", 3 * 2 * SOUND_BLOCK_BYTES, 2 * 4800 * 120, 10.0, 5, "stereo samples, in three passes"),
        Floor("sound_features", 2 * SOUND_BLOCK_BYTES, 2 * 4800 * 60, 10.0, 4, "stereo samples"),
        Floor("sound_trends", 2 * 8 * TREND_STATE_SIZE, 20 * TREND_STATE_SIZE, 10.0, 1, "state in and out, at most"),
        Floor("the audio network", heard_bytes, heard_operations, AudioNetworkSettings().windows_per_second, 0,
              "two seconds of stereo samples, and every layer's values written and read, in 16 bits; the libraries' "
              "own launches"),
        Floor("sound_repeats", SOUND_BLOCK_BYTES + 4 * RING, 3 * COARSE_POINTS * LONGEST, 10.0, 3,
              "stereo samples, and 700 ms of them at 8 kHz"),
        Floor("judge, sound", judge_bytes("audio", len(AUDIO_COLUMNS)), judge_operations("audio"), 10.0, 1,
              "as of pictures"),
    )  # fmt: skip


def torn_samples(width: int, height: int) -> int:
    """Of one picture, those that `torn_blocks` reads where nothing is torn: two rows on each side of each border."""
    return 4 * (height // TORN_BLOCK) * width


def scaled_samples(width: int, height: int) -> int:
    """The same of `scaled_blocks`, of a picture that was two thirds as large when it was coded."""
    return 4 * (height * 2 // 3 // TORN_BLOCK) * width


def torn_loads(width: int = 1920, height: int = 1080) -> int:
    """Loads of `torn_blocks`, each of one sample by one thread, where nothing is torn. A border is that of the blocks
    above and below it, and read for each.
    """
    return 2 * 2 * torn_samples(width, height)


def _detectors(track: str) -> int:
    return sum(declared.track == track for declared in DETECTORS)


def judge_bytes(track: str, columns: int) -> int:
    """Of one row: the rules and the state of each detector, state written again, and the row's measures."""
    return 8 * (_detectors(track) * (RULE_FIELDS + 2 * STATE_FIELDS) + columns)


def judge_operations(track: str) -> int:
    """Of one row: some sixty per detector and level of dominance, and each with each for who dominates whom."""
    count, levels = _detectors(track), 3
    return levels * count * (60 + 3 * count)


def network_costs(pieces: int = PIECES) -> tuple[int, int]:
    """Bytes and operations of the artifact network for so many pieces of a picture, in 16 bits."""
    net = ArtifactNet().folded()
    return _convolutions(net, lambda: net(torch.zeros((pieces, INPUTS, PIECE // 2, PIECE // 2))))


def audio_network_costs() -> tuple[int, int]:
    """Bytes and operations of the audio network for a window: its samples, spectra, and convolutions in 16 bits."""
    net, hearing = AudioNet().folded(), Hearing()
    moved, operations = _convolutions(net, lambda: net(hearing(torch.zeros((1, 2, WINDOW_SAMPLES)))))
    # A transform of n real samples takes half of the 5 n log2 n operations of one of complex ones.
    lengths = [_SPAN] * (SPECTROGRAMS * STEPS) + [SAMPLE_RATE] * _LINES
    transforms = sum(2.5 * n * math.log2(n) for n in lengths)
    return moved + 2 * 4 * WINDOW_SAMPLES, operations + round(transforms)


def _convolutions(net: nn.Module, run: Callable[[], Any]) -> tuple[int, int]:
    """Bytes that the convolutions of a network write and read while it runs, in 16 bits, and their operations."""
    moved = operations = 0

    def counted(layer: Any, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal moved, operations
        moved += 2 * (given[0].numel() + result.numel())
        operations += 2 * result.numel() * layer.weight[0].numel()

    hooks = [m.register_forward_hook(counted) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return moved, operations


def bytes_per_stream_second(given: tuple[Floor, ...]) -> float:
    """Device memory traffic of one stream in one second."""
    return sum(floor.moved * floor.runs_per_second for floor in given)
