"""What is sent at one time to one sink, as JSON for programs and as text for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.store.outbox import Batch, message_id
from engine.store.records import Notice, wall_text

_LONGEST_TITLE: Final = 100


@dataclass(frozen=True, slots=True)
class Message:
    """One or more changes for one sink.

    Args:
        id: idempotency key: the same, with the same content, at every attempt.
        notices: in the order of the changes.
        test: sent by `avjury notify test`; it tells of no incident.
        link: address of an incident's page, with {id} in it.
    """

    id: str
    notices: tuple[Notice, ...]
    test: bool = False
    link: str | None = None

    @classmethod
    def of(cls, batch: Batch, link: str | None) -> "Message":
        """The message of a batch, or of the one notice that a part of it has."""
        return cls(message_id([batch.notices[0].key]) if batch.singly else batch.id, batch.notices, link=link)

    def changes(self) -> list[dict[str, Any]]:
        """Each change as programs get it: the incident after it, with what kind of change it was."""
        return [self._change(notice) for notice in self.notices]

    def document(self) -> dict[str, Any]:
        """The message as one JSON object: the change itself, or all of them as `items`."""
        changes = self.changes()
        return changes[0] if len(changes) == 1 else {"type": "incidents", "items": changes}

    def json(self) -> bytes:
        """`document` as UTF-8; equal at every attempt."""
        return encode(self.document())

    def title(self) -> str:
        """One line of at most 100 characters, without line breaks or other control characters."""
        mark = "TEST " if self.test else ""
        latest = self._latest()
        if len(latest) == 1:
            text = _line(latest[0])
        else:
            over = sum(1 for change in latest if change["state"] == "closed")
            bad = ", ".join(
                f"{count} {severity}" for severity in ("critical", "warning", "info")
                if (count := sum(1 for c in latest if c["severity"] == severity and c["state"] == "open"))
            )  # fmt: skip
            text = "; ".join(part for part in (bad and f"broken: {bad}", over and f"over: {over}") if part)
        return plain(f"avjury: {mark}{text}")[:_LONGEST_TITLE]

    def text(self, most: int) -> str:
        """A line for each incident, and how many more there are beyond `most`."""
        latest = self._latest()
        lines = [_line(change) for change in latest[:most]]
        lines = [plain(line) + (f" {change['link']}" if "link" in change else "")
                 for line, change in zip(lines, latest, strict=False)]  # fmt: skip
        if len(latest) > most:
            kinds: dict[str, int] = {}
            for change in latest[most:]:
                kinds[change["detector"]] = kinds.get(change["detector"], 0) + 1
            listing = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items(), key=lambda item: -item[1]))
            lines.append(f"and {len(latest) - most} more: {listing}")
        if self.test:
            lines.insert(0, "This is a test: there is no such incident.")
        return "\n".join(lines)

    def _latest(self) -> list[dict[str, Any]]:
        """The last change of each incident: people want to know how it is."""
        latest: dict[str, dict[str, Any]] = {}
        for change in self.changes():
            latest.pop(change["id"], None)
            latest[change["id"]] = change
        return list(latest.values())

    def _change(self, notice: Notice) -> dict[str, Any]:
        kind = "test" if self.test else "incident"
        change = {"type": kind, "change": notice.change, "key": notice.key, **notice.payload}
        if self.link is not None:
            change["link"] = self.link.replace("{id}", str(notice.payload["id"]))
        return change


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, without spaces."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def plain(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def _line(change: Mapping[str, Any]) -> str:
    what = f"{change['detector']} on {change['subject']}"
    cause = f" ({change['cause']})" if change.get("cause") else ""
    if change["state"] == "closed":
        return f"over after {change['duration']:.1f} s: {what}{cause}"
    return f"{change['severity']}: {what} since {change['opened_at']}{cause}"


def sample(at: float, key: str) -> Notice:
    """A change that looks like a real one, for test messages.

    Args:
        at: Unix seconds.
        key: its idempotency key.
    """
    payload: dict[str, Any] = {
        "id": "0" * 16,
        "stream": "test",
        "streams": ["test"],
        "subject": "test",
        "detector": "video.freeze",
        "severity": "info",
        "state": "open",
        "start": 0.0,
        "end": None,
        "duration": None,
        "score": 0.0,
        "measures": {},
        "labels": {},
        "closed_by": None,
        "cause": "this is a test",
        "opened_at": wall_text(at),
        "closed_at": None,
        "updated_at": wall_text(at),
        "reopenings": 0,
        "revision": 1,
        "muted": False,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "evidence": [],
        "comments": [],
    }
    return Notice(
        id=0, key=key, sink="", grouping="", incident_id=payload["id"], change="opened", payload=payload,
        state="pending", batch=None, attempts=0, created_at=at, due_at=at, settled_at=None, error=None,
    )  # fmt: skip
