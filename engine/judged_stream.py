"""One stream in its slot of the engine: what is judged in it, and what was found so far."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.coverage import Coverage
from engine.detectors import Detector, detector
from engine.errors import AvjuryError, DecodeError
from engine.incidents import IncidentBook
from engine.lip_sync import LipSync
from engine.outcome import Outcome
from engine.reader import StreamReader
from engine.spec import StreamSpec
from engine.verdicts import ClosedBy, Incident, Loudness, Severity, Summary, SyncVerdict

# A track that is so far behind the other one is taken for gone; containers interleave within a second or two.
TRACK_LATE_SECONDS = 5.0


@dataclass(slots=True)
class JudgedStream:
    """A stream in its slot, and what was found of it so far. Touched by the loop alone."""

    spec: StreamSpec
    slot: int
    reader: StreamReader
    detectors: tuple[Detector, ...]
    parameters: dict[str, dict[str, float]]
    outcome: Outcome
    book: IncidentBook
    coverage: Coverage
    began: float
    ends: dict[str, float] = field(default_factory=lambda: {"video": 0.0, "audio": 0.0, "stream": 0.0})
    rows: dict[str, list[tuple[float, float, npt.NDArray[np.float64]]]] = field(default_factory=dict)
    causes: dict[str, deque[tuple[float, str]]] = field(default_factory=dict)
    closed_tracks: set[str] = field(default_factory=set)
    sync: LipSync | None = None
    maps: dict[str, Callable[[], bytes]] = field(default_factory=dict)  # of damage, by incident; keeps two pictures
    frames_measured: int = 0
    audio_samples: int = 0
    told: float = 0.0
    heard_until: float = 0.0  # media second up to which its sound was judged

    def known_until(self) -> float:
        """Media time up to which every track that still runs was judged, or up to which nothing came of a live one."""
        if self.reader.progress.stalled or self.reader.sampling.shed:
            return self.ends["stream"]
        running = [end for track, end in self.ends.items() if track != "stream" and self._runs(track)]
        if not running:
            return max(self.ends.values())
        # A track that comes no more must not hold back what is known of the other one.
        return max(min(running), self.ends["stream"] - TRACK_LATE_SECONDS)

    def _runs(self, track: str) -> bool:
        """Whether more may come of a track that the input has."""
        info, queue = self.reader.info, self.reader.video if track == "video" else self.reader.audio
        there = info is None or (info.video if track == "video" else info.audio) is not None
        return there and not queue.ended

    @property
    def ended(self) -> bool:
        """Whether all that was read of it has been taken."""
        return self.reader.video.ended and self.reader.audio.ended and self.reader.ticks.ended

    def opened(self, incident: Incident) -> None:
        """Complete an incident that was opened with what the reader knows of it."""
        self._mark_absent_track(incident)
        said = self.causes.get(detector(incident.detector).column, ())
        incident.cause = next((cause for at, cause in said if at >= incident.start), incident.cause)
        decided_at = incident.decided_at
        if incident.detector == "stream.stall":
            incident.cause = self.reader.progress.cause
            # Nothing is judged while it lasts, so its seconds wait for it, and what they say hangs on nobody's timing.
            decided_at = None
        self.coverage.opened(incident.detector, incident.start, incident.severity, decided_at)

    def _mark_absent_track(self, incident: Incident) -> None:
        """A track that the input never had is worth a word, not an alarm: plenty of inputs have none on purpose.

        One that nothing here decodes is something else: nobody sees it judged.
        """
        info = self.reader.info
        if info is None:
            return
        missing = {"stream.missing_audio": "audio", "stream.missing_video": "video"}.get(incident.detector, "")
        if missing in info.undecodable:
            incident.cause = info.undecodable[missing]
            return
        if (incident.detector == "stream.missing_audio" and info.audio is None) or (
            incident.detector == "stream.missing_video" and info.video is None
        ):
            incident.severity = Severity.WARNING
            incident.cause = "absent_track"

    def failure(self, closed_by: ClosedBy) -> AvjuryError | None:
        """Why it could not be opened, or ended early; None where it was judged to its end."""
        failure = self.reader.video.failure
        if isinstance(failure, AvjuryError):
            return failure
        nothing = not self.frames_measured and not self.audio_samples
        if self.reader.decoders is None or not nothing or closed_by != "end_of_stream":
            return None
        counters = self.reader.counters
        if not counters.packets:
            return DecodeError(
                "nothing to judge in input",
                stream=self.spec.id,
                why="it names its tracks and holds nothing of them",
                remedy="check what wrote it, and whether it has finished",
            )
        return DecodeError(
            "nothing could be decoded",
            stream=self.spec.id,
            why=f"{counters.packets} packets gave no picture and no sound ({counters.decode_errors} of them damaged)",
            remedy="check that the input is complete and that its codec is supported (avjury doctor)",
        )

    def summary(self, device: str, loudness: Loudness | None) -> Summary | None:
        """What was judged; None if it could not be opened."""
        reader = self.reader
        if reader.decoders is None:
            return None
        wall, end = time.monotonic() - self.began, max(self.ends.values())
        video = reader.decoders.video
        return Summary(
            stream=self.spec.id,
            frames_decoded=reader.counters.frames_decoded,
            frames_measured=self.frames_measured,
            audio_seconds=round(self.audio_samples / 48000, 6),
            decode_errors=reader.counters.decode_errors,
            duration=round(end, 6),
            wall_seconds=round(wall, 3),
            speed=round(end / wall, 2) if wall > 0 else 0.0,
            decoder=video.name if video is not None else None,
            device=device,
            loudness=loudness,
            av_sync=self._av_sync(),
        )

    def judged_until(self) -> float:
        """Media time up to which every track that still runs was judged, however late one of them is."""
        if self.reader.info is not None and self.reader.info.live:
            return self.known_until()
        running = [end for track, end in self.ends.items() if track != "stream" and self._runs(track)]
        return min(running) if running else max(self.ends["video"], self.ends["audio"])

    def _judges_sync(self) -> bool:
        """Whether somebody asks for lip sync, and there are both tracks."""
        info = self.reader.info
        there = info is not None and info.video is not None and info.audio is not None
        return there and self.sync is not None and "av.sync" in self.parameters

    def sync_now(self) -> SyncVerdict | None:
        """What is known of lip sync now; None where a track is missing, or nobody asked."""
        if self.sync is None or not self._judges_sync():
            return None
        return self.sync.now(max(self.ends.values()), self.parameters["av.sync"])

    def _av_sync(self) -> dict[str, object] | None:
        """What is known of lip sync of the whole stream; None where a track is missing, or nobody asked."""
        if self.sync is None or not self._judges_sync():
            return None
        return self.sync.summary(self.parameters["av.sync"])
