"""Transitions become incidents with stable ids."""

import pytest

from engine.incidents import IncidentBook, incident_id
from engine.verdicts import Severity, Transition


def transition(kind, at, detector="video.freeze", peak=0.0005, mean=0.0007, decided_at=None):
    return Transition(3, detector, kind, at, at if decided_at is None else decided_at, peak, mean)


def test_opened_worse_closed():
    book = IncidentBook("clip.mp4")
    incident, change = book.apply(transition("opened", 4.0))
    assert (change, incident.start, incident.end, incident.severity) == ("opened", 4.0, None, Severity.CRITICAL)
    assert incident.duration is None
    assert book.open() == (incident,)
    _, change = book.apply(transition("worse", 6.0, peak=0.0002, mean=0.0004))
    assert (change, incident.score, incident.start) == ("updated", 0.0002, 4.0)
    closed, change = book.apply(transition("closed", 9.0, peak=0.0002, mean=0.0003))
    assert closed is incident
    assert (change, closed.end, closed.duration, closed.closed_by) == ("closed", 9.0, 5.0, "recovered")
    assert closed.measures == {"mafd_peak": 0.0002, "mafd_mean": 0.0003}
    assert book.open() == ()
    assert list(book.all()) == [incident]


def test_an_incident_tells_when_it_was_known():
    book = IncidentBook("clip.mp4")
    incident, _ = book.apply(transition("opened", 4.0, decided_at=6.04))
    book.apply(transition("closed", 9.0, decided_at=11.0))
    assert (incident.start, incident.decided_at, incident.end) == (4.0, 6.04, 9.0)


def test_the_id_is_that_of_stream_detector_and_millisecond():
    # printf 'clip.mp4|video.freeze|4000' | sha256sum
    assert incident_id("clip.mp4", "video.freeze", 4.0) == "89da323bfa01f132"
    assert incident_id("clip.mp4", "video.freeze", 4.0 + 1e-9) == incident_id("clip.mp4", "video.freeze", 4.0)
    others = [("b.mp4", "video.freeze", 4.0), ("clip.mp4", "video.black", 4.0), ("clip.mp4", "video.freeze", 4.001)]
    assert len({incident_id(*other) for other in [*others, ("clip.mp4", "video.freeze", 4.0)]}) == 4


def test_several_detectors_and_an_incident_after_an_incident():
    book = IncidentBook("s")
    book.apply(transition("opened", 4.0))
    book.apply(transition("opened", 2.0, "audio.silence"))
    book.apply(transition("closed", 5.0), closed_by="removed")
    book.apply(transition("opened", 7.0))
    assert [(i.detector, i.start, i.closed_by) for i in book.all()] == [
        ("audio.silence", 2.0, None),
        ("video.freeze", 4.0, "removed"),
        ("video.freeze", 7.0, None),
    ]
    assert len({i.id for i in book.all()}) == 3


@pytest.mark.parametrize(("good_since", "why"), [(9.0, "recovered"), (10.0, "end_of_stream")])
def test_what_was_good_again_before_the_stream_ended_was_not_ended_by_that(good_since, why):
    """However little of the time that it has to be good was left."""
    book = IncidentBook("clip.mp4")
    book.apply(transition("opened", 4.0, decided_at=6.0))
    incident, _ = book.apply(transition("closed", good_since, decided_at=10.0), closed_by="end_of_stream")
    assert (incident.end, incident.closed_by) == (good_since, why)


def test_what_is_left_open_is_closed_at_the_end():
    book = IncidentBook("s")
    book.apply(transition("opened", 4.0))
    book.apply(transition("opened", 8.0, "audio.silence"))
    left = book.end(6.0, "end_of_stream")
    assert [(i.end, i.closed_by) for i in left] == [(6.0, "end_of_stream"), (8.0, "end_of_stream")]
    assert book.open() == ()
    assert book.end(7.0, "removed") == []
    assert list(book.all()) == left


@pytest.mark.parametrize("kind", ["worse", "closed"])
def test_what_is_not_open_cannot_change(kind):
    with pytest.raises(ValueError, match=r"video\.freeze"):
        IncidentBook("s").apply(transition(kind, 1.0))


def test_what_is_open_cannot_open():
    book = IncidentBook("s")
    book.apply(transition("opened", 4.0))
    with pytest.raises(ValueError, match="opened at 5"):
        book.apply(transition("opened", 5.0))
