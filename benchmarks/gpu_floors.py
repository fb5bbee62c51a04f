"""What the kernels have to move and to compute for one stream, and how long that takes at the least.

Bytes are those that a kernel has to read or write in device memory if everything else stays in registers and caches;
operations are of the arithmetic units, rounded to what its inner loop does per sample.
"""

from dataclasses import dataclass
from typing import Final

from engine.measure.area import AREA_INTERVAL_SECONDS
from engine.measure.blocks import BLOCKS_INTERVAL_SECONDS
from engine.measure.network import PIECES
from engine.measure.sharpness import SHARPNESS_INTERVAL_SECONDS
from engine.measure.tears import TEAR_INTERVAL_SECONDS
from engine.measure.texture import TEXTURE_INTERVAL_SECONDS
from kernels.sharpness.layout import LARGEST_CELL, LINES
from kernels.tear.layout import BLOCK, block_step, blocks
from kernels.temporal.layout import STATE_SIZE
from kernels.tile_stats.grid import MEASURES, TILES, row_step
from kernels.to_network import INPUTS, PIECE

SOUND_BLOCK_BYTES: Final = 4800 * 4


@dataclass(frozen=True, slots=True)
class Floor:
    """One kernel's needs for one picture, or 100 ms of stereo sound.

    Args:
        kernel: its name.
        moved: bytes.
        operations: integer or floating-point.
        runs_per_second: of a stream on which nothing changes, at 30 pictures a second.
        why: what the bytes are.
    """

    kernel: str
    moved: int
    operations: int
    runs_per_second: float
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
    return (
        Floor("copy out of the decoder", 2 * picture, 0, rate, "the picture, read and written (decision of the pool)"),
        Floor("frame_stats", 3 * picture, 15 * luma, rate, "the picture, its reference, and the copy that is kept"),
        Floor("tile_stats", tiles, 3 * tiles, rate, "of both luma planes and of chroma the rows that are looked at"),
        Floor("temporal", (2 * STATE_SIZE + len(MEASURES) * TILES) * 8, 60 * TILES, rate, "tiles, state in and out"),
        Floor("torn_blocks", 2 * luma * sample_bytes, 4 * luma, rate, "both luma planes, at most"),
        Floor(
            "tear", 2 * looked * sample_bytes, 40 * looked, 1 / TEAR_INTERVAL_SECONDS,
            "every second block or fewer of both luma planes",
        ),
        Floor("texture", picture + luma * sample_bytes, 60 * luma, 1 / TEXTURE_INTERVAL_SECONDS,
              "the picture, and its luma once more by blocks"),
        Floor("blockiness", 2 * luma * sample_bytes, 12 * luma, 1 / BLOCKS_INTERVAL_SECONDS, "luma, across and down"),
        Floor("sharpness", luma * sample_bytes + 2 * cells, 2 * luma + 30 * cells, 1 / SHARPNESS_INTERVAL_SECONDS,
              "luma, and its cells written and read"),
        Floor("active_area", 2 * (width + height) * sample_bytes, 2 * (width + height), 1 / AREA_INTERVAL_SECONDS,
              "one line of each side, where there are no bars"),
        Floor("to_network", seen * (3 * sample_bytes + 2 * INPUTS // 4), 12 * seen, 1.0,
              "pieces of both pictures, and the network's input"),
        Floor("audio_stats", 3 * 2 * SOUND_BLOCK_BYTES, 2 * 4800 * 120, 10.0, "stereo samples, in three passes"),
        Floor("sound_features", 2 * SOUND_BLOCK_BYTES, 2 * 4800 * 60, 10.0, "stereo samples"),
    )  # fmt: skip


def bytes_per_stream_second(given: tuple[Floor, ...]) -> float:
    """Device memory traffic of one stream in one second."""
    return sum(floor.moved * floor.runs_per_second for floor in given)
