"""What comes of measures: verdicts, incidents, and what is counted per stream and second.

Run by: the engine's loop, whose part this is (engine/pipeline.py). It owns the judge, what is kept for evidence, and
the listener's calls about what was found.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Final

from torch import Tensor

from engine.comparing import Comparing
from engine.counters import EngineCounters
from engine.coverage import SETTLED_SECONDS
from engine.decode.driver import wait_by_blocking
from engine.detectors import all_detectors
from engine.devices import choose_device
from engine.evidence import thumbnail
from engine.evidence.jpeg import encode
from engine.evidence.overlay import overlay, painted_there
from engine.evidence.recorder import Recorder
from engine.evidence.worker import Sink
from engine.incidents import Change
from engine.judge import Judge, Pending
from engine.judged_stream import JudgedStream
from engine.levels import Levels
from engine.listener import Listener, Silent
from engine.measure import AUDIO_COLUMNS, VIDEO_COLUMNS, Asking, Measure
from engine.measure.graphs import record_on
from engine.media import Follower, FrameBatch, Measures, Surface
from engine.networks import audio_network_of, network_of, sync_network_of
from engine.outcome import Outcome
from engine.shadow_judge import Found, ShadowJudge
from engine.spec import EngineSettings
from engine.stale_kernels import forget_stale_kernels
from engine.verdicts import Incident, StreamSecond

_log: Final = logging.getLogger(__name__)
PROGRESS_SECONDS: Final = 0.1
# Of live streams, the longest that may be asked for, and as much again.
LIVE_KEPT_SECONDS: Final = 240.0
_LUMA_MEAN: Final = VIDEO_COLUMNS.index("luma_mean")


class Emitter:
    """Judges rows of measures and tells what comes of them.

    Args:
        settings: how.
        listener: who is told.
        slots: most streams at a time.
        evidence: who is handed the evidence of incidents, from a thread of its own; none is kept without.
    Raises: DeviceError if the device is not there; ConfigError if the network's weights cannot be used.
    """

    def __init__(self, settings: EngineSettings, listener: Listener | None, slots: int, evidence: Sink | None) -> None:
        forget_stale_kernels()
        self.settings = settings
        self.device = choose_device(settings.device)
        network = network_of(settings.network)  # it may fail: before anything is made that has to be let go
        audio_network = audio_network_of(settings.audio_network)
        self._sync_network = sync_network_of(settings.sync_network)
        if self.device.type == "cuda":
            # Before torch makes the context: reader threads that wait for the GPU must not burn the cores.
            why_not = wait_by_blocking(self.device.index or 0)
            if why_not:
                _log.warning("%s: threads that wait for the GPU take a core each: %s", self.device, why_not)
        self.counters = EngineCounters()
        self.outcomes: dict[str, Outcome] = {}
        self._listener: Listener = listener or Silent()
        self._judge = Judge(all_detectors(), self.device, slots)
        self._shadows: ShadowJudge | None = None  # made when the first stream has rules to be tried
        self._mapped = frozenset(d.name for d in all_detectors() if d.column == "corruption")
        self._recorder = None if evidence is None else Recorder(settings.evidence, evidence, self.device, slots)
        self._levels = Levels(slots, self.device) if settings.levels else None
        self._measure = Measure(
            self.device,
            slots,
            slates=settings.slates,
            network=network,
            audio_network=audio_network,
            record=record_on(self.device) if self.device.type == "cuda" and settings.graphs else None,
            followers=self._followers("video", VIDEO_COLUMNS),
            sound_followers=self._followers("audio", AUDIO_COLUMNS),
        )
        # What goes on for ever may wait for ever for its reference.
        most = LIVE_KEPT_SECONDS if settings.reconnect else math.inf
        self.comparing = Comparing(self._measure.fingerprints, self.device, most)
        self._streams: dict[int, JudgedStream] = {}
        self._in_flight: deque[tuple[Pending, Pending | None, FrameBatch | None, Measures, Asking | None]] = deque()
        # On a GPU the verdicts of a batch are read while the next one is computed.
        self._depth = 1 if self.device.type == "cuda" else 0

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

    def _told_beside(self, found: Iterable[Found]) -> None:
        """What rules that are tried have found; an engine that nobody asked for it tells nobody."""
        for _ in found:
            pass

    def _emit(self, measures: Measures, frames: FrameBatch | None) -> None:
        """Judge rows; their verdicts are given out now on the CPU, one batch later on a GPU."""
        pending = self._judge.submit(measures)
        beside = None if self._shadows is None else self._shadows.submit(measures)
        asking = None if frames is None else self._measure.asking()
        self._in_flight.append((pending, beside, frames, measures, asking))
        self._settle(self._depth)

    def _settle(self, depth: int) -> None:
        """Give out verdicts until at most `depth` batches are in flight."""
        while len(self._in_flight) > depth:
            pending, beside, frames, measures, asking = self._in_flight.popleft()
            transitions = pending.transitions()
            if asking is not None:
                asking(pending.asks())
            self._account(measures, frames, pending)
            for transition in transitions:
                stream = self._streams[transition.slot]
                incident, change = stream.book.apply(transition)
                self._publish(stream, incident, change, transition.decided_at)
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
        if self.device.type == "cuda":
            self._map_there(stream, incident, at)
            return
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

    def _map_there(self, stream: JudgedStream, incident: Incident, at: float) -> None:
        """The same on a GPU, of the stream's next picture: the one before this one is overwritten already."""
        network, recorder = self._measure.network, self._recorder
        wanted = recorder is not None and recorder.wants_overlay(stream.slot, incident, at)
        if network is None or not (wanted or self.settings.thumbnails):
            return

        def take(surface: Surface, damage: Tensor) -> None:
            picture = painted_there(surface, damage, network.point)
            if self.settings.thumbnails:
                stream.maps[incident.id] = lambda: encode(picture)
            if recorder is not None:
                recorder.overlay(stream.slot, incident, at, lambda: recorder.encoded(picture))

        self._measure.map_next(stream.slot, take)

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

    def _publish(
        self, stream: JudgedStream, incident: Incident, change: Change, decided_at: float | None = None
    ) -> None:
        if change == "opened":
            stream.opened(incident)
        elif change == "closed" and incident.end is not None:
            if incident.id in stream.maps:
                stream.outcome.overlays[incident.id] = stream.maps.pop(incident.id)()
            stream.coverage.closed(incident.detector, incident.start, incident.end, decided_at)
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
        for second in stream.coverage.complete(stream.known_until() - SETTLED_SECONDS):
            self._give(stream, second)

    def _give(self, stream: JudgedStream, second: StreamSecond) -> None:
        """A second is over."""
        if self._levels is not None:
            second = replace(second, levels=self._levels.take(stream.slot, second.second))
        sync = stream.sync_now()
        if sync is not None:
            second = replace(second, sync=sync)
        self._listener.on_second(second)
