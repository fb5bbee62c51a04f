"""The last hours by the second: kept in files of fixed size, read back, plotted, and tried with other thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from level_seconds import second

from engine.detectors import detector
from engine.service.backtest import judged_by_rule, tried
from engine.service.history import History, series

START = 1_800_000_000.0


def kept(folder, seconds, hours=1.0, now=None):
    """A history of (offset, second) pairs."""
    history = History(folder, hours, clock=lambda: START + (now if now is not None else seconds[-1][0] + 1))
    for offset, one in seconds:
        history.put(one, START + offset)
    return history


def spells(folder, column, values, name, rule_parameters=None, others=None):
    history = kept(folder, [(i, second("a", i, **{column: value})) for i, value in enumerate(values)])
    declared = detector(name)
    parameters = declared.settle(rule_parameters or {})
    found = tried(history.read("a", START, START + len(values)), name, parameters, others or {})
    offsets = [np.datetime64(one["since"][:-1]).astype("datetime64[s]").astype(int) - START for one in found]
    return [(offset, one["seconds"], one["certain"]) for offset, one in zip(offsets, found, strict=True)]


def test_what_was_put_is_read_back_in_order_after_a_restart(tmp_path):
    kept(tmp_path, [(i, second("a", i, opened=["video.black"] * (i == 2), mafd=float(i))) for i in range(5)])
    rows = History(tmp_path, 1.0, clock=lambda: START + 5).read("a", START + 1, START + 4)
    assert (rows["at"] - START).tolist() == [1, 2, 3]
    assert series(rows, ["mafd"], START, START + 5, 100)["measures"]["mafd"]["high"] == [None, 1, 2, 3, None]
    assert series(rows, [], START, START + 5, 100)["open"] == [None, False, True, False, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 130), st.integers(0, 150))
def test_a_full_file_keeps_the_latest_and_grows_no_more(tmp_path_factory, count, back):
    hours = 60 / 3600
    folder = tmp_path_factory.mktemp("history")
    history = kept(folder, [(i, second("a", i, mafd=float(i))) for i in range(count)], hours)
    rows = history.read("a", START + count - back, START + count)
    wanted = range(max(0, count - min(back, 60)), count)
    assert (rows["at"] - START).tolist() == list(wanted)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= history.bytes_per_stream


def test_streams_that_are_gone_leave_no_file(tmp_path):
    history = kept(tmp_path, [(0, second("../a/..\\b", 0)), (1, second("b", 1))])
    history.keep_only(["b"])
    assert len(list(tmp_path.iterdir())) == 1
    history.put(second("b", 2), START + 2)
    assert len(history.read("b", START, START + 9)) == 2


def test_a_file_of_another_layout_is_begun_anew(tmp_path):
    kept(tmp_path, [(0, second("a", 0))])
    longer = History(tmp_path, 2.0, clock=lambda: START + 2)
    assert len(longer.read("a", START, START + 9)) == 0
    longer.put(second("a", 1), START + 1)
    assert len(longer.read("a", START, START + 9)) == 1


def test_where_nothing_can_be_written_it_is_counted_and_nothing_raised(tmp_path):
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "below", 1.0)
    history.put(second("a", 0), START)
    assert history.failures == 1
    assert len(history.read("a", START, START + 9)) == 0


def test_long_spans_are_thinned_and_keep_their_peaks(tmp_path):
    history = kept(tmp_path, [(i, second("a", i, mafd=(0.1, 9.0) if i == 777 else 0.5)) for i in range(1000)])
    told = series(history.read("a", START, START + 1000), ["mafd"], START, START + 1000, 100)
    assert len(told["at"]) == 100
    assert max(told["measures"]["mafd"]["high"]) == 9.0
    assert min(told["measures"]["mafd"]["low"]) == pytest.approx(0.1)
    assert set(told["pictures"]) == {1.0}


def test_how_many_pictures_the_network_saw_is_kept(tmp_path):
    looks = [0, 2, 1, 1]
    seconds = [(i, replace(second("a", i), frames_seen_by_network=count)) for i, count in enumerate(looks)]
    rows = kept(tmp_path, seconds).read("a", START, START + 4)
    assert series(rows, [], START - 1, START + 4, 100)["network"] == [None, 0.0, 2.0, 1.0, 1.0]
    assert series(rows, [], START, START + 4, 2)["network"] == [1.0, 1.0]


def test_a_backtest_finds_what_lasts_and_not_what_is_short(tmp_path):
    black = [0.0] * 5 + [1.0] * 4 + [0.0] * 5 + [1.0] + [0.0] * 3
    assert spells(tmp_path / "1", "black_ratio", black, "video.black") == [(5, 4, True)]
    once = spells(tmp_path / "2", "black_ratio", black, "video.black", {"black_min_duration": 1.0})
    assert once == [(5, 4, True), (14, 1, True)]
    assert spells(tmp_path / "3", "black_ratio", black, "video.black", {"black_min_duration": 5.0}) == []


def test_a_stretch_that_needs_its_edges_is_only_possible(tmp_path):
    edges = [0.0, (0.0, 1.0), 1.0, (0.0, 1.0), 0.0]
    assert spells(tmp_path / "1", "black_ratio", edges, "video.black") == [(1, 3, False)]
    # Bad only in part of each second: it never lasted two.
    parts = [0.0, (0.0, 1.0), 0.0, (0.0, 1.0), 0.0]
    assert spells(tmp_path / "2", "black_ratio", parts, "video.black") == []


def test_below_is_bad_where_the_rule_says_so_and_a_master_keeps_it_from_opening(tmp_path):
    still = [0.1] * 3 + [0.0] * 4 + [0.1] * 3
    assert spells(tmp_path / "1", "mafd", still, "video.freeze") == [(3, 4, True)]
    black = kept(tmp_path / "2", [(i, second("a", i, mafd=0.0, black_ratio=1.0)) for i in range(6)])
    rule = detector("video.black").rule()
    rows = black.read("a", START, START + 9)
    settled = detector("video.freeze").settle()
    assert tried(rows, "video.freeze", settled, {"video.black": rule}) == []
    assert len(tried(rows, "video.freeze", settled, {})) == 1


def test_parameters_that_change_what_is_measured_are_told_apart():
    for name, by_rule, measured in (
        ("video.black", "picture_black_ratio_th", "pixel_black_th"),
        ("audio.silence", "duration", "noise"),
    ):
        told = judged_by_rule(detector(name), detector(name).settle())
        assert told[by_rule]
        assert not told[measured]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-0.35, 0.35), min_size=3, max_size=60), st.floats(0, 0.999), st.sampled_from([0, 8, 20]))
def test_stamps_that_jitter_make_no_holes_and_a_hole_stays_one(tmp_path_factory, jitter, phase, missing):
    """One second after the other, stamped early or late by some tenths: each has its own step."""
    at = [i + phase + 1 + off + 3 * (i >= missing) for i, off in enumerate(jitter)]
    history = kept(tmp_path_factory.mktemp("history"), [(one, second("a", i, mafd=1.0)) for i, one in enumerate(at)],
                   now=at[-1] + 1)  # fmt: skip
    until = len(jitter) + 8
    told = series(history.read("a", START, START + until), ["mafd"], START, START + until, until)
    seen = [value is not None for value in told["measures"]["mafd"]["high"]]
    assert sum(seen) == len(jitter)
    holes = "".join("x" if one else "." for one in seen).strip(".").count(".")
    assert holes in ((3, 2, 4) if 0 < missing < len(jitter) else (0,))
