"""What the page asks the service for: sessions, tiles, measures, and other thresholds."""

import contextlib
import json
import time

import pytest
from level_seconds import second
from running_service import running, wait_until

from engine.store.schema import outbox
from engine.verdicts import Severity

CONFIG = """
auth:
  token: a-token
  tokens: [{name: eve, role: viewer, token: v-token}, {name: olga, role: operator, token: o-token}]
service: {api_private_addresses: true}
streams: [{id: news, url: news.ts}, {id: films, url: films.ts}, {id: dim, url: dim.ts}]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        yield service


def put(service, stream, count, **levels):
    for number in range(count):
        service.fleet.listener.on_second(second(stream, number, **levels), "s", time.time() - count + number + 1)


@contextlib.contextmanager
def logged_in(service, token):
    """A client without a token, and the answer to its log-in."""
    with service.client() as client:
        yield client, client.post("/api/v1/session", json={"token": token})


def test_a_token_becomes_a_cookie_that_scripts_cannot_read(service):
    with logged_in(service, "o-token") as (client, answer):
        assert answer.json()["caller"] == {"name": "olga", "role": "operator"}
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "o-token" not in cookie
        assert client.get("/api/v1/session").json()["caller"]["name"] == "olga"
        assert client.get("/api/v1/streams").status_code == 200


def test_a_session_changes_things_only_from_the_services_own_page(service):
    with logged_in(service, "o-token") as (client, _):
        pause = "/api/v1/streams/news/pause"
        assert client.post(pause).status_code == 403
        assert client.post(pause, headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.post(pause, headers={"Origin": service.url}).status_code == 200
        assert client.post("/api/v1/streams/news/resume", headers={"Origin": service.url}).status_code == 200
        assert client.post("/api/v1/reload", headers={"Origin": service.url}).status_code == 403


def test_a_session_that_was_not_given_out_is_nobodys(service):
    with logged_in(service, "v-token") as (_, answer):
        pass
    good = answer.cookies["avjury_session"]
    for wrong in ("", "x", good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "A" * len(good), good + "c3a9"):
        headers = {"Cookie": f"avjury_session={wrong}"}
        with service.client() as plain:
            assert plain.get("/api/v1/streams", headers=headers).status_code == 401
            assert plain.get("/api/v1/session", headers=headers).json()["caller"] is None
    with service.client() as plain:
        assert plain.post("/api/v1/session", json={"token": "no-token"}).status_code == 401


def test_logging_out_takes_the_cookie_away(service):
    with logged_in(service, "v-token") as (client, _):
        assert client.delete("/api/v1/session").status_code == 204
        assert client.get("/api/v1/streams").status_code == 401


def test_a_session_holds_over_a_restart_and_ends_with_its_token(tmp_path):
    with running(tmp_path, CONFIG) as first, logged_in(first, "o-token") as (_, answer):
        pass
    headers = {"Cookie": f"avjury_session={answer.cookies['avjury_session']}"}
    assert (tmp_path / "data" / "session.key").stat().st_mode & 0o077 == 0
    with running(tmp_path, CONFIG) as again, again.client() as plain:
        assert plain.get("/api/v1/streams", headers=headers).status_code == 200
    with running(tmp_path, "auth: {token: other}") as other, other.client() as plain:
        assert plain.get("/api/v1/streams", headers=headers).status_code == 401


def test_tiles_say_what_is_wrong_the_worst_of_it(service):
    put(service, "films", 2, mafd=0.1, momentary=-23.0, true_peak_db=-3.0)
    with service.client("v-token") as client:

        def tile(name):
            return next(one for one in client.get("/api/v1/wall").json()["items"] if one["id"] == name)

        assert tile("films")["state"] == "ok"
        put(service, "films", 1, mafd=0.0, black_ratio=0.0)
        assert (tile("films")["state"], tile("films")["why"]) == ("pending", ["video.freeze"])
        service.fleet.report("films", "opened", "audio.loudness", severity=Severity.WARNING)
        wait_until(lambda: tile("films")["state"] == "warning")
        service.fleet.report("films", "opened", "video.black")
        wait_until(lambda: tile("films")["state"] == "critical")
        assert tile("films")["why"] == ["video.black", "audio.loudness"]
        service.fleet.report("films", "closed", "video.black")
        service.fleet.report("films", "closed", "audio.loudness", severity=Severity.WARNING)
        wait_until(lambda: tile("films")["incidents"] == 0)
        service.fleet.state["films"] = ("failed", time.time())
        assert tile("films")["state"] == "unknown"
        del service.fleet.state["films"]


def test_the_wall_is_pushed_whole_and_then_what_changed(service):
    put(service, "news", 1, mafd=0.1, momentary=-20.0, true_peak_db=-2.0)
    with service.client("v-token") as client, client.stream("GET", "/api/v1/wall/events") as answer:
        told = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        first = next(told)
        assert first["all"]
        assert {tile["id"] for tile in first["tiles"]} == {"news", "films", "dim"}
        assert first["levels"]["news"] == [-20.0, -2.0]
        service.fleet.report("news", "opened", "video.black")
        later = next(one for one in told if one["tiles"])
        assert not later["all"]
        assert "news" in {tile["id"] for tile in later["tiles"]}
    service.fleet.report("news", "closed", "video.black")
    wait_until(lambda: service.parts.wall.readers == 0, 5)


def test_the_service_itself_is_pushed_and_dead_letters_to_operators_only(service):
    letter = {"key": "k", "sink": "pager", "grouping": "", "incident_id": "i", "change": "opened", "payload": {},
              "state": "dead", "attempts": 9, "created_at": 1.0, "due_at": 1.0, "leased_until": 0.0,
              "settled_at": 2.0, "error": "no answer of https://eve:word@pager/"}  # fmt: skip
    with service.parts.store.database.write() as connection:
        connection.execute(outbox.insert().values(**letter))
    put(service, "news", 1)
    told = {}
    for token in ("v-token", "o-token"):
        with service.client(token) as client, client.stream("GET", "/api/v1/service/events") as answer:
            pushed = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
            told[token] = next(pushed)
            if token == "o-token":
                continue
            assert told[token]["service"]["streams"] == 3
            with service.client("o-token") as other:
                late = {"id": "late", "url": "http://127.0.0.1:9/late.ts"}
                other.post("/api/v1/streams", json=late).raise_for_status()
                assert next(one for one in pushed if one["service"]["streams"] != 3)["service"]["streams"] == 4
                other.delete("/api/v1/streams/late").raise_for_status()
    assert told["v-token"]["dead_letters"] == []
    [shown] = told["o-token"]["dead_letters"]
    assert (shown["sink"], shown["error"]) == ("pager", "no answer of https://***@pager/")
    [engine] = told["v-token"]["engines"]
    assert engine["up"]
    assert told["v-token"]["service"]["not_ready"] == {}
    lines = told["v-token"]["metrics"]
    assert any(line.startswith("avjury_recorder_backlog ") for line in lines)
    assert not any('stream="' in line for line in lines)


def test_measures_rules_and_a_backtest_of_a_stream(service):
    put(service, "dim", 20, mafd=0.1, black_ratio=0.97)
    with service.client("v-token") as client:
        told = client.get("/api/v1/streams/dim/measures?measures=mafd,black_ratio&points=100").json()
        assert max(v for v in told["measures"]["black_ratio"]["high"] if v is not None) == pytest.approx(0.97)
        rules = {rule["detector"]: rule for rule in client.get("/api/v1/streams/dim/rules").json()["items"]}
        assert rules["video.black"]["enter"] == 0.98
        body = {"detector": "video.black", "parameters": {"picture_black_ratio_th": 0.9}}
        answer = client.post("/api/v1/streams/dim/backtest", json=body).json()
        assert answer["present"] == []
        assert [one["certain"] for one in answer["tried"]] == [True]
        body = {"detector": "video.black", "parameters": {"pixel_black_th": 0.2}}
        assert "only what was measured" in client.post("/api/v1/streams/dim/backtest", json=body).text
        for path in ("measures?measures=nothing", "measures?since=5&until=4", "measures?since=1&until=9999999"):
            assert client.get(f"/api/v1/streams/dim/{path}").status_code == 422
        assert client.get("/api/v1/streams/none/measures").status_code == 404
        wrong = {"detector": "video.black", "parameters": {"nothing": 1}}
        assert client.post("/api/v1/streams/dim/backtest", json=wrong).status_code == 422


def test_the_page_lets_nothing_in_from_elsewhere(service):
    with service.client() as client:
        page = client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert (
            client.get("/page/app.js").headers["content-type"].startswith(("text/javascript", "application/javascript"))
        )
        again = client.get("/page/app.js", headers={"If-None-Match": client.get("/page/app.js").headers["etag"]})
        assert again.status_code == 304
        assert client.get("/page/../service.py").status_code == 404
