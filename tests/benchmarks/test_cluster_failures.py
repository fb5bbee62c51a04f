"""What `avjury bench cluster-failures` counts: seconds kept twice, gaps, and what had to be found."""

import pytest

pytest.importorskip("psycopg", reason="avjury[postgresql] is not installed")

from benchmarks.kills import BLACK_AT, SET_SECONDS, UNIT_SECONDS
from benchmarks.live.cluster_account import due_of, longest_gap
from benchmarks.live.ray_fleet import kept_seconds, kept_twice
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.verdicts import StreamSecond

BEGAN = 1000.0


def seconds(first, last):
    return [float(at) for at in range(first, last)]


def test_seconds_within_another_session_s_time_are_kept_twice():
    assert kept_twice({"one": {"a": seconds(0, 10), "b": seconds(10, 20)}}) == 0
    # 8.5 and 9.5 of one are within the time of the other, and 10, 11 and so on are not within that of the first.
    assert kept_twice({"one": {"a": seconds(0, 11), "b": [8.5, 9.5, 10.5]}}) > 0
    assert kept_twice({"one": {"a": seconds(0, 10)}, "two": {"b": seconds(0, 10)}}) == 0


def test_the_longest_gap_is_the_stretch_that_nobody_judged_of_any_stream():
    kept = {"one": {"a": seconds(0, 10), "b": seconds(14, 20)}, "two": {"c": seconds(0, 20)}}
    assert longest_gap(kept, 0.0, 20.0) == pytest.approx(4.0)  # 10 to 14
    assert longest_gap(kept, 14.0, 20.0) == 0.0


def test_a_black_picture_is_due_where_every_second_around_it_was_kept():
    first = BEGAN + BLACK_AT + SET_SECONDS
    whole = [BEGAN + at for at in seconds(0, 24)]
    assert due_of({"one": {"a": whole}}, BEGAN) == [("one", first + k * UNIT_SECONDS) for k in range(3)]
    # Two sessions that follow one another see it too, and one that missed seconds need not have.
    assert len(due_of({"one": {"a": whole[:4], "b": whole[4:]}}, BEGAN)) == 3
    holed = [at for at in whole if not BEGAN + 10 <= at < BEGAN + 13]
    assert due_of({"one": {"a": holed}}, BEGAN) == [("one", first), ("one", first + 2 * UNIT_SECONDS)]


def test_seconds_of_which_less_was_measured_can_be_left_out(tmp_path):
    """As the service keeps them."""
    store = VerdictStore(VerdictSettings(tmp_path / "verdicts", tmp_path / "spool"))
    store.start()
    for second, (expected, measured) in enumerate([(25.0, 25), (25.0, 20), (25.0, 1), (25.0, 0), (0.0, 0)]):
        one = StreamSecond("one", second, expected, measured, measured, 0.0, 0, (), ())
        assert store.put(one, "a", BEGAN + second)
    assert store.stop()
    kept = {share: kept_seconds(tmp_path / "verdicts", share) for share in (0.0, 1e-6, 0.8)}
    assert kept[0.0] == {"one": {"a": [BEGAN + k for k in range(5)]}}
    assert kept[1e-6] == {"one": {"a": [BEGAN + k for k in range(3)]}}
    assert kept[0.8] == {"one": {"a": [BEGAN + k for k in range(2)]}}
