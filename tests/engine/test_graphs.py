"""Playing a recorded batch back gives what launching everything one by one gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from changing_net import changing_artifact
from frames import random_frame
from on_tensors import OnTensors
from recorded_ops import RecordedOps, keep_state, kernels_seen, states_of
from surfaces import surface

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.evidence.series import MeasureRing
from engine.levels import Levels
from engine.measure import VIDEO_COLUMNS, Measure
from engine.measure.graphs import Graphs, Inputs
from engine.measure.network import NetworkUse
from engine.slates import SIZE, Slate
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.layout import FRAME_FIELDS
from kernels.siti import COLUMNS as INFORMATION_COLUMNS
from models.artifact_weights import SecondPoint

CPU = torch.device("cpu")
SLATES = (Slate.of("a", np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)),)
SLOTS = 5
ARTIFACT = replace(changing_artifact(area=0.01, pictures=1), second=SecondPoint(0.5, 1))
NETWORK = NetworkUse(ARTIFACT, rate=10.0, judges=True)
COLUMNS = {"network_corruption", *(d.column for d in DETECTORS), *INFORMATION_COLUMNS, *EDGE_COLUMNS}


def playing(record, followers=()):
    """A measure with everything on, whose launches are recorded so; and another of the same without."""
    _, parameters = resolve(None)
    measures = [
        Measure(CPU, SLOTS, OnTensors(), SLATES, NETWORK, record=how, followers=who)
        for how, who in ((record, followers), (None, ()))
    ]
    for measure in measures:
        for slot in range(SLOTS):
            measure.open_slot(slot, parameters, COLUMNS)
    return measures


def recorder(holders):
    """As `record_on`, with what CUDA does not do while it records undone: it changes nothing that these hold."""

    def record(work):
        ops = RecordedOps()

        def watched():
            with ops:
                return work()

        return ops, keep_state(states_of(holders), watched)

    return record


def batches(count=40):
    """One to five pictures of mixed sizes, formats, ranges and scans."""
    batcher = Batcher(CPU, SLOTS, 0.0)
    kinds = ((64, 36, {}), (48, 40, {"interleaved": True}), (70, 37, {}), (64, 48, {"bit_depth": 10}), (64, 36, {}))
    for n in range(count):
        taken = []
        for slot, (width, height, how) in enumerate(kinds):
            if (n + slot) % 7 == 0 or (n > 25 and slot == 4):
                continue  # nothing came of this stream
            frame = random_frame(width, height, seed=31 * slot + n // (1 + slot), smooth=True, **how)
            taken.append((slot, surface(frame, n / 5, slot == 1, slot == 2)))
        yield batcher.assemble(taken, dict.fromkeys(range(SLOTS), 0.1))


@pytest.fixture(autouse=True)
def _kernels_seen():
    with kernels_seen():
        yield


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_a_table_of_any_size_begins_its_columns_alike(rows):
    """Triton compiles once for addresses that are multiples of 16, and once for others."""
    inputs = Inputs(rows, CPU)
    for column in (inputs.frames, inputs.slots, inputs.pts, inputs.facts):
        assert column.data_ptr() % 16 == inputs.table.data_ptr() % 16


def test_a_batch_that_is_played_back_gives_the_same_rows():
    measures = []
    measures += playing(lambda work: recorder(measures[:1])(work))
    played, launched = measures
    for batch in batches():
        one, other = played.frames(batch).values, launched.frames(batch).values
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert played.graph_problem == ""
    assert played.replays >= 30  # all but the first of one, two, four and eight rows
    assert launched.replays == 0


def test_levels_and_series_are_kept_by_what_is_played_back_as_on_the_host():
    there = Levels(SLOTS, CPU, host=False), MeasureRing(SLOTS, CPU, 16, host=False)
    here = Levels(SLOTS, CPU), MeasureRing(SLOTS, CPU, 16)
    there[1].bind(VIDEO_COLUMNS)
    held = [*there]
    measure, _ = playing(lambda work: recorder(held)(work), (there[0].follower("video", VIDEO_COLUMNS), there[1]))
    held.append(measure)
    for slot in range(SLOTS):
        for keeper in (*there, *here):
            keeper.open_slot(slot)
    for batch in batches():
        rows = measure.frames(batch)
        assert rows.kept
        for keeper in there:
            keeper.add(rows)  # which is nothing to them
        for keeper in here:
            keeper.add(replace(rows, kept=False, device_rows=None))
    assert measure.replays >= 30
    for slot in range(SLOTS):
        for second in range(8):
            assert there[0].take(slot, second) == here[0].take(slot, second)
        one, other = there[1].read(slot, "mafd", 0.0), here[1].read(slot, "mafd", 0.0)
        assert len(one.times) == 16
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.values, other.values)


def test_a_stream_that_comes_or_goes_is_seen_by_what_was_recorded():
    measures = []
    measures += playing(lambda work: recorder(measures[:1])(work))
    _, parameters = resolve(None)
    for n, batch in enumerate(batches()):
        if n in (12, 20):
            for measure in measures:
                measure.close_slot(2)
                measure.open_slot(2, parameters, COLUMNS if n == 20 else {"black_ratio"})
        one, other = (measure.frames(batch).values for measure in measures)
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert measures[0].replays >= 30


def test_work_that_waits_for_the_device_cannot_be_recorded_and_is_launched_one_by_one():
    def record(work):
        with RecordedOps():
            return None, work()

    graphs = Graphs(CPU, record)
    rows = graphs.rows(3)
    assert rows == 4
    staged = torch.arange(len(Inputs(rows, CPU).table))

    def work(inputs):
        return inputs.slots * int(inputs.slots.sum())

    first, _ = graphs.run("a", rows, lambda: Inputs(rows, CPU), staged, work)
    assert "not permitted" in graphs.problem
    assert torch.equal(graphs.run("a", rows, lambda: Inputs(rows, CPU), staged, work)[0], first)
    assert graphs.replays == 0
    assert graphs.rows(3) == 3


def test_recordings_of_another_kind_are_forgotten():
    recorded = []

    def record(work):
        ops = RecordedOps()
        with ops:
            result = work()
        recorded.append(result)
        return ops, result

    graphs = Graphs(CPU, record)
    staged = torch.arange(len(Inputs(1, CPU).table))
    for key, factor in (("a", 2), ("a", 2), ("b", 3), ("b", 3), ("a", 2)):
        got, _ = graphs.run(key, 1, lambda: Inputs(1, CPU), staged, lambda inputs, factor=factor: inputs.slots * factor)
        assert int(got) == (FRAME_FIELDS + 1) * factor  # where the slots begin
    assert len(recorded) == 3
    assert graphs.replays == 2
