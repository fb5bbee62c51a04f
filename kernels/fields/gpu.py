"""fields on CUDA: Triton, one launch; each program sums some of the pairs of lines, in integers.

Bytes of an 8-bit picture of 1920x1080: half of its luma and of its reference, 2.1 MB, each line read by up to three
programs through the cache. Worked out, not measured.
"""

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.fields.layout import COLUMNS, MARGIN, SAMPLED_PAIRS
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField

# A launch has as many programs for a picture; each takes every so manieth pair of lines. They change no number.
PROGRAMS = 32
SAMPLES = 1024

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_MARGIN, _SAMPLED_PAIRS, _COLUMNS = tl.constexpr(MARGIN), tl.constexpr(SAMPLED_PAIRS), tl.constexpr(len(COLUMNS))
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))


@triton.jit
def _codes(address, pitch, y, x, depth, shift, mask):
    if depth > 8:
        words = address.to(tl.pointer_type(tl.uint16))
        stored = tl.load(words + y * (pitch // 2) + x, mask=mask, other=0).to(tl.int32)
    else:
        samples = address.to(tl.pointer_type(tl.uint8))
        stored = tl.load(samples + y * pitch + x, mask=mask, other=0).to(tl.int32)
    return stored >> shift


@triton.jit
def _between(middle, middle_pitch, around, around_pitch, y, x, depth, shift, mask):
    """Sum of |2 m - a - b| over some samples of a line, at most 2**28."""
    here = _codes(middle, middle_pitch, y, x, depth, shift, mask)
    above = _codes(around, around_pitch, y - 1, x, depth, shift, mask)
    below = _codes(around, around_pitch, y + 1, x, depth, shift, mask)
    return tl.sum(tl.abs(2 * here - above - below), axis=0).to(tl.int64)


@triton.jit
def _fields_kernel(frames, references, sums, PROGRAMS: tl.constexpr, SAMPLES: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    pairs = tl.maximum((height - 2 * _MARGIN) // 2, 0)
    if (luma != 0) & (earlier != 0) & (height >= 2 * _MARGIN + 2):
        depth, shift = tl.load(frame + _BIT_DEPTH), tl.load(frame + _SHIFT).to(tl.int32)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH), tl.load(reference + _R_LUMA_PITCH)
        step = tl.maximum(pairs // _SAMPLED_PAIRS, 1)
        earlier_top = tl.zeros((), tl.int64)
        earlier_bottom = tl.zeros((), tl.int64)
        later_top = tl.zeros((), tl.int64)
        later_bottom = tl.zeros((), tl.int64)
        within = tl.zeros((), tl.int64)
        pair = step // 2 + program * step
        while pair < pairs:
            y = _MARGIN + 2 * pair
            first = tl.zeros((), tl.int64)
            while first < width:
                x = first + tl.arange(0, SAMPLES)
                mask = x < width
                earlier_top += _between(earlier, earlier_pitch, luma, pitch, y, x, depth, shift, mask)
                earlier_bottom += _between(earlier, earlier_pitch, luma, pitch, y + 1, x, depth, shift, mask)
                later_top += _between(luma, pitch, earlier, earlier_pitch, y, x, depth, shift, mask)
                later_bottom += _between(luma, pitch, earlier, earlier_pitch, y + 1, x, depth, shift, mask)
                within += _between(luma, pitch, luma, pitch, y, x, depth, shift, mask)
                within += _between(luma, pitch, luma, pitch, y + 1, x, depth, shift, mask)
                first += SAMPLES
            pair += PROGRAMS * step
        own = sums + (picture * PROGRAMS + program) * _COLUMNS
        tl.store(own, earlier_top)
        tl.store(own + 1, earlier_bottom)
        tl.store(own + 2, later_top)
        tl.store(own + 3, later_bottom)
        tl.store(own + 4, within)


@cache
def _lines(device: torch.device) -> Tensor:
    """Of each sum, how many there are of a pair; made once, as nothing may come from the host when it is recorded."""
    return torch.tensor([1, 1, 1, 1, 2], dtype=torch.int64, device=device)


def fields(frames: Tensor, references: Tensor) -> Tensor:
    """The op's CUDA implementation; see kernels/fields/op.py. The tables are checked and contiguous."""
    count, device = frames.shape[0], frames.device
    sums = torch.zeros((count, PROGRAMS, _COLUMNS.value), dtype=torch.int64, device=device)
    if count:
        _fields_kernel[(PROGRAMS, count)](frames, references, sums, PROGRAMS=PROGRAMS, SAMPLES=SAMPLES)
    width, height, depth = (frames[:, column] for column in (Field.WIDTH, Field.HEIGHT, Field.BIT_DEPTH))
    pairs = ((height - 2 * MARGIN) // 2).clip(min=0)
    step = (pairs // SAMPLED_PAIRS).clip(min=1)
    looked = (pairs - step // 2 + step - 1) // step
    many = (2 * looked * width) << (depth - 8).clip(min=0)
    found = (frames[:, Field.LUMA_ADDRESS] != 0) & (references[:, ReferenceField.LUMA_ADDRESS] != 0) & (pairs > 0)
    means = sums.sum(dim=1).to(torch.float64) / (many[:, None] * _lines(device)).to(torch.float64)
    return torch.where(found[:, None], means, torch.nan)
