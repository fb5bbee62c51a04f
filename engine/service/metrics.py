"""What Prometheus reads: made anew at each scrape from what fleet, recorder, sinks and watchers count.

No series outlives what it speaks of, and the number of streams with series of their own is bounded.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.service.canary import LATENCY_BOUNDS, Canary, Score
from engine.service.contract import EngineStatus, Fleet, StreamStatus
from engine.service.core import Core
from engine.service.events import EventHub
from engine.service.gpu_metrics import GpuMetrics
from engine.service.open_incidents import OpenIncidents
from engine.service.recorder import Recorder
from engine.service.reload import Reload
from engine.service.sinks import Notifier, VerdictSink

STATES: Final = ("starting", "running", "stalled", "ended", "failed", "paused", "quarantined", "shed")
# Totals of streams: counter, metric, help.
STREAM_COUNTERS: Final = (
    ("frames_decoded", "avjury_frames_decoded", "Pictures that the decoder gave."),
    ("frames_measured", "avjury_frames_measured", "Pictures that were judged."),
    ("frames_seen_by_network", "avjury_frames_seen_by_network", "Pictures that the artifact network looked at."),
    ("decode_errors", "avjury_decode_errors", "Damaged packets and pictures that the decoder reported."),
    ("packets", "avjury_packets", "Compressed packets read."),
    ("packet_bytes", "avjury_packet_bytes", "Bytes of compressed packets read."),
    ("audio_samples", "avjury_audio_samples", "Samples of each channel judged, at 48 kHz."),
)
_KNOWN_STREAM: Final = frozenset(name for name, _, _ in STREAM_COUNTERS)
# What goes up and down of what the store of verdicts tells.
VERDICT_LEVELS: Final = frozenset(("queued_seconds", "spool_bytes", "spool_parts", "spool_oldest_at", "store_up"))
# Totals of engines that have a name of their own; whatever else an engine counts is given out as avjury_engine_NAME.
ENGINE_COUNTERS: Final = {"device_to_host_bytes": "avjury_device_to_host_bytes"}


class ServiceCollector(Collector):
    """Makes the metrics.

    Args:
        ready: what keeps the service from its work; asked at each scrape.
        canary: None where none is wanted; it then has no metrics.
    """

    def __init__(
        self,
        core: Core,
        fleet: Fleet,
        recorder: Recorder,
        verdicts: VerdictSink,
        notifier: Notifier | None,
        hub: EventHub,
        open_incidents: OpenIncidents,
        reload: Reload,
        ready: Callable[[], Mapping[str, str]],
        canary: Canary | None = None,
    ) -> None:
        self._core = core
        self._fleet = fleet
        self._recorder = recorder
        self._verdicts = verdicts
        self._notifier = notifier
        self._hub = hub
        self._open = open_incidents
        self._reload = reload
        self._ready = ready
        self._canary = canary
        self._gpus = GpuMetrics()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._streams()
        yield from self._engines()
        yield from self._gpus.collect()
        yield from self._incidents()
        yield from self._service()
        if self._canary is not None:
            yield from self._of_canary(self._canary)

    def _streams(self) -> Iterator[Metric]:
        statuses = self._core.statuses()
        shown = sorted(statuses)[: self._core.config.service.metrics_max_streams]
        totals = _totals(self._fleet.engines())
        yield _gauge("avjury_streams", "Streams that are wanted.", len(statuses))
        yield _gauge(
            "avjury_metrics_streams_left_out",
            "Streams without series of their own (service.metrics_max_streams).",
            len(statuses) - len(shown),
        )
        by_state = GaugeMetricFamily("avjury_streams_by_state", "Streams, by state.", labels=["state"])
        for state in STATES:
            by_state.add_metric([state], sum(1 for status in statuses.values() if status.state == state))
        yield by_state
        for name, metric, text in STREAM_COUNTERS:
            family = CounterMetricFamily(metric, text, labels=["stream"])
            for stream in shown:
                family.add_metric([stream], totals.get(stream, {}).get(name, 0))
            yield family
        for metric, text, value in _STREAM_GAUGES:
            gauge = GaugeMetricFamily(metric, text, labels=["stream"])
            for stream in shown:
                gauge.add_metric([stream], value(statuses[stream]))
            yield gauge
        for metric, text, known in _STREAM_SYNC:
            gauge = GaugeMetricFamily(metric, text, labels=["stream"])
            for stream in shown:
                milliseconds = known(statuses[stream])
                if milliseconds is not None:
                    gauge.add_metric([stream], milliseconds / 1000)
            yield gauge
        restarts = CounterMetricFamily(
            "avjury_stream_restarts", "Times that a process died under a stream.", labels=["stream"]
        )
        open_now = GaugeMetricFamily("avjury_stream_incidents_open", "Open incidents, by stream.", labels=["stream"])
        counts = self._open.by_stream()
        for stream in shown:
            restarts.add_metric([stream], statuses[stream].restarts)
            open_now.add_metric([stream], counts[stream])
        yield restarts
        yield open_now
        more = CounterMetricFamily(
            "avjury_stream_events", "What else is counted of streams.", labels=["stream", "what"]
        )
        for stream in shown:
            for name, total in totals.get(stream, {}).items():
                if name not in _KNOWN_STREAM:
                    more.add_metric([stream, name], total)
        yield more

    def _engines(self) -> Iterator[Metric]:
        engines = self._fleet.engines()
        for metric, text, value in _ENGINE_GAUGES:
            family = GaugeMetricFamily(metric, text, labels=["engine"])
            for engine in engines:
                family.add_metric([engine.name], value(engine))
            yield family
        info = GaugeMetricFamily("avjury_engine_info", "What an engine runs on.", labels=["engine", "device"])
        restarts = CounterMetricFamily(
            "avjury_engine_restarts", "Times an engine was started again.", labels=["engine"]
        )
        latency = HistogramMetricFamily(
            "avjury_verdict_latency_seconds", "From a decoded picture to its verdict.", labels=["engine"]
        )
        stages = HistogramMetricFamily(
            "avjury_stage_latency_seconds", "How long each stage on the way to a verdict takes.",
            labels=["engine", "stage"],
        )  # fmt: skip
        counters: dict[str, CounterMetricFamily] = {}
        for engine in engines:
            for stage, counts in engine.stage_buckets.items():
                stages.add_metric([engine.name, stage], _buckets(counts), engine.stage_sums[stage])
            info.add_metric([engine.name, engine.device], 1)
            restarts.add_metric([engine.name], engine.restarts)
            if engine.latency_buckets:
                buckets = _buckets(engine.latency_buckets)
                latency.add_metric([engine.name], buckets=buckets, sum_value=engine.latency_sum)
            for name, total in engine.counters.items():
                metric = ENGINE_COUNTERS.get(name, f"avjury_engine_{name}")
                if metric not in counters:
                    text = f"What an engine counts as {name.replace('_', ' ')}."
                    counters[metric] = CounterMetricFamily(metric, text, labels=["engine"])
                counters[metric].add_metric([engine.name], total)
        yield from (info, restarts, latency, stages, *counters.values())

    def _incidents(self) -> Iterator[Metric]:
        opened = CounterMetricFamily(
            "avjury_incidents", "Incidents that opened since the start.", labels=["detector", "severity"]
        )
        for (name, severity), count in self._open.opened().items():
            opened.add_metric([name, severity], count)
        yield opened
        open_now = GaugeMetricFamily(
            "avjury_incident_open", "Incidents that are open, by detector.", labels=["detector"]
        )
        by_detector = self._open.by_detector()
        # A detector that ever opened keeps its series, at 0.
        for name in sorted({*by_detector, *(name for name, _ in self._open.opened())}):
            open_now.add_metric([name], by_detector[name])
        yield open_now
        sent = CounterMetricFamily("avjury_notifications", "Notifications, by outcome.", labels=["sink", "outcome"])
        failing = GaugeMetricFamily("avjury_notification_sink_failing", "Whether a sink refuses.", labels=["sink"])
        latency = HistogramMetricFamily(
            "avjury_notification_latency_seconds", "From an incident's opening to its delivery.", labels=["sink"]
        )
        pending = GaugeMetricFamily("avjury_notifications_pending", "Notices still to be sent.", labels=["sink"])
        oldest = GaugeMetricFamily(
            "avjury_notification_oldest_seconds", "How long the oldest of them has been waiting.", labels=["sink"]
        )
        for sink, counts in self._notifier.snapshot().items() if self._notifier is not None else ():
            for outcome, count in counts.outcomes.items():
                sent.add_metric([sink, outcome], count)
            failing.add_metric([sink], counts.failing_since is not None)
            pending.add_metric([sink], counts.pending)
            oldest.add_metric([sink], counts.oldest_seconds)
            latency.add_metric([sink], buckets=_buckets(counts.latency_buckets), sum_value=counts.latency_sum)
        yield from (sent, failing, pending, oldest, latency)

    def _of_canary(self, canary: Canary) -> Iterator[Metric]:
        book = canary.book
        scores = book.scores()
        yield _gauge("avjury_canary_up", "Whether the canary is judged.", canary.up)
        yield _gauge("avjury_canary_last_found_timestamp_seconds", "When a planted defect was last found.",
                     book.last_found_at)  # fmt: skip
        totals: tuple[tuple[str, str, Callable[[Score], int]], ...] = (
            ("avjury_canary_planted", "Defects planted into the canary.", lambda score: score.planted),
            ("avjury_canary_found", "Of these, what its detector told.", lambda score: score.found),
            ("avjury_canary_missed", "Of these, what was not told in time.", lambda score: score.missed),
        )
        for name, text, value in totals:
            family = CounterMetricFamily(name, text, labels=["detector"])
            for detector, score in scores.items():
                family.add_metric([detector], value(score))
            yield family
        recall = GaugeMetricFamily(
            "avjury_canary_recall_ratio", "Share of the last 20 planted defects that was found.", labels=["detector"]
        )
        latency = HistogramMetricFamily(
            "avjury_canary_detect_seconds", "From a planted defect's first bytes to its incident.", labels=["detector"]
        )
        for detector, score in scores.items():
            if score.recall is not None:
                recall.add_metric([detector], score.recall)
            counts, below = {}, 0
            for bound in (*LATENCY_BOUNDS, float("inf")):
                below += score.latency[bound]
                counts[bound] = below
            latency.add_metric([detector], buckets=_buckets(counts), sum_value=score.latency_sum)
        yield recall
        yield latency
        unexpected = CounterMetricFamily(
            "avjury_canary_unexpected", "Incidents of the canary that nobody planted.", labels=["detector"]
        )
        for detector, count in book.unexpected.items():
            unexpected.add_metric([detector], count)
        yield unexpected

    def _service(self) -> Iterator[Metric]:
        ready = self._ready()
        yield _gauge("avjury_ready", "Whether the service does its work.", not ready)
        part_ready = GaugeMetricFamily("avjury_part_ready", "Whether a part does its work.", labels=["part"])
        for part in ("database", "fleet", "disk", "verdicts"):
            part_ready.add_metric([part], part not in ready)
        yield part_ready
        recorder = self._recorder
        yield _gauge("avjury_recorder_backlog", "Reports that wait for the database.", recorder.backlog)
        yield _counter("avjury_recorder_reports", "Reports kept.", recorder.written)
        yield _counter("avjury_recorder_failures", "Attempts to keep a report that failed.", recorder.failures)
        dropped = CounterMetricFamily("avjury_recorder_dropped", "Reports that are lost, by why.", labels=["why"])
        for why in ("full", "rejected", "disk", "stopped"):
            dropped.add_metric([why], recorder.dropped[why])
        yield dropped
        yield _gauge("avjury_event_clients", "Readers of /api/v1/events.", self._hub.readers)
        yield _counter("avjury_event_clients_dropped", "Readers that took too long.", self._hub.dropped_readers)
        yield _counter("avjury_event_gaps", "Times that a reader was too slow for the ring.", self._hub.lost)
        yield _counter("avjury_config_reload_failures", "Configurations that were refused.", self._reload.failures)
        yield _gauge(
            "avjury_config_last_reload_success_timestamp_seconds",
            "When the configuration was last taken.",
            self._reload.succeeded_at,
        )
        yield _gauge("avjury_config_last_reload_successful", "Whether the last one was taken.",
                     self._reload.last_error is None)  # fmt: skip
        for name, value in self._verdicts.snapshot().items():
            text = f"The store of verdicts: {name.replace('_', ' ')}."
            level = name in VERDICT_LEVELS
            yield (_gauge if level else _counter)(f"avjury_verdict_store_{name}", text, value)
        info = GaugeMetricFamily("avjury_build_info", "The release.", labels=["version"])
        info.add_metric([release()], 1)
        yield info


def registry(collector: ServiceCollector) -> CollectorRegistry:
    """The service's metrics, and those of its process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(collector)
    ProcessCollector(registry=made)
    return made


def exposition(made: CollectorRegistry) -> bytes:
    """All metrics as Prometheus' text format 0.0.4."""
    return generate_latest(made)


def release() -> str:
    """The installed release."""
    try:
        return version("avjury")
    except PackageNotFoundError:
        return "unknown"


def _up(status: StreamStatus) -> float:
    return float(status.state == "running")


_STREAM_GAUGES: Final[tuple[tuple[str, str, Callable[[StreamStatus], float]], ...]] = (
    ("avjury_stream_up", "Whether a stream gives something that is judged.", _up),
    ("avjury_stream_lag_seconds", "How far verdicts are behind what was decoded.", lambda status: status.lag_seconds),
    ("avjury_stream_sampling_ratio", "Share of a stream's pictures that are judged.", lambda status: status.sampling),
)
# Those of which something is known.
_STREAM_SYNC: Final[tuple[tuple[str, str, Callable[[StreamStatus], float | None]], ...]] = (
    (
        "avjury_stream_av_sync_offset_seconds",
        "By how much a stream's sound is late; below 0 it is early.",
        lambda status: None if status.sync is None else status.sync.offset_ms,
    ),
    (
        "avjury_stream_reference_latency_seconds",
        "How much later a stream is than its reference.",
        lambda status: None if status.sync is None else status.sync.latency_ms,
    ),
)
_ENGINE_GAUGES: Final[tuple[tuple[str, str, Callable[[EngineStatus], float]], ...]] = (
    ("avjury_engine_up", "Whether an engine answers.", lambda engine: float(engine.up)),
    ("avjury_engine_streams", "Streams that an engine judges.", lambda engine: engine.streams),
    ("avjury_engine_load_ratio", "Share of its time that an engine is busy.", lambda engine: engine.load),
    ("avjury_headroom_streams", "Average streams that an engine can take besides.", lambda e: e.headroom_streams),
    ("avjury_engine_resident_memory_bytes", "Memory of an engine's process.", lambda engine: engine.resident_bytes),
    ("avjury_batch_frames", "Mean pictures in a batch, lately.", lambda engine: engine.batch_frames),
    ("avjury_engine_queue_depth", "Pictures and sound that wait for an engine.", lambda engine: engine.queue_depth),
)


def _totals(engines: tuple[EngineStatus, ...]) -> dict[str, dict[str, float]]:
    """Counters by stream, over the engines that it was on."""
    totals: dict[str, dict[str, float]] = {}
    for engine in engines:
        for stream, counters in engine.stream_counters.items():
            into = totals.setdefault(stream, {})
            for name, value in counters.items():
                into[name] = into.get(name, 0.0) + value
    return totals


def _buckets(counts: Mapping[float, int]) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound, as the client library takes them."""
    return [("+Inf" if bound == float("inf") else repr(float(bound)), float(counts[bound])) for bound in sorted(counts)]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))
