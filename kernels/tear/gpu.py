"""tear on CUDA: Triton, two launches; the sums of every strip and row, then each row beside its neighbours.

Bytes of an 8-bit picture of 1920x1080: a quarter of it and of its reference twice, 2.2 MB from the cache's point of
view, and 5 x 16 sums a row. Worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.tear.layout import (
    LEAST_STEP,
    LEAST_STRIPS,
    MOVING,
    OVER_AROUND,
    OVER_TIME,
    REACH,
    SMALLEST_WIDTH,
    STRIP_WIDTH,
    STRIPS,
)

# A launch has as many programs for a picture; each takes every so manieth group of ROWS rows. They change no number.
PROGRAMS = 32
ROWS = 32

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_STRIPS, _STRIP_WIDTH = tl.constexpr(STRIPS), tl.constexpr(STRIP_WIDTH)
_SMALLEST_WIDTH, _MOVING = tl.constexpr(SMALLEST_WIDTH), tl.constexpr(MOVING)
_LEAST_STRIPS, _LEAST_STEP, _REACH = tl.constexpr(LEAST_STRIPS), tl.constexpr(LEAST_STEP), tl.constexpr(REACH)
_OVER_TIME, _OVER_AROUND = tl.constexpr(OVER_TIME), tl.constexpr(OVER_AROUND)
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))
# What is kept of a strip at a row: the step within this picture, within the earlier one, from the earlier picture down
# to this one, from this one down to the earlier one, and whether the strip moves.
_STEP, _STEP_THEN, _NEW_BELOW, _OLD_BELOW, _MOVES, _SUMS = (tl.constexpr(k) for k in range(6))


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
def _strip_kernel(frames, references, sums, tallest, PROGRAMS: tl.constexpr, ROWS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    if (luma != 0) & (earlier != 0) & (width >= _SMALLEST_WIDTH):
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH), tl.load(reference + _R_LUMA_PITCH)
        strip = tl.minimum(width // _STRIPS, _STRIP_WIDTH)
        column = tl.arange(0, _STRIP_WIDTH)
        own = sums + picture * _SUMS * tallest * _STRIPS
        plane = tallest * _STRIPS
        first = program * ROWS
        while first < height:
            y = first + tl.arange(0, ROWS)
            for k in tl.static_range(_STRIPS):
                x = (2 * k + 1) * width // (2 * _STRIPS) - strip // 2 + column
                inside = ((y >= 1) & (y < height))[:, None] & (column < strip)[None, :]
                down, across = y[:, None], x[None, :]
                now = _codes(luma, pitch, down, across, depth, excess, inside)
                above = _codes(luma, pitch, down - 1, across, depth, excess, inside)
                then = _codes(earlier, earlier_pitch, down, across, depth, excess, inside)
                then_above = _codes(earlier, earlier_pitch, down - 1, across, depth, excess, inside)
                at = own + y * _STRIPS + k
                here = y < height
                tl.store(at + _STEP * plane, tl.sum(tl.abs(now - above), axis=1), mask=here)
                tl.store(at + _STEP_THEN * plane, tl.sum(tl.abs(then - then_above), axis=1), mask=here)
                tl.store(at + _NEW_BELOW * plane, tl.sum(tl.abs(now - then_above), axis=1), mask=here)
                tl.store(at + _OLD_BELOW * plane, tl.sum(tl.abs(then - above), axis=1), mask=here)
                change = tl.maximum(tl.sum(tl.abs(now - then), axis=1), tl.sum(tl.abs(above - then_above), axis=1))
                tl.store(at + _MOVES * plane, (change >= _MOVING * strip).to(tl.int32), mask=here)
            first += PROGRAMS * ROWS


@triton.jit
def _torn_kernel(frames, references, sums, found, places, tallest, PROGRAMS: tl.constexpr, ROWS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    luma, earlier = tl.load(frame + _LUMA), tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    if (luma != 0) & (earlier != 0) & (width >= _SMALLEST_WIDTH):
        strip = tl.minimum(width // _STRIPS, _STRIP_WIDTH)
        k = tl.arange(0, _STRIPS)[None, :]
        own = sums + picture * _SUMS * tallest * _STRIPS
        plane = tallest * _STRIPS
        best = tl.zeros((ROWS,), tl.float64)
        place = tl.zeros((ROWS,), tl.int64)
        first = program * ROWS
        while first < height:
            y = first + tl.arange(0, ROWS)
            row = (y >= 1) & (y < height)
            at = own + y[:, None] * _STRIPS + k
            moves = tl.load(at + _MOVES * plane, mask=row[:, None], other=0)
            n = tl.sum(moves, axis=1)
            here = tl.sum(moves * tl.load(at + _STEP * plane, mask=row[:, None], other=0), axis=1).to(tl.int64)
            new_below = tl.sum(moves * tl.load(at + _NEW_BELOW * plane, mask=row[:, None], other=0), axis=1)
            old_below = tl.sum(moves * tl.load(at + _OLD_BELOW * plane, mask=row[:, None], other=0), axis=1)
            around = tl.zeros((ROWS,), tl.int64)
            distance = -_REACH
            while distance <= _REACH:
                beside = y + distance
                there = (row & (beside >= 1) & (beside < height) & (distance != 0))[:, None]
                near = own + beside[:, None] * _STRIPS + k
                of_this = tl.sum(moves * tl.load(near + _STEP * plane, mask=there, other=0), axis=1)
                of_then = tl.sum(moves * tl.load(near + _STEP_THEN * plane, mask=there, other=0), axis=1)
                around = tl.maximum(around, tl.maximum(of_this, of_then).to(tl.int64))
                distance += 1
            across = tl.minimum(new_below, old_below).to(tl.int64)
            weight = tl.maximum(tl.maximum(_OVER_TIME * across, _OVER_AROUND * around), 1)
            torn = row & (n >= _LEAST_STRIPS) & (here >= _LEAST_STEP * n * strip) & (here > around)
            value = (10 * here).to(tl.float64) / weight.to(tl.float64)
            better = torn & (value > best)
            place = tl.where(better, y, place)
            best = tl.where(better, value, best)
            first += PROGRAMS * ROWS
        most = tl.max(best, axis=0)
        first_row = tl.min(tl.where(best == most, place, height), axis=0)
        tl.store(found + picture * PROGRAMS + program, most)
        tl.store(places + picture * PROGRAMS + program, first_row.to(tl.float64) / height.to(tl.float64))


def tear(frames: Tensor, references: Tensor, tallest: int) -> Tensor:
    """The op's CUDA implementation; see kernels/tear/op.py. The tables are checked and contiguous."""
    count, device = frames.shape[0], frames.device
    found = torch.full((count, PROGRAMS), torch.nan, dtype=torch.float64, device=device)
    places = torch.zeros_like(found)
    if count:
        sums = torch.empty((count, _SUMS.value, tallest, STRIPS), dtype=torch.int32, device=device)
        _strip_kernel[(PROGRAMS, count)](frames, references, sums, tallest, PROGRAMS=PROGRAMS, ROWS=ROWS)
        _torn_kernel[(PROGRAMS, count)](frames, references, sums, found, places, tallest, PROGRAMS=PROGRAMS, ROWS=ROWS)
    most = found.amax(dim=1)
    place = torch.where(found == most[:, None], places, 1.0).amin(dim=1)
    return torch.stack([most, torch.where(most.isnan(), most, place)], dim=1)
