"""The types that flow on the host side, once the device has judged. Nothing here loads torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Severity(StrEnum):
    """How bad an incident is; ordered by `rank`."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 info, 1 warning, 2 critical."""
        return list(Severity).index(self)


ClosedBy = Literal["recovered", "end_of_stream", "removed"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A detector opened, got worse, or closed on one slot.

    Args:
        slot: the stream's slot.
        detector: "area.defect".
        kind: "opened", "worse" (a new worst value while open; at most one per row), or "closed".
        at: media seconds: the first bad moment for "opened", that row's time for "worse", the first good moment for
            "closed".
        decided_at: media time of the row that brought the decision.
        peak: worst value of the detector's measure so far, in the measure's unit.
        mean: mean of the measure over the bad rows so far.
    """

    slot: int
    detector: str
    kind: Literal["opened", "worse", "closed"]
    at: float
    decided_at: float
    peak: float
    mean: float


@dataclass(slots=True)
class Incident:
    """What users see: one defect on one stream from its first bad to its first good moment.

    Args:
        id: stable: derived from stream, detector and start.
        stream: the stream's id.
        detector: "area.defect".
        severity: of the detector, or lowered where the cause says so (a track that never existed).
        start: first bad media second.
        end: first good media second; None while open.
        score: worst value of the detector's measure.
        closed_by: why it ended; None while open.
        measures: named values around it.
        cause: a machine-readable reason where there is one ("absent_track").
        decided_at: media second at which it was known, the set duration after its start at the soonest.
    """

    id: str
    stream: str
    detector: str
    severity: Severity
    start: float
    score: float
    end: float | None = None
    closed_by: ClosedBy | None = None
    measures: dict[str, float] = field(default_factory=dict)
    cause: str | None = None
    decided_at: float | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while open."""
        return None if self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class SyncVerdict:
    """What is known of sound against picture at a moment.

    Args:
        verdict: "unknown" where there is nothing to judge by.
        offset_ms: milliseconds by which sound is late; negative where it is early; None where unknown.
        confidence: 0 to 1.
        way: how it is known: by a test pattern, by comparing with a reference, or by the sync network; None where
            unknown.
        latency_ms: milliseconds by which the stream is later than its reference; None without one, or where unknown.
        same_programme: it is its reference's programme; None without one, or where unknown.
        tolerance_ms: in sync is sound that is so many milliseconds late: from, to; None where unknown.
        content: what chose that tolerance: speech was heard, or something else; None where nobody listened, of a test
            pattern, and where unknown.
    """

    verdict: Literal["in_sync", "out_of_sync", "unknown"]
    offset_ms: float | None = None
    confidence: float = 0.0
    way: Literal["pattern", "reference", "network"] | None = None
    latency_ms: float | None = None
    same_programme: bool | None = None
    tolerance_ms: tuple[float, float] | None = None
    content: Literal["speech", "other"] | None = None


@dataclass(frozen=True, slots=True)
class StreamSecond:
    """The verdict on one media second of one stream: its coverage, and what held during it.

    Args:
        stream: the stream's id.
        second: whole media second, from 0.
        frames_expected: pictures due by the stream's frame rate.
        frames_decoded: pictures that the decoder gave.
        frames_measured: pictures that the kernels saw.
        audio_seconds: seconds of sound measured.
        decode_errors: packets or pictures that the decoder reported as damaged.
        open: detectors whose incident was open at any time in it.
        unknown: detectors that had nothing to judge by in it.
        critical: those of `open` whose incident is critical; an incident's severity may be lower than its detector's.
        levels: lowest and highest value of each measure in it, packed (engine/level_columns.py); empty where nobody
            keeps them.
        sync: sound against picture, as far as it was known when the second was given out; None where nobody asked, or
            a track is missing.
        frames_seen_by_network: pictures that the artifact network looked at.
    """

    stream: str
    second: int
    frames_expected: float
    frames_decoded: int
    frames_measured: int
    audio_seconds: float
    decode_errors: int
    open: tuple[str, ...]
    unknown: tuple[str, ...]
    critical: tuple[str, ...] = ()
    levels: bytes = b""
    sync: SyncVerdict | None = None
    frames_seen_by_network: int = 0


@dataclass(frozen=True, slots=True)
class Loudness:
    """Programme loudness by ITU-R BS.1770 and EBU R128. Levels in LUFS, range in LU, peak in dBTP.

    None where a value does not exist (nothing above the absolute gate; silence has no peak).
    """

    integrated: float | None
    range: float | None
    true_peak: float | None
    max_momentary: float | None
    max_short_term: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One input's totals, when it ended. Field names are the JSON contract; see docs/output.md."""

    stream: str
    frames_decoded: int
    frames_measured: int
    audio_seconds: float
    decode_errors: int
    duration: float
    wall_seconds: float
    speed: float
    decoder: str | None
    device: str
    loudness: Loudness | None
    av_sync: Mapping[str, object] | None = None
