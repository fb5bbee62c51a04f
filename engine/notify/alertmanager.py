"""Prometheus's Alertmanager: an open incident is a firing alert, told again for as long as it is open.

Source: Alertmanager's API v2. An alert that is not told again resolves at its `endsAt`; Prometheus itself sets that to
four times its resend interval ahead. Every instance of a cluster has to be told: they exchange what they notified, not
the alerts.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.notify.http import Poster, Reply
from engine.notify.message import Message, plain
from engine.notify.sender import Sender
from engine.settings.notify import AlertmanagerSink
from engine.store.records import wall_text

# How many resends may be lost before an open incident resolves by itself.
_LOST_RESENDS: Final = 4
_TEST_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


class AlertmanagerSender(Sender):
    """Posts alerts to all instances of an Alertmanager; it has arrived when one of them has it.

    Args:
        name: of the sink.
        sink: its configuration.
        link: address of an incident's page, with {id} in it.
        clock: Unix seconds.
    Raises: ConfigError.
    """

    def __init__(
        self, name: str, sink: AlertmanagerSink, link: str | None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name)
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in sink.urls]
        self._labels = dict(sink.labels)
        self._resend_seconds = sink.resend_seconds
        self._link = link
        self._clock = clock
        self._away: set[str] = set()
        self._poster = Poster(name, sink.timeout_seconds, sink.headers, ca_file=sink.ca_file)

    @property
    def renew_seconds(self) -> float | None:
        """As configured."""
        return self._resend_seconds

    def send(self, message: Message) -> str:
        """Fire, or resolve."""
        alerts = [self._alert(change, change["type"] == "test") for change in message.changes()]
        reached = self._post(alerts)
        return f"{reached} of {len(self._urls)} instances" if len(self._urls) > 1 else "HTTP 200"

    def renew(self, open_incidents: Sequence[Mapping[str, Any]]) -> None:
        """Keep what is open from resolving."""
        if open_incidents:
            self._post([self._alert({**incident, "state": "open"}, False) for incident in open_incidents])

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> int:
        """Tell every instance. Returns: how many took it. Raises: NotifyError if none did."""
        replies = self._poster.post(self._urls, json.dumps(alerts, allow_nan=False).encode())
        for url, reply in zip(self._urls, replies, strict=True):
            self._note(url, reply)
        reached = sum(reply.arrived for reply in replies)
        if reached:
            return reached
        raise self.failed(
            "; ".join(dict.fromkeys(reply.why for reply in replies)),
            remedy="see that Alertmanager runs and is reached",
            permanent=all(reply.permanent for reply in replies),
            divisible=any(reply.divisible for reply in replies),
            retry_after_seconds=max((reply.retry_after_seconds or 0.0 for reply in replies), default=None),
        )

    def _note(self, url: str, reply: Reply) -> None:
        """Log an instance that does not take alerts, once."""
        if reply.arrived:
            self._away.discard(url)
        elif url not in self._away:
            self._away.add(url)
            log.warning("notifications to %s: %s does not take alerts: %s", self.name, url, reply.why)

    def _alert(self, incident: Mapping[str, Any], test: bool) -> dict[str, Any]:
        # Labels are the alert's identity: nothing here may change from its firing to its resolving.
        labels = {_label(name): value for name, value in incident["labels"].items()} | {
            "alertname": "avjury_test" if test else incident["detector"],
            "detector": incident["detector"],
            "severity": incident["severity"],
            "stream": incident["stream"],
            **({"channel": incident["subject"]} if incident["subject"] != incident["stream"] else {}),
            **self._labels,
        }
        now = self._clock()
        if incident["state"] == "closed":
            ends = str(incident["closed_at"])
        else:
            ends = str(wall_text(now + (_TEST_SECONDS if test else _LOST_RESENDS * self._resend_seconds)))
        # Alertmanager refuses an end before the start, which a clock that was set back would make.
        ends = max(ends, str(incident["opened_at"]))
        annotations = {
            "summary": plain(f"{incident['detector']} on {incident['subject']}"),
            "description": plain(incident["cause"] or f"open since {incident['opened_at']}"),
            "incident": incident["id"],
        }
        alert = {"labels": labels, "annotations": annotations, "startsAt": incident["opened_at"], "endsAt": ends}
        if self._link is not None:
            alert["generatorURL"] = self._link.replace("{id}", str(incident["id"]))
        return alert


def _label(name: str) -> str:
    """A label's name as Prometheus allows it."""
    legal = "".join(mark if mark.isascii() and (mark.isalnum() or mark == "_") else "_" for mark in name)
    return legal if legal and not legal[0].isdigit() else f"_{legal}"
