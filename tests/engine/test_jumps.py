"""When pictures changed at once."""

import numpy as np
import pytest
import torch
from on_tensors import OnTensors

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import VIDEO_COLUMNS, place
from engine.measure.host import note_jump
from engine.measure.jumps import BACK_SECONDS, LIMITS, Jumps
from engine.measure.rows import Room, Rows

RATE = 25


@pytest.fixture(params=[Arithmetic(torch.device("cpu")), OnTensors()], ids=["host", "tensors"])
def followed(request):
    """What is called with the changes of pictures (8-bit codes of luma and chroma), and gives when they jumped."""
    arithmetic = request.param
    jumps = Jumps(arithmetic, 2)
    jumps.open_slot(1, {}, {"noise"})

    def follow(luma, chroma):
        for n, (y, c) in enumerate(zip(luma, chroma, strict=True)):
            if arithmetic.on_host:
                note_jump(jumps.state, LIMITS, 1, y / 256, c / 256, n / RATE)
                continue
            view = torch.full((1, len(VIDEO_COLUMNS)), torch.nan, dtype=torch.float64)
            view[0, place("luma_difference")], view[0, place("mafd")] = y / 256, (c + 2 * y) / 3 / 256
            nothing = torch.zeros(0)
            pts, slots = torch.tensor([n / RATE], dtype=torch.float64), torch.tensor([1])
            jumps.fill(Rows(Room(), nothing, nothing, nothing, view, view, slots, pts))
        return jumps

    return follow


def since(jumps, at, looked):
    """In pictures."""
    view = jumps._arithmetic.view
    values = (torch.tensor([seconds], dtype=torch.float64) for seconds in (at / RATE, looked / RATE))
    return round(float(jumps.since(view(torch.tensor([1])), *map(view, values))[0]) * RATE, 6)


def test_the_picture_that_changes_more_than_those_before_it_is_when_it_was(followed):
    jumps = followed([2.0] * 10 + [4.0] + [2.5] * 5, [0.5] * 16)
    assert since(jumps, 15, 8) == 5
    assert since(jumps, 15, 10) == 0  # it had been looked at


def test_chroma_alone_is_enough(followed):
    assert since(followed([9.0] * 16, [0.5] * 10 + [6.0] * 6), 15, 8) == 5


def test_the_largest_of_late_counts_and_not_the_last(followed):
    assert since(followed([2.0] * 8 + [8.0] + [3.0] * 9 + [4.6] + [2.0] * 2, [0.5] * 21), 20, 2) == 12


def test_even_motion_is_no_jump(followed):
    jumps = followed([*np.linspace(2.0, 6.0, 20)], [0.5] * 20)
    assert np.isnan(float(jumps.state[3, 1])) or since(jumps, 19, 1) == 0


def test_nothing_is_dated_back_for_long(followed):
    luma = [1.0] * 4 + [9.0] + [9.0] * 30
    at = round(4 + BACK_SECONDS * RATE)
    assert since(followed(luma, [0.5] * 35), at, 2) == at - 4
    assert since(followed(luma, [0.5] * 35), at + 1, 2) == 0
    assert since(followed(luma, [0.5] * 35), 10, np.nan) == 0  # of the first look nothing is known
