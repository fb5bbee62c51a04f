"""`sound_repeats` on CUDA: three launches of a program a row; the search is made whether it is needed or not."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.sound_repeats.layout import (
    BLOCK,
    COARSE,
    COARSE_ALIKE,
    COARSE_MOST,
    COARSE_POINTS,
    COARSE_RING,
    CONTRAST,
    FEW_LINES,
    FINE_LAST,
    FINE_NEAREST,
    FLOOR,
    LONG_BLOCKS,
    LONG_CONTRAST,
    LONG_LINES,
    LONG_MOST,
    LONG_MOST_OF_FEW,
    LONGEST,
    MAX_CHANNELS,
    MOST,
    NEAREST,
    PARTS,
    POINTS,
    QUIET_BLOCKS,
    REACH,
    RING,
    RING_BLOCKS,
    SAMPLE_LIMIT,
    SCALARS,
    SHORTEST,
    STEP,
    SURELY,
    Scalar,
)

# Coarse periods that a program compares at a time.
_LAGS = 16
# Float64 constants that the kernels load, because Triton makes literals float32.
_SCALARS = (
    MOST, COARSE_MOST, COARSE_ALIKE, FLOOR, CONTRAST, 1.0 / STEP, 1.0 / COARSE, SURELY, FEW_LINES,
    LONG_CONTRAST, LONG_MOST, LONG_LINES, LONG_MOST_OF_FEW,
)  # fmt: skip
_constants: dict[torch.device, Tensor] = {}


@triton.jit
def _add_points(
    samples, row_stride, channel_stride, channels, valid, slots, constants, ring, coarse, states,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, LIMIT: tl.constexpr, STEP: tl.constexpr, GROUP: tl.constexpr,
    GROUPS: tl.constexpr, LANES: tl.constexpr, RING: tl.constexpr, COARSE_RING: tl.constexpr, BLOCKS: tl.constexpr,
    SCALARS: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """The mean of a row's channels as points and coarse points, into the rings of its slot."""
    row = tl.program_id(0)
    slot = tl.load(slots + row)
    count = tl.load(channels + row)
    newest = tl.load(states + slot * SCALARS + COUNT).to(tl.int64) % BLOCKS
    whole = tl.load(valid + row) == BLOCK
    base = samples + row.to(tl.int64) * row_stride
    group = tl.arange(0, LANES)
    here = (group < GROUPS) & whole
    total = tl.zeros([LANES], tl.float64)
    for point in tl.static_range(GROUP):
        mean = tl.zeros([LANES], tl.float64)
        for channel in range(CHANNELS):
            for i in tl.static_range(STEP):
                there = here & (channel < count)
                x = tl.load(base + channel * channel_stride + (group * GROUP + point) * STEP + i, mask=there, other=0.0)
                x = tl.where(x != x, 0.0, x)
                mean += tl.minimum(tl.maximum(x, -LIMIT), LIMIT).to(tl.float64)
        value = (mean / count * tl.load(constants + 5)).to(tl.float32)
        tl.store(ring + slot * RING + newest * (GROUPS * GROUP) + group * GROUP + point, value, mask=here)
        total += value.to(tl.float64)
    mean = (total * tl.load(constants + 6)).to(tl.float32)
    tl.store(coarse + slot * COARSE_RING + newest * GROUPS + group, mean, mask=here)


@triton.jit
def _compare(
    slots, coarse, states, found,
    LAGS: tl.constexpr, PERIODS: tl.constexpr, POINTS: tl.constexpr, LANES: tl.constexpr, RING: tl.constexpr,
    BLOCKS: tl.constexpr, SCALARS: tl.constexpr, COUNT: tl.constexpr, NEAREST: tl.constexpr,
):  # fmt: skip
    """How the newest block differs from what was each of LAGS coarse periods before it."""
    row = tl.program_id(0)
    slot = tl.load(slots + row)
    begin = tl.load(states + slot * SCALARS + COUNT).to(tl.int64) % BLOCKS * POINTS
    place = tl.arange(0, LANES)
    period = NEAREST + tl.program_id(1) * LAGS + tl.arange(0, LAGS)
    ring = coarse + slot * RING
    here = (place[None, :] < POINTS) & (period[:, None] < PERIODS)
    now = tl.load(ring + begin + place, mask=place < POINTS, other=0.0).to(tl.float64)
    at = (begin + place[None, :] - period[:, None] + RING) % RING
    before = tl.load(ring + at, mask=here, other=0.0).to(tl.float64)
    apart = tl.where(here, now[None, :] - before, 0.0)
    both = tl.sum(now * now, axis=0) + tl.sum(before * before, axis=1)
    off = tl.where(both > 0, tl.sum(apart * apart, axis=1) / tl.where(both > 0, both, 1.0), 1.0)
    tl.store(found + row.to(tl.int64) * PERIODS + period, off, mask=period < PERIODS)


@triton.jit
def _between(ring, begin, period, POINTS: tl.constexpr, LANES: tl.constexpr, RING: tl.constexpr):
    """How the newest block differs from what was between `period` and one point more before it, and their power."""
    place = tl.arange(0, LANES)
    here = place < POINTS
    now = tl.load(ring + begin + place, mask=here, other=0.0).to(tl.float64)
    at = begin + place - period + RING
    one = tl.load(ring + at % RING, mask=here, other=0.0).to(tl.float64)
    other = tl.load(ring + (at - 1) % RING, mask=here, other=0.0).to(tl.float64)
    apart = one - other
    power = tl.sum(apart * apart, axis=0)
    share = tl.sum((one - now) * apart, axis=0) / tl.where(power > 0, power, 1.0)
    share = tl.where(power > 0, tl.minimum(tl.maximum(share, 0.0), 1.0), 0.0)
    before = one - share * apart
    square = tl.sum((now - before) * (now - before), axis=0)
    both = tl.sum(now * now + before * before, axis=0)
    return tl.where(both > 0, square / tl.where(both > 0, both, 1.0), 1.0), both / (2 * POINTS)


@triton.jit
def _follow(
    valid, slots, constants, rings, states, found, out, out_stride,
    BLOCK: tl.constexpr, POINTS: tl.constexpr, LANES: tl.constexpr, RING: tl.constexpr, BLOCKS: tl.constexpr,
    SCALARS: tl.constexpr, PERIODS: tl.constexpr, PERIOD_LANES: tl.constexpr, SHORTEST: tl.constexpr,
    LONGEST: tl.constexpr, NEAREST: tl.constexpr, FINE_NEAREST: tl.constexpr, FINE_LAST: tl.constexpr,
    COARSE: tl.constexpr, REACH: tl.constexpr, PARTS: tl.constexpr, QUIET_BLOCKS: tl.constexpr, COUNT: tl.constexpr,
    PERIOD: tl.constexpr, COARSE_PERIOD: tl.constexpr,
    RUN: tl.constexpr, CONTRAST: tl.constexpr, CONTRASTS: tl.constexpr, QUIET: tl.constexpr, LIKENESS: tl.constexpr,
    LINES: tl.constexpr, OFF: tl.constexpr, LONG_BLOCKS: tl.constexpr,
):  # fmt: skip
    """Whether the newest block goes on with a period, or begins one."""
    row = tl.program_id(0)
    slot = tl.load(slots + row)
    state = states + slot * SCALARS
    ring = rings + slot * RING
    most = tl.load(constants)
    floor = tl.load(constants + 3)
    surely = tl.load(constants + 7)
    whole = tl.load(valid + row) == BLOCK
    count = tl.load(state + COUNT)
    known = whole & (count >= BLOCKS - 1)
    begin = count.to(tl.int64) % BLOCKS * POINTS
    period = tl.load(state + PERIOD)
    coarse = tl.load(state + COARSE_PERIOD)
    run = tl.load(state + RUN)
    contrast = tl.load(state + CONTRAST)
    contrasts = tl.load(state + CONTRASTS)
    likeness = tl.load(state + LIKENESS)
    quiet = tl.load(state + QUIET)
    lines = tl.load(state + LINES)
    offs = tl.load(state + OFF)

    held = period > 0
    off, power = _between(ring, begin, period.to(tl.int64), POINTS, LANES, RING)
    pauses = held & (power < floor)
    goes_on = held & (power >= floor) & (off <= most)

    place = tl.arange(0, PERIOD_LANES)
    inner = (place >= SHORTEST) & (place <= LONGEST)
    mine = found + row.to(tl.int64) * PERIODS + place
    low = tl.load(mine, mask=inner, other=float("inf"))
    best = tl.min(low, axis=0)
    falls = (low <= tl.load(mine - 1, mask=inner, other=0.0)) & (low < tl.load(mine + 1, mask=inner, other=0.0))
    lows = inner & falls & (low <= best + tl.load(constants + 2))
    shortest = tl.min(tl.where(lows, place, PERIOD_LANES), axis=0)
    is_found = (best <= tl.load(constants + 1)) & (shortest < PERIOD_LANES)
    middle = tl.where(is_found, shortest, SHORTEST).to(tl.int64) * COARSE
    fine = middle
    least = off * 0.0 + 2.0
    for k in range(0, 2 * REACH):
        one, _ = _between(ring, begin, middle + k - REACH, POINTS, LANES, RING)
        better = one < least - surely
        fine = tl.where(better, middle + k - REACH, fine)
        least = tl.where(better, one, least)
    shortest = shortest.to(tl.int64)
    whole_period = fine
    whole_fits = least <= most
    for k in range(0, PARTS - 1):
        # From two parts on, so that the most of them come last.
        part = whole_period // (k + 2)
        one, _ = _between(ring, begin, part, POINTS, LANES, RING)
        fits = whole_fits & (part >= COARSE * SHORTEST) & (one <= most)
        fine = tl.where(fits, part, fine)
        least = tl.where(fits, one, least)
        shortest = tl.where(fits, (part + COARSE // 2) // COARSE, shortest)
    points = tl.arange(0, LANES)
    now = tl.load(ring + begin + points, mask=points < POINTS, other=0.0).to(tl.float64)
    sounds = tl.sum(now * now, axis=0) >= floor * POINTS
    begins = (held == 0) | ((power >= floor) & (off > most))
    starts = begins & sounds & is_found & (least <= most)

    period = tl.where(begins, tl.where(starts, fine.to(tl.float64), 0.0), period)
    coarse = tl.where(starts, shortest.to(tl.float64), coarse)
    off = tl.where(starts, least, off)
    matches = goes_on | starts
    within = (place >= NEAREST) & (place < (3 * coarse.to(tl.int64)) // 4)
    near = tl.load(mine, mask=within, other=float("inf"))
    like = tl.where(within, 1.0 - tl.load(mine, mask=within, other=1.0), 0.0)
    squares = tl.sum(like * like, axis=0) / tl.maximum(tl.sum(within.to(tl.float64), axis=0), 1.0)
    nearest = tl.min(near, axis=0)
    for lag in range(FINE_NEAREST, FINE_LAST + 1):
        before = tl.load(ring + (begin + points - lag + RING) % RING, mask=points < POINTS, other=0.0).to(tl.float64)
        both = tl.sum(now * now + before * before, axis=0)
        square = tl.sum((now - before) * (now - before), axis=0)
        nearest = tl.minimum(nearest, tl.where(both > 0, square / tl.where(both > 0, both, 1.0), 1.0))
    nearest = tl.where(matches, nearest, 0.0)
    one = tl.where(matches, 1.0, 0.0).to(tl.float64)
    run = tl.where(begins, 0.0, run) + one + tl.where(pauses, 1.0, 0.0)
    contrast = tl.where(begins, 0.0, contrast) + nearest
    lines = tl.where(begins, 0.0, lines) + tl.where(matches, squares, 0.0)
    offs = tl.where(begins, 0.0, offs) + tl.where(matches, off, 0.0)
    contrasts = tl.where(begins, 0.0, contrasts) + one
    likeness = tl.where(matches, 1.0 - off, likeness)
    quiet = tl.where(pauses, quiet + 1.0, 0.0)
    period = tl.where(pauses & (quiet > QUIET_BLOCKS), 0.0, period)

    tl.debug_barrier()  # all have read it before it changes
    tl.store(state + COUNT, tl.where(whole, count + 1.0, 0.0))
    tl.store(state + PERIOD, tl.where(whole, tl.where(known, period, 0.0), 0.0))
    tl.store(state + COARSE_PERIOD, coarse, mask=known)
    tl.store(state + RUN, run, mask=known)
    tl.store(state + CONTRAST, contrast, mask=known)
    tl.store(state + CONTRASTS, contrasts, mask=known)
    tl.store(state + LINES, lines, mask=known)
    tl.store(state + OFF, offs, mask=known)
    tl.store(state + LIKENESS, likeness, mask=known)
    tl.store(state + QUIET, quiet, mask=known)
    result = out + row.to(tl.int64) * out_stride
    nan = float("nan")
    many = lines <= tl.load(constants + 8) * contrasts
    is_piece = many & (contrast >= tl.load(constants + 4) * contrasts)
    long = (contrasts >= LONG_BLOCKS) & (contrast >= tl.load(constants + 9) * contrasts)
    long = long & (lines <= tl.load(constants + 11) * contrasts)
    most = tl.where(many, tl.load(constants + 10), tl.load(constants + 12))
    is_piece = known & (period > 0) & (is_piece | (long & (offs <= most * contrasts)))
    tl.store(result, tl.where(whole, tl.where(is_piece, likeness, 0.0), nan))
    tl.store(result + 1, tl.where(whole, 0.0, nan))
    tl.store(result + 2, tl.where(whole, tl.where(known & (period > 0), BLOCK * run, 0.0), nan))


def _constants_on(device: torch.device) -> Tensor:
    if device not in _constants:
        _constants[device] = torch.tensor(_SCALARS, dtype=torch.float64).to(device)
    return _constants[device]


def sound_repeats(
    samples: Tensor, channels: Tensor, valid: Tensor, slots: Tensor, ring: Tensor, coarse: Tensor, scalars: Tensor,
    out: Tensor,
) -> None:  # fmt: skip
    """The CUDA implementation of `avjury::sound_repeats`; arguments as there. No synchronisation, no atomics."""
    rows = samples.shape[0]
    if rows == 0:
        return
    constants = _constants_on(samples.device)
    periods = LONGEST + 2
    found = samples.new_empty((rows, periods), dtype=torch.float64)
    power_of_2 = triton.next_power_of_2
    state = {"BLOCKS": RING_BLOCKS, "SCALARS": SCALARS, "COUNT": Scalar.COUNT}
    _add_points[(rows,)](
        samples, samples.stride(0), samples.stride(1), channels, valid, slots, constants, ring, coarse, scalars,
        CHANNELS=MAX_CHANNELS, BLOCK=BLOCK, LIMIT=SAMPLE_LIMIT, STEP=STEP, GROUP=COARSE, GROUPS=COARSE_POINTS,
        LANES=power_of_2(COARSE_POINTS), RING=RING, COARSE_RING=COARSE_RING, **state, num_warps=4,
    )  # fmt: skip
    _compare[(rows, triton.cdiv(periods - NEAREST, _LAGS))](
        slots, coarse, scalars, found,
        LAGS=_LAGS, PERIODS=periods, POINTS=COARSE_POINTS, LANES=power_of_2(COARSE_POINTS), RING=COARSE_RING,
        NEAREST=NEAREST, **state, num_warps=4,
    )  # fmt: skip
    _follow[(rows,)](
        valid, slots, constants, ring, scalars, found, out, out.stride(0),
        BLOCK=BLOCK, POINTS=POINTS, LANES=power_of_2(POINTS), RING=RING, PERIODS=periods,
        PERIOD_LANES=power_of_2(periods), SHORTEST=SHORTEST, LONGEST=LONGEST, NEAREST=NEAREST,
        FINE_NEAREST=FINE_NEAREST, FINE_LAST=FINE_LAST, COARSE=COARSE,
        REACH=REACH, PARTS=PARTS, QUIET_BLOCKS=QUIET_BLOCKS, PERIOD=Scalar.PERIOD, COARSE_PERIOD=Scalar.COARSE_PERIOD,
        RUN=Scalar.RUN, CONTRAST=Scalar.CONTRAST, CONTRASTS=Scalar.CONTRASTS, QUIET=Scalar.QUIET,
        LIKENESS=Scalar.LIKENESS, LINES=Scalar.LINES, OFF=Scalar.OFF, LONG_BLOCKS=LONG_BLOCKS, **state, num_warps=4,
    )  # fmt: skip
