"""What few figures can prove, and how planted defects are counted."""

import pytest

from benchmarks.tallies import Tally, false_per_hour_at_most, figures, precision, recall_at_least, tally
from engine.verdicts import Incident, Severity
from models.synthesis.planted import Planted


def test_no_alarm_in_an_hour_proves_three_an_hour():
    # The rule of three; Garwood's limits for 1 and 10 events are 4.744 and 16.96.
    assert false_per_hour_at_most(0, 1.0) == pytest.approx(2.996, abs=1e-3)
    assert false_per_hour_at_most(1, 1.0) == pytest.approx(4.744, abs=1e-3)
    assert false_per_hour_at_most(10, 2.0) == pytest.approx(16.962 / 2, abs=1e-3)


def test_all_of_eight_found_proves_less_than_0_7():
    assert recall_at_least(8, 8) == pytest.approx(0.05 ** (1 / 8), abs=1e-6)
    assert recall_at_least(0, 8) == 0.0
    assert recall_at_least(7, 8) == pytest.approx(0.5293, abs=1e-4)


def incident(detector, start, end, decided_at):
    return Incident("id", "clip", detector, Severity.WARNING, start, 1.0, end=end, decided_at=decided_at)


def test_a_copy_counts_what_was_found_when_it_was_known_and_what_else_was_told():
    counted = Tally()
    planted = Planted("video.freeze", 2.0, 8.0, 1.0)
    found = [
        incident("video.freeze", 2.04, 8.0, 4.08),
        incident("video.noise", 2.0, 8.0, 4.0),
        incident("video.blur", 0.0, 9.0, 2.0),
    ]
    tally(counted, "one", [planted], found, {"video.blur"}, set_seconds=2.0, rate=25.0)
    tally(counted, "two", [planted], [], set(), set_seconds=2.0, rate=25.0)
    told = figures({"freeze": counted})["freeze"]
    assert (told["planted"], told["found"], told["missed"]) == (2, 1, ["two at 2.00 s"])
    assert told["onset_error_seconds"]["p50"] == pytest.approx(0.04)
    assert told["detection_seconds"]["p50"] == pytest.approx(2.08)
    assert told["known_in_time"] == 1
    assert told["told_besides"] == {"video.noise": 1}
    assert precision("video.freeze", [{"freeze": told}], 3) == (1, 4)
    assert precision("video.noise", [{"freeze": told}], 0) == (0, 1)
