"""What an engine found is let out for the time that it owned, and for no other."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cluster.gate import Gate, Owned
from engine.verdicts import Incident, Severity, StreamSecond

NEVER = Owned(math.inf, math.inf)


class Heard:
    """A listener that remembers."""

    def __init__(self):
        self.incidents, self.seconds, self.pieces = [], [], []

    def on_incident(self, incident, change, session, at):
        self.incidents.append((incident.id, change, session, at))

    def on_second(self, second, session, at):
        self.seconds.append((second.stream, second.second, session, at))

    def on_evidence(self, incident_id, session, kind, content):
        self.pieces.append((incident_id, session, kind))

    def on_status(self, status): ...

    def on_shadow(self, incident, change, session, at): ...

    def on_recorded(self, told): ...


def incident(name="one", stream="s"):
    return Incident(name, stream, "video.black", Severity.CRITICAL, 1.0, 0.9)


def second(number, stream="s"):
    return StreamSecond(stream, number, 25.0, 25, 25, 1.0, 0, (), ())


def gate(owned, known_until):
    heard = Heard()
    opened = Gate(heard)
    opened.update(owned, known_until)
    return opened, heard


def test_what_is_owned_goes_on_at_once():
    opened, heard = gate({"s": Owned(100.0, math.inf)}, 110.0)
    opened.on_second(second(1), "a", 105.0)
    opened.on_incident(incident(), "opened", "a", 106.0)
    assert heard.seconds == [("s", 1, "a", 105.0)]
    assert heard.incidents == [("one", "opened", "a", 106.0)]


def test_what_nothing_is_known_of_waits_and_keeps_its_order():
    opened, heard = gate({"s": Owned(100.0, math.inf)}, 110.0)
    for at in (111.0, 112.0, 113.0):
        opened.on_second(second(int(at)), "a", at)
    assert not heard.seconds
    opened.update({"s": Owned(100.0, math.inf)}, 112.5)
    assert [at for *_, at in heard.seconds] == [111.0, 112.0]
    # Somebody else owns it from 112.8 on: the last one is not ours.
    opened.update({"s": Owned(100.0, 112.8)}, 114.0)
    assert [at for *_, at in heard.seconds] == [111.0, 112.0]
    assert opened.dropped["not owned"] == 1


def test_an_engine_that_was_cut_off_lets_out_nothing_of_the_time_that_another_owned():
    opened, heard = gate({"s": Owned(100.0, math.inf)}, 102.0)
    for at in range(103, 160):
        opened.on_second(second(at), "a", float(at))
    opened.on_incident(incident(), "opened", "a", 130.0)
    opened.update({"s": Owned(100.0, 108.0)}, 161.0)
    assert [at for *_, at in heard.seconds] == [103.0, 104.0, 105.0, 106.0, 107.0]
    assert not heard.incidents


def test_what_was_found_while_the_database_was_away_is_told_when_it_is_back_and_nobody_took_over():
    opened, heard = gate({"s": Owned(100.0, math.inf)}, 102.0)
    opened.on_incident(incident(), "opened", "a", 130.0)
    opened.on_incident(incident(), "closed", "a", 140.0)
    opened.update({"s": Owned(100.0, math.inf)}, 200.0)
    assert [change for _, change, *_ in heard.incidents] == ["opened", "closed"]


def test_what_is_open_when_its_time_comes_is_told_then_with_its_evidence():
    opened, heard = gate({"s": NEVER}, 110.0)
    opened.on_incident(incident("gone"), "opened", "b", 104.0)
    opened.on_incident(incident("gone"), "closed", "b", 105.0)
    opened.on_incident(incident("stays"), "opened", "b", 106.0)
    opened.on_evidence("stays", "b", "thumbnail", b"jpeg")
    opened.on_second(second(1), "b", 106.0)
    assert not heard.incidents
    opened.update({"s": Owned(111.0, math.inf)}, 110.5)
    assert not heard.incidents
    opened.update({"s": Owned(111.0, math.inf)}, 113.0)
    assert heard.incidents == [("stays", "opened", "b", 111.0)]
    assert heard.pieces == [("stays", "b", "thumbnail")]
    assert not heard.seconds


def test_what_an_engine_closes_because_it_judges_a_stream_no_more_is_not_over():
    opened, heard = gate({"s": Owned(100.0, math.inf)}, 110.0)
    opened.on_incident(incident(), "opened", "a", 105.0)
    opened.update({"s": Owned(100.0, 112.0)}, 115.0)
    opened.on_incident(incident(), "closed", "a", 113.0)
    assert [change for _, change, *_ in heard.incidents] == ["opened"]


def test_evidence_of_what_was_not_let_out_is_removed(tmp_path):
    opened, heard = gate({"s": Owned(100.0, 105.0)}, 110.0)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"media")
    opened.on_incident(incident(), "opened", "a", 106.0)
    opened.on_evidence("one", "a", "clip", clip)
    assert not clip.exists()
    assert not heard.pieces


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0.5, 8.0), min_size=1, max_size=6),
    st.lists(st.floats(0.0, 40.0), min_size=1, max_size=60),
    st.floats(0.3, 3.0),
)
def test_every_second_is_let_out_by_exactly_one_of_the_owners(lengths, times, every):
    """Engines that own a stream one after the other, each reading now and then who owns it; all judge all the time."""
    bounds = [0.0]
    for length in lengths:
        bounds.append(bounds[-1] + length)
    owners = [Owned(start, end) for start, end in zip(bounds, [*bounds[1:], math.inf], strict=True)]
    engines = [gate({"s": NEVER}, 0.0) for _ in owners]
    reports = sorted(enumerate(sorted(times)), key=lambda pair: pair[1])
    clock, told = 0.0, 0
    while clock < 60.0:
        clock += every
        while told < len(reports) and reports[told][1] <= clock:
            number, at = reports[told]
            for opened, _ in engines:
                opened.on_second(second(number), "x", at)
            told += 1
        for (opened, _), owned in zip(engines, owners, strict=True):
            # A change is known two seconds before it holds; before that the engine reads what held then.
            seen = owned if clock + 2.0 >= owned.since else NEVER
            seen = Owned(seen.since, owned.until if clock + 2.0 >= owned.until else math.inf)
            opened.update({"s": seen}, clock + 2.0)
    heard = sorted(number for _, listener in engines for _, number, *_ in listener.seconds)
    assert heard == list(range(len(times)))
