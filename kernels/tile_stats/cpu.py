"""tile_stats on the CPU: numba, one core per picture, without the GIL, planes read in place.

Each sampled row is walked tile by tile with the processor's own instruction for sums of absolute differences.
"""

from typing import Final

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.rows import codes, compiled, sum_of_differences
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
def _plane(first, pitch, second, second_pitch, step, width, height, shift, full, buffers, like, size, out, differences):
    """Tile means of a plane into `out`, and of its difference from a second plane (address 0: none)."""
    distance = _row_step(height)
    held, held_bytes = np.int64(buffers.ctypes.data), np.int64(buffers.strides[0])
    buffers[2, :] = 0
    zeros = samples_at(held + 2 * held_bytes, like)
    rows = np.int64(0)
    sums = np.zeros(TILE_COLUMNS, np.int64)
    changes = np.zeros(TILE_COLUMNS, np.int64)
    tile_row = 0
    y = distance // 2
    while tile_row < TILE_ROWS:
        end = (tile_row + 1) * height // TILE_ROWS
        if y >= end:
            for c in range(TILE_COLUMNS):
                columns = (c + 1) * width // TILE_COLUMNS - c * width // TILE_COLUMNS
                samples = np.float64(rows * columns * full)
                out[tile_row * TILE_COLUMNS + c] = np.float64(sums[c]) / samples
                if second != 0:
                    differences[tile_row * TILE_COLUMNS + c] = np.float64(changes[c]) / samples
            sums[:] = 0
            changes[:] = 0
            rows = np.int64(0)
            tile_row += 1
            continue
        at = first + y * pitch
        if step == 2:
            at = _every_second(at, width, held + 3 * held_bytes, like)
        codes(at, width, shift, held, like)
        here = at if shift == 0 else held
        there = np.int64(0)
        if second != 0:
            there = second + y * second_pitch
            codes(there, width, shift, held + held_bytes, like)
            there = there if shift == 0 else held + held_bytes
        for c in range(TILE_COLUMNS):
            left = c * width // TILE_COLUMNS
            columns = (c + 1) * width // TILE_COLUMNS - left
            row = samples_at(here + left * size, like)
            sums[c] += sum_of_differences(row, zeros, columns)
            if second != 0:
                changes[c] += sum_of_differences(row, samples_at(there + left * size, like), columns)
        rows += 1
        y += distance


@compiled
def _measure(frame, reference, like, size, buffers, out):
    width, height, shift = frame[_WIDTH], frame[_HEIGHT], frame[_SHIFT]
    full = np.int64(1) << frame[_BIT_DEPTH]
    _plane(
        frame[_LUMA], frame[_LUMA_PITCH], reference[_R_LUMA], reference[_R_LUMA_PITCH], np.int64(1), width, height,
        shift, full, buffers, like, size, out[0], out[1],
    )  # fmt: skip
    width, height = frame[_CHROMA_WIDTH], frame[_CHROMA_HEIGHT]
    if width >= SMALLEST_WIDTH and height >= SMALLEST_HEIGHT:
        for component in range(2):
            _plane(
                frame[_U] if component == 0 else frame[_V], frame[_CHROMA_PITCH], np.int64(0), np.int64(0),
                frame[_CHROMA_STEP], width, height, shift, full, buffers, like, size, out[2 + component], out[1],
            )  # fmt: skip


@compiled
def _measure_row(frames_address, references_address, index, out_address):
    frame = carray(samples_at(frames_address + index * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(
        samples_at(references_address + index * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,)
    )
    out = carray(samples_at(out_address + index * (8 * _N_MEASURES * TILES), np.float64(0)), (_N_MEASURES, TILES))
    out[:] = np.nan
    if frame[_LUMA] == 0 or frame[_WIDTH] < SMALLEST_WIDTH or frame[_HEIGHT] < SMALLEST_HEIGHT:
        return
    # Two rows of shifted codes, one of zeros, one of gathered chroma; of words, which also hold bytes.
    buffers = np.empty((4, max(frame[_WIDTH], frame[_CHROMA_WIDTH])), np.uint16)
    if frame[_BIT_DEPTH] == 8:
        _measure(frame, reference, np.uint8(0), 1, buffers, out)
    else:
        _measure(frame, reference, np.uint16(0), 2, buffers, out)
    buffers[0, 0] = 0  # used through its address above: a mention keeps it alive until here


def tile_stats(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/tile_stats/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    out = torch.empty((count, _N_MEASURES, TILES), dtype=torch.float64)
    tables = frames.data_ptr(), references.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda row: _measure_row(*tables, row, target), count)
    return out
