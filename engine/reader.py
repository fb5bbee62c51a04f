"""One stream's way from its source to decoded pictures and sound.

Run by: one thread per stream, started by the engine. It owns the source and the decoders, nobody else touches them. It
ends at the end of the input, at an error, or within a second of `stop`; it then closes its queues, with the failure if
there was one, which the engine sees when it has taken what was decoded before. If the thread itself fails, that is a
failure of this stream alone.

A live source that ends, breaks off or cannot be opened is opened again, for as long as `reconnect` says so. Media time
goes on by the wall clock meanwhile: an outage of 30 s is 30 s of media time, in which nothing was seen. As the thread
may hang in a call, it is the engine that looks at the clock (`stall_tick`); one lock guards what both then touch, the
tick that comes next.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from engine.counters import StreamCounters
from engine.decode.choose import Decoders
from engine.errors import AvjuryError, DecodeError, SourceError
from engine.fingerprints import SoundPrint
from engine.flash_beep import SoundOnsets
from engine.handling import Handling
from engine.ingest.backoff import Backoff, OpenPace
from engine.ingest.base import MediaSource
from engine.ingest.causes import cause_of, is_permanent
from engine.ingest.transport import TransportWatch
from engine.latency import Latency
from engine.media import AudioBlock, Packet, StreamInfo, StreamTick, Surface
from engine.queues import Bell, BoundedQueue, QueueClosed
from engine.sampling import Sampling

VIDEO_QUEUE_FRAMES = 4
AUDIO_QUEUE_BLOCKS = 16
# Of a file, whose pictures nobody waits for one by one, so many are handed over at a time.
FILE_TOGETHER = 4
FILE_QUEUE_FRAMES = 8
TICK_QUEUE = 64
TICK_SECONDS = 1.0
# A container interleaves its tracks within about a second; a track is not missing because the other came first.
INTERLEAVING_SECONDS = 1.0
STALL_SECONDS = 5.0
# Segments come one at a time; a playlist is held when two should have come and none did.
HELD_SEGMENTS = 2.0
# Pictures cannot be decoded before the first key frame. Some broadcast encoders send none, but refresh bit by bit.
KEY_FRAME_SECONDS = 10.0
# A stall ends when so much media has come within so long; a segment that hangs drips a picture at each attempt.
FLOW_SECONDS = 0.5
FLOW_WITHIN_SECONDS = 2.0
# A read that outlasts its own limit by so much hangs in libav.
HANGS = 1.5
# The engine sees a gap when it has judged what came before it; an overloaded one takes its time for that.
GAP_SEEN_SECONDS = 60.0

_log: Final = logging.getLogger(__name__)


class Recording(Protocol):
    """Takes note of what a source gives; called from the reader's thread."""

    def opened(self, info: StreamInfo) -> None:
        """The source was opened, perhaps again."""

    def packet(self, packet: Packet) -> None:
        """A packet came."""


class StreamReader:
    """The reader of one stream.

    Args:
        stream: the stream's id.
        source: not yet opened.
        choose: makes the decoders, once the source has said what is in it.
        bell: of the engine that takes from the queues.
        realtime: deliver at the pace of the media clock, as a live source would.
        parameters: of the stream's enabled detectors, by name, complete.
        reconnect: open a live source again when it has ended or failed, without end.
        stall_seconds: without anything decoded for so long, a live source has stalled.
        pace: shared by the engine's streams.
        recorder: is told what comes, for evidence.
        handling: where it marks that a decoder is at work for the stream.
        together: hand several pictures of a file over at a time, unless it is played in realtime.
    """

    def __init__(
        self,
        stream: str,
        source: MediaSource,
        choose: Callable[[StreamInfo], Decoders],
        bell: Bell,
        *,
        realtime: bool = False,
        parameters: Mapping[str, Mapping[str, float]] | None = None,
        reconnect: bool = False,
        stall_seconds: float = STALL_SECONDS,
        pace: OpenPace | None = None,
        recorder: "Recording | None" = None,
        handling: Handling | None = None,
        together: bool = False,
    ) -> None:
        self.stream = stream
        self._recorder = recorder
        together = together and not (realtime or source.is_network)
        frames, at_a_time = (FILE_QUEUE_FRAMES, FILE_TOGETHER) if together else (VIDEO_QUEUE_FRAMES, 1)
        self.video: BoundedQueue[Surface] = BoundedQueue(frames, bell, at_a_time)
        self.audio: BoundedQueue[AudioBlock] = BoundedQueue(AUDIO_QUEUE_BLOCKS, bell, at_a_time)
        self.ticks: BoundedQueue[StreamTick] = BoundedQueue(TICK_QUEUE, bell)
        self.info: StreamInfo | None = None
        self.decoders: Decoders | None = None
        self.counters = StreamCounters()
        self.decoding = Latency()
        """How long packets of pictures took to be decoded."""
        self._source = source
        self._choose = choose
        self._realtime = realtime
        self._parameters = parameters or {}
        self._transport: TransportWatch | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"reader {stream}")
        self._began = 0.0
        self._video_until = 0.0  # media time up to which pictures, and sound, were decoded
        self._audio_until = 0.0
        self._tick_start = 0.0
        self._errors_at_tick = 0
        self._first_error: float | None = None
        self.gap = threading.Event()
        """Set when the source broke, until the engine has told its judge that nothing is known of what follows."""
        self._lock = threading.Lock()
        self._reconnect = reconnect and source.is_network
        self._live = self._reconnect
        self._stall_seconds = stall_seconds
        self._pace_opens = pace or OpenPace()
        self._backoff = Backoff()
        self._failure: str | None = None  # since when nothing came, why, as far as the source said so
        self.failure_detail = ""
        """The same for people, and what to do; "" where the source said no more than that it ended."""
        self._progress_at = 0.0  # monotonic time at which something was decoded last
        self._opened_at = 0.0  # and at which this connection was begun
        self._packet_at = 0.0  # and at which a packet came
        self.stalled = False
        """Ticks were given for time in which nothing came of a live source."""
        self._apart = 0.0  # seconds for which a source without segments usually gives nothing
        self._returned: tuple[float, float] | None = None  # monotonic time and media second of what came in a stall
        self._wait_for_key = False
        self._key_deadline = 0.0
        self._errors_before = 0  # of decoders that are closed
        self._offset: float | None = None
        self._flushing = False
        self._handling = handling or Handling()
        self.sampling = Sampling()
        """Which of the pictures are judged, under load."""
        self.onsets: SoundOnsets | None = SoundOnsets() if "av.sync" in self._parameters else None
        """Where its sound sets in, for a test pattern of flashes and beeps. The engine's loop may set it."""
        self.print: SoundPrint | None = None
        """What its sound is known by, where it is compared with another stream. The engine's loop may set it."""
        self.anew = False
        """What follows the gap is not to be compared with what came before it."""
        self._begin_at = 0.0
        self._goes_on_at: float | None = None  # where what is opened follows without a gap
        self._breaks = 0
        self._was_shed = False
        self._retuned: Mapping[str, Mapping[str, float]] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._progress_at = self._packet_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()
        self._source.stop()

    def retune(self, parameters: Mapping[str, Mapping[str, float]]) -> None:
        """Judge with other parameters from the next packet on. From any thread."""
        self._stall_seconds = parameters.get("stream.stall", {}).get("duration", STALL_SECONDS)
        self._retuned = parameters

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread's end; whether it came in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failure: AvjuryError | None = None
        try:
            self._read()
        except QueueClosed:
            pass  # the engine wants nothing more of this stream
        except AvjuryError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever it is, it must end this stream only, and be seen
            failure = DecodeError(
                "cannot go on decoding",
                stream=self.stream,
                why=f"{type(error).__name__}: {error}",
                remedy="this is a bug in avjury; please report it with the input",
            )
            failure.__cause__ = error
        finally:
            self._source.close()
            self._handling.release()
            if self._transport is not None:
                self._transport.close()
            if self.decoders is not None:
                for decoder in (self.decoders.video, self.decoders.audio):
                    if decoder is not None:
                        decoder.close()
            for queue in (self.video, self.audio, self.ticks):
                queue.close(failure)

    def _read(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._open()
            except SourceError as error:
                if not self._reconnect or self._stop.is_set() or (self.info is None and is_permanent(error)):
                    raise
                self._failure, self.failure_detail = cause_of(error), f"{error.why}; {error.remedy}"
                _log.warning("%s (trying again)", error.line())
            else:
                self._read_connection()
                if self._stop.is_set():
                    return
                if self._source.goes_on:
                    self._close_decoders()
                    continue
                if not (self._reconnect and self._live):
                    break
                self._failure, lost = self._source.why_ended(), self._source.error
                self.failure_detail = f"{lost.why}; {lost.remedy}" if lost is not None else ""
                _log.warning("%s: the source was lost (%s); opening it again", self.stream, self._failure)
                self._backoff.good_for(time.monotonic() - began)
                self.gap.set()
            self._let_go()
            pause = 0.0 if self._source.retries_at_once else self._backoff.next()
            if self._stop.wait(pause + self._pace_opens.turn()):
                return
        self._count_errors(None)
        self._tick(last=True)
        if self._source.error is not None:
            raise self._source.error

    def _open(self) -> None:
        self._opened_at = time.monotonic()
        self._goes_on_at = self._progress() if self._source.goes_on else None
        self.info = self._source.open(self._begins)
        self._live = self.info.live
        if self._recorder is not None:
            self._recorder.opened(self.info)
        self.decoders = self._choose(self.info)
        # Of this connection alone: what another sender counts does not go on where the last one's counting ended.
        self._watch(self._begin_at)
        self._offset = None
        self._breaks = self._source.breaks
        self._packet_at = time.monotonic()
        self._began = self._began or self._packet_at
        # Who joins a live stream comes in the middle of a group of pictures, whose beginning nobody has.
        self._wait_for_key = self._live
        self._key_deadline = self._packet_at + KEY_FRAME_SECONDS

    def _begins(self) -> float:
        self._begin_at = self._media_now() if self._goes_on_at is None else self._goes_on_at
        return self._begin_at

    def _watch(self, begin: float) -> None:
        """Begin to watch the transport at a media second."""
        assert self.info is not None
        clock = self._source.clock
        found = len(clock.found) if clock is not None else 0
        raw = self._source.raw_bytes()
        self._transport = TransportWatch(
            self.info, self._parameters, raw, realtime=self._realtime, begin=begin, found=found
        )

    def _start_anew(self, packet: Packet) -> None:
        """The timeline was cut on purpose: what follows is compared with nothing that came before."""
        self._flush()
        self._count_errors(None)
        self._watch_anew(packet)
        self._reach(packet)  # what was left out is missing from no track
        self.anew = True
        self.gap.set()

    def _watch_anew(self, packet: Packet) -> None:
        assert self._transport is not None
        self._transport.finish()
        self._give_findings(last=True)
        self._transport.close()
        at = packet.pts if packet.dts is None else packet.dts
        self._watch(self._progress() if at is None else at)

    def _follow_orders(self, packet: Packet) -> None:
        """What was decided outside of this thread since the packet before this one."""
        if self._retuned is not None:
            self._parameters, self._retuned = self._retuned, None
            self._watch_anew(packet)
        if self._source.breaks != self._breaks:
            self._breaks = self._source.breaks
            self._start_anew(packet)
        if self.sampling.shed != self._was_shed:
            self._was_shed = self.sampling.shed
            if self._was_shed:
                self._flush()
            else:
                self._start_anew(packet)
                self._wait_for_key = True
                self._key_deadline = self._packet_at + KEY_FRAME_SECONDS

    def _pass_over(self, packet: Packet) -> None:
        """A packet of a stream that is not judged for want of time: its timeline goes on, and nothing is missing."""
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and at > self._progress():
            self._goes_on(at)
        self._reach(packet)
        self._moved_on()
        self._tick()

    def _reach(self, packet: Packet) -> None:
        """The tracks that are there stand at a packet, though nothing of them was decoded up to it."""
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None or self.info is None:
            return
        with self._lock:
            if self.info.video is not None:
                self._video_until = max(self._video_until, at)
            if self.info.audio is not None:
                self._audio_until = max(self._audio_until, at)

    def _read_connection(self) -> None:
        """Decode packets until the source ends, breaks off, or `stop`; then what the decoders still hold."""
        assert self.decoders is not None
        video, audio, clock, mark = self.decoders.video, self.decoders.audio, self._source.clock, self._handling
        for packet in self._source.packets(self._after_silence if self._live else None):
            if self._stop.is_set():
                return
            self._packet_at = time.monotonic()
            self.counters.packets += 1
            self.counters.packet_bytes += packet.size
            if self._recorder is not None:
                self._recorder.packet(packet)
            self._follow_orders(packet)
            if self._was_shed:
                self._pass_over(packet)
                continue
            watch = self._transport
            assert watch is not None
            if packet.offset != self._offset:
                if self._offset is not None:
                    self._flush()  # what is held back came before the silence
                self._offset = packet.offset
            watch.packet(packet, clock.found if clock is not None else ())
            if packet.track == "video" and video is not None:
                if self._wait_for_key and not packet.key and self._packet_at < self._key_deadline:
                    continue
                self._wait_for_key = False
                mark.begin()
                surfaces = video.decode(packet)
                mark.end()
                self.decoding.add(time.monotonic() - self._packet_at)
                self._deliver_frames(surfaces)
            elif packet.track == "audio" and audio is not None:
                mark.begin()
                blocks = audio.decode(packet)
                mark.end()
                self._deliver_sound(blocks)
                if audio.format is not None and packet.pts is not None:
                    watch.sound(*audio.format, packet.pts)
            self._count_errors(packet)
            self._give_findings()
            self._tick()
        if not self._stop.is_set():
            self._flush()
            self._count_errors(None)
            if self._transport is not None:
                self._transport.finish()
            self._give_findings(last=True)

    def _flush(self) -> None:
        """Give what the decoders hold back, which came before whatever is the matter now."""
        assert self.decoders is not None
        surfaces = self.decoders.video.flush() if self.decoders.video is not None else []
        blocks = self.decoders.audio.flush() if self.decoders.audio is not None else []
        if self.gap.is_set():
            # It comes after a gap that the engine has not seen yet, and would be taken for what came before it.
            for surface in surfaces:
                surface.release()
            return
        self._flushing = True
        self._deliver_frames(surfaces)
        self._deliver_sound(blocks)
        self._flushing = False

    def _let_go(self) -> None:
        """Close the source and its decoders; what they counted is kept."""
        self._source.close()
        self._close_decoders()

    def _close_decoders(self) -> None:
        """Let go of what belongs to the tracks that were open."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if self.decoders is not None:
            for decoder in (self.decoders.video, self.decoders.audio):
                if decoder is not None:
                    self._errors_before += decoder.errors
                    decoder.close()
            self.decoders = Decoders(None, None, "the source is being opened again")

    def _media_now(self) -> float:
        """Where the timeline of a live source stands by the wall clock; 0 where nothing was told of it yet."""
        if self.info is None and not self.stalled:
            return 0.0
        with self._lock:
            return max(self._progress() + time.monotonic() - self._progress_at, self._tick_start)

    def _after_silence(self) -> float | None:
        silent = time.monotonic() - self._packet_at
        return self._media_now() if self.stalled and silent > self._limit() / 2 else None

    def _limit(self) -> float:
        return max(self._stall_seconds, HELD_SEGMENTS * self._source.target_seconds)

    @property
    def lost(self) -> bool:
        """The source broke off, or cannot be opened, and nothing was decoded since; a stall is told later."""
        return self._failure is not None and self._reconnect

    @property
    def cause(self) -> str:
        """Why nothing comes, in one word; see docs/sources.md."""
        if self._failure is not None:
            return self._failure
        if time.monotonic() - self._packet_at < self._limit() / 2:
            if self._returned is not None:
                return "slow"
            return "no_key_frame" if self._wait_for_key else "not_decodable"
        return "stalled_playlist" if self._source.target_seconds else "no_data"

    def stall_tick(self) -> StreamTick | None:
        """The next second of a live source that gives nothing, by the wall clock. Only from the engine's loop."""
        if not self._live or self.ticks.ended:
            return None
        now = time.monotonic()
        if len(self.video) or len(self.audio) or len(self.ticks):
            return None  # it is the engine that has to catch up
        with self._lock:
            silent = now - self._progress_at
            if silent < self._limit():
                return None
            # By what was decoded: a segment that hangs still drips a packet at each attempt of libav's.
            if now - max(self._progress_at, self._opened_at) > HANGS * self._source.read_timeout_seconds:
                self._source.give_up()
            end = self._progress() + silent
            if self.stalled and end < self._tick_start + TICK_SECONDS:
                return None
            start = min(self._tick_start, end)
            self.stalled, self._tick_start = True, end
            return self._silent_tick(start, end)

    @property
    def decoded_until(self) -> float:
        """Media second up to which pictures or sound were decoded."""
        return self._progress()

    def excuse(self, seconds: float) -> None:
        """The engine looked at nothing for so long; that was no silence of the source. Only from its loop."""
        with self._lock:
            self._progress_at = min(time.monotonic(), self._progress_at + seconds)

    def _silent_tick(self, start: float, end: float) -> StreamTick:
        return StreamTick(
            start=start,
            end=end,
            decode_errors=0,
            video_missing_seconds=end - self._video_until,
            audio_missing_seconds=end - self._audio_until,
            stall_seconds=end - self._progress(),
        )

    def _moved_on(self) -> None:
        """The engine took something: the time for which it let that wait is none in which the source gave nothing."""
        if not self._flushing:
            self._progress_at = time.monotonic()

    def _flows(self, at: float) -> bool:
        """Whether what was decoded, for media second `at`, is more than a drip in a stall, and so may be judged."""
        if self._flushing or not self.stalled:
            return True
        now = time.monotonic()
        within = max(FLOW_WITHIN_SECONDS, 2 * self._apart)
        if self._returned is None or now - self._returned[0] > within:
            self._returned = (now, at)
        if at - self._returned[1] < FLOW_SECONDS:
            return False
        self._returned = None
        return True

    def _goes_on(self, at: float) -> None:
        """Something was decoded, for media second `at`: a stall that was told ends there."""
        if self._flushing or not (self._live or self.stalled):
            return
        began = time.monotonic()
        while self.gap.is_set() and time.monotonic() - began < GAP_SEEN_SECONDS and not self._stop.wait(0.02):
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
                self._video_until, self._audio_until = max(self._video_until, at), max(self._audio_until, at)
            elif not self._source.target_seconds:
                self._apart = max(0.9 * self._apart, time.monotonic() - self._progress_at)
            self._failure = None
            self._progress_at = time.monotonic()
        if tick is not None:
            self.ticks.put(tick, self._stop.is_set)

    def _deliver_frames(self, surfaces: list[Surface]) -> None:
        for surface in surfaces:
            if self._transport is not None:
                self._transport.picture(surface)
            self.counters.frames_decoded += 1
            if not self._flows(surface.pts):
                surface.release()
                continue
            self._goes_on(surface.pts)
            self._pace(surface.pts)
            self._video_until = max(self._video_until, surface.pts + surface.duration)
            if not self.sampling.takes(surface.pts):
                surface.release()
                self._moved_on()
                continue
            self.video.put(surface, self._stop.is_set)
            self._moved_on()

    def _deliver_sound(self, blocks: list[AudioBlock]) -> None:
        for block in blocks:
            if not self._flows(block.pts):
                continue
            self._goes_on(block.pts)
            self._pace(block.pts)
            self._audio_until = max(self._audio_until, block.pts + block.valid / 48000)
            for listening in (self.onsets, self.print):
                if listening is not None:
                    listening.take(block)  # first: the block is then the engine's
            self.audio.put(block, self._stop.is_set)
            self._moved_on()

    def _pace(self, pts: float) -> None:
        """In realtime, wait until the media clock has reached `pts`; in pieces that `stop` cuts short."""
        if self._realtime and not self._live:
            due = self._began + pts - time.monotonic()
            if due > 0 and self._stop.wait(due):
                raise QueueClosed

    def _count_errors(self, packet: Packet | None) -> None:
        assert self.decoders is not None
        errors = self._errors_before + sum(
            d.errors for d in (self.decoders.video, self.decoders.audio) if d is not None
        )
        if errors > self.counters.decode_errors:
            self.counters.decode_errors = errors
            if self._first_error is None:
                at = packet.pts if packet is not None and packet.pts is not None else self._progress()
                self._first_error = max(at, self._tick_start)

    def _progress(self) -> float:
        return max(self._video_until, self._audio_until)

    def _tick(self, *, last: bool = False) -> None:
        """One row per media second, driven by the packets alone, so that it is the same on every run."""
        if self.stalled:
            return  # the engine gives them, by the clock
        now = self._progress()
        while now >= self._tick_start + TICK_SECONDS or (last and now > self._tick_start):
            end = min(self._tick_start + TICK_SECONDS, now)
            final = last and now <= self._tick_start + TICK_SECONDS
            errors = 0
            if self._first_error is not None and (self._first_error < end or final):
                errors = self.counters.decode_errors - self._errors_at_tick
                self._errors_at_tick = self.counters.decode_errors
            slack = 0.0 if last else INTERLEAVING_SECONDS
            self.ticks.put(
                StreamTick(
                    # Damage from before a stall is told after it, and must not reach back into it.
                    start=max(self._first_error or 0.0, self._tick_start) if errors else self._tick_start,
                    end=end,
                    decode_errors=errors,
                    video_missing_seconds=_missing(end, self._video_until, slack),
                    audio_missing_seconds=_missing(end, self._audio_until, slack),
                    stall_seconds=0.0,
                ),
                self._stop.is_set,
            )
            if errors:
                self._first_error = None
            self._tick_start += TICK_SECONDS

    def _give_findings(self, *, last: bool = False) -> None:
        """What the watch has found, each with its own times."""
        if self._transport is not None:
            for row in self._transport.rows(self._progress(), last=last):
                tick = StreamTick(row.start, row.end, transport=row.values, causes=row.causes)
                self.ticks.put(tick, self._stop.is_set)


def _missing(now: float, until: float, slack: float) -> float:
    """Seconds that a track has been missing at `now`; 0 within the container's interleaving."""
    missing = now - until
    return missing if missing > slack else 0.0
