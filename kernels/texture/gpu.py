"""texture on CUDA: Triton, four launches for a batch of any sizes and formats, no wait for the host.

`_read_luma` and `_read_chroma` stream the planes once, `_read_blocks` goes to the bands of rows that combing, noise and
banding look at, `_finish` finds colour bars and makes the doubles. Pictures that are not due end at once. All that
crosses programs are int64 sums, whose result does not depend on their order.

Bytes of an 8-bit 4:2:0 picture of 1920x1080: 3.1 MB of planes; chroma again beside luma, and 12 rows of 33 bands
(0.76 MB), most of it from the caches: 4 to 5 MB, a floor of 1.5 us on an H100 (3.35 TB/s); worked out, not measured.
"""

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.layout import FRAME_FIELDS, Field
from kernels.texture.columns import (
    BAND_CHANGES_MAX,
    BAND_CHANGES_MIN,
    BAND_FAINT_MAX,
    BAND_ROWS,
    BAND_SPAN_MAX,
    BAND_STEP_MIN,
    BAR_COLUMNS,
    BAR_LAYOUTS,
    BAR_ROWS,
    BAR_TOLERANCE,
    BLOCK_SAMPLES,
    BLOCK_WIDTH,
    COLUMNS,
    COMB_DIFFERENCE,
    COMB_LESS,
    COMB_MORE,
    GRAIN,
    HIGHEST_CHROMA,
    HIGHEST_LUMA,
    LOWEST,
    NOISE_BIN_BITS,
    NOISE_BINS,
    NOISE_BRIGHTEST,
    NOISE_DARKEST,
    NOISE_QUIET,
    NOISE_SHARE,
    NOISE_UNIT,
    SAMPLED_BANDS,
    SATURATION_BITS,
    TOLERATED_HIGHEST,
    TOLERATED_LOWEST,
    WIDE_PART,
    WIDE_SPAN_MAX,
    WIDE_WHOLE,
    bar_colours,
)

PROGRAMS = 64  # per picture

_FIELDS = tl.constexpr(FRAME_FIELDS)
_N_COLUMNS = tl.constexpr(len(COLUMNS))
_LUMA, _U, _V = (tl.constexpr(int(f)) for f in (Field.LUMA_ADDRESS, Field.U_ADDRESS, Field.V_ADDRESS))
_LUMA_PITCH, _CHROMA_PITCH = tl.constexpr(int(Field.LUMA_PITCH)), tl.constexpr(int(Field.CHROMA_PITCH))
_CHROMA_STEP = tl.constexpr(int(Field.CHROMA_STEP))
_WIDTH, _HEIGHT = tl.constexpr(int(Field.WIDTH)), tl.constexpr(int(Field.HEIGHT))
_CHROMA_WIDTH, _CHROMA_HEIGHT = tl.constexpr(int(Field.CHROMA_WIDTH)), tl.constexpr(int(Field.CHROMA_HEIGHT))
_BIT_DEPTH, _SHIFT = tl.constexpr(int(Field.BIT_DEPTH)), tl.constexpr(int(Field.SHIFT))

_LOWEST, _HIGHEST_LUMA, _HIGHEST_CHROMA = (tl.constexpr(n) for n in (LOWEST, HIGHEST_LUMA, HIGHEST_CHROMA))
_TOLERATED_LOWEST, _TOLERATED_HIGHEST = tl.constexpr(TOLERATED_LOWEST), tl.constexpr(TOLERATED_HIGHEST)
_SATURATION_BITS = tl.constexpr(SATURATION_BITS)
_BLOCK_WIDTH, _BAND_ROWS, _BLOCK_SAMPLES = (tl.constexpr(n) for n in (BLOCK_WIDTH, BAND_ROWS, BLOCK_SAMPLES))
_SAMPLED_BANDS = tl.constexpr(SAMPLED_BANDS)
_COMB_DIFFERENCE, _COMB_MORE, _COMB_LESS = (tl.constexpr(n) for n in (COMB_DIFFERENCE, COMB_MORE, COMB_LESS))
_NOISE_BINS, _NOISE_BIN_BITS, _NOISE_SHARE = (tl.constexpr(n) for n in (NOISE_BINS, NOISE_BIN_BITS, NOISE_SHARE))
_NOISE_DARKEST, _NOISE_BRIGHTEST, _NOISE_QUIET = (
    tl.constexpr(n) for n in (NOISE_DARKEST, NOISE_BRIGHTEST, NOISE_QUIET)
)
_NOISE_UNIT, _GRAIN = tl.constexpr(NOISE_UNIT), tl.constexpr(GRAIN)
_BAND_STEP_MIN, _BAND_SPAN_MAX, _BAND_FAINT_MAX = (
    tl.constexpr(n) for n in (BAND_STEP_MIN, BAND_SPAN_MAX, BAND_FAINT_MAX)
)
_WIDE_SPAN_MAX, _WIDE_PART, _WIDE_WHOLE = (tl.constexpr(n) for n in (WIDE_SPAN_MAX, WIDE_PART, WIDE_WHOLE))
_BAND_CHANGES_MIN, _BAND_CHANGES_MAX = tl.constexpr(BAND_CHANGES_MIN), tl.constexpr(BAND_CHANGES_MAX)
_BAR_COLUMNS, _BAR_ROWS, _BAR_TOLERANCE = (tl.constexpr(n) for n in (BAR_COLUMNS, BAR_ROWS, BAR_TOLERANCE))
_EIGHT_START, _EIGHT_SPAN, _EIGHT = (tl.constexpr(n) for n in BAR_LAYOUTS[0])
_SEVEN_START, _SEVEN_SPAN, _SEVEN = (tl.constexpr(n) for n in BAR_LAYOUTS[1])
_MIDDLE_START, _MIDDLE_SPAN, _MIDDLE = (tl.constexpr(n) for n in BAR_LAYOUTS[2])
_BAR_KINDS = tl.constexpr(len(bar_colours()))
_BAR_LANES = tl.constexpr(256)  # at least 8 bars * BAR_COLUMNS * BAR_ROWS

# A picture's sums, int64, all begun at 0; the bins of noise follow, of all blocks and of those of grain.
_U_SUM, _V_SUM, _U_STEPS, _V_STEPS = (tl.constexpr(n) for n in range(4))
_SATURATION, _OUTSIDE, _BEYOND = (tl.constexpr(n) for n in range(4, 7))
_SEEN, _COMBED, _BANDED, _ELIGIBLE, _WIDE, _BLANK = (tl.constexpr(n) for n in range(7, 13))
_BINS, _GRAIN_BINS = tl.constexpr(16), tl.constexpr(16 + NOISE_BINS)
_SUMS = tl.constexpr(16 + 2 * NOISE_BINS)


@triton.jit
def _sub(chroma_extent, extent):
    """log2 of the luma samples to a chroma sample."""
    return (chroma_extent < extent).to(tl.int64) + (2 * chroma_extent < extent).to(tl.int64)


@triton.jit
def _outside(codes, low, high):
    return (codes < low) | (codes > high)


@triton.jit
def _read_luma_of(
    frame, own, program, WORD: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr
):
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    u_base = tl.load(frame + _U).to(tl.pointer_type(WORD))
    v_base = tl.load(frame + _V).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // sample_bytes
    chroma_pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    chroma_step = tl.load(frame + _CHROMA_STEP)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    chroma_width = tl.load(frame + _CHROMA_WIDTH)
    across, down = _sub(chroma_width, width), _sub(tl.load(frame + _CHROMA_HEIGHT), height)
    shift = tl.load(frame + _SHIFT).to(tl.int32)
    one = (tl.zeros((), tl.int32) + 1) << (tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)
    tiles_across = tl.cdiv(width, COLS)
    tile = program.to(tl.int64)
    outside, beyond = tl.zeros((), tl.int64), tl.zeros((), tl.int64)
    while tile < tiles_across * tl.cdiv(height, ROWS):
        y = tile // tiles_across * ROWS + tl.arange(0, ROWS)
        x = tile % tiles_across * COLS + tl.arange(0, COLS)
        inside = (y < height)[:, None] & (x < width)[None, :]
        luma = tl.load(base + y[:, None] * pitch + x[None, :], mask=inside, other=0).to(tl.int32) >> shift
        wrong = _outside(luma, _LOWEST * one, _HIGHEST_LUMA * one)
        at = (y >> down)[:, None] * chroma_pitch + (x >> across)[None, :] * chroma_step
        coloured = inside & (chroma_width > 0)
        u = tl.load(u_base + at, mask=coloured, other=0).to(tl.int32) >> shift
        v = tl.load(v_base + at, mask=coloured, other=0).to(tl.int32) >> shift
        off = _outside(u, _LOWEST * one, _HIGHEST_CHROMA * one) | _outside(v, _LOWEST * one, _HIGHEST_CHROMA * one)
        wrong |= off & coloured
        far = _outside(luma, _TOLERATED_LOWEST * one, _TOLERATED_HIGHEST * one)
        outside += tl.sum(tl.sum((wrong & inside).to(tl.int32), axis=1), axis=0).to(tl.int64)
        beyond += tl.sum(tl.sum((far & inside).to(tl.int32), axis=1), axis=0).to(tl.int64)
        tile += PROGRAMS
    tl.atomic_add(own + _OUTSIDE, outside)
    tl.atomic_add(own + _BEYOND, beyond)


@triton.jit
def _read_luma(frames, sums, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    picture = tl.program_id(1).to(tl.int64)
    frame, own = frames + picture * _FIELDS, sums + picture * _SUMS
    if tl.load(frame + _LUMA) != 0:
        if tl.load(frame + _BIT_DEPTH) == 8:
            _read_luma_of(frame, own, tl.program_id(0), tl.uint8, PROGRAMS, ROWS, COLS)
        else:
            _read_luma_of(frame, own, tl.program_id(0), tl.uint16, PROGRAMS, ROWS, COLS)


@triton.jit
def _whole_root(square):
    """floor(sqrt(square)) of int32 below 2**24: the root may be rounded, so it is put right in integers."""
    root = tl.sqrt(square.to(tl.float32)).to(tl.int32)
    root = tl.where(root * root > square, root - 1, root)
    return tl.where((root + 1) * (root + 1) <= square, root + 1, root)


@triton.jit
def _read_chroma_of(
    frame, own, program, WORD: tl.constexpr, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr
):
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    u_base = tl.load(frame + _U).to(tl.pointer_type(WORD))
    v_base = tl.load(frame + _V).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    step = tl.load(frame + _CHROMA_STEP)
    width, height = tl.load(frame + _CHROMA_WIDTH), tl.load(frame + _CHROMA_HEIGHT)
    shift, depth = tl.load(frame + _SHIFT).to(tl.int32), tl.load(frame + _BIT_DEPTH).to(tl.int32)
    excess = tl.maximum(depth - _SATURATION_BITS, 0)
    middle = (tl.zeros((), tl.int32) + 1) << (depth - excess - 1)
    tiles_across = tl.cdiv(width, COLS)
    tile = program.to(tl.int64)
    u_sum, v_sum = tl.zeros((), tl.int64), tl.zeros((), tl.int64)
    u_steps, v_steps = tl.zeros((), tl.int64), tl.zeros((), tl.int64)
    saturation = tl.zeros((), tl.int64)
    while tile < tiles_across * tl.cdiv(height, ROWS):
        y = tile // tiles_across * ROWS + tl.arange(0, ROWS)
        x = tile % tiles_across * COLS + tl.arange(0, COLS)
        inside = (y < height)[:, None] & (x < width)[None, :]
        at = y[:, None] * pitch + x[None, :] * step
        u = tl.load(u_base + at, mask=inside, other=0).to(tl.int32) >> shift
        v = tl.load(v_base + at, mask=inside, other=0).to(tl.int32) >> shift
        second = inside & (x > 0)[None, :]
        u_left = tl.load(u_base + at - step, mask=second, other=0).to(tl.int32) >> shift
        v_left = tl.load(v_base + at - step, mask=second, other=0).to(tl.int32) >> shift
        a, b = (u >> excess) - middle, (v >> excess) - middle
        length = tl.where(inside, _whole_root(a * a + b * b), 0)
        u_sum += tl.sum(tl.sum(u, axis=1), axis=0).to(tl.int64)
        v_sum += tl.sum(tl.sum(v, axis=1), axis=0).to(tl.int64)
        u_steps += tl.sum(tl.sum(tl.where(second, tl.abs(u - u_left), 0), axis=1), axis=0).to(tl.int64)
        v_steps += tl.sum(tl.sum(tl.where(second, tl.abs(v - v_left), 0), axis=1), axis=0).to(tl.int64)
        saturation += tl.sum(tl.sum(length, axis=1), axis=0).to(tl.int64)
        tile += PROGRAMS
    tl.atomic_add(own + _U_SUM, u_sum)
    tl.atomic_add(own + _V_SUM, v_sum)
    tl.atomic_add(own + _U_STEPS, u_steps)
    tl.atomic_add(own + _V_STEPS, v_steps)
    tl.atomic_add(own + _SATURATION, saturation)


@triton.jit
def _read_chroma(frames, sums, PROGRAMS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    picture = tl.program_id(1).to(tl.int64)
    frame, own = frames + picture * _FIELDS, sums + picture * _SUMS
    if (tl.load(frame + _LUMA) != 0) & (tl.load(frame + _CHROMA_WIDTH) > 0):
        if tl.load(frame + _BIT_DEPTH) == 8:
            _read_chroma_of(frame, own, tl.program_id(0), tl.uint8, PROGRAMS, ROWS, COLS)
        else:
            _read_chroma_of(frame, own, tl.program_id(0), tl.uint16, PROGRAMS, ROWS, COLS)


@triton.jit
def _fine(places, mask, shift, excess):
    return ((tl.load(places, mask=mask, other=0).to(tl.int32) >> shift) << 2) >> excess


@triton.jit
def _sum_blocks(values, BLOCKS: tl.constexpr):
    """(BAND_ROWS, BLOCKS * BLOCK_WIDTH) -> (BLOCKS,)"""
    return tl.sum(tl.sum(tl.reshape(values, (_BAND_ROWS, BLOCKS, _BLOCK_WIDTH)), axis=2), axis=0)


@triton.jit
def _read_blocks_of(frame, own, program, WORD: tl.constexpr, PROGRAMS: tl.constexpr, BLOCKS: tl.constexpr):
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // (WORD.primitive_bitwidth // 8)
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    shift, excess = tl.load(frame + _SHIFT).to(tl.int32), (tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)
    bands = tl.maximum(height - 4, 0) // _BAND_ROWS
    step = tl.maximum(bands // _SAMPLED_BANDS, 1)
    across = tl.maximum(width - 2, 0) // _BLOCK_WIDTH
    runs = tl.cdiv(across, BLOCKS)
    count = tl.cdiv(tl.maximum(bands - step // 2, 0), step) * runs
    run = program.to(tl.int64)
    while run < count:
        band = step // 2 + run // runs * step
        block = run % runs * BLOCKS + tl.arange(0, BLOCKS)
        y = 2 + _BAND_ROWS * band + tl.arange(0, _BAND_ROWS)
        x = 1 + run % runs * (BLOCKS * _BLOCK_WIDTH) + tl.arange(0, BLOCKS * _BLOCK_WIDTH)
        mask = (y < height)[:, None] & (x < 1 + across * _BLOCK_WIDTH)[None, :]
        at = base + y[:, None] * pitch + x[None, :]
        here = _fine(at, mask, shift, excess)
        left, right = _fine(at - 1, mask, shift, excess), _fine(at + 1, mask, shift, excess)
        above, below = _fine(at - pitch, mask, shift, excess), _fine(at + pitch, mask, shift, excess)
        beside = above + below
        far = _fine(at - 2 * pitch, mask, shift, excess) + _fine(at + 2 * pitch, mask, shift, excess)
        corners = _fine(at - pitch - 1, mask, shift, excess) + _fine(at - pitch + 1, mask, shift, excess)
        corners += _fine(at + pitch - 1, mask, shift, excess) + _fine(at + pitch + 1, mask, shift, excess)
        frame_sum = _sum_blocks(tl.abs(2 * here - beside), BLOCKS)
        field_sum = _sum_blocks(tl.abs(2 * here - far), BLOCKS)
        laplacian = _sum_blocks(tl.abs(4 * here + corners - 2 * (beside + left + right)), BLOCKS)
        total = _sum_blocks(here, BLOCKS)
        changes = _sum_blocks((here != left).to(tl.int32) + (here != above).to(tl.int32), BLOCKS)
        marked = (tl.abs(here - left) >= _BAND_STEP_MIN).to(tl.int32)
        steps = _sum_blocks(marked + (tl.abs(here - above) >= _BAND_STEP_MIN).to(tl.int32), BLOCKS)
        blocks = tl.reshape(here, (_BAND_ROWS, BLOCKS, _BLOCK_WIDTH))
        span = tl.max(tl.max(blocks, axis=2), axis=0) - tl.min(tl.min(blocks, axis=2), axis=0)
        real = block < across
        combed = real & (frame_sum >= _COMB_DIFFERENCE * _BLOCK_SAMPLES)
        combed &= _COMB_LESS * frame_sum >= _COMB_MORE * field_sum
        stepped = real & (changes - steps <= _BAND_FAINT_MAX)
        stepped &= (steps >= _BAND_CHANGES_MIN) & (steps <= _BAND_CHANGES_MAX)
        banded, wide = stepped & (span <= _BAND_SPAN_MAX), stepped & (span <= _WIDE_SPAN_MAX)
        eligible = real & (total >= _NOISE_DARKEST) & (total <= _NOISE_BRIGHTEST)
        bin = tl.minimum(laplacian >> _NOISE_BIN_BITS, _NOISE_BINS - 1)
        one = tl.zeros((BLOCKS,), tl.int64) + 1
        tl.atomic_add(own + _BINS + bin, one, mask=eligible)
        tl.atomic_add(own + _GRAIN_BINS + bin, one, mask=eligible & (_GRAIN * span <= laplacian))
        tl.atomic_add(own + _SEEN, tl.sum(real.to(tl.int32), axis=0).to(tl.int64))
        tl.atomic_add(own + _COMBED, tl.sum(combed.to(tl.int32), axis=0).to(tl.int64))
        tl.atomic_add(own + _BANDED, tl.sum(banded.to(tl.int32), axis=0).to(tl.int64))
        tl.atomic_add(own + _WIDE, tl.sum(wide.to(tl.int32), axis=0).to(tl.int64))
        tl.atomic_add(own + _ELIGIBLE, tl.sum(eligible.to(tl.int32), axis=0).to(tl.int64))
        blank = real & ((total < _NOISE_DARKEST) | ((total > _NOISE_BRIGHTEST) & (bin < _NOISE_QUIET)))
        tl.atomic_add(own + _BLANK, tl.sum(blank.to(tl.int32), axis=0).to(tl.int64))
        run += PROGRAMS


@triton.jit
def _read_blocks(frames, sums, PROGRAMS: tl.constexpr, BLOCKS: tl.constexpr):
    picture = tl.program_id(1).to(tl.int64)
    frame, own = frames + picture * _FIELDS, sums + picture * _SUMS
    if tl.load(frame + _LUMA) != 0:
        if tl.load(frame + _BIT_DEPTH) == 8:
            _read_blocks_of(frame, own, tl.program_id(0), tl.uint8, PROGRAMS, BLOCKS)
        else:
            _read_blocks_of(frame, own, tl.program_id(0), tl.uint16, PROGRAMS, BLOCKS)


@triton.jit
def _match_bars(
    frame, colours, best, WORD: tl.constexpr, START: tl.constexpr, SPAN: tl.constexpr, COUNT: tl.constexpr
):  # fmt: skip
    """The larger of `best` and the share of points that have their bar's colour, for the best kind of one layout."""
    sample_bytes: tl.constexpr = WORD.primitive_bitwidth // 8
    base = tl.load(frame + _LUMA).to(tl.pointer_type(WORD))
    u_base = tl.load(frame + _U).to(tl.pointer_type(WORD))
    v_base = tl.load(frame + _V).to(tl.pointer_type(WORD))
    pitch = tl.load(frame + _LUMA_PITCH) // sample_bytes
    chroma_pitch = tl.load(frame + _CHROMA_PITCH) // sample_bytes
    width, height = tl.load(frame + _WIDTH), tl.load(frame + _HEIGHT)
    across, down = _sub(tl.load(frame + _CHROMA_WIDTH), width), _sub(tl.load(frame + _CHROMA_HEIGHT), height)
    excess = (tl.load(frame + _SHIFT) + tl.load(frame + _BIT_DEPTH) - 8).to(tl.int32)
    point = tl.arange(0, _BAR_LANES)
    bar = point // (_BAR_COLUMNS * _BAR_ROWS)
    real = bar < COUNT
    x = width * (START * 4 * COUNT + SPAN * (4 * bar + point // _BAR_ROWS % _BAR_COLUMNS + 1)) // (32 * COUNT)
    y = height * (2 * (point % _BAR_ROWS) + 1) // (4 * _BAR_ROWS)
    at = (y >> down) * chroma_pitch + (x >> across) * tl.load(frame + _CHROMA_STEP)
    luma = tl.load(base + y * pitch + x, mask=real, other=0).to(tl.int32) >> excess
    u = tl.load(u_base + at, mask=real, other=0).to(tl.int32) >> excess
    v = tl.load(v_base + at, mask=real, other=0).to(tl.int32) >> excess
    for kind in tl.static_range(_BAR_KINDS):
        colour = colours + (kind * 8 + bar) * 3
        close = real & (tl.abs(luma - tl.load(colour, mask=real, other=0)) <= _BAR_TOLERANCE)
        close &= tl.abs(u - tl.load(colour + 1, mask=real, other=0)) <= _BAR_TOLERANCE
        close &= tl.abs(v - tl.load(colour + 2, mask=real, other=0)) <= _BAR_TOLERANCE
        right = tl.sum(close.to(tl.int32), axis=0).to(tl.float64)
        best = tl.maximum(best, right / (tl.zeros((), tl.float64) + COUNT * _BAR_COLUMNS * _BAR_ROWS))
    return best


@triton.jit
def _find_bars(frame, colours, WORD: tl.constexpr):
    best = tl.zeros((), tl.float64)
    best = _match_bars(frame, colours, best, WORD, _EIGHT_START, _EIGHT_SPAN, _EIGHT)
    best = _match_bars(frame, colours, best, WORD, _SEVEN_START, _SEVEN_SPAN, _SEVEN)
    return _match_bars(frame, colours, best, WORD, _MIDDLE_START, _MIDDLE_SPAN, _MIDDLE)


@triton.jit
def _finish(frames, sums, colours, out):
    picture = tl.program_id(0).to(tl.int64)
    frame, own = frames + picture * _FIELDS, sums + picture * _SUMS
    row = out + picture * _N_COLUMNS
    if tl.load(frame + _LUMA) != 0:
        chroma_width, chroma_height = tl.load(frame + _CHROMA_WIDTH), tl.load(frame + _CHROMA_HEIGHT)
        depth = tl.load(frame + _BIT_DEPTH)
        full = (tl.zeros((), tl.int64) + 1) << depth
        bars = tl.zeros((), tl.float64)
        if chroma_width > 0:
            samples = chroma_width * chroma_height
            tl.store(row + 0, tl.load(own + _U_SUM).to(tl.float64) / (samples * full).to(tl.float64))
            tl.store(row + 1, tl.load(own + _V_SUM).to(tl.float64) / (samples * full).to(tl.float64))
            length_full = samples * (full >> tl.maximum(depth - _SATURATION_BITS, 0))
            tl.store(row + 2, tl.load(own + _SATURATION).to(tl.float64) / length_full.to(tl.float64))
            steps = (tl.maximum((chroma_width - 1) * chroma_height, 1) * full).to(tl.float64)
            tl.store(row + 3, tl.load(own + _U_STEPS).to(tl.float64) / steps)
            tl.store(row + 4, tl.load(own + _V_STEPS).to(tl.float64) / steps)
            if depth == 8:  # noqa: SIM108 - Triton compiles one of the two
                bars = _find_bars(frame, colours, tl.uint8)
            else:
                bars = _find_bars(frame, colours, tl.uint16)
        pixels = (tl.load(frame + _WIDTH) * tl.load(frame + _HEIGHT)).to(tl.float64)
        tl.store(row + 5, tl.load(own + _OUTSIDE).to(tl.float64) / pixels)
        tl.store(row + 6, tl.load(own + _BEYOND).to(tl.float64) / pixels)
        seen = tl.maximum(tl.load(own + _SEEN), 1).to(tl.float64)
        tl.store(row + 7, tl.load(own + _COMBED).to(tl.float64) / seen)
        eligible = tl.load(own + _ELIGIBLE)
        blocks = tl.load(own + _SEEN)
        shows = _NOISE_SHARE * (blocks - tl.load(own + _BLANK)) >= blocks
        wanted = tl.where(shows, (eligible + _NOISE_SHARE - 1) // _NOISE_SHARE, 0)
        bins = tl.arange(0, _NOISE_BINS)
        counts = tl.load(own + _BINS + bins)
        reached = tl.cumsum(counts, axis=0)
        quiet = tl.sum((reached < wanted).to(tl.int32), axis=0)
        near = (bins >= (quiet + 1) // 2) & (bins <= quiet) & (quiet > 0)
        grain = tl.sum(tl.where(near, tl.load(own + _GRAIN_BINS + bins), 0), axis=0).to(tl.float64)
        tl.store(row + 11, grain / tl.maximum(tl.sum(tl.where(near, counts, 0), axis=0), 1).to(tl.float64))
        tl.store(row + 8, quiet.to(tl.float64) * _NOISE_UNIT)
        worse = tl.maximum(tl.load(own + _BANDED) * _WIDE_WHOLE, tl.load(own + _WIDE) * _WIDE_PART)
        tl.store(row + 9, worse.to(tl.float64) / (tl.maximum(tl.load(own + _SEEN), 1) * _WIDE_WHOLE).to(tl.float64))
        tl.store(row + 10, bars)


@cache
def _colours(device: torch.device) -> Tensor:
    """(kinds, 8, 3) int32 on the device."""
    return torch.tensor(bar_colours(), dtype=torch.int32, device=device)


def texture(
    frames: Tensor, *, programs: int = PROGRAMS, tile: tuple[int, int] = (16, 256), blocks_at_once: int = 16
) -> Tensor:
    """The op's CUDA implementation; see kernels/texture/op.py. The table is checked and contiguous.

    Args:
        frames: the table, on the device.
        programs: how many share the tiles of one picture; they change no number.
        tile: rows and columns of a tile, powers of two; they change no number.
        blocks_at_once: blocks that a program measures at a time, a power of two; it changes no number.
    """
    count, device = frames.shape[0], frames.device
    out = torch.full((count, len(COLUMNS)), torch.nan, dtype=torch.float64, device=device)
    if count == 0:
        return out
    sums = torch.zeros((count, _SUMS.value), dtype=torch.int64, device=device)
    rows, columns = tile
    _read_luma[(programs, count)](frames, sums, PROGRAMS=programs, ROWS=rows, COLS=columns)
    _read_chroma[(programs, count)](frames, sums, PROGRAMS=programs, ROWS=rows, COLS=columns)
    _read_blocks[(programs, count)](frames, sums, PROGRAMS=programs, BLOCKS=blocks_at_once)
    _finish[(count,)](frames, sums, _colours(device), out)
    return out
