"""What the fleet reports, handed on: incidents and evidence to the recorder, seconds to their store, all to readers."""

import logging
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.ingest.url_policy import redact
from engine.level_columns import unpack_levels
from engine.service.contract import Change, EvidenceKind, StreamStatus
from engine.service.events import EventHub
from engine.service.open_incidents import OpenIncidents
from engine.service.recorder import Recorder
from engine.service.sinks import VerdictSink
from engine.store.records import Recorded, wall_text
from engine.verdicts import Incident, StreamSecond

log = logging.getLogger(__name__)


def status_json(status: StreamStatus) -> dict[str, Any]:
    """A status as API and events show it."""
    shown = asdict(status)
    # Hidden where it is made, and once more where it leaves.
    return shown | {"since": wall_text(status.since), "detail": redact(status.detail)}


def second_json(second: StreamSecond, session: str, at: float) -> dict[str, Any]:
    """A second as events show it."""
    shown = asdict(second)
    levels = {name: [_shown(low), _shown(high)] for name, (low, high) in unpack_levels(shown.pop("levels")).items()}
    return shown | {"session": session, "played_at": wall_text(at), "levels": levels}


def _shown(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


class Listener:
    """The fleet's listener: called from one thread of the fleet's, and quick.

    Args:
        recorder: of incidents and their evidence.
        verdicts: store of seconds.
        hub: whom watchers read.
        seconds: who else takes each second, and when it was played.
        take: told of incidents that were kept elsewhere.
    """

    def __init__(
        self,
        recorder: Recorder,
        verdicts: VerdictSink,
        hub: EventHub,
        seconds: Sequence[Callable[[StreamSecond, float], None]] = (),
        take: Callable[[Recorded], None] = lambda told: None,
    ) -> None:
        self._take = take
        self._recorder = recorder
        self._verdicts = verdicts
        self._hub = hub
        self._take_second = tuple(seconds)
        self._states: dict[str, tuple[str, str | None]] = {}

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """Watchers hear of it when it has been kept."""
        self._recorder.report(incident, change, session, at)

    def on_recorded(self, told: Recorded) -> None:
        """Watchers hear of it."""
        self._take(told)

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """What is only tried is kept elsewhere (shadow.py)."""

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """Kept, and shown."""
        self._verdicts.put(second, session, at)
        for take in self._take_second:
            take(second, at)
        self._hub.publish("second", (second.stream,), lambda: second_json(second, session, at))

    def on_status(self, status: StreamStatus) -> None:
        """Shown; what changed of it is a line in the log."""
        self._hub.publish("status", (status.id,), lambda: status_json(status))
        seen = (status.state, status.cause)
        if self._states.get(status.id) != seen:
            self._states[status.id] = seen
            bad = status.state in ("stalled", "failed", "quarantined", "shed")
            why = f" ({status.cause})" if status.cause else ""
            why += f": {status.detail}" if status.detail else ""
            level = logging.WARNING if bad else logging.INFO
            log.log(level, "%s%s", status.state, why, extra={"stream": status.id})

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """Kept."""
        self._recorder.evidence(incident_id, session, kind, content)

    def keep_only(self, streams: Container[str]) -> None:
        """Forget the streams that are gone."""
        for stream_id in [one for one in tuple(self._states) if one not in streams]:
            self._states.pop(stream_id, None)


def recorded(hub: EventHub, open_incidents: OpenIncidents) -> Callable[[Recorded], None]:
    """What the recorder tells: changes that users see become events and counts."""

    def take(told: Recorded) -> None:
        if told.change is None:
            return
        record, change = told.incident, told.change
        open_incidents.take(record, change)
        hub.publish("incident", record.streams, lambda: {"change": change, "incident": record.as_json()})
        if change != "updated":
            level = logging.INFO if change == "closed" or record.muted else logging.WARNING
            log.log(level, "%s %s (%s)", record.detector, change, record.severity,
                    extra={"stream": record.stream, "incident": record.id})  # fmt: skip

    return take
