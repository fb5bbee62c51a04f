"""What the service and its fleet of engines say to each other. Neither knows more of the other than this.

The *service* (API, storage, notifications) says what is to be judged; the *fleet* (engine and ingest processes) judges
it and reports. Wall-clock times are Unix seconds, media times the stream's own seconds.
"""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from engine.store.records import Recorded
from engine.verdicts import Incident, StreamSecond, SyncVerdict

Change = Literal["opened", "updated", "closed"]
StreamState = Literal["starting", "running", "stalled", "ended", "failed", "paused", "quarantined", "shed"]
EvidenceKind = Literal["thumbnail", "clip", "series", "overlay"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream as it is to be judged.

    Args:
        id: unique.
        url: file path or URL, its secrets in it; never logged or shown.
        detectors: the enabled ones, each with the parameters that differ from its defaults.
        group: the stream group, and so the engine, that it belongs to; "" lets the fleet choose.
        priority: 0 to 100; who is kept under overload: higher stays longer.
        paused: known, but not opened.
        loop: a file is read again from its start when it has ended, at the pace of its clock, as if it were live.
        rendition: which variant of a master playlist is judged: "best", "worst", a height as "720", or "all": as
            "best", the others being streams of their own.
        private_addresses: loopback and private addresses may be opened (streams of the operator's own configuration).
        reference: id of the stream that it is compared with, which the same engine has to judge; None without one.
        shadow: detectors that are tried beside these, of which nobody is told; None tries none.
        labels: of the stream; where there are many engines, they may choose among them.
        subsets: where there are many engines, as many of them judge the stream, each these of its detectors (patterns);
            the first one also what no pattern names. Empty: one judges all.
        windows: its maintenance windows, as they are kept (engine/settings/maintenance.py).
    """

    id: str
    url: str = field(repr=False)
    detectors: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    group: str = ""
    priority: int = 50
    paused: bool = False
    loop: bool = False
    rendition: str = "best"
    private_addresses: bool = False
    reference: str | None = None
    shadow: Mapping[str, Mapping[str, object]] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    subsets: tuple[tuple[str, ...], ...] = ()
    windows: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a stream is.

    Args:
        id: the stream's.
        state: "stalled" while its source is lost or gives nothing; "shed" while load keeps it from being judged.
        since: Unix seconds at which that state began.
        cause: why, in one word ("http_404", "crashed_5_times"); None where there is nothing to explain.
        detail: the same for people; secrets hidden.
        engine: name of the engine that judges it; "" while none does.
        session: tells this run of the stream apart from earlier ones, whose media times began at 0 too.
        device: "cpu" or "cuda:N".
        decoder: "nvdec" or "software"; None without pictures.
        decoder_reason: why that one was chosen.
        media_seconds: where its timeline stands.
        lag_seconds: how far the verdicts are behind what was decoded.
        sampling: share of its pictures that are judged; below 1 under load.
        video, audio: what its tracks are, for people ("h264 1920x1080 25 fps"); None without.
        restarts: how often a process died under it.
        renditions: rules of those that its source offers, the one that is judged first; see ingest/renditions.py.
        sync: sound against picture, as far as it is known; None where nobody asked, or a track is missing.
        sessions: all sessions that judge it now, where it is more than that one (StreamPlan.subsets).
    """

    id: str
    state: StreamState
    since: float
    cause: str | None = None
    detail: str = ""
    engine: str = ""
    session: str = ""
    device: str = ""
    decoder: str | None = None
    decoder_reason: str = ""
    media_seconds: float = 0.0
    lag_seconds: float = 0.0
    sampling: float = 1.0
    video: str | None = None
    audio: str | None = None
    restarts: int = 0
    renditions: tuple[str, ...] = ()
    sync: SyncVerdict | None = None
    sessions: tuple[str, ...] = ()

    def judges(self, session: str) -> bool:
        """Whether that session is a present one."""
        return session == self.session or session in self.sessions


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How one engine process is.

    Args:
        name: of its stream group.
        device: "cpu" or "cuda:N".
        pid: process id; 0 while it is down.
        up: it answers.
        restarts: how often it was started again.
        streams: how many it judges.
        load: share of its time that it is busy, over the last seconds; 1 is full.
        headroom_streams: how many more average streams it can take.
        resident_bytes: of its process.
        counters: running totals since the service began, over all restarts, by metric name without prefix and suffix
            ("frames_decoded", "device_to_host_bytes", ...).
        stream_counters: the same per stream ("frames_decoded", "frames_measured", "decode_errors", "packets",
            "packet_bytes", "audio_samples").
        latency_buckets: cumulative count of verdicts by upper bound in seconds from decoded to judged, +inf last.
        latency_sum: of all of them, in seconds.
        stage_buckets, stage_sums: the same of each stage on the way there: "ingest" (a packet, from its source to the
            engine), "decode" (a packet of pictures), "queue" (a picture that waits for its batch), "measure" (a batch),
            "judge" (a batch).
        batch_frames: mean pictures in a batch over the last seconds.
        queue_depth: surfaces and blocks that wait, over all its streams.
        detail: why it is not up, for people; "" while it is.
    """

    name: str
    device: str
    pid: int
    up: bool
    restarts: int
    streams: int
    load: float
    headroom_streams: int
    resident_bytes: int
    counters: Mapping[str, float] = field(default_factory=dict)
    stream_counters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    latency_buckets: Mapping[float, int] = field(default_factory=dict)
    latency_sum: float = 0.0
    batch_frames: float = 0.0
    queue_depth: int = 0
    detail: str = ""
    stage_buckets: Mapping[str, Mapping[float, int]] = field(default_factory=dict)
    stage_sums: Mapping[str, float] = field(default_factory=dict)


class FleetListener(Protocol):
    """Who is told what the engines found. Called from one thread of the fleet's, one call after the other; quick."""

    def on_incident(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """An incident changed at Unix second `at`. The same report may come twice."""

    def on_recorded(self, told: Recorded) -> None:
        """An incident changed, and has been kept by whoever judges it: where engines have a store of their own."""

    def on_shadow(self, incident: Incident, change: Change, session: str, at: float) -> None:
        """As on_incident, of the detectors that are tried beside (StreamPlan.shadow)."""

    def on_second(self, second: StreamSecond, session: str, at: float) -> None:
        """A media second of a stream was judged; `at` is the Unix second at which it was played."""

    def on_status(self, status: StreamStatus) -> None:
        """A stream's state, cause or engine changed."""

    def on_evidence(self, incident_id: str, session: str, kind: EvidenceKind, content: bytes | Path) -> None:
        """A piece of evidence of an incident (the engine's own id): its bytes, or a file that is handed over."""


class Fleet(Protocol):
    """The engines, as the service sees them. Thread-safe; no call waits for a stream."""

    def start(self, listener: FleetListener) -> None:
        """Start the processes."""

    def apply(self, plan: StreamPlan) -> None:
        """Take a stream in, or change it; what can change without opening the source again does.

        Raises: CapacityError, with the headroom, where no engine has room; ConfigError.
        """

    def remove(self, stream_id: str) -> None:
        """Stop judging a stream; its open incidents are reported closed as "removed". Unknown ids are nothing."""

    def unheeded(self, streams: Collection[str]) -> None:
        """The streams, and no others, of whose incidents nobody is told now: under load they go first."""

    def keep_only(self, streams: Container[str]) -> None:
        """Stop judging all other streams: an earlier service may have had them applied, where engines outlive it."""

    def status(self, stream_id: str) -> StreamStatus | None:
        """One stream; None if it was not applied."""

    def statuses(self) -> Mapping[str, StreamStatus]:
        """All streams by id."""

    def engines(self) -> tuple[EngineStatus, ...]:
        """All engines, as they last reported."""

    def thumbnail(self, stream_id: str) -> bytes | None:
        """A JPEG of what the stream shows now, at most a few seconds old; None without pictures. Asking makes it."""

    def ready(self) -> str | None:
        """None when every engine answers, else what is missing, in words."""

    def stop(self, drain_seconds: float = 10.0) -> None:
        """End all processes: finish batches, report what is left, close files; what outlasts the limit is killed."""
