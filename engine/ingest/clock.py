"""Media time: from the container's timestamps to seconds since the input's first one, without jumps.

The rules are those of the ffmpeg program (fftools/ffmpeg_demux.c, read at release 7), so that its filters and our
detectors name the same moments:

- Zero is the container's start time; for formats whose timestamps may jump (MPEG-TS, MPEG-PS, ...) it is the start of
  the tracks in use where that is later.
- In those formats a decoding time more than 10 s away from the expected one, or more than 0.1 s behind the track's
  last one, moves the rest of the input so that the timeline goes on. A gap of up to 10 s stays a gap.
- A track's first packet more than 10 s away from the last packet of any track is moved likewise.
- In all other formats a time more than 30 h away from the expected one is dropped.

Two rules are ours. A picture or a block of sound that is said to last longer than the gap that counts as a jump is not
believed: a damaged header's rate makes each picture last for years, and the next one, in its right place, would be a
jump back that moves it by as much (seen: 64 million seconds a picture, each of which was then judged).

Behind a break that a playlist announces the timeline goes on without a step, however small or large
the clock's is (RFC 8216, 4.3.2.3). Both sides of it keep their own shift, as a demuxer gives the last sound from before
it after the first pictures from behind it.

A wrap of the 33-bit clock is undone by libav or falls under the second rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.media import Track

JUMP_SECONDS: Final = 10.0
BACKWARD_SECONDS: Final = 0.1
INVALID_SECONDS: Final = 30 * 3600.0
_KNOWN_PERIODS: Final = 8
_FORMAT_TIMES_JUMP: Final = 0x0200  # AVFMT_TS_DISCONT
# libav undoes wraps by itself, so a jump back of 5000 s arrives as one of 2**33 / 90000 - 5000 s forward.
_WRAP_SECONDS: Final = 2**33 / 90_000


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """A jump of the input's clock that was taken out of the timeline.

    Args:
        track: on which track it was seen.
        at: media seconds at which the timeline goes on.
        jump_seconds: by how much the container's clock jumped; negative means back.
        declared: the playlist announces it.
    """

    track: Track
    at: float
    jump_seconds: float
    declared: bool = False


class _TrackClock:
    """What one track's next decoding time should be. Times in seconds, relative to the container's own zero."""

    __slots__ = (
        "frame_seconds", "kind", "last", "longest", "next", "period", "reorder_seconds", "tick", "uses_packet_duration",
    )  # fmt: skip

    def __init__(self, kind: Track, stream: Any, longest: float) -> None:
        self.kind = kind
        self.longest = longest  # seconds that a packet may last
        self.tick = float(stream.time_base)
        self.last: float | None = None
        self.next: float | None = None
        self.period = 0
        context = stream.codec_context
        self.frame_seconds = 0.0
        self.reorder_seconds = 0.0
        self.uses_packet_duration = True
        if kind == "audio":
            rate = context.sample_rate if context is not None else 0
            if rate:
                # Also where the frame size is unknown (PCM): the ffmpeg program then expects the same time again.
                self.frame_seconds = (context.frame_size or 0) / rate
                self.uses_packet_duration = False
        else:
            rate = stream.average_rate
            if rate:
                self.reorder_seconds = (context.reorder_depth if context is not None else 0) / float(rate)
            coded = context.framerate if context is not None else None
            self.frame_seconds = 1 / float(coded) if coded else 0.0
        if self.frame_seconds > longest:
            self.frame_seconds = 0.0
        self.reorder_seconds = min(self.reorder_seconds, longest)

    def advance(self, dts: float | None, pts: float | None, duration_ticks: int) -> None:
        if self.next is None:
            self.next = (pts or 0.0) - self.reorder_seconds
        if dts is not None:
            self.next = dts
        self.last = self.next
        if self.uses_packet_duration and 0 < duration_ticks * self.tick <= self.longest:
            self.next += duration_ticks * self.tick
        else:
            self.next += self.frame_seconds


class MediaClock:
    """Takes the jumps out of one input's timestamps, in demux order. Not thread-safe: it belongs to the reader.

    Args:
        container: an open `av` input container; its start time and format decide the rules.
        tracks: (kind, `av` stream) of each track in use.
        begin: media seconds at which its first timestamp lies; not 0 where a source was opened again.
        period: says how many announced breaks lie before a packet; it never goes back within a track.
    """

    def __init__(
        self,
        container: Any,
        tracks: Sequence[tuple[Track, Any]],
        begin: float = 0.0,
        period: Callable[[Any], int] = lambda packet: 0,
    ) -> None:
        self._begin = begin
        self._period = period
        self._shifts: dict[int, float] = {}  # of the last periods, when others have begun
        self.jumps_allowed = bool(container.format.flags & _FORMAT_TIMES_JUMP)
        start = None if container.start_time is None else container.start_time / 1e6
        if self.jumps_allowed and start is not None:
            starts = [float(s.start_time * s.time_base) for _, s in tracks if s.start_time is not None]
            start = max(start, min(starts, default=start))
        self._start = start
        self._shift = 0.0  # seconds added to the container's times at the present moment
        self._at = 0  # the period that this is the shift of
        self._last: float | None = None  # the last decoding time of any track, shifted
        longest = JUMP_SECONDS if self.jumps_allowed else INVALID_SECONDS
        self._clocks = {s.index: _TrackClock(kind, s, longest) for kind, s in tracks}
        self._found: list[Discontinuity] = []

    @property
    def origin(self) -> float:
        """Seconds to add to a payload's timestamps to get media time, once `place` has seen it."""
        return self._begin - (self._start or 0.0)

    def delay(self, seconds: float) -> None:
        """Let all that follows lie so much later: nothing came for so long, and its timestamps do not show it."""
        self._begin += seconds

    @property
    def discontinuities(self) -> int:
        """Jumps taken out so far."""
        return len(self._found)

    @property
    def found(self) -> Sequence[Discontinuity]:
        """The jumps taken out so far, in order."""
        return self._found

    def place(self, packet: Any) -> tuple[float | None, float | None]:
        """Move a packet's timestamps, in the packet itself, onto the timeline without jumps.

        Args:
            packet: `av.Packet` as demuxed, of one of the tracks.
        Returns: presentation and decoding time in media seconds; None where the packet has none.
        """
        clock = self._clocks[packet.stream_index]
        tick = clock.tick
        pts: int | None = packet.pts
        dts: int | None = packet.dts
        crosses = False
        if self.jumps_allowed and dts is not None:
            crosses = self._enter(clock, self._period(packet), dts * tick)
        if self._start is None and (pts is not None or dts is not None):
            # A container that does not know its start (rare): its first packet is zero.
            self._start = (dts if pts is None else pts if dts is None else min(pts, dts)) * tick  # type: ignore[operator]
        if self._shift:
            ticks = round(self._shift / tick)
            if pts is not None:
                packet.pts = pts = pts + ticks
            if dts is not None:
                packet.dts = dts = dts + ticks
        if dts is not None:
            now = dts * tick
            jump = self._jump(clock, now)
            if jump:
                if self.jumps_allowed:
                    ticks = round(jump / tick)
                    self._shift -= jump
                    packet.dts = dts = dts - ticks
                    if pts is not None:
                        packet.pts = pts = pts - ticks
                    now = dts * tick
                    self._note(clock, now, jump, declared=crosses)
                else:
                    packet.dts = dts = None
            if not self.jumps_allowed and pts is not None and clock.next is not None:
                jump = pts * tick - clock.next
                if abs(jump) > INVALID_SECONDS:
                    packet.pts = pts = None
                    self._note(clock, clock.next, jump, declared=False)
            self._last = now
        presentation = None if pts is None else pts * tick
        decoding = None if dts is None else dts * tick
        clock.advance(decoding, presentation, packet.duration or 0)
        origin = self.origin
        return (
            None if presentation is None else presentation + origin,
            None if decoding is None else decoding + origin,
        )

    def _jump(self, clock: _TrackClock, now: float) -> float:
        """Seconds by which a decoding time is off where that is a jump, else 0."""
        if clock.next is not None and clock.last is not None:
            off = now - clock.next
            if not self.jumps_allowed:
                return off if abs(off) > INVALID_SECONDS else 0.0
            return off if abs(off) > JUMP_SECONDS or now + BACKWARD_SECONDS < clock.last else 0.0
        if self.jumps_allowed and self._last is not None:
            off = now - self._last
            return off if abs(off) > JUMP_SECONDS else 0.0
        return 0.0

    def _enter(self, clock: _TrackClock, period: int, now: float) -> bool:
        """Take up a period's shift. Returns: whether the track comes into the period from another one.

        Args:
            now: a decoding time, not shifted.
        """
        if period == clock.period == self._at:
            return False
        crosses = period != clock.period
        clock.period = period
        if period != self._at:
            self._shifts[self._at] = self._shift
            self._at = period
            known = self._shifts.get(period)
            if known is not None:
                self._shift = known
            else:
                follows = clock.next if clock.next is not None else self._last
                if follows is not None:
                    step, self._shift = now + self._shift - follows, follows - now
                    self._note(clock, follows, step, declared=True)
                    while len(self._shifts) > _KNOWN_PERIODS:
                        del self._shifts[min(self._shifts)]
                    return True
        if crosses and clock.next is not None:
            # The other track's end was another one; what it steps here was announced too.
            self._found.append(Discontinuity(clock.kind, now + self._shift + self.origin, 0.0, declared=True))
        return crosses

    def _note(self, clock: _TrackClock, at: float, jump: float, *, declared: bool) -> None:
        if self.jumps_allowed:
            jump = (jump + _WRAP_SECONDS / 2) % _WRAP_SECONDS - _WRAP_SECONDS / 2
            if abs(jump) < BACKWARD_SECONDS and not declared:
                return  # the 33-bit clock began anew: nothing happened to the stream
        self._found.append(Discontinuity(clock.kind, at + self.origin, jump, declared))
