"""blockiness on CUDA: Triton, five launches for a batch of any sizes and formats, no wait for the host.

`_find_across` and `_find_down` read every line of luma and leave profiles of quotients and of edges; `_fold` tries the
periods of blockdetect, `_try_grids` those of the grid, `_finish` judges the regions. Pictures that are not due end at
once. All that crosses programs are int64 sums, whose result does not depend on their order.

Bytes of an 8-bit picture of 1920x1080: 2.07 MB, read in each direction: 4.1 MB from memory or cache, a floor of 1.2 us
at 3.35 TB/s. Operations: about 60 per sample and direction, 250 M: 17 us at 15 T simple integer operations/s. Worked
out, not measured; a picture is due about once a second.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.blockiness.columns import (
    COLUMNS,
    EDGE_STEP,
    GRID_MIN,
    LEAST_LINES,
    LONG_LINES,
    PERIOD_MAX,
    PERIOD_MIN,
    QUOTIENT_ONE,
    REGION_RANK,
    REGIONS,
    RUN,
)
from kernels.layout import FRAME_FIELDS, Field

PROGRAMS = 128  # per picture and direction

_FIELDS = tl.constexpr(FRAME_FIELDS)
_COLUMNS = tl.constexpr(len(COLUMNS))
_LUMA, _LUMA_PITCH = tl.constexpr(int(Field.LUMA_ADDRESS)), tl.constexpr(int(Field.LUMA_PITCH))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_QUOTIENT_ONE, _RUN, _LEAST_STEP = tl.constexpr(QUOTIENT_ONE), tl.constexpr(RUN), tl.constexpr(EDGE_STEP * RUN)
_REGIONS, _REGION_RANK, _LEAST_LINES = (tl.constexpr(n) for n in (REGIONS, REGION_RANK, LEAST_LINES))
_LONG_LINES = tl.constexpr(LONG_LINES)
_PERIOD_MIN, _PERIODS = tl.constexpr(PERIOD_MIN), tl.constexpr(PERIOD_MAX - PERIOD_MIN + 1)
_GRID_MIN, _GRIDS = tl.constexpr(GRID_MIN), tl.constexpr(PERIOD_MAX - GRID_MIN + 1)


@triton.jit
def _first_run(band, runs):
    return (band * runs + _REGIONS - 1) // _REGIONS


@triton.jit
def _find_across_of(
    frame, profile, edges, program, SIDE_ROOM,
    WORD: tl.constexpr, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // (WORD.primitive_bitwidth // 8)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    excess = (tl.load(frame + _SHIFT) + tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)
    runs = height // _RUN
    item = program.to(tl.int64)
    while item < tl.cdiv(width, SIDE) * _REGIONS:
        band = item % _REGIONS
        x = item // _REGIONS * SIDE + tl.arange(0, SIDE)
        line = (x >= 3) & (x < width - 4)
        y_first = _first_run(band, runs) * _RUN
        whole = _first_run(band + 1, runs) * _RUN  # where the band's whole runs end
        end = tl.where(band == _REGIONS - 1, height, whole)
        quotients = tl.zeros((SIDE,), tl.int64)
        found = tl.zeros((SIDE,), tl.int32)
        while y_first < end:
            y = y_first + tl.arange(0, LINES)
            mask = (y < end)[:, None] & line[None, :]
            at = base + y[:, None] * pitch + x[None, :]
            before = tl.load(at - 3, mask=mask, other=0).to(tl.int32) >> excess
            run_before = tl.sum(tl.reshape(before, (LINES // _RUN, _RUN, SIDE)), axis=1)
            around = tl.zeros((LINES, SIDE), tl.int32)
            run_around = tl.zeros((LINES // _RUN, SIDE), tl.int32)
            step, run_step = around, run_around
            for k in tl.static_range(-3, 4):
                after = tl.load(at + (k + 1), mask=mask, other=0).to(tl.int32) >> excess
                run_after = tl.sum(tl.reshape(after, (LINES // _RUN, _RUN, SIDE)), axis=1)
                if k == 0:
                    step, run_step = tl.abs(after - before), tl.abs(run_after - run_before)
                else:
                    around += tl.abs(after - before)
                    run_around += tl.abs(run_after - run_before)
                before, run_before = after, run_after
            step = tl.where((y > 0)[:, None], step, 0)  # FFmpeg keeps its sums in the first row
            quotients += tl.sum(step * _QUOTIENT_ONE // tl.maximum(around, 1), axis=0).to(tl.int64)
            run_end = y_first + _RUN * tl.arange(0, LINES // _RUN) + _RUN
            edge = (run_step >= _LEAST_STEP) & (run_step >= run_around) & (run_end <= whole)[:, None]
            found += tl.sum(edge.to(tl.int32), axis=0)
            y_first += LINES
        tl.atomic_add(profile + x, quotients, mask=x < width)
        tl.store(edges + band * SIDE_ROOM + x, found, mask=x < width)
        item += PROGRAMS


@triton.jit
def _find_down_of(
    frame, profile, edges, program, SIDE_ROOM,
    WORD: tl.constexpr, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // (WORD.primitive_bitwidth // 8)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    excess = (tl.load(frame + _SHIFT) + tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)
    runs = width // _RUN
    item = program.to(tl.int64)
    while item < tl.cdiv(height, LINES) * _REGIONS:
        band = item % _REGIONS
        y = item // _REGIONS * LINES + tl.arange(0, LINES)
        line = (y >= 3) & (y < height - 4)
        x_first = _first_run(band, runs) * _RUN
        whole = _first_run(band + 1, runs) * _RUN
        end = tl.where(band == _REGIONS - 1, width, whole)
        quotients = tl.zeros((LINES,), tl.int64)
        found = tl.zeros((LINES,), tl.int32)
        while x_first < end:
            x = x_first + tl.arange(0, SIDE)
            mask = line[:, None] & (x < end)[None, :]
            at = base + y[:, None] * pitch + x[None, :]
            before = tl.load(at - 3 * pitch, mask=mask, other=0).to(tl.int32) >> excess
            run_before = tl.sum(tl.reshape(before, (LINES, SIDE // _RUN, _RUN)), axis=2)
            around = tl.zeros((LINES, SIDE), tl.int32)
            run_around = tl.zeros((LINES, SIDE // _RUN), tl.int32)
            step, run_step = around, run_around
            for k in tl.static_range(-3, 4):
                after = tl.load(at + (k + 1) * pitch, mask=mask, other=0).to(tl.int32) >> excess
                run_after = tl.sum(tl.reshape(after, (LINES, SIDE // _RUN, _RUN)), axis=2)
                if k == 0:
                    step, run_step = tl.abs(after - before), tl.abs(run_after - run_before)
                else:
                    around += tl.abs(after - before)
                    run_around += tl.abs(run_after - run_before)
                before, run_before = after, run_after
            step = tl.where((x > 0)[None, :], step, 0)  # nor the first column
            quotients += tl.sum(step * _QUOTIENT_ONE // tl.maximum(around, 1), axis=1).to(tl.int64)
            run_end = x_first + _RUN * tl.arange(0, SIDE // _RUN) + _RUN
            edge = (run_step >= _LEAST_STEP) & (run_step >= run_around) & (run_end <= whole)[None, :]
            found += tl.sum(edge.to(tl.int32), axis=1)
            x_first += SIDE
        tl.atomic_add(profile + y, quotients, mask=y < height)
        tl.store(edges + band * SIDE_ROOM + y, found, mask=y < height)
        item += PROGRAMS


@triton.jit
def _find_across(
    frames, profiles, edges, SIDE_ROOM, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr
):  # fmt: skip
    """Of every line between columns: sums of quotients, and edges by band of rows."""
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    own, own_edges = profiles + picture * 2 * SIDE_ROOM, edges + picture * 2 * _REGIONS * SIDE_ROOM
    if tl.load(frame + _LUMA) != 0:
        if tl.load(frame + _BIT_DEPTH) == 8:
            _find_across_of(frame, own, own_edges, tl.program_id(0), SIDE_ROOM, tl.uint8, PROGRAMS, LINES, SIDE)
        else:
            _find_across_of(frame, own, own_edges, tl.program_id(0), SIDE_ROOM, tl.uint16, PROGRAMS, LINES, SIDE)


@triton.jit
def _find_down(frames, profiles, edges, SIDE_ROOM, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr):
    """Of every line between rows, by band of columns."""
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    own = profiles + (picture * 2 + 1) * SIDE_ROOM
    own_edges = edges + (picture * 2 + 1) * _REGIONS * SIDE_ROOM
    if tl.load(frame + _LUMA) != 0:
        if tl.load(frame + _BIT_DEPTH) == 8:
            _find_down_of(frame, own, own_edges, tl.program_id(0), SIDE_ROOM, tl.uint8, PROGRAMS, LINES, SIDE)
        else:
            _find_down_of(frame, own, own_edges, tl.program_id(0), SIDE_ROOM, tl.uint16, PROGRAMS, LINES, SIDE)


@triton.jit
def _fold(frames, profiles, strengths, SIDE_ROOM, BLOCK: tl.constexpr):
    """strengths[n, c] for candidate c: a direction and a period of blockdetect."""
    candidate = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        direction = candidate // _PERIODS
        period = candidate % _PERIODS + _PERIOD_MIN
        length = tl.load(frame + tl.where(direction == 0, _WIDTH, _HEIGHT))
        profile = profiles + (picture * 2 + direction) * SIDE_ROOM
        on, off = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
        on_count, off_count = tl.zeros((BLOCK,), tl.int32), tl.zeros((BLOCK,), tl.int32)
        start = tl.zeros((), tl.int64)
        while start < length:
            i = start + tl.arange(0, BLOCK)
            here = (i >= 3) & (i < length - 4)
            grid = here & (i % period == period - 1)
            value = tl.load(profile + i, mask=here, other=0)
            # Neighbours too, as for grids that scaling has moved by a fraction of a sample.
            before = tl.load(profile + i - 1, mask=grid, other=0)
            after = tl.load(profile + i + 1, mask=grid, other=0)
            on += tl.where(grid, tl.maximum(tl.maximum(before, value), after), 0)
            off += tl.where(grid, 0, value)
            on_count += grid.to(tl.int32)
            off_count += (here & ~grid).to(tl.int32)
            start += BLOCK
        on_sum, off_sum = tl.sum(on, axis=0), tl.sum(off, axis=0)
        on_lines, off_lines = tl.sum(on_count, axis=0), tl.sum(off_count, axis=0)
        strength = tl.zeros((), tl.float64)
        if (on_lines > 0) & (off_sum > 0):
            strength = (on_sum.to(tl.float64) * off_lines.to(tl.float64)) / (
                off_sum.to(tl.float64) * on_lines.to(tl.float64)
            )
        tl.store(strengths + picture * (2 * _PERIODS) + candidate, strength)


@triton.jit
def _try_grids(frames, edges, better, phases, SIDE_ROOM, PHASES: tl.constexpr, BLOCK: tl.constexpr):
    """The best phase of each direction and period of a grid: better[n, c] is by how much its lines have more."""
    candidate = tl.program_id(0).to(tl.int64)
    picture = tl.program_id(1).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        direction = candidate // _GRIDS
        period = candidate % _GRIDS + _GRID_MIN
        length = tl.load(frame + tl.where(direction == 0, _WIDTH, _HEIGHT))
        runs = tl.load(frame + tl.where(direction == 0, _HEIGHT, _WIDTH)) // _RUN
        own = edges + (picture * 2 + direction) * _REGIONS * SIDE_ROOM
        phase = tl.arange(0, PHASES)
        on, on_lines = tl.zeros((PHASES,), tl.int64), tl.zeros((PHASES,), tl.int64)
        everything = tl.zeros((), tl.int64)
        start = tl.zeros((), tl.int64)
        while start < length:
            i = start + tl.arange(0, BLOCK)
            here = (i >= 3) & (i < length - 4)
            total = tl.zeros((BLOCK,), tl.int64)
            for band in tl.static_range(_REGIONS):
                many = _first_run(band + 1, runs) - _first_run(band, runs)
                found = tl.load(own + band * SIDE_ROOM + i, mask=here, other=0).to(tl.int64)
                total += tl.minimum(2 * found, many)
            grid = here[None, :] & ((i % period)[None, :] == phase[:, None])
            on += tl.sum(tl.where(grid, total[None, :], 0), axis=1)
            on_lines += tl.sum(grid.to(tl.int64), axis=1)
            everything += tl.sum(tl.where(here, total, 0), axis=0)
            start += BLOCK
        off_lines = tl.maximum(length - 7, 0) - on_lines
        both = (on_lines >= _LEAST_LINES) & (off_lines > 0)
        apart = on * off_lines - (everything - on) * on_lines
        more = tl.where(both, apart.to(tl.float64) / tl.maximum(on_lines * off_lines, 1).to(tl.float64), 0.0)
        best = tl.maximum(tl.max(more, axis=0), 0.0)
        tl.store(better + picture * (2 * _GRIDS) + candidate, best)
        first = tl.min(tl.where(more == best, phase, PHASES - 1), axis=0)
        tl.store(phases + picture * (2 * _GRIDS) + candidate, first.to(tl.int64))


@triton.jit
def _region_share(edges, runs, length, band, group, period, phase, SIDE_ROOM, BLOCK: tl.constexpr):
    """Mean share of edges of one region's lines on the grid but the two with most, less that of its other lines."""
    many = _first_run(band + 1, runs) - _first_run(band, runs)
    first = tl.maximum((group * (length - 1) + _REGIONS - 1) // _REGIONS, 3)
    last = tl.minimum(((group + 1) * (length - 1) + _REGIONS - 1) // _REGIONS, length - 4)
    on, off = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
    most, second = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)  # by lane
    on_count, off_count = tl.zeros((BLOCK,), tl.int32), tl.zeros((BLOCK,), tl.int32)
    start = first
    while start < last:
        i = start + tl.arange(0, BLOCK)
        here = i < last
        found = tl.load(edges + band * SIDE_ROOM + i, mask=here, other=0).to(tl.int64)
        found = tl.minimum(2 * found, many)
        grid = here & (i % period == phase)
        off += tl.where(here & ~grid, found, 0)
        found = tl.where(grid, found, 0)
        on += found
        second = tl.maximum(second, tl.minimum(most, found))
        most = tl.maximum(most, found)
        on_count += grid.to(tl.int32)
        off_count += (here & ~grid).to(tl.int32)
        start += BLOCK
    on_lines, off_lines = tl.sum(on_count, axis=0).to(tl.int64) - _LONG_LINES, tl.sum(off_count, axis=0).to(tl.int64)
    largest = tl.max(most, axis=0)
    lane = tl.arange(0, BLOCK)
    holder = tl.min(tl.where(most == largest, lane, BLOCK), axis=0)
    next_largest = tl.max(tl.where(lane == holder, second, most), axis=0)
    share = tl.zeros((), tl.float64)
    if (on_lines > 0) & (off_lines > 0) & (many > 0):
        kept = tl.sum(on, axis=0) - largest - next_largest
        apart = kept * off_lines - tl.sum(off, axis=0) * on_lines
        share = apart.to(tl.float64) / (on_lines * off_lines * (2 * many)).to(tl.float64)
    return share


@triton.jit
def _best_grid(better, phases, LANES: tl.constexpr):
    """Period and phase of one direction's best grid, the smallest period of equal ones; and whether there is one."""
    lane = tl.arange(0, LANES)
    found = tl.load(better + lane, mask=lane < _GRIDS, other=0.0)
    best = tl.max(found, axis=0)
    first = tl.min(tl.where(found == best, lane, LANES), axis=0)
    return (first + _GRID_MIN).to(tl.int64), tl.load(phases + first), best > 0


@triton.jit
def _finish(
    frames, edges, strengths, better, phases, out, SIDE_ROOM,
    CANDIDATES: tl.constexpr, LANES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        lane = tl.arange(0, CANDIDATES)
        found = tl.load(strengths + picture * (2 * _PERIODS) + lane, mask=lane < 2 * _PERIODS, other=0.0)
        tl.store(out + picture * _COLUMNS, tl.max(found, axis=0))
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        own = picture * (2 * _GRIDS)
        period, phase, any_across = _best_grid(better + own, phases + own, LANES)
        down_period, down_phase, any_down = _best_grid(better + own + _GRIDS, phases + own + _GRIDS, LANES)
        share = tl.zeros((), tl.float64)
        if any_across & any_down:
            across = edges + picture * 2 * _REGIONS * SIDE_ROOM
            down = across + _REGIONS * SIDE_ROOM
            region = tl.arange(0, _REGIONS * _REGIONS)
            shares = tl.zeros((_REGIONS * _REGIONS,), tl.float64)
            k = tl.zeros((), tl.int64)
            while k < _REGIONS * _REGIONS:
                row, column = k // _REGIONS, k % _REGIONS
                one = _region_share(across, height // _RUN, width, row, column, period, phase, SIDE_ROOM, BLOCK)
                other = _region_share(
                    down, width // _RUN, height, column, row, down_period, down_phase, SIDE_ROOM, BLOCK
                )
                shares = tl.where(region == k, tl.minimum(one, other), shares)
                k += 1
            before = (shares[None, :] > shares[:, None]) | (
                (shares[None, :] == shares[:, None]) & (region[None, :] < region[:, None])
            )
            ranked = tl.sum(before.to(tl.int32), axis=1) == _REGION_RANK - 1
            share = tl.maximum(tl.sum(tl.where(ranked, shares, 0.0), axis=0), 0.0)
        tl.store(out + picture * _COLUMNS + 1, share)


def blockiness(
    frames: Tensor, largest_side: int, *, programs: int = PROGRAMS, tile: tuple[int, int] = (16, 64), block: int = 1024
) -> Tensor:
    """The op's CUDA implementation; see kernels/blockiness/op.py. The table is checked and contiguous.

    Args:
        frames: the table, on the device.
        largest_side: at least the width and height of every picture.
        programs: how many share the lines of one picture and direction; they change no number.
        tile: rows and columns of a tile, powers of two from 4 to 64; they change no number.
        block: lines that are folded at a time, a power of two; it changes no number.
    """
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return out
    room = -(-max(largest_side, 1) // 64) * 64
    profiles = torch.zeros((count, 2, room), dtype=torch.int64, device=device)
    edges = torch.empty((count, 2, REGIONS, room), dtype=torch.int32, device=device)
    candidates, grids = 2 * (PERIOD_MAX - PERIOD_MIN + 1), 2 * (PERIOD_MAX - GRID_MIN + 1)
    strengths = torch.empty((count, candidates), dtype=torch.float64, device=device)
    better = torch.empty((count, grids), dtype=torch.float64, device=device)
    phases = torch.empty((count, grids), dtype=torch.int64, device=device)
    lines, side = tile
    for find in (_find_across, _find_down):
        find[(programs, count)](frames, profiles, edges, room, PROGRAMS=programs, LINES=lines, SIDE=side)
    _fold[(candidates, count)](frames, profiles, strengths, room, BLOCK=block)
    _try_grids[(grids, count)](
        frames, edges, better, phases, room, PHASES=triton.next_power_of_2(PERIOD_MAX), BLOCK=min(block, 128)
    )
    _finish[(count,)](
        frames, edges, strengths, better, phases, out, room,
        CANDIDATES=triton.next_power_of_2(candidates), LANES=triton.next_power_of_2(grids // 2), BLOCK=block,
    )  # fmt: skip
    return out
