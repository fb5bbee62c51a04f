"""Streams over the API: taken in, changed, paused, muted and taken out of a running service."""

import time
from dataclasses import replace

import pytest
from running_service import running, wait_until
from scripted_fleet import JPEG, ScriptedFleet

CONFIG = """
service: {api_private_addresses: true}
streams:
  - {id: news, url: "/media/news.ts", labels: {region: eu}, channel: one}
  - {id: quiet, url: "/media/quiet.ts", paused: true}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        yield service


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def stream(name, **values):
    return {"id": name, "url": f"http://user:hunter2@127.0.0.1:9/{name}.ts?token=abcdefghijklmnop", **values}


def test_a_stream_is_taken_in_shown_and_taken_out(service, client):
    made = client.post("/api/v1/streams", json=stream("one", labels={"a": "b"}, detectors={"video.blur": False}))
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/streams/one"
    plan = service.fleet.plans["one"]
    assert plan.url == stream("one")["url"]
    assert plan.private_addresses
    assert "video.blur" not in plan.detectors
    assert "video.freeze" in plan.detectors
    shown = client.get("/api/v1/streams/one").json()
    assert shown["origin"] == "api"
    assert shown["labels"] == {"a": "b"}
    assert shown["status"]["state"] == "running"
    assert shown["incidents_open"] == 0
    assert "hunter2" not in made.text + client.get("/api/v1/streams/one").text + client.get("/api/v1/streams").text
    assert "abcdefghijklmnop" not in made.text
    assert client.delete("/api/v1/streams/one").status_code == 204
    assert "one" not in service.fleet.plans
    assert client.get("/api/v1/streams/one").status_code == 404
    assert client.delete("/api/v1/streams/one").status_code == 404


def test_the_same_stream_again_is_no_other_and_another_of_that_id_is_refused(client):
    window = {"days": ["mon"], "start": "02:00", "end": "04:00", "zone": "Europe/Berlin"}
    first = client.post("/api/v1/streams", json=stream("same", maintenance=[window]))
    again = client.post("/api/v1/streams", json=stream("same", maintenance=[window]))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["created_at"] == again.json()["created_at"]
    other = client.post("/api/v1/streams", json=stream("same", priority=10))
    assert other.status_code == 409
    assert set(other.json()["error"]) == {"what", "why", "remedy"}
    assert client.post("/api/v1/streams", json=stream("news")).status_code == 409


def test_a_merge_patch_changes_what_it_names_and_null_goes_back_to_the_default(service, client):
    client.post("/api/v1/streams", json=stream("patched", labels={"a": "1", "b": "2"}, priority=10, group="left"))
    before = service.fleet.plans["patched"]
    patch = {"labels": {"a": None, "c": "3"}, "priority": None, "detectors": {"video.freeze": {"duration": "5s"}}}
    after = client.patch("/api/v1/streams/patched", json=patch)
    assert after.status_code == 200
    assert after.json()["labels"] == {"b": "2", "c": "3"}
    assert after.json()["priority"] == 50
    plan = service.fleet.plans["patched"]
    assert plan.detectors["video.freeze"] == {"duration": "5s"}
    assert (plan.url, plan.group) == (before.url, "left")
    # What was read can be written back: its hidden address keeps the true one.
    back = client.patch("/api/v1/streams/patched", json={"url": after.json()["url"], "priority": 60})
    assert back.status_code == 200
    assert service.fleet.plans["patched"].url == before.url
    assert client.patch("/api/v1/streams/patched", json={"id": "other"}).status_code == 409


def test_labels_alone_change_nothing_of_how_a_stream_is_judged(service, client):
    client.post("/api/v1/streams", json=stream("calm"))
    before = service.fleet.plans["calm"]
    client.patch("/api/v1/streams/calm", json={"labels": {"owner": "x"}})
    # Where there are many engines they may choose among them; tests/service/test_roster.py: an engine hears nothing.
    assert service.fleet.plans["calm"] == replace(before, labels={"owner": "x"})


def test_streams_pause_and_go_on(service, client):
    assert client.post("/api/v1/streams/news/pause").json()["paused"]
    assert service.fleet.plans["news"].paused
    assert client.get("/api/v1/streams/news").json()["status"]["state"] == "paused"
    assert not client.post("/api/v1/streams/news/resume").json()["paused"]
    assert not service.fleet.plans["news"].paused
    # The file has the last word.
    assert client.post("/api/v1/streams/quiet/resume").status_code == 409
    assert client.patch("/api/v1/streams/news", json={"priority": 1}).status_code == 409
    assert client.delete("/api/v1/streams/news").status_code == 409


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"id": "<script>alert(1)</script>"}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "../../etc/passwd"}, "id"),
        ({"id": "x" * 10_000}, "id"),
        ({"id": "x", "channel": "<img src=x>"}, "channel"),
        ({"id": "x", "labels": {"<b>": "1"}}, "labels"),
        ({"id": "x", "labels": {"a": "b\x00c"}}, "labels"),
        ({"id": "x", "priority": 101}, "priority"),
        ({"id": "x", "priority": "high"}, "priority"),
        ({"id": "x", "prioritty": 1}, "did you mean 'priority'"),
        ({"id": "x", "profile": "brodcast"}, "broadcast"),
        ({"id": "x", "detectors": {"video.blck": True}}, "video.black"),
        ({"id": "x", "detectors": {"video.freeze": {"duration": -5}}}, "duration"),
        ({"id": "x", "detectors": {"video.freeze": {"duration": [1]}}}, "detectors[video.freeze].duration"),
        ({"id": "x", "url": None, "ulr": "http://x/y"}, "did you mean 'url'"),
        ({"id": "x", "maintenance": [{"start": "02:00"}]}, "start and end"),
        ({"id": "x", "maintenance": [{"start": "02:00", "end": "03:00", "zone": "Mars/North"}]}, "Mars/North"),
        ({"id": "x", "rendition": "biggest"}, "rendition"),
        ({"id": "x", "reference": "newss"}, "did you mean 'news'"),
        ({"id": "x", "reference": "x"}, "its own reference"),
    ],
)
def test_what_is_wrong_with_a_stream_is_told(service, client, values, said):
    answer = client.post("/api/v1/streams", json=stream("x") | values)
    assert answer.status_code == 422
    assert said in f"{answer.json()['error']['why']} {answer.json()['error']['remedy']}"
    assert "hunter2" not in answer.text
    assert not [name for name in service.fleet.plans if name == "x" or "<" in name]


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "concat:a|b", "lavfi:x", "http://x/\ny", ""])
def test_callers_open_no_files_and_no_tricks(client, url):
    answer = client.post("/api/v1/streams", json={"id": "trick", "url": url})
    assert answer.status_code == 422
    assert client.get("/api/v1/streams/trick").status_code == 404


def test_a_body_that_is_no_object_is_told(client):
    for body in (b"{", b"[1]", b"nonsense", b'{"id": NaN}'):
        answer = client.post("/api/v1/streams", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["error"]["what"] == "wrong request"
    deep = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert client.post("/api/v1/streams", content=deep, headers={"Content-Type": "application/json"}).status_code < 500


def test_lists_come_in_pages_and_are_filtered(client):
    for number in range(7):
        client.post("/api/v1/streams", json=stream(f"page-{number}", labels={"page": "yes", "odd": str(number % 2)}))
    seen, cursor = [], None
    while True:
        query = {"limit": 3, "label": "page=yes"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/streams", params=query).json()
        seen.append([item["id"] for item in page["items"]])
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [["page-0", "page-1", "page-2"], ["page-3", "page-4", "page-5"], ["page-6"]]
    both = client.get("/api/v1/streams", params={"label": ["page=yes", "odd=1"]}).json()["items"]
    assert [item["id"] for item in both] == ["page-1", "page-3", "page-5"]
    assert [i["id"] for i in client.get("/api/v1/streams", params={"channel": "one"}).json()["items"]] == ["news"]
    assert [i["id"] for i in client.get("/api/v1/streams", params={"state": "paused"}).json()["items"]] == ["quiet"]
    for query in ({"limit": 0}, {"limit": 501}, {"cursor": "x!"}, {"sate": "paused"}, {"state": "bad"}, {"label": "a"}):
        assert client.get("/api/v1/streams", params=query).status_code == 422, query


def test_windows_are_added_shown_and_taken_away(client):
    window = {"days": ["sat"], "start": "22:00", "end": "01:00", "zone": "Europe/Berlin", "reason": "works"}
    made = client.post("/api/v1/streams/news/maintenance", json=window)
    assert made.status_code == 201
    assert made.json() == window | {"id": made.json()["id"]}
    assert {"stream": "news", **made.json()} in client.get("/api/v1/maintenance").json()["items"]
    assert not client.get("/api/v1/streams/news").json()["muted"] or time.strftime("%a") in ("Sat", "Sun")
    muted = client.post("/api/v1/streams/news/mute", json={"seconds": 60})
    assert client.get("/api/v1/streams/news").json()["muted"]
    for made_id in (made.json()["id"], muted.json()["id"]):
        assert client.delete(f"/api/v1/streams/news/maintenance/{made_id}").status_code == 204
    assert client.get("/api/v1/streams/news").json()["maintenance"] == []
    assert client.delete("/api/v1/streams/news/maintenance/none").status_code == 404


def test_a_thumbnail_is_shown_where_there_are_pictures(client):
    answer = client.get("/api/v1/streams/news/thumbnail")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/jpeg", JPEG)
    assert client.get("/api/v1/streams/quiet/thumbnail").status_code == 404
    assert client.get("/api/v1/streams/none/thumbnail").status_code == 404


def test_seconds_come_in_the_order_in_which_they_were_played(service, client):
    for number in range(5):
        service.fleet.second("news", number)
    first = client.get("/api/v1/streams/news/seconds", params={"limit": 3}).json()
    rest = client.get("/api/v1/streams/news/seconds", params={"limit": 3, "cursor": first["next"]}).json()
    assert [row["second"] for row in (*first["items"], *rest["items"])] == [0, 1, 2, 3, 4]
    assert rest["next"] is None
    query = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    assert client.get("/api/v1/streams/news/seconds", params=query).status_code == 422


def test_without_room_nothing_is_kept_and_the_headroom_is_told(tmp_path):
    fleet = ScriptedFleet(room=2)
    config = "service: {api_private_addresses: true}\nstreams:\n" + "".join(
        f"  - {{id: s{number}, url: a.ts}}\n" for number in range(3)
    )
    with running(tmp_path, config, fleet=fleet) as service, service.client() as client:
        refused = client.get("/api/v1/streams/s2").json()["status"]
        assert (refused["state"], refused["cause"]) == ("shed", "capacity_exceeded")
        answer = client.post("/api/v1/streams", json=stream("more"))
        assert answer.status_code == 503
        assert answer.json()["error"]["headroom_streams"] == 0
        assert "retry-after" in answer.headers
        assert client.get("/api/v1/streams/more").status_code == 404
        fleet.room = 4
        service.parts.core.retry_refused()
        wait_until(lambda: client.get("/api/v1/streams/s2").json()["status"]["state"] == "running")
        assert client.post("/api/v1/streams", json=stream("more")).status_code == 201


def test_private_addresses_are_refused_unless_the_configuration_allows_them(tmp_path):
    with running(tmp_path) as service, service.client() as client:
        for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "2130706433", "0x7f.1", "localhost"):
            answer = client.post("/api/v1/streams", json={"id": "inside", "url": f"http://{host}/x.ts"})
            assert answer.status_code == 422, host
            assert "address not allowed" in answer.json()["error"]["what"], host
            probe = client.post("/api/v1/streams/probe", json={"url": f"http://{host}/x.ts"})
            assert probe.status_code == 422, host
        assert service.fleet.plans == {}


def test_streams_of_the_api_and_what_it_said_of_others_are_there_after_a_start(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client() as client:
        client.post("/api/v1/streams", json=stream("kept", labels={"a": "b"}, rendition="720", loop=True))
        client.post("/api/v1/streams/news/pause")
        client.post("/api/v1/streams/news/mute", json={"seconds": 600})
        kept = client.get("/api/v1/streams/kept").json()
    with running(tmp_path, CONFIG) as service, service.client() as client:
        assert service.fleet.plans["kept"].url == stream("kept")["url"]
        assert client.get("/api/v1/streams/kept").json() | {"status": None} == kept | {"status": None}
        assert service.fleet.plans["news"].paused
        assert client.get("/api/v1/streams/news").json()["muted"]


def test_a_stream_is_compared_with_another_and_that_one_cannot_go(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client() as client:
        client.post("/api/v1/streams", json=stream("contribution"))
        added = client.post("/api/v1/streams", json=stream("distribution", reference="contribution"))
        assert (added.status_code, added.json()["reference"]) == (201, "contribution")
        assert service.fleet.plans["distribution"].reference == "contribution"
        refused = client.delete("/api/v1/streams/contribution")
        assert refused.status_code == 409
        assert "distribution" in refused.json()["error"]["why"]
        parted = client.patch("/api/v1/streams/distribution", json={"reference": "nothing"})
        assert parted.status_code == 422
    with running(tmp_path, CONFIG) as service, service.client() as client:
        assert service.fleet.plans["distribution"].reference == "contribution"
        taken = client.patch("/api/v1/streams/distribution", json={"reference": None})
        assert taken.json()["reference"] is None
        assert service.fleet.plans["distribution"].reference is None
        assert client.delete("/api/v1/streams/contribution").status_code == 204


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/streams"), ("PATCH", "/api/v1/streams/dark")])
def test_a_body_that_is_no_json_object_is_told_so(tmp_path, method, path):
    with running(tmp_path) as service, service.client() as client:
        bare = client.request(method, path, content=b'{"id": "x"}')  # as `curl -d` sends it
        form = client.request(method, path, data={"id": "x"})
        listed = client.request(method, path, json=[1])
    assert [answer.status_code for answer in (bare, form, listed)] == [422] * 3
    assert "Content-Type: application/json" in form.json()["error"]["remedy"]
    assert listed.json()["error"]["why"] == "the body is not a JSON object"
    assert "pydantic" not in bare.text
    assert "dictionary" not in bare.text + form.text + listed.text
