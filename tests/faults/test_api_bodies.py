"""Whatever body a caller sends to whichever route, the service says what is wrong with it, and never that it failed."""

import json
import re

import pytest
from properties import example, given, settings, st
from running_service import running

TOKEN = "a-token"
CONFIG = f"""
auth: {{token: {TOKEN}, failures_per_minute: 0}}
service: {{requests_per_second: 0, max_body_bytes: 65536}}
streams: [{{id: news, url: news.ts}}]
"""
# Names that the API's bodies have, so that draws get behind the first look at them.
NAMES = ["id", "url", "channel", "priority", "labels", "detectors", "profile", "paused", "mute", "token", "video.black",
         "comment", "text", "from", "until", "windows", "reference", "subsets", "rendition", "loop", "group", "stream",
         "detector", "parameters", "names", "since", "seconds", "enabled", "start", "end", "*", "reason"]  # fmt: skip
ODD = ["http://192.0.2.1/x.ts", "file:///etc/passwd", "news", "../x", "\x00", "2026-01-01T00:00:00Z", "1e999"]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(ODD),
)
KEYS = st.one_of(st.sampled_from(NAMES), st.text(max_size=8))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=15,
)
TEXTS = st.one_of(VALUES.map(json.dumps), st.text(max_size=60))
# What changes the service itself, or opens addresses.
LEFT_OUT = re.compile(r"/(reload|probe|session|restart)$")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        yield service


@pytest.fixture(scope="module")
def routes(service):
    with service.client() as client:
        document = client.get("/openapi.json").json()
    found = [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if method in ("post", "patch", "put", "delete") and not LEFT_OUT.search(path)
    ]
    assert len(found) > 5
    return found


@settings(max_examples=10, deadline=None)
@given(TEXTS, st.sampled_from(["news", "none", "%00", "a" * 300, "..%2f.."]))
@example('{"id": "x", "url": "http://192.0.2.1/x.ts", "priority": NaN}', "news")
@example("[" * 5000, "news")
@example('{"labels": {"\\ud800": "x"}}', "news")
def test_no_body_is_too_strange(service, routes, text, name):
    headers = {"Content-Type": "application/json"}
    with service.client(TOKEN) as client:
        for method, path in routes:
            address = re.sub(r"\{\w+\}", name, path)
            content = text.encode("utf-8", "surrogatepass")
            answer = client.request(method, address, content=content, headers=headers)
            assert answer.status_code < 500 or answer.status_code == 503, (method, path, text, answer.text)


ASKED = ["limit", "cursor", "stream", "state", "detector", "since", "until", "from", "to", "severity", "after", "step"]
ANSWERS = st.one_of(st.text(max_size=30), st.integers().map(str), st.floats().map(str))


@settings(max_examples=10, deadline=None)
@given(st.dictionaries(st.sampled_from(ASKED), ANSWERS, max_size=4))
@example({"cursor": "AAAA", "limit": "0"})
@example({"since": "1e999"})
@example({"limit": "9" * 5000})
def test_no_question_is_too_strange(service, query):
    with service.client(TOKEN) as client:
        for path in ("/api/v1/streams", "/api/v1/incidents", "/api/v1/streams/news/seconds"):
            answer = client.get(path, params={key: value for key, value in query.items() if value.isprintable()})
            assert answer.status_code < 500 or answer.status_code == 503, (path, query, answer.text)


# What schemathesis found once (test_openapi.py).
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/v1/streams", b"O\xe1u=\xffTiZ"),
        ("/api/v1/streams/news/mute", b'{"seconds": 5e-324}'),
        ("/api/v1/dead-letters/revive", b'{"ids": [9223372036854775808]}'),
        ("/api/v1/dead-letters/revive", b'{"ids": [-1]}'),
    ],
)
def test_a_body_that_cannot_be_meant_is_told_as_wrong(service, path, content):
    with service.client(TOKEN) as client:
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["what"]
