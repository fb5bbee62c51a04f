"""Webhooks against a real receiver that works, fails, hangs, lies and loses its replies."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from receivers import Receiver, verify
from servers import certificate, free_port

from engine.errors import ConfigError, NotifyError
from engine.notify.message import Message, sample
from engine.notify.webhook import WebhookSender

MESSAGE = Message("msg_1", (sample(1000.0, "k"),))


def hook(url, secret=None, **fields):
    sinks = {"hook": {"type": "webhook", "url": url, "secrets": [secret] if secret else [], **fields}}
    return {"sinks": sinks, "routes": [{"sinks": ["hook"]}]}


@pytest.fixture
def sender(sink):
    made = []

    def make(url, **fields):
        made.append(WebhookSender("hook", sink({"type": "webhook", "url": url, **fields})))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_each_change_arrives_signed_and_in_order(service, secret):
    with Receiver() as receiver:
        service.start({**hook(receiver.url, secret), "link": "https://a.example/incidents/{id}"})
        service.add("a", labels={"region": "eu"})
        opened = service.open(cause="no key frame")
        service.close()
        receiver.wait_for(2)
        service.settled()
    first, second = receiver.bodies
    assert (first["type"], first["change"], first["state"]) == ("incident", "opened", "open")
    assert (first["id"], first["stream"], first["cause"]) == (opened.id, "a", "no key frame")
    assert (first["labels"], first["link"]) == ({"region": "eu"}, f"https://a.example/incidents/{opened.id}")
    assert (second["change"], second["end"], second["closed_by"]) == ("closed", 9.0, "recovered")
    for headers, body in receiver.taken:
        assert verify(secret, headers, body)
        assert not verify(secret, headers, body + b" ")
        assert not verify(secret, headers, body, now=time.time() + 301)
        assert headers["content-type"] == "application/json"
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 2


def test_while_a_secret_changes_both_verify(sender, secret):
    old = "whsec_" + "b2xkIGtleSBvZiAzMiBieXRlcywgbm8gbG9uZ2VyIQ=="
    with Receiver() as receiver:
        sender(receiver.url, secrets=[secret, old]).send(MESSAGE)
    [(headers, body)] = receiver.taken
    assert verify(secret, headers, body)
    assert verify(old, headers, body)
    assert not verify("whsec_" + "bmV2ZXIgdXNlZCBvZiAzMiBieXRlcyBpbiBhbGwgISE=", headers, body)


def test_the_signature_is_that_of_the_standards_own_example():
    from engine.notify.webhook import sign
    from engine.settings.notify import secret_bytes

    # The test vector of the reference libraries.
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("how", [503, 500, 429, 408, 302, "hang", "drop", "garbage", "drip"])
def test_what_fails_is_sent_again_with_the_same_id_and_body(service, secret, how):
    with Receiver(lambda number: how if number == 0 else 204) as receiver:
        service.start(hook(receiver.url, secret, timeout_seconds=0.5))
        service.open()
        receiver.wait_for(2 if how == "drop" else 1)
        assert service.settled() == {("hook", "delivered"): 1}
        counts = service.notifier.snapshot()["hook"]
    assert len({(headers["webhook-id"], body) for headers, body in receiver.taken}) == 1
    assert counts.outcomes == {"delivered": 1, "failed": 1, "dead": 0}
    assert (counts.failing_since, counts.error) == (None, "")
    assert counts.latency_buckets[float("inf")] == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_is_refused_for_good_is_a_dead_letter_at_once(service, status):
    with Receiver(lambda number: status) as receiver:
        service.start(hook(receiver.url))
        service.open()
        assert service.settled() == {("hook", "dead"): 1}
        assert len(receiver.requests) == 1
        [letter] = service.store.outbox.dead_letters().items
        assert f"HTTP {status}" in letter.error
        assert service.notifier.snapshot()["hook"].outcomes == {"delivered": 0, "failed": 0, "dead": 1}
        # An operator who has repaired the receiver has it sent after all.
        receiver.answer = lambda number: 204
        service.store.outbox.revive([letter.id])
        assert service.settled() == {("hook", "delivered"): 1}
    assert receiver.taken[0][0]["webhook-id"] == receiver.requests[0][0]["webhook-id"]


def test_a_redirect_is_not_followed(sender):
    with Receiver() as trap, Receiver(lambda number: (307, {"Location": trap.url})) as receiver:
        with pytest.raises(NotifyError, match="307") as caught:
            sender(receiver.url).send(MESSAGE)
        assert not caught.value.permanent
        assert trap.requests == []


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_an_exchange_ends_within_its_limit_whatever_the_receiver_does(sender, how):
    with Receiver(lambda number: how) as receiver:
        began = time.monotonic()
        with pytest.raises(NotifyError, match="no answer within 1 s"):
            sender(receiver.url, timeout_seconds=1.0).send(MESSAGE)
        assert time.monotonic() - began < 2.5


def test_retry_after_is_honoured_as_seconds_and_as_a_date(sender):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    with Receiver(lambda number: (503, {"Retry-After": ["7", later, "99999", "soon"][number]})) as receiver:
        made = sender(receiver.url)
        asked = []
        for _ in range(4):
            with pytest.raises(NotifyError) as caught:
                made.send(MESSAGE)
            asked.append(caught.value.retry_after_seconds)
    assert asked[0] == 7
    assert 80 < asked[1] <= 90
    assert asked[2:] == [3600, None]


def test_nobody_is_asked_before_retry_after_has_passed(service):
    with Receiver(lambda number: (429, {"Retry-After": "2"}) if number == 0 else 204) as receiver:
        service.start(hook(receiver.url))
        began = time.monotonic()
        service.open("a")
        receiver_busy = began
        while not receiver.requests and time.monotonic() - receiver_busy < 10:
            time.sleep(0.01)
        service.open("b")
        receiver.wait_for(2)
        assert time.monotonic() - began >= 1.9
        service.settled()


def test_no_error_and_no_log_shows_what_is_secret(service, secret, caplog):
    url = f"http://127.0.0.1:{free_port()}/services/T0123/hunter2"
    service.start(hook(url, secret, headers={"authorization": "Bearer hunter2"}, most_attempts=1))
    service.open()
    service.settled()
    [letter] = service.store.outbox.dead_letters().items
    shown = f"{letter.error} {caplog.text} {service.notifier.snapshot()} {service.notifier._section!r}"
    assert "cannot connect" in letter.error
    assert "hunter2" not in shown
    assert secret.removeprefix("whsec_") not in shown


def test_a_tls_receiver_is_checked_against_the_given_authorities(sender, tmp_path):
    with pytest.raises(ConfigError, match="ca_file"):
        sender("https://127.0.0.1/", ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="ca_file"):
        sender("https://127.0.0.1/", ca_file=str(tmp_path / "bad.pem"))
    pair = certificate(tmp_path)
    with Receiver(tls=pair) as receiver:
        with pytest.raises(NotifyError, match="CERTIFICATE_VERIFY_FAILED"):
            sender(receiver.url).send(MESSAGE)
        assert receiver.requests == []
        sender(receiver.url, ca_file=str(pair[0])).send(MESSAGE)
        assert len(receiver.taken) == 1


def test_a_proxy_is_the_one_of_the_configuration_and_headers_are_sent(sender, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    headers = {"Content-Type": "application/avjury+json", "X-Team": "tv"}
    with Receiver() as proxy:
        where = proxy.url.removesuffix("/hook")
        sender("http://192.0.2.1/hook", proxy=where, headers=headers).send(MESSAGE)
        sender(proxy.url).send(MESSAGE)
    assert [got["content-type"] for got, _ in proxy.taken] == ["application/avjury+json", "application/json"]
    assert (proxy.taken[0][0]["host"], proxy.taken[0][0]["x-team"]) == ("192.0.2.1", "tv")


def test_several_changes_in_one_message_are_items(service):
    with Receiver(lambda number: 503 if number == 0 else 204) as receiver:
        service.start(hook(receiver.url, changes_per_message=10))
        for stream in "abc":
            service.open(stream)
        service.settled()
    assert all(body["type"] in ("incident", "incidents") for body in receiver.bodies)
    streams = [item["stream"] for body in receiver.bodies for item in body.get("items", [body])]
    assert sorted(streams) == ["a", "b", "c"]
