"""to_network on CUDA: Triton, one launch; a program per piece and BLOCK of its places.

Bytes of a piece of an 8-bit 4:2:0 picture with its reference: 27.6 kB read, 55.3 kB written as bfloat16. The full
rate of 200 streams of 1080p30 in 8 pieces a picture would be 48,000 pieces a second: 4.0 GB/s, a thousandth of what an
H100 moves. Worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.to_network.layout import (
    BLACK_TO_MIDDLE,
    CELLS,
    CHROMA_GAIN,
    CROP_FIELDS,
    FULL_CODES,
    INPUTS,
    LUMA_BITS,
    LUMA_GAIN,
    MIDDLE,
    OTHER_BITS,
    CropField,
)
from kernels.tuning import Blocks, blocks_on

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_CROP_FIELDS, _CELLS, _INPUTS = tl.constexpr(CROP_FIELDS), tl.constexpr(CELLS), tl.constexpr(INPUTS)
_LUMA_GAIN, _CHROMA_GAIN = tl.constexpr(LUMA_GAIN), tl.constexpr(CHROMA_GAIN)
_FULL_CODES, _MIDDLE = tl.constexpr(FULL_CODES), tl.constexpr(MIDDLE)
_FULL_MIDDLE = tl.constexpr(BLACK_TO_MIDDLE * FULL_CODES)
_FULL_SCALE = tl.constexpr(1 / FULL_CODES)
_LUMA_BITS, _OTHER_BITS = tl.constexpr(LUMA_BITS), tl.constexpr(OTHER_BITS)
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP, _SHIFT = tl.constexpr(int(Field.CHROMA_STEP)), tl.constexpr(int(Field.SHIFT))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH = tl.constexpr(int(Field.BIT_DEPTH))
_R_LUMA, _R_U, _R_V = (
    tl.constexpr(int(f)) for f in (ReferenceField.LUMA_ADDRESS, ReferenceField.U_ADDRESS, ReferenceField.V_ADDRESS)
)
_R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_PITCH))
_R_CHROMA_PITCH = tl.constexpr(int(ReferenceField.CHROMA_PITCH))
_ROW, _TOP, _LEFT = (tl.constexpr(int(f)) for f in (CropField.ROW, CropField.TOP, CropField.LEFT))
_FULL_RANGE = tl.constexpr(int(CropField.FULL_RANGE))


@triton.jit
def _codes(address, offset, depth, shift, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int32)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int32)
    return stored >> shift


@triton.jit
def _power(bits):
    """2**-bits, exactly."""
    return ((127 - bits) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _limited(value, most):
    return tl.minimum(tl.maximum(value, -most), most)


@triton.jit
def _put(address, value, mask):
    """Store float32, or the nearest 16-bit float, ties to even: spelt out for bfloat16, as not every Triton rounds."""
    if address.dtype.element_ty == tl.bfloat16:
        bits = value.to(tl.int32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000
        tl.store(address, bits.to(tl.float32, bitcast=True).to(tl.bfloat16), mask=mask)
    else:
        tl.store(address, value, mask=mask)


@triton.jit
def _four(address, pitch, step, depth, shift, y, y_next, x, x_next, mask):
    """The sum of what applies to four luma samples."""
    total = _codes(address, y * pitch + x * step, depth, shift, mask)
    total += _codes(address, y * pitch + x_next * step, depth, shift, mask)
    total += _codes(address, y_next * pitch + x * step, depth, shift, mask)
    total += _codes(address, y_next * pitch + x_next * step, depth, shift, mask)
    return total


@triton.jit
def _piece_kernel(frames, references, crops, out, BLOCK: tl.constexpr):
    piece = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < _CELLS * _CELLS
    crop = crops + piece * _CROP_FIELDS
    row = tl.load(crop + _ROW)
    if row >= 0:
        frame = frames + row * _FIELDS
        luma = tl.load(frame + _LUMA)
        if luma != 0:
            reference = references + row * _REFERENCE_FIELDS
            earlier = tl.load(reference + _R_LUMA)
            depth = tl.load(frame + _BIT_DEPTH)
            shift = tl.load(frame + _SHIFT).to(tl.int32)
            word = tl.where(depth > 8, 2, 1)
            width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
            full = tl.load(crop + _FULL_RANGE) != 0
            excess = (depth - 8).to(tl.int32)
            one = tl.full((), 1, tl.int32) << excess
            luma_gain = tl.where(full, _LUMA_GAIN, 1)
            chroma_gain = tl.where(full, _CHROMA_GAIN, 1)
            offset = tl.where(full, _FULL_MIDDLE, _MIDDLE) * one
            most = tl.where(full, _MIDDLE * _FULL_CODES, _MIDDLE) * one
            scale = tl.where(full, tl.full((), _FULL_SCALE, tl.float32), tl.full((), 1.0, tl.float32))
            pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH) // word, tl.load(reference + _R_LUMA_PITCH) // word
            top = tl.load(crop + _TOP) + (place // _CELLS) * 2
            left = tl.load(crop + _LEFT) + (place % _CELLS) * 2
            own = out + (piece * (_CELLS * _CELLS) + place) * _INPUTS
            for k in tl.static_range(4):
                y = tl.minimum(top + k // 2, height - 1)
                x = tl.minimum(left + k % 2, width - 1)
                now = _codes(luma, y * pitch + x, depth, shift, inside)
                value = (now * luma_gain - offset).to(tl.float32) * scale * _power(excess + _LUMA_BITS)
                _put(own + k, value, inside)
                if earlier != 0:
                    change = (now - _codes(earlier, y * earlier_pitch + x, depth, shift, inside)) * luma_gain
                    value = _limited(change, most).to(tl.float32) * scale * _power(excess + _OTHER_BITS)
                    _put(own + 4 + k, value, inside)
            columns, rows = tl.load(frame + _CHROMA_WIDTH), tl.load(frame + _CHROMA_HEIGHT)
            if columns > 0:
                step = tl.load(frame + _CHROMA_STEP)
                down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
                y = tl.minimum(tl.minimum(top, height - 1) // down, rows - 1)
                y_next = tl.minimum(tl.minimum(top + 1, height - 1) // down, rows - 1)
                x = tl.minimum(tl.minimum(left, width - 1) // across, columns - 1)
                x_next = tl.minimum(tl.minimum(left + 1, width - 1) // across, columns - 1)
                pitch = tl.load(frame + _CHROMA_PITCH) // word
                earlier_pitch = tl.load(reference + _R_CHROMA_PITCH) // word
                power = _power(excess + (_OTHER_BITS + 2))
                for k in tl.static_range(2):
                    plane = tl.load(frame + (_U if k == 0 else _V))
                    colour = _four(plane, pitch, step, depth, shift, y, y_next, x, x_next, inside)
                    value = ((colour - 4 * _MIDDLE * one) * chroma_gain).to(tl.float32) * scale * power
                    _put(own + 8 + k, value, inside)
                    if earlier != 0:
                        plane = tl.load(reference + (_R_U if k == 0 else _R_V))
                        was = _four(plane, earlier_pitch, step, depth, shift, y, y_next, x, x_next, inside)
                        value = _limited((colour - was) * chroma_gain, 4 * most).to(tl.float32) * scale * power
                        _put(own + 10 + k, value, inside)


def to_network(
    frames: Tensor, references: Tensor, crops: Tensor, dtype: torch.dtype, *, blocks: Blocks | None = None
) -> Tensor:
    """The op's CUDA implementation; see kernels/to_network/op.py. The tables are checked and contiguous."""
    blocks = blocks or blocks_on("to_network", frames.device)
    count = crops.shape[0]
    out = torch.zeros((count, CELLS, CELLS, INPUTS), dtype=dtype, device=frames.device)
    if count:
        grid = count, triton.cdiv(CELLS * CELLS, blocks.tile[0])
        _piece_kernel[grid](frames, references, crops, out, BLOCK=blocks.tile[0], num_warps=blocks.warps)
    return out.permute(0, 3, 1, 2)
