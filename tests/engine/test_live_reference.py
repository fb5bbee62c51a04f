"""A live stream beside its reference, either of which may begin late, hang, or be gone for a while."""

import numpy as np
import pytest
import torch

from engine.alignment import in_one_thread
from engine.fingerprints import BANDS, REGIONS, Fingerprint, Rows
from engine.reference_sync import ReferenceSync


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with in_one_thread():
        yield


def wandering(seed, seconds, width, rate=100):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (seconds * rate, width))
    steps[rng.integers(0, len(steps), len(steps) // 200)] *= 8
    return np.cumsum(steps, axis=0)


class Programme:
    """What is shown and heard at each second of it."""

    def __init__(self, seed, seconds=400):
        self.pictures, self.sound = 0.01 * wandering(seed, seconds, REGIONS), wandering(seed + 1, seconds, BANDS)

    @staticmethod
    def at(values, moments):
        return np.stack([np.interp(moments, np.arange(len(values)) / 100, column) for column in values.T], axis=1)


class Stream:
    """One that shows a programme so many seconds late, on a timeline of its own."""

    def __init__(self, programme, late=0.0, sound_late=0.0):
        self.programme, self.late, self.sound_late = programme, late, sound_late
        self.print = Fingerprint(Rows(REGIONS, torch.device("cpu")))
        self.jump = 0.0  # of the timeline against the clock

    def on_air(self, since, until):
        """What comes between two seconds of the clock."""
        for rows, values, rate, late in (
            (self.print.pictures, self.programme.pictures, 25, self.late),
            (self.print.sound, self.programme.sound, 100, self.late + self.sound_late),
        ):
            clock = since + np.arange(round((until - since) * rate)) / rate
            shown = Programme.at(values, clock - late + 100)
            rows.append(clock + self.jump, torch.tensor(shown, dtype=torch.float32))
        for second in (since, until):
            self.print.arrived(second + self.jump, 1000.0 + second)


def compared(own, reference, seconds, away=lambda _: False, own_away=lambda _: False, back=lambda: None):
    """(second of the clock, window) of each that became known."""
    sync = ReferenceSync(own.print, lambda: reference.print, live=lambda: True)
    found, was_away = [], False
    for second in range(0, seconds, 2):
        if was_away and not away(second):
            back()
        was_away = away(second)
        if not was_away:
            reference.on_air(second, second + 2)
        if not own_away(second):
            own.on_air(second, second + 2)
            found += [(second + 2, window) for window in sync.settled(second + 2 + own.jump)]
    return found


def known(found, offset):
    return [at for at, one in found if one.offset is not None and abs(one.offset - offset) < 0.02]


SLOW = pytest.mark.slow


@pytest.mark.parametrize("late", [pytest.param(0.5, marks=SLOW), pytest.param(24.0, marks=SLOW), 50.0])
def test_a_stream_that_is_much_later_is_no_other_programme_when_both_begin(late):
    programme = Programme(1)
    found = compared(Stream(programme, late, 0.2), Stream(programme), 130)
    assert not [at for at, one in found if one.same is False]
    assert min(known(found, 0.2)) <= late + 30
    assert len(known(found, 0.2)) > 15


@pytest.mark.parametrize(
    ("seconds", "late"),
    [(14, 0.5), *(pytest.param(*case, marks=SLOW) for case in ((14, 24.0), (60, 0.5), (60, 24.0)))],
)
def test_after_an_outage_of_the_reference_what_follows_is_compared_and_none_of_it_is_another_programme(seconds, late):
    """Its timeline goes by the wall clock meanwhile, and is then 0.6 s off."""
    programme = Programme(2)
    own, reference = Stream(programme, late, 0.2), Stream(programme)

    def back():
        reference.jump += 0.6

    found = compared(own, reference, 280, away=lambda at: 100 <= at < 100 + seconds, back=back)
    assert not [at for at, one in found if one.same is False]
    after = [at for at in known(found, 0.2) if at > 100 + seconds]
    assert min(after) <= 100 + seconds + late + 16
    assert len(after) > 20
    assert all(one.latency == pytest.approx(late - 0.6, abs=0.7) for _, one in found if one.latency is not None)


def test_after_an_outage_of_its_own_a_stream_is_compared_by_what_follows():
    programme = Programme(3)
    own = Stream(programme, 3.0, -0.1)
    found = compared(own, Stream(programme), 180, own_away=lambda at: 80 <= at < 100)
    assert not [at for at, one in found if one.same is False]
    assert min(at for at in known(found, -0.1) if at > 100) <= 116


def test_another_programme_is_told_when_all_was_there_in_which_it_could_lie():
    found = compared(Stream(Programme(4)), Stream(Programme(5)), 140)
    told = [at for at, one in found if one.same is False]
    assert 60 <= min(told) <= 90
    assert len(told) > 20
    assert not [one for _, one in found if one.same]
