"""torn_blocks on CUDA: Triton, three launches; this grid, the other grids where this one has something, the columns.

Bytes of an 8-bit picture of 1920x1080 without damage: a quarter of its rows and of its reference's, 1.04 MB, 0.31 us
at 3.35 TB/s. Worked out, not measured. A thread loads one sample at a time, and a warp 32 side by side (decision 0109).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.torn_blocks.layout import (
    BLOCK,
    CHANGED,
    COLUMNS,
    PHASES,
    TORN,
    TORN_BEFORE,
    WOVEN,
    WOVEN_BY_CHANCE,
    WOVEN_ROWS,
)
from kernels.tuning import Blocks, blocks_on

# A launch has as many programs for a picture and grid; each takes every so manieth row of blocks, so many blocks at a
# time. They change no number.
PROGRAMS = 16

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_COLUMNS, _BLOCK, _PHASES = tl.constexpr(len(COLUMNS)), tl.constexpr(BLOCK), tl.constexpr(len(PHASES))
_PHASE_STEP = tl.constexpr(PHASES[1])
_TORN, _TORN_BEFORE = tl.constexpr(TORN * BLOCK), tl.constexpr(TORN_BEFORE * BLOCK)
_CHANGED = tl.constexpr(2 * CHANGED * BLOCK)
_WOVEN, _WOVEN_BY_CHANCE = tl.constexpr(WOVEN * BLOCK), tl.constexpr(WOVEN_BY_CHANCE)
_WOVEN_ROWS = tl.constexpr(WOVEN_ROWS)
# Of each picture: blocks with a torn corner, and with three or four torn borders, of every grid; and borders woven.
_COUNTS = tl.constexpr(2 * len(PHASES) + 1)
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))


@triton.jit
def _codes(address, offset, depth, excess, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int32)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int32)
    return stored >> excess


@triton.jit
def _excess_of(address, offset, step, depth, excess, mask):
    """By how much the step to the samples at `offset` exceeds those before and behind it; and the samples there."""
    two_before = _codes(address, offset - 2 * step, depth, excess, mask)
    before = _codes(address, offset - step, depth, excess, mask)
    here = _codes(address, offset, depth, excess, mask)
    behind = _codes(address, offset + step, depth, excess, mask)
    over = tl.abs(here - before) - tl.abs(before - two_before) - tl.abs(behind - here)
    return tl.sum(over, axis=1), before, here


@triton.jit
def _torn(luma, offset, step, earlier, earlier_offset, earlier_step, depth, excess, mask):
    """1 for each border (a row of samples) that is torn, else 0."""
    over, before, here = _excess_of(luma, offset, step, depth, excess, mask)
    over_then, before_then, here_then = _excess_of(earlier, earlier_offset, earlier_step, depth, excess, mask)
    change = tl.sum(tl.abs(here - here_then) + tl.abs(before - before_then), axis=1)
    return ((over >= _TORN) & (over_then < _TORN_BEFORE) & (change >= _CHANGED)).to(tl.int32)


@triton.jit
def _woven(luma, offset, step, depth, excess, mask):
    """1 for each border (a row of samples) at which rows of two moments meet, else 0."""
    two_before = _codes(luma, offset - 2 * step, depth, excess, mask)
    before = _codes(luma, offset - step, depth, excess, mask)
    here = _codes(luma, offset, depth, excess, mask)
    behind = _codes(luma, offset + step, depth, excess, mask)
    apart = tl.sum(tl.abs(here - before), axis=1)
    same = tl.sum(tl.abs(here - two_before) + tl.abs(behind - before), axis=1)
    return ((apart >= _WOVEN) & (apart >= same)).to(tl.int32)


@triton.jit
def _grid_kernel(frames, references, counts, FIRST: tl.constexpr, PROGRAMS: tl.constexpr, BLOCKS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    index = tl.program_id(2) + FIRST
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    own = counts + picture * _COUNTS
    luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
    wanted = (luma != 0) & (earlier != 0)
    if FIRST > 0:
        wanted = wanted & (tl.load(own) > 0)
    if wanted:
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        word = tl.where(depth > 8, 2, 1)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH) // word, tl.load(reference + _R_LUMA_PITCH) // word
        phase = (index * _PHASE_STEP).to(tl.int64)
        rows = (tl.load(frame + _HEIGHT) - phase) // _BLOCK
        columns = (tl.load(frame + _WIDTH) - phase) // _BLOCK
        woven_step = tl.maximum(rows // _WOVEN_ROWS, 1)
        along = tl.arange(0, _BLOCK)[None, :]
        corners, sides = tl.zeros((BLOCKS,), tl.int32), tl.zeros((BLOCKS,), tl.int32)
        woven = tl.zeros((BLOCKS,), tl.int32)
        row = program
        while row < rows:
            y = phase + row * _BLOCK
            first = tl.zeros((), tl.int64)
            while first < columns:
                column = first + tl.arange(0, BLOCKS)
                x = (phase + column * _BLOCK)[:, None]
                down = tl.zeros((BLOCKS,), tl.int32)
                for border in tl.static_range(2):
                    there = (column < columns) & (row + border > 0) & (row + border < rows)
                    line = y + border * _BLOCK
                    down += _torn(
                        luma, line * pitch + x + along, pitch, earlier, line * earlier_pitch + x + along,
                        earlier_pitch, depth, excess, there[:, None],
                    )  # fmt: skip
                    if FIRST == 0 and border == 1:
                        there = there & (row % woven_step == 0)
                        woven += _woven(luma, line * pitch + x + along, pitch, depth, excess, there[:, None])
                if tl.max(down, axis=0) > 0:
                    aside = tl.zeros((BLOCKS,), tl.int32)
                    for border in tl.static_range(2):
                        there = (down > 0) & (column + border > 0) & (column + border < columns)
                        beside = x + border * _BLOCK
                        aside += _torn(
                            luma, (y + along) * pitch + beside, 1, earlier, (y + along) * earlier_pitch + beside, 1,
                            depth, excess, there[:, None],
                        )  # fmt: skip
                    corners += ((down > 0) & (aside > 0)).to(tl.int32)
                    sides += (down + aside >= 3).to(tl.int32)
                first += BLOCKS
            row += PROGRAMS
        tl.atomic_add(own + 2 * index, tl.sum(corners, axis=0))
        tl.atomic_add(own + 2 * index + 1, tl.sum(sides, axis=0))
        if FIRST == 0:
            tl.atomic_add(own + 2 * _PHASES, tl.sum(woven, axis=0))


@triton.jit
def _column_kernel(frames, references, counts, out):
    picture = tl.program_id(0).to(tl.int64)
    seen = tl.load(frames + picture * _FIELDS + _LUMA) != 0
    if seen & (tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA) != 0):
        own = counts + picture * _COUNTS
        row = out + picture * _COLUMNS
        for measure in tl.static_range(2):
            most = tl.zeros((), tl.int32)
            for phase in tl.static_range(1, _PHASES):
                most = tl.maximum(most, tl.load(own + 2 * phase + measure))
            tl.store(row + 2 * measure, tl.load(own + measure).to(tl.float64))
            tl.store(row + 2 * measure + 1, most.to(tl.float64))
        frame = frames + picture * _FIELDS
        rows = tl.load(frame + _HEIGHT) // _BLOCK
        step = tl.maximum(rows // _WOVEN_ROWS, 1)
        borders = tl.maximum(rows - 2 + step, 0) // step * (tl.load(frame + _WIDTH) // _BLOCK)
        found = tl.maximum(tl.load(own + 2 * _PHASES) - _WOVEN_BY_CHANCE, 0)
        tl.store(row + 4, found.to(tl.float64) / tl.maximum(borders, 1).to(tl.float64))


def torn_blocks(frames: Tensor, references: Tensor, *, blocks: Blocks | None = None) -> Tensor:
    """The op's CUDA implementation; see kernels/torn_blocks/op.py. The tables are checked and contiguous."""
    blocks = blocks or blocks_on("torn_blocks", frames.device)
    size = {"BLOCKS": blocks.tile[0], "num_warps": blocks.warps}
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count:
        counts = torch.zeros((count, _COUNTS.value), dtype=torch.int32, device=device)
        _grid_kernel[(PROGRAMS, count, 1)](frames, references, counts, FIRST=0, PROGRAMS=PROGRAMS, **size)
        _grid_kernel[(PROGRAMS, count, len(PHASES) - 1)](frames, references, counts, FIRST=1, PROGRAMS=PROGRAMS, **size)
        _column_kernel[(count,)](frames, references, counts, out)
    return out
