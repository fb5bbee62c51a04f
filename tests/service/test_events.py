"""Whoever watches gets each event once, also after a break; who is too slow is told, and holds up nobody."""

import json
import socket
import threading
import time

import pytest
from running_service import running, wait_until

from engine.service.api import watch
from engine.service.events import EventHub


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    config = "service: {event_backlog: 64, max_event_clients: 4}\nstreams: [{id: a, url: a.ts}, {id: b, url: b.ts}]"
    with running(tmp_path_factory.mktemp("service"), config) as service:
        yield service


class Watcher(threading.Thread):
    """Reads /api/v1/events until it is closed."""

    def __init__(self, service, last_id=None, **query):
        super().__init__()
        self.events = []
        self.comments = 0
        self._over = threading.Event()
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self._client = service.client()
        self._answer = self._client.stream("GET", "/api/v1/events", params=query, headers=headers)
        self._answer_open = self._answer.__enter__()
        assert self._answer_open.status_code == 200
        assert self._answer_open.headers["content-type"].startswith("text/event-stream")
        self.start()

    def run(self):
        event = {}
        try:
            for line in self._answer_open.iter_lines():
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif name:
                    event[name] = value
                elif "event" in event:
                    self.events.append((event["id"], event["event"], json.loads(event["data"])))
                    event = {}
                if self._over.is_set():
                    return
        except Exception:  # noqa: BLE001 - the socket is shut under it
            return

    def close(self):
        self._over.set()
        stream = self._answer_open.extensions["network_stream"].get_extra_info("socket")
        stream.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._client.close()


def kinds(watcher):
    return [kind for _, kind, _ in watcher.events]


def test_events_go_on_after_the_last_one_that_was_read(service):
    first = Watcher(service, types="incident")
    service.fleet.report("a", "opened", start=1.0)
    wait_until(lambda: len(first.events) == 1)
    first.close()
    last_id = first.events[-1][0]
    service.fleet.report("a", "closed", start=1.0)
    service.fleet.report("b", "opened", start=2.0)
    wait_until(lambda: service.parts.open_incidents.by_stream()["b"] == 1)
    again = Watcher(service, last_id, types="incident")
    wait_until(lambda: len(again.events) == 2)
    again.close()
    changes = [(body["change"], body["incident"]["stream"]) for _, _, body in (*first.events, *again.events)]
    assert changes == [("opened", "a"), ("closed", "a"), ("opened", "b")]
    assert len({event[0] for event in (*first.events, *again.events)}) == 3
    service.fleet.report("b", "closed", start=2.0)


def test_watchers_choose_kinds_and_a_stream(service):
    watcher = Watcher(service, types="second,status", stream="a")
    for number in range(3):
        service.fleet.second("a", number)
        service.fleet.second("b", number)
    service.fleet.report("a", "opened", detector="video.freeze")
    service.fleet.listener.on_status(service.fleet.status("a"))
    wait_until(lambda: len(watcher.events) >= 4)
    watcher.close()
    assert kinds(watcher) == ["second", "second", "second", "status"]
    assert [body["second"] for _, kind, body in watcher.events if kind == "second"] == [0, 1, 2]
    assert "hunter2" not in json.dumps(watcher.events)
    with service.client() as client:
        assert client.get("/api/v1/events", params={"types": "weather"}).status_code == 422


def test_who_missed_more_than_is_kept_is_told(service):
    first = Watcher(service, types="status")
    service.fleet.listener.on_status(service.fleet.status("a"))
    wait_until(lambda: first.events)
    first.close()
    for _ in range(100):
        service.fleet.listener.on_status(service.fleet.status("a"))
    for last_id in (first.events[-1][0], "0-1", "nonsense"):
        again = Watcher(service, last_id, types="status")
        wait_until(lambda again=again: len(again.events) >= 65)
        again.close()
        assert kinds(again)[0] == "lost"
        assert kinds(again)[1:] == ["status"] * 64


def test_too_many_watchers_are_refused_and_those_who_leave_make_room(service):
    watchers = [Watcher(service) for _ in range(4)]
    with service.client() as client:
        refused = client.get("/api/v1/events")
        assert refused.status_code == 503
        for watcher in watchers:
            watcher.close()
        wait_until(lambda: service.parts.hub.readers == 0)
        with client.stream("GET", "/api/v1/events") as answer:
            assert answer.status_code == 200


def test_a_watcher_that_takes_nothing_is_dropped_and_holds_up_nobody(service, monkeypatch):
    monkeypatch.setattr(watch, "SEND_SECONDS", 0.3)
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(f"GET /api/v1/events?types=second HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        wait_until(lambda: service.parts.hub.readers == 1)
        other = Watcher(service, types="incident")
        before = service.parts.hub.dropped_readers
        deadline = time.monotonic() + 30
        number = 0
        while service.parts.hub.dropped_readers == before:
            assert time.monotonic() < deadline
            for _ in range(64):
                number += 1
                service.fleet.second("a", number)
            time.sleep(0.01)
        service.fleet.report("b", "opened", detector="video.bars")
        wait_until(lambda: other.events)
        other.close()


def test_a_quiet_stream_of_events_says_that_it_is_there(service, monkeypatch):
    monkeypatch.setattr(watch, "HEARTBEAT_SECONDS", 0.1)
    watcher = Watcher(service, types="incident", stream="nobody")
    wait_until(lambda: watcher.comments >= 2)
    watcher.close()


def test_the_ring_is_bounded_and_seconds_push_nothing_else_out():
    hub = EventHub(16, 4)
    hub.publish("incident", ("a",), dict)
    for _ in range(1000):
        hub.publish("second", ("a",), dict)
    events, lost, last = hub.after(0, frozenset(("incident",)))
    assert ([event.number for event in events], lost, last) == ([1], False, 1001)
    events, lost, _ = hub.after(1, frozenset(("incident", "second")))
    assert ([event.number for event in events], lost) == (list(range(986, 1002)), True)
