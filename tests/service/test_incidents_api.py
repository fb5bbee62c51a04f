"""What a fleet reports becomes incidents that are kept, shown, dealt with and, in a window, told to nobody."""

import json
import time

import pytest
from running_service import running, wait_until

from engine.store.incidents import part_key
from engine.store.records import Delivery

CONFIG = """
streams:
  - {id: news, url: news.ts, labels: {region: eu}}
  - {id: hd, url: hd.ts, channel: sport}
  - {id: sd, url: sd.ts, channel: sport}
  - id: works
    url: works.ts
    maintenance: [{until: "2999-01-01T00:00:00Z", reason: works}]
  - id: event
    url: event.ts
    maintenance: [{mode: invert, since: "2000-01-01T00:00:00Z", until: "2000-01-02T00:00:00Z"}]
"""


class Told:
    """Whom everything is told, and nothing is sent to."""

    def route(self, record, change):
        return [Delivery("hook")]

    def start(self, store):
        """Nothing to start."""

    def wake(self):
        """Nobody sleeps."""

    def apply(self, section):
        """Nothing to change."""

    def snapshot(self):
        return {}

    def stop(self, deadline_seconds):
        """Nothing to stop."""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG, notifier=Told()) as service:
        yield service


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def known(client, stream, **query):
    return client.get("/api/v1/incidents", params={"stream": stream, **query}).json()["items"]


def told(service, incident):
    """The changes of an incident that somebody is told of."""
    with service.parts.store.database.read() as connection:
        query = "SELECT change FROM outbox WHERE incident_id = '%s' ORDER BY id" % incident["id"]  # noqa: UP031
        return [row[0] for row in connection.exec_driver_sql(query)]


def test_an_incident_opens_lasts_and_closes_once(service, client):
    service.fleet.report("news", "opened", at=1000.0)
    [opened] = wait_until(lambda: known(client, "news"))
    assert (opened["state"], opened["severity"], opened["start"]) == ("open", "critical", 1.0)
    assert opened["opened_at"] == "1970-01-01T00:16:40.000Z"
    assert opened["labels"] == {"region": "eu"}
    service.fleet.report("news", "opened", at=1000.0)  # the same report may come twice
    assert client.get("/api/v1/streams/news").json()["incidents_open"] == 1
    for _ in range(50):
        service.fleet.report("news", "updated", measures={"black_peak": 0.9})
    service.fleet.report("news", "closed", at=1005.0, end=6.0)
    closed = wait_until(lambda: known(client, "news", state="closed"))[0]
    assert (closed["end"], closed["closed_by"], closed["id"]) == (6.0, "recovered", opened["id"])
    assert client.get(f"/api/v1/incidents/{opened['id']}").json() == closed
    assert told(service, closed)[0] == "opened"
    assert told(service, closed)[-1] == "closed"


def test_updates_of_a_second_are_one_update(service, client):
    service.fleet.report("news", "opened", detector="audio.silence", start=50.0)
    [opened] = wait_until(lambda: known(client, "news", detector="audio.silence"))
    for number in range(200):
        service.fleet.report("news", "updated", detector="audio.silence", start=50.0, measures={"n": float(number)})
    latest = wait_until(lambda: [i for i in known(client, "news", state="open") if i["measures"].get("n") == 199.0])[0]
    assert latest["revision"] - opened["revision"] <= 4
    service.fleet.report("news", "closed", detector="audio.silence", start=50.0)


def test_renditions_of_a_channel_have_one_incident(service, client):
    for stream in ("hd", "sd"):
        service.fleet.report(stream, "opened", at=2000.0)
    [one] = wait_until(lambda: [i for i in known(client, "sport") if len(i["streams"]) == 2])
    assert one["subject"] == "sport"
    assert client.get("/api/v1/streams/sd").json()["incidents_open"] == 1
    for stream in ("hd", "sd"):
        service.fleet.report(stream, "closed", at=2005.0)
    wait_until(lambda: known(client, "sport", state="closed"))


def test_incidents_are_acknowledged_commented_on_and_muted(service, client):
    service.fleet.report("news", "opened", detector="video.freeze", start=70.0)
    [one] = wait_until(lambda: known(client, "news", detector="video.freeze"))
    page = f"/api/v1/incidents/{one['id']}"
    assert client.post(f"{page}/acknowledge").json()["acknowledged_by"] == "local"
    said = client.post(f"{page}/comments", json={"text": "<script>alert(1)</script>"})
    assert said.status_code == 201
    assert said.json()["comments"][0]["text"] == "<script>alert(1)</script>"
    assert said.headers["content-type"] == "application/json"
    assert said.headers["x-content-type-options"] == "nosniff"
    assert known(client, "news", text="alert")[0]["id"] == one["id"]
    assert known(client, "news", acknowledged=True)[0]["id"] == one["id"]
    assert client.post(f"{page}/mute").json()["muted_by"] == "local"
    service.fleet.report("news", "closed", detector="video.freeze", start=70.0)
    wait_until(lambda: client.get(page).json()["state"] == "closed")
    assert told(service, one) == []  # nothing was sent yet when it was muted
    assert not client.post(f"{page}/unmute").json()["muted"]
    for wrong in ({"text": ""}, {"text": "a\0b"}, {"text": "x" * 10_001}, {}, {"txt": "a"}):
        assert client.post(f"{page}/comments", json=wrong).status_code == 422
    assert client.post("/api/v1/incidents/none/acknowledge").status_code == 404


def test_in_a_window_nobody_is_told_and_after_it_what_lasts_is_told(service, client):
    service.fleet.report("works", "opened")
    [one] = wait_until(lambda: known(client, "works"))
    assert (one["muted"], one["muted_by"], told(service, one)) == (True, "maintenance", [])
    core = service.parts.core
    wait_until(lambda: service.fleet.unheeded_now == {"works", "event"})  # under load these go first
    shown = client.get("/api/v1/streams/works").json()
    assert shown["muted"]
    # A window of the file ends by a reload.
    service.path.write_text(CONFIG.replace("2999", "2001"))
    assert client.post("/api/v1/reload").status_code == 200
    assert not core.suppressed("works", time.time())
    wait_until(lambda: service.fleet.unheeded_now == {"event"})
    wait_until(lambda: told(service, one) == ["opened"])
    assert not client.get(f"/api/v1/incidents/{one['id']}").json()["muted"]
    service.fleet.report("works", "closed")


def test_outside_an_inverted_window_nobody_is_told(service, client):
    service.fleet.report("event", "opened")
    [one] = wait_until(lambda: known(client, "event"))
    assert one["muted"]
    service.fleet.report("event", "closed")


def test_evidence_is_kept_and_served_with_ranges(service, client, tmp_path):
    name, session = service.fleet.report("news", "opened", detector="video.bars", start=90.0)
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"G" * 1000)
    service.fleet.listener.on_evidence(name, session, "thumbnail", b"\xff\xd8first")
    service.fleet.listener.on_evidence(name, session, "thumbnail", b"\xff\xd8second")
    service.fleet.listener.on_evidence(name, session, "overlay", b"\xff\xd8map")
    service.fleet.listener.on_evidence(name, session, "clip", clip)
    service.fleet.listener.on_evidence(name, session, "series", json.dumps({"x": [1]}).encode())
    page = f"/api/v1/incidents/{part_key(name, session)}"
    wait_until(lambda: client.get(page).status_code == 200 and len(client.get(page).json()["evidence"]) == 4)
    assert client.get(f"{page}/thumbnail").content == b"\xff\xd8second"
    overlay = client.get(f"{page}/overlay")
    assert (overlay.content, overlay.headers["content-type"]) == (b"\xff\xd8map", "image/jpeg")
    assert client.get(f"{page}/series").json() == {"x": [1]}
    part = client.get(f"{page}/clip", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"G" * 10, "video/mp2t")
    wait_until(lambda: not clip.exists())
    assert "data" not in json.dumps(client.get(page).json()["evidence"])
    [day] = (service.data / "evidence").iterdir()
    assert sorted(path.name for path in next(iter(day.iterdir())).iterdir()) == [
        "clip.ts",
        "overlay.jpg",
        "series.json",
        "thumbnail.jpg",
    ]
    service.fleet.report("news", "closed", detector="video.bars", start=90.0)


def test_lists_are_filtered_and_come_in_pages(service, client):
    for number in range(5):
        for change in ("opened", "closed"):
            service.fleet.report("news", change, detector="av.sync", start=1000.0 * number, at=5000.0 + 100 * number)
    query = {"stream": "news", "detector": "av.*", "limit": 2}
    wait_until(lambda: len(known(client, "news", detector="av.*", state="closed")) == 5)
    first = client.get("/api/v1/incidents", params=query).json()
    rest = client.get("/api/v1/incidents", params=query | {"limit": 10, "cursor": first["next"]}).json()
    assert [item["start"] for item in (*first["items"], *rest["items"])] == [4000.0, 3000.0, 2000.0, 1000.0, 0.0]
    some = known(client, "news", detector="av.sync", since="1970-01-01T01:25:00Z", until=5250)
    assert [item["start"] for item in some] == [2000.0, 1000.0]
    assert known(client, "news", label="region=us") == []
    assert len(known(client, "news", label="region=eu", detector="av.sync")) == 5
    for wrong in ({"severity": "bad"}, {"since": "yesterday"}, {"cursor": "x"}, {"unknown": "1"}, {"limit": "many"}):
        answer = client.get("/api/v1/incidents", params=wrong)
        assert answer.status_code == 422, wrong
        assert set(answer.json()["error"]) == {"what", "why", "remedy"}


def test_a_removed_stream_leaves_no_open_incident(tmp_path):
    with running(tmp_path, "service: {api_private_addresses: true}") as service, service.client() as client:
        client.post("/api/v1/streams", json={"id": "gone", "url": "http://127.0.0.1:9/x.ts"})
        service.fleet.report("gone", "opened", at=time.time() - 60)
        wait_until(lambda: known(client, "gone"))
        client.delete("/api/v1/streams/gone")
        [one] = wait_until(lambda: known(client, "gone", state="closed"))
        assert one["closed_by"] == "removed"
        assert 55 < one["duration"] < 90


def test_what_an_earlier_session_left_open_is_closed_when_the_new_one_does_not_tell_it_again(tmp_path):
    config = "service: {damping_seconds: 0}\nstreams: [{id: one, url: a.ts}, {id: two, url: b.ts}]"
    with running(tmp_path, config) as service:
        now = time.time()
        for stream in ("one", "two"):
            service.fleet.report(stream, "opened", at=now - 100)
            service.fleet.report(stream, "opened", detector="audio.silence", at=now - 100)
        wait_until(lambda: len(service.parts.store.incidents.open_parts()) == 4)
    with running(tmp_path, config) as service, service.client() as client:
        assert len(client.get("/api/v1/incidents", params={"state": "open"}).json()["items"]) == 4
        fleet = service.fleet
        fleet.sessions = {"one": "new", "two": "new"}
        # Both sources came back; one has been running for longer than any detector takes.
        fleet.state = {"one": ("running", time.time() - 1000), "two": ("running", time.time() - 1)}
        fleet.report("one", "opened", start=0.5)  # the black picture still holds in the new session
        wait_until(lambda: known(client, "one", state="closed"))
        [black] = known(client, "one", state="open")
        [silence] = known(client, "one", state="closed")
        assert (black["detector"], silence["detector"], silence["closed_by"]) == (
            "video.black", "audio.silence", "removed",
        )  # fmt: skip
        assert len(known(client, "two", state="open")) == 2
        assert [part.session for part in service.parts.store.incidents.open_parts() if part.stream == "one"] == ["new"]


def test_incidents_are_forgotten_after_their_days(tmp_path):
    config = "service: {incident_days: 30}\nstreams: [{id: one, url: a.ts}]"
    day = 86_400.0
    with running(tmp_path, config) as service:
        for number, age in enumerate((60, 10)):
            for change in ("opened", "closed"):
                service.fleet.report("one", change, start=100.0 * number, at=time.time() - age * day)
        service.fleet.report("one", "opened", detector="audio.hum", at=time.time() - 90 * day)
        wait_until(lambda: len(service.parts.store.incidents.list().items) == 3)
    with running(tmp_path, config) as service:
        wait_until(lambda: len(service.parts.store.incidents.list().items) == 2)
        assert {item.detector for item in service.parts.store.incidents.list().items} == {"video.black", "audio.hum"}
