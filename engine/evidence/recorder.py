"""Evidence of every incident of an engine: what is held for it, and when it is made.

A stream's reader thread fills its packet ring; everything else is called from the engine's loop. When an incident
opens, the ring is told to hold the media before it; when the incident has closed and its post-roll has been judged, or
the clip has its greatest length, or the stream ends, the packets are picked out and the worker cuts them. The loop
itself never writes, encodes or waits.
"""

import functools
import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import torch

from engine.evidence import clip
from engine.evidence.jpeg import encode, small_picture_there
from engine.evidence.packet_ring import NEVER, Kept, PacketRing
from engine.evidence.series import MeasureRing, Points, Watched, series_json
from engine.evidence.worker import EvidenceCounters, EvidenceWorker, Sink, Task
from engine.media import Follower, Measures, Packet, StreamInfo, Surface
from engine.settings.storage import StorageSection
from engine.verdicts import Incident, Severity

Change = Literal["opened", "updated", "closed"]

# Clips that one stream waits for at a time: what broke in twenty ways at once is seen in the first ones.
MOST_WAITING: Final = 16
# Pictures that are decoded from later ones, and the sound beside them, come so much after the end of a clip.
TAIL_SECONDS: Final = 0.5
# A picture of an incident is replaced by a worse one no more often.
THUMBNAIL_SECONDS: Final = 1.0
# Where hundreds of streams break at once, the pictures of the others wait for their next ones: each costs a millisecond
# or two of the loop.
PICTURES_PER_BATCH: Final = 4
# A map of damage takes the worker a tenth of a second, as long as a clip or two.
MAP_SECONDS: Final = 5.0
MOST_MAPS_WAITING: Final = 2
PATIENCE_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What is kept of incidents.

    Args:
        clips: keep the compressed media around incidents of severity warning and critical.
        pre_roll_seconds, post_roll_seconds: of a clip, before and after the incident.
        most_seconds: longest clip, pre-roll included; an incident that is open then gets its clip then.
        hold_seconds: how long a detector may take to find an incident without costing its pre-roll.
        ring_bytes: most compressed media that is held per stream.
        thumbnails, series: keep pictures, and measures over time.
        folder: where clips are written before they are handed over; a temporary one unless given.
        patient: wait for the worker where it is behind (a check of files); else evidence is dropped, and counted.
    """

    clips: bool = True
    pre_roll_seconds: float = 5.0
    post_roll_seconds: float = 5.0
    most_seconds: float = 30.0
    hold_seconds: float = 10.0
    ring_bytes: int = 16 << 20
    thumbnails: bool = True
    series: bool = True
    folder: Path | None = None
    patient: bool = False

    @classmethod
    def of(cls, storage: StorageSection, *, folder: Path | None = None, patient: bool = False) -> "EvidenceSettings":
        """What the configuration's section says."""
        return cls(
            clips=storage.clips,
            pre_roll_seconds=storage.clip_pre_roll_seconds,
            post_roll_seconds=storage.clip_post_roll_seconds,
            most_seconds=storage.clip_most_seconds,
            ring_bytes=storage.ring_bytes,
            folder=folder,
            patient=patient,
        )


@dataclass(slots=True, eq=False)
class _Waiting:
    """An incident whose evidence is not made yet.

    Args:
        incident: the book's own, which changes.
        begin: media second from which on it is shown.
        latest: at which the evidence is made in any case.
        points: of its measure, as they were when it opened.
    """

    incident: Incident
    begin: float
    latest: float
    points: Points = field(default_factory=Points.none)


class StreamRecorder:
    """What is held of one stream.

    Args:
        stream: its id.
        watched: what shows each detector's defect, by its name.
        ring: filled by the reader.
    """

    def __init__(self, stream: str, watched: Mapping[str, Watched], ring: PacketRing | None) -> None:
        self.stream = stream
        self.watched = watched
        self.ring = ring
        self.waiting: dict[str, _Waiting] = {}
        self.pictured: dict[str, float] = {}
        self.mapped: dict[str, float] = {}

    def opened(self, info: StreamInfo) -> None:
        """The source was opened; from the reader's thread."""
        if self.ring is not None:
            try:
                self.ring.opened(info)
            except Exception:  # noqa: BLE001 - logged there; evidence must not end a stream
                self._give_up()

    def packet(self, packet: Packet) -> None:
        """A packet came; from the reader's thread."""
        if self.ring is not None:
            try:
                self.ring.packet(packet)
            except Exception:  # noqa: BLE001 - logged there; evidence must not end a stream
                self._give_up()

    def _give_up(self) -> None:
        """Whatever it is: a stream is judged all the same."""
        log.exception("%s: a bug in holding its packets; it has no clips from here on", self.stream)
        self.ring = None


class Recorder:
    """The evidence of one engine's streams.

    Args:
        settings: what is kept.
        sink: who gets it, called from the worker's thread.
        device: where the engine measures.
        slots: of the engine.
    """

    def __init__(self, settings: EvidenceSettings, sink: Sink, device: torch.device, slots: int) -> None:
        self.settings = settings
        self._streams: dict[int, StreamRecorder] = {}
        # The ticks of ingest are made on the host.
        devices = {"video": device, "audio": device, "stream": torch.device("cpu")}
        self._rings = {track: MeasureRing(slots, where) for track, where in devices.items()}
        self._worker = EvidenceWorker(sink, patient=settings.patient)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if settings.folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="avjury-clips-")
        self._folder = settings.folder or Path(self._temporary.name if self._temporary is not None else "")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._picture_bytes = 0
        self._pictures_left = PICTURES_PER_BATCH
        self._owed: dict[int, Incident] = {}
        self._maps = threading.BoundedSemaphore(MOST_MAPS_WAITING)
        self._started = False

    @property
    def counters(self) -> EvidenceCounters:
        """What was made so far."""
        return self._worker.counters

    @property
    def device_to_host_bytes(self) -> int:
        """What evidence copied from the device."""
        return self._picture_bytes + sum(ring.device_to_host_bytes for ring in self._rings.values())

    def held_bytes(self) -> int:
        """Compressed media that is held, over all streams."""
        return sum(ring.bytes for stream in list(self._streams.values()) if (ring := stream.ring) is not None)

    def open(self, slot: int, stream: str, watched: Mapping[str, Watched]) -> StreamRecorder:
        """A stream moves into a slot; `watched` says what shows each of its detectors' defects."""
        settings = self.settings
        ring = PacketRing(settings.pre_roll_seconds + settings.hold_seconds, settings.ring_bytes)
        self._streams[slot] = recorder = StreamRecorder(stream, watched, ring if settings.clips else None)
        for measures in self._rings.values():
            measures.open_slot(slot)
        if not self._started:
            self._worker.start()
            self._started = True
        return recorder

    def watch(self, slot: int, watched: Mapping[str, Watched]) -> None:
        """Other detectors judge a slot's stream; what is open of those that did before is still shown."""
        stream = self._streams[slot]
        stream.watched = {**stream.watched, **watched}

    def follower(self, track: str, columns: tuple[str, ...]) -> Follower | None:
        """Who keeps the rows of pictures or of sound where they are measured, on a GPU; None where no series is kept.

        Args:
            track: "video" or "audio".
            columns: of these rows.
        """
        if not self.settings.series:
            return None
        self._rings[track].bind(columns)
        return self._rings[track]

    def measures(self, measures: Measures) -> None:
        """Rows were judged."""
        if self.settings.series:
            self._rings[measures.track].add(measures)

    def incident(self, slot: int, incident: Incident, change: Change) -> None:
        """An incident of a slot's stream changed."""
        stream = self._streams[slot]
        if change == "opened" and incident.id not in stream.waiting:
            if len(stream.waiting) >= MOST_WAITING:
                self._worker.drop()
                return
            begin = incident.start - self.settings.pre_roll_seconds
            waiting = _Waiting(incident, begin, begin + self.settings.most_seconds)
            if self.settings.series:
                waiting.points = self._points(slot, incident, begin)
            stream.waiting[incident.id] = waiting
            self._hold(stream)
        elif change == "closed" and incident.id not in stream.waiting:
            stream.pictured.pop(incident.id, None)
            stream.mapped.pop(incident.id, None)

    def picture(self, slot: int, incident: Incident, surface: Surface, at: float) -> None:
        """The picture at media second `at`, not yet released, is the worst one of an open incident so far."""
        stream = self._streams[slot]
        if not self.settings.thumbnails or at - stream.pictured.get(incident.id, -NEVER) < THUMBNAIL_SECONDS:
            return
        if not self._pictures_left:
            self._owed[slot] = incident
            return
        self._pictures_left -= 1
        self._owed.pop(slot, None)
        stream.pictured[incident.id] = at
        make = functools.partial(self.encoded, small_picture_there(surface))
        task = Task(incident.id, stream.stream, "thumbnail", make)
        if not self._worker.submit(task):
            self._worker.drop()

    def wants_overlay(self, slot: int, incident: Incident, at: float) -> bool:
        """Whether it is time for another map of an incident."""
        rest = THUMBNAIL_SECONDS if self.settings.patient else MAP_SECONDS
        since = at - self._streams[slot].mapped.get(incident.id, -NEVER)
        return self.settings.thumbnails and since >= rest

    def overlay(self, slot: int, incident: Incident, at: float, make: Callable[[], bytes]) -> None:
        """The map of damage over the picture at media second `at`, which is the worst one of an incident so far.

        Where many streams break at once, those for whom the worker has no time have none.
        """
        stream = self._streams[slot]
        if not self.wants_overlay(slot, incident, at):
            return
        if not self._maps.acquire(timeout=PATIENCE_SECONDS if self.settings.patient else 0.0):
            return
        stream.mapped[incident.id] = at

        def made() -> bytes:
            try:
                return make()
            finally:
                self._maps.release()

        if not self._worker.submit(Task(incident.id, stream.stream, "overlay", made)):
            self._maps.release()
            self._worker.drop()

    def encoded(self, picture: torch.Tensor) -> bytes:
        """The JPEG of a picture. From the worker's thread, which alone counts these bytes."""
        coded = encode(picture)
        self._picture_bytes += len(coded) if picture.is_cuda else 0
        return coded

    def batch_ends(self, slots: Sequence[int], surfaces: Sequence[Surface]) -> None:
        """A batch was judged, and is not yet released: take the pictures that earlier ones had no time for."""
        for slot, surface in zip(slots, surfaces, strict=True) if self._owed else ():
            incident = self._owed.get(slot)
            if incident is not None and not self._pictures_left:
                break
            if incident is not None and incident.end is None:
                self.picture(slot, incident, surface, surface.pts)
            self._owed.pop(slot, None)
        self._pictures_left = PICTURES_PER_BATCH

    def settle(self, slot: int, now: float) -> None:
        """Every track of the stream was judged up to media second `now`: make what is due."""
        stream = self._streams[slot]
        if not stream.waiting:
            return
        for waiting in list(stream.waiting.values()):
            if now >= self._due(waiting) + TAIL_SECONDS:
                self._make(slot, stream, waiting, last=False)

    def close(self, slot: int) -> None:
        """The stream has left: make what is waiting."""
        stream = self._streams[slot]
        for waiting in list(stream.waiting.values()):
            self._make(slot, stream, waiting, last=True)
        del self._streams[slot]
        self._owed.pop(slot, None)

    def stop(self) -> None:
        """Make what is queued, and end."""
        if self._started:
            self._worker.stop(600.0 if self.settings.patient else DRAIN_SECONDS)
        if self._temporary is not None:
            self._temporary.cleanup()

    def _due(self, waiting: _Waiting) -> float:
        end = waiting.incident.end
        return waiting.latest if end is None else min(end + self.settings.post_roll_seconds, waiting.latest)

    def _make(self, slot: int, stream: StreamRecorder, waiting: _Waiting, *, last: bool) -> None:
        """Hand the worker what an incident's evidence is made of; try again at the next turn if it is busy."""
        incident = waiting.incident
        end = self._due(waiting)
        ring = stream.ring  # the reader's thread may give it up
        if ring is not None and incident.severity is not Severity.INFO:
            wish = clip.Wish(waiting.begin, end, incident.start, end if incident.end is None else incident.end)
            title = f"{stream.stream} {incident.detector}"
            make = functools.partial(_cut, ring.kept(), wish, self._folder / incident.id, title)
            if not self._worker.submit(Task(incident.id, stream.stream, "clip", make)):
                if not last:
                    return  # the ring holds it for the next turn
                self._worker.drop()
        if self.settings.series:
            points = waiting.points.joined(self._points(slot, incident, waiting.begin))
            self._submit(Task(incident.id, stream.stream, "series", self._series(stream, incident, points)))
        del stream.waiting[incident.id]
        stream.pictured.pop(incident.id, None)
        stream.mapped.pop(incident.id, None)
        self._hold(stream)

    def _submit(self, task: Task) -> None:
        if not self._worker.submit(task):
            self._worker.drop()

    def _series(self, stream: StreamRecorder, incident: Incident, points: Points) -> functools.partial[bytes]:
        return functools.partial(
            series_json,
            points,
            stream=stream.stream,
            detector=incident.detector,
            watched=stream.watched[incident.detector],
            start=incident.start,
            end=incident.end,
        )

    def _points(self, slot: int, incident: Incident, since: float) -> Points:
        watched = self._streams[slot].watched[incident.detector]
        return self._rings[watched.track].read(slot, watched.measure, since)

    @staticmethod
    def _hold(stream: StreamRecorder) -> None:
        ring = stream.ring
        if ring is not None:
            ring.want(min((waiting.begin for waiting in stream.waiting.values()), default=NEVER))


def _cut(kept: Kept, wish: clip.Wish, path: Path, title: str) -> Path | None:
    cut = clip.choose(kept, wish)
    if cut is None:
        return None
    if cut.changed_at is not None:
        log.info("%s: the coding changed at %.3f s; the clip holds one side of it", title, cut.changed_at)
    file = path.with_suffix(cut.suffix)
    clip.write(cut, file, title)
    return file
