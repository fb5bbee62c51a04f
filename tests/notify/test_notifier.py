"""All sinks together: none delays another, none is flooded, and each outlives what is taken from it."""

import json
import threading
import time

import pytest
import servers
from receivers import Receiver

from engine.errors import ConfigError, NotifyError, StoreError
from engine.notify.notifier import Notifier
from engine.notify.pace import Pace
from engine.notify.sender import Sender
from engine.settings.notify import NotifySection


def hook(receiver, **fields):
    return {"type": "webhook", "url": receiver.url, **fields}


def section(routes=None, **sinks):
    return {"sinks": sinks, "routes": routes or [{"sinks": list(sinks)}]}


def test_a_dead_sink_delays_no_other(service):
    with Receiver() as good, Receiver(lambda number: "hang") as dead:
        service.start(section(dead=hook(dead, timeout_seconds=1), good=hook(good)))
        for number in range(20):
            service.open(f"s{number}")
        good.wait_for(20, seconds=5)
        assert service.notifier.snapshot()["dead"].outcomes["delivered"] == 0


def test_an_outage_is_caught_up_in_order_when_it_is_over(service):
    up = threading.Event()
    with Receiver(lambda number: 204 if up.is_set() else 503) as receiver:
        service.start(section(hook=hook(receiver)))
        for number in range(10):
            service.open(f"s{number}")
            service.close(f"s{number}")
        servers.eventually(lambda: service.notifier.snapshot()["hook"].outcomes["failed"] >= 3, 20)
        assert service.notifier.snapshot()["hook"].failing_since == pytest.approx(time.time(), abs=30)
        # One sink, not every batch for itself: those that wait do not hammer it.
        assert len(receiver.requests) <= 10
        up.set()
        assert service.settled(60) == {("hook", "delivered"): 20}
    changes = [(body["stream"], body["change"]) for body in receiver.bodies]
    assert sorted(changes) == sorted((f"s{n}", change) for n in range(10) for change in ("opened", "closed"))
    for number in range(10):
        assert [change for stream, change in changes if stream == f"s{number}"] == ["opened", "closed"]


def test_one_message_that_is_always_refused_does_not_hold_up_the_rest(service):
    with Receiver() as receiver:
        receiver.answer = lambda number: 500 if b'"stream":"poison"' in receiver.requests[number][1] else 204
        service.start(section(hook=hook(receiver, most_attempts=4)))
        service.open("poison")
        for number in range(5):
            service.open(f"s{number}")
        counts = service.settled(40)
    assert counts == {("hook", "delivered"): 5, ("hook", "dead"): 1}


def test_what_is_refused_as_a_whole_is_sent_one_by_one(service):
    with Receiver() as receiver:

        def answer(number):
            body = json.loads(receiver.requests[number][1])
            return 413 if "items" in body else 400 if body["stream"] == "bad" else 204

        receiver.answer = answer
        sinks = section([{"sinks": ["hook"]}], hook=hook(receiver, changes_per_message=50))
        service.start(sinks, opened=("a", "bad", "b", "c"))
        assert service.settled() == {("hook", "delivered"): 3, ("hook", "dead"): 1}
        assert any(b'"items"' in body for _, body in receiver.requests)
    assert [body["stream"] for body in receiver.bodies] == ["a", "b", "c"]
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 3


def test_what_is_too_old_is_given_up_and_kept_to_be_seen(service):
    with Receiver(lambda number: 503) as receiver:
        service.start(section(hook=hook(receiver, give_up_seconds=1)))
        service.open()
        assert service.settled() == {("hook", "dead"): 1}
        assert len(receiver.requests) >= 2
    [letter] = service.store.outbox.dead_letters().items
    assert "503" in letter.error


def test_a_flapping_defect_is_told_once(service):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)), damping_seconds=10.0)
        for number in range(5):
            service.open(start=1.0 + 4 * number)
            service.close(start=1.0 + 4 * number, end=3.0 + 4 * number)
        receiver.wait_for(1)
        time.sleep(0.5)
        assert [body["change"] for body in receiver.bodies] == ["opened"]
        # Its end is told when it can no longer come back.
        assert service.store.outbox.next_due("hook") == pytest.approx(time.time() + 14, abs=5)


def test_a_sink_gets_no_more_messages_than_it_may(service):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver, messages_per_minute=120, burst=2)))
        began = time.monotonic()
        for number in range(5):
            service.open(f"s{number}")
        receiver.wait_for(5)
        assert time.monotonic() - began >= 1.4  # two at once, then two a second
        service.settled()


def test_tokens_come_with_time_up_to_the_burst():
    now = [0.0]
    pace = Pace(60.0, 3, clock=lambda: now[0])
    for _ in range(3):
        assert pace.wait_seconds() == 0.0
        pace.take()
    assert pace.wait_seconds() == pytest.approx(1.0)
    now[0] += 0.75
    assert pace.wait_seconds() == pytest.approx(0.25)
    now[0] += 100.0
    for _ in range(3):
        assert pace.wait_seconds() == 0.0
        pace.take()
    assert pace.wait_seconds() > 0


def test_another_configuration_is_taken_up_without_disturbing_what_stays(service):
    with Receiver() as first, Receiver() as second:
        service.start(section(stays=hook(first), goes=hook(second)))
        service.open("a")
        first.wait_for(1)
        second.wait_for(1)
        kept = service.notifier._workers["stays"]
        service.notifier.apply(NotifySection.model_validate(section(stays=hook(first), comes=hook(second))))
        assert service.notifier._workers["stays"] is kept
        service.open("b")
        first.wait_for(2)
        second.wait_for(2)
        counts = service.settled()
    assert counts == {("stays", "delivered"): 2, ("goes", "delivered"): 1, ("comes", "delivered"): 1}


def test_a_wrong_configuration_leaves_the_old_one_working(service, tmp_path):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)))
        wrong = section(hook=hook(receiver, timeout_seconds=1), bad=hook(receiver, ca_file=str(tmp_path / "none")))
        with pytest.raises(ConfigError, match="ca_file"):
            service.notifier.apply(NotifySection.model_validate(wrong))
        service.open()
        assert service.settled() == {("hook", "delivered"): 1}


def test_it_ends_within_its_deadline_and_what_was_not_confirmed_is_sent_after_the_next_start(service):
    with Receiver(lambda number: "hang") as receiver:
        service.start(section(hook=hook(receiver, timeout_seconds=1)), lease_seconds=1.0)
        service.open()
        servers.eventually(lambda: receiver.requests, 10)
        began = time.monotonic()
        assert service.notifier.stop(5.0) == []
        assert time.monotonic() - began < 3
        service.store.close()
        service.notifier = None
        receiver.answer = lambda number: 204
        service.start(section(hook=hook(receiver)), lease_seconds=1.0)
        assert service.settled() == {("hook", "delivered"): 1}


def test_what_waits_is_counted(service):
    with Receiver(lambda number: 503) as receiver:
        service.start(section(hook=hook(receiver)), lease_seconds=0.6)
        service.open("a")
        service.open("b")
        servers.eventually(lambda: service.notifier.snapshot()["hook"].pending == 2, 10)
        servers.eventually(lambda: service.notifier.snapshot()["hook"].oldest_seconds > 0.5, 10)
        receiver.answer = lambda number: 204
        service.settled()
        servers.eventually(lambda: service.notifier.snapshot()["hook"].pending == 0, 10)
        assert service.notifier.snapshot()["hook"].oldest_seconds == 0.0


def test_a_claim_holds_for_as_long_as_the_sender_works(service):
    release = threading.Event()

    class Slow(Sender):
        def send(self, message):
            assert release.wait(20)
            return "at last"

    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)), lease_seconds=0.6)
        worker = service.notifier._workers["hook"]
        worker._sender.close()
        worker._sender = Slow("hook")
        service.open()
        servers.eventually(lambda: worker.sending, 10)
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            assert service.store.outbox.claim("hook", lease_seconds=0.1) is None
            time.sleep(0.02)
        release.set()
        assert service.settled() == {("hook", "delivered"): 1}


def test_a_database_that_is_away_is_waited_for(service, caplog):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)))
        outbox = service.store.outbox
        real = outbox.next_due

        def away(sink):
            raise StoreError("the database failed", why="away", remedy="wait")

        outbox.next_due = away
        service.open()
        servers.eventually(lambda: "wait for the database" in caplog.text, 10)
        outbox.next_due = real
        assert service.settled() == {("hook", "delivered"): 1}


def test_what_arrived_while_the_database_went_away_is_not_sent_again(service):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)), lease_seconds=0.5)
        outbox = service.store.outbox
        real, refused = outbox.delivered, []

        def away(batch):
            if len(refused) < 2:
                refused.append(batch.id)
                raise StoreError("the database failed", why="away", remedy="wait")
            real(batch)

        outbox.delivered = away
        service.open()
        assert service.settled() == {("hook", "delivered"): 1}
        assert len(refused) == 2
        assert len(receiver.requests) == 1


def test_a_mistake_in_a_step_does_not_silence_the_sink(service, caplog):
    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)))
        real = service.store.outbox.next_due
        service.store.outbox.next_due = lambda sink: {}["none"]
        service.open()
        servers.eventually(lambda: "KeyError in a step" in caplog.text, 10)
        service.store.outbox.next_due = real
        assert service.settled() == {("hook", "delivered"): 1}


def test_a_sender_that_raises_what_it_should_not_is_tried_again(service, caplog):
    word = "".join(("hunter", "2"))  # the log shows the line that raised

    class Broken(Sender):
        calls = 0

        def send(self, message):
            Broken.calls += 1
            if Broken.calls == 1:
                raise KeyError(word)
            return "taken"

    with Receiver() as receiver:
        service.start(section(hook=hook(receiver)))
        worker = service.notifier._workers["hook"]
        worker._sender.close()
        worker._sender = Broken("hook")
        service.open()
        assert service.settled() == {("hook", "delivered"): 1}
    assert "KeyError in the sender" in caplog.text
    assert word not in caplog.text


class Point:
    """An entry point, as an installed package would bring it."""

    def __init__(self, name, made):
        self.name = name
        self._made = made

    def load(self):
        return self._made


def test_a_sink_of_another_package_is_found_by_its_name(service, monkeypatch):
    sent = []

    class Pager(Sender):
        def __init__(self, name, options):
            super().__init__(name)
            if "number" not in options:
                raise KeyError("number")

        def send(self, message):
            sent.append(message.title())
            if len(sent) == 1:
                raise NotifyError("not delivered", why="busy", remedy="wait")
            return "beeped"

    points = [Point("pager", Pager), Point("other", lambda name, options: object())]
    monkeypatch.setattr("engine.notify.senders.entry_points", lambda group: points if group == "avjury.sinks" else [])
    for name, options, said in (("none", {}, "no installed package"), ("pager", {}, "did not start"),
                                ("other", {}, "made no")):  # fmt: skip
        wrong = {"sinks": {"p": {"type": "plugin", "name": name, "options": options}}}
        with pytest.raises(ConfigError, match=said):
            Notifier(NotifySection.model_validate(wrong))
    service.start(section(p={"type": "plugin", "name": "pager", "options": {"number": 1}}))
    service.open("a\nb")
    assert service.settled() == {("p", "delivered"): 1}
    assert len(sent) == 2
    assert sent[0].startswith("avjury: critical: video.freeze on a b since")
