"""tile_stats on the CPU: numba, one core per picture, without the GIL, planes read in place.

The columns of the sampled rows are added up first, tile by tile afterwards: tiles are too narrow for long vectors.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import codes, compiled
from kernels.tile_stats.grid import (
    MEASURES,
    SMALLEST_HEIGHT,
    SMALLEST_WIDTH,
    TILE_COLUMNS,
    TILE_ROWS,
    TILES,
    row_step,
)
from kernels.workers import for_each_row

_N_MEASURES: Final = len(MEASURES)
_LUMA, _U, _V = int(Field.LUMA_ADDRESS), int(Field.U_ADDRESS), int(Field.V_ADDRESS)
_LUMA_PITCH, _CHROMA_PITCH = int(Field.LUMA_PITCH), int(Field.CHROMA_PITCH)
_CHROMA_STEP, _WIDTH, _HEIGHT = int(Field.CHROMA_STEP), int(Field.WIDTH), int(Field.HEIGHT)
_CHROMA_WIDTH, _CHROMA_HEIGHT = int(Field.CHROMA_WIDTH), int(Field.CHROMA_HEIGHT)
_BIT_DEPTH, _SHIFT = int(Field.BIT_DEPTH), int(Field.SHIFT)
_R_LUMA, _R_LUMA_PITCH = int(ReferenceField.LUMA_ADDRESS), int(ReferenceField.LUMA_PITCH)

_row_step = compiled(row_step)


@compiled
def _every_second(address, count, buffer_address, like):
    """Gather one component of interleaved chroma into the buffer."""
    stored = samples_at(address, like)
    gathered = samples_at(buffer_address, like)
    for i in range(count):
        gathered[i] = stored[2 * i]
    return buffer_address


@compiled
def _add_row(row, count, sums, wide):
    for i in range(count):
        sums[i] = wide(sums[i] + wide(row[i]))


@compiled
def _add_differences(row, earlier, count, sums, word, wide):
    for i in range(count):
        sums[i] = wide(sums[i] + wide(word(max(row[i], earlier[i]) - min(row[i], earlier[i]))))


@compiled
def _sum(sums, count):
    total = np.uint32(0)  # of at most 2048 columns, 24 rows and 16 bits
    for i in range(count):
        total = np.uint32(total + np.uint32(sums[i]))
        sums[i] = 0
    return np.int64(total)


@compiled
def _close_tiles(sums_at, zero, wide_bytes, width, weight, out, first):
    """Tile means of one row of tiles from its columns' sums, which begin anew; `weight`: rows times full scale."""
    for c in range(TILE_COLUMNS):
        left = c * width // TILE_COLUMNS
        columns = (c + 1) * width // TILE_COLUMNS - left
        total = _sum(samples_at(sums_at + left * wide_bytes, zero), columns)
        out[first + c] = np.float64(total) / np.float64(weight * columns)


@compiled
def _plane(
    first, pitch, second, second_pitch, step, width, height, shift, full, buffers, sums, like, word, zero, wide, out,
    differences,
):  # fmt: skip
    """Tile means of a plane into `out`, and of its difference from a second plane (address 0: none).

    Columns are added up over the rows of a row of tiles, in long runs; only then are they cut into tiles. `like` and
    `zero` are zeros of the sample's and of the sums' types, `word` and `wide`.
    """
    distance = _row_step(height)
    held, held_bytes = np.int64(buffers.ctypes.data), np.int64(buffers.strides[0])
    sums_at, changes_at = np.int64(sums.ctypes.data), np.int64(sums.ctypes.data) + np.int64(sums.strides[0])
    wide_bytes = np.int64(sums.strides[1])
    rows = np.int64(0)
    tile_row = 0
    y = distance // 2
    while tile_row < TILE_ROWS:
        if y >= (tile_row + 1) * height // TILE_ROWS:
            _close_tiles(sums_at, zero, wide_bytes, width, rows * full, out, tile_row * TILE_COLUMNS)
            if second != 0:
                _close_tiles(changes_at, zero, wide_bytes, width, rows * full, differences, tile_row * TILE_COLUMNS)
            rows = np.int64(0)
            tile_row += 1
            continue
        at = first + y * pitch
        if step == 2:
            at = _every_second(at, width, held + 2 * held_bytes, like)
        row = codes(at, width, shift, held, like)
        _add_row(row, width, samples_at(sums_at, zero), wide)
        if second != 0:
            earlier = codes(second + y * second_pitch, width, shift, held + held_bytes, like)
            _add_differences(row, earlier, width, samples_at(changes_at, zero), word, wide)
        rows += 1
        y += distance


@compiled
def _measure(frame, reference, like, word, zero, wide, buffers, sums, out):
    width, height, shift = frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT]
    full = np.int64(1) << frame[_BIT_DEPTH]
    _plane(
        frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH], np.int64(1), width, height,
        shift, full, buffers, sums, like, word, zero, wide, out[0], out[1],
    )  # fmt: skip
    width, height = frame[_CHROMA_WIDTH], frame[_CHROMA_HEIGHT]
    if width >= SMALLEST_WIDTH and height >= SMALLEST_HEIGHT:
        for component in range(2):
            _plane(
                frame[_U] if component == 0 else frame[_V], frame[_CHROMA_PITCH], np.int64(0), np.int64(0),
                frame[_CHROMA_STEP], width, height, shift, full, buffers, sums, like, word, zero, wide,
                out[2 + component], out[1],
            )  # fmt: skip


@compiled
def measure_row(frames_address, references_address, index, out_address):
    """One row; the tables and the results by their addresses."""
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * (8 * _N_MEASURES * TILES), np.float64(0)), (_N_MEASURES, TILES))
    out[:] = np.nan
    if frame[_LUMA] == 0 or frame[_WIDTH] < SMALLEST_WIDTH or frame[_HEIGHT] < SMALLEST_HEIGHT:
        return
    widest = max(frame[_WIDTH], frame[_CHROMA_WIDTH])
    # Two rows of shifted codes and one of gathered chroma; of words, which also hold bytes.
    buffers = np.empty((3, widest), np.uint16)
    if frame[_BIT_DEPTH] == 8:
        # A row of tiles has at most 24 of the sampled rows: their sums fit 16 bits.
        sums = np.zeros((2, widest), np.uint16)
        _measure(frame, reference, np.uint8(0), np.uint8, np.uint16(0), np.uint16, buffers, sums, out)
        sums[0, 0] = 0  # used through its address, as the buffers: a mention keeps it alive until here
    else:
        words = np.zeros((2, widest), np.uint32)
        _measure(frame, reference, np.uint16(0), np.uint16, np.uint32(0), np.uint32, buffers, words, out)
        words[0, 0] = 0
    buffers[0, 0] = 0


def tile_stats(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/tile_stats/op.py. The tables are checked and contiguous."""
    out = torch.empty((frames.shape[0], _N_MEASURES, TILES), dtype=torch.float64)
    tile_stats_into(frames, references, out.data_ptr())
    return out


def tile_stats_into(frames: Tensor, references: Tensor, address: int) -> None:
    """As `tile_stats`, with the result written to float64 memory of the caller's, one row after the other."""
    count = frames.shape[0]
    tables = frames.data_ptr(), references.data_ptr()
    for_each_row(lambda row: measure_row(*tables, row, address), count)
