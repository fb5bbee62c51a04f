"""active_area on CUDA: Triton, one launch; a program per picture and side, from the side inwards.

Only the bars themselves are read, and one line beyond: nothing worth counting beside the other passes.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.active_area.op import COLUMNS, LIMIT
from kernels.layout import FRAME_FIELDS, Field

BLOCK = 1024

_FIELDS = tl.constexpr(FRAME_FIELDS)
_SIDES = tl.constexpr(len(COLUMNS))
_LIMIT = tl.constexpr(LIMIT)
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))


@triton.jit
def _side_kernel(frames, out, BLOCK: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    side = tl.program_id(1).to(tl.int64)  # top, bottom, left, right
    frame = frames + picture * _FIELDS
    luma = tl.load(frame + _LUMA)
    if luma != 0:
        depth = tl.load(frame + _BIT_DEPTH)
        shift = tl.load(frame + _SHIFT).to(tl.int32)
        word = tl.where(depth > 8, 2, 1).to(tl.int64)
        pitch = tl.load(frame + _LUMA_PITCH) // word
        width = tl.load(frame + _WIDTH)
        height = tl.load(frame + _HEIGHT)
        across = side < 2  # the lines are rows
        lines = tl.where(across, height, width)
        length = tl.where(across, width, height)
        step = tl.where(across, tl.full((), 1, tl.int64), pitch)  # from one sample of a line to the next
        apart = tl.where(across, pitch, tl.full((), 1, tl.int64))  # from one line to the next
        limit = ((tl.full((), _LIMIT, tl.int64) << (depth - 8)) + 1) * length
        black = tl.zeros((), tl.int64)
        going = lines > 0
        while going:
            line = tl.where(side % 2 == 0, black, lines - 1 - black)
            total = tl.zeros((), tl.int64)
            start = tl.zeros((), tl.int64)
            while start < length:
                at = start + tl.arange(0, BLOCK)
                offset = line * apart + at * step
                if depth > 8:
                    words = luma.to(tl.pointer_type(tl.uint16))
                    codes = tl.load(words + offset, mask=at < length, other=0).to(tl.int32) >> shift
                else:
                    samples = luma.to(tl.pointer_type(tl.uint8))
                    codes = tl.load(samples + offset, mask=at < length, other=0).to(tl.int32) >> shift
                total += tl.sum(codes, axis=0).to(tl.int64)
                start += BLOCK
            inside = total < limit
            black += tl.where(inside, 1, 0)
            going = inside & (black < lines)
        tl.store(out + picture * _SIDES + side, black.to(tl.float64) / lines.to(tl.float64))


def active_area(frames: Tensor) -> Tensor:
    """The op's CUDA implementation; see kernels/active_area/op.py."""
    frames = frames if frames.is_contiguous() else frames.contiguous()  # a table of addresses, not pixels
    count = frames.shape[0]
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=frames.device)
    if count:
        _side_kernel[(count, len(COLUMNS))](frames, out, BLOCK=BLOCK)
    return out
