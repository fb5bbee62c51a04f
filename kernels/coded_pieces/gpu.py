"""coded_pieces on CUDA: Triton, one launch; a program per piece, picture and BLOCK of samples of one plane.

Each thread reads the lines around its own samples, one sample at a time, most of which the threads beside it read too.
A call is of a few pieces now and then, so that nothing here is tuned.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

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

# Samples of a program: the largest power of two that a plane of chroma is a multiple of. It changes no number.
BLOCK = 256

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_CROP_FIELDS, _AXES, _LINES, _TAPS = (tl.constexpr(n) for n in (CROP_FIELDS, AXES, LINES, TAPS))
_PIECE, _CELLS, _SAMPLES = tl.constexpr(PIECE), tl.constexpr(CELLS), tl.constexpr(SAMPLES)
_MIDDLE, _MOST = tl.constexpr(MIDDLE), tl.constexpr((1 << CODE_BITS) - 1)
# Two weights' bits, less the result's.
_EXCESS = tl.constexpr(2 * WEIGHT_BITS - CODE_BITS)
# Where the picture and its reference have the same columns.
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP, _SHIFT = tl.constexpr(int(Field.CHROMA_STEP)), tl.constexpr(int(Field.SHIFT))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH = tl.constexpr(int(Field.BIT_DEPTH))
_ROW = tl.constexpr(int(CropField.ROW))


@triton.jit
def _codes(address, offset, depth, shift, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int32)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int32)
    return stored >> shift


@triton.jit
def _within(place, size):
    return tl.minimum(tl.maximum(place, 0), size - 1)


@triton.jit
def _scaled(
    address, pitch, step, width, height, depth, shift, first, weights, taps, taps_across, place, inside,
    SIZE: tl.constexpr,
):  # fmt: skip
    """Samples at `place` in a plane of SIZE x SIZE, whose rows' and columns' tables are at `first` and `weights`."""
    i, j = place // SIZE, place % SIZE + SIZE
    y_first = tl.load(first + i, mask=inside, other=0)
    x_first = tl.load(first + j, mask=inside, other=0)
    total = tl.zeros(place.shape, tl.int64)
    tap = tl.zeros((), tl.int64)
    while tap < taps:
        line = _within(y_first + tap, height) * pitch
        # At most 24 * 256 weights in all, of codes below 2**16: within 31 bits.
        between = tl.zeros(place.shape, tl.int32)
        across = tl.zeros((), tl.int64)
        while across < taps_across:
            weight = tl.load(weights + j * _TAPS + across, mask=inside, other=0).to(tl.int32)
            x = _within(x_first + across, width)
            between += weight * _codes(address, line + x * step, depth, shift, inside)
            across += 1
        total += tl.load(weights + i * _TAPS + tap, mask=inside, other=0) * between
        tap += 1
    excess = depth + _EXCESS
    rounded = (total + (tl.full((), 1, tl.int64) << (excess - 1))) >> excess
    return tl.minimum(tl.maximum(rounded, 0), _MOST)


@triton.jit
def _coded_kernel(frames, references, crops, firsts, all_weights, all_counts, out, BLOCK: tl.constexpr):
    piece = tl.program_id(0).to(tl.int64)
    counts = all_counts + piece * _AXES
    if tl.load(counts) > 0:
        row = tl.load(crops + piece * _CROP_FIELDS + _ROW)
        frame = frames + row * _FIELDS
        picture = frame
        if tl.program_id(2) == 1:
            picture = references + row * _REFERENCE_FIELDS
        if tl.load(picture + _LUMA) != 0:
            depth, shift = tl.load(frame + _BIT_DEPTH), tl.load(frame + _SHIFT).to(tl.int32)
            word = tl.where(depth > 8, 2, 1)
            first, weights = firsts + piece * _LINES, all_weights + piece * (_LINES * _TAPS)
            own = out + (piece * 2 + tl.program_id(2)) * _SAMPLES
            luma_blocks: tl.constexpr = tl.cdiv(_PIECE * _PIECE, BLOCK)
            chroma_blocks: tl.constexpr = tl.cdiv(_CELLS * _CELLS, BLOCK)
            block = tl.program_id(1)
            if block < luma_blocks:
                place = block * BLOCK + tl.arange(0, BLOCK)
                inside = place < _PIECE * _PIECE
                value = _scaled(
                    tl.load(picture + _LUMA), tl.load(picture + _LUMA_PITCH) // word, 1, tl.load(frame + _WIDTH),
                    tl.load(frame + _HEIGHT), depth, shift, first, weights, tl.load(counts), tl.load(counts + 1),
                    place, inside, _PIECE,
                )  # fmt: skip
                tl.store(own + place, value.to(tl.int16), mask=inside)
            else:
                block -= luma_blocks
                component = block // chroma_blocks
                place = block % chroma_blocks * BLOCK + tl.arange(0, BLOCK)
                inside = place < _CELLS * _CELLS
                value = tl.full((BLOCK,), _MIDDLE, tl.int64)
                if tl.load(counts + 2) > 0:
                    value = _scaled(
                        tl.load(picture + _U + component), tl.load(picture + _CHROMA_PITCH) // word,
                        tl.load(frame + _CHROMA_STEP), tl.load(frame + _CHROMA_WIDTH), tl.load(frame + _CHROMA_HEIGHT),
                        depth, shift, first + 2 * _PIECE, weights + 2 * _PIECE * _TAPS, tl.load(counts + 2),
                        tl.load(counts + 3), place, inside, _CELLS,
                    )  # fmt: skip
                own += _PIECE * _PIECE + component * (_CELLS * _CELLS)
                tl.store(own + place, value.to(tl.int16), mask=inside)


def coded_pieces(frames: Tensor, references: Tensor, crops: Tensor, *, block: int = BLOCK) -> Tensor:
    """The op's CUDA implementation; see kernels/coded_pieces/op.py. The tables are checked and contiguous.

    Args:
        frames, references, crops: as of the op.
        block: samples of a program, a power of two.
    """
    count = crops.shape[0]
    out = torch.zeros((count, 2, SAMPLES), dtype=torch.int16, device=frames.device)
    if count:
        taps = taps_of(frames, crops)
        blocks = triton.cdiv(PIECE * PIECE, block) + 2 * triton.cdiv(CELLS * CELLS, block)
        _coded_kernel[(count, blocks, 2)](frames, references, crops, *taps, out, BLOCK=block)
    return out
