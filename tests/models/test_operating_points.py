"""The points at which the artifact network judges, by how often it looks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.artifact_weights import NEVER, OperatingPoint, RatedPoints, SecondPoint
from models.weight_files import WeightsError


def test_the_point_is_that_of_how_often_it_looks_and_more_looks_need_more_in_a_row():
    seldom, often = OperatingPoint(0.7, 0.02, 1), OperatingPoint(0.95, 0.01, 2)
    points = RatedPoints(((1.0, seldom), (5.0, often)))
    assert [points.at(rate) for rate in (0.1, 1.0, 5.0)] == [seldom, seldom, often]
    assert points.at(2.5) == replace(seldom, pictures=3)
    assert points.at(60.0) == replace(often, pictures=24)
    assert RatedPoints.of(points.as_text()) == points
    assert RatedPoints().at(5.0) == NEVER


def test_the_point_of_second_looks_is_read_as_it_was_written_and_what_cannot_be_is_refused():
    point = SecondPoint(0.95, 4, 2)
    assert SecondPoint.of(point.as_text()) == point
    assert SecondPoint.of({}) is None
    for text, why in (
        ("[0.9, 4]", "cannot be read"),
        ('{"tile": 0.9, "tiles": 4}', "cannot be read"),
        ("{", "cannot be read"),
        ('{"tile": 1.5, "tiles": 4, "looks": 1}', "cannot be: "),
        ('{"tile": 0.9, "tiles": 0, "looks": 1}', "cannot be: "),
        ('{"tile": 0.9, "tiles": 4, "looks": 0}', "cannot be: "),
    ):
        with pytest.raises(WeightsError, match=why):
            SecondPoint.of({"second": text})


@given(
    st.floats(0.2, 12.0), st.integers(1, 12), st.integers(1, 3), st.floats(2.0, 60.0),
    st.lists(st.sampled_from((True, True, True, False)), max_size=100),
)  # fmt: skip
def test_what_a_multiple_of_its_looks_raises_the_rate_of_the_point_raises_too(measured, times, pictures, rate, damaged):
    """Pictures of `rate`, each damaged or not: the looks at either rate, and whether so many in a row say so."""
    point = RatedPoints(((measured, OperatingPoint(0.5, 0.1, pictures)),)).at(measured * times)

    def raises(looks, in_a_row):
        run, before = 0, None
        for n, is_damaged in enumerate(damaged):
            step = int((n / rate + 1e-6) * looks)
            if step != before:
                run = run + 1 if is_damaged else 0
                if run >= in_a_row:
                    return True
            before = step
        return False

    assert raises(measured, pictures) or not raises(measured * times, point.pictures)
