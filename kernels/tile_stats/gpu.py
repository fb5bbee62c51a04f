"""tile_stats on CUDA: Triton, one launch; a program per picture and tile, which reads the tile's sampled rows.

Bytes of an 8-bit 4:2:0 picture of 1920x1080: a tenth of the luma rows, of it and of its reference, and a fifth of the
chroma rows: 0.41 MB + 0.21 MB, 0.2 us at 3.35 TB/s. Worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.tile_stats.grid import (
    MEASURES,
    SAMPLED_ROWS,
    SMALLEST_HEIGHT,
    SMALLEST_WIDTH,
    TILE_COLUMNS,
    TILE_ROWS,
    TILES,
)
from kernels.tuning import Blocks, blocks_on

_FIELDS = tl.constexpr(FRAME_FIELDS)
_REFERENCE_FIELDS = tl.constexpr(REFERENCE_FIELDS)
_MEASURES = tl.constexpr(len(MEASURES))
_TILES, _TILE_ROWS, _TILE_COLUMNS = tl.constexpr(TILES), tl.constexpr(TILE_ROWS), tl.constexpr(TILE_COLUMNS)
_SMALLEST_WIDTH, _SMALLEST_HEIGHT = tl.constexpr(SMALLEST_WIDTH), tl.constexpr(SMALLEST_HEIGHT)
_SAMPLED_ROWS = tl.constexpr(SAMPLED_ROWS)
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP = tl.constexpr(int(Field.CHROMA_STEP))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))


@triton.jit
def _codes(address, offset, depth, shift, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int32)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int32)
    return stored >> shift


@triton.jit
def _tile(first, pitch, second, second_pitch, step, width, height, depth, shift, tile, BLOCK: tl.constexpr):
    """Sum of a tile's codes, sum of their differences from the second plane, and how many samples were looked at."""
    tile_row = tile // _TILE_COLUMNS
    tile_column = tile % _TILE_COLUMNS
    left = tile_column * width // _TILE_COLUMNS
    right = (tile_column + 1) * width // _TILE_COLUMNS
    end = (tile_row + 1) * height // _TILE_ROWS
    distance = tl.maximum(height // _SAMPLED_ROWS, 1)
    phase = distance // 2
    y = tile_row * height // _TILE_ROWS
    y += (phase - y % distance + distance) % distance
    word = tl.where(depth > 8, 2, 1)
    total = tl.zeros((), tl.int64)
    change = tl.zeros((), tl.int64)
    rows = tl.zeros((), tl.int64)
    while y < end:
        x = left
        while x < right:
            at = x + tl.arange(0, BLOCK)
            inside = at < right
            here = _codes(first, y * (pitch // word) + at * step, depth, shift, inside)
            total += tl.sum(here, axis=0).to(tl.int64)
            if second != 0:
                there = _codes(second, y * (second_pitch // word) + at, depth, shift, inside)
                change += tl.sum(tl.abs(here - there), axis=0).to(tl.int64)
            x += BLOCK
        rows += 1
        y += distance
    return total, change, rows * (right - left)


@triton.jit
def _tile_kernel(frames, references, out, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    luma = tl.load(frame + _LUMA)
    width = tl.load(frame + _WIDTH)
    height = tl.load(frame + _HEIGHT)
    if (luma != 0) & (width >= _SMALLEST_WIDTH) & (height >= _SMALLEST_HEIGHT):
        depth = tl.load(frame + _BIT_DEPTH)
        shift = tl.load(frame + _SHIFT).to(tl.int32)
        full = (tl.full((), 1, tl.int64) << depth).to(tl.float64)
        reference = references + picture * _REFERENCE_FIELDS
        earlier = tl.load(reference + _R_LUMA)
        row = out + picture * _MEASURES * _TILES + tile
        total, change, samples = _tile(
            luma, tl.load(frame + _LUMA_PITCH), earlier, tl.load(reference + _R_LUMA_PITCH), 1, width, height, depth,
            shift, tile, BLOCK,
        )  # fmt: skip
        weight = samples.to(tl.float64) * full  # below 2**53: exact
        tl.store(row, total.to(tl.float64) / weight)
        if earlier != 0:
            tl.store(row + _TILES, change.to(tl.float64) / weight)
        width = tl.load(frame + _CHROMA_WIDTH)
        height = tl.load(frame + _CHROMA_HEIGHT)
        if (width >= _SMALLEST_WIDTH) & (height >= _SMALLEST_HEIGHT):
            pitch = tl.load(frame + _CHROMA_PITCH)
            step = tl.load(frame + _CHROMA_STEP)
            none = tl.zeros((), tl.int64)
            u, change, samples = _tile(
                tl.load(frame + _U), pitch, none, none, step, width, height, depth, shift, tile, BLOCK
            )
            v, change, samples = _tile(
                tl.load(frame + _V), pitch, none, none, step, width, height, depth, shift, tile, BLOCK
            )
            weight = samples.to(tl.float64) * full
            tl.store(row + 2 * _TILES, u.to(tl.float64) / weight)
            tl.store(row + 3 * _TILES, v.to(tl.float64) / weight)


def tile_stats(frames: Tensor, references: Tensor, *, blocks: Blocks | None = None) -> Tensor:
    """The op's CUDA implementation; see kernels/tile_stats/op.py. The tables are checked and contiguous."""
    blocks = blocks or blocks_on("tile_stats", frames.device)
    count = frames.shape[0]
    out = torch.full((count, len(MEASURES), TILES), torch.nan, dtype=torch.float64, device=frames.device)
    if count:
        _tile_kernel[(count, TILES)](frames, references, out, BLOCK=blocks.tile[0], num_warps=blocks.warps)
    return out
