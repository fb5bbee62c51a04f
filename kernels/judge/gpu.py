"""The state machine in Triton: one program per row, all its detectors at once.

Every detector is one lane. Only dominance ties lanes together, and only downwards in the column order, so the step
is computed DEPTH times (the longest chain of masters, plus one): the first pass is right for those that nobody
dominates, each further one for the next level.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.judge.layout import (
    DETECTOR_FIELDS,
    EVENT_FIELDS,
    GAP_SECONDS,
    RULE_FIELDS,
    SAMPLE_RATE,
    STATE_FIELDS,
    TIME_TOLERANCE,
    WORSE_BY,
)
from kernels.tuning import blocks_on

_DETECTOR_FIELDS = tl.constexpr(DETECTOR_FIELDS)
_RULE_FIELDS = tl.constexpr(RULE_FIELDS)
_STATE_FIELDS = tl.constexpr(STATE_FIELDS)
_EVENT_FIELDS = tl.constexpr(EVENT_FIELDS)
# The order of the columns is that of layout.py; a test holds the two together by holding the results together.
_OK = tl.constexpr(0.0)
_PENDING = tl.constexpr(1.0)
_OPEN = tl.constexpr(2.0)
_CLEARING = tl.constexpr(3.0)
_OPENED = tl.constexpr(0.0)
_WORSE = tl.constexpr(1.0)
_CLOSED = tl.constexpr(2.0)
_SINCE_PREVIOUS = tl.constexpr(1)
_SAMPLES = tl.constexpr(2)
_BACKDATED = tl.constexpr(3)
_PASSING = tl.constexpr(4)
_EARLIER = tl.constexpr(5)


@triton.jit
def _pair(places, used):
    """Two columns that lie side by side, 16 bytes of each lane at once; rows of the tables begin at such a multiple."""
    return tl.split(tl.load(places[:, None] + tl.arange(0, 2)[None, :], mask=used[:, None], other=0))


@triton.jit
def _put_pair(places, first, second, used):
    tl.store(places[:, None] + tl.arange(0, 2)[None, :], tl.join(first, second), mask=used[:, None])


@triton.jit
def _judge_kernel(
    slots,
    start,
    known_until,
    values,
    values_row_stride,
    values_column_stride,
    detectors,
    rules,
    state,
    events,
    counts,
    constants,
    D: tl.constexpr,
    LANES: tl.constexpr,
    DEPTH: tl.constexpr,
):
    row = tl.program_id(0)
    slot = tl.load(slots + row).to(tl.int64)
    lane = tl.arange(0, LANES)
    real = lane < D
    # Floating-point literals are float32 in Triton; the constants have to be the CPU's to the last bit.
    sample_rate = tl.load(constants + 0)
    tolerance = tl.load(constants + 1)
    gap = tl.load(constants + 2)
    worse_by = tl.load(constants + 3)
    nan = tl.load(constants + 4)
    never = tl.load(constants + 5)
    zero = tl.load(constants + 6)
    one = tl.load(constants + 7)

    used = real & (slot >= 0)
    table = detectors + lane * _DETECTOR_FIELDS
    column, onset_rule = _pair(table, real)
    head_column, tail_column = _pair(table + 2, real)
    closing_counts, masters = _pair(table + 4, real)
    closing_counts = closing_counts != 0

    rule = rules + (slot * D + lane) * _RULE_FIELDS
    enabled, below = _pair(rule, used)
    enabled, below = enabled != 0.0, below != 0.0
    enter, leave = _pair(rule + 2, used)
    set_seconds, clear_seconds = _pair(rule + 4, used)

    before = state + (slot * D + lane) * _STATE_FIELDS
    phase, onset = _pair(before, used)
    clear_onset, peak = _pair(before + 2, used)
    total, count = _pair(before + 4, used)
    released, reported = _pair(before + 6, used)
    seen_until, clears_from = _pair(before + 8, used)

    began = tl.load(start + row)
    until = tl.load(known_until + row)
    cells = values + row.to(tl.int64) * values_row_stride
    value = tl.load(cells + column * values_column_stride, mask=used, other=0.0)
    by_samples = onset_rule == _SAMPLES
    passing = onset_rule == _PASSING
    places = used & (by_samples | passing)
    head = tl.load(cells + head_column * values_column_stride, mask=places, other=0.0)
    at_tail = tl.load(cells + tail_column * values_column_stride, mask=places, other=0.0)

    since_previous = onset_rule == _SINCE_PREVIOUS
    active = used & enabled & (since_previous | (value == value))
    own_onset = tl.where(onset_rule == _BACKDATED, until - value, began + zero * lane)
    own_onset = tl.where(passing, began + head / sample_rate, own_onset)
    passed_at = began + at_tail / sample_rate
    ended_at = tl.where(by_samples, began + head / sample_rate, began)
    dated = onset_rule == _EARLIER
    seconds = tl.load(cells + head_column * values_column_stride, mask=used & dated, other=0.0)
    changed_at = began - tl.where(seconds > 0.0, seconds, zero)  # NaN: now
    own_onset = tl.where(dated, changed_at, own_onset)
    ended_at = tl.where(dated, changed_at, ended_at)
    tail = tl.where(since_previous, began, tl.where(by_samples & (at_tail > 0.0), until - at_tail / sample_rate, nan))
    onset = tl.where(active & by_samples & (phase == _OK) & (tl.abs(began - seen_until) > gap), nan, onset)

    is_open = (phase == _OPEN) | (phase == _CLEARING)
    limit = tl.where(is_open, leave, enter)
    bad = tl.where(below, value <= limit, value >= limit)

    # [d, m]: m dominates d, and both are switched on
    dominates = ((masters[:, None] >> lane[None, :]) & 1) != 0
    dominates = dominates & (tl.where(enabled, 1, 0)[None, :] != 0)

    new_phase = phase
    new_onset = onset
    new_clear_onset = clear_onset
    new_clears_from = clears_from
    new_peak = peak
    new_total = total
    new_count = count
    new_released = released
    new_reported = reported
    opens = bad & False
    opens_and_closes = bad & False
    worse = bad & False
    closes = bad & False
    event_onset = onset
    event_end = clear_onset
    for _ in tl.static_range(DEPTH):
        holding = tl.where(new_phase != _OK, 1, 0)
        held = tl.max(tl.where(dominates, holding[None, :], 0), axis=1)
        floor = tl.max(tl.where(dominates, new_released[None, :], never), axis=1)
        floor = tl.where(dated & (released > floor), released, floor)
        held = (held != 0) | (passing & bad & (own_onset <= floor + tolerance))

        # bad rows
        starts_here = (phase == _OK) & (onset != onset)
        first = tl.where(starts_here | passing, own_onset, onset)
        pending_onset = tl.where(is_open, onset, tl.where(floor > first, floor, first))
        gathers = active & bad & (is_open | (held == 0))
        kept = tl.where(phase == _OK, zero, count)
        lone = kept == 0.0
        worst = tl.where(below, tl.where(value < peak, value, peak), tl.where(value > peak, value, peak))
        gathered_peak = tl.where(lone, value, worst)
        gathered_total = tl.where(lone, value, total + value)
        change = tl.abs(gathered_peak - reported)
        worse = gathers & is_open & (change > 0.0) & (change > worse_by * tl.abs(reported))
        opens = gathers & (is_open == 0) & (until - pending_onset >= set_seconds - tolerance)

        # good rows
        good = active & (bad == 0)
        clear_from = tl.where(phase == _OPEN, ended_at, clear_onset)
        counted_from = tl.where(phase == _OPEN, tl.where(dated, began, ended_at), clears_from)
        closes = good & is_open & (until - counted_from >= clear_seconds - tolerance)
        stays = good & is_open & (closes == 0)
        end = tl.where(onset > clear_from, onset, clear_from)
        waited = tl.where(floor > onset, floor, onset)
        opens_and_closes = (
            good
            & (is_open == 0)
            & (onset == onset)
            & closing_counts
            & (held == 0)
            & (ended_at > waited)
            & (ended_at - waited >= set_seconds - tolerance)
        )
        lets_go = opens_and_closes | (good & (phase == _PENDING))

        is_bad = active & bad
        rests = good & (stays == 0)
        opened = tl.where(passing, 3.0 * one, 2.0 * one)
        new_phase = tl.where(is_bad, tl.where(is_open | opens, opened, one), phase)
        new_phase = tl.where(stays, 3.0 * one, tl.where(rests, zero, new_phase))
        new_onset = tl.where(is_bad, pending_onset, tl.where(rests, tail, onset))
        new_clear_onset = tl.where(good & is_open, clear_from, clear_onset)
        new_clears_from = tl.where(good & is_open, counted_from, clears_from)
        later = tl.where(is_open & (clear_onset > passed_at), clear_onset, passed_at)
        passes = passing & is_bad & (is_open | opens)
        new_clear_onset = tl.where(passes, later, new_clear_onset)
        new_clears_from = tl.where(passes, later, new_clears_from)
        new_peak = tl.where(gathers, gathered_peak, peak)
        new_total = tl.where(gathers, gathered_total, total)
        new_count = tl.where(gathers, kept + one, tl.where(is_bad, zero, count))
        new_reported = tl.where(opens | worse, gathered_peak, reported)
        new_released = tl.where(closes, end, tl.where(lets_go, ended_at, released))
        event_onset = tl.where(opens_and_closes, waited, pending_onset)
        event_end = tl.where(opens_and_closes, ended_at, end)

    mine = used & enabled
    _put_pair(before, new_phase, new_onset, mine)
    _put_pair(before + 2, new_clear_onset, new_peak, mine)
    _put_pair(before + 4, new_total, new_count, mine)
    _put_pair(before + 6, new_released, new_reported, mine)
    _put_pair(before + 8, until + zero * lane, new_clears_from, mine)

    unseen = opens_and_closes & ((phase == _OK) | (count == 0.0))
    event_peak = tl.where(unseen, enter, new_peak)
    event_mean = tl.where(unseen, enter, new_total / tl.where(new_count == 0.0, one, new_count))
    has_first = opens | opens_and_closes | worse | closes
    mine_count = tl.where(has_first, 1, 0) + tl.where(opens_and_closes, 1, 0)
    place = tl.sum(tl.where(lane[None, :] < lane[:, None], mine_count[None, :], 0), axis=1)
    first_at = tl.where(worse, began, tl.where(closes, event_end, event_onset))
    first_kind = tl.where(worse, one, tl.where(closes, 2.0 * one, zero))
    out = events + (row.to(tl.int64) * (2 * D) + place) * _EVENT_FIELDS
    tl.store(out + 0, lane.to(tl.float64), mask=has_first)
    tl.store(out + 1, first_kind, mask=has_first)
    tl.store(out + 2, first_at, mask=has_first)
    tl.store(out + 3, until + zero * lane, mask=has_first)
    tl.store(out + 4, event_peak, mask=has_first)
    tl.store(out + 5, event_mean, mask=has_first)
    out += _EVENT_FIELDS
    tl.store(out + 0, lane.to(tl.float64), mask=opens_and_closes)
    tl.store(out + 1, 2.0 * one + zero * lane, mask=opens_and_closes)
    tl.store(out + 2, event_end, mask=opens_and_closes)
    tl.store(out + 3, until + zero * lane, mask=opens_and_closes)
    tl.store(out + 4, event_peak, mask=opens_and_closes)
    tl.store(out + 5, event_mean, mask=opens_and_closes)
    tl.store(counts + row, tl.sum(mine_count, axis=0).to(counts.dtype.element_ty))


_constants: dict[torch.device, Tensor] = {}  # one small upload per device and process


def judge(
    slots: Tensor,
    start: Tensor,
    known_until: Tensor,
    values: Tensor,
    detectors: Tensor,
    rules: Tensor,
    state: Tensor,
    events: Tensor,
    counts: Tensor,
    depth: int,
) -> None:
    """See op.py; every tensor lies on the GPU (or, in Triton's interpreter, on the CPU)."""
    n, d = slots.shape[0], detectors.shape[0]
    if n == 0:
        return
    if d == 0:
        counts[:n].zero_()
        return
    device = slots.device
    if device not in _constants:
        _constants[device] = torch.tensor(
            [SAMPLE_RATE, TIME_TOLERANCE, GAP_SECONDS, WORSE_BY, float("nan"), float("-inf"), 0.0, 1.0],
            dtype=torch.float64,
            device=device,
        )
    _judge_kernel[(n,)](
        slots,
        start,
        known_until,
        values,
        values.stride(0),
        values.stride(1),
        detectors,
        rules,
        state,
        events,
        counts,
        _constants[device],
        D=d,
        LANES=triton.next_power_of_2(d),
        DEPTH=depth,
        num_warps=blocks_on("judge", device).warps,
    )
