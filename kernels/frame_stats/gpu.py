"""frame_stats on CUDA: Triton, four launches for a batch of any sizes and formats, no wait for the host.

`_read_planes` streams every plane once: the picture, its reference, and the copy that is kept. `_find_edges` goes back
to the lines that blockiness looks at, `_fold` tries the grid periods, `_finish` makes the doubles. The host knows
nothing of the table's contents, so the grid is fixed: PROGRAMS programs share the tiles of each picture, and a program
chooses its code by the row's depth and alignment. All that crosses programs are int64 sums and maxima, whose result
does not depend on their order.

Bytes of an 8-bit 4:2:0 picture of 1920x1080, with a reference and a copy: 3.11 MB read, 3.11 MB read, 3.11 MB written;
the lines of blockiness are read again, 0.41 MB of rows and (24 strips of 16 bytes in sectors of 32) 0.83 MB of
strips: 10.6 MB. Operations: about 14 per luma and 5 per chroma sample, 60 per sampled step: 85 M. The floor on an H100
(3.35 TB/s; about 15 T simple integer operations/s) is 3.2 us for the bytes and 6 us for the operations per picture. It
is worked out, not measured.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.frame_stats.columns import (
    COLUMNS,
    PERIOD_MAX,
    PERIOD_MIN,
    QUOTIENT_ONE,
    SAMPLED_ROWS,
    SAMPLED_STRIPS,
    STRIP_WIDTH,
)
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField

PROGRAMS = 128  # per picture; at 64 pictures and more than 60 multiprocessors each has many to choose from
EDGE_PROGRAMS = 64
LARGEST_SIDE = 32768  # what the op allows: one row's sums fit 31 bits

_FIELDS = tl.constexpr(FRAME_FIELDS)
_REFERENCE_FIELDS = tl.constexpr(REFERENCE_FIELDS)
_COLUMNS = tl.constexpr(len(COLUMNS))
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP = tl.constexpr(int(Field.CHROMA_STEP))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))
_BLACK_LEVEL = tl.constexpr(int(Field.BLACK_LEVEL))
_R_LUMA, _R_U, _R_V = (
    tl.constexpr(int(f)) for f in (ReferenceField.LUMA_ADDRESS, ReferenceField.U_ADDRESS, ReferenceField.V_ADDRESS)
)
_R_LUMA_PITCH = tl.constexpr(int(ReferenceField.LUMA_PITCH))
_R_CHROMA_PITCH = tl.constexpr(int(ReferenceField.CHROMA_PITCH))
_PERIOD_MIN = tl.constexpr(PERIOD_MIN)
_PERIODS = tl.constexpr(PERIOD_MAX - PERIOD_MIN + 1)
_QUOTIENT_ONE = tl.constexpr(QUOTIENT_ONE)
_SAMPLED_ROWS, _SAMPLED_STRIPS = tl.constexpr(SAMPLED_ROWS), tl.constexpr(SAMPLED_STRIPS)
_STRIP_WIDTH = tl.constexpr(STRIP_WIDTH)
_LARGEST_SIDE = tl.constexpr(LARGEST_SIDE)

# A picture's sums, int64, all begun at 0.
_SUMS = tl.constexpr(8)
_LUMA_DIFFERENCE, _CHROMA_DIFFERENCE, _TOTAL = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
_BLACK, _GRADIENT = tl.constexpr(3), tl.constexpr(4)
_HIGHEST, _BELOW_TOP = (
    tl.constexpr(5),
    tl.constexpr(6),
)  # largest code; largest code ^ _TOP (= _TOP - code), so that 0 can begin it
_TOP = tl.constexpr(65535)


@triton.jit
def _in_runs(values, ROWS: tl.constexpr, COLS: tl.constexpr):
    """(ROWS, COLS) as (ROWS, COLS / 16, 16): the last axis lies in one thread, so that reducing it needs no other."""
    return tl.reshape(values, (ROWS, COLS // 16, 16))


@triton.jit
def _place(base, pitch, y, x, ALIGNED: tl.constexpr):
    """Addresses of a tile's samples: a run of 16 from a 16-byte boundary where ALIGNED."""
    places = base + y[:, None] * pitch + x[None, :]
    if ALIGNED:
        # The address comes from a table, so that Triton knows nothing of it.
        places = tl.max_contiguous(tl.multiple_of(places, (1, 16)), (1, 16))
    return places


@triton.jit
def _inside(y, x, height, width, ALIGNED: tl.constexpr):
    mask = (y < height)[:, None] & (x < width)[None, :]
    if ALIGNED:
        mask = tl.max_constancy(mask, (1, 16))
    return mask


@triton.jit
def _read_luma(
    frame, reference, retain, sums, program,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    earlier_base = tl.load(reference + _R_LUMA).to(tl.pointer_type(WORD))
    kept_base = tl.load(retain + _R_LUMA).to(tl.pointer_type(WORD))
    compared = tl.load(reference + _R_LUMA) != 0
    kept = tl.load(retain + _R_LUMA) != 0
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    pitch = tl.load(frame + _LUMA_PITCH) // sample_bytes
    earlier_pitch = tl.load(reference + _R_LUMA_PITCH) // sample_bytes
    kept_pitch = tl.load(retain + _R_LUMA_PITCH) // sample_bytes
    width = tl.load(frame + _WIDTH)
    height = tl.load(frame + _HEIGHT)
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    black_level = tl.minimum(tl.load(frame + _BLACK_LEVEL), _TOP).to(tl.int32)

    # Per run of 16 samples and tile at most 2**20, so that 2**11 tiles of one program fit: 2**28 samples a picture.
    difference = tl.zeros((ROWS, COLS // 16), tl.int32)
    total = tl.zeros((ROWS, COLS // 16), tl.int32)
    black = tl.zeros((ROWS, COLS // 16), tl.int32)
    gradient = tl.zeros((ROWS, COLS // 16), tl.int32)
    highest = tl.zeros((ROWS, COLS // 16), tl.int32)
    below_top = tl.zeros((ROWS, COLS // 16), tl.int32)
    across = (width + COLS - 1) // COLS
    tiles = across * ((height + ROWS - 1) // ROWS)
    tile = program.to(tl.int64)
    while tile < tiles:
        y = tile // across * ROWS + tl.arange(0, ROWS)
        x = tile % across * COLS + tl.arange(0, COLS)
        mask = _inside(y, x, height, width, ALIGNED)
        words = tl.load(_place(base, pitch, y, x, ALIGNED), mask=mask, other=0)
        codes = words.to(tl.int32) >> shift
        # The sample to the left is in the cache already; beyond the picture and at its left rim the step is 0.
        stepped = mask & (x > 0)[None, :]
        left = tl.load(_place(base, pitch, y, x, False) - 1, mask=stepped, other=0).to(tl.int32) >> shift
        gradient += tl.sum(_in_runs(tl.where(stepped, tl.abs(codes - left), 0), ROWS, COLS), axis=2)
        if compared:
            before = tl.load(_place(earlier_base, earlier_pitch, y, x, ALIGNED), mask=mask, other=0)
            difference += tl.sum(_in_runs(tl.abs(codes - (before.to(tl.int32) >> shift)), ROWS, COLS), axis=2)
        if kept:
            tl.store(_place(kept_base, kept_pitch, y, x, ALIGNED), words, mask=mask)
        total += tl.sum(_in_runs(codes, ROWS, COLS), axis=2)
        black += tl.sum(_in_runs((mask & (codes <= black_level)).to(tl.int32), ROWS, COLS), axis=2)
        highest = tl.maximum(highest, tl.max(_in_runs(codes, ROWS, COLS), axis=2))
        below_top = tl.maximum(below_top, tl.max(_in_runs(tl.where(mask, codes ^ _TOP, 0), ROWS, COLS), axis=2))
        tile += PROGRAMS
    tl.atomic_add(sums + _LUMA_DIFFERENCE, tl.sum(tl.sum(difference.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _TOTAL, tl.sum(tl.sum(total.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _BLACK, tl.sum(tl.sum(black.to(tl.int64), axis=1), axis=0))
    tl.atomic_add(sums + _GRADIENT, tl.sum(tl.sum(gradient.to(tl.int64), axis=1), axis=0))
    tl.atomic_max(sums + _HIGHEST, tl.max(tl.max(highest, axis=1), axis=0).to(tl.int64))
    tl.atomic_max(sums + _BELOW_TOP, tl.max(tl.max(below_top, axis=1), axis=0).to(tl.int64))


@triton.jit
def _read_chroma(
    frame, reference, retain, sums, program, interleaved,
    WORD: tl.constexpr, ALIGNED: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    compared = tl.load(reference + _R_LUMA) != 0
    kept = tl.load(retain + _R_LUMA) != 0
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    earlier_pitch = tl.load(reference + _R_CHROMA_PITCH) // sample_bytes
    kept_pitch = tl.load(retain + _R_CHROMA_PITCH) // sample_bytes
    height = tl.load(frame + _CHROMA_HEIGHT)
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    u, v = tl.load(frame + _U), tl.load(frame + _V)
    earlier_u, earlier_v = tl.load(reference + _R_U), tl.load(reference + _R_V)
    kept_u, kept_v = tl.load(retain + _R_U), tl.load(retain + _R_V)
    # Interleaved chroma is one plane of twice the width, whichever component comes first.
    width = tl.load(frame + _CHROMA_WIDTH) * tl.where(interleaved, 2, 1)
    planes = tl.where(interleaved, 1, 2)
    across = (width + COLS - 1) // COLS
    tiles = across * ((height + ROWS - 1) // ROWS)
    difference = tl.zeros((ROWS, COLS // 16), tl.int32)
    tile = program.to(tl.int64)
    while tile < tiles * planes:
        second = tile >= tiles
        inner = tile % tiles
        first = tl.where(interleaved, tl.minimum(u, v), tl.where(second, v, u))
        y = inner // across * ROWS + tl.arange(0, ROWS)
        x = inner % across * COLS + tl.arange(0, COLS)
        mask = _inside(y, x, height, width, ALIGNED)
        words = tl.load(_place(first.to(tl.pointer_type(WORD)), pitch, y, x, ALIGNED), mask=mask, other=0)
        if compared:
            other = tl.where(interleaved, tl.minimum(earlier_u, earlier_v), tl.where(second, earlier_v, earlier_u))
            before = tl.load(_place(other.to(tl.pointer_type(WORD)), earlier_pitch, y, x, ALIGNED), mask=mask, other=0)
            apart = (words.to(tl.int32) >> shift) - (before.to(tl.int32) >> shift)
            difference += tl.sum(_in_runs(tl.abs(apart), ROWS, COLS), axis=2)
        if kept:
            target = tl.where(interleaved, tl.minimum(kept_u, kept_v), tl.where(second, kept_v, kept_u))
            tl.store(_place(target.to(tl.pointer_type(WORD)), kept_pitch, y, x, ALIGNED), words, mask=mask)
        tile += PROGRAMS
    tl.atomic_add(sums + _CHROMA_DIFFERENCE, tl.sum(tl.sum(difference.to(tl.int64), axis=1), axis=0))


@triton.jit
def _read_planes(frames, references, retains, sums, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Everything that is summed over all samples, and the copy."""
    picture = tl.program_id(1).to(tl.int64)
    program = tl.program_id(0)
    frame = frames + picture * _FIELDS
    reference = references + picture * _REFERENCE_FIELDS
    retain = retains + picture * _REFERENCE_FIELDS
    if tl.load(frame + _LUMA) != 0:
        own = sums + picture * _SUMS
        depth = tl.load(frame + _BIT_DEPTH)
        # Any bit below 16 in an address, a pitch, or a width spoils the alignment of some run.
        crooked = tl.load(frame + _LUMA) | tl.load(reference + _R_LUMA) | tl.load(retain + _R_LUMA)
        crooked |= tl.load(frame + _LUMA_PITCH) | tl.load(reference + _R_LUMA_PITCH) | tl.load(retain + _R_LUMA_PITCH)
        aligned = ((crooked | tl.load(frame + _WIDTH)) & 15) == 0
        if depth == 8:
            if aligned:
                _read_luma(frame, reference, retain, own, program, tl.uint8, True, PROGRAMS, ROWS, COLS)
            else:
                _read_luma(frame, reference, retain, own, program, tl.uint8, False, PROGRAMS, ROWS, COLS)
        else:
            if aligned:
                _read_luma(frame, reference, retain, own, program, tl.uint16, True, PROGRAMS, ROWS, COLS)
            else:
                _read_luma(frame, reference, retain, own, program, tl.uint16, False, PROGRAMS, ROWS, COLS)
        chroma_width = tl.load(frame + _CHROMA_WIDTH)
        if chroma_width > 0:
            interleaved = tl.load(frame + _CHROMA_STEP) == 2
            crooked = tl.load(frame + _CHROMA_PITCH) | tl.load(reference + _R_CHROMA_PITCH)
            crooked |= tl.load(retain + _R_CHROMA_PITCH)
            u = tl.load(frame + _U) | tl.load(reference + _R_U) | tl.load(retain + _R_U)
            v = tl.load(frame + _V) | tl.load(reference + _R_V) | tl.load(retain + _R_V)
            crooked |= tl.where(
                interleaved,
                tl.minimum(tl.load(frame + _U), tl.load(frame + _V))
                | tl.minimum(tl.load(reference + _R_U), tl.load(reference + _R_V))
                | tl.minimum(tl.load(retain + _R_U), tl.load(retain + _R_V))
                | (2 * chroma_width),
                u | v | chroma_width,
            )
            aligned = (crooked & 15) == 0
            if depth == 8:
                if aligned:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint8, True, PROGRAMS, ROWS, COLS
                    )
                else:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint8, False, PROGRAMS, ROWS, COLS
                    )
            else:
                if aligned:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint16, True, PROGRAMS, ROWS, COLS
                    )
                else:
                    _read_chroma(
                        frame, reference, retain, own, program, interleaved, tl.uint16, False, PROGRAMS, ROWS, COLS
                    )


@triton.jit
def _quotients(places, stride, mask, excess):
    """Blocking quotients of the steps from `places` on, one `stride` further; three steps each side have to exist."""
    before = tl.load(places - 3 * stride, mask=mask, other=0).to(tl.int32) >> excess
    around = tl.zeros(places.shape, tl.int32)
    step = tl.zeros(places.shape, tl.int32)
    for k in tl.static_range(-3, 4):
        after = tl.load(places + (k + 1) * stride, mask=mask, other=0).to(tl.int32) >> excess
        apart = tl.abs(after - before)
        if k == 0:
            step = apart
        else:
            around += apart
        before = after
    return step * _QUOTIENT_ONE // tl.maximum(around, 1)  # 0 where masked


@triton.jit
def _find_edges_of(
    frame, across, down, program,
    WORD: tl.constexpr, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // (WORD.primitive_bitwidth // 8)
    width = tl.load(frame + _WIDTH)
    height = tl.load(frame + _HEIGHT)
    excess = (tl.load(frame + _SHIFT) + tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)

    # Between columns: a program owns SIDE columns and walks the sampled rows.
    row_step = height // _SAMPLED_ROWS | 1
    chunk = program.to(tl.int64)
    while chunk * SIDE < width:
        x = chunk * SIDE + tl.arange(0, SIDE)
        profile = tl.zeros((SIDE,), tl.int32)
        first = row_step // 2 + 1
        while first < height:
            y = first + row_step * tl.arange(0, LINES)
            mask = (y < height)[:, None] & ((x >= 3) & (x < width - 4))[None, :]
            profile += tl.sum(_quotients(base + y[:, None] * pitch + x[None, :], 1, mask, excess), axis=0)
            first += row_step * LINES
        tl.store(across + x, profile, mask=x < width)
        chunk += PROGRAMS

    # Between rows: a program owns LINES rows and walks the sampled columns, numbered as they would lie packed.
    strip_step = width // _STRIP_WIDTH // _SAMPLED_STRIPS | 1
    every = strip_step == 1
    chunk = program.to(tl.int64)
    while chunk * LINES < height:
        y = chunk * LINES + tl.arange(0, LINES)
        profile = tl.zeros((LINES,), tl.int32)
        column = tl.zeros((), tl.int64)
        reached = tl.zeros((), tl.int64)
        while reached < width:
            c = column + tl.arange(0, SIDE)
            strip = (strip_step // 2 + c // _STRIP_WIDTH * strip_step) * _STRIP_WIDTH
            x = tl.where(every, 1 + c, strip + c % _STRIP_WIDTH)
            whole = tl.where(every, x, strip + _STRIP_WIDTH - 1) < width
            mask = ((y >= 3) & (y < height - 4))[:, None] & whole[None, :]
            profile += tl.sum(_quotients(base + y[:, None] * pitch + x[None, :], pitch, mask, excess), axis=1)
            column += SIDE
            reached = column * strip_step
        tl.store(down + y, profile, mask=y < height)
        chunk += PROGRAMS


@triton.jit
def _find_edges(frames, profiles, PROGRAMS: tl.constexpr, LINES: tl.constexpr, SIDE: tl.constexpr):
    """The sums of blocking quotients: profiles[n, 0] per column of picture n, profiles[n, 1] per row."""
    picture = tl.program_id(1).to(tl.int64)
    program = tl.program_id(0)
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        across = profiles + picture * 2 * _LARGEST_SIDE
        if tl.load(frame + _BIT_DEPTH) == 8:
            _find_edges_of(frame, across, across + _LARGEST_SIDE, program, tl.uint8, PROGRAMS, LINES, SIDE)
        else:
            _find_edges_of(frame, across, across + _LARGEST_SIDE, program, tl.uint16, PROGRAMS, LINES, SIDE)


@triton.jit
def _fold(frames, profiles, strengths, BLOCK: tl.constexpr):
    """strengths[n, direction, period]: mean on the grid's lines over the mean of the others; 0 where undefined."""
    picture = tl.program_id(1).to(tl.int64)
    candidate = tl.program_id(0)
    direction = candidate // _PERIODS
    period = candidate % _PERIODS + _PERIOD_MIN
    frame = frames + picture * _FIELDS
    if tl.load(frame + _LUMA) != 0:
        length = tl.load(frame + tl.where(direction == 0, _WIDTH, _HEIGHT))
        profile = profiles + (picture * 2 + direction) * _LARGEST_SIDE
        on, off = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.int64)
        on_count, off_count = tl.zeros((BLOCK,), tl.int32), tl.zeros((BLOCK,), tl.int32)
        start = tl.zeros((), tl.int64) + 3
        while start < length - 4:
            i = start + tl.arange(0, BLOCK)
            here = i < length - 4
            grid = here & (i % period == period - 1)
            value = tl.load(profile + i, mask=here, other=0)
            # Neighbours too, as for grids that scaling has moved by a fraction of a sample.
            before = tl.load(profile + i - 1, mask=grid, other=0)
            after = tl.load(profile + i + 1, mask=grid, other=0)
            on += tl.where(grid, tl.maximum(tl.maximum(before, value), after), 0).to(tl.int64)
            off += tl.where(grid, 0, value).to(tl.int64)
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
def _finish(frames, references, sums, strengths, out, CANDIDATES: tl.constexpr):
    picture = tl.program_id(0).to(tl.int64)
    frame = frames + picture * _FIELDS
    own = sums + picture * _SUMS
    row = out + picture * _COLUMNS
    if tl.load(frame + _LUMA) != 0:
        width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
        full = (tl.zeros((), tl.int64) + 1) << tl.load(frame + _BIT_DEPTH)
        pixels = width * height
        samples = pixels + 2 * tl.load(frame + _CHROMA_WIDTH) * tl.load(frame + _CHROMA_HEIGHT)
        luma_difference = tl.load(own + _LUMA_DIFFERENCE)
        difference = luma_difference + tl.load(own + _CHROMA_DIFFERENCE)
        if tl.load(references + picture * _REFERENCE_FIELDS + _R_LUMA) != 0:
            tl.store(row + 0, difference.to(tl.float64) / (samples * full).to(tl.float64))
            tl.store(row + 1, luma_difference.to(tl.float64) / (pixels * full).to(tl.float64))
        one = full.to(tl.float64)
        tl.store(row + 2, tl.load(own + _BLACK).to(tl.float64) / pixels.to(tl.float64))
        tl.store(row + 3, tl.load(own + _TOTAL).to(tl.float64) / (pixels * full).to(tl.float64))
        tl.store(row + 4, (tl.load(own + _BELOW_TOP) ^ _TOP).to(tl.float64) / one)
        tl.store(row + 5, tl.load(own + _HIGHEST).to(tl.float64) / one)
        steps = tl.maximum((width - 1) * height, 1)
        tl.store(row + 6, tl.load(own + _GRADIENT).to(tl.float64) / (steps * full).to(tl.float64))
        lane = tl.arange(0, CANDIDATES)
        found = tl.load(strengths + picture * (2 * _PERIODS) + lane, mask=lane < 2 * _PERIODS, other=0.0)
        tl.store(row + 7, tl.max(found, axis=0))


def frame_stats(
    frames: Tensor,
    references: Tensor,
    retain: Tensor,
    *,
    programs: int = PROGRAMS,
    edge_programs: int = EDGE_PROGRAMS,
    tile: tuple[int, int] = (16, 256),
    edge_tile: tuple[int, int] = (16, 64),
) -> Tensor:
    """The op's CUDA implementation; see kernels/frame_stats/op.py. The tables are checked and contiguous.

    Args:
        frames, references, retain: the tables, on the device.
        programs, edge_programs: how many share the tiles of one picture; they change no number.
        tile, edge_tile: rows and columns of a tile, powers of two, 16 columns at least; they change no number.
    """
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return out
    candidates = 2 * (PERIOD_MAX - PERIOD_MIN + 1)
    sums = torch.zeros((count, _SUMS.value), dtype=torch.int64, device=device)
    profiles = torch.empty((count, 2, LARGEST_SIDE), dtype=torch.int32, device=device)
    strengths = torch.empty((count, candidates), dtype=torch.float64, device=device)
    rows, columns = tile
    # Left alone ptxas takes 194 registers, so that one block fills a multiprocessor; 128 do without a spill.
    _read_planes[(programs, count)](
        frames, references, retain, sums,
        PROGRAMS=programs, ROWS=rows, COLS=columns, num_warps=8, maxnreg=128,
    )  # fmt: skip
    lines, side = edge_tile
    _find_edges[(edge_programs, count)](frames, profiles, PROGRAMS=edge_programs, LINES=lines, SIDE=side)
    _fold[(candidates, count)](frames, profiles, strengths, BLOCK=1024)
    _finish[(count,)](
        frames, references, sums, strengths, out, CANDIDATES=triton.next_power_of_2(candidates), num_warps=1
    )
    return out
