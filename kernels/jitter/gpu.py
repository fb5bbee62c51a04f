"""jitter on CUDA: Triton, one launch; a program for each row that is looked at.

Bytes of a picture of 1920x1080: three rows of 32, 184 KB. Worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.jitter.layout import (
    APART,
    COLUMNS,
    DETAIL,
    LEAST_COLUMNS,
    LEAST_ROWS,
    MOST_COLUMNS,
    MOST_REACH,
    QUARTERS,
    REACH_SHARE,
    ROWS,
    SLACK,
)
from kernels.layout import FRAME_FIELDS, Field

# At least MOST_COLUMNS, a power of two.
LANES = 1024

_LANES = tl.constexpr(LANES)
_FIELDS, _COLUMNS, _ROWS = tl.constexpr(FRAME_FIELDS), tl.constexpr(len(COLUMNS)), tl.constexpr(ROWS)
_MOST_COLUMNS, _MOST_REACH, _REACH_SHARE = (
    tl.constexpr(MOST_COLUMNS),
    tl.constexpr(MOST_REACH),
    tl.constexpr(REACH_SHARE),
)
_LEAST_COLUMNS, _LEAST_ROWS = tl.constexpr(LEAST_COLUMNS), tl.constexpr(LEAST_ROWS)
_APART, _QUARTERS, _DETAIL, _SLACK = (tl.constexpr(k) for k in (APART, QUARTERS, DETAIL, SLACK))
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))


@triton.jit
def _columns_at(address, x, k, depth, excess, mask):
    """Sums of the k samples of each column."""
    total = tl.zeros((_LANES,), tl.int32)
    i = tl.zeros((), tl.int64)
    while i < k:
        if depth > 8:
            stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + x * k + i, mask=mask, other=0).to(tl.int32)
        else:
            stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + x * k + i, mask=mask, other=0).to(tl.int32)
        total += stored >> excess
        i += 1
    return total


@triton.jit
def _fit(one, other, far, x, k, depth, excess, mask):
    """Where the row at `other` fits the columns `one` best, and how much it differs there and where it is."""
    best, shift = -far, -far
    least = tl.sum(tl.abs(_columns_at(other, x - far, k, depth, excess, mask) - one), axis=0)
    here = least
    while shift < far:
        shift += 1
        apart = tl.sum(tl.abs(_columns_at(other, x + shift, k, depth, excess, mask) - one), axis=0)
        best = tl.where(apart < least, shift, best)
        least = tl.minimum(least, apart)
        here = tl.where(shift == 0, apart, here)
    return best, least, here


@triton.jit
def _jitter_kernel(frames, found):
    index, picture = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    luma, pitch = tl.load(frame + _LUMA), tl.load(frame + _LUMA_PITCH)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    k = tl.maximum((width + _MOST_COLUMNS - 1) // _MOST_COLUMNS, 1)
    columns = width // k
    if (luma != 0) & (height >= _LEAST_ROWS) & (columns >= _LEAST_COLUMNS):
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        far = tl.minimum(columns // _REACH_SHARE, _MOST_REACH)
        x = far + tl.arange(0, _LANES)
        mask = x < columns - far
        here = luma + (2 * index + 1) * height // (2 * _ROWS) * pitch
        own = _columns_at(here, x, k, depth, excess, mask)
        detail = tl.sum(tl.abs(own - _columns_at(here, x - 2, k, depth, excess, mask)), axis=0)
        if detail >= _DETAIL * k * (columns - 2 * far):
            tl.atomic_add(found + picture * _COLUMNS + 1, 1)
            above = _columns_at(here - pitch, x, k, depth, excess, mask)
            below = _columns_at(here + pitch, x, k, depth, excess, mask)
            from_above, from_below = tl.sum(tl.abs(own - above), axis=0), tl.sum(tl.abs(own - below), axis=0)
            if (from_above >= detail) & (from_below >= detail):
                first, least, unmoved = _fit(above, here, far, x, k, depth, excess, mask)
                lies_apart = (tl.abs(first) >= _APART) & (_QUARTERS * least <= 4 * unmoved)
                second, least, unmoved = _fit(own, here + pitch, far, x, k, depth, excess, mask)
                lies_apart = lies_apart & (tl.abs(second) >= _APART) & (_QUARTERS * least <= 4 * unmoved)
                across, least, unmoved = _fit(above, here + pitch, far, x, k, depth, excess, mask)
                lies_apart = lies_apart & (tl.abs(first - second) >= _APART) & (across != 0)
                lies_apart = lies_apart & (tl.abs(first + second - across) <= _SLACK)
                tl.atomic_add(found + picture * _COLUMNS, lies_apart.to(tl.int32))


def jitter(frames: Tensor) -> Tensor:
    """The op's CUDA implementation; see kernels/jitter/op.py. The table is checked and contiguous."""
    found = torch.zeros((frames.shape[0], len(COLUMNS)), dtype=torch.int32, device=frames.device)
    if frames.shape[0]:
        _jitter_kernel[(ROWS, frames.shape[0])](frames, found)
    return found
