"""The lowest and highest value of every second: what timelines and meters show."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_kit import encode

from engine.level_columns import level_columns, level_names, unpack_levels
from engine.levels import Levels
from engine.listener import Silent
from engine.measure.columns import COLUMNS
from engine.media import Measures
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

CPU = torch.device("cpu")
SLOTS = 3


def rows(track, slots, starts, values, column):
    table = torch.full((len(slots), len(COLUMNS[track])), math.nan, dtype=torch.float64)
    table[:, COLUMNS[track].index(column)] = torch.tensor(values, dtype=torch.float64)
    start = torch.tensor(starts, dtype=torch.float64)
    return Measures(track, COLUMNS[track], torch.tensor(slots), start, start, table)


def test_every_kept_column_is_measured():
    for track, columns in level_columns().items():
        assert set(columns) <= set(COLUMNS[track])
    assert len(set(level_names())) == len(level_names())


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([True, False]))
def test_the_lowest_and_highest_of_each_second_and_stream(data, host):
    """In both forms: in numpy's memory, and by the operations that run on a GPU."""
    levels = Levels(SLOTS, CPU, host=host)
    wanted: dict[tuple[int, int], list[float]] = {}
    now = [0.0] * SLOTS
    taken = {}
    for _ in range(data.draw(st.integers(1, 25))):
        slots = data.draw(st.lists(st.integers(0, SLOTS - 1), min_size=1, max_size=SLOTS, unique=True))
        for slot in slots:
            now[slot] += data.draw(st.sampled_from([0.04, 0.3, 1.0, 2.5]))
        values = [data.draw(st.floats(-100, 100, width=32)) for _ in slots]
        levels.add(rows("video", slots, [now[slot] for slot in slots], values, "mafd"))
        for slot, value in zip(slots, values, strict=True):
            wanted.setdefault((slot, int(now[slot])), []).append(value)
    for slot in range(SLOTS):
        for second in range(int(now[slot]) + 1):
            found = unpack_levels(levels.take(slot, second))
            if found:
                assert set(found) == {"mafd"}
                taken[slot, second] = found["mafd"]
    assert taken == {key: (min(values), max(values)) for key, values in wanted.items()}


@pytest.mark.parametrize("host", [True, False])
def test_what_the_stream_before_in_the_slot_left_is_gone(host):
    levels = Levels(SLOTS, CPU, host=host)
    levels.add(rows("audio", [1], [0.0], [3.0], "momentary"))
    levels.open_slot(1)
    assert levels.take(1, 0) == b""
    levels.add(rows("audio", [1], [0.5], [5.0], "momentary"))
    levels.add(rows("video", [1], [0.5], [7.0], "mafd"))
    assert unpack_levels(levels.take(1, 0)) == {"momentary": (5.0, 5.0), "mafd": (7.0, 7.0)}
    assert levels.take(1, 0) == b""


def test_a_clips_seconds_have_the_values_of_its_trace(tmp_path):
    path = encode(tmp_path / "clip.ts", 3)
    seconds = []

    class Hears(Silent):
        def on_second(self, second):
            seconds.append(second)

    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu", levels=True, trace=True), Hears())
    assert [second.second for second in seconds][:3] == [0, 1, 2]
    for second in seconds[:3]:
        levels = unpack_levels(second.levels)
        for track, column in (("video", "mafd"), ("video", "luma_mean"), ("audio", "true_peak_db")):
            trace = outcome.trace[track]
            within = np.floor(trace.times) == second.second
            values = trace.values[within, trace.columns.index(column)]
            values = values[~np.isnan(values)].astype(np.float32)
            assert levels[column] == (values.min(), values.max())


def test_nothing_is_kept_where_nobody_asks(tmp_path):
    path = encode(tmp_path / "clip.ts", 1)
    seconds = []

    class Hears(Silent):
        def on_second(self, second):
            seconds.append(second)

    check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"), Hears())
    assert {second.levels for second in seconds} == {b""}
