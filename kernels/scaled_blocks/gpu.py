"""scaled_blocks on CUDA: Triton, three launches; this grid, the other grids where this one has something, the columns.

Bytes of an 8-bit picture of 1920x1080 that was coded in 1280x720, without damage: four rows at each of 44 borders and
of its reference's, 0.68 MB, 0.20 us at 3.35 TB/s. Worked out, not measured. A thread loads one sample at a time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.scaled_blocks.layout import BLOCK, CHANGED, COLUMNS, MOST_SCALE, PHASES, TORN, TORN_BEFORE
from kernels.tuning import Blocks, blocks_on

# A launch has as many programs for a picture and grid; each takes every so manieth row of blocks, so many blocks at a
# time. They change no number.
PROGRAMS = 16

_FIELDS, _REFERENCE_FIELDS = tl.constexpr(FRAME_FIELDS), tl.constexpr(REFERENCE_FIELDS)
_COLUMNS, _BLOCK, _PHASES = tl.constexpr(len(COLUMNS)), tl.constexpr(BLOCK), tl.constexpr(len(PHASES))
_PHASE_STEP, _MOST_SCALE = tl.constexpr(PHASES[1]), tl.constexpr(MOST_SCALE)
_TORN, _TORN_BEFORE, _CHANGED = tl.constexpr(TORN), tl.constexpr(TORN_BEFORE), tl.constexpr(2 * CHANGED)
# A power of two that no border has more samples than.
_SAMPLES = tl.constexpr(triton.next_power_of_2(MOST_SCALE * BLOCK + 1))
# Of each picture: blocks with a torn corner, and with three or four torn borders, of every grid.
_COUNTS = tl.constexpr(2 * len(PHASES))
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_R_LUMA, _R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_ADDRESS)), tl.constexpr(int(ReferenceField.LUMA_PITCH))


@triton.jit
def _border(place, size, coded):
    """`border` of kernels/scaled_blocks/layout.py, of places from BLOCK on.

    A compiled // rounds towards zero, where Python's rounds down. Here nothing that is divided is below zero: a picture
    is a third as large as it was at the least, so that 31 * size is more than 10 * coded.
    """
    middle = 2 * place * size - coded
    before = ((middle - size) // (2 * coded)).to(tl.int32)
    behind = ((middle + size + 2 * coded - 1) // (2 * coded)).to(tl.int32)
    further = (behind - before + 1) // 2
    return before - further, before, behind, behind + further


@triton.jit
def _first_sample(place, size, coded):
    """`first_sample` of the same; nothing here is below zero either."""
    return ((2 * place * size + coded - 1) // (2 * coded)).to(tl.int32)


@triton.jit
def _codes(address, offset, depth, excess, mask):
    if depth > 8:
        stored = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=mask, other=0).to(tl.int32)
    else:
        stored = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=mask, other=0).to(tl.int32)
    return stored >> excess


@triton.jit
def _excess_of(address, first, step, two_before, before, behind, two_behind, depth, excess, mask):
    """By how much the step across a border exceeds those on both sides of it; and the samples of the inner lines."""
    a = _codes(address, first + two_before * step, depth, excess, mask)
    b = _codes(address, first + before * step, depth, excess, mask)
    c = _codes(address, first + behind * step, depth, excess, mask)
    d = _codes(address, first + two_behind * step, depth, excess, mask)
    return tl.sum(tl.abs(c - b) - tl.abs(b - a) - tl.abs(d - c), axis=1), b, c


@triton.jit
def _torn(
    luma, first, step, earlier, earlier_first, earlier_step, place, size, coded, count, depth, excess, mask
):  # fmt: skip
    """1 for each border (a row of samples) that is torn, else 0.

    `first` is where the samples of line 0 are, `step` how far it is from one line to the next, `count` how many samples
    a border has; the others as for `_border`.
    """
    two_before, before, behind, two_behind = _border(place, size, coded)
    over, b, c = _excess_of(luma, first, step, two_before, before, behind, two_behind, depth, excess, mask)
    over_then, b_then, c_then = _excess_of(
        earlier, earlier_first, earlier_step, two_before, before, behind, two_behind, depth, excess, mask
    )
    change = tl.sum(tl.abs(b - b_then) + tl.abs(c - c_then), axis=1)
    return ((over >= _TORN * count) & (over_then < _TORN_BEFORE * count) & (change >= _CHANGED * count)).to(tl.int32)


@triton.jit
def _is_looked_at(size, coded):
    return (coded > 0) & (coded <= _MOST_SCALE * size) & (size <= _MOST_SCALE * coded)


@triton.jit
def _is_wanted(frames, references, coded, picture):
    frame = frames + picture * _FIELDS
    seen = tl.load(frame + _LUMA) != 0
    seen = seen & (tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA) != 0)
    seen = seen & _is_looked_at(tl.load(frame + _WIDTH), tl.load(coded + 2 * picture))
    return seen & _is_looked_at(tl.load(frame + _HEIGHT), tl.load(coded + 2 * picture + 1))


@triton.jit
def _grid_kernel(frames, references, coded, counts, FIRST: tl.constexpr, PROGRAMS: tl.constexpr, BLOCKS: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    index = tl.program_id(2) + FIRST
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    own = counts + picture * _COUNTS
    wanted = _is_wanted(frames, references, coded, picture)
    if FIRST > 0:
        wanted = wanted & (tl.load(own) > 0)
    if wanted:
        luma, earlier = tl.load(frame + _LUMA), tl.load(reference + _R_LUMA)
        depth = tl.load(frame + _BIT_DEPTH)
        excess = (tl.load(frame + _SHIFT) + depth - 8).to(tl.int32)
        word = tl.where(depth > 8, 2, 1)
        pitch, earlier_pitch = tl.load(frame + _LUMA_PITCH) // word, tl.load(reference + _R_LUMA_PITCH) // word
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        coded_width, coded_height = tl.load(coded + 2 * picture), tl.load(coded + 2 * picture + 1)
        phase = (index * _PHASE_STEP).to(tl.int64)
        rows, columns = (coded_height - phase) // _BLOCK, (coded_width - phase) // _BLOCK
        along = tl.arange(0, _SAMPLES)[None, :]
        corners, sides = tl.zeros((BLOCKS,), tl.int32), tl.zeros((BLOCKS,), tl.int32)
        row = program
        while row < rows:
            top = phase + row * _BLOCK
            y = _first_sample(top, height, coded_height)
            down_count = _first_sample(top + _BLOCK, height, coded_height) - y
            first = tl.zeros((), tl.int64)
            while first < columns:
                column = first + tl.arange(0, BLOCKS)
                left = phase + column * _BLOCK
                x = _first_sample(left, width, coded_width)
                count = _first_sample(left + _BLOCK, width, coded_width) - x
                across = x[:, None] + along
                down = tl.zeros((BLOCKS,), tl.int32)
                for side in tl.static_range(2):
                    there = (column < columns) & (row + side > 0) & (row + side < rows)
                    down += _torn(
                        luma, across, pitch, earlier, across, earlier_pitch, top + side * _BLOCK, height, coded_height,
                        count, depth, excess, there[:, None] & (along < count[:, None]),
                    )  # fmt: skip
                if tl.max(down, axis=0) > 0:
                    aside = tl.zeros((BLOCKS,), tl.int32)
                    for side in tl.static_range(2):
                        there = (down > 0) & (column + side > 0) & (column + side < columns)
                        aside += _torn(
                            luma, (y + along) * pitch, 1, earlier, (y + along) * earlier_pitch, 1,
                            (left + side * _BLOCK)[:, None], width, coded_width, down_count, depth, excess,
                            there[:, None] & (along < down_count),
                        )  # fmt: skip
                    corners += ((down > 0) & (aside > 0)).to(tl.int32)
                    sides += (down + aside >= 3).to(tl.int32)
                first += BLOCKS
            row += PROGRAMS
        tl.atomic_add(own + 2 * index, tl.sum(corners, axis=0))
        tl.atomic_add(own + 2 * index + 1, tl.sum(sides, axis=0))


@triton.jit
def _column_kernel(frames, references, coded, counts, out):
    picture = tl.program_id(0).to(tl.int64)
    if _is_wanted(frames, references, coded, picture):
        own = counts + picture * _COUNTS
        row = out + picture * _COLUMNS
        for measure in tl.static_range(2):
            most = tl.zeros((), tl.int32)
            for phase in tl.static_range(1, _PHASES):
                most = tl.maximum(most, tl.load(own + 2 * phase + measure))
            tl.store(row + 2 * measure, tl.load(own + measure).to(tl.float64))
            tl.store(row + 2 * measure + 1, most.to(tl.float64))


def scaled_blocks(frames: Tensor, references: Tensor, coded: Tensor, *, blocks: Blocks | None = None) -> Tensor:
    """The op's CUDA implementation; see kernels/scaled_blocks/op.py. The tables are checked and contiguous."""
    blocks = blocks or blocks_on("scaled_blocks", frames.device)
    size = {"BLOCKS": blocks.tile[0], "num_warps": blocks.warps, "maxnreg": blocks.registers}
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count:
        counts = torch.zeros((count, _COUNTS.value), dtype=torch.int32, device=device)
        tables = frames, references, coded
        _grid_kernel[(PROGRAMS, count, 1)](*tables, counts, FIRST=0, PROGRAMS=PROGRAMS, **size)
        _grid_kernel[(PROGRAMS, count, len(PHASES) - 1)](*tables, counts, FIRST=1, PROGRAMS=PROGRAMS, **size)
        _column_kernel[(count,)](*tables, counts, out)
    return out
