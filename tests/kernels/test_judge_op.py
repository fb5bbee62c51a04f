"""The compiled state machines against the plain one, and the plain one against cases worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from interpreter import interpreted
from properties import given, settings, st

from kernels.judge import op
from kernels.judge.layout import EVENT_FIELDS, EventKind, OnsetRule
from kernels.judge.reference import ReferenceDetector, ReferenceJudge

NAN = math.nan
OPENED, WORSE, CLOSED = EventKind.OPENED, EventKind.WORSE, EventKind.CLOSED
# Sums run over the same rows in the same order, so only the reference's own sum() may differ: 40 rows, 2**-53 each.
MEAN_RELATIVE = 40 * 2.0**-52


def tables(detectors, slots, rules_of_slot=None):
    """Device tables of reference detectors: (detectors, rules, depth)."""
    table = torch.zeros((len(detectors), 6), dtype=torch.int64)
    rules = torch.zeros((slots, len(detectors), 6), dtype=torch.float64)
    for d, detector in enumerate(detectors):
        mask = sum(1 << m for m in detector.masters)
        table[d] = torch.tensor(
            [detector.column, detector.onset_rule, *detector.aux, int(detector.closing_counts), mask]
        )
        for slot in range(slots):
            own = rules_of_slot[slot][d] if rules_of_slot else detector
            rules[slot, d] = torch.tensor(
                [own.enabled, own.below, own.enter, own.exit, own.set_seconds, own.clear_seconds], dtype=torch.float64
            )
    return table, rules, op.dominance_depth([int(mask) for mask in table[:, 5]])


class Runner:
    """Feeds rows to a compiled version."""

    def __init__(self, detectors, slots, call=op.judge, rules_of_slot=None):
        self.table, self.rules, self.depth = tables(detectors, slots, rules_of_slot)
        self.state = op.new_state(slots, len(detectors))
        self.call = call

    def batch(self, slots, start, until, values):
        n = len(slots)
        events = torch.full((n, 2 * len(self.table), EVENT_FIELDS), -7.0, dtype=torch.float64)
        counts = torch.full((n,), -7, dtype=torch.int32)
        self.call(
            torch.tensor(slots, dtype=torch.int64),
            torch.tensor(start, dtype=torch.float64),
            torch.tensor(until, dtype=torch.float64),
            torch.tensor(values, dtype=torch.float64).reshape(n, -1 if n else 1),
            self.table,
            self.rules,
            self.state,
            events,
            counts,
            self.depth,
        )
        assert bool((events[torch.arange(2 * len(self.table))[None, :] >= counts[:, None]] == -7.0).all())
        return [[tuple(event) for event in events[row, : counts[row]].tolist()] for row in range(n)]

    def close(self, slot, at):
        return op.close_row(self.state[slot].numpy(), self.rules[slot].numpy(), self.table.numpy(), at)


def same(got, expected):
    assert [event[:5] for event in got] == [tuple(map(float, event[:5])) for event in expected]
    assert [event[5] for event in got] == pytest.approx([event[5] for event in expected], rel=MEAN_RELATIVE)


def run(detectors, rows, at=None):
    """Events of one slot from the reference, each checked against the compiled CPU version."""
    reference, runner = ReferenceJudge(detectors), Runner(detectors, 1)
    found = []
    for start, until, *values in rows:
        expected = reference.row(start, until, values)
        same(runner.batch([0], [start], [until], values)[0], expected)
        found += expected
    if at is not None:
        expected = reference.close(at)
        same(runner.close(0, at), expected)
        found += expected
    return [(d, kind, round(at, 9)) for d, kind, at, *_ in found]


BLACK = ReferenceDetector(0, OnsetRule.INSTANT, 0.98, 0.98, False, 2.0, 0.0, closing_counts=True)
FREEZE = ReferenceDetector(1, OnsetRule.SINCE_PREVIOUS, 0.001, 0.001, True, 2.0, 0.0, closing_counts=True)
SILENCE = ReferenceDetector(0, OnsetRule.SAMPLES, 1.0, 1.0, False, 2.0, 0.0, closing_counts=True, aux=(1, 2))
BLUR = ReferenceDetector(0, OnsetRule.INSTANT, 10.0, 8.0, False, 1.0, 1.0)


def pictures(*values, rate=25.0, first=0):
    return [(n / rate, n / rate, *(v if isinstance(v, tuple) else (v,))) for n, v in enumerate(values, first)]


def test_black_opens_when_it_is_long_enough_and_ends_at_the_first_good_picture():
    rows = pictures(*[0.0] * 10, *[1.0] * 60, 0.0)
    assert run([BLACK], rows) == [(0, OPENED, 0.4), (0, CLOSED, 2.8)]


def test_black_of_exactly_the_minimum_counts_though_its_last_black_picture_is_one_short():
    # 50 pictures at 25/s: the last one is at 1.96 s after the first, the first good one at 2.0 s (blackdetect).
    assert run([BLACK], pictures(0.0, *[1.0] * 50, 0.0)) == [(0, OPENED, 0.04), (0, CLOSED, 2.04)]
    assert run([BLACK], pictures(0.0, *[1.0] * 49, 0.0)) == []


def test_a_duration_that_float_arithmetic_makes_short_still_counts():
    start, end = 7 / 25, 57 / 25
    assert end - start < 2.0  # the trap
    rows = [(start, start, 1.0), (end, end, 0.0)]
    assert run([BLACK], rows) == [(0, OPENED, start), (0, CLOSED, end)]


def test_freeze_starts_at_the_last_picture_that_was_different():
    rows = pictures((0, NAN), (0, 0.5), (0, 0.5), *[(0, 0.0)] * 60, (0, 0.5))
    assert run([replace(FREEZE)], rows) == [(0, OPENED, 0.08), (0, CLOSED, 2.52)]


def test_freeze_from_the_first_picture_and_across_a_hole():
    assert run([FREEZE], pictures((0, NAN), *[(0, 0.0)] * 55, (0, 0.5))) == [(0, OPENED, 0.0), (0, CLOSED, 2.24)]
    # One picture held for three seconds (freezedetect: reference at 1.0, next one different).
    assert run([FREEZE], [(1.0, 1.0, 0, 0.5), (4.0, 4.0, 0, 0.5)]) == [(0, OPENED, 1.0), (0, CLOSED, 4.0)]


def test_a_picture_without_an_earlier_one_ends_a_freeze():
    rows = pictures((0, NAN), *[(0, 0.0)] * 60, (0, NAN), *[(0, 0.0)] * 10)
    assert run([FREEZE], rows) == [(0, OPENED, 0.0), (0, CLOSED, 2.44)]


def test_silence_is_right_to_the_sample():
    block = [(0.0, 0.1, 0.0, 0, 480)]  # quiet from 0.09 on
    block += [(n / 10, (n + 1) / 10, 1.0, 4800, 4800) for n in range(1, 30)]
    block += [(3.0, 3.1, 0.0, 1200, 0)]  # until 3.025
    assert run([SILENCE], block) == [(0, OPENED, 0.09), (0, CLOSED, 3.025)]


def test_a_quiet_run_between_two_blocks_that_are_not_quiet():
    short = replace(SILENCE, set_seconds=0.05)
    rows = [(0.0, 0.1, 0.0, 0, 2400), (0.1, 0.2, 0.0, 480, 0)]
    assert run([short], rows) == [(0, OPENED, 0.05), (0, CLOSED, 0.11)]
    assert run([short], [rows[0], (5.0, 5.1, 0.0, 480, 0)]) == []  # a hole between the two
    assert run([short], rows[:1], at=0.1) == [(0, OPENED, 0.05), (0, CLOSED, 0.1)]


def test_hysteresis_and_clearing():
    # Opens at 10, stays bad down to 8; good for less than a second does not close it.
    values = [0] * 5 + [11] * 11 + [8.5] * 9 + [5] * 5 + [8.1] * 5 + [5] * 11
    rows = pictures(*values, rate=10.0)
    assert run([BLUR], rows) == [(0, OPENED, 0.5), (0, CLOSED, 3.5)]
    assert run([BLUR], rows[:-2]) == [(0, OPENED, 0.5)]
    assert run([BLUR], rows[:-2], at=4.4) == [(0, OPENED, 0.5), (0, CLOSED, 3.5)]


def test_worse_is_told_when_the_peak_grows_by_a_tenth():
    rows = pictures(*[11] * 11, 12.0, 12.5, 12.6, 14.0, 13.0, rate=10.0)
    assert run([BLUR], rows) == [(0, OPENED, 0.0), (0, WORSE, 1.2), (0, WORSE, 1.4)]


def test_black_holds_freeze_back_from_pending_on():
    pair = [BLACK, replace(FREEZE, masters=(0,))]
    rows = pictures((0, NAN), *[(1.0, 0.0)] * 100, (0.0, 0.5), (0.0, 0.5))
    assert run(pair, rows) == [(0, OPENED, 0.04), (0, CLOSED, 4.04)]
    # 1.6 s of a picture that is black enough only now and then: what lay under it does not count for the freeze.
    rows = pictures((0, NAN), *[(1.0, 0.0)] * 40, *[(0.5, 0.0)] * 60, (0.0, 0.5))
    assert run(pair, rows) == [(1, OPENED, 1.64), (1, CLOSED, 4.04)]
    off = [replace(BLACK, enabled=False), replace(FREEZE, masters=(0,))]
    assert run(off, rows) == [(1, OPENED, 0.0), (1, CLOSED, 4.04)]


def test_an_open_one_is_not_closed_by_its_master():
    pair = [BLACK, replace(FREEZE, masters=(0,))]
    rows = pictures((0, NAN), *[(0.0, 0.0)] * 60, *[(1.0, 0.0)] * 60, (0.0, 0.5))
    assert run(pair, rows) == [(1, OPENED, 0.0), (0, OPENED, 2.44), (0, CLOSED, 4.84), (1, CLOSED, 4.84)]


def test_backdated():
    missing = ReferenceDetector(0, OnsetRule.BACKDATED, 5.0, 5.0, False, 0.0, 0.0)
    rows = [(float(n), n + 1.0, v) for n, v in enumerate([0, 0, 0.8, 1.8, 2.8, 3.8, 4.8, 5.8, 6.8, 0])]
    assert run([missing], rows) == [(0, OPENED, 2.2), (0, WORSE, 8.0), (0, CLOSED, 9.0)]


TOLD_LATE = ReferenceDetector(0, OnsetRule.EARLIER, 5.0, 5.0, False, 0.0, 0.5, aux=(1, -1))


def test_what_is_known_late_is_dated_back_and_stays_open_as_long_as_without():
    rows = pictures(*[(0, 0)] * 10, (9, 0.2), *[(9, 0)] * 5, (0, 0.08), *[(0, 0)] * 20)
    assert run([TOLD_LATE], rows) == [(0, OPENED, 0.2), (0, CLOSED, 0.56)]
    runner = Runner([TOLD_LATE], 1)
    known = [event[3] for row in rows for event in runner.batch([0], [row[0]], [row[1]], [row[2:]])[0]]
    assert known == pytest.approx([0.4, 0.64 + 0.52], abs=0.03)  # the good rows have to last from the first of them on


def test_nothing_is_dated_back_into_the_incident_before_it_or_its_masters():
    rows = pictures((9, 0), (0, 0), *[(0, 0)] * 20, (9, 3.0), (0, 0), *[(0, 0)] * 20)
    assert run([TOLD_LATE], rows) == [(0, OPENED, 0.0), (0, CLOSED, 0.04), (0, OPENED, 0.04), (0, CLOSED, 0.92)]
    master = ReferenceDetector(2, OnsetRule.INSTANT, 1.0, 1.0, False, 0.0, 0.0)
    rows = pictures((0, 0, 1), (0, 0, 1), (0, 0, 0), (9, 3.0, 0), *[(0, 0, 0)] * 20)
    found = run([master, replace(TOLD_LATE, masters=(0,))], rows)
    assert found[:3] == [(0, OPENED, 0.0), (0, CLOSED, 0.08), (1, OPENED, 0.08)]


CLICK = ReferenceDetector(0, OnsetRule.PASSING, 5.0, 5.0, False, 0.0, 0.5, aux=(1, 2))


def sound(*cells):
    """Rows of 100 ms, each (value, onset, end) in samples from its start."""
    return [(n / 10, (n + 1) / 10, *cell) for n, cell in enumerate(cells)]


def test_what_passes_is_placed_to_the_sample_also_in_the_row_before():
    rows = sound((0, 0, 0), (9, -480, 480), *[(0, 0, 0)] * 6)
    assert run([CLICK], rows) == [(0, OPENED, 0.09), (0, CLOSED, 0.11)]
    rows = sound((9, 480, 960), (0, 0, 0), (0, 0, 0), (9, 480, 960), *[(0, 0, 0)] * 6)
    assert run([CLICK], rows) == [(0, OPENED, 0.01), (0, CLOSED, 0.32)]
    assert run([CLICK], sound((9, 480, 960)), at=0.1) == [(0, OPENED, 0.01), (0, CLOSED, 0.02)]


def test_what_passed_while_a_master_held_is_not_told():
    master = ReferenceDetector(3, OnsetRule.INSTANT, 1.0, 1.0, False, 0.0, 0.0)
    slave = replace(CLICK, masters=(0,))
    rows = sound(*[(0, 0, 0, 1)] * 2, (9, 480, 960, 1), (9, -960, -480, 0), *[(0, 0, 0, 0)] * 6)
    assert run([master, slave], rows) == [(0, OPENED, 0.0), (0, CLOSED, 0.3)]


def test_what_began_before_a_master_let_go_is_not_told_and_what_began_after_it_is():
    master = ReferenceDetector(3, OnsetRule.INSTANT, 1.0, 1.0, False, 0.0, 0.0)
    slave = replace(CLICK, masters=(0,))
    before = sound((0, 0, 0, 1), (0, 0, 0, 0), (9, -4800, 480, 0), *[(0, 0, 0, 0)] * 6)
    assert run([master, slave], before) == [(0, OPENED, 0.0), (0, CLOSED, 0.1)]
    after = sound((0, 0, 0, 1), (0, 0, 0, 0), (9, -4752, 480, 0), *[(0, 0, 0, 0)] * 6)
    assert run([master, slave], after)[2:] == [(1, OPENED, 0.101), (1, CLOSED, 0.21)]


def test_end_of_stream():
    black = pictures(0.0, *[1.0] * 55)
    assert run([BLACK], black, at=2.24) == [(0, OPENED, 0.04), (0, CLOSED, 2.24)]
    assert run([BLACK], black[:45], at=1.8) == []
    assert run([BLACK], black[:50], at=2.04) == [(0, OPENED, 0.04), (0, CLOSED, 2.04)]
    assert run([BLUR], pictures(*[11] * 9, rate=10.0), at=5.0) == []
    pair = [BLACK, replace(FREEZE, masters=(0,))]
    assert run(pair, pictures((0, NAN), *[(1.0, 0.0)] * 45), at=9.0) == [(0, OPENED, 0.04), (0, CLOSED, 9.0)]


times = st.sampled_from([0.0, 0.04, 0.1, 0.5])
levels = st.sampled_from([0.0, 1.0, 1.2, 2.0, 3.0, NAN])
ago = st.sampled_from([0.0, 0.05, 0.3, 5.0, NAN])


@st.composite
def detector_sets(draw):
    """Detectors over columns 0..3 (scores), 4, 5 (samples at head and tail) and 6 (seconds)."""
    auxiliary = {OnsetRule.SAMPLES: (4, 5), OnsetRule.PASSING: (4, 5), OnsetRule.EARLIER: (6, -1)}
    drawn = []
    for index in range(draw(st.integers(1, 5))):
        below = draw(st.booleans())
        enter = draw(st.sampled_from([1.0, 1.2, 2.0]))
        slack = draw(st.sampled_from([0.0, 0.5]))
        onset_rule = draw(st.sampled_from(list(OnsetRule)))
        drawn.append(
            ReferenceDetector(
                column=draw(st.integers(0, 3)),
                onset_rule=onset_rule,
                enter=enter,
                exit=enter + slack if below else enter - slack,
                below=below,
                set_seconds=draw(times),
                clear_seconds=draw(times),
                closing_counts=draw(st.booleans()),
                masters=tuple(m for m in range(index) if draw(st.integers(0, 2)) == 0),
                aux=auxiliary.get(onset_rule, (-1, -1)),
                enabled=draw(st.integers(0, 5)) > 0,
            )
        )
    return drawn


@st.composite
def timelines(draw, most):
    """Rows of one slot: (start, known_until, seven values)."""
    at, rows = draw(st.sampled_from([0.0, 7.1, 3600.04])), []
    length = draw(st.sampled_from([0.0, 0.1]))
    for _ in range(draw(st.integers(1, most))):
        scores = [draw(levels) for _ in range(4)]
        rows.append(
            (at, at + length, *scores, draw(st.integers(0, 4800)), draw(st.sampled_from([0, 1, 700])), draw(ago))
        )
        at += max(length, 0.04) if draw(st.integers(0, 4)) else draw(st.sampled_from([0.3, 2.0]))
    return rows


@settings(max_examples=150, deadline=None)
@given(detector_sets(), st.lists(timelines(40), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_cpu_equals_reference_whatever_shares_the_batch(detectors, streams, random):
    runner = Runner(detectors, len(streams))
    references = [ReferenceJudge(detectors) for _ in streams]
    waiting = [list(rows) for rows in streams]
    while any(waiting):
        taken = [slot for slot, rows in enumerate(waiting) if rows and random.random() < 0.7]
        random.shuffle(taken)
        rows = [waiting[slot].pop(0) for slot in taken]
        got = runner.batch(taken, [r[0] for r in rows], [r[1] for r in rows], [r[2:] for r in rows])
        for slot, row, events in zip(taken, rows, got, strict=True):
            same(events, references[slot].row(row[0], row[1], row[2:]))
    for slot, rows in enumerate(streams):
        same(runner.close(slot, rows[-1][1] + 0.5), references[slot].close(rows[-1][1] + 0.5))
        assert torch.equal(
            runner.state[slot].nan_to_num(-1.0), op.new_state(1, len(detectors))[0].nan_to_num(-1.0)
        ) or (not all(d.enabled for d in detectors))


@settings(max_examples=12, deadline=None)
@given(detector_sets(), st.lists(timelines(12), min_size=2, max_size=2))
def test_triton_equals_reference(detectors, streams):
    with interpreted("kernels.judge.gpu") as gpu:
        runner = Runner(detectors, len(streams), gpu.judge)
        references = [ReferenceJudge(detectors) for _ in streams]
        for step in range(max(map(len, streams))):
            taken = [slot for slot, rows in enumerate(streams) if step < len(rows)]
            rows = [streams[slot][step] for slot in taken]
            got = runner.batch(taken, [r[0] for r in rows], [r[1] for r in rows], [r[2:] for r in rows])
            for slot, row, events in zip(taken, rows, got, strict=True):
                same(events, references[slot].row(row[0], row[1], row[2:]))


def test_each_slot_has_its_own_rule():
    strict = replace(BLUR, enter=5.0, exit=5.0, set_seconds=0.0, clear_seconds=0.0)
    off = replace(BLUR, enabled=False)
    runner = Runner([BLUR], 3, rules_of_slot=[[BLUR], [strict], [off]])
    got = runner.batch([2, 1, 0], [0.0] * 3, [0.0] * 3, [6.0, 6.0, 6.0])
    assert [[event[:3] for event in row] for row in got] == [[], [(0.0, 0.0, 0.0)], []]


def test_skipped_rows_and_an_empty_batch():
    runner = Runner([replace(BLUR, set_seconds=0.0)], 1)
    assert runner.batch([-1], [0.0], [0.0], [50.0]) == [[]]
    assert runner.batch([], [], [], []) == []
    with interpreted("kernels.judge.gpu") as gpu:
        runner.call = gpu.judge
        assert runner.batch([-1], [0.0], [0.0], [50.0]) == [[]]


def test_opcheck():
    table, rules, depth = tables([BLACK, replace(FREEZE, masters=(0,))], 2)
    arguments = (
        torch.tensor([1, 0]),
        torch.zeros(2, dtype=torch.float64),
        torch.zeros(2, dtype=torch.float64),
        torch.ones((2, 2), dtype=torch.float64),
        table,
        rules,
        op.new_state(2, 2),
        torch.zeros((2, 4, EVENT_FIELDS), dtype=torch.float64),
        torch.zeros(2, dtype=torch.int32),
        depth,
    )
    torch.library.opcheck(torch.ops.avjury.judge.default, arguments)


def test_a_wrong_table_is_named():
    table, rules, _ = tables([BLACK], 1)
    good = [
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.float64),
        torch.zeros(1, dtype=torch.float64),
        torch.zeros((1, 1), dtype=torch.float64),
        table,
        rules,
        op.new_state(1, 1),
        torch.zeros((1, 2, EVENT_FIELDS), dtype=torch.float64),
        torch.zeros(1, dtype=torch.int32),
    ]
    op.check_layout(*good)
    with pytest.raises(ValueError, match=r"rules \(1, 1, 6\) torch.float32"):
        op.check_layout(*good[:5], rules.float(), *good[6:])


@pytest.mark.gpu
def test_cuda_equals_cpu():
    detectors = [BLACK, replace(FREEZE, masters=(0,)), replace(SILENCE, column=0)]

    def on_gpu(*arguments):
        *tensors, depth = arguments
        there = [t.cuda() for t in tensors]
        op.judge(*there, depth)
        for here, moved in zip(tensors[6:], there[6:], strict=True):
            here.copy_(moved)

    generator = np.random.default_rng(5)
    on_cpu, there = Runner(detectors, 4), Runner(detectors, 4, on_gpu)
    for step in range(400):
        values = generator.choice([0.0, 1.0, 0.0005, NAN], (4, 3)) if step % 90 < 20 else [[1.0, 0.0, 0.0]] * 4
        rows = ([3, 1, 0, 2], [step / 25] * 4, [step / 25] * 4, values)
        assert on_cpu.batch(*rows) == there.batch(*rows)
