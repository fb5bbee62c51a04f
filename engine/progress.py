"""How far one stream has come in its media time, and whether it stalls.

Used by two threads: the stream's reader says what was decoded and gives a tick per media second; while a live source
gives nothing it may hang in a call, so then it is the engine's loop that looks at the clock (`stall_tick`). One lock
guards what both touch, the tick that comes next.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from engine.ingest.base import MediaSource
from engine.media import StreamTick, Track
from engine.queues import BoundedQueue

TICK_SECONDS: Final = 1.0
# A container interleaves its tracks within about a second; a track is not missing because the other came first.
INTERLEAVING_SECONDS: Final = 1.0
STALL_SECONDS: Final = 5.0
# Segments come one at a time; a playlist is held when two should have come and none did.
HELD_SEGMENTS: Final = 2.0
# A stall ends when so much media has come within so long; a segment that hangs drips a picture at each attempt.
FLOW_SECONDS: Final = 0.5
FLOW_WITHIN_SECONDS: Final = 2.0
# A read that outlasts its own limit by so much hangs in libav.
HANGS: Final = 1.5
# The engine sees a gap when it has judged what came before it; an overloaded one takes its time for that.
GAP_SEEN_SECONDS: Final = 60.0


class Progress:
    """One stream's.

    Args:
        source: of its packets.
        ticks: where its ticks go.
        others: what is in these the engine has not judged yet.
        stop: set when the reader is to end.
        gap: set when the source broke, until the engine has seen it.
        stall_seconds: without anything decoded for so long, a live source has stalled.
        live: nothing guarantees an end of the source, as far as that is known before it is opened.
    """

    def __init__(
        self,
        source: MediaSource,
        ticks: BoundedQueue[StreamTick],
        others: Sequence[BoundedQueue[Any]],
        stop: threading.Event,
        gap: threading.Event,
        *,
        stall_seconds: float,
        live: bool,
    ) -> None:
        self._source, self._ticks, self._queues = source, ticks, (*others, ticks)
        self._stop, self._gap = stop, gap
        self._lock = threading.Lock()
        self.stall_seconds = stall_seconds
        self.live = live
        self.opened = False
        """The source has said what is in it."""
        self.stalled = False
        """Ticks were given for time in which nothing came of a live source."""
        self.failure: str | None = None
        """Since when nothing came: why, as far as the source said so."""
        self.failure_detail = ""
        """The same for people, and what to do; "" where the source said no more than that it ended."""
        self.wait_for_key = False
        """Nothing can be decoded before a key frame."""
        self.flushing = False
        """What is given now was held back, and came before whatever is the matter now."""
        self.video_until = 0.0
        """Media time up to which pictures were decoded."""
        self.audio_until = 0.0
        """And sound."""
        self.progress_at = 0.0
        """Monotonic time at which something was decoded last."""
        self.opened_at = 0.0
        """And at which this connection was begun."""
        self.packet_at = 0.0
        """And at which a packet came."""
        self._away: dict[Track, tuple[float, float]] = {}  # since when, until when: the last one of each track
        self._tick_start = 0.0
        self._errors = self._errors_at_tick = 0
        self._first_error: float | None = None
        self._apart = 0.0  # seconds for which a source without segments usually gives nothing
        self._returned: tuple[float, float] | None = None  # monotonic time and media second of what came in a stall

    def media_now(self) -> float:
        """Where the timeline of a live source stands by the wall clock; 0 where nothing was told of it yet."""
        if not self.opened and not self.stalled:
            return 0.0
        with self._lock:
            return max(self.decoded_until + time.monotonic() - self.progress_at, self._tick_start)

    def after_silence(self) -> float | None:
        """Where the timeline has to go on after a silence that was told; None where there was none."""
        silent = time.monotonic() - self.packet_at
        return self.media_now() if self.stalled and silent > self._limit() / 2 else None

    def _limit(self) -> float:
        return max(self.stall_seconds, HELD_SEGMENTS * self._source.target_seconds)

    @property
    def cause(self) -> str:
        """Why nothing comes, in one word; see docs/sources.md."""
        if self.failure is not None:
            return self.failure
        if time.monotonic() - self.packet_at < self._limit() / 2:
            if self._returned is not None:
                return "slow"
            return "no_key_frame" if self.wait_for_key else "not_decodable"
        return "stalled_playlist" if self._source.target_seconds else "no_data"

    def stall_tick(self) -> StreamTick | None:
        """The next second of a live source that gives nothing, by the wall clock. Only from the engine's loop."""
        if not self.live or self._ticks.ended:
            return None
        now = time.monotonic()
        if any(len(queue) for queue in self._queues):
            return None  # it is the engine that has to catch up
        with self._lock:
            silent = now - self.progress_at
            if silent < self._limit():
                return None
            # By what was decoded: a segment that hangs still drips a packet at each attempt of libav's.
            if now - max(self.progress_at, self.opened_at) > HANGS * self._source.read_timeout_seconds:
                self._source.give_up()
            end = self.decoded_until + silent
            if self.stalled and end < self._tick_start + TICK_SECONDS:
                return None
            start = min(self._tick_start, end)
            self.stalled, self._tick_start = True, end
            return self._silent_tick(start, end)

    @property
    def decoded_until(self) -> float:
        """Media second up to which pictures or sound were decoded."""
        return max(self.video_until, self.audio_until)

    def excuse(self, seconds: float) -> None:
        """The engine looked at nothing for so long; that was no silence of the source. Only from its loop."""
        with self._lock:
            self.progress_at = min(time.monotonic(), self.progress_at + seconds)

    def _silent_tick(self, start: float, end: float) -> StreamTick:
        return StreamTick(
            start=start,
            end=end,
            decode_errors=0,
            video_missing_seconds=end - self.video_until,
            audio_missing_seconds=end - self.audio_until,
            stall_seconds=end - self.decoded_until,
        )

    def moved_on(self) -> None:
        """The engine took something: the time for which it let that wait is none in which the source gave nothing."""
        if not self.flushing:
            self.progress_at = time.monotonic()

    def flows(self, at: float) -> bool:
        """Whether what was decoded, for media second `at`, is more than a drip in a stall, and so may be judged."""
        if self.flushing or not self.stalled:
            return True
        now = time.monotonic()
        within = max(FLOW_WITHIN_SECONDS, 2 * self._apart)
        if self._returned is None or now - self._returned[0] > within:
            self._returned = (now, at)
        if at - self._returned[1] < FLOW_SECONDS:
            return False
        self._returned = None
        return True

    def goes_on(self, at: float) -> None:
        """Something was decoded, for media second `at`: a stall that was told ends there."""
        if self.flushing or not (self.live or self.stalled):
            return
        began = time.monotonic()
        while self._gap.is_set() and time.monotonic() - began < GAP_SEEN_SECONDS and not self._stop.wait(0.02):
            pass
        tick = None
        with self._lock:
            if self.stalled:
                if at > self._tick_start:
                    tick = self._silent_tick(self._tick_start, at)
                    self._tick_start = at
                self.stalled = False
                at = max(at, self._tick_start)
                # Whether a track is missing is asked anew: during the stall nothing was there.
                self.video_until, self.audio_until = max(self.video_until, at), max(self.audio_until, at)
            elif not self._source.target_seconds:
                self._apart = max(0.9 * self._apart, time.monotonic() - self.progress_at)
            self.failure = None
            self.progress_at = time.monotonic()
        if tick is not None:
            self._ticks.put(tick, self._stop.is_set)

    def reach(self, at: float, *, video: bool, audio: bool) -> None:
        """The tracks that are there stand at a media second, though nothing of them was decoded up to it."""
        with self._lock:
            if video:
                self.video_until = max(self.video_until, at)
            if audio:
                self.audio_until = max(self.audio_until, at)

    def decoded(self, track: Track, at: float, until: float) -> float:
        """Something of a track was decoded, from one media second to another.

        Returns: for how many seconds it had been missing before, while the other one went on; 0 within interleaving.
        """
        with self._lock:
            before = self.decoded_until
            if at - before > INTERLEAVING_SECONDS:
                # Of neither track there is anything between: that is a hole in the stream, and no track is missing in
                # it that was not missing already.
                for each, stands in (("video", self.video_until), ("audio", self.audio_until)):
                    if before - stands <= INTERLEAVING_SECONDS:
                        self._stand(each, at)
            stood = self.video_until if track == "video" else self.audio_until
            away = at - stood > INTERLEAVING_SECONDS
            if away:
                self._away[track] = stood, at
            self._stand(track, until)
            return at - stood if away else 0.0

    def _stand(self, track: str, at: float) -> None:
        if track == "video":
            self.video_until = max(self.video_until, at)
        else:
            self.audio_until = max(self.audio_until, at)

    def damaged(self, errors: int, at: float) -> None:
        """So many errors were counted so far, the latest of them at a media second."""
        if errors > self._errors:
            self._errors = errors
            if self._first_error is None:
                self._first_error = max(at, self._tick_start)

    def tick(self, *, last: bool = False) -> None:
        """One row per media second, driven by the packets alone, so that it is the same on every run."""
        if self.stalled:
            return  # the engine gives them, by the clock
        now = self.decoded_until
        while now >= self._tick_start + TICK_SECONDS or (last and now > self._tick_start):
            end = min(self._tick_start + TICK_SECONDS, now)
            final = last and now <= self._tick_start + TICK_SECONDS
            # A track that came back within it splits a second: it was missing up to then, and not to the second's end.
            back = {at for _, at in self._away.values() if self._tick_start < at < end}
            for piece in sorted({*back, end}):
                self._ticks.put(self._piece(piece, last=last, final=final and piece == end), self._stop.is_set)
                self._tick_start = piece
            self._tick_start = end

    def _piece(self, end: float, *, last: bool, final: bool) -> StreamTick:
        """The row from where the last one ended to a media second."""
        errors, start = 0, self._tick_start
        if self._first_error is not None and (self._first_error < end or final):
            errors = self._errors - self._errors_at_tick
            self._errors_at_tick = self._errors
            # Damage from before a stall is told after it, and must not reach back into it.
            start = max(self._first_error, start) if errors else start
            if errors:
                self._first_error = None
        slack = 0.0 if last else INTERLEAVING_SECONDS
        return StreamTick(
            start=start,
            end=end,
            decode_errors=errors,
            video_missing_seconds=self._missing("video", end, self.video_until, slack),
            audio_missing_seconds=self._missing("audio", end, self.audio_until, slack),
            stall_seconds=0.0,
        )

    def _missing(self, track: Track, now: float, until: float, slack: float) -> float:
        """Seconds that a track has been missing at `now`; 0 within the container's interleaving."""
        since, back = self._away.get(track, (0.0, -1.0))
        if since < now <= back:
            return now - since
        if now > back >= 0.0:
            self._away.pop(track)
        missing = now - until
        return missing if missing > slack else 0.0
