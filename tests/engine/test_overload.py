"""What an engine does without, in which order, and when it comes back."""

import itertools

from engine.overload import Overload, OverloadSettings
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
    back = clock.run(80, lag=0.0, load=0.3)
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
