"""One stream's transport, watched packet by packet: what the `stream.*` detectors judge.

Fed by the reader, in its thread, with every packet, decoded picture and sound; asked once per media second for rows of
measures. A detector that is not enabled costs nothing here.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from engine.ingest.base import Border, RawBytes
from engine.ingest.captions import can_carry, has_captions
from engine.ingest.clock import Discontinuity
from engine.ingest.findings import Absence, Occurrences, Row, in_order
from engine.ingest.formats import Formats
from engine.ingest.seams import OVERLAP_SECONDS, Seams
from engine.ingest.timeline import PAGE_ROUNDING_SECONDS, Timeline, TrackOffset
from engine.ingest.transport_stream import Fault, Limits, TransportStream
from engine.media import Packet, StreamInfo, Surface, Track

COLUMNS: Final = (
    "timestamp_faults",
    "av_offset_seconds",
    "format_changes",
    "bitrate_off",
    "key_distance_seconds",
    "continuity_errors",
    "captions_missing_seconds",
    "splice_markers",
    "splice_missing_seconds",
)
TICK_SECONDS: Final = 1.0
# Further apart in the container than any interleaving, a track has ended or is missing.
ABSENT_SECONDS: Final = 10.0
_MIN_RATE_SECONDS: Final = 0.5
_PIECE_BYTES: Final = 1 << 17
_MIN_KBPS: Final = 1e-3
# Formats without an index, which viewers join in the middle: they wait for the next key frame.
_JOINED_IN_THE_MIDDLE: Final = frozenset(("mpegts", "hls", "rtsp", "rtp", "sdp"))
_TRACKS: Final[tuple[Track, ...]] = ("video", "audio")
# What breaks once at a seam beside each PID's counter: the clock, and the times of each track.
_CLOCK: Final = -1
_OVERLAPS: Final = -2
# Sound that ends where a picture begins to stand; tracks lie a second apart in a stream, and pictures stand for two.
_BESIDE_SHARE: Final = 0.1
# Multiplexers send sound in pieces of up to so much: what was lost of one lies so far from the gap it leaves.
_PIECE_SECONDS: Final = 0.7
_MOST_LOSSES: Final = 64
# Their packets hold the same number of samples each, and none is left out. Opus and the coders of telephones leave
# silence out (DTX).
_WITHOUT_GAPS: Final = frozenset(("aac", "mp1", "mp2", "mp3", "ac3", "eac3"))
_WITHOUT_RATE: Final = frozenset(("matroska,webm",))
_STAMPS_PAGES: Final = frozenset(("ogg",))


class TransportWatch:
    """Watches one stream.

    Args:
        info: the opened input.
        parameters: of the enabled detectors, by name, complete.
        raw: the transport stream's bytes; None where it is none, or they cannot be had.
        realtime: a file is played as a live source.
        begin: media second at which it begins; what lies before was told already.
        found: jumps that the clock took out before that.
    """

    def __init__(
        self,
        info: StreamInfo,
        parameters: Mapping[str, Mapping[str, float]],
        raw: RawBytes | None = None,
        *,
        realtime: bool = False,
        begin: float = 0.0,
        found: int = 0,
    ) -> None:
        self._raw = raw
        self._occurrences: list[Occurrences] = []
        self._seams = Seams()
        self._left_out: list[tuple[float, str, float]] = []  # of the sound, not told yet
        self._losses: deque[float] = deque(maxlen=_MOST_LOSSES)  # media seconds at which packets were lost
        self._timestamps = self._changes = Occurrences("")  # until `_choose`
        self._absences: list[Absence] = []
        self._newest: dict[Track, float] = {}  # decoding time of the newest packet; empty for streams without times
        self._ticks: dict[Track, tuple[int, int]] = {}  # seconds of a tick, as a fraction
        self._told = float(int(begin))  # up to where rows were given
        self.others_from: int | None = None
        """Byte from which on a judged track is coded otherwise, or has another PID.

        None where all go on, or no detector has the transport stream watched.
        """
        # What the demuxer calls them; a track that another process demuxes has no such number.
        handles = [track.handle for track in (info.video, info.audio) if track is not None]
        self._pids = frozenset(pid for handle in handles if (pid := getattr(handle, "id", None)) is not None)
        self.next_at = self._told + TICK_SECONDS
        """Media second before which `rows` gives none."""
        self._ended = False
        self._by_video = info.video is not None
        self._codec = info.video.codec if info.video is not None else ""
        self._audio_codec = info.audio.codec if info.audio is not None else ""
        self._audio_handle: Any = info.audio.handle if info.audio is not None else None
        self._sound: tuple[str, int] | None = None
        self._timeline: Timeline | None = None
        self._offset: TrackOffset | None = None
        self._formats: Formats | None = None
        self._jumps = found  # that were looked at
        self._key: Absence | None = None
        self._captions: Absence | None = None
        self._splice: Absence | None = None
        self._continuity: Occurrences | None = None
        self._markers: Occurrences | None = None
        self._ts: TransportStream | None = None
        self._places: list[tuple[int, float]] = []  # byte and time of each packet since what was read
        self._subtitle_packets = 0
        self._splice_position: int | None = None
        self._limits: tuple[float, float] | None = None
        self._bytes: dict[int, int] = {}
        self._choose(info, parameters, realtime=realtime)
        if self._timeline is not None:
            self._timeline.told = found

    def _choose(self, info: StreamInfo, parameters: Mapping[str, Mapping[str, float]], *, realtime: bool) -> None:
        """Set up what the enabled detectors need."""
        missing: dict[Track, float] = {}
        for track in _TRACKS:
            if given := parameters.get(f"stream.missing_{track}"):
                missing[track] = given["duration"]
        if given := parameters.get("stream.timestamps"):
            self._timestamps = self._count("timestamp_faults")
            limits = given["jump"], given["drift"], given["sound_gap"]
            self._timeline = Timeline(
                self._timestamps.add, *limits, missing, self._jump, self._go_back, self._leave_out
            )
            if info.container in _STAMPS_PAGES:
                self._timeline.rounding_seconds = PAGE_ROUNDING_SECONDS
        if (given := parameters.get("stream.av_offset")) and info.video is not None and info.audio is not None:
            self._offset = TrackOffset(given["offset"], missing)
        if given := parameters.get("stream.format_change"):
            # WebM carries no rate, and its encoders leave repeated pictures out.
            varies = info.container in _WITHOUT_RATE
            rate_change = math.inf if varies else given["frame_rate"]
            self._changes = self._count("format_changes", single=True)
            self._formats = Formats(self._change, rate_change)
        if given := parameters.get("stream.bitrate"):
            self._limits = given["minimum"], given["maximum"]
        joined = info.live or realtime or info.container in _JOINED_IN_THE_MIDDLE
        if "stream.gop" in parameters and self._by_video and joined:
            self._key = self._absence("key_distance_seconds", parameters["stream.gop"])
        if (given := parameters.get("stream.captions_missing")) and self._by_video and can_carry(self._codec):
            self._captions = self._absence("captions_missing_seconds", given)
        if self._raw is None:
            return
        if given := parameters.get("stream.continuity"):
            self._continuity = self._count("continuity_errors")
            self._ts = TransportStream(Limits(given["table"], given["pcr"], given["pcr_jitter"]))
        if "stream.scte35" in parameters:
            self._markers = self._count("splice_markers", single=True)
        if given := parameters.get("stream.scte35_missing"):
            self._splice = self._absence("splice_missing_seconds", given)
        if self._ts is None and (self._markers or self._splice or self._captions or self._formats):
            self._ts = TransportStream()
        if self._ts is None:
            self._raw.forget()

    def _count(self, column: str, *, single: bool = False) -> Occurrences:
        made = Occurrences(column, single)
        self._occurrences.append(made)
        return made

    def _absence(self, column: str, given: Mapping[str, float]) -> Absence:
        made = Absence(column, given["duration"])
        self._absences.append(made)
        return made

    def _change(self, at: float, what: str) -> None:
        self._changes.add(at, what)
        self._seams.tell(at, other_format=True)

    def _jump(self, at: float) -> None:
        self._seams.tell(at, other_format=False)

    def _go_back(self, at: float, track: Track, seconds: float, what: str) -> None:
        if seconds <= OVERLAP_SECONDS:
            self._seams.add(at, _OVERLAPS - _TRACKS.index(track), what, self._timestamps, until=at, overlap=True)
        else:
            self._timestamps.add(at, what)
            self._seams.tell(at, other_format=False)

    def _leave_out(self, at: float, what: str, until: float) -> None:
        self._left_out.append((at, what, until))

    def _tell_left_out(self, end: float, *, last: bool) -> None:
        """What is left out of the sound up to media second `end`, but where packets were lost: that is told as such."""
        waiting = []
        for at, what, until in self._left_out:
            if not last and until + _PIECE_SECONDS > end:
                waiting.append((at, what, until))
            elif not any(at - _PIECE_SECONDS <= lost <= until + _PIECE_SECONDS for lost in self._losses):
                self._timestamps.add(at, what, until)
        self._left_out = waiting

    def _fault(self, fault: Fault) -> None:
        assert self._continuity is not None
        at, jump = self._time_of(fault.position), fault.clock_jump_seconds
        if jump is not None and self._timeline is not None and self._timeline.told_jump(jump):
            return
        if fault.kind == "continuity":
            self._losses.append(at)
            self._seams.add(at, fault.pid, fault.text, self._continuity, until=at)
        elif jump is not None:
            self._seams.add(at, _CLOCK, fault.text, self._continuity, until=at)
        else:
            self._continuity.add(at, fault.text)

    def in_outage(self, found: Sequence[Discontinuity]) -> None:
        """An outage is told: steps of the timestamps before the next packet belong to it."""
        if self._timeline is not None:
            self._timeline.begin_anew(len(found))

    def packet(self, packet: Packet, found: Sequence[Discontinuity]) -> None:
        """Look at the next packet, before it is decoded.

        Args:
            packet: in demux order.
            found: the jumps that the clock has taken out so far.
        """
        payload = packet.payload
        if payload.is_discard:
            return  # an edit list leaves it out: it is decoded for what refers to it, and lies before the first second
        timeline = self._timeline
        if timeline is not None and timeline.packet(packet, self._seconds_of(packet), found) and self._offset:
            self._offset.begin_anew(timeline.holes[-1][2])
        if self._formats is not None and len(found) > self._jumps:
            for jump in found[self._jumps :]:
                if jump.declared:
                    self._formats.announce(jump.at)
        self._jumps = len(found)
        if self._offset is not None:
            self._offset.packet(packet)
        at = packet.pts if packet.dts is None else packet.dts
        if self._limits is not None:
            second = max(0, int(max(self._newest.values(), default=0.0) if at is None else at))
            self._bytes[second] = self._bytes.get(second, 0) + packet.size
        if at is None:
            return
        self._newest[packet.track] = max(self._newest.get(packet.track, at), at)
        if packet.track == "video":
            if self._key is not None and packet.key:
                self._key.seen(at)
            if self._captions is not None and has_captions(payload, self._codec):
                self._captions.seen(at)
        if self._ts is not None and (packet.track == "video") == self._by_video and packet.position is not None:
            self._places.append((packet.position, at))
            # In larger pieces a call costs less than the packets in it; and once a second, when rows are due.
            if packet.position - self._places[0][0] > _PIECE_BYTES:
                self._read(self._ts, packet.position)

    def _seconds_of(self, packet: Packet) -> float:
        """Of a packet's content, as the container says; 0 where it does not."""
        duration = packet.payload.duration
        if not duration:
            return 0.0
        tick = self._ticks.get(packet.track)
        if tick is None:
            # A track keeps its time base, and to ask a packet for it takes as long as all else that is done here.
            base = packet.payload.time_base or Fraction(0)
            tick = self._ticks[packet.track] = base.numerator, base.denominator
        seconds: float = duration * tick[0] / tick[1]
        return seconds

    def told_hole(self, before: float, after: float) -> bool:
        """Whether nothing came between two pictures, and that is told: of the timestamps, or of a missing track."""
        timeline = self._timeline
        if timeline is None:
            return False
        # Holes are of decoding times, which lie some pictures before those of showing.
        if any(min(after, until) - max(before, since) > (until - since) / 2 for _, since, until in timeline.holes):
            return True
        # Where MP4 lets the last picture stand until the next one, only the sound, which has not come yet, tells.
        apart, sound = after - before, timeline.sound_until
        return apart >= timeline.jump_seconds and sound is not None and abs(sound - before) < _BESIDE_SHARE * apart

    def picture(self, surface: Surface) -> None:
        """Look at a decoded picture, in the order of showing."""
        if self._formats is not None:
            self._formats.picture(surface)

    def sound(self, layout: str, rate: int, at: float) -> None:
        """Look at what the sound is decoded to: libav's layout name, hertz, media second."""
        if self._formats is not None:
            self._formats.sound(layout, rate, at)
        if self._timeline is not None and (layout, rate) != self._sound:
            self._sound = (layout, rate)
            samples = self._audio_handle.codec_context.frame_size if self._audio_handle is not None else 0
            self._timeline.sound_seconds = samples / rate if samples and rate else 0.0
            self._timeline.sound_follows = self._audio_codec in _WITHOUT_GAPS

    def look_on(self, packet: Packet) -> None:
        """Read the bytes up to a packet at once: what came of it is not what it should have been."""
        if self._ts is not None and self._places and packet.position is not None:
            self._read(self._ts, packet.position)

    def finish(self) -> None:
        """The input has ended: look at the bytes after its last packet, up to where `others_from` says so."""
        if self._ts is not None and self._places:
            self._read(self._ts, None)

    def close(self) -> None:
        """Let go of the bytes, and of those who report here. Idempotent."""
        if self._raw is not None:
            self._raw.close()
        self._timeline = self._formats = None

    def _read(self, ts: TransportStream, position: int | None) -> None:
        """Read the bytes up to a packet; each finding gets the time of the packet that it lies in."""
        assert self._raw is not None
        while piece := self._raw.read_until(position):
            if piece.border != Border.NONE:
                ts.begin_segment(anew=piece.border == Border.ANEW)
            ts.feed(piece.data)
            others = next((each for each in ts.others if not self._pids or self._pids & each.pids), None)
            ts.others.clear()
            if others is not None and self.others_from is None:
                self.others_from = others.begins_at
                if position is None:
                    ts.forget_from(others)
            if self._continuity is not None:
                for fault in ts.faults:
                    self._fault(fault)
            ts.faults.clear()
            if self._markers is not None:
                for marker in ts.markers:
                    self._markers.add(self._time_of(marker.position), marker.text)
            ts.markers.clear()
            if self._formats is not None:
                for change in ts.changes:
                    self._formats.codec(self._time_of(change.position), change.text)
            ts.changes.clear()
            if self._splice is not None and ts.splice_position not in (None, self._splice_position):
                self._splice_position = ts.splice_position
                self._splice.seen(self._time_of(self._splice_position or 0))
            if self._captions is not None and ts.subtitle_packets != self._subtitle_packets:
                self._subtitle_packets = ts.subtitle_packets
                self._captions.seen(self._places[-1][1])
            if position is None and self.others_from is not None:
                break  # what follows is read anew with it
        del self._places[:-1]

    def _time_of(self, position: int) -> float:
        """Decoding time of the packet that a byte belongs to; the first one's for what comes before it."""
        index = bisect_right(self._places, (position, math.inf)) - 1
        return self._places[max(0, index)][1]

    def rows(self, until: float, *, last: bool = False) -> list[Row]:
        """What is known now of the seconds up to media second `until`.

        A second is given when every track has passed it, so that what belongs together comes together.

        Args:
            until: up to where pictures or sound were decoded.
            last: nothing comes after it.
        """
        if not last and until < self.next_at:
            return []
        known = until if last else min(until, self._settled())
        rows: list[Row] = []
        if self._ts is not None and self._places and self._told + TICK_SECONDS <= known:
            self._read(self._ts, self._places[-1][0])
        while self._told + TICK_SECONDS <= known or (last and not self._ended):
            end = min(self._told + TICK_SECONDS, known)
            self._ended = last and end >= known
            rows += self._rows(self._told, end, last=self._ended)
            self._told = end
        if not last and self._absences:
            rows += self._due(known)
        self.next_at = min([self._told + TICK_SECONDS, *(each.due_at for each in self._absences)])
        return rows

    def _due(self, known: float) -> list[Row]:
        """Rows between two ticks, of what has just been gone for as long as its detector waits."""
        due = [each for each in self._absences if each.is_due(known)]
        if due and self._ts is not None and self._places:  # what is looked for may lie in what was not read yet
            self._read(self._ts, self._places[-1][0])
        return [row for each in due for row in each.due(known)]

    def _settled(self) -> float:
        """Media time that every track has passed; one that stays out for long is not waited for."""
        newest = max(self._newest.values(), default=0.0)
        return min((at for at in self._newest.values() if newest - at < ABSENT_SECONDS), default=0.0)

    def _rows(self, start: float, end: float, *, last: bool) -> list[Row]:
        rows: list[Row] = []
        self._seams.settle(end, last=last)
        self._tell_left_out(end, last=last)
        for occurrences in self._occurrences:
            rows += occurrences.rows(start, end, last=last)
        for absence in self._absences:
            rows += absence.rows(end)
        if self._offset is not None:
            rows += self._offset.rows(start, end)
        if self._limits is not None and self._newest:
            rows += self._rate(*self._limits, start, end)
        return in_order(rows)

    def _rate(self, minimum: float, maximum: float, start: float, end: float) -> list[Row]:
        size = self._bytes.pop(int(start), 0)
        if end - start < _MIN_RATE_SECONDS:
            return []
        if not size:
            return []  # nothing came: that is a hole, a stall or a missing track
        kbps = size * 8e-3 / (end - start)
        below, above = minimum / max(kbps, _MIN_KBPS), kbps / maximum
        limit = f"below {minimum:g}" if below >= above else f"above {maximum:g}"
        cause = {"bitrate_off": f"{kbps:.4g} kbit/s, {limit}"}
        return [Row(start, end, {"bitrate_off": max(below, above)}, cause)]
