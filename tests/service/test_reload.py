"""The configuration is read again whole or not at all, and unchanged streams do not notice."""

import pytest
from running_service import running, scraped, wait_until
from scripted_fleet import ScriptedFleet

CONFIG = """auth: {token: first}
detectors:
  video.blur: false
streams:
  - {id: same, url: same.ts}
  - {id: changed, url: old.ts}
  - {id: gone, url: gone.ts}
"""
BETTER = """auth: {token: second}
detectors:
  video.blur: false
streams:
  - {id: same, url: same.ts}
  - {id: changed, url: new.ts}
  - {id: fresh, url: fresh.ts}
"""


def test_only_what_differs_is_touched(tmp_path):
    with running(tmp_path, CONFIG) as service:
        service.fleet.log.clear()
        service.path.write_text(BETTER)
        with service.client("first") as client:
            told = client.post("/api/v1/reload").json()
        assert told == {"added": ["fresh"], "changed": ["changed"], "removed": ["gone"], "needs_restart": []}
        assert service.fleet.log == [("remove", "gone"), ("apply", "changed"), ("apply", "fresh")]
        assert service.fleet.plans["changed"].url == "new.ts"
        with service.client("first") as client:
            assert client.get("/api/v1/streams").status_code == 401
        with service.client("second") as client:
            assert [i["id"] for i in client.get("/api/v1/streams").json()["items"]] == ["changed", "fresh", "same"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BETTER + "streams: []\n", "line 8"),
        (BETTER + "  - {id: same, url: other.ts}\n", "line 5"),
        (BETTER.replace("fresh.ts}", "fresh.ts"), "not valid YAML"),
        (BETTER.replace("blur: false", "blur: perhaps"), "line 3"),
        (BETTER.replace("new.ts", "''"), "line 6"),
        ("{", "line 1"),
    ],
)
def test_a_wrong_one_is_refused_with_line_and_reason_and_the_old_one_stays(tmp_path, text, said):
    with running(tmp_path, CONFIG) as service, service.client("first") as client:
        before = dict(service.fleet.plans)
        service.fleet.log.clear()
        service.path.write_text(text)
        answer = client.post("/api/v1/reload")
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert said in f"{error['what']} {error['why']}"
        assert service.fleet.log == []
        assert service.fleet.plans == before
        assert client.get("/api/v1/streams/gone").status_code == 200
        samples = scraped(service)
        assert samples[("avjury_config_reload_failures_total",)] == 1
        assert samples[("avjury_config_last_reload_successful",)] == 0
        service.path.write_text(BETTER)
        assert client.post("/api/v1/reload").status_code == 200
        with service.client("second") as other:
            assert other.get("/api/v1/streams/fresh").status_code == 200
        assert scraped(service)[("avjury_config_last_reload_successful",)] == 1


def test_a_file_that_is_gone_changes_nothing(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client("first") as client:
        service.path.unlink()
        assert client.post("/api/v1/reload").status_code == 422
        assert client.get("/api/v1/streams/gone").status_code == 200


def test_what_streams_of_the_api_need_cannot_be_taken_away_from_them(tmp_path):
    config = "service: {api_private_addresses: true}\nprofiles: {mine: {detectors: {video.blur: false}}}\n"
    with running(tmp_path, config) as service, service.client() as client:
        made = {"id": "api", "url": "http://127.0.0.1:9/a.ts", "profile": "mine"}
        assert client.post("/api/v1/streams", json=made).status_code == 201
        assert "video.blur" not in service.fleet.plans["api"].detectors
        service.path.write_text("service: {api_private_addresses: true}\n")
        refused = client.post("/api/v1/reload")
        assert refused.status_code == 422
        assert "api" in refused.json()["error"]["what"]
        # A profile that changes changes the streams of the API too.
        service.path.write_text(config.replace("video.blur", "video.black"))
        assert client.post("/api/v1/reload").json()["changed"] == ["api"]
        assert "video.black" not in service.fleet.plans["api"].detectors


def test_a_stream_of_the_api_that_the_file_names_belongs_to_the_file(tmp_path):
    with running(tmp_path, "service: {api_private_addresses: true}\n") as service, service.client() as client:
        client.post("/api/v1/streams", json={"id": "mine", "url": "http://127.0.0.1:9/a.ts"})
        service.path.write_text("streams: [{id: mine, url: file.ts}]\n")
        assert client.post("/api/v1/reload").json()["changed"] == ["mine"]
        shown = client.get("/api/v1/streams/mine").json()
        assert (shown["origin"], shown["url"]) == ("config", "file.ts")
        assert client.delete("/api/v1/streams/mine").status_code == 409


def test_keys_that_a_running_service_does_not_take_on_are_named(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client("first") as client:
        service.path.write_text(CONFIG + "engine: {max_batch: 8}\nservice: {listen: '127.0.0.1:1', max_streams: 50}\n")
        with service.path.open("a") as file:
            file.write("slates: {holding: {hash: abcdef}}\n")
        told = client.post("/api/v1/reload").json()
        assert told["needs_restart"] == ["engine.max_batch", "service.listen", "slates"]
        assert service.parts.core.config.service.max_streams == 50


def test_a_reload_with_no_room_keeps_the_rest(tmp_path):
    with running(tmp_path, CONFIG, fleet=ScriptedFleet(room=3)) as service, service.client("first") as client:
        service.path.write_text(CONFIG + "  - {id: more, url: more.ts}\n")
        assert client.post("/api/v1/reload").json()["added"] == ["more"]
        states = {i["id"]: i["status"]["state"] for i in client.get("/api/v1/streams").json()["items"]}
        assert states == {"changed": "running", "gone": "running", "more": "shed", "same": "running"}
        service.path.write_text(CONFIG.replace("  - {id: gone, url: gone.ts}\n", "  - {id: more, url: more.ts}\n"))
        client.post("/api/v1/reload")
        wait_until(lambda: client.get("/api/v1/streams/more").json()["status"]["state"] in ("shed", "running"))
        service.parts.core.retry_refused()
        assert client.get("/api/v1/streams/more").json()["status"]["state"] == "running"
