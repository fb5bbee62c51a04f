"""The outbox: in order, to each sink what it does not know, by one dispatcher at a time."""

import threading

import pytest

from engine.incidents import incident_id
from engine.store.records import Delivery
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Route:
    """Sinks with how long openings and ends wait."""

    def __init__(self, **holds):
        self.holds = holds

    def __call__(self, record, change):
        if change == "updated":
            return []
        return [Delivery(sink, "", holds[change == "closed"]) for sink, holds in self.holds.items()]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(url, clock):
    stores = []

    def open_store(route):
        stores.append(Store(url, route=route, clock=clock))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def freeze(start, end=None, stream="a"):
    name = "video.freeze"
    closed_by = None if end is None else "recovered"
    return Incident(incident_id(stream, name, start), stream, name, Severity.CRITICAL, start, 0.1, end, closed_by)


def sent(store, sink):
    """Deliver all that is due. Returns: the changes in order."""
    changes = []
    while (batch := store.outbox.claim(sink, lease_seconds=5)) is not None:
        store.outbox.delivered(batch)
        changes += [notice.change for notice in batch.notices]
    return changes


def test_what_was_over_before_its_opening_was_due_is_not_told(opened, clock):
    store = opened(Route(patient=(30.0, 0.0), quick=(0.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    clock.now += 20
    store.incidents.record(freeze(1.0, 20.0), "closed")
    assert sent(store, "quick") == ["opened", "closed"]
    assert sent(store, "patient") == []
    assert store.outbox.next_due("patient") is None


def test_what_comes_back_after_an_untold_opening_is_told_if_it_lasts(opened, clock):
    store = opened(Route(patient=(30.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    store.incidents.record(freeze(1.0, 20.0), "closed")
    store.incidents.record(freeze(25.0), "opened")
    assert sent(store, "patient") == []
    clock.now += 30
    assert sent(store, "patient") == ["opened"]


def test_a_flapping_incident_is_told_twice_only_to_whom_it_was_told_over(opened, clock):
    store = opened(Route(quick=(0.0, 0.0), calm=(0.0, 60.0)))
    store.incidents.record(freeze(1.0), "opened")
    store.incidents.record(freeze(1.0, 2.0), "closed")
    assert sent(store, "quick") == ["opened", "closed"]
    assert store.incidents.record(freeze(5.0), "opened").change == "opened"
    assert sent(store, "quick") == ["opened"]
    assert sent(store, "calm") == ["opened"]
    store.incidents.record(freeze(5.0, 6.0), "closed")
    clock.now += 60
    assert sent(store, "calm") == ["closed"]


def test_an_end_waits_for_an_opening_that_failed(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    store.outbox.failed(store.outbox.claim("hook", lease_seconds=5), "503", retry_seconds=60)
    store.incidents.record(freeze(1.0, 2.0), "closed")
    store.incidents.record(freeze(1.0, stream="b"), "opened")
    batch = store.outbox.claim("hook", lease_seconds=5)
    assert [notice.payload["stream"] for notice in batch.notices] == ["b"]
    assert store.outbox.claim("hook", lease_seconds=5) is None
    assert store.outbox.hurry("hook") == 1
    assert sent(store, "hook") == ["opened", "closed"]


def test_who_lost_his_claim_cannot_put_off_or_give_up_what_another_one_sends(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    late = store.outbox.claim("hook", lease_seconds=5)
    assert store.outbox.extend(late, 5)
    clock.now += 6
    now = store.outbox.claim("hook", lease_seconds=5)
    assert now.id == late.id
    assert not store.outbox.extend(late, 5)
    store.outbox.failed(late, "timeout", retry_seconds=0)
    store.outbox.dead(late, "timeout")
    assert store.outbox.claim("hook", lease_seconds=5) is None
    store.outbox.delivered(now)
    assert store.outbox.counts() == {("hook", "delivered"): 1}


def test_a_batch_stays_whole_when_the_limit_shrinks(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    for start in (1.0, 2.0, 3.0):
        store.incidents.record(freeze(start, stream=f"s{start:g}"), "opened")
    first = store.outbox.claim("hook", lease_seconds=5, most=10)
    store.outbox.failed(first, "503", retry_seconds=0)
    again = store.outbox.claim("hook", lease_seconds=5, most=1)
    assert (again.id, len(again.notices)) == (first.id, 3)


def test_notices_for_a_sink_that_is_gone_are_given_up_when_they_are_old(opened, clock):
    store = opened(Route(gone=(0.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    assert store.outbox.abandon(["hook"], clock.now) == 0
    assert store.outbox.abandon(["gone"], clock.now + 1) == 0
    assert store.outbox.abandon(["hook"], clock.now + 1) == 1
    assert store.outbox.counts() == {("gone", "dead"): 1}


def test_what_a_sink_knows_to_be_open_is_what_it_was_told(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    for stream in "abc":
        store.incidents.record(freeze(1.0, stream=stream), "opened")
    assert store.outbox.told_open("hook") == ()
    sent(store, "hook")
    store.incidents.record(freeze(1.0, 2.0, stream="b"), "closed")
    assert [payload["stream"] for payload in store.outbox.told_open("hook")] == ["a", "c"]
    assert store.outbox.told_open("other") == ()


def test_what_is_no_number_or_no_text_for_a_database_does_not_lose_the_incident(opened):
    store = opened(Route(hook=(0.0, 0.0)))
    incident = freeze(1.0)
    incident.cause = "h264\0 main"
    incident.measures = {"level": float("-inf"), "share": float("nan"), "peak": 0.5}
    store.incidents.record(incident, "opened")
    kept = store.incidents.list().items[0]
    assert kept.measures == {"level": None, "share": None, "peak": 0.5}
    assert kept.cause == "h264 main"
    assert store.outbox.claim("hook", lease_seconds=5).notices[0].payload["measures"]["level"] is None


def test_two_dispatchers_and_two_writers_share_a_database_without_a_double_or_a_disorder(opened):
    streams = 25
    claimed, early, failures, arrived = [], [], [], set()
    lock = threading.Lock()
    written = threading.Event()

    def write(names):
        store = opened(Route(hook=(0.0, 0.0)))
        for name in names:
            store.incidents.record(freeze(1.0, stream=name), "opened")
            store.incidents.record(freeze(1.0, 2.0, stream=name), "closed")

    def dispatch():
        store = opened(lambda record, change: [])
        while True:
            last = written.is_set()
            batch = store.outbox.claim("hook", lease_seconds=1000, most=3)
            if batch is None and last:
                return
            if batch is not None:
                told = [(notice.payload["stream"], notice.change) for notice in batch.notices]
                with lock:
                    claimed.extend(told)
                    # Its opening is in the same batch, or has arrived.
                    early.extend(
                        s for s, change in told if change == "closed" and (s, "opened") not in {*told, *arrived}
                    )
                    arrived.update(told)
                store.outbox.delivered(batch)

    def watched(work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            failures.append(error)
            raise

    names = [f"s{number}" for number in range(2 * streams)]
    writers = [threading.Thread(target=watched, args=(write, names[part::2])) for part in range(2)]
    dispatchers = [threading.Thread(target=watched, args=(dispatch,)) for _ in range(2)]
    for thread in writers + dispatchers:
        thread.start()
    for thread in writers:
        thread.join(120)
    written.set()
    for thread in dispatchers:
        thread.join(120)
    assert failures == []
    assert early == []
    assert sorted(claimed) == sorted((name, change) for name in names for change in ("opened", "closed"))


def test_of_messages_of_one_change_each_those_behind_a_failure_are_given_back(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    for stream in "abc":
        store.incidents.record(freeze(1.0, stream=stream), "opened")
    store.incidents.record(freeze(1.0, 2.0, stream="b"), "closed")
    batch = store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)
    assert (batch.singly, len(batch.notices)) == (True, 4)
    a, b, c, over = batch.notices
    store.outbox.delivered(batch.part((a,)))
    store.outbox.failed(batch.part((b,)), "503", retry_seconds=60)
    store.outbox.release(batch.part((c, over)))
    again = store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)
    assert [(notice.payload["stream"], notice.attempts) for notice in again.notices] == [("c", 0)]
    store.outbox.delivered(again)
    assert store.outbox.claim("hook", lease_seconds=5, most=10, singly=True) is None
    clock.now += 60
    assert sent(store, "hook") == ["opened", "closed"]


def test_a_failure_in_a_claim_that_a_process_left_behind_holds_up_only_its_own_incident(opened, clock):
    store = opened(Route(hook=(0.0, 0.0)))
    for stream in "ab":
        store.incidents.record(freeze(1.0, stream=stream), "opened")
        store.incidents.record(freeze(1.0, 2.0, stream=stream), "closed")
    store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)  # its process dies
    clock.now += 6
    batch = store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)
    store.outbox.failed(batch.part(batch.notices[:1]), "503", retry_seconds=60)
    assert store.outbox.extend(batch, 5)  # what failed is no longer claimed
    store.outbox.release(batch.part(batch.notices[1:]))
    again = store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)
    assert [(notice.payload["stream"], notice.change) for notice in again.notices] == [("b", "opened"), ("b", "closed")]
    store.outbox.delivered(again)
    clock.now += 60
    assert sent(store, "hook") == ["opened", "closed"]


def test_what_is_given_back_was_not_tried_however_often_that_happens(opened, clock):
    # The wait before the next try doubles with each: by failures of others it grew to minutes.
    store = opened(Route(hook=(0.0, 0.0)))
    for number in range(8):
        store.incidents.record(freeze(1.0, stream=f"s{number}"), "opened")
    store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)  # its process dies, having sent none or some
    clock.now += 6
    for number in range(7):
        batch = store.outbox.claim("hook", lease_seconds=5, most=10, singly=True)
        assert [(notice.payload["stream"], notice.attempts) for notice in batch.notices] == [
            (f"s{behind}", 1) for behind in range(number, 8)
        ]
        store.outbox.failed(batch.part(batch.notices[:1]), "503", retry_seconds=600)
        store.outbox.release(batch.part(batch.notices[1:]))
    assert [notice.attempts for notice in store.outbox.claim("hook", lease_seconds=5).notices] == [1]


def test_a_clock_that_is_set_back_holds_nothing_up(opened, clock):
    store = opened(Route(hook=(0.0, 0.0), slow=(0.0, 0.0)))
    store.incidents.record(freeze(1.0), "opened")
    store.outbox.claim("slow", lease_seconds=15)  # whoever has it dies
    clock.now -= 7200
    assert store.outbox.next_due("hook") <= clock.now
    assert sent(store, "hook") == ["opened"]
    assert sent(store, "slow") == ["opened"]
    store.incidents.record(freeze(1.0, 2.0), "closed")
    assert sent(store, "hook") == ["closed"]
