"""What an engine does without, in which order, and when it comes back."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.overload import Overload, OverloadSettings
from engine.played import Played
from engine.sampling import Sampling

PRIORITIES = {f"s{n}": n * 10 for n in range(5)}


class Seconds:
    """Runs the decisions second by second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.overload = Overload(OverloadSettings())

    def overloaded(self, shed):
        """Until so many streams are shed."""
        while len(self.overload.shed) < shed:
            self.run(1, lag=2.5, load=1.0)

    def run(self, seconds, lag, load, priorities=PRIORITIES):
        """(second, level, shed) of each change."""
        changes = []
        for _ in range(seconds):
            self.now += 1.0
            if self.overload.decide(self.now, lag, load, priorities):
                changes.append((self.now, self.overload.rate, len(self.overload.shed)))
        return changes


def test_pictures_go_before_streams_and_low_priorities_before_high_ones():
    clock = Seconds()
    changes = clock.run(60, lag=2.5, load=1.0)
    assert [(rate, shed) for _, rate, shed in changes] == [(25.0, 0), (5.0, 0), (1.0, 0), (1.0, 1), (1.0, 2), (1.0, 3),
                                                           (1.0, 4)]  # fmt: skip
    assert clock.overload.shed == ["s0", "s1", "s2", "s3"]  # the last one stays
    assert all(later[0] - earlier[0] >= 3 for earlier, later in itertools.pairwise(changes))


def test_one_slow_stream_on_an_idle_engine_changes_nothing_for_the_others():
    assert Seconds().run(60, lag=30.0, load=0.4) == []


def test_a_short_hiccup_changes_nothing():
    clock = Seconds()
    for _ in range(20):
        assert clock.run(2, lag=2.0, load=1.0) == []
        assert clock.run(1, lag=0.1, load=0.8) == []


def test_it_comes_back_step_by_step_the_highest_priority_first_and_ever_more_carefully():
    clock = Seconds()
    clock.overloaded(2)
    assert clock.overload.shed == ["s0", "s1"]
    back = clock.run(80, lag=0.0, load=0.6)
    assert [(rate, shed) for _, rate, shed in back] == [(1.0, 1), (1.0, 0), (5.0, 0), (25.0, 0), (None, 0)]
    first = back[1][0] - back[0][0]
    clock.run(5, lag=2.5, load=1.0)  # too early
    again = clock.run(60, lag=0.0, load=0.3)
    assert again[0][0] - (clock.now - 60) > first


def test_a_busy_engine_that_is_in_time_stays_where_it_is():
    clock = Seconds()
    clock.run(6, lag=2.5, load=1.0)
    level = clock.overload.level
    assert level
    assert clock.run(100, lag=0.1, load=0.9) == []
    assert clock.overload.level == level


def test_streams_that_are_gone_are_no_longer_shed():
    clock = Seconds()
    clock.overloaded(2)
    assert clock.run(1, lag=0.8, load=0.8, priorities={"s1": 10, "s4": 40})
    assert clock.overload.shed == ["s1"]


class Flapping:
    """An overloaded engine, second by second, whose streams fall silent and come back."""

    def __init__(self, priorities):
        self.now = 100.0
        self.overload = Overload(OverloadSettings())
        self.priorities = dict(priorities)

    def second(self, silent=(), load=1.0, lag=2.5):
        self.now += 1.0
        self.overload.decide(self.now, lag, load, self.priorities, 0.0, silent)
        return set(self.overload.shed)

    def until_shed(self, count, silent=()):
        while len(self.second(silent)) < count:
            pass
        return set(self.overload.shed)


def test_a_stream_that_gives_nothing_is_not_shed_in_place_of_one_that_costs_something():
    machine = Flapping(PRIORITIES)
    assert machine.until_shed(2, silent={"s0", "s2"}) == {"s1", "s3"}


def test_the_last_stream_that_gives_something_is_judged_however_many_are_silent():
    machine = Flapping(PRIORITIES)
    for _ in range(60):
        machine.second(silent={"s1", "s2", "s3", "s4"})
    assert machine.overload.shed == []


def test_a_shed_stream_that_falls_silent_is_let_out_and_waits_again_when_it_comes_back():
    machine = Flapping(PRIORITIES)
    assert machine.until_shed(2) == {"s0", "s1"}
    assert machine.second(silent={"s0"}, load=0.85, lag=0.8) == {"s1"}
    assert machine.second(load=0.85, lag=0.8) == {"s0", "s1"}
    # One that counts for more than those that are shed is judged at once.
    assert machine.second(silent={"s4"}, load=0.85, lag=0.8) == {"s0", "s1"}
    assert machine.second(load=0.85, lag=0.8) == {"s0", "s1"}


def test_another_priority_of_a_shed_stream_gives_it_the_place_of_the_lowest_that_is_judged():
    machine = Flapping(PRIORITIES)
    machine.until_shed(2)
    machine.priorities["s0"] = 90
    assert machine.second(load=0.85, lag=0.8) == {"s1", "s2"}


def test_when_all_that_was_judged_falls_silent_one_that_was_shed_is_judged():
    machine = Flapping(PRIORITIES)
    machine.until_shed(3)
    assert machine.second(silent={"s3", "s4"}, load=0.02, lag=0.0) == {"s0", "s1"}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.data())
def test_whatever_falls_silent_and_comes_back_the_highest_of_what_is_there_are_judged(streams, data):
    machine = Flapping({f"s{n}": data.draw(st.integers(0, 3)) for n in range(streams)})
    names = st.sets(st.sampled_from(sorted(machine.priorities)))
    for _ in range(12):
        silent = data.draw(names)
        if data.draw(st.booleans()):
            machine.priorities[data.draw(st.sampled_from(sorted(machine.priorities)))] = data.draw(st.integers(0, 3))
        overloaded = data.draw(st.booleans())
        for _ in range(data.draw(st.integers(1, 8))):
            shed = machine.second(silent, *((1.0, 2.5) if overloaded else (0.5, 0.0)))
            assert not shed & silent
            assert len(machine.overload.shed) == len(shed)
            there = set(machine.priorities) - silent
            kept = there - shed
            assert kept or not there
            assert max((machine.priorities[s] for s in shed), default=-1) <= min(
                (machine.priorities[s] for s in kept), default=9
            )
            assert machine.overload.judged(machine.priorities) == len(kept)


def test_sampling_takes_a_picture_in_so_many_at_any_frame_rate():
    for rate, wanted in ((25.0, 5.0), (59.94, 25.0), (24.0, 5.0), (10.0, 1.0)):
        sampling = Sampling()
        sampling.rate = wanted
        times = [n / rate for n in range(round(20 * rate))]
        taken = [at for at in times if sampling.takes(at)]
        assert abs(len(taken) / 20 - wanted) <= 0.1, (rate, wanted, len(taken))
        assert sampling.left_out == len(times) - len(taken)
        assert sampling.told() == [at for at in times if at not in set(taken)][-4096:]
        assert sampling.told() == []


def test_sampling_follows_a_timeline_that_jumps_and_a_rate_that_changes():
    sampling = Sampling()
    assert all(sampling.takes(n / 25) for n in range(50))
    sampling.rate = 1.0
    assert sum(sampling.takes(100 + n / 25) for n in range(100)) in (4, 5)
    assert sum(sampling.takes(n / 25) for n in range(100)) in (4, 5)
    sampling.rate = 5.0
    assert sum(sampling.takes(4 + n / 25) for n in range(50)) in (9, 10, 11)


class Machine:
    """Decodes so many streams in time; what is too much is skipped, alike of all that are judged."""

    def __init__(self, streams, capacity, priorities=None):
        self.priorities = priorities or {f"s{n:03}": n for n in range(streams)}
        self.capacity = capacity
        self.overload = Overload(OverloadSettings())
        self.now = 100.0

    def second(self):
        """Returns: (share skipped, ids shed)."""
        shed = self.overload.shed
        judged = len(self.priorities) - len(shed)
        skipped = max(0.0, 1 - self.capacity / judged)
        self.now += 1.0
        lag = 0.1 if skipped == 0 else 1.5
        self.overload.decide(self.now, lag, min(1.0, judged / self.capacity), self.priorities, skipped)
        assert len(self.overload.shed) == len(set(self.overload.shed)) < len(self.priorities)
        kept = [p for s, p in self.priorities.items() if s not in self.overload.shed]
        given_up = [p for s, p in self.priorities.items() if s in self.overload.shed]
        assert max(given_up, default=-1) <= min(kept)
        return skipped, tuple(self.overload.shed)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.floats(1.0, 400.0), st.data())
def test_it_settles_soon_where_everything_that_is_judged_is_whole_and_stays_there(streams, capacity, data):
    levels = st.lists(st.integers(0, 100), min_size=streams, max_size=streams)
    machine = Machine(streams, capacity, {f"s{n}": p for n, p in enumerate(data.draw(levels))})
    skipped = [machine.second()[0] for _ in range(60)]
    assert skipped[-1] == 0.0
    seen = [machine.second() for _ in range(600)]
    assert all(share == 0.0 for share, _ in seen), "top priorities lose pictures again"
    shed = [len(gone) for _, gone in seen]
    assert all(later <= earlier for earlier, later in itertools.pairwise(shed)), "streams go and come"
    judged = streams - shed[-1]
    assert judged >= min(streams, int(0.7 * capacity)), "what there is room for came back"


def test_forty_streams_where_five_fit_are_settled_within_half_a_minute():
    machine = Machine(40, 5.5)
    for _ in range(30):
        skipped, shed = machine.second()
    assert skipped == 0.0
    assert len(shed) >= 35


def test_after_a_burst_of_work_all_streams_come_back_in_steps_of_many():
    machine = Machine(40, 5.5)
    for _ in range(60):
        machine.second()
    machine.capacity = 100.0
    seconds = 0
    while machine.overload.shed:
        machine.second()
        seconds += 1
    assert seconds <= 60


def test_a_stream_that_skips_all_the_time_is_too_late_even_where_nothing_waits():
    overload, levels = Overload(OverloadSettings()), []
    for second in range(10):
        overload.decide(100.0 + second, 0.0, 1.0, PRIORITIES, 0.6)
        levels.append(overload.level)
    assert 3 in levels
    assert overload.shed
    assert overload.level == 0  # fewer pictures did not help: as much was skipped


def test_seconds_for_which_the_engine_itself_was_away_change_nothing():
    overload, now = Overload(OverloadSettings()), 100.0
    for step in (1.0, 18.0, 1.0, 5.0) * 9:
        now += step
        assert not overload.decide(now, 2.0, 1.0, PRIORITIES, 0.9)
    assert (overload.level, overload.shed) == (0, [])


def test_what_has_piled_up_and_is_being_worked_off_is_no_reason_to_give_up_more():
    overload, shed = Overload(OverloadSettings()), []
    for second in range(40):
        pace = 0.4 if second < 8 else 1.08
        overload.decide(100.0 + second, 1.9, 1.0, PRIORITIES, 0.6 if second < 8 else 0.0, (), pace, 25.0)
        shed.append(len(overload.shed))
    assert shed[-1] == shed[8] > 0


def test_an_engine_that_gets_nothing_done_at_all_keeps_one_stream():
    overload = Overload(OverloadSettings())
    for second in range(60):
        overload.decide(100.0 + second, 1.9, 1.0, PRIORITIES, 1.0, (), 0.0, 25.0)
    assert overload.shed == ["s0", "s1", "s2", "s3"]


def test_a_loop_that_is_busy_with_waiting_leaves_room():
    overload = Overload(OverloadSettings())
    for second in range(8):
        overload.decide(100.0 + second, 1.9, 1.0, PRIORITIES, 0.6, (), 0.4, 25.0, 1.0)
    shed = len(overload.shed)
    assert shed
    for second in range(8, 40):
        overload.decide(100.0 + second, 0.1, 0.95, PRIORITIES, 0.0, (), 1.0, 25.0, 0.4)
    assert len(overload.shed) < shed


@given(st.lists(st.floats(-50.0, 50.0), min_size=1))
def test_a_second_is_never_played_before_the_one_before_it(offsets):
    played = Played()
    told = [played.at("s", 1e9 + offset / 2) for offset in offsets]
    assert told == sorted(told)
    assert all(at >= 1e9 + offset / 2 for at, offset in zip(told, offsets, strict=True))
    assert played.at("other", 1e9 - 40) == 1e9 - 40


def test_a_clock_that_was_put_right_is_followed():
    played = Played()
    assert played.at("s", 1e9) == 1e9
    assert played.at("s", 1e9 - 3600) == 1e9 - 3600
    assert played.at("s", 1e9 - 3599) == 1e9 - 3599
