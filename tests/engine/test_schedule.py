"""When slow measures are due."""

import numpy as np
import pytest
import torch

from engine.measure.arithmetic import Arithmetic
from engine.measure.schedule import BURST, MEASURES_PER_SECOND, Schedule

CPU = torch.device("cpu")


class OnTensors(Arithmetic):
    """As on a GPU."""

    def __init__(self):
        super().__init__(CPU)
        self.on_host, self.xp = False, torch


@pytest.fixture(params=[Arithmetic(CPU), OnTensors()], ids=["host", "tensors"])
def schedule(request):
    made = Schedule(2, request.param, interval=1.0, loss=0.15, gain=0.15)
    made.open_slot(1, True)
    made.arithmetic = request.param
    return made


def times_due(schedule, watched, rate=25, slot=1):
    """Times, in pictures, at which a slot is due whose watched values are these."""
    found = []
    for n, value in enumerate(watched):
        slots, pts, values = (torch.tensor([v]) for v in (slot, n / rate, float(value)))
        view = schedule.arithmetic.view
        due = schedule.due(view(slots), view(pts.double()), view(values.double()))
        if due is not None and bool(due[0]):
            found.append(n)
    return found


def test_a_picture_that_stays_is_measured_at_intervals(schedule):
    assert times_due(schedule, [7] * 80) == [0, 25, 50, 75]


def test_a_change_is_measured_at_once_and_begins_the_interval_anew(schedule):
    assert times_due(schedule, [7] * 35 + [4] * 30) == [0, 25, 35, 60]


@pytest.mark.parametrize("arithmetic", [Arithmetic(CPU), OnTensors()], ids=["host", "tensors"])
def test_a_change_of_what_is_watched_beside_it_is_measured_at_once_too(arithmetic):
    made = Schedule(1, arithmetic, interval=1.0, loss=0.15, gain=0.15, slack=0.1, part=0.25)
    made.open_slot(0, True)
    found = []
    for n, beside in enumerate([1.0] * 8 + [1.3] * 5 + [1.4] * 5 + [np.nan] * 5):  # NaN: not known, so no change
        numbers = (torch.tensor([value], dtype=torch.float64) for value in (n / 25, 7.0, beside))
        pts, watched, also = map(arithmetic.view, numbers)
        due = made.due(arithmetic.view(torch.tensor([0])), pts, watched, also)
        if due is not None and bool(due[0]):
            found.append(n)
    assert found == [0, 13]


def test_a_slow_drift_adds_up(schedule):
    assert times_due(schedule, 100 * 0.99 ** np.arange(24)) == [0, 17]


def test_pictures_that_change_all_the_time_are_measured_as_often_as_there_is_room_for(schedule):
    seconds = 8
    found = times_due(schedule, 2.0 ** np.arange(25 * seconds))
    assert found[:2] == [0, 1]
    assert (seconds - 1) * MEASURES_PER_SECOND <= len(found) <= seconds * MEASURES_PER_SECOND + BURST


def test_a_change_for_which_there_was_no_room_is_not_forgotten(schedule):
    found = times_due(schedule, [1, 2, 4] + [4] * 20)
    assert found[:2] == [0, 1]
    assert found[2] < 15


def test_a_large_change_finds_room_where_small_ones_have_used_it_up(schedule):
    fading = [1.2**n for n in range(4)]
    assert times_due(schedule, fading) == [0, 1]
    schedule.open_slot(1, True)
    assert times_due(schedule, [*fading, 4 * fading[3]]) == [0, 1, 4]


def test_a_measure_whose_time_has_come_is_not_put_off_for_changes_before_it(schedule):
    # Each picture changes, so that there is no room; and one is to be measured two pictures after the second look.
    found, view = [], schedule.arithmetic.view
    slots = view(torch.tensor([1]))
    for n in range(8):
        pts, watched = (view(torch.tensor([float(v)], dtype=torch.float64)) for v in (n / 25, 1.0 + 0.2 * (n % 2)))
        due = schedule.due(slots, pts, watched)
        if due is not None and bool(due[0]):
            found.append(n)
            aimed = view(torch.tensor([n == 1]))
            schedule.pace(slots, due, aimed, interval=0.08 - 1e-6, gain=0.15)
    assert found == [0, 1, 3]


def test_what_nobody_wants_is_never_due(schedule):
    assert times_due(schedule, [1, 2, 4], slot=0) == []


def test_a_slot_that_is_opened_again_begins_anew(schedule):
    assert times_due(schedule, [7] * 10) == [0]
    schedule.open_slot(1, True)
    assert times_due(schedule, [7] * 10) == [0]


def test_a_paced_row_is_measured_at_its_own_interval(schedule):
    found = []
    view = schedule.arithmetic.view
    slots = view(torch.tensor([1]))
    for second in range(12):
        due = schedule.due(
            slots, view(torch.tensor([float(second)], dtype=torch.float64)), view(torch.ones(1).double())
        )
        if due is not None and bool(due[0]):
            found.append(second)
            schedule.pace(slots, due, view(torch.tensor([second < 6])), interval=4.0, gain=0.5)
    assert found == [0, 4, 8, 9, 10, 11]
