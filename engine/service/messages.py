"""What the supervisor and an engine process say to each other, framed by engine/wire.py.

Only plain values cross: whoever reads them needs neither torch nor libav.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from engine.remote_log import LogLine
from engine.verdicts import Incident, StreamSecond, SyncVerdict


class TakeIngest(msgspec.Struct, tag=True, frozen=True):
    """An ingest process is there. Three descriptors come along: socket, ring memory, doorbell.

    Args:
        pid: its process id.
    """

    name: str
    pid: int


class DropIngest(msgspec.Struct, tag=True, frozen=True):
    """An ingest process is no longer needed."""

    name: str


class Judge(msgspec.Struct, tag=True, frozen=True):
    """Judge a stream, or judge it otherwise; see StreamPlan.

    Args:
        ingest: name of the ingest process that reads it.
        session: of this run; the one that goes on where only something about it changes.
    """

    id: str
    url: str
    detectors: Mapping[str, Mapping[str, Any]]
    priority: int
    loop: bool
    rendition: str
    private_addresses: bool
    ingest: str
    session: str
    reference: str | None = None
    shadow: Mapping[str, Mapping[str, Any]] | None = None


class Move(msgspec.Struct, tag=True, frozen=True):
    """Another ingest process reads a stream, from the moment at which the one that did is gone."""

    id: str
    ingest: str


class Remove(msgspec.Struct, tag=True, frozen=True):
    """Stop judging a stream."""

    id: str


class Snap(msgspec.Struct, tag=True, frozen=True):
    """Make a picture of what a stream shows."""

    id: str


class Drain(msgspec.Struct, tag=True, frozen=True):
    """Judge what is queued, tell what is open, and end."""

    seconds: float


class EngineReady(msgspec.Struct, tag=True, frozen=True):
    """The process has started and takes streams."""

    pid: int
    device: str


class EngineCompiles(msgspec.Struct, tag=True, frozen=True):
    """The process is starting, and has to compile the kernels first, as this machine never ran them."""


class IncidentSaid(msgspec.Struct, tag=True, frozen=True):
    """An incident changed at Unix second `at`."""

    incident: Incident
    change: Literal["opened", "updated", "closed"]
    session: str
    at: float


class ShadowSaid(msgspec.Struct, tag=True, frozen=True):
    """Rules that are tried beside a stream's own found something; as IncidentSaid."""

    incident: Incident
    change: Literal["opened", "updated", "closed"]
    session: str
    at: float


class SecondSaid(msgspec.Struct, tag=True, frozen=True):
    """A media second was judged; `at` is the Unix second at which it was played."""

    second: StreamSecond
    session: str
    at: float


class Ended(msgspec.Struct, tag=True, frozen=True):
    """A stream is over. `cause` and `detail` say why where it failed."""

    id: str
    session: str
    state: Literal["ended", "failed", "removed"]
    cause: str | None
    detail: str


class Picture(msgspec.Struct, tag=True, frozen=True):
    """A picture that was asked for."""

    id: str
    jpeg: bytes


class Evidence(msgspec.Struct, tag=True, frozen=True):
    """A piece of evidence: its bytes, or the file that holds it and is handed over."""

    incident_id: str
    session: str
    kind: Literal["thumbnail", "clip", "series", "overlay"]
    content: bytes | None
    path: str | None


class StreamSaid(msgspec.Struct, frozen=True):
    """How a stream is; see StreamStatus."""

    id: str
    session: str
    state: Literal["starting", "running", "stalled", "shed"]
    cause: str | None
    media_seconds: float
    lag_seconds: float
    sampling: float
    decoder: str | None
    decoder_reason: str
    video: str | None
    audio: str | None
    counters: dict[str, float]
    renditions: tuple[str, ...] = ()
    sync: SyncVerdict | None = None
    detail: str = ""


class Report(msgspec.Struct, tag=True, frozen=True):
    """How an engine is, once a second; see EngineStatus. `latency_counts` has one count per bound, not cumulative.

    Those of each stage have the same bounds.
    """

    load: float
    headroom_streams: int
    resident_bytes: int
    counters: dict[str, float]
    latency_bounds: list[float]
    latency_counts: list[int]
    latency_sum: float
    batch_frames: float
    queue_depth: int
    streams: list[StreamSaid]
    stage_counts: dict[str, list[int]] = msgspec.field(default_factory=dict)
    stage_sums: dict[str, float] = msgspec.field(default_factory=dict)


SupervisorSays = TakeIngest | DropIngest | Judge | Move | Remove | Snap | Drain
EngineSays = (
    EngineReady
    | EngineCompiles
    | IncidentSaid
    | ShadowSaid
    | SecondSaid
    | Ended
    | Picture
    | Evidence
    | Report
    | LogLine
)
