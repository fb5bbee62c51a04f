"""siti on CUDA: Triton, one launch; programs share a picture's rows, and sums meet in integer atomics.

Bytes of an 8-bit picture of 1920x1080: its luma, three times from the cache's point of view, and its reference's:
4.15 MB, 1.2 us at 3.35 TB/s. Worked out, not measured; the square roots are in float64.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.siti.deviation import columns
from kernels.siti.op import PARTS

# Programs of a picture, and samples of a row that one looks at together. They change no number.
PROGRAMS = 64
BLOCK = 512

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_PARTS = tl.constexpr(PARTS * PARTS)
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))


@triton.jit
def _codes(address, offset, depth, shift, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int64)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int64)
    return stored >> shift


@triton.jit
def _sum_kernel(frames, references, sums, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    luma = tl.load(frame + _LUMA)
    if luma != 0:
        depth, shift = tl.load(frame + _BIT_DEPTH), tl.load(frame + _SHIFT)
        word = tl.where(depth > 8, 2, 1)
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        earlier = tl.load(reference + _R_LUMA)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH) // word, tl.load(reference + _R_LUMA_PITCH) // word
        squares, lengths = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
        change_squares, changes = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
        y = program
        while y < height:
            start = tl.zeros((), tl.int64)
            while start < width:
                x = start + tl.arange(0, BLOCK)
                at = y * pitch + x
                if earlier != 0:
                    inside = x < width
                    apart = _codes(luma, at, depth, shift, inside)
                    apart -= _codes(earlier, y * earlier_pitch + x, depth, shift, inside)
                    changes += apart
                    change_squares += apart * apart
                inner = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
                a = _codes(luma, at - pitch - 1, depth, shift, inner)
                b = _codes(luma, at - pitch, depth, shift, inner)
                c = _codes(luma, at - pitch + 1, depth, shift, inner)
                d = _codes(luma, at - 1, depth, shift, inner)
                e = _codes(luma, at + 1, depth, shift, inner)
                f = _codes(luma, at + pitch - 1, depth, shift, inner)
                g = _codes(luma, at + pitch, depth, shift, inner)
                h = _codes(luma, at + pitch + 1, depth, shift, inner)
                down = f + 2 * g + h - a - 2 * b - c
                across = c + 2 * e + h - a - 2 * d - f
                square = down * down + across * across
                squares += square
                lengths += tl.sqrt((square * _PARTS).to(tl.float64)).to(tl.int64)
                start += BLOCK
            y += PROGRAMS
        own = sums + picture * 4
        tl.atomic_add(own, tl.sum(squares, axis=0))
        tl.atomic_add(own + 1, tl.sum(lengths, axis=0))
        tl.atomic_add(own + 2, tl.sum(change_squares, axis=0))
        tl.atomic_add(own + 3, tl.sum(changes, axis=0))


def siti(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CUDA implementation; see kernels/siti/op.py. The tables are checked and contiguous."""
    count = frames.shape[0]
    sums = torch.zeros((count, 4), dtype=torch.int64, device=frames.device)
    if count:
        _sum_kernel[(PROGRAMS, count)](frames, references, sums, PROGRAMS=PROGRAMS, BLOCK=BLOCK)
    return columns(sums, frames, references)
