"""The engine as a service runs it: streams come, change and go while it judges, and it never falls behind in silence.

Run by: `LiveEngine.run` in the child process's main thread. Other threads hand it orders, which it carries out between
two passes of its loop; nothing else of it may be touched from outside. It ends at `drain`, or at an error of the loop
itself (a GPU that failed), which ends the process: its supervisor starts it anew.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from engine.detectors import resolve
from engine.device_failures import gpu_failures_told
from engine.evidence import thumbnail
from engine.evidence.jpeg import load as load_jpeg
from engine.evidence.worker import Sink
from engine.handling import Handling, HandlingTable
from engine.incidents import Change
from engine.ingest.base import MediaSource
from engine.ingest.link import Links
from engine.ingest.messages import Open
from engine.ingest.remote import RemoteSource
from engine.ingest.url_policy import UrlPolicy
from engine.judged_stream import JudgedStream
from engine.latency import BOUNDS, Latency, merged
from engine.listener import Listener
from engine.live_report import stream_counters, stream_report
from engine.machine_load import MachineLoad
from engine.media import FrameBatch, Measures
from engine.overload import Overload, OverloadSettings
from engine.pipeline import Engine
from engine.queues import Bell
from engine.service.messages import Report
from engine.shadow_judge import Found
from engine.slots import watched
from engine.spec import EngineSettings, StreamSpec
from engine.startup import nothing_is_garbage
from engine.turns import Turn, Turns
from engine.verdicts import ClosedBy, Incident
from engine.warm_up import warm_up

_log = logging.getLogger(__name__)
SECOND: Final = 1.0
# Further apart than any measure's interval, so that each is taken of every made-up picture.
WARM_UP_SECONDS: Final = 10.0
# These compare each picture with the one before: at a lower rate they see what is not there.
NEED_EVERY_PICTURE: Final = frozenset(("video.flash", "video.flicker", "video.stutter", "video.partial_freeze"))
# A picture for people costs as much as judging several.
SNAPS_PER_PASS: Final = 2
_FEW_STREAMS_LOAD: Final = 0.02  # less is too little to tell what a stream costs
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Order:
    """One stream as the service wants it judged; see StreamPlan.

    Args:
        spec: what is judged, and how.
        place: name of the ingest process that reads it.
        session: of this run.
        priority: higher stays longer.
        loop: a file begins anew at its end.
    """

    spec: StreamSpec
    place: str
    session: str = ""
    priority: int = 50
    loop: bool = False

    def same_input(self, other: "Order") -> bool:
        """Whether the other one can be had without opening the source again."""
        mine, its = self.spec, other.spec
        return (mine.url, mine.policy, mine.rendition, self.loop) == (its.url, its.policy, its.rendition, other.loop)


class LiveListener(Listener, Protocol):
    """Who is told what a live engine finds; called from its loop."""

    def on_thumbnail(self, stream: str, jpeg: bytes) -> None:
        """A picture that was asked for."""

    def on_report(self, report: Report) -> None:
        """Once a second."""

    def on_shadow(self, incident: Incident, change: Change) -> None:
        """Rules that are tried beside a stream's own found something."""


class LiveEngine(Engine):
    """An engine whose streams are read by ingest processes.

    Args:
        settings: how it runs; sources are opened again for ever.
        listener: who is told.
        links: to the ingest processes.
        table: where it marks what it works on.
        slots: most streams.
        overload: when it judges less.
        load_limit: share of its time up to which it takes in more streams.
        evidence: who is handed the evidence of incidents; none is kept without.
    """

    def __init__(
        self,
        settings: EngineSettings,
        listener: LiveListener,
        links: Links,
        table: HandlingTable | None = None,
        *,
        slots: int = 64,
        overload: OverloadSettings | None = None,
        load_limit: float = 0.9,
        evidence: Sink | None = None,
    ) -> None:
        super().__init__(settings, listener, slots=slots, evidence=evidence)
        self._told: LiveListener = listener
        self._links = links
        self._table = table
        self._slots = slots
        self._load_limit = load_limit
        self._orders: deque[Callable[[], None]] = deque()
        self._wanted: dict[str, Order] = {}
        self._sources: dict[str, RemoteSource] = {}
        self._snaps: dict[str, None] = {}
        networks = self._measure.network is not None or self._measure.listening is not None
        self._overload = Overload(overload or OverloadSettings(), network=networks)
        # Packets that had come, been skipped, and been taken to be decoded, a second ago.
        self._arrived: dict[str, tuple[int, int, int]] = {}
        self._latency = Latency()  # from decoded to judged
        self._stages = {name: Latency() for name in ("ingest", "decode", "queue", "measure", "judge")}
        self._batched: deque[float] = deque()  # when each batch of pictures that is not judged yet was taken
        self._measured: deque[float] = deque()  # and measured
        self._totals = dict.fromkeys(("frames_left_out", "packets_skipped", "skips", "streams_shed"), 0.0)
        self._draining = False
        self._machine = MachineLoad()
        self._cores = len(os.sched_getaffinity(0))
        # With a GPU a reader mostly waits for its decoder's picture: in turns they would leave the decoders idle.
        self._turns = Turns(self._cores) if self.device.type == "cpu" else None
        self._second_at = time.monotonic()
        self._waited, self._cpu = 0.0, time.process_time()
        self._batches = self._frames = 0
        self.load = 0.0

    @property
    def bell(self) -> Bell:
        """Rung when there is something to do."""
        return self._bell

    def order(self, do: Callable[[], None]) -> None:
        """Have something done between two passes of the loop. From any thread."""
        self._orders.append(do)
        self._bell.ring()

    def run(self) -> None:
        """Judge until `drain` or `stop`."""
        try:
            with gpu_failures_told(self.device), self._stream_of_its_own():
                while not self._stopping:
                    self.step()
        finally:
            self._let_go()

    def warm_up(self) -> None:
        """Compile and load everything that judges, before the first stream comes. From the loop's thread."""
        with nothing_is_garbage(), self._stream_of_its_own():
            warm_up(self._measure, self._judge, self._batcher, self._uploader, self._free[-1], WARM_UP_SECONDS)
            load_jpeg()
        self._second_at = self._looked_at = time.monotonic()
        self._waited, self._cpu = self.waited_seconds, time.process_time()  # what it took is no load

    def step(self) -> None:
        """One pass of the loop, and what was ordered since the last one."""
        super().step()
        while self._orders:
            self._orders.popleft()()
        now = time.monotonic()
        if now - self._second_at >= SECOND:
            self._each_second(now)

    def take(self, wanted: Order) -> None:
        """Judge a stream, or judge it otherwise; opens its source only where it has to. From the loop.

        Raises: ConfigError, DeviceError as `Engine.add` does.
        """
        stream = self._find(wanted.spec.id)
        if stream is not None:
            if self._wanted[wanted.spec.id].same_input(wanted):
                self._change(stream, wanted)
                return
            self.remove(wanted.spec.id)
        self._wanted[wanted.spec.id] = wanted
        try:
            self.add(wanted.spec)
        except BaseException:
            del self._wanted[wanted.spec.id]
            self._sources.pop(wanted.spec.id, None)
            raise
        stream = self._find(wanted.spec.id)
        assert stream is not None
        self._sample(stream)

    def remove(self, stream_id: str) -> None:
        """Stop judging a stream; what is open closes as removed. From the loop."""
        stream = self._find(stream_id)
        if stream is not None:
            self._finish(stream, "removed")

    def move(self, stream_id: str, place: str) -> None:
        """Another ingest process reads it, once the one that did is gone. From the loop."""
        source = self._sources.get(stream_id)
        if source is not None:
            source.move(place)

    def snap(self, stream_id: str) -> None:
        """Make a picture of what a stream shows next. From the loop."""
        self._snaps[stream_id] = None

    def drain(self, deadline: float) -> None:
        """Judge what is queued, tell what is open as it is, and end. From the loop.

        Args:
            deadline: monotonic seconds.
        """
        self._draining = True
        for stream in self._streams.values():
            stream.reader.stop()
        while time.monotonic() < deadline and any(
            len(s.reader.video) or len(s.reader.audio) or len(s.reader.ticks) for s in self._streams.values()
        ):
            Engine.step(self)
        self._settle(0)
        for stream in self._streams.values():
            for second in stream.coverage.complete(stream.known_until()):
                self._give(stream, second)
            for incident in stream.book.open():
                self._listener.on_incident(incident, "updated")
        self._each_second(time.monotonic())
        self.stop()

    def _let_go(self) -> None:
        for stream in self._streams.values():
            stream.reader.stop()
            for queue in (stream.reader.video, stream.reader.audio, stream.reader.ticks):
                queue.discard()
        deadline = time.monotonic() + SECOND
        for stream in self._streams.values():
            stream.reader.join(max(0.0, deadline - time.monotonic()))
        self._decoders.close()
        if self._recorder is not None:
            for stream in self._streams.values():
                self._recorder.close(stream.slot)
            self._recorder.stop()

    def _find(self, stream_id: str) -> JudgedStream | None:
        return next((s for s in self._streams.values() if s.spec.id == stream_id), None)

    def _source_of(self, spec: StreamSpec) -> MediaSource:
        wanted = self._wanted[spec.id]
        wish = Open(
            number=0,
            stream=spec.id,
            url=spec.url,
            loop=wanted.loop,
            rendition=spec.rendition,
            allow_files=spec.policy.allow_files,
            allow_private=spec.policy.allow_private,
            max_pixels=spec.policy.max_pixels,
        )
        source = self._sources[spec.id] = RemoteSource(self._links, wanted.place, wish, self._turns)
        return source

    def _turn_of(self, spec: StreamSpec) -> Turn:
        return self._sources[spec.id].arrivals.turn

    def _handling_of(self, spec: StreamSpec) -> Handling:
        return self._table.claim(spec.id) if self._table is not None else Handling()

    def _change(self, stream: JudgedStream, wanted: Order) -> None:
        """Other detectors, parameters or priority, without touching the source."""
        detectors, parameters = resolve(wanted.spec.detectors)
        self._wanted[wanted.spec.id] = wanted
        tried, stream.spec = stream.spec.shadow, wanted.spec
        if tried != wanted.spec.shadow:
            self._settle(0)
            self._try_beside(stream)
            self._forget_measures(stream)
        if parameters == stream.parameters:
            if wanted.spec.reference != stream.spec.reference:
                stream.spec = wanted.spec
                self._watch_sync(stream)
            return
        stream.spec, stream.detectors, stream.parameters = wanted.spec, detectors, parameters
        if self._recorder is not None:
            self._recorder.watch(stream.slot, {d.name: watched(d, d.rule(parameters[d.name])) for d in detectors})
        self._change_rules(stream)
        self._forget_measures(stream)
        self._pixel_black_th[stream.slot] = parameters.get("video.black", {}).get("pixel_black_th", 0.1)
        stream.coverage.judged_by(
            tuple(d.name for d in detectors if d.track == "video"),
            tuple(d.name for d in detectors if d.track == "audio"),
        )
        stream.reader.retune(parameters)
        self._watch_sync(stream)

    def _change_rules(self, stream: JudgedStream) -> None:
        self._settle(0)
        rules = {d.name: d.rule(stream.parameters[d.name]) for d in stream.detectors}
        suspended = stream.coverage.suspended
        for transition in self._judge.change_rules(stream.slot, rules, stream.ends, suspended):
            incident, change = stream.book.apply(transition, closed_by="removed")
            self._publish(stream, incident, change)
        if self._shadows is not None and stream.spec.shadow is not None:
            tried, parameters = resolve(stream.spec.shadow)
            rules = {d.name: d.rule(parameters[d.name]) for d in tried}
            self._told_beside(self._shadows.change(stream.slot, rules, stream.ends, suspended))

    def _told_beside(self, found: Iterable[Found]) -> None:
        for incident, change in found:
            self._told.on_shadow(incident, change)

    def _sample(self, stream: JudgedStream) -> None:
        """Bring a stream to the present level of load."""
        sampling = stream.reader.sampling
        info = stream.reader.info
        frame_rate = info.video.frame_rate if info is not None and info.video is not None else None
        rate = self._overload.rate
        # A stream that has no more pictures than that is judged in full.
        lowered = rate is not None and (frame_rate is None or rate < frame_rate)
        sampling.rate = rate if lowered else None
        shed = stream.spec.id in self._overload.shed
        if shed and not sampling.shed:
            self._totals["streams_shed"] += 1
        if (source := self._sources.get(stream.spec.id)) is not None:
            source.thin(shed)
        sampling.shed = shed
        names = {d.name for d in stream.detectors}
        suspended = names & NEED_EVERY_PICTURE if lowered else frozenset[str]()
        if shed:
            suspended = frozenset(names)
        if suspended != stream.coverage.suspended:
            stream.coverage.suspend(suspended, stream.reader.progress.decoded_until)
            self._change_rules(stream)

    def _publish(
        self, stream: JudgedStream, incident: Incident, change: Change, decided_at: float | None = None
    ) -> None:
        super()._publish(stream, incident, change, decided_at)
        if change == "closed":
            stream.book.forget_closed()

    def _on_device(self, batch: FrameBatch) -> FrameBatch:
        self._batched.append(time.monotonic())
        return super()._on_device(batch)

    def _emit(self, measures: Measures, frames: FrameBatch | None) -> None:
        if frames is not None:
            self._measured.append(time.monotonic())
        super()._emit(measures, frames)

    def _judged(self, frames: FrameBatch) -> None:
        now = time.monotonic()
        taken, measured = self._batched.popleft(), self._measured.popleft()
        for surface in frames.surfaces:
            self._latency.add(now - surface.decoded_at)
            self._stages["queue"].add(taken - surface.decoded_at)
        self._stages["measure"].add(measured - taken)
        self._stages["judge"].add(now - measured)
        if self._snaps:
            self._take_pictures(frames)

    def _take_pictures(self, frames: FrameBatch) -> None:
        made = 0
        for slot, surface in zip(frames.numbers, frames.surfaces, strict=True):
            stream = self._streams[slot].spec.id
            if stream in self._snaps and made < SNAPS_PER_PASS:
                del self._snaps[stream]
                made += 1
                self._told.on_thumbnail(stream, thumbnail(surface))

    def _finish(self, stream: JudgedStream, closed_by: ClosedBy) -> None:
        if self._draining:
            return  # what is open stays open: it goes on when the service is back
        if stream.coverage.suspended:
            stream.coverage.suspend((), stream.reader.progress.decoded_until)
            self._change_rules(stream)
        super()._finish(stream, closed_by)
        name = stream.spec.id
        self._count_totals(stream)
        self.outcomes.pop(name, None)
        self.counters.streams.pop(name, None)
        self._wanted.pop(name, None)
        self._sources.pop(name, None)
        self._snaps.pop(name, None)

    def _count_totals(self, stream: JudgedStream) -> None:
        """What the stream counted stays in the engine's totals, for good."""
        for name, value in stream_counters(stream, self._sources.get(stream.spec.id)).items():
            self._totals[name] = self._totals.get(name, 0.0) + value
        self._stages["decode"].merge(stream.reader.decoding)
        if stream.spec.id in self._sources:
            self._stages["ingest"].merge(self._sources[stream.spec.id].arrivals.waits)

    def _each_second(self, now: float) -> None:
        seconds = now - self._second_at
        waited, cpu = self.waited_seconds, time.process_time()
        loop = 1.0 - (waited - self._waited) / seconds
        self.load = min(1.0, max(loop, (cpu - self._cpu) / seconds / self._cores, 0.0))
        mine = min(1.0, (cpu - self._cpu) / seconds / self._cores)
        self._second_at, self._waited, self._cpu = now, waited, cpu
        lags = {name: source.arrivals.age(now) for name, source in self._sources.items()}
        judged = [lag for name, lag in lags.items() if name not in self._overload.shed]
        priorities = {name: wanted.priority for name, wanted in self._wanted.items()}
        silent = self._silent()  # first: the other one counts anew
        share, pace = self._flow()
        # On a CPU whose cores are taken the loop waits for them; on a GPU for the GPU, of which there is no more.
        own = mine if self.device.type == "cpu" else self.load
        used = self._machine.load(own, self.load, self._links.pids() | {os.getpid(), os.getppid()})
        load = max(self.load, used)
        lag, before = max(judged, default=0.0), self._overload.told()
        self._overload.decide(now, lag, load, priorities, share, silent, pace, self._fastest(), used,
                              self._machine.others)  # fmt: skip
        if (told := self._overload.told()) != before:
            _log.warning("%s (busy %.0f %%, %.1f s late, %.0f %% skipped)", told, 100 * used, lag, 100 * share)
        if self._measure.network is not None:
            self._measure.network.share = self._overload.network_share
        if self._measure.listening is not None:
            self._measure.listening.share = self._overload.network_share
        for stream in list(self._streams.values()):
            self._sample(stream)
        self._told.on_report(self._report(lags))

    def _silent(self) -> frozenset[str]:
        """The streams that are stalled or lost, and of which not one packet came in this second."""
        return frozenset(
            stream.spec.id
            for stream in self._streams.values()
            if (stream.reader.progress.stalled or stream.reader.lost)
            and (source := self._sources.get(stream.spec.id)) is not None
            and source.arrivals.packets == self._arrived.get(stream.spec.id, (0,))[0]
        )

    def _flow(self) -> tuple[float, float | None]:
        """Of the packets that came in this second of the streams that are judged.

        Returns: the share that was skipped; how many were taken to be decoded, over those that came.
        """
        came = skipped = taken = 0
        before, self._arrived = self._arrived, {}
        for stream in self._streams.values():
            name = stream.spec.id
            source = self._sources.get(name)
            if source is None:
                continue
            now = (source.arrivals.packets, source.arrivals.skipped_packets, stream.reader.counters.packets)
            self._arrived[name] = now
            then = before.get(name, now)
            if name not in self._overload.shed:
                came += now[0] - then[0]
                skipped += now[1] - then[1]
                taken += now[2] - then[2]
        return (min(1.0, skipped / came), taken / came) if came else (0.0, None)

    def _fastest(self) -> float | None:
        """The highest picture rate of the streams, as far as they have said theirs."""
        infos = [stream.reader.info for stream in self._streams.values()]
        rates = [info.video.frame_rate for info in infos if info is not None and info.video is not None]
        return max((rate for rate in rates if rate), default=None)

    def _report(self, lags: Mapping[str, float]) -> Report:
        streams = [
            stream_report(s, self._wanted[s.spec.id].session, self._sources.get(s.spec.id), lags.get(s.spec.id, 0.0))
            for s in self._streams.values()
        ]
        counters = dict(self._totals)
        for stream in streams:
            for name, value in stream.counters.items():
                counters[name] = counters.get(name, 0.0) + value
        counters |= {name: float(value) for name, value in self.evidence_totals().items()}
        counters.pop("evidence_held_bytes", None)  # no total
        copied = counters.pop("evidence_device_to_host_bytes", 0.0)
        counters["device_to_host_bytes"] = (
            copied
            + self.counters.device_to_host_bytes
            + self._judge.device_to_host_bytes
            + self.comparing.device_to_host_bytes
            + (self._levels.device_to_host_bytes if self._levels is not None else 0)
            + (self._measure.listening.device_to_host_bytes if self._measure.listening is not None else 0)
            + (self._shadows.device_to_host_bytes if self._shadows is not None else 0)
        )
        batches, frames = self.counters.batches, self.counters.batch_frames
        mean = (frames - self._frames) / (batches - self._batches) if batches > self._batches else 0.0
        self._batches, self._frames = batches, frames
        with open("/proc/self/statm", "rb") as file:
            resident = int(file.read().split()[1]) * _PAGE
        stages = self._all_stages()
        return Report(
            load=round(self.load, 4),
            headroom_streams=self.headroom(),
            resident_bytes=resident,
            counters=counters,
            latency_bounds=list(BOUNDS),
            latency_counts=list(self._latency.counts),
            latency_sum=self._latency.sum,
            batch_frames=round(mean, 3),
            queue_depth=sum(len(s.reader.video) + len(s.reader.audio) for s in self._streams.values()),
            streams=streams,
            stage_counts={name: list(stage.counts) for name, stage in stages.items()},
            stage_sums={name: stage.sum for name, stage in stages.items()},
        )

    def _all_stages(self) -> dict[str, Latency]:
        """With those of the streams that are judged now."""
        here = {
            "ingest": [source.arrivals.waits for source in self._sources.values()],
            "decode": [stream.reader.decoding for stream in self._streams.values()],
        }
        return {name: merged((stage, *here.get(name, ()))) for name, stage in self._stages.items()}

    def media_seconds(self, stream_id: str) -> float:
        """Where a stream's timeline stands; 0 where there is no such stream. From the loop."""
        stream = self._find(stream_id)
        return 0.0 if stream is None else max(stream.ends.values())

    def headroom(self) -> int:
        """How many more streams of the present mean cost it can take, beside those that are silent now."""
        judged = self._overload.judged(self._wanted)
        free = len(self._free)
        if judged < 1 or self.load < _FEW_STREAMS_LOAD:
            return free
        if self._overload.level or self._overload.shed:
            return 0
        silent = len(self._wanted) - judged
        return max(0, min(free, int((self._load_limit - self.load) / (self.load / judged)) - silent))


def policy_of(private_addresses: bool) -> UrlPolicy:
    """What a stream may open: files and this network's own addresses only where the operator named it."""
    return UrlPolicy(allow_files=private_addresses, allow_private=private_addresses)
