"""tear on CUDA: Triton, two launches; the sums of every block and row, then each row beside its neighbours.

Bytes of an 8-bit picture of 1920x1080: half of it and of its reference twice, 4.1 MB from the cache's point of view,
and 5 x 60 sums a row. Worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.tear.layout import (
    BLOCK,
    COLUMNS,
    FIFTHS,
    HALVES,
    LEAST_MORE,
    LITTLE,
    MOVING,
    REACH,
    SAMPLED_BLOCKS,
)

# A launch has as many programs for a picture; each takes every so manieth group of ROWS rows. They change no number.
PROGRAMS = 32
ROWS = 16
# Blocks of a row that are looked at: fewer than twice SAMPLED_BLOCKS, and so at most.
MOST_BLOCKS = 2 * SAMPLED_BLOCKS

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_BLOCK, _SAMPLED, _MOST = tl.constexpr(BLOCK), tl.constexpr(SAMPLED_BLOCKS), tl.constexpr(MOST_BLOCKS)
_MOVING, _LITTLE, _REACH = tl.constexpr(MOVING), tl.constexpr(LITTLE), tl.constexpr(REACH)
_LEAST_MORE, _HALVES, _FIFTHS = tl.constexpr(LEAST_MORE), tl.constexpr(HALVES), tl.constexpr(FIFTHS)
_COLUMNS = tl.constexpr(len(COLUMNS))
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))
# What is kept of a block at a row: the step within this picture, within the earlier one, from the earlier picture down
# to this one, from this one down to the earlier one, and the change of the block.
_STEP, _STEP_THEN, _NEW_BELOW, _OLD_BELOW, _CHANGE, _SUMS = (tl.constexpr(k) for k in range(6))


@triton.jit
def _codes(address, pitch, y, x, depth, excess, mask):
    if depth > 8:
        words = address.to(tl.pointer_type(tl.uint16))
        stored = tl.load(words + y * (pitch // 2) + x, mask=mask, other=0).to(tl.int32)
    else:
        samples = address.to(tl.pointer_type(tl.uint8))
        stored = tl.load(samples + y * pitch + x, mask=mask, other=0).to(tl.int32)
    return stored >> excess


@triton.jit
def _block_kernel(frames, references, sums, tallest, PROGRAMS: tl.constexpr, ROWS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    width, height = tl.load(frame + _WIDTH), tl.minimum(tl.load(frame + _HEIGHT), tallest)
    if (luma != 0) & (earlier != 0) & (width >= _BLOCK):
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH), tl.load(reference + _R_LUMA_PITCH)
        blocks = width // _BLOCK
        step = tl.maximum(blocks // _SAMPLED, 1)
        own = sums + picture * _SUMS * tallest * _MOST
        plane = tallest * _MOST
        first = program * ROWS
        while first < height:
            y = first + tl.arange(0, ROWS)
            here = y < height
            k = tl.zeros((), tl.int64)
            block = step // 2
            while block < blocks:
                x = (block * _BLOCK + tl.arange(0, _BLOCK))[None, :]
                down = y[:, None]
                inside = (here & (y >= 1))[:, None] & (x >= 0)
                every = here[:, None] & (x >= 0)
                now = _codes(luma, pitch, down, x, depth, excess, every)
                then = _codes(earlier, earlier_pitch, down, x, depth, excess, every)
                above = _codes(luma, pitch, down - 1, x, depth, excess, inside)
                then_above = _codes(earlier, earlier_pitch, down - 1, x, depth, excess, inside)
                at = own + y * _MOST + k
                tl.store(at + _STEP * plane, tl.sum(tl.abs(now - above), axis=1).to(tl.int16), mask=here)
                tl.store(at + _STEP_THEN * plane, tl.sum(tl.abs(then - then_above), axis=1).to(tl.int16), mask=here)
                tl.store(at + _NEW_BELOW * plane, tl.sum(tl.abs(now - then_above), axis=1).to(tl.int16), mask=here)
                tl.store(at + _OLD_BELOW * plane, tl.sum(tl.abs(then - above), axis=1).to(tl.int16), mask=here)
                tl.store(at + _CHANGE * plane, tl.sum(tl.abs(now - then), axis=1).to(tl.int16), mask=here)
                k += 1
                block += step
            first += PROGRAMS * ROWS


@triton.jit
def _torn_kernel(frames, references, sums, found, tallest, PROGRAMS: tl.constexpr, ROWS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    luma, earlier = tl.load(frame + _LUMA), tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA)
    width, height = tl.load(frame + _WIDTH), tl.minimum(tl.load(frame + _HEIGHT), tallest)
    if (luma != 0) & (earlier != 0) & (width >= _BLOCK):
        blocks = width // _BLOCK
        step = tl.maximum(blocks // _SAMPLED, 1)
        count = (blocks - step // 2 + step - 1) // step
        own = sums + picture * _SUMS * tallest * _MOST
        plane = tallest * _MOST
        out = found + picture * _COLUMNS * tallest
        first = program * ROWS
        while first < height:
            y = first + tl.arange(0, ROWS)
            row = (y >= 1) & (y < height)
            newer_above = tl.zeros((ROWS,), tl.int32)
            newer_below = tl.zeros((ROWS,), tl.int32)
            against = tl.zeros((ROWS,), tl.int32)
            moving = tl.zeros((ROWS,), tl.int32)
            k = tl.zeros((), tl.int64)
            while k < count:
                at = own + y * _MOST + k
                change = tl.load(at + _CHANGE * plane, mask=row, other=0).to(tl.int32)
                change_above = tl.load(at - _MOST + _CHANGE * plane, mask=row, other=0).to(tl.int32)
                more, less = tl.maximum(change, change_above), tl.minimum(change, change_above)
                here = tl.load(at + _STEP * plane, mask=row, other=0).to(tl.int32)
                before = tl.load(at + _STEP_THEN * plane, mask=row, other=0).to(tl.int32)
                new_below = tl.load(at + _NEW_BELOW * plane, mask=row, other=0).to(tl.int32)
                old_below = tl.load(at + _OLD_BELOW * plane, mask=row, other=0).to(tl.int32)
                across = tl.minimum(new_below, old_below)
                around = tl.zeros((ROWS,), tl.int32)
                distance = -_REACH
                while distance <= _REACH:
                    beside = y + distance
                    there = row & (beside >= 1) & (beside < height) & (distance != 0)
                    near = own + beside * _MOST + k
                    of_this = tl.load(near + _STEP * plane, mask=there, other=0).to(tl.int32)
                    of_then = tl.load(near + _STEP_THEN * plane, mask=there, other=0).to(tl.int32)
                    around = tl.maximum(around, tl.maximum(of_this, of_then))
                    distance += 1
                moves = row & (more >= _MOVING * _BLOCK) & (less >= _LITTLE * _BLOCK)
                torn = moves & (here - across >= _LEAST_MORE * _BLOCK) & (2 * here >= _HALVES * across)
                torn = torn & ((2 * less >= more) | (2 * before >= _HALVES * across)) & (5 * here >= _FIFTHS * around)
                torn = torn & (5 * tl.maximum(new_below, old_below) >= 4 * here)
                above = new_below <= old_below
                newer_above += (torn & above).to(tl.int32)
                newer_below += (torn & (new_below > old_below)).to(tl.int32)
                against += (moves & (across - here >= _LEAST_MORE * _BLOCK)).to(tl.int32)
                moving += moves.to(tl.int32)
                k += 1
            tl.store(out + y, newer_above, mask=row)
            tl.store(out + tallest + y, newer_below, mask=row)
            tl.store(out + 2 * tallest + y, against, mask=row)
            tl.store(out + 3 * tallest + y, moving, mask=row)
            first += PROGRAMS * ROWS


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """The op's CUDA implementation; see kernels/tear/op.py. The tables are checked and contiguous."""
    count, device = frames.shape[0], frames.device
    found = torch.zeros((count, len(COLUMNS), tallest), dtype=torch.int32, device=device)
    if count and tallest:
        # At most 16 * 255 each.
        sums = torch.empty((count, _SUMS.value, tallest, MOST_BLOCKS), dtype=torch.int16, device=device)
        _block_kernel[(PROGRAMS, count)](frames, references, sums, tallest, PROGRAMS=PROGRAMS, ROWS=ROWS)
        _torn_kernel[(PROGRAMS, count)](frames, references, sums, found, tallest, PROGRAMS=PROGRAMS, ROWS=ROWS)
    return found
