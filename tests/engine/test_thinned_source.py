"""A source of which most packets are left out is told from a whole one up to the very packet."""

import msgspec

from engine.ingest.link import Links
from engine.ingest.messages import Ended, Kind, Open, Thin
from engine.ingest.remote import RemoteSource, _Clock
from engine.ingest.ring import Record


class Told:
    """A link that remembers what was said."""

    alive = True

    def __init__(self):
        self.said = []

    def send(self, message):
        self.said.append(message)


def opened():
    source = RemoteSource(Links(), "reader", Open(0, "s", "x"))
    source._link, source._number, source.clock = Told(), 7, _Clock()
    return source


def read(source, *kinds):
    """Whatever stands in the ring, up to an end."""
    ended = msgspec.msgpack.encode(Ended(None, "ended"))
    source.arrivals.put(*(Record(7, kind, b"") for kind in kinds), Record(7, Kind.ENDED, ended))
    return list(source.packets())


def test_it_is_whole_again_behind_the_mark_and_not_when_that_was_asked_for():
    source = opened()
    for thin in (True, True, False, False):
        source.thin(thin)
        assert source.thinned
    assert source._link.said == [Thin(7, thin=True), Thin(7, thin=False)]
    read(source)
    assert source.thinned
    read(source, Kind.WHOLE)
    assert not source.thinned
    assert source.breaks == 1  # what follows is compared with nothing before
    assert source.arrivals.skipped_packets == 0


def test_a_mark_of_before_says_nothing_of_what_was_left_out_since():
    source = opened()
    for thin in (True, False, True):
        source.thin(thin)
    read(source, Kind.WHOLE)
    assert source.thinned
    source.thin(False)
    read(source, Kind.WHOLE)
    assert not source.thinned
