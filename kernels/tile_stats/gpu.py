"""tile_stats on CUDA: Triton, one launch; a program per picture and tile, which reads the tile's sampled rows.

A program reads ROWS of a tile's sampled rows at a time. Where planes are aligned it begins a row at the 16-byte
boundary before the tile and leaves out what is not the tile's, so that each load of a thread takes 16 bytes.
Interleaved chroma is read once for both components.

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
def _codes(address, pitch, y, x, end, width, shift, WORD: tl.constexpr, ALIGNED: tl.constexpr):
    mask = (y < end)[:, None] & (x < width)[None, :]
    # A plane has less than 2**31 samples; addresses of 64 bits each would take twice the registers.
    within = y.to(tl.int32)[:, None] * pitch.to(tl.int32) + x.to(tl.int32)[None, :]
    places = address.to(tl.pointer_type(WORD)) + within
    if ALIGNED:
        # The address comes from a table, so that Triton knows nothing of it.
        places = tl.max_contiguous(tl.multiple_of(places, (1, 16)), (1, 16))
        mask = tl.max_constancy(mask, (1, 16))
    return tl.load(places, mask=mask, other=0).to(tl.int32) >> shift


@triton.jit
def _tile(
    first, pitch, second, second_pitch, width, height, step, shift, tile,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Sums of a tile's codes at even and at odd places of the rows of a plane, of their differences from the second
    plane, and how many samples of a component were looked at.

    `step` components of `width` samples each lie interleaved in the plane, at most two.
    """
    tile_row = tile // _TILE_COLUMNS
    tile_column = tile % _TILE_COLUMNS
    left = tile_column * width // _TILE_COLUMNS * step
    right = (tile_column + 1) * width // _TILE_COLUMNS * step
    end = (tile_row + 1) * height // _TILE_ROWS
    distance = tl.maximum(height // _SAMPLED_ROWS, 1)
    phase = distance // 2
    begin = tile_row * height // _TILE_ROWS
    begin += (phase - begin % distance + distance) % distance
    stride = pitch // (WORD.primitive_bitwidth // 8)
    second_stride = second_pitch // (WORD.primitive_bitwidth // 8)
    even = tl.zeros((), tl.int64)
    odd = tl.zeros((), tl.int64)
    change = tl.zeros((), tl.int64)
    y_begin = begin
    while y_begin < end:
        y = y_begin + tl.arange(0, ROWS) * distance
        x_begin = left
        if ALIGNED:
            x_begin = left // 16 * 16
        while x_begin < right:
            x = x_begin + tl.arange(0, COLS)
            own = (y < end)[:, None] & ((x >= left) & (x < right))[None, :]
            here = tl.where(own, _codes(first, stride, y, x, end, width * step, shift, WORD, ALIGNED), 0)
            odd_here = tl.sum(tl.sum(tl.where((x % 2 == 1)[None, :], here, 0), axis=1), axis=0).to(tl.int64)
            even += tl.sum(tl.sum(here, axis=1), axis=0).to(tl.int64) - odd_here
            odd += odd_here
            if second != 0:
                there = tl.where(own, _codes(second, second_stride, y, x, end, width * step, shift, WORD, ALIGNED), 0)
                change += tl.sum(tl.sum(tl.abs(here - there), axis=1), axis=0).to(tl.int64)
            x_begin += COLS
        y_begin += ROWS * distance
    rows = tl.maximum((end - begin + distance - 1) // distance, 0)
    return even, odd, change, rows * (right - left) // step


@triton.jit
def _measure(
    frame, reference, row, tile,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    full = (tl.full((), 1, tl.int64) << tl.load(frame + _BIT_DEPTH)).to(tl.float64)
    earlier = tl.load(reference + _R_LUMA)
    u_address, v_address = tl.load(frame + _U), tl.load(frame + _V)
    columns, lines = tl.load(frame + _CHROMA_WIDTH), tl.load(frame + _CHROMA_HEIGHT)
    interleaved = tl.load(frame + _CHROMA_STEP) == 2
    coloured = (columns >= _SMALLEST_WIDTH) & (lines >= _SMALLEST_HEIGHT)
    u = tl.zeros((), tl.int64)
    v = tl.zeros((), tl.int64)
    looked_at = tl.zeros((), tl.int64)
    planes = tl.where(coloured, tl.where(interleaved, 2, 3), 1)
    plane = 0
    while plane < planes:
        luma = plane == 0
        # Interleaved chroma is one plane, whichever component comes first.
        colour = tl.where(interleaved, tl.minimum(u_address, v_address), tl.where(plane == 1, u_address, v_address))
        even, odd, change, samples = _tile(
            tl.where(luma, tl.load(frame + _LUMA), colour),
            tl.where(luma, tl.load(frame + _LUMA_PITCH), tl.load(frame + _CHROMA_PITCH)),
            tl.where(luma, earlier, 0),
            tl.load(reference + _R_LUMA_PITCH),
            tl.where(luma, tl.load(frame + _WIDTH), columns),
            tl.where(luma, tl.load(frame + _HEIGHT), lines),
            tl.where(luma | (interleaved == 0), 1, 2).to(tl.int64),
            shift, tile, WORD, ALIGNED, ROWS, COLS,
        )  # fmt: skip
        if luma:
            weight = samples.to(tl.float64) * full  # below 2**53: exact
            tl.store(row, (even + odd).to(tl.float64) / weight)
            if earlier != 0:
                tl.store(row + _TILES, change.to(tl.float64) / weight)
        else:
            looked_at = samples
            both = even + odd
            u_first = u_address < v_address
            u = tl.where(interleaved, tl.where(u_first, even, odd), tl.where(plane == 1, both, u))
            v = tl.where(interleaved, tl.where(u_first, odd, even), tl.where(plane == 2, both, v))
        plane += 1
    if coloured:
        weight = looked_at.to(tl.float64) * full
        tl.store(row + 2 * _TILES, u.to(tl.float64) / weight)
        tl.store(row + 3 * _TILES, v.to(tl.float64) / weight)


@triton.jit
def _tile_kernel(frames, references, out, ROWS: tl.constexpr, COLS: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    luma = tl.load(frame + _LUMA)
    width = tl.load(frame + _WIDTH)
    if (luma != 0) & (width >= _SMALLEST_WIDTH) & (tl.load(frame + _HEIGHT) >= _SMALLEST_HEIGHT):
        reference = references + picture * _REFERENCE_FIELDS
        row = out + picture * _MEASURES * _TILES + tile
        # Any bit below 16 in an address, a pitch, or a width spoils the alignment of some run.
        crooked = luma | tl.load(frame + _LUMA_PITCH) | width
        if tl.load(reference + _R_LUMA) != 0:
            crooked |= tl.load(reference + _R_LUMA) | tl.load(reference + _R_LUMA_PITCH)
        u, v, columns = tl.load(frame + _U), tl.load(frame + _V), tl.load(frame + _CHROMA_WIDTH)
        if columns > 0:
            crooked |= tl.load(frame + _CHROMA_PITCH)
            if tl.load(frame + _CHROMA_STEP) == 2:
                crooked |= tl.minimum(u, v) | (2 * columns)
            else:
                crooked |= u | v | columns
        aligned = (crooked & 15) == 0
        # Where loads are of one sample each, a wide block would only take registers from all others.
        if tl.load(frame + _BIT_DEPTH) == 8:
            if aligned:
                _measure(frame, reference, row, tile, tl.uint8, True, ROWS, COLS)
            else:
                _measure(frame, reference, row, tile, tl.uint8, False, ROWS, COLS // 4)
        else:
            if aligned:
                _measure(frame, reference, row, tile, tl.uint16, True, ROWS, COLS)
            else:
                _measure(frame, reference, row, tile, tl.uint16, False, ROWS, COLS // 4)


def tile_stats(frames: Tensor, references: Tensor, *, blocks: Blocks | None = None) -> Tensor:
    """The op's CUDA implementation; see kernels/tile_stats/op.py. The tables are checked and contiguous.

    Args:
        frames, references: the tables, on the device.
        blocks: their tile is rows and samples of a row that are read at once; they change no number. None takes the
            device's.
    """
    blocks = blocks or blocks_on("tile_stats", frames.device)
    rows, columns = blocks.tile
    count = frames.shape[0]
    out = torch.full((count, len(MEASURES), TILES), torch.nan, dtype=torch.float64, device=frames.device)
    if count:
        _tile_kernel[(count, TILES)](
            frames, references, out, ROWS=rows, COLS=columns, num_warps=blocks.warps, maxnreg=blocks.registers
        )
    return out
