"""Stream-seconds: what was seen in each, and what held."""

import pytest

from engine.coverage import Coverage
from engine.verdicts import Severity


def seconds_of(coverage, until):
    return {s.second: s for s in coverage.rest(until)}


def test_each_second_counts_its_own_frames_and_sound():
    coverage = Coverage("s", ("video.black",), ("audio.silence",))
    coverage.frame_rate = 25.0
    for index in range(50):
        coverage.frame(index / 25)
    for index in range(10):
        coverage.sound(index / 10, 0.1)
    done = seconds_of(coverage, 2.0)
    assert [done[0].frames_measured, done[1].frames_measured] == [25, 25]
    assert [done[0].audio_seconds, done[1].audio_seconds] == [1.0, 0.0]
    assert done[0].unknown == ()
    assert done[1].unknown == ("audio.silence",)


def test_an_incident_marks_exactly_the_seconds_that_it_touches():
    coverage = Coverage("s", (), ())
    coverage.opened("video.black", 1.5)
    coverage.closed("video.black", 1.5, 3.0)
    done = seconds_of(coverage, 5.0)
    assert [second for second, row in done.items() if row.open] == [1, 2]


def test_an_open_incident_marks_every_second_until_it_closes():
    coverage = Coverage("s", (), ())
    coverage.opened("video.black", 0.2)
    assert [row.open for row in coverage.complete(2.0)] == [("video.black",)] * 2
    coverage.closed("video.black", 0.2, 2.5)
    assert [row.open for row in coverage.rest(4.0)] == [("video.black",), ()]


def test_the_last_second_expects_only_its_share_of_frames():
    coverage = Coverage("s", (), ())
    coverage.frame_rate = 30.0
    done = seconds_of(coverage, 1.5)
    assert [done[0].frames_expected, done[1].frames_expected] == [30.0, 15.0]


def test_no_second_is_given_twice_and_late_counts_are_kept():
    coverage = Coverage("s", (), ())
    first = coverage.complete(1.0)
    coverage.errors(0.4, 3)
    second = coverage.rest(2.0)
    assert [row.second for row in first + second] == [0, 1]
    assert second[0].decode_errors == 3


def test_a_second_says_which_of_its_incidents_were_critical():
    coverage = Coverage("s", (), ())
    coverage.opened("video.black", 0.5, Severity.CRITICAL)
    coverage.opened("stream.missing_audio", 0.0, Severity.WARNING)
    first = coverage.complete(1.0)
    coverage.closed("video.black", 0.5, 1.5)
    rest = coverage.rest(3.0)
    assert [row.critical for row in first + rest] == [("video.black",), ("video.black",), ()]


def test_a_detector_that_did_not_judge_is_unknown_in_the_seconds_in_which_it_did_not():
    coverage = Coverage("s", ("video.flash", "video.black"), ())
    for n in range(200):
        coverage.frame(n / 25)
    coverage.suspend({"video.flash"}, 2.5)
    coverage.suspend((), 4.2)
    coverage.suspend({"video.flash"}, 6.0)
    unknown = [second.unknown for second in coverage.complete(8.0)]
    flash = ("video.flash",)
    assert unknown == [(), (), flash, flash, flash, (), flash, flash]
    assert coverage.suspended == {"video.flash"}


def test_pictures_that_were_left_out_are_decoded_and_not_measured():
    coverage = Coverage("s", ("video.black",), ())
    for n in range(25):
        (coverage.frame if n % 5 == 0 else coverage.left_out)(n / 25)
    [second] = coverage.complete(1.0)
    assert (second.frames_decoded, second.frames_measured, second.unknown) == (25, 5, ())


@pytest.mark.parametrize("given_out_first", [True, False])
def test_seconds_say_the_same_whenever_they_are_given_out(given_out_first):
    """Whether second 3 is still there when the incident is decided is chance; what it says of it is not."""
    coverage = Coverage("s", (), ())
    early = coverage.complete(4.0) if given_out_first else []
    coverage.opened("video.black", 2.5, decided_at=5.5)  # second 3 was settled at 5.0
    early += coverage.complete(5.0) if given_out_first else []
    coverage.closed("video.black", 2.5, 6.2, decided_at=8.3)  # second 6 at 8.0, second 7 at 9.0
    done = early + coverage.rest(10.0)
    assert [row.second for row in done if row.open] == [4, 5, 6]


@pytest.mark.parametrize("given_out_first", [True, False])
def test_a_second_after_the_end_that_was_settled_before_that_was_known_has_it_open(given_out_first):
    coverage = Coverage("s", (), ())
    coverage.opened("video.black", 0.5, decided_at=0.7)
    early = coverage.complete(5.0) if given_out_first else []
    coverage.closed("video.black", 0.5, 2.2, decided_at=6.5)
    done = early + coverage.rest(9.0)
    assert [row.second for row in done if row.open] == [0, 1, 2, 3, 4]
