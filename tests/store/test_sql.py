"""Both databases: what is kept once, shown without secrets, and told in the same transaction."""

import pytest

from engine.errors import QueryError
from engine.incidents import incident_id
from engine.store.records import Delivery, StreamRecord
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(url, clock):
    made = Store(url, route=route, clock=clock)
    yield made
    made.close()


def route(record, change):
    return [] if change == "updated" else [Delivery("hook", hold_seconds=10.0 if change == "closed" else 0.0)]


def freeze(stream, start, end=None):
    name = "video.freeze"
    closed_by = None if end is None else "recovered"
    return Incident(incident_id(stream, name, start), stream, name, Severity.CRITICAL, start, 0.1, end, closed_by)


def test_the_same_report_twice_is_one_incident_and_one_notice(store):
    assert store.incidents.record(freeze("a", 1.0), "opened").change == "opened"
    assert store.incidents.record(freeze("a", 1.0), "opened").change is None
    assert len(store.incidents.list().items) == 1
    assert store.outbox.counts() == {("hook", "pending"): 1}


def test_incidents_outlive_the_process(url, store):
    store.incidents.record(freeze("a", 1.0), "opened")
    again = Store(url)
    assert [one.start for one in again.incidents.open_incidents("a")] == [1.0]
    again.close()


def changes_sent(store):
    """The changes that are due, sent."""
    batch = store.outbox.claim("hook", lease_seconds=1.0)
    if batch is None:
        return []
    store.outbox.delivered(batch)
    return [notice.change for notice in batch.notices]


def test_who_was_told_of_an_incident_is_told_its_end_though_it_was_muted(store, clock):
    one = store.incidents.record(freeze("a", 1.0), "opened").incident
    assert changes_sent(store) == ["opened"]
    assert store.incidents.mute(one.id, "olga").muted
    store.incidents.record(freeze("a", 1.0, 3.0), "closed")
    clock.now += 11.0
    assert changes_sent(store) == ["closed"]
    store.incidents.record(freeze("a", 5.0), "opened")  # comes back, muted as it was
    assert changes_sent(store) == []
    store.incidents.mute(one.id, None)
    assert changes_sent(store) == ["opened"]


def test_nobody_hears_of_an_incident_that_was_muted_before_anybody_was_told(store, clock):
    one = store.incidents.record(freeze("a", 1.0), "opened").incident
    store.incidents.mute(one.id, "olga")
    store.incidents.record(freeze("a", 1.0, 3.0), "closed")
    clock.now += 60.0
    assert changes_sent(store) == []
    two = store.incidents.record(freeze("b", 1.0), "opened").incident
    store.incidents.record(freeze("b", 1.0, 3.0), "closed")
    store.incidents.mute(two.id, "olga")  # both notices were waiting
    clock.now += 60.0
    assert changes_sent(store) == []


def test_renditions_of_a_channel_make_one_incident_that_ends_with_the_last(store):
    for stream in "ab":
        store.streams.put(StreamRecord(stream, f"http://h/{stream}", channel="one"))
    changes = [
        store.incidents.record(freeze("a", 1.0), "opened").change,
        store.incidents.record(freeze("b", 1.1), "opened").change,
        store.incidents.record(freeze("a", 1.0, 3.0), "closed").change,
        store.incidents.record(freeze("b", 1.1, 3.5), "closed").change,
    ]
    assert changes == ["opened", "updated", "updated", "closed"]
    assert store.incidents.list().items[0].streams == ("a", "b")


@pytest.mark.parametrize(("start", "incidents"), [(13.0, 1), (13.5, 2)])
def test_what_comes_back_within_ten_seconds_is_the_same_incident(store, start, incidents):
    store.incidents.record(freeze("a", 1.0), "opened")
    store.incidents.record(freeze("a", 1.0, 3.0), "closed")
    store.incidents.record(freeze("a", start), "opened")
    assert len(store.incidents.list().items) == incidents


@pytest.mark.parametrize(("before", "incidents"), [(0.5, 1), (10.0, 1), (11.0, 2), (3600.0, 2), (-1.0, 2)])
def test_what_another_engine_saw_begin_before_the_last_one_had_ended_is_the_same_incident(url, before, incidents):
    # A wall clock that was set back by an hour makes no such thing of it.
    store = Store(url, damping_seconds=0.0)
    store.incidents.record(freeze("a", 1.0), "opened", session="one", at=5000.0)
    store.incidents.record(freeze("a", 1.0, 3.0), "closed", session="one", at=5020.0)
    store.incidents.record(freeze("a", 9.0), "opened", session="two", at=5020.0 - before)
    assert len(store.incidents.list().items) == incidents
    store.close()


def test_orphans_are_closed_and_told(store, clock):
    store.incidents.record(freeze("a", 1.0), "opened")
    clock.now += 30
    (closed,) = store.incidents.close_orphans(streams=["a"])
    assert (closed.state, closed.closed_by, closed.end) == ("closed", "removed", 31.0)
    assert store.incidents.open_incidents() == ()
    assert store.outbox.counts() == {("hook", "pending"): 2}


def test_addresses_are_shown_without_secrets_and_kept_when_put_back(store):
    store.streams.put(StreamRecord("a", "http://user:word@h/x"))
    shown = store.streams.list().items[0]
    assert shown.url == "http://***@h/x"
    store.streams.put(shown)
    assert store.streams.sources()[0].url == "http://user:word@h/x"


def test_pages_follow_each_other_without_gap_or_double(store, clock):
    for start in range(5):
        clock.now += 100
        store.incidents.record(freeze(f"s{start}", float(start)), "opened")
    first = store.incidents.list(limit=3)
    second = store.incidents.list(limit=3, cursor=first.next)
    assert [one.stream for one in first.items + second.items] == ["s4", "s3", "s2", "s1", "s0"]
    assert second.next is None
    with pytest.raises(QueryError, match="cursor"):
        store.incidents.list(cursor="nonsense")


def test_a_batch_that_failed_goes_out_again_with_the_same_id(store, clock):
    store.incidents.record(freeze("a", 1.0), "opened")
    batch = store.outbox.claim("hook", lease_seconds=5)
    assert store.outbox.claim("hook", lease_seconds=5) is None
    store.outbox.failed(batch, "refused", retry_seconds=2)
    clock.now += 2
    again = store.outbox.claim("hook", lease_seconds=5)
    assert (again.id, again.attempts) == (batch.id, 1)
    store.outbox.delivered(again)
    assert store.outbox.counts() == {("hook", "delivered"): 1}


def test_a_damaged_database_is_set_aside(tmp_path):
    file = tmp_path / "a.db"
    file.write_bytes(b"not a database" * 500)
    store = Store(f"sqlite:///{file}")
    assert store.set_aside.read_bytes().startswith(b"not a database")
    assert store.incidents.list().items == ()
    store.close()


def test_who_takes_an_incident_on_first_stays_and_comments_and_evidence_are_kept(store):
    found = store.incidents.record(freeze("a", 1.0), "opened").incident
    assert store.incidents.acknowledge(found.id, "ann").acknowledged_by == "ann"
    assert store.incidents.acknowledge(found.id, "bob").acknowledged_by == "ann"
    assert [c.text for c in store.incidents.comment(found.id, "bob", "encoder restarted").comments] == [
        "encoder restarted"
    ]
    store.incidents.attach(found.id, "thumbnail", "t/1.jpg", 100)
    kept = store.incidents.attach(found.id, "thumbnail", "t/2.jpg", 90)
    assert [(e.kind, e.place) for e in kept.evidence] == [("thumbnail", "t/2.jpg")]
    assert store.incidents.acknowledge("nothing", "ann") is None
    assert store.incidents.comment("nothing", "ann", "") is None
    assert store.incidents.attach("nothing", "clip", "", 0) is None


def test_a_notice_that_was_given_up_is_seen_and_can_be_tried_again(store, clock):
    store.incidents.record(freeze("a", 1.0), "opened")
    store.outbox.dead(store.outbox.claim("hook", lease_seconds=5.0), "410 Gone")
    [letter] = store.outbox.dead_letters().items
    assert letter.error == "410 Gone"
    assert store.outbox.claim("hook", lease_seconds=5.0) is None
    assert store.outbox.revive([letter.id]) == 1
    again = store.outbox.claim("hook", lease_seconds=5.0)
    assert [notice.id for notice in again.notices] == [letter.id]
    store.outbox.delivered(again)
    clock.now += 100
    assert store.outbox.forget(clock.now) == 0  # its incident is open, and has to be told as over some day
    store.incidents.record(freeze("a", 1.0, 2.0), "closed")
    assert store.outbox.forget(clock.now) == 1
    assert store.outbox.counts() == {("hook", "pending"): 1}


def test_what_closed_long_ago_is_forgotten_and_what_is_open_is_not(store, clock):
    store.incidents.record(freeze("a", 1.0), "opened")
    store.incidents.record(freeze("a", 1.0, 2.0), "closed")
    store.incidents.record(freeze("b", 1.0), "opened")
    clock.now += 1000
    assert store.incidents.forget(clock.now - 500) == 1
    assert [one.stream for one in store.incidents.list().items] == ["b"]
