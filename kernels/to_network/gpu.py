"""to_network on CUDA: Triton, one launch; a program per piece and BLOCK of its places.

A piece that lies within an aligned NV12 or P016 picture (what NVDEC gives, in corners that are multiples of 16) is read
in runs of 16 bytes of a thread, luma and both components of chroma; any other piece sample by sample.

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
_PARTS = tl.constexpr(4)
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
def _run_of(address, pitch, y, x, shift, WORD: tl.constexpr):
    """Codes of runs of 16 samples from a 16-byte boundary: (runs, 16)."""
    places = address.to(tl.pointer_type(WORD)) + (y * pitch + x)[:, None] + tl.arange(0, 16)[None, :]
    # The address comes from a table, so that Triton knows nothing of it.
    places = tl.max_contiguous(tl.multiple_of(places, (1, 16)), (1, 16))
    return tl.load(places).to(tl.int32) >> shift


@triton.jit
def _put_luma(own, now, was, k: tl.constexpr, luma_gain, offset, most, scale, excess, compared, inside):
    value = (now * luma_gain - offset).to(tl.float32) * scale * _power(excess + _LUMA_BITS)
    _put(own + k, value, inside)
    if compared:
        value = _limited((now - was) * luma_gain, most).to(tl.float32) * scale * _power(excess + _OTHER_BITS)
        _put(own + 4 + k, value, inside)


@triton.jit
def _put_chroma(own, now, was, k: tl.constexpr, gain, one, most, scale, excess, compared, inside):
    """`now` and `was` are sums of four."""
    power = _power(excess + (_OTHER_BITS + 2))
    _put(own + 8 + k, ((now - 4 * _MIDDLE * one) * gain).to(tl.float32) * scale * power, inside)
    if compared:
        _put(own + 10 + k, _limited((now - was) * gain, 4 * most).to(tl.float32) * scale * power, inside)


@triton.jit
def _piece_in_runs(
    frame, reference, piece_out, first, top, left, luma_gain, chroma_gain, offset, most, scale, excess, one,
    WORD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    RUNS: tl.constexpr = BLOCK // 8
    across: tl.constexpr = _CELLS // 8
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    compared = earlier != 0
    pitch, earlier_pitch = (
        tl.load(frame + _LUMA_PITCH) // sample_bytes,
        tl.load(reference + _R_LUMA_PITCH) // sample_bytes,
    )
    run = first // 8 + tl.arange(0, RUNS)
    # Of those beyond the piece's last run the last one is read, and nothing written.
    own_run = tl.minimum(run, _CELLS * across - 1)
    y, x = top + own_run // across * 2, left + own_run % across * 16
    place = run[:, None] * 8 + tl.arange(0, 8)[None, :]
    inside = place < _CELLS * _CELLS
    own = piece_out + place * _INPUTS
    for line in tl.static_range(2):
        now_left, now_right = tl.split(tl.reshape(_run_of(luma, pitch, y + line, x, shift, WORD), (RUNS, 8, 2)))
        was_left, was_right = now_left, now_right
        if compared:
            was = _run_of(earlier, earlier_pitch, y + line, x, shift, WORD)
            was_left, was_right = tl.split(tl.reshape(was, (RUNS, 8, 2)))
        _put_luma(own, now_left, was_left, 2 * line, luma_gain, offset, most, scale, excess, compared, inside)
        _put_luma(own, now_right, was_right, 2 * line + 1, luma_gain, offset, most, scale, excess, compared, inside)
    u_first = tl.load(frame + _U) < tl.load(frame + _V)
    plane = tl.minimum(tl.load(frame + _U), tl.load(frame + _V))
    pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    now_left, now_right = tl.split(tl.reshape(_run_of(plane, pitch, y // 2, x, shift, WORD), (RUNS, 8, 2)))
    u, v = tl.where(u_first, now_left, now_right), tl.where(u_first, now_right, now_left)
    was_u, was_v = u, v
    if compared:
        plane = tl.minimum(tl.load(reference + _R_U), tl.load(reference + _R_V))
        pitch = tl.load(reference + _R_CHROMA_PITCH) // sample_bytes
        was_left, was_right = tl.split(tl.reshape(_run_of(plane, pitch, y // 2, x, shift, WORD), (RUNS, 8, 2)))
        was_u, was_v = tl.where(u_first, was_left, was_right), tl.where(u_first, was_right, was_left)
    # One sample of chroma applies to all four of luma.
    _put_chroma(own, 4 * u, 4 * was_u, 0, chroma_gain, one, most, scale, excess, compared, inside)
    _put_chroma(own, 4 * v, 4 * was_v, 1, chroma_gain, one, most, scale, excess, compared, inside)


@triton.jit
def _piece_by_samples(
    frame, reference, piece_out, first, top, left, luma_gain, chroma_gain, offset, most, scale, excess, one,
    BLOCK: tl.constexpr,
):  # fmt: skip
    place = first + tl.arange(0, BLOCK)
    inside = place < _CELLS * _CELLS
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    compared = earlier != 0
    depth, shift = tl.load(frame + _BIT_DEPTH), tl.load(frame + _SHIFT).to(tl.int32)
    word = tl.where(depth > 8, 2, 1)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH) // word, tl.load(reference + _R_LUMA_PITCH) // word
    top += (place // _CELLS) * 2
    left += (place % _CELLS) * 2
    own = piece_out + place * _INPUTS
    for k in tl.static_range(4):
        y = tl.minimum(top + k // 2, height - 1)
        x = tl.minimum(left + k % 2, width - 1)
        now = _codes(luma, y * pitch + x, depth, shift, inside)
        was = now
        if compared:
            was = _codes(earlier, y * earlier_pitch + x, depth, shift, inside)
        _put_luma(own, now, was, k, luma_gain, offset, most, scale, excess, compared, inside)
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
        for k in tl.static_range(2):
            plane = tl.load(frame + (_U if k == 0 else _V))
            now = _four(plane, pitch, step, depth, shift, y, y_next, x, x_next, inside)
            was = now
            if compared:
                plane = tl.load(reference + (_R_U if k == 0 else _R_V))
                was = _four(plane, earlier_pitch, step, depth, shift, y, y_next, x, x_next, inside)
            _put_chroma(own, now, was, k, chroma_gain, one, most, scale, excess, compared, inside)


@triton.jit
def _crookedness(frame, reference, top, left):
    """0 where a piece can be read in runs of 16 bytes."""
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    u, v = tl.load(frame + _U), tl.load(frame + _V)
    # Any bit below 16 in an address, a pitch, or the piece's left edge spoils the alignment of some run.
    crooked = (tl.load(frame + _LUMA) | tl.load(frame + _LUMA_PITCH) | tl.minimum(u, v)) & 15
    crooked |= (tl.load(frame + _CHROMA_PITCH) | left) & 15
    if tl.load(reference + _R_LUMA) != 0:
        was_u, was_v = tl.load(reference + _R_U), tl.load(reference + _R_V)
        crooked |= (tl.load(reference + _R_LUMA) | tl.load(reference + _R_LUMA_PITCH) | tl.minimum(was_u, was_v)) & 15
        crooked |= tl.load(reference + _R_CHROMA_PITCH) & 15
        crooked |= tl.where((was_u < was_v) == (u < v), 0, 1)
    half = (tl.load(frame + _CHROMA_WIDTH) * 2 == width) & (tl.load(frame + _CHROMA_HEIGHT) * 2 == height)
    whole = (top >= 0) & (left >= 0) & (top + 2 * _CELLS <= height) & (left + 2 * _CELLS <= width) & (top % 2 == 0)
    return crooked | tl.where(half & whole & (tl.load(frame + _CHROMA_STEP) == 2), 0, 1)


@triton.jit
def _piece_kernel(frames, references, crops, out, BLOCK: tl.constexpr):
    piece = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * BLOCK
    crop = crops + piece * _CROP_FIELDS
    row = tl.load(crop + _ROW)
    if row >= 0:
        frame = frames + row * _FIELDS
        if tl.load(frame + _LUMA) != 0:
            reference = references + row * _REFERENCE_FIELDS
            depth = tl.load(frame + _BIT_DEPTH)
            full = tl.load(crop + _FULL_RANGE) != 0
            excess = (depth - 8).to(tl.int32)
            one = tl.full((), 1, tl.int32) << excess
            luma_gain = tl.where(full, _LUMA_GAIN, 1)
            chroma_gain = tl.where(full, _CHROMA_GAIN, 1)
            offset = tl.where(full, _FULL_MIDDLE, _MIDDLE) * one
            most = tl.where(full, _MIDDLE * _FULL_CODES, _MIDDLE) * one
            scale = tl.where(full, tl.full((), _FULL_SCALE, tl.float32), tl.full((), 1.0, tl.float32))
            top, left = tl.load(crop + _TOP), tl.load(crop + _LEFT)
            own = out + piece * (_CELLS * _CELLS * _INPUTS)
            if _crookedness(frame, reference, top, left) == 0:
                if depth == 8:
                    _piece_in_runs(
                        frame, reference, own, first, top, left, luma_gain, chroma_gain, offset, most, scale, excess,
                        one, tl.uint8, BLOCK,
                    )  # fmt: skip
                else:
                    _piece_in_runs(
                        frame, reference, own, first, top, left, luma_gain, chroma_gain, offset, most, scale, excess,
                        one, tl.uint16, BLOCK,
                    )  # fmt: skip
            else:
                # A few at a time: places of 64 bits each would take the registers of all others.
                for part in range(_PARTS):
                    _piece_by_samples(
                        frame, reference, own, first + part * (BLOCK // _PARTS), top, left, luma_gain, chroma_gain,
                        offset, most, scale, excess, one, BLOCK // _PARTS,
                    )  # fmt: skip


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
