"""The loop: ready -> batch -> measure -> judge -> emit, for the streams of one group on one device.

Run by: whoever calls `Engine.run` (the main thread of `check`, the child process of the service). It owns the slots,
the device state and the listener's calls; each stream's reader thread hands it surfaces and sound through queues. It
ends when every stream has ended, or at `stop`, which any thread or signal handler may call. If the loop itself fails,
the readers are stopped and the error goes to the caller; if a reader fails, that stream ends and the others go on.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import torch

from engine.batch import Batcher
from engine.comparing import Comparing
from engine.counters import EngineCounters
from engine.coverage import Coverage
from engine.decode.choose import DecoderChooser
from engine.decode.driver import wait_by_blocking
from engine.decode.upload import Uploader
from engine.detectors import Detector, Rule, all_detectors, detector, resolve
from engine.device_failures import give_memory_back, gpu_failures_told
from engine.devices import choose_device
from engine.errors import ConfigError, DeviceError
from engine.evidence import thumbnail
from engine.evidence.overlay import overlay
from engine.evidence.recorder import Recorder
from engine.evidence.series import Watched
from engine.evidence.worker import Sink
from engine.first_run import told_where_slow
from engine.flash_beep import FlashBeep, SoundOnsets
from engine.handling import Handling
from engine.incidents import Change, IncidentBook
from engine.ingest.backoff import OpenPace
from engine.ingest.base import MediaSource
from engine.ingest.source import Source
from engine.judge import Judge, Pending
from engine.judged_stream import JudgedStream
from engine.levels import Levels
from engine.lip_sync import LipSync, SyncRow
from engine.listener import Listener, Silent
from engine.measure import AUDIO_COLUMNS, VIDEO_COLUMNS, Measure
from engine.measure.graphs import record_on
from engine.measure.network import NetworkUse
from engine.media import AudioBlock, Follower, FrameBatch, Measures, StreamTick, Surface
from engine.outcome import Outcome, Trace
from engine.queues import Bell, BoundedQueue
from engine.ranges import ranges_on
from engine.reader import AUDIO_QUEUE_BLOCKS, STALL_SECONDS, StreamReader
from engine.shadow_judge import Found, ShadowJudge
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from engine.verdicts import ClosedBy, Incident, Loudness, StreamSecond
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.siti import COLUMNS as INFORMATION_COLUMNS
from models.artifact_weights import load_artifact
from models.weight_files import WeightsError

_log = logging.getLogger(__name__)
# One loop pass waits so long at most, so that `stop` is seen; queues ring before that.
IDLE_SECONDS = 0.25
JOIN_SECONDS = 20.0
PROGRESS_SECONDS = 0.1
# A pass that took longer kept the readers from going on; that is no silence of their sources.
AWAY_SECONDS = 1.0
# What is kept to compare streams by is let go of this often.
FORGET_SECONDS = 1.0
# Of live streams, the longest that may be asked for, and as much again.
LIVE_KEPT_SECONDS = 240.0
# Causes kept per measure until its detector opens; on a GPU verdicts come a few rows later than the rows.
CAUSES = 64
_LUMA_MEAN = VIDEO_COLUMNS.index("luma_mean")


class Engine:
    """Judges streams until each has ended.

    Args:
        settings: how.
        listener: who is told.
        slots: most streams at a time.
        evidence: who is handed the evidence of incidents, from a thread of its own; none is kept without.
    Raises: DeviceError if the device is not there; ConfigError if the network's weights cannot be used.
    """

    def __init__(
        self,
        settings: EngineSettings,
        listener: Listener | None = None,
        *,
        slots: int = 64,
        evidence: Sink | None = None,
    ) -> None:
        self.settings = settings
        self.device = choose_device(settings.device)
        network = network_of(settings.network)  # it may fail: before anything is made that has to be let go
        if self.device.type == "cuda":
            # Before torch makes the context: reader threads that wait for the GPU must not burn the cores.
            wait_by_blocking(self.device.index or 0)
        self._range = ranges_on(self.device)
        self.counters = EngineCounters()
        self._decoders = DecoderChooser(self.device, settings.decode_threads)
        self._listener: Listener = listener or Silent()
        self._bell = Bell()
        self._open_pace = OpenPace()
        wait = settings.max_wait_seconds
        if wait is None:
            wait = 0.005 if self.device.type == "cuda" else 0.0
        self._batcher = Batcher(self.device, settings.max_batch, wait)
        self._judge = Judge(all_detectors(), self.device, slots)
        self._slots = slots
        self._shadows: ShadowJudge | None = None  # made when the first stream has rules to be tried
        self._uploader = Uploader(self.device) if self.device.type == "cuda" else None
        self._mapped = frozenset(d.name for d in all_detectors() if d.column == "corruption")
        self._recorder = None if evidence is None else Recorder(settings.evidence, evidence, self.device, slots)
        self._levels = Levels(slots, self.device) if settings.levels else None
        self._measure = Measure(
            self.device,
            slots,
            slates=settings.slates,
            network=network,
            record=record_on(self.device) if self.device.type == "cuda" and settings.graphs else None,
            followers=self._followers("video", VIDEO_COLUMNS),
            sound_followers=self._followers("audio", AUDIO_COLUMNS),
        )
        # What goes on for ever may wait for ever for its reference.
        most = LIVE_KEPT_SECONDS if settings.reconnect else math.inf
        self.comparing = Comparing(self._measure.fingerprints, self.device, most)
        self._free = list(range(slots - 1, -1, -1))
        self._streams: dict[int, JudgedStream] = {}
        # What every pass of the loop needs of the streams, by slot.
        self._video: dict[int, BoundedQueue[Surface]] = {}
        self._audio: dict[int, BoundedQueue[AudioBlock]] = {}
        self._pixel_black_th: dict[int, float] = {}
        self._waiting: set[int] = set()  # slots of streams that have ended, and whose references go on
        self._in_flight: deque[tuple[Pending, Pending | None, FrameBatch | None, Measures]] = deque()
        # On a GPU the verdicts of a batch are read while the next one is computed.
        self._depth = 1 if self.device.type == "cuda" else 0
        self._stopping = False
        self._looked_at = self._forgot_at = time.monotonic()
        self.waited_seconds = 0.0
        """For how long the loop had nothing to do."""
        self.outcomes: dict[str, Outcome] = {}

    def add(self, spec: StreamSpec) -> None:
        """Take a stream in and start to read it.

        Raises: ConfigError if its detectors or parameters are wrong; DeviceError if every slot is taken.
        """
        if not self._free:
            raise DeviceError(
                "capacity exceeded",
                stream=spec.id,
                why=f"all {len(self._streams)} slots of this engine are taken",
                remedy="start another engine, or remove a stream",
            )
        detectors, parameters = resolve(spec.detectors)
        rules = {d.name: d.rule(parameters[d.name]) for d in detectors}
        slot = self._free.pop()
        recorder = None
        if self._recorder is not None:
            recorder = self._recorder.open(slot, spec.id, {d.name: watched(d, rules[d.name]) for d in detectors})
        reader = StreamReader(
            spec.id,
            self._source_of(spec),
            self._decoders.open,
            self._bell,
            realtime=self.settings.realtime,
            parameters=parameters,
            reconnect=self.settings.reconnect,
            stall_seconds=parameters.get("stream.stall", {}).get("duration", STALL_SECONDS),
            pace=self._open_pace,
            recorder=recorder,
            handling=self._handling_of(spec),
            together=self.device.type == "cpu",  # a GPU has other streams' pictures to wait for, and few surfaces
        )
        stream = JudgedStream(
            spec=spec,
            slot=slot,
            reader=reader,
            detectors=detectors,
            parameters=parameters,
            outcome=Outcome(spec.id, thresholds={name: rule.enter for name, rule in rules.items()}),
            book=IncidentBook(spec.id),
            coverage=Coverage(
                spec.id,
                tuple(d.name for d in detectors if d.track == "video"),
                tuple(d.name for d in detectors if d.track == "audio"),
            ),
            began=time.monotonic(),
        )
        self._measure.open_slot(slot, parameters, self._columns_of(stream))
        self._judge.open_slot(slot, rules)
        if self._levels is not None:
            self._levels.open_slot(slot)
        self._try_beside(stream)
        self.counters.streams[spec.id] = reader.counters
        self._streams[slot] = stream
        self._video[slot], self._audio[slot] = reader.video, reader.audio
        self._pixel_black_th[slot] = parameters.get("video.black", {}).get("pixel_black_th", 0.1)
        self.comparing.enter(spec.id, slot, reader)
        self._watch_sync(stream)
        reader.start()

    def expect_references(self, streams: Sequence[StreamSpec]) -> None:
        """These will be added: what they name as their reference is kept from its first picture on."""
        self.comparing.expect({spec.reference for spec in streams if spec.reference is not None})

    def _watch_sync(self, stream: JudgedStream) -> None:
        """Look for what the stream's lip sync is judged by, as its detectors and its reference want it."""
        spec, parameters, before = stream.spec, stream.parameters, stream.sync
        pattern = None
        if "av.sync" in parameters:
            pattern = before.pattern if before is not None else None
            if pattern is None:
                stream.reader.onsets = SoundOnsets()
                pattern = FlashBeep(stream.reader.onsets)
        else:
            stream.reader.onsets = None
        compares = not parameters.keys().isdisjoint(("av.sync", "av.reference_mismatch"))
        reference = self.comparing.compare(spec.id, spec.reference if compares else None)
        if pattern is None and reference is None:
            stream.sync = None
        elif before is None or before.pattern is not pattern or before.reference is not reference:
            stream.sync = LipSync(pattern, reference, spec.reference or "")

    def _columns_of(self, stream: JudgedStream) -> set[str]:
        """The measures that are taken of a stream."""
        wanted = {d.column for d in stream.detectors}
        wanted |= {detector(name).column for name in stream.spec.shadow or ()}
        if self.settings.trace:
            wanted |= {*INFORMATION_COLUMNS, *EDGE_COLUMNS}  # no detector of ours judges them
        return wanted

    def _try_beside(self, stream: JudgedStream) -> None:
        """Begin to judge a stream by other rules beside its own, where there are some, and end it where not."""
        if self._shadows is None and stream.spec.shadow is None:
            return
        if self._shadows is None:
            self._shadows = ShadowJudge(self.device, self._slots)
        self._told_beside(self._shadows.close(stream.slot, stream.ends, "removed"))
        if stream.spec.shadow is not None:
            detectors, parameters = resolve(stream.spec.shadow)
            self._shadows.open(stream.slot, stream.spec.id, {d.name: d.rule(parameters[d.name]) for d in detectors})

    def _told_beside(self, found: Iterable[Found]) -> None:
        """What rules that are tried have found; an engine that nobody asked for it tells nobody."""
        for _ in found:
            pass

    def tell_tiles(self, take: Callable[[torch.Tensor], None]) -> None:
        """Hand on what the network says of each tile that it looks at: (pictures, pieces, tiles, tiles), on the device.

        For measuring it; called from the loop, in the order of the rows.
        """
        if self._measure.network is not None:
            self._measure.network.told_tiles = lambda _, said: take(said)

    def _followers(self, track: str, columns: tuple[str, ...]) -> list[Follower]:
        """Who keeps something of every row of a track, on a GPU together with the kernels' launches."""
        if self.device.type == "cpu":
            return []  # it is done when verdicts are given out
        found = [None if part is None else part.follower(track, columns) for part in (self._levels, self._recorder)]
        return [follower for follower in found if follower is not None]

    def evidence_totals(self) -> dict[str, int]:
        """What was made of evidence since the engine began, and what is held for it, for metrics."""
        if self._recorder is None:
            return {}
        return {
            **{f"evidence_{name}": value for name, value in asdict(self._recorder.counters).items()},
            "evidence_held_bytes": self._recorder.held_bytes(),
            "evidence_device_to_host_bytes": self._recorder.device_to_host_bytes,
        }

    def _source_of(self, spec: StreamSpec) -> MediaSource:
        """What a stream's packets come from."""
        return Source(spec.url, stream=spec.id, policy=spec.policy, rendition=spec.rendition)

    def _handling_of(self, spec: StreamSpec) -> Handling:
        """Where its reader marks that it is at work for the stream."""
        return Handling()

    def waits_for_kernels(self) -> bool:
        """Whether something was decoded, and nothing was judged yet. From any thread."""
        readers = [stream.reader for stream in list(self._streams.values())]
        judged = any(r.counters.frames_measured or r.counters.audio_samples for r in readers) or bool(self.outcomes)
        return not judged and any(len(r.video) or len(r.audio) for r in readers)

    def stop(self) -> None:
        """End soon; open incidents are closed as removed. May be called from any thread or signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Judge until every stream has ended, or `stop`.

        Raises: DeviceError if the GPU fails; the process has no more use of it then.
        """
        with gpu_failures_told(self.device), self._stream_of_its_own():
            self._run()

    @contextmanager
    def _stream_of_its_own(self) -> Iterator[None]:
        """On a GPU, nothing is to run on the default stream: its work holds NVDEC's back."""
        if self.device.type != "cuda":
            yield
            return
        own = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        own.wait_stream(torch.cuda.current_stream(self.device))  # the state of the slots was made there
        with torch.cuda.stream(own):
            yield

    def _run(self) -> None:
        try:
            while self._streams and not self._stopping:
                self.step()
            for stream in self._streams.values():
                stream.reader.stop()  # all at once, so that they end side by side
            for stream in list(self._streams.values()):
                self._finish(stream, "removed")
        finally:
            for stream in self._streams.values():
                stream.reader.stop()
            self._decoders.close()
            if self._recorder is not None:
                self._recorder.stop()

    def step(self) -> None:
        """One pass of the loop."""
        began = time.monotonic()
        queues = [queue for slot, queue in self._audio.items() if slot not in self._waiting]
        with self._range("wait"):
            self._batcher.wait_until_ready(self._bell, self._video, queues, IDLE_SECONDS)
        self.waited_seconds += time.monotonic() - began
        with self._range("batch"):
            frames = self._batcher.frames(self._video, self._pixel_black_th)
        if frames is not None:
            with self._range("pictures"):
                self._judge_pictures(frames)
        with self._range("sound"):
            for _ in range(AUDIO_QUEUE_BLOCKS):  # sound that waits is short; more would hold the pictures up
                sound = self._batcher.sound(self._audio)
                if sound is None:
                    break
                self._emit(self._measure.sound(sound), None)
        with self._range("streams"):
            self._judge_ticks()
            self._judge_silence()
            self._judge_sync()
            if frames is None:
                self._settle(0)
            for stream in list(self._streams.values()):
                self._tell(stream)
                if stream.ended:
                    if self._waits_for_reference(stream):
                        self._waiting.add(stream.slot)
                    else:
                        self._finish(stream, "end_of_stream")

    def _waits_for_reference(self, stream: JudgedStream) -> bool:
        """Whether more may be said of a stream that has ended, once its reference has gone on."""
        reference = stream.sync.reference if stream.sync is not None else None
        return reference is not None and reference.waits()

    def _judge_pictures(self, frames: FrameBatch) -> None:
        try:
            frames = self._on_device(frames)
            measures = self._measure.frames(frames)
        except torch.OutOfMemoryError as error:
            if not self._batcher.halve(len(frames.numbers)):
                raise  # one picture at a time is too much
            self._pass_over(frames, error)
            return
        self._emit(measures, frames)
        self._count_looks(frames)

    def _pass_over(self, frames: FrameBatch, error: torch.OutOfMemoryError) -> None:
        """These pictures are not judged, and their seconds say so; the next batches are smaller."""
        self._settle(0)
        for surface, slot in zip(frames.surfaces, frames.numbers, strict=True):
            self._streams[slot].coverage.left_out(surface.pts)
            surface.release()
        give_memory_back(self.device)
        _log.warning(
            "out of memory on %s: %d pictures are left out, and at most %d are judged at a time from now on: %s",
            self.device, len(frames.numbers), self._batcher.max_batch, str(error).splitlines()[0],
        )  # fmt: skip

    def _count_looks(self, frames: FrameBatch) -> None:
        """Which of these pictures the network saw."""
        for row in () if self._measure.network is None else self._measure.network.looked:
            stream = self._streams[frames.numbers[row]]
            stream.coverage.network(frames.surfaces[row].pts)
            stream.reader.counters.frames_seen_by_network += 1

    def _on_device(self, batch: FrameBatch) -> FrameBatch:
        """The batch with the software decoder's pictures uploaded, where the kernels run on a GPU."""
        if self._uploader is None or all(surface.device != "cpu" for surface in batch.surfaces):
            return batch
        surfaces = [self._uploader.upload(s) if s.device == "cpu" else s for s in batch.surfaces]
        return self._batcher.assemble(list(zip(batch.numbers, surfaces, strict=True)), self._pixel_black_th)

    def _judge_ticks(self) -> None:
        while True:
            taken = [(s, tick) for s in self._streams.values() if (tick := s.reader.ticks.take()) is not None]
            if not taken:
                return
            for stream, tick in taken:
                if tick.decode_errors > 0:
                    stream.coverage.errors(tick.start, int(tick.decode_errors))
                for column, cause in tick.causes.items():
                    stream.causes.setdefault(column, deque(maxlen=CAUSES)).append((tick.start, cause))
            self._emit(self._measure.ticks([(stream.slot, tick) for stream, tick in taken]), None)

    def _judge_silence(self) -> None:
        """Live sources that give nothing: their time goes on by the clock."""
        silent: list[tuple[int, StreamTick]] = []
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at, now
        for stream in self._streams.values():
            reader = stream.reader
            if away > AWAY_SECONDS:
                reader.excuse(away)
            tick = reader.stall_tick()
            if tick is not None:
                silent.append((stream.slot, tick))
            if (tick is not None or reader.gap.is_set()) and not (len(reader.video) or len(reader.audio)):
                self._settle(0)
                reader.gap.clear()  # first: what the reader says from here on counts for the next pass
                self._judge.interrupt(stream.slot)
                if self._shadows is not None:
                    self._shadows.interrupt(stream.slot)
                if reader.anew:
                    self._forget_measures(stream)
        if silent:
            self._emit(self._measure.ticks(silent), None)
        for slot, _ in silent:
            stream = self._streams[slot]
            for incident in stream.book.open():
                # While it lasts more becomes known: first nothing comes, then the server refuses.
                if incident.detector == "stream.stall" and incident.cause != stream.reader.cause:
                    incident.cause = stream.reader.cause
                    self._publish(stream, incident, "updated")

    def _judge_sync(self) -> None:
        """What was found of lip sync since the last pass."""
        if self._looked_at - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = self._looked_at
            self.comparing.forget()
        for stream in self._streams.values():
            if stream.ended:
                self.comparing.ended(stream.spec.id)
        for stream in self._streams.values():
            if stream.sync is not None:
                self._emit_sync(stream, stream.sync.rows(stream.parameters.get("av.sync"), stream.judged_until()))

    def _emit_sync(self, stream: JudgedStream, rows: Sequence[SyncRow]) -> None:
        for row in rows:
            tick = StreamTick(row.at, row.at, sync_error=row.sync_error, reference_mismatch=row.mismatch)
            if row.cause is not None:
                column = "reference_mismatch" if row.mismatch > 0 else "sync_error"
                stream.causes.setdefault(column, deque(maxlen=CAUSES)).append((row.at, row.cause))
            self._emit(self._measure.ticks([(stream.slot, tick)]), None)

    def _forget_measures(self, stream: JudgedStream) -> None:
        """What was measured of the stream so far is not to be compared with what comes."""
        stream.reader.anew = False
        self._measure.open_slot(stream.slot, stream.parameters, self._columns_of(stream))

    def _emit(self, measures: Measures, frames: FrameBatch | None) -> None:
        """Judge rows; their verdicts are given out now on the CPU, one batch later on a GPU."""
        pending = self._judge.submit(measures)
        beside = None if self._shadows is None else self._shadows.submit(measures)
        self._in_flight.append((pending, beside, frames, measures))
        self._settle(self._depth)

    def _settle(self, depth: int) -> None:
        """Give out verdicts until at most `depth` batches are in flight."""
        while len(self._in_flight) > depth:
            pending, beside, frames, measures = self._in_flight.popleft()
            transitions = pending.transitions()
            self._account(measures, frames, pending)
            for transition in transitions:
                stream = self._streams[transition.slot]
                incident, change = stream.book.apply(transition)
                self._publish(stream, incident, change)
                if frames is not None and self.settings.thumbnails and transition.kind != "closed":
                    row = frames.numbers.index(transition.slot)
                    stream.outcome.thumbnails[incident.id] = thumbnail(frames.surfaces[row])
                if frames is not None and self._recorder is not None and transition.kind != "closed":
                    row = frames.numbers.index(transition.slot)
                    self._recorder.picture(stream.slot, incident, frames.surfaces[row], transition.decided_at)
                if frames is not None and incident.detector in self._mapped and transition.kind != "closed":
                    self._map(stream, incident, frames, transition.decided_at)
            if beside is not None and self._shadows is not None:
                self._told_beside(self._shadows.found(beside))
            if frames is not None:
                self._judged(frames)
                if self._recorder is not None:
                    self._recorder.batch_ends(frames.numbers, frames.surfaces)
                for surface in frames.surfaces:
                    surface.release()

    def _map(self, stream: JudgedStream, incident: Incident, frames: FrameBatch, at: float) -> None:
        """Where the network sees damage in the picture, as evidence."""
        surface, network = frames.surfaces[frames.numbers.index(stream.slot)], self._measure.network
        make = self._measure.map_of(stream.slot, surface)
        if make is None or network is None:
            return

        def picture() -> bytes:
            return overlay(surface, make(), network.point)

        if self.settings.thumbnails:
            stream.maps[incident.id] = picture  # made once, of the worst of them
        if self._recorder is not None:
            self._recorder.overlay(stream.slot, incident, at, picture)

    def _judged(self, frames: FrameBatch) -> None:
        """The verdicts on these pictures are given out; they are not yet released."""

    def _account(self, measures: Measures, frames: FrameBatch | None, pending: Pending) -> None:
        """Count what was measured, per stream and second, and keep it where a report or evidence wants it."""
        if self._recorder is not None:
            self._recorder.measures(measures)
        if self._levels is not None:
            self._levels.add(measures)
        values = measures.values.cpu().numpy() if self.settings.trace else None
        brightness = self._brightness(measures, pending)
        starts, ends = measures.start.tolist(), measures.known_until.tolist()
        for row, slot in enumerate(measures.slots.tolist() if frames is None else frames.numbers):
            stream = self._streams[slot]
            if measures.track == "video":
                assert frames is not None
                surface = frames.surfaces[row]
                stream.frames_measured += 1
                stream.reader.counters.frames_measured += 1
                stream.coverage.frame(surface.pts)
                if stream.sync is not None and stream.sync.pattern is not None:
                    stream.sync.pattern.picture(surface.pts, brightness[row])
                self.comparing.picture(stream.spec.id, surface.pts, surface.decoded_at)
                stream.ends["video"] = max(stream.ends["video"], surface.pts + surface.duration)
            else:
                stream.ends[measures.track] = max(stream.ends[measures.track], ends[row])
                if measures.track == "audio":
                    samples = round((ends[row] - starts[row]) * 48000)
                    stream.audio_samples += samples
                    stream.reader.counters.audio_samples += samples
                    stream.coverage.sound(starts[row], samples / 48000)
            if values is not None:
                stream.rows.setdefault(measures.track, []).append((starts[row], ends[row], values[row].copy()))
        if values is not None and measures.values.is_cuda:
            self.counters.device_to_host_bytes += values.nbytes
        if frames is not None:
            self.counters.batches += 1
            self.counters.batch_frames += len(frames.surfaces)

    def _brightness(self, measures: Measures, pending: Pending) -> list[float]:
        """Mean luma of each picture, in steps of 1/255 from a GPU: one byte of each crosses for it."""
        if measures.track != "video" or not any(self._wants_brightness(slot) for slot in measures.slots.tolist()):
            return []
        if self.device.type == "cpu":
            found: list[float] = measures.values.numpy()[:, _LUMA_MEAN].tolist()
            return found
        return pending.brightness()

    def _wants_brightness(self, slot: int) -> bool:
        sync = self._streams[slot].sync
        return sync is not None and sync.pattern is not None

    def _publish(self, stream: JudgedStream, incident: Incident, change: Change) -> None:
        if change == "opened":
            stream.opened(incident)
        elif change == "closed" and incident.end is not None:
            if incident.id in stream.maps:
                stream.outcome.overlays[incident.id] = stream.maps.pop(incident.id)()
            stream.coverage.closed(incident.detector, incident.start, incident.end)
        if self._recorder is not None:
            self._recorder.incident(stream.slot, incident, change)
        self._listener.on_incident(incident, change)

    def _tell(self, stream: JudgedStream) -> None:
        now = time.monotonic()
        if now - stream.told < PROGRESS_SECONDS:
            return
        stream.told = now
        info = stream.reader.info
        if info is not None:
            if info.video is not None:
                stream.coverage.frame_rate = info.video.frame_rate
            self._listener.on_progress(stream.spec.id, max(stream.ends.values()), info.duration)
        if self._recorder is not None:
            self._recorder.settle(stream.slot, stream.known_until())
        for pts in stream.reader.sampling.told():
            stream.coverage.left_out(pts)
        for second in stream.coverage.complete(stream.known_until() - 1.0):
            self._give(stream, second)

    def _give(self, stream: JudgedStream, second: StreamSecond) -> None:
        """A second is over."""
        if self._levels is not None:
            second = replace(second, levels=self._levels.take(stream.slot, second.second))
        sync = stream.sync_now()
        if sync is not None:
            second = replace(second, sync=sync)
        self._listener.on_second(second)

    def _finish(self, stream: JudgedStream, closed_by: ClosedBy) -> None:
        """A stream has ended, or is taken out: close what is open, sum up, free the slot."""
        reader = stream.reader
        reader.stop()
        self._settle(0)
        for queue in (reader.video, reader.audio, reader.ticks):
            for item in queue.discard():
                if queue is reader.video:
                    item.release()  # type: ignore[union-attr]  # the video queue holds surfaces
        self._judge_programme(stream, closed_by)
        if stream.sync is not None and closed_by == "end_of_stream":
            if reader.onsets is not None:
                reader.onsets.finish()
            limits = stream.parameters.get("av.sync")
            self._emit_sync(stream, stream.sync.rows(limits, stream.judged_until(), last=True))
            self._settle(0)
        for transition in self._judge.close_slot(stream.slot, stream.ends):
            incident, change = stream.book.apply(transition, closed_by=closed_by)
            self._publish(stream, incident, change)
        if self._shadows is not None:
            self._told_beside(self._shadows.close(stream.slot, stream.ends, closed_by))
        reader.join(JOIN_SECONDS)
        if self._recorder is not None:
            self._recorder.close(stream.slot)
        for second in stream.coverage.rest(max(stream.ends.values())):
            self._give(stream, second)
        outcome = stream.outcome
        outcome.incidents = list(stream.book.all())
        outcome.info = reader.info
        outcome.error = stream.failure(closed_by)
        if outcome.error is None or outcome.error is reader.video.failure:  # else there is nothing to sum up
            loudness = Loudness(**self._measure.loudness(stream.slot)) if stream.audio_samples else None
            outcome.summary = stream.summary(str(self.device), loudness)
        for track, rows in stream.rows.items():
            outcome.trace[track] = Trace(
                columns=self._measure.columns(track),
                times=np.array([at for at, _, _ in rows]),
                values=np.array([values for _, _, values in rows]),
                until=np.array([until for _, until, _ in rows]),
            )
        self.comparing.leave(stream.spec.id)
        self._measure.close_slot(stream.slot)
        for table in (self._streams, self._video, self._audio, self._pixel_black_th):
            del table[stream.slot]
        self._waiting.discard(stream.slot)
        self._free.append(stream.slot)
        self.outcomes[stream.spec.id] = outcome
        self._listener.on_end(outcome)

    def _judge_programme(self, stream: JudgedStream, closed_by: ClosedBy) -> None:
        """What can be said of a programme once all of it was heard; live sources have no end."""
        info = stream.reader.info
        if info is None or info.live or closed_by != "end_of_stream":
            return
        row = self._measure.programme(stream.slot, stream.ends["audio"])
        if row is None:
            return
        for transition in self._judge.judge(row):
            incident, change = stream.book.apply(transition)
            self._publish(stream, incident, change)


def network_of(settings: NetworkSettings | None) -> NetworkUse | None:
    """The artifact network for an engine, if it is to be used.

    Raises: ConfigError if its weights are not what they should be.
    """
    if settings is None or settings.pictures_per_second <= 0:
        return None
    try:
        artifact = load_artifact(settings.weights)
    except WeightsError as error:
        raise ConfigError(
            "cannot use the network's weights",
            stream="" if settings.weights is None else str(settings.weights),
            why=str(error),
            remedy="write weights with avjury train, or leave engine.network.weights out",
        ) from error
    return NetworkUse(artifact, settings.pictures_per_second, settings.judges)


def watched(declared: Detector, rule: Rule) -> Watched:
    """What shows a detector's defect, for its evidence."""
    return Watched(declared.track, declared.column, rule.enter, rule.exit, rule.below)


def check(
    streams: Sequence[StreamSpec],
    settings: EngineSettings,
    listener: Listener | None = None,
    started: Callable[[Engine], None] | None = None,
    evidence: Sink | None = None,
) -> list[Outcome]:
    """Judge inputs together in one engine until each has ended.

    Args:
        streams: with different ids.
        settings: how.
        listener: who is told on the way.
        started: given the engine before it runs, so that a signal handler can stop it.
        evidence: who is handed the evidence of incidents.
    Returns: one outcome per stream, in the order given.
    Raises: ConfigError for wrong detectors or parameters, DeviceError if the device is not there.
    """
    engine = Engine(settings, listener, slots=max(1, len(streams)), evidence=evidence)
    engine.expect_references(streams)
    try:
        for spec in streams:
            engine.add(spec)
        if started is not None:
            started(engine)
    except BaseException:
        engine.stop()  # `run` then ends the readers that were started already
        raise
    finally:
        with told_where_slow(engine.waits_for_kernels):
            engine.run()
    return [engine.outcomes[spec.id] for spec in streams]
