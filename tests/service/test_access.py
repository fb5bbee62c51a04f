"""Who may do what: every route, every role; and what callers may send."""

import hashlib
import re

import pytest
from running_service import running

from engine.errors import ConfigError
from engine.service.api.limits import MOST_CALLERS, Budgets
from engine.service.auth import Gate, is_loopback
from engine.settings.auth import AuthSection, Token

TOKENS = {"viewer": "v-token", "operator": "o-token", "admin": "a-token"}
CONFIG = f"""
auth:
  failures_per_minute: 0
  token: {TOKENS["admin"]}
  tokens:
    - {{name: eve, role: viewer, token: {TOKENS["viewer"]}}}
    - {{name: olga, role: operator, token_sha256: {hashlib.sha256(b"o-token").hexdigest()}}}
service: {{max_body_bytes: 4096, open_metrics: false}}
streams: [{{id: news, url: news.ts}}]
"""
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
# Whose session it is, in, out: what comes before a role.
OPEN |= {(method, "/api/v1/session") for method in ("GET", "POST", "DELETE")}
RANKS = {"viewer": 0, "operator": 1, "admin": 2}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        yield service


def routes(service):
    """Method, address and role of everything in the API's own document."""
    with service.client() as client:
        document = client.get("/openapi.json").json()
    return [
        (method.upper(), path, operation.get("x-role"))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_has_a_role_but_those_for_machines(service):
    assert {(method, path) for method, path, role in routes(service) if role is None} == OPEN
    assert len(routes(service)) > 25


@pytest.mark.parametrize("role", [None, "wrong", "viewer", "operator", "admin"])
def test_each_role_may_do_what_it_may_and_nothing_else(service, role):
    token = TOKENS.get(role, "not-a-token" if role == "wrong" else None)
    with service.client(token) as client:
        for method, path, needed in routes(service):
            if needed is None or path.endswith(("/events", "/probe")):
                continue
            address = re.sub(r"\{\w+\}", "none", path)
            answer = client.request(method, address, json={} if method in ("POST", "PATCH") else None)
            if role in (None, "wrong"):
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
            elif RANKS[role] < RANKS[needed]:
                assert answer.status_code == 403, (method, path)
            else:
                assert answer.status_code not in (401, 403, 500), (method, path, answer.text)
            assert "token" not in answer.text or answer.status_code in (401, 403)


def test_events_need_a_token_too(service):
    with service.client() as client:
        assert client.get("/api/v1/events").status_code == 401
    with service.client(TOKENS["viewer"]) as client, client.stream("GET", "/api/v1/events") as answer:
        assert answer.status_code == 200
    with service.client(TOKENS["viewer"]) as client:
        assert client.post("/api/v1/streams/probe", json={"url": "http://x/"}).status_code == 403


def test_metrics_and_reasons_are_hidden_where_they_are_not_open(service):
    service.fleet.not_ready = "engine cpu is down"
    try:
        with service.client() as client:
            assert client.get("/metrics").status_code == 401
            assert client.get("/healthz").status_code == 200
        with service.client(TOKENS["viewer"]) as client:
            assert client.get("/metrics").status_code == 200
            assert "cpu" not in client.get("/readyz").text
    finally:
        service.fleet.not_ready = None


def test_a_caller_is_named_where_something_is_done(service):
    service.fleet.report("news", "opened")
    with service.client(TOKENS["operator"]) as client:
        while not (items := client.get("/api/v1/incidents").json()["items"]):
            pass
        acknowledged = client.post(f"/api/v1/incidents/{items[0]['id']}/acknowledge").json()
    assert acknowledged["acknowledged_by"] == "olga"


def test_a_long_body_is_refused_before_it_is_read(service):
    with service.client(TOKENS["admin"]) as client:
        answer = client.post("/api/v1/streams", content=b"x" * 10_000_000)
        assert answer.status_code == 413
        assert set(answer.json()["error"]) == {"what", "why", "remedy"}

        def endless():
            for _ in range(1000):
                yield b"x" * 1000

        assert client.post("/api/v1/streams", content=endless()).status_code == 413


def test_unknown_pages_and_methods_have_the_same_form(service):
    with service.client(TOKENS["admin"]) as client:
        for answer, status in ((client.get("/api/v2"), 404), (client.put("/api/v1/streams"), 405)):
            assert answer.status_code == status
            assert set(answer.json()["error"]) == {"what", "why", "remedy"}


def test_the_documentation_needs_nothing_from_the_network(service):
    with service.client() as client:
        page = client.get("/docs")
        assert page.status_code == 200
        assert "/api/v1/streams/{stream_id}" in page.text
        # Whatever it names lies on its own page, or beside it.
        assert set(re.findall(r'(?:href|src)="([^"#]+)', page.text)) == {"/openapi.json"}
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_without_tokens_only_this_machine_is_let_in(tmp_path):
    with running(tmp_path) as service, service.client() as client:
        assert client.get("/api/v1/streams").status_code == 200
        # A page of another site, by a name that it made point here, or by a form of its own.
        assert client.get("/api/v1/streams", headers={"Host": "evil.example"}).status_code == 403
        evil = client.post("/api/v1/reload", headers={"Origin": "http://evil.example"})
        assert evil.status_code == 403
        ours = client.post("/api/v1/reload", headers={"Origin": service.url})
        assert ours.status_code == 200


def test_listening_beyond_this_machine_takes_a_token():
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ConfigError, match="no token"):
            Gate(AuthSection(), host)
        Gate(AuthSection(token="x"), host)
    for host in ("127.0.0.1", "127.8.9.10", "::1", "localhost"):
        assert is_loopback(host)
        Gate(AuthSection(), host)


def test_a_token_is_given_in_one_way():
    with pytest.raises(ValueError, match="either"):
        Token(name="a", token="x", token_sha256="0" * 64)
    with pytest.raises(ValueError, match="either"):
        Token(name="a")
    assert "hunter2" not in repr(AuthSection(token="hunter2"))


def test_an_address_that_is_wrong_too_often_has_to_wait_and_those_who_are_known_do_not(tmp_path):
    config = "auth: {token: a-token, failures_per_minute: 5}"
    with running(tmp_path, config) as service, service.client("a-token") as known, service.client() as stranger:
        assert known.get("/api/v1/streams").status_code == 200
        guesses = [
            stranger.get("/api/v1/streams", headers={"Authorization": f"Bearer guess-{number}"}) for number in range(8)
        ]
        assert [answer.status_code for answer in guesses] == [401] * 5 + [429] * 3
        assert 1 <= int(guesses[-1].headers["retry-after"]) <= 12
        assert set(guesses[-1].json()["error"]) == {"what", "why", "remedy"}
        # Not even the right one, from there: who guesses learns nothing by it. Nor by the page's way in.
        assert stranger.post("/api/v1/session", json={"token": "a-token"}).status_code == 429
        assert known.get("/api/v1/streams").status_code == 200
        assert stranger.get("/healthz").status_code == 200


def test_wrong_logins_of_the_page_count_as_well(tmp_path):
    config = "auth: {token: a-token, failures_per_minute: 3}"
    with running(tmp_path, config) as service, service.client() as client:
        statuses = [client.post("/api/v1/session", json={"token": f"guess-{n}"}).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_a_caller_that_asks_too_often_has_to_wait_and_no_other(tmp_path):
    # Five at once, then one in two seconds.
    config = """
auth: {tokens: [{name: a, role: viewer, token: one}, {name: b, role: viewer, token: two}]}
service: {requests_per_second: 0.5}
"""
    with running(tmp_path, config) as service, service.client("one") as first, service.client("two") as second:
        answers = [first.get("/api/v1/incidents") for _ in range(20)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:5] == [200] * 5
        assert 429 in statuses
        limited = next(answer for answer in answers if answer.status_code == 429)
        assert int(limited.headers["retry-after"]) >= 1
        assert second.get("/api/v1/incidents").status_code == 200
        assert first.get("/healthz").status_code == 200


def test_budgets_fill_up_with_time_and_are_bounded():
    now = [0.0]
    budgets = Budgets(0.5, 2.0, lambda: now[0])
    for _ in range(2):
        assert budgets.wait_seconds("a") == 0
        budgets.spend("a")
    assert budgets.wait_seconds("a") == 2
    now[0] = 2.0
    assert budgets.wait_seconds("a") == 0
    now[0] = 1000.0
    assert budgets.left("a") == 2.0
    for number in range(2 * MOST_CALLERS):
        budgets.spend(f"caller {number}")
    assert len(budgets._left) == MOST_CALLERS
