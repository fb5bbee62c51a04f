"""What the fleet knows of its engines, ingest processes and streams. Touched only under the fleet's lock."""

from dataclasses import dataclass, field
from typing import Any

from engine.ingest.control import IngestSays
from engine.service.children import Child
from engine.service.contract import EngineStatus, StreamPlan, StreamState, StreamStatus
from engine.service.messages import EngineSays, Judge, Report, StreamSaid
from engine.service.supervision import Restarts, Suspicion


@dataclass(frozen=True, slots=True)
class Group:
    """A stream group, and so an engine process.

    Args:
        name: by which plans choose it.
        device: "auto", "cpu", "cuda" or "cuda:N".
        slots: most streams.
        max_batch, max_wait_seconds, decode_threads, graphs: see EngineSettings.
    """

    name: str
    device: str = "auto"
    slots: int = 64
    max_batch: int = 256
    max_wait_seconds: float | None = None
    decode_threads: int = 1
    graphs: bool = True


@dataclass(slots=True)
class EnginePlace:
    """One engine, whether its process runs or not."""

    group: Group
    child: Child[EngineSays] | None = None
    ready: bool = False
    device: str = ""
    restarts: Restarts = field(default_factory=Restarts)
    report: Report | None = None
    added: int = 0  # streams since the last report, whose cost is not in its load yet
    before: dict[str, float] = field(default_factory=dict)  # counters of its dead processes
    latency_before: dict[float, int] = field(default_factory=dict)
    latency_sum_before: float = 0.0

    def bury(self) -> None:
        """Its process is gone: what it had counted stays counted."""
        report, self.report = self.report, None
        self.child, self.ready, self.added = None, False, 0
        if report is not None:
            self.before = self.counters(report)
            self.latency_before = self.latency(report)
            self.latency_sum_before += report.latency_sum

    def counters(self, report: Report | None) -> dict[str, float]:
        """Over all its processes."""
        total = dict(self.before)
        for name, value in (report.counters if report is not None else {}).items():
            total[name] = total.get(name, 0.0) + value
        return total

    def latency(self, report: Report | None) -> dict[float, int]:
        """Cumulative count by bound, over all its processes."""
        total = dict(self.latency_before)
        so_far = 0
        if report is not None:
            for bound, count in zip(report.latency_bounds, report.latency_counts, strict=True):
                so_far += count
                total[bound] = total.get(bound, 0) + so_far
        return total

    def load(self, streams: int) -> float:
        """Expected now, with the streams that were added since the last report."""
        if self.report is None:
            return 0.0
        judged = max(1, streams - self.added)
        return self.report.load + self.added * self.report.load / judged

    def headroom(self, streams: int, load_limit: float) -> int:
        """How many more streams it can take."""
        free = self.group.slots - streams
        if self.report is None:
            return max(0, free)
        room = self.report.headroom_streams - self.added
        return max(0, min(free, room if self.load(streams) < load_limit else 0))

    def status(self, streams: list["StreamPlace"], load_limit: float) -> EngineStatus:
        """As the service sees it."""
        report = self.report
        return EngineStatus(
            name=self.group.name,
            device=self.device or self.group.device,
            pid=self.child.pid if self.child is not None else 0,
            up=self.ready,
            restarts=self.restarts.count,
            streams=len(streams),
            load=report.load if report is not None else 0.0,
            headroom_streams=self.headroom(len(streams), load_limit),
            resident_bytes=report.resident_bytes if report is not None else 0,
            counters=self.counters(report),
            stream_counters={stream.plan.id: stream.counters() for stream in streams},
            latency_buckets=self.latency(report),
            latency_sum=self.latency_sum_before + (report.latency_sum if report is not None else 0.0),
            batch_frames=report.batch_frames if report is not None else 0.0,
            queue_depth=report.queue_depth if report is not None else 0,
        )


@dataclass(slots=True)
class IngestPlace:
    """One ingest process, whether it runs or not."""

    name: str
    engine: EnginePlace
    child: Child[IngestSays] | None = None
    restarts: Restarts = field(default_factory=Restarts)
    alone: bool = False  # for streams under suspicion; takes no others
    dropped: int = 0


@dataclass(slots=True)
class StreamPlace:
    """One stream as it was applied.

    Args:
        plan: as the service wants it.
        engine, ingest: where it is; None while it is nowhere.
        session: of this run; "" while it is not judged.
        state, since, cause, detail: see StreamStatus.
        said: what its engine said of it last.
        before: counters of earlier sessions.
        suspicion: deaths under it.
        restarts: how often a process died under it.
    """

    plan: StreamPlan
    since: float
    engine: EnginePlace | None = None
    ingest: IngestPlace | None = None
    session: str = ""
    state: StreamState = "starting"
    cause: str | None = None
    detail: str = ""
    said: StreamSaid | None = None
    before: dict[str, float] = field(default_factory=dict)
    suspicion: Suspicion = field(default_factory=Suspicion)
    restarts: int = 0
    told: tuple[object, ...] = ()  # what the listener was told last

    def counters(self) -> dict[str, float]:
        """Over all its sessions."""
        total = dict(self.before)
        for name, value in (self.said.counters if self.said is not None else {}).items():
            total[name] = total.get(name, 0.0) + value
        return total

    def end_session(self) -> None:
        """This run is over; what it counted stays counted."""
        self.before = self.counters()
        self.said, self.session = None, ""

    def order(self) -> Judge:
        """What its engine is told."""
        plan = self.plan
        detectors: dict[str, dict[str, Any]] = {name: dict(given) for name, given in plan.detectors.items()}
        return Judge(
            id=plan.id,
            url=plan.url,
            detectors=detectors,
            priority=plan.priority,
            loop=plan.loop,
            rendition=plan.rendition,
            private_addresses=plan.private_addresses,
            ingest=self.ingest.name if self.ingest is not None else "",
            session=self.session,
            reference=plan.reference,
        )

    def status(self) -> StreamStatus:
        """As the service sees it."""
        said = self.said
        engine = self.engine
        judged = self.state in ("starting", "running", "stalled", "shed")
        return StreamStatus(
            id=self.plan.id,
            state=self.state,
            since=self.since,
            cause=self.cause,
            detail=self.detail,
            engine=engine.group.name if engine is not None and judged else "",
            session=self.session,
            device=engine.device if engine is not None and judged else "",
            decoder=said.decoder if said is not None else None,
            decoder_reason=said.decoder_reason if said is not None else "",
            media_seconds=said.media_seconds if said is not None else 0.0,
            lag_seconds=said.lag_seconds if said is not None else 0.0,
            sampling=said.sampling if said is not None else 1.0,
            video=said.video if said is not None else None,
            audio=said.audio if said is not None else None,
            restarts=self.restarts,
            renditions=said.renditions if said is not None else (),
            sync=said.sync if said is not None else None,
        )
