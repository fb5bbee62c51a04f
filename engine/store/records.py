"""What the store gives out. Plain values that no longer change; no connection hangs on them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from engine.verdicts import ClosedBy, Severity

Origin = Literal["config", "api"]
State = Literal["open", "closed"]
Change = Literal["opened", "updated", "closed"]
EvidenceKind = Literal["thumbnail", "clip", "series", "overlay"]
DeliveryState = Literal["pending", "delivered", "dead"]

T = TypeVar("T")


def wall_text(at: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC, to the millisecond: how wall-clock times are shown."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Args:
        items: in the list's order.
        next: cursor of the next page; None on the last one.
    """

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A stream that the service watches.

    Args:
        id: unique.
        url: its secrets hidden, except where `Streams.sources` gave it out.
        channel: streams with the same channel are renditions of it; their incidents are collapsed into one.
        group, loop, rendition, reference, subsets, profile, detectors, priority, labels: as in the configuration.
        origin: "config" from the operator's file, "api" added while running.
        paused: not opened for the time being.
        maintenance: windows and schedules, as the API took them.
        created_at, updated_at: Unix seconds; set by the store.
    """

    id: str
    url: str = field(repr=False)
    channel: str | None = None
    profile: str | None = None
    detectors: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 50
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = "api"
    paused: bool = False
    maintenance: tuple[Mapping[str, Any], ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0
    group: str = ""
    loop: bool = False
    rendition: str = "best"
    reference: str | None = None
    subsets: tuple[tuple[str, ...], ...] = ()

    @property
    def subject(self) -> str:
        """What incidents are collapsed by: the channel, or the stream itself."""
        return self.channel or self.id


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody wrote about an incident; `at` in Unix seconds."""

    at: float
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a piece of evidence lies.

    Args:
        place: path relative to the data directory, or an object store's key.
        bytes: its size.
        created_at: Unix seconds.
    """

    kind: EvidenceKind
    place: str
    bytes: int
    created_at: float


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """An incident as it is kept: what one or more reports of engines add up to (engine/store/incidents.py).

    Args:
        id: stable.
        stream: that it was first seen on.
        streams: all that it was seen on; more than one for renditions of a channel.
        subject: the channel, or the stream.
        start, end: media seconds of `stream`.
        score, measures: of the worst report.
        opened_at, closed_at, updated_at: Unix seconds.
        reopenings: how often it came back before it counted as over.
        revision: grows with every change that was recorded.
        muted: nobody is told.
        muted_by: who muted it: "maintenance", or a name; None where nobody did.
        acknowledged_at, acknowledged_by: None until somebody took it on.
    """

    id: str
    stream: str
    streams: tuple[str, ...]
    subject: str
    detector: str
    severity: Severity
    state: State
    start: float
    end: float | None
    score: float
    measures: Mapping[str, float | None]
    labels: Mapping[str, str]
    closed_by: ClosedBy | None
    cause: str | None
    opened_at: float
    closed_at: float | None
    updated_at: float
    reopenings: int
    revision: int
    muted: bool
    acknowledged_at: float | None
    acknowledged_by: str | None
    muted_by: str | None = None
    evidence: tuple[Evidence, ...] = ()
    comments: tuple[Comment, ...] = ()

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while open."""
        return None if self.end is None else self.end - self.start

    def as_json(self) -> dict[str, Any]:
        """The incident as API and notifications show it; wall-clock times in ISO 8601."""
        shown = asdict(self)
        shown["severity"] = str(self.severity)
        shown["streams"] = list(self.streams)
        shown["duration"] = self.duration
        # To the microsecond: 93.00000000000001 says no more.
        for name in ("start", "end", "duration"):
            shown[name] = shown[name] if shown[name] is None else round(shown[name], 6)
        for name in ("opened_at", "closed_at", "updated_at", "acknowledged_at"):
            shown[name] = wall_text(shown[name])
        shown["evidence"] = [
            {"kind": item.kind, "bytes": item.bytes, "created_at": wall_text(item.created_at)} for item in self.evidence
        ]
        shown["comments"] = [
            {"at": wall_text(item.at), "author": item.author, "text": item.text} for item in self.comments
        ]
        return shown


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A report of an engine that was not closed yet.

    Args:
        key: what it is known by.
        incident_id: that it belongs to.
        stream, session, detector: of the report.
        opened_at: Unix seconds.
    """

    key: str
    incident_id: str
    stream: str
    session: str
    detector: str
    opened_at: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `Incidents.record` did.

    Args:
        incident: as it now is.
        change: what users see of it; None where nothing changed (a report that came a second time).
    """

    incident: IncidentRecord
    change: Change | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Who is to be told of a change.

    Args:
        sink: name of the sink in the configuration.
        grouping: notices of one sink with the same grouping may be sent as one message.
        hold_seconds: how long the notice waits before it is due.
    """

    sink: str
    grouping: str = ""
    hold_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of the outbox: one change that one sink is to be told.

    Args:
        key: idempotency key, the same at every attempt.
        payload: the incident as it was after the change, as `IncidentRecord.as_json`.
        batch: what it is or was sent together with; None until the first attempt.
        attempts: begun so far.
        created_at, due_at, settled_at: Unix seconds.
        error: why the last attempt failed.
    """

    id: int
    key: str
    sink: str
    grouping: str
    incident_id: str
    change: Change
    payload: Mapping[str, Any]
    state: DeliveryState
    batch: str | None
    attempts: int
    created_at: float
    due_at: float
    settled_at: float | None
    error: str | None
