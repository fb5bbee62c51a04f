"""What the fleet knows of its engines, ingest processes and streams. Touched only under the fleet's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from engine.ingest.control import IngestSays
from engine.ingest.sandbox import paths_of
from engine.service.children import Child
from engine.service.contract import EngineStatus, StreamPlan, StreamState, StreamStatus
from engine.service.messages import EngineSays, Judge, Report, StreamSaid
from engine.service.supervision import Restarts, Suspicion

# What a stream waits for whose engine is not there yet.
WAITS: Final = "engine_starting"
COMPILES: Final = "compiles the kernels for this machine; that takes a minute or two, once"


@dataclass(frozen=True, slots=True)
class Group:
    """A stream group, and so an engine process.

    Args:
        name: by which plans choose it.
        device: "auto", "cpu", "cuda" or "cuda:N".
        slots: most streams.
        max_batch, max_wait_seconds, decode_threads, graphs: see EngineSettings.
        named_only: takes no stream that does not name it, because it judges some detectors only.
    """

    name: str
    device: str = "auto"
    slots: int = 64
    max_batch: int = 256
    max_wait_seconds: float | None = None
    decode_threads: int = 1
    graphs: bool = True
    named_only: bool = False


@dataclass(slots=True)
class EnginePlace:
    """One engine, whether its process runs or not."""

    group: Group
    child: Child[EngineSays] | None = None
    ready: bool = False
    compiles: bool = False  # before it is ready
    device: str = ""
    restarts: Restarts = field(default_factory=Restarts)
    report: Report | None = None
    added: int = 0  # streams since the last report, whose cost is not in its load yet
    before: dict[str, float] = field(default_factory=dict)  # counters of its dead processes
    latency_before: dict[float, int] = field(default_factory=dict)
    latency_sum_before: float = 0.0
    stages_before: dict[str, dict[float, int]] = field(default_factory=dict)
    stage_sums_before: dict[str, float] = field(default_factory=dict)

    def bury(self) -> None:
        """Its process is gone: what it had counted stays counted."""
        report, self.report = self.report, None
        self.child, self.ready, self.compiles, self.added = None, False, False, 0
        if report is not None:
            self.before = self.counters(report)
            self.latency_before = self.latency(report)
            self.latency_sum_before += report.latency_sum
            self.stages_before, self.stage_sums_before = self.stages(report)

    def waiting(self) -> tuple[str | None, str]:
        """Why its streams are not judged yet, in one word and for people; None where it is ready."""
        if self.ready:
            return None, ""
        return WAITS, f"engine {self.group.name} {COMPILES if self.compiles else 'is starting'}"

    def counters(self, report: Report | None) -> dict[str, float]:
        """Over all its processes."""
        total = dict(self.before)
        for name, value in (report.counters if report is not None else {}).items():
            total[name] = total.get(name, 0.0) + value
        return total

    def latency(self, report: Report | None) -> dict[float, int]:
        """Cumulative count by bound, over all its processes."""
        if report is None:
            return dict(self.latency_before)
        return _cumulated(self.latency_before, report.latency_bounds, report.latency_counts)

    def stages(self, report: Report | None) -> tuple[dict[str, dict[float, int]], dict[str, float]]:
        """The same of each stage, and the sums."""
        buckets, sums = dict(self.stages_before), dict(self.stage_sums_before)
        if report is not None:
            for stage, counts in report.stage_counts.items():
                buckets[stage] = _cumulated(buckets.get(stage, {}), report.latency_bounds, counts)
                sums[stage] = sums.get(stage, 0.0) + report.stage_sums.get(stage, 0.0)
        return buckets, sums

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
        stage_buckets, stage_sums = self.stages(report)
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
            detail=self.waiting()[1],
            stage_buckets=stage_buckets,
            stage_sums=stage_sums,
        )


def _cumulated(before: Mapping[float, int], bounds: Sequence[float], counts: Sequence[int]) -> dict[float, int]:
    """Cumulative counts, with those of before."""
    total = dict(before)
    for bound, so_far in zip(bounds, accumulate(counts), strict=True):
        total[bound] = total.get(bound, 0) + so_far
    return total


@dataclass(slots=True)
class IngestPlace:
    """One ingest process, whether it runs or not."""

    name: str
    engine: EnginePlace
    child: Child[IngestSays] | None = None
    restarts: Restarts = field(default_factory=Restarts)
    alone: bool = False  # for streams under suspicion; takes no others
    dropped: int = 0
    paths: frozenset[str] = frozenset()
    """What its process may read of the file system for its sources; it cannot get more while it runs."""

    def may_read(self, url: str) -> bool:
        """Whether a stream's source lies where it may look, or will be when it is started."""
        return self.child is None or paths_of(url) <= self.paths


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
            shadow=None if plan.shadow is None else {name: dict(given) for name, given in plan.shadow.items()},
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
