"""coded_pieces on the CPU: numba, one core per piece, without the GIL, planes read in place."""

import numpy as np
import torch
from numba.np.numpy_support import carray
from torch import Tensor

from kernels.addresses import samples_at
from kernels.coded_pieces.layout import (
    CELLS,
    CODE_BITS,
    CROP_FIELDS,
    MIDDLE,
    PIECE,
    SAMPLES,
    TAPS,
    WEIGHT_BITS,
    CropField,
)
from kernels.coded_pieces.taps import AXES, LINES, taps_of
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field
from kernels.rows import compiled
from kernels.workers import for_each_row

_LUMA, _LUMA_PITCH, _SHIFT = int(Field.LUMA_ADDRESS), int(Field.LUMA_PITCH), int(Field.SHIFT)
_CHROMA_PITCH, _CHROMA_STEP = int(Field.CHROMA_PITCH), int(Field.CHROMA_STEP)
_WIDTH, _HEIGHT, _BIT_DEPTH = int(Field.WIDTH), int(Field.HEIGHT), int(Field.BIT_DEPTH)
_CHROMA_WIDTH, _CHROMA_HEIGHT = int(Field.CHROMA_WIDTH), int(Field.CHROMA_HEIGHT)
_ROW = int(CropField.ROW)
_MOST = (1 << CODE_BITS) - 1


@compiled
def _within(place, size):
    return min(max(place, 0), size - 1)


@compiled
def _fill_plane(address, pitch, step, frame, width, height, rows, columns, like, out):
    """One plane of a piece.

    Args:
        rows, columns: first line, weights, and number of weights, of each line of the piece.
        out: (lines, lines).
    """
    (first, weights, taps), (first_across, weights_across, taps_across) = rows, columns
    lines, shift = out.shape[0], frame[_SHIFT]
    # Two weights' bits more than the code, brought to the bits of the result.
    excess = 2 * WEIGHT_BITS + frame[_BIT_DEPTH] - CODE_BITS
    half = np.int64(1) << (excess - 1)
    left = _within(first_across[0], width)
    span = _within(first_across[lines - 1] + taps_across - 1, width) + 1 - left
    between = np.empty(span, np.int64)  # a row of the piece, not scaled across yet
    for i in range(lines):
        between[:] = 0
        for tap in range(taps):
            weight = weights[i, tap]
            if weight == 0:
                continue
            row = samples_at(address + _within(first[i] + tap, height) * pitch, like)
            for j in range(span):
                between[j] += weight * np.int64(row[(left + j) * step] >> shift)
        for j in range(lines):
            total = half
            for tap in range(taps_across):
                total += weights_across[j, tap] * between[_within(first_across[j] + tap, width) - left]
            out[i, j] = min(max(total >> excess, 0), _MOST)


@compiled
def _fill(frame, reference, first, weights, counts, like, out):
    """All planes of a piece of both pictures."""
    for time in range(2):
        picture = frame if time == 0 else reference  # whose columns are the same as far as they are read here
        if picture[_LUMA] == 0:
            continue
        for plane in range(3):
            count, pitch, step = PIECE, picture[_LUMA_PITCH], np.int64(1)
            width, height, axis, rows, start = frame[_WIDTH], frame[_HEIGHT], 0, 0, 0
            if plane > 0:
                count, pitch, step = CELLS, picture[_CHROMA_PITCH], frame[_CHROMA_STEP]
                width, height, axis, rows = frame[_CHROMA_WIDTH], frame[_CHROMA_HEIGHT], 2, 2 * PIECE
                start = PIECE * PIECE + (plane - 1) * (CELLS * CELLS)
            into = out[time, start : start + count * count]
            if counts[axis] == 0:
                into[:] = MIDDLE
                continue
            columns = rows + count
            _fill_plane(
                picture[_LUMA + plane], pitch, step, frame, width, height,
                (first[rows:columns], weights[rows:columns], counts[axis]),
                (first[columns : columns + count], weights[columns : columns + count], counts[axis + 1]),
                like, into.reshape((count, count)),
            )  # fmt: skip


@compiled
def _fill_piece(frames, references, crops, firsts, all_weights, all_counts, index, outs):
    """One piece of the tables at these addresses."""
    counts = carray(samples_at(all_counts + index * (8 * AXES), np.int64(0)), (AXES,))
    if counts[0] == 0:
        return
    row = carray(samples_at(crops + index * (8 * CROP_FIELDS), np.int64(0)), (CROP_FIELDS,))[_ROW]
    frame = carray(samples_at(frames + row * (8 * FRAME_FIELDS), np.int64(0)), (FRAME_FIELDS,))
    reference = carray(samples_at(references + row * (8 * REFERENCE_FIELDS), np.int64(0)), (REFERENCE_FIELDS,))
    first = carray(samples_at(firsts + index * (8 * LINES), np.int64(0)), (LINES,))
    weights = carray(samples_at(all_weights + index * (8 * LINES * TAPS), np.int64(0)), (LINES, TAPS))
    out = carray(samples_at(outs + index * (2 * 2 * SAMPLES), np.int16(0)), (2, SAMPLES))
    if frame[_BIT_DEPTH] == 8:
        _fill(frame, reference, first, weights, counts, np.uint8(0), out)
    else:
        _fill(frame, reference, first, weights, counts, np.uint16(0), out)


def coded_pieces(frames: Tensor, references: Tensor, crops: Tensor) -> Tensor:
    """The op's CPU implementation; see kernels/coded_pieces/op.py. The tables are checked and contiguous."""
    count = crops.shape[0]
    out = torch.zeros((count, 2, SAMPLES), dtype=torch.int16)
    first, weights, counts = taps_of(frames, crops)
    tables = frames.data_ptr(), references.data_ptr(), crops.data_ptr()
    taps = first.data_ptr(), weights.data_ptr(), counts.data_ptr()
    target = out.data_ptr()
    for_each_row(lambda index: _fill_piece(*tables, *taps, index, target), count)
    return out
