"""Faults of the timestamps themselves: jumps, gaps, steps back, missing ones, drift; and tracks apart from each other.

The media clock has taken the jumps out already (clock.py); here they are told, and so is what it left as it was.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.ingest.clock import Discontinuity
from engine.ingest.findings import Row
from engine.media import Packet, Track

# Containers round to a millisecond (FLV, Matroska), so equal steps may come out a little back.
_ROUNDING_SECONDS: Final = 0.0015
# Ogg stamps pages, which hold up to a second (RFC 3533, 6): libav counts the packets between by what it takes them to
# last, and of Vorbis, whose blocks are of two lengths, takes some for too long. A page puts it right.
PAGE_ROUNDING_SECONDS: Final = 0.1
# ISO/IEC 13818-1, 2.7.4 (and TR 101 290, 2.5): a timestamp comes every 0.7 s at least; packets between may have none.
_UNTIMED_SECONDS: Final = 0.7
# Where pictures come at any distance, a gap is one that is so many times the longest of late.
_USUAL_TIMES: Final = 4.0
_USUAL_STEPS: Final = 16
# A jump that the timestamps and the clock of the transport make together; they are some pictures apart.
_SAME_JUMP_SECONDS: Final = 0.3
_MOST_JUMPS: Final = 4
# A sound packet that is off by more than half of itself is a step, not drift.
_STEP_SHARE: Final = 0.5
_COLUMN: Final = "av_offset_seconds"


class _TrackTimes:
    """What one track's next time should be."""

    __slots__ = ("anchor", "by_decoding", "expected", "last", "off", "since", "steps", "timed")

    def __init__(self) -> None:
        self.last: float | None = None
        self.by_decoding = False  # `last` is a decoding time, not a presentation time
        self.expected: float | None = None
        self.timed: float | None = None  # the last time that was there, in spite of jumps
        self.anchor: float | None = None  # of the sound: time and decoded seconds since
        self.since = 0.0
        self.off = 0.0
        self.steps: deque[float] = deque(maxlen=_USUAL_STEPS)  # seconds from one packet to the next, of late


class Timeline:
    """Watches the times of a stream's packets.

    Args:
        report: told the media second, what was wrong, and the media second at which it went on.
        jump_seconds: smallest gap that is a fault.
        drift_seconds: by how much the sound's timestamps may depart from the sound that they stamp.
        sound_gap_seconds: smallest gap of sound that is a fault, where its packets are known to follow each other.
        missing_seconds: of each track, how long it has to stay out, while the other one goes on, to be told as missing.
        on_jump: told the media second of a jump that is reported, beside the report.
        on_back: told of times that go back (media second, track, by how many seconds, in words) in place of the report.
        on_left_out: told of sound that is left out for less than `jump_seconds`, as `report` is and in its place.
    """

    def __init__(
        self,
        report: Callable[[float, str, float], None],
        jump_seconds: float,
        drift_seconds: float,
        sound_gap_seconds: float,
        missing_seconds: Mapping[Track, float],
        on_jump: Callable[[float], None] | None = None,
        on_back: Callable[[float, Track, float, str], None] | None = None,
        on_left_out: Callable[[float, str, float], None] | None = None,
    ) -> None:
        self._missing_seconds = missing_seconds
        self._report = report
        self._on_jump, self._on_back, self._on_left_out = on_jump, on_back, on_left_out or report
        self.jump_seconds = jump_seconds
        self._drift_seconds = drift_seconds
        self._sound_gap_seconds = sound_gap_seconds
        self._tracks: dict[Track, _TrackTimes] = {"video": _TrackTimes(), "audio": _TrackTimes()}
        self.told = 0
        """How many of the clock's jumps were reported."""
        self._jumps: deque[float] = deque(maxlen=_MOST_JUMPS)  # that were told last
        self.holes: deque[tuple[Track, float, float]] = deque(maxlen=_MOST_JUMPS)
        """Since when and until when nothing of a track came, the last ones that were told."""
        self.sound_seconds = 0.0
        """Of one packet of sound, exactly: containers round its duration, and MP4's spans what is missing after it. 0
        where that is not known."""
        self.rounding_seconds = _ROUNDING_SECONDS
        """A step back of so much is the container's, and none of the times."""
        self.sound_follows = False
        """Each packet of sound follows the one before it: its coder leaves out no silence."""

    @property
    def sound_until(self) -> float | None:
        """Up to when sound has come, where its packets follow each other; None where that is not known."""
        last = self._tracks["audio"].last
        return last + self.sound_seconds if last is not None and self.sound_follows and self.sound_seconds else None

    def begin_anew(self, told: int) -> None:
        """What comes next is compared with nothing before it; nor are so many of the clock's jumps told."""
        self.told = told
        for each in self._tracks.values():
            each.anchor = each.expected = each.last = None

    def packet(self, packet: Packet, seconds: float, found: Sequence[Discontinuity]) -> bool:
        """Look at the next packet.

        Args:
            packet: in demux order.
            seconds: of its content, as the container says; 0 where that is not known.
            found: the jumps that the clock has taken out so far.
        Returns: whether nothing of its track came for so long before it that this is told.
        """
        times = self._tracks[packet.track]
        jumped = len(found) > self.told
        for jump in found[self.told :]:
            if jump.declared:
                continue  # an advertisement begins or ends: players know
            self._report(jump.at, f"{jump.track} timestamps jump by {jump.jump_seconds:+.3f} s", jump.at)
            if self._on_jump is not None:
                self._on_jump(jump.at)
            self._jumps.append(jump.jump_seconds)
        self.told = len(found)
        at = packet.pts if packet.dts is None else packet.dts
        if at is None:
            self._untimed(packet.track, times, seconds)
            return False
        times.timed = at
        if jumped:
            self.begin_anew(self.told)
        by_decoding = packet.dts is not None
        if by_decoding != times.by_decoding:
            # Containers without decoding times have them guessed, but not those of the first pictures.
            times.anchor = times.expected = times.last = None
        times.by_decoding = by_decoding
        last, expected, hole = times.last, times.expected, False
        if last is not None and at < last - self.rounding_seconds:
            self._go_back(packet.track, last, last - at)
            times.anchor = None
        elif expected is not None and at - expected > self._shortest_gap(packet.track, times):
            hole = True
            self.holes.append((packet.track, expected, at))
            if not self._is_missing(packet.track, expected, at):
                self._report(expected, f"{packet.track} timestamps skip {at - expected:.3f} s", at)
                self._jumps.append(at - expected)
            times.anchor = None
        if last is not None and at > last:
            times.steps.append(at - last)
        if packet.track == "audio":
            self._follow(times, at)
        times.last = at
        times.expected = at + seconds
        return hole

    def _go_back(self, track: Track, at: float, seconds: float) -> None:
        what = f"{track} timestamps go back by {seconds:.3f} s"
        if self._on_back is not None:
            self._on_back(at, track, seconds, what)
        else:
            self._report(at, what, at)

    def told_jump(self, seconds: float) -> bool:
        """Whether a jump of about so many seconds, back or forth, was among the last that were told."""
        return any(abs(jump - seconds) < _SAME_JUMP_SECONDS for jump in self._jumps)

    def _is_missing(self, track: Track, since: float, until: float) -> bool:
        """Whether a hole is one of a track that stays out while the other goes on, for as long as has its own name."""
        other = self._tracks["audio" if track == "video" else "video"].last
        long_enough = until - since >= self._missing_seconds.get(track, math.inf)
        return long_enough and other is not None and other > (since + until) / 2

    def _shortest_gap(self, track: Track, times: _TrackTimes) -> float:
        """What is longer is a gap. Pictures of screens and of slides come when something changes; after the first one
        nobody knows yet whether they do."""
        usual = _USUAL_TIMES * max(times.steps, default=math.inf) if track == "video" else 0.0
        return max(self.jump_seconds - _ROUNDING_SECONDS, usual)

    def _untimed(self, track: Track, times: _TrackTimes, seconds: float) -> None:
        """A packet without a time. Streams without a container have none at all, and lose none."""
        if times.timed is None:
            return
        if times.expected is not None:
            times.expected += seconds
        now = max(t for each in self._tracks.values() for t in (each.expected, each.timed) if t is not None)
        if now - times.timed > _UNTIMED_SECONDS:
            self._report(now, f"{track} without timestamps for {now - times.timed:.1f} s", now)

    def _follow(self, times: _TrackTimes, at: float) -> None:
        """Compare the sound's time with the sound that was sent: a clock that runs apart shows within hours."""
        seconds = self.sound_seconds
        if seconds <= 0:
            times.anchor = None
            return
        if times.anchor is None:
            times.anchor, times.since, times.off = at, 0.0, 0.0
        off = at - times.anchor - times.since
        step = off - times.off
        if abs(step) > _STEP_SHARE * seconds:
            if self.sound_follows and step >= self._sound_gap_seconds and not self._is_missing("audio", at - step, at):
                self.holes.append(("audio", at - step, at))
                tell = self._on_left_out if step < self.jump_seconds else self._report
                tell(at - step, f"{step:.3f} s of sound are left out", at)
            times.anchor, times.since, off = at, 0.0, 0.0
        elif abs(off) > self._drift_seconds:
            self._report(at, f"the sound's clock drifts: {off:+.3f} s in {times.since:.0f} s", at)
            times.anchor, times.since, off = at, 0.0, 0.0
        times.off = off
        times.since += seconds


class TrackOffset:
    """How far apart sound and pictures lie where they lie side by side in the stream.

    A container interleaves its tracks, so the times of neighbouring packets sweep past each other within a second;
    the smallest difference in a second is what is left when they are apart.

    Args:
        longest_seconds: a start that differs by more is told at once.
        missing_seconds: of each track, how long it has to stay out to be told as missing.
    """

    def __init__(self, longest_seconds: float, missing_seconds: Mapping[Track, float]) -> None:
        self._longest_seconds = longest_seconds
        self._missing_seconds = missing_seconds
        self._first: dict[Track, float] = {}
        self._newest: dict[Track, float] = {}
        self._from = -math.inf
        self._least: float | None = None
        self._cause = ""
        self._rows: list[Row] = []

    def begin_anew(self, at: float) -> None:
        """A hole ends at media second `at`: how far the tracks lie apart is asked of what comes behind it."""
        self._from = at
        self._newest.clear()
        self._least = None

    def packet(self, packet: Packet) -> None:
        """Look at the next packet."""
        at = packet.pts if packet.dts is None else packet.dts
        if at is None or packet.payload.is_discard:  # what an edit list cuts off is neither shown nor heard
            return
        shown = at if packet.pts is None else packet.pts
        if packet.track not in self._first:
            self._first[packet.track] = shown
            if len(self._first) == 2:
                self._compare_starts()
        self._newest[packet.track] = at
        if len(self._newest) < 2 or min(self._newest.values()) < self._from:
            return
        apart = self._newest["audio"] - self._newest["video"]
        if self._least is None or abs(apart) < abs(self._least):
            self._least = apart

    def _compare_starts(self) -> None:
        audio, video = self._first["audio"], self._first["video"]
        late = "sound" if audio > video else "picture"
        begin, end = min(audio, video), max(audio, video)
        away: Track = "audio" if audio > video else "video"
        if self._longest_seconds <= end - begin < self._missing_seconds.get(away, math.inf):
            cause = {_COLUMN: f"the {late} starts {end - begin:.3f} s late"}
            self._rows.append(Row(begin, end, {_COLUMN: end - begin}, cause))
            self._rows.append(Row(end, end, {_COLUMN: 0.0}))

    def rows(self, start: float, end: float) -> list[Row]:
        """The rows of the tick from `start` to `end`."""
        rows, self._rows = self._rows, []
        least, self._least = self._least, None
        self._newest.clear()  # a track that is gone is not apart, it is missing
        if least is not None:
            late = "sound" if least < 0 else "picture"
            cause = {_COLUMN: f"the {late} lies {abs(least):.3f} s behind in the stream"}
            rows.append(Row(start, end, {_COLUMN: abs(least)}, cause))
        return rows
