"""One stream's way from its source to decoded pictures and sound.

Run by: one thread per stream, started by the engine. It owns the source and the decoders, nobody else touches them, but
that the pictures of files are decoded in a thread of their own (engine/decode/ahead.py), which it starts and ends. It
ends at the end of the input, at an error, or within a second of `stop`; it then closes its queues, with the failure if
there was one, which the engine sees when it has taken what was decoded before. If the thread itself fails, that is a
failure of this stream alone.

A live source that ends, breaks off or cannot be opened is opened again, for as long as `reconnect` says so. Media time
goes on by the wall clock meanwhile: an outage of 30 s is 30 s of media time, in which nothing was seen
(engine/progress.py).
"""

import logging
import math
import threading
import time
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from engine.counters import StreamCounters
from engine.decode.ahead import DecodeAhead
from engine.decode.choose import Decoders
from engine.errors import AvjuryError, DecodeError, SourceError, let_go_of_frames
from engine.fingerprints import SoundPrint
from engine.handling import Handling
from engine.ingest.backoff import Backoff, OpenPace
from engine.ingest.base import MediaSource
from engine.ingest.causes import cause_of, is_permanent
from engine.ingest.transport import TransportWatch
from engine.latency import Latency
from engine.media import AudioBlock, Packet, StreamInfo, StreamTick, Surface
from engine.progress import STALL_SECONDS, Progress
from engine.queues import Bell, BoundedQueue, QueueClosed
from engine.sampling import Sampling
from engine.sound_onsets import SoundOnsets
from engine.source_size import source_size_problem
from engine.turns import Turn

VIDEO_QUEUE_FRAMES = 4
AUDIO_QUEUE_BLOCKS = 16
# Of a file, whose pictures nobody waits for one by one, so many are handed over at a time, and twice as many held, or
# `LEAST_HELD`: few of a large size, which would have left the processor's cache by the time they are judged, and more
# of a small one. What is held bridges the pictures that take longest to judge, and the decoder goes on.
LEAST_TOGETHER = 2
MOST_TOGETHER = 16
LEAST_HELD = 8
TOGETHER_SAMPLES = 2 * 1920 * 1088
TICK_QUEUE = 64
# Pictures cannot be decoded before the first key frame. Some broadcast encoders send none, but refresh bit by bit.
KEY_FRAME_SECONDS = 10.0
# Of other tracks the tables say so before their first packet; but a parser gives out what it held with the first bytes
# of the next packet in it, at the place of what it held. So an error is one once so many packets have come.
SUSPECTED_PACKETS: Final = 3
# Opening an input anew takes up to a second or two, and tables that change with each packet would have it opened again
# and again: more changes than this within so many media seconds are told, and not followed.
MOST_FOLLOWED: Final = 6
FOLLOWED_SECONDS: Final = 30.0
# A container's times are rounded; and no decoder holds more pictures back.
_SAME_SECONDS: Final = 0.0015
_MOST_WAITING: Final = 64

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")


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
        turn: what its source begins where something has come; it is ended here before a wait for room.
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
        turn: Turn | None = None,
        together: bool = False,
    ) -> None:
        self.stream = stream
        self._recorder = recorder
        self._together = together and not (realtime or source.is_network)
        frames, at_a_time = (LEAST_HELD, LEAST_TOGETHER) if self._together else (VIDEO_QUEUE_FRAMES, 1)
        self.video: BoundedQueue[Surface] = BoundedQueue(frames, bell, at_a_time)
        self.audio: BoundedQueue[AudioBlock] = BoundedQueue(AUDIO_QUEUE_BLOCKS, bell, at_a_time)
        self.ticks: BoundedQueue[StreamTick] = BoundedQueue(TICK_QUEUE, bell)
        self.info: StreamInfo | None = None
        self._size_problem = ""  # as it was told last
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
        self.gap = threading.Event()
        """Set when the source broke, until the engine has told its judge that nothing is known of what follows."""
        self._reconnect = reconnect and source.is_network
        self._pace_opens = pace or OpenPace()
        self._backoff = Backoff()
        self.progress = Progress(
            source, self.ticks, (self.video, self.audio), self._stop, self.gap,
            stall_seconds=stall_seconds, live=self._reconnect,
        )  # fmt: skip
        """How far it has come."""
        self._key_deadline = 0.0
        self._errors_before = 0  # of decoders that are closed
        self._offset: float | None = None
        self._ahead: DecodeAhead | None = None
        self._handling = handling or Handling()
        self._turn = turn or Turn()
        self.sampling = Sampling()
        """Which of the pictures are judged, under load."""
        self.onsets: SoundOnsets | None = SoundOnsets() if "av.sync" in self._parameters else None
        """Where its sound sets in, for a test pattern of flashes and beeps. The engine's loop may set it."""
        self.print: SoundPrint | None = None
        self.lips: SoundPrint | None = None
        """What its sound is known by, where it is compared with another stream. The engine's loop may set it."""
        self.anew = False
        """What follows the gap is not to be compared with what came before it."""
        self._begin_at = 0.0
        self._goes_on_at: float | None = None  # where what is opened follows without a gap
        self._breaks = 0
        self._was_shed = False
        self._to_be_shown: list[float] = []  # times of showing of packets whose pictures have not come, in their order
        self._last_shown: float | None = None  # of a picture
        self._retuned: Mapping[str, Mapping[str, float]] | None = None
        self._suspect: Packet | None = None  # the first one that its decoder made an error of, and that is not counted
        self._suspected = 0  # packets since then
        self._others = False  # the source has other tracks now, for which it has to be opened again
        self._followed: deque[float] = deque(maxlen=MOST_FOLLOWED)  # media seconds of the latest

    def start(self) -> None:
        """Begin to read."""
        self.progress.progress_at = self.progress.packet_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()
        self._source.stop()

    def retune(self, parameters: Mapping[str, Mapping[str, float]]) -> None:
        """Judge with other parameters from the next packet on. From any thread."""
        self.progress.stall_seconds = parameters.get("stream.stall", {}).get("duration", STALL_SECONDS)
        self._retuned = parameters

    @property
    def lost(self) -> bool:
        """The source broke off, or cannot be opened, and nothing was decoded since; a stall is told later."""
        return self.progress.failure is not None and self._reconnect

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
            # Where it happened is forgotten below.
            _log.exception("%s: decoding failed", self.stream)
            failure = DecodeError(
                "cannot go on decoding",
                stream=self.stream,
                why=f"{type(error).__name__}: {error}",
                remedy="this is a bug in avjury; please report it with the input",
            )
            failure.__cause__ = error
        finally:
            for kept in (failure, self._source.error):
                let_go_of_frames(kept)
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
                self.progress.failure = cause_of(error)
                self.progress.failure_detail = f"{error.why}; {error.remedy}"
                _log.warning("%s (trying again)", error.line())
            else:
                self._read_connection()
                if self._stop.is_set():
                    return
                if self._source.goes_on:
                    self._close_decoders()
                    self._forgive()
                    continue
                if self._others:
                    _log.info("%s: its tracks are others now; opening it again", self.stream)
                    self.gap.set()
                    self._let_go()
                    self._forgive()
                    continue
                if not (self._reconnect and self.progress.live):
                    break
                self.progress.failure, lost = self._source.why_ended(), self._source.error
                self.progress.failure_detail = f"{lost.why}; {lost.remedy}" if lost is not None else ""
                _log.warning("%s: the source was lost (%s); opening it again", self.stream, self.progress.failure)
                self._backoff.good_for(time.monotonic() - began)
                self.gap.set()
            self._let_go()
            pause = 0.0 if self._source.retries_at_once else self._backoff.next()
            if self._stop.wait(pause + self._pace_opens.turn()):
                return
        self._count_errors(None)
        self.progress.tick(last=True)
        if self._source.error is not None:
            raise self._source.error

    def _open(self) -> None:
        self.progress.opened_at = time.monotonic()
        self._goes_on_at = self.progress.decoded_until if self._source.goes_on else None
        first, self.info = self.info is None, self._source.open(self._begins)
        if first:
            for problem in self.info.undecodable.values():
                _log.warning("%s: %s", self.stream, problem)
        self._tell_of_size(self.info)
        self.progress.opened, self.progress.live = True, self.info.live
        if self._recorder is not None:
            self._recorder.opened(self.info)
        self.decoders, self._ahead = self._choose(self.info), None
        if self._together and self.info.video is not None:
            samples = max(1, self.info.video.width * self.info.video.height)
            at_a_time = min(max(TOGETHER_SAMPLES // samples, LEAST_TOGETHER), MOST_TOGETHER)
            self.video.hold(max(2 * at_a_time, LEAST_HELD), at_a_time)
            if self.decoders.video is not None:
                ahead = max(at_a_time // 2, LEAST_TOGETHER)
                self._ahead = DecodeAhead(self.decoders.video, ahead, self.stream, self._stop.is_set)
                self.decoders = replace(self.decoders, video=self._ahead)
        # Of this connection alone: what another sender counts does not go on where the last one's counting ended.
        self._watch(self._begin_at)
        self._offset = None
        self._breaks = self._source.breaks
        self.progress.packet_at = time.monotonic()
        self._began = self._began or self.progress.packet_at
        # Who joins a live stream comes in the middle of a group of pictures, whose beginning nobody has.
        self.progress.wait_for_key = self.progress.live
        self._key_deadline = self.progress.packet_at + KEY_FRAME_SECONDS

    def _tell_of_size(self, info: StreamInfo) -> None:
        """In the log, once, where nobody looks for what its parameters want to be looked for."""
        problem = source_size_problem(info, self._parameters)
        if problem and problem != self._size_problem:
            _log.warning("%s: %s", self.stream, problem)
        self._size_problem = problem

    def _begins(self) -> float:
        self._begin_at = self.progress.media_now() if self._goes_on_at is None else self._goes_on_at
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
        self._watch(self.progress.decoded_until if at is None else at)

    def _follow_orders(self, packet: Packet) -> None:
        """What was decided outside of this thread since the packet before this one."""
        if self._retuned is not None:
            self._parameters, self._retuned = self._retuned, None
            if self.info is not None:
                self._tell_of_size(self.info)
            self._watch_anew(packet)
        if self._source.breaks != self._breaks:
            self._breaks = self._source.breaks
            self._start_anew(packet)
        # The packets that come of a stream that is shed lie far apart, up to a break.
        if (shed := self.sampling.shed or self._source.thinned) != self._was_shed:
            self._was_shed = shed
            if self._was_shed:
                self._flush()
            else:
                self._start_anew(packet)
                self.progress.wait_for_key = True
                self._key_deadline = self.progress.packet_at + KEY_FRAME_SECONDS

    def _pass_over(self, packet: Packet) -> None:
        """A packet of a stream that is not judged for want of time: its timeline goes on, and nothing is missing."""
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and at > self.progress.decoded_until:
            self.progress.goes_on(at)
        self._reach(packet)
        self.progress.moved_on()
        self.progress.tick()

    def _reach(self, packet: Packet) -> None:
        """The tracks that are there stand at a packet, though nothing of them was decoded up to it."""
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None or self.info is None:
            return
        self.progress.reach(at, video=self.info.video is not None, audio=self.info.audio is not None)

    def _read_connection(self) -> None:
        """Decode packets until the source ends, breaks off, or `stop`; then what the decoders still hold."""
        assert self.decoders is not None
        video, audio, clock, mark = self.decoders.video, self.decoders.audio, self._source.clock, self._handling
        packets, ahead = self._source.packets(self.progress.after_silence if self.progress.live else None), self._ahead
        if ahead is not None:
            packets = ahead.read(packets, lambda: len(clock.found) if clock is not None else 0)
        for packet in packets:
            if self._stop.is_set():
                return
            self.progress.packet_at = time.monotonic()
            self.counters.packets += 1
            self.counters.packet_bytes += packet.size
            self._follow_orders(packet)
            if self._was_shed:
                self._pass_over(packet)
                continue
            if self._recorder is not None:
                self._recorder.packet(packet)
            watch = self._transport
            assert watch is not None
            if packet.offset != self._offset:
                if self._offset is not None:
                    self._flush()  # what is held back came before the silence
                self._offset = packet.offset
            found = clock.found if clock is not None else ()
            if ahead is not None:
                found = found[: ahead.found]  # packets behind this one were read already
            if self.progress.stalled:
                watch.in_outage(found)
            watch.packet(packet, found)
            if watch.others_from is not None and self._leave_for_others(watch):
                return
            if packet.track == "video" and video is not None:
                if packet.pts is not None:
                    insort(self._to_be_shown, packet.pts)
                if self.progress.wait_for_key and not packet.key and self.progress.packet_at < self._key_deadline:
                    continue
                self.progress.wait_for_key = False
                mark.begin()
                surfaces = video.decode(packet)
                mark.end()
                self.decoding.add(time.monotonic() - self.progress.packet_at)
                self._deliver_frames(surfaces)
            elif packet.track == "audio" and audio is not None:
                mark.begin()
                blocks = audio.decode(packet)
                mark.end()
                self._deliver_sound(blocks)
                if audio.format is not None and packet.pts is not None:
                    watch.sound(*audio.format, packet.pts)
            if self._errors() > self.counters.decode_errors:
                watch.look_on(packet)
                if watch.others_from is not None and self._leave_for_others(watch):
                    return
                self._suspected += 1
                self._suspect = self._suspect or packet
                if self._suspected >= SUSPECTED_PACKETS:
                    self._count_errors(self._suspect)
            if self.progress.decoded_until >= watch.next_at:
                self._give_findings()
            self.progress.tick()
        if not self._stop.is_set():
            if (watch := self._transport) is not None:
                watch.finish()
                while watch.others_from is not None:
                    if self._leave_for_others(watch):
                        return
                    watch.finish()
            self._flush()
            self._count_errors(self._suspect)
            self._give_findings(last=True)

    def _leave_for_others(self, watch: TransportWatch) -> bool:
        """Whether reading ends here, because libav's demuxer would go on with the tracks that were."""
        position, watch.others_from = watch.others_from, None
        assert position is not None
        now = self.progress.decoded_until
        if len(self._followed) == MOST_FOLLOWED and now - self._followed[0] < FOLLOWED_SECONDS:
            return False
        if not self._source.go_from(position):
            self._others = self._reconnect and self.progress.live
            if not self._others:
                return False
        self._followed.append(now)
        self._flush()
        self._give_findings(last=True)
        return True

    def _forgive(self) -> None:
        """What the decoders that are closed made of other codecs' packets was no damage."""
        self._others, self._suspect, self._suspected = False, None, 0
        self._errors_before = self.counters.decode_errors

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
        self.progress.flushing = True
        self._deliver_frames(surfaces)
        self._deliver_sound(blocks)
        self.progress.flushing = False

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

    def _deliver_frames(self, surfaces: list[Surface]) -> None:
        for surface in surfaces:
            if self._transport is not None:
                self._transport.picture(surface)
            self.counters.frames_decoded += 1
            if not self.progress.flows(surface.pts):
                surface.release()
                continue
            self.progress.goes_on(surface.pts)
            self._pace(surface.pts)
            away_seconds = self.progress.decoded("video", surface.pts, self._shown_until(surface))
            if not self.sampling.takes(surface.pts):
                surface.release()
                self.progress.moved_on()
                continue
            self._hand_over(self.video, self._apart(surface, away_seconds))
            self.progress.moved_on()

    def _shown_until(self, surface: Surface) -> float:
        """Up to when a picture stands. MP4 has durations by the order of decoding: that of one before a hole may have
        come to another one, before whose end others are shown."""
        waiting = self._to_be_shown
        del waiting[: bisect_right(waiting, surface.pts + _SAME_SECONDS)]
        del waiting[_MOST_WAITING:]
        until = surface.pts + surface.duration
        return min(until, waiting[0]) if waiting else until

    def _apart(self, surface: Surface, away_seconds: float) -> Surface:
        """The picture, marked where a hole lies before it that is told as one.

        Args:
            surface: the next picture.
            away_seconds: for how long pictures alone had been missing before it.
        """
        last, self._last_shown = self._last_shown, surface.pts
        missing = away_seconds >= self._parameters.get("stream.missing_video", {}).get("duration", math.inf)
        hole = last is not None and self._transport is not None and self._transport.told_hole(last, surface.pts)
        return replace(surface, apart=True) if missing or hole else surface

    def _deliver_sound(self, blocks: list[AudioBlock]) -> None:
        for block in blocks:
            if not self.progress.flows(block.pts):
                continue
            self.progress.goes_on(block.pts)
            self._pace(block.pts)
            self.progress.decoded("audio", block.pts, block.pts + block.valid / 48000)
            for listening in (self.onsets, self.print, self.lips):
                if listening is not None:
                    listening.take(block)  # first: the block is then the engine's
            self._hand_over(self.audio, block)
            self.progress.moved_on()

    def _hand_over(self, queue: BoundedQueue[T], item: T) -> None:
        """Put something in, while others work if there is no room for it."""
        if queue.full:
            self._turn.end()
        queue.put(item, self._stop.is_set)

    def _pace(self, pts: float) -> None:
        """In realtime, wait until the media clock has reached `pts`; in pieces that `stop` cuts short."""
        if self._realtime and not self.progress.live:
            due = self._began + pts - time.monotonic()
            if due > 0 and self._stop.wait(due):
                raise QueueClosed

    def _errors(self) -> int:
        assert self.decoders is not None
        video, audio, errors = self.decoders.video, self.decoders.audio, self._errors_before
        if video is not None:
            errors += video.errors
        if audio is not None:
            errors += audio.errors
        return errors

    def _count_errors(self, packet: Packet | None) -> None:
        errors = self._errors()
        self._suspect, self._suspected = None, 0
        if errors > self.counters.decode_errors:
            self.counters.decode_errors = errors
            at = packet.pts if packet is not None and packet.pts is not None else self.progress.decoded_until
            self.progress.damaged(errors, at)

    def _give_findings(self, *, last: bool = False) -> None:
        """What the watch has found, each with its own times."""
        if self._transport is not None:
            for row in self._transport.rows(self.progress.decoded_until, last=last):
                tick = StreamTick(row.start, row.end, transport=row.values, causes=row.causes)
                self._hand_over(self.ticks, tick)
