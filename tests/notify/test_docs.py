"""docs/notifications.md says what is: its configuration is taken, and its verification of webhooks verifies."""

import re
from pathlib import Path

import pytest
import receivers
from receivers import Receiver

from engine.config import load
from engine.settings import notify as settings
from engine.settings.notify import NotifySection

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()


def fenced(kind):
    return re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL).group(1)


def test_the_configuration_of_the_page_is_taken(tmp_path):
    (tmp_path / "c.yaml").write_text(fenced("yaml"))
    section = load(tmp_path / "c.yaml", {}, lambda name, values: None, {}).notify
    assert list(section.sinks) == ["ops", "mail"]
    assert section.routes[0].stop is False


def test_the_verification_of_the_page_takes_what_is_sent_and_nothing_else(service, secret):
    page = {}
    exec(fenced("python"), page)  # it is what readers run
    with Receiver() as receiver:
        sinks = {"hook": {"type": "webhook", "url": receiver.url, "secrets": [secret]}}
        service.start({"sinks": sinks, "routes": [{"sinks": ["hook"]}]})
        service.open()
        service.settled()
    [(headers, body)] = receiver.taken
    for verify in (page["verify"], receivers.verify):
        assert verify(secret, headers, body)
        assert not verify(secret, headers, body.replace(b"critical", b"info"))
        assert not verify(secret, {**headers, "webhook-id": "msg_other"}, body)
        assert not verify(secret, headers, body, now=float(headers["webhook-timestamp"]) + 301)


@pytest.mark.parametrize("kind", ["Webhook", "Alertmanager", "Sns", "Mqtt", "Apprise"])
def test_every_key_of_every_sink_is_on_the_page(kind):
    model = getattr(settings, f"{kind}Sink")
    missing = [name for name in model.model_fields if f"`{name}" not in PAGE and f"{name}:" not in PAGE]
    assert missing == []


def test_every_key_of_routes_and_of_the_section_is_on_the_page():
    for model in (settings.RouteSection, NotifySection):
        assert [name for name in model.model_fields if f"`{name}`" not in PAGE and f"{name}:" not in PAGE] == []
