"""One stream's way from its source to decoded pictures and sound.

Run by: one thread per stream, started by the engine. It owns the source and the decoders, nobody else touches them. It
ends at the end of the input, at an error, or within a second of `stop`; it then closes its queues, with the failure if
there was one, which the engine sees when it has taken what was decoded before. If the thread itself fails, that is a
failure of this stream alone.
"""

import threading
import time
from collections.abc import Callable, Mapping

from engine.counters import StreamCounters
from engine.decode.choose import Decoders
from engine.errors import AvjuryError, DecodeError
from engine.ingest.source import Source
from engine.ingest.transport import TransportWatch
from engine.media import AudioBlock, Packet, StreamInfo, StreamTick, Surface
from engine.queues import Bell, BoundedQueue, QueueClosed

VIDEO_QUEUE_FRAMES = 4
AUDIO_QUEUE_BLOCKS = 16
TICK_QUEUE = 64
TICK_SECONDS = 1.0
# A container interleaves its tracks within about a second; a track is not missing because the other came first.
INTERLEAVING_SECONDS = 1.0


class StreamReader:
    """The reader of one stream.

    Args:
        stream: the stream's id.
        source: not yet opened.
        choose: makes the decoders, once the source has said what is in it.
        bell: of the engine that takes from the queues.
        realtime: deliver at the pace of the media clock, as a live source would.
        parameters: of the stream's enabled detectors, by name, complete.
    """

    def __init__(
        self,
        stream: str,
        source: Source,
        choose: Callable[[StreamInfo], Decoders],
        bell: Bell,
        *,
        realtime: bool = False,
        parameters: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.stream = stream
        self.video: BoundedQueue[Surface] = BoundedQueue(VIDEO_QUEUE_FRAMES, bell)
        self.audio: BoundedQueue[AudioBlock] = BoundedQueue(AUDIO_QUEUE_BLOCKS, bell)
        self.ticks: BoundedQueue[StreamTick] = BoundedQueue(TICK_QUEUE, bell)
        self.info: StreamInfo | None = None
        self.decoders: Decoders | None = None
        self.counters = StreamCounters()
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

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()
        self._source.stop()

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
            if self._transport is not None:
                self._transport.close()
            if self.decoders is not None:
                for decoder in (self.decoders.video, self.decoders.audio):
                    if decoder is not None:
                        decoder.close()
            for queue in (self.video, self.audio, self.ticks):
                queue.close(failure)

    def _read(self) -> None:
        self.info = self._source.open()
        self.decoders = self._choose(self.info)
        video, audio = self.decoders.video, self.decoders.audio
        clock = self._source.clock
        watch = self._transport = TransportWatch(
            self.info, self._parameters, self._source.raw_bytes(), realtime=self._realtime
        )
        self._began = time.monotonic()
        for packet in self._source.packets():
            if self._stop.is_set():
                return
            self.counters.packets += 1
            self.counters.packet_bytes += packet.size
            watch.packet(packet, clock.found if clock is not None else ())
            if packet.track == "video" and video is not None:
                self._deliver_frames(video.decode(packet))
            elif packet.track == "audio" and audio is not None:
                self._deliver_sound(audio.decode(packet))
                if audio.format is not None and packet.pts is not None:
                    watch.sound(*audio.format, packet.pts)
            self._count_errors(packet)
            self._give_findings()
            self._tick()
        if self._stop.is_set():
            return
        if video is not None:
            self._deliver_frames(video.flush())
        if audio is not None:
            self._deliver_sound(audio.flush())
        self._count_errors(None)
        watch.finish()
        self._give_findings(last=True)
        self._tick(last=True)
        if self._source.error is not None:
            raise self._source.error

    def _deliver_frames(self, surfaces: list[Surface]) -> None:
        for surface in surfaces:
            if self._transport is not None:
                self._transport.picture(surface)
            self._pace(surface.pts)
            self.counters.frames_decoded += 1
            self._video_until = max(self._video_until, surface.pts + surface.duration)
            self.video.put(surface, self._stop.is_set)

    def _deliver_sound(self, blocks: list[AudioBlock]) -> None:
        for block in blocks:
            self._pace(block.pts)
            self._audio_until = max(self._audio_until, block.pts + block.valid / 48000)
            self.audio.put(block, self._stop.is_set)

    def _pace(self, pts: float) -> None:
        """In realtime, wait until the media clock has reached `pts`; in pieces that `stop` cuts short."""
        if self._realtime:
            due = self._began + pts - time.monotonic()
            if due > 0 and self._stop.wait(due):
                raise QueueClosed

    def _count_errors(self, packet: Packet | None) -> None:
        assert self.decoders is not None
        errors = sum(d.errors for d in (self.decoders.video, self.decoders.audio) if d is not None)
        if errors > self.counters.decode_errors:
            self.counters.decode_errors = errors
            if self._first_error is None:
                at = packet.pts if packet is not None and packet.pts is not None else self._progress()
                self._first_error = max(at, self._tick_start)

    def _progress(self) -> float:
        return max(self._video_until, self._audio_until)

    def _tick(self, *, last: bool = False) -> None:
        """One row per media second, driven by the packets alone, so that it is the same on every run."""
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
                    start=self._first_error if errors and self._first_error is not None else self._tick_start,
                    end=end,
                    decode_errors=errors,
                    video_missing_seconds=_missing(end, self._video_until, slack),
                    audio_missing_seconds=_missing(end, self._audio_until, slack),
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
