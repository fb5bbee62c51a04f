"""The loop: ready -> batch -> measure -> judge -> emit, for the streams of one group on one device.

Run by: whoever calls `Engine.run` (the main thread of `check`, the child process of the service). It owns the slots,
the device state and the listener's calls; each stream's reader thread hands it surfaces and sound through queues. It
ends when every stream has ended, or at `stop`, which any thread or signal handler may call. If the loop itself fails,
the readers are stopped and the error goes to the caller; if a reader fails, that stream ends and the others go on.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from engine.batch import Batcher
from engine.decode.upload import Uploader
from engine.device_failures import give_memory_back, gpu_failures_told
from engine.evidence.worker import Sink
from engine.first_run import told_where_slow
from engine.listener import Listener
from engine.media import FrameBatch, StreamTick
from engine.outcome import Outcome
from engine.ranges import ranges_on
from engine.reader import AUDIO_QUEUE_BLOCKS, MOST_TOGETHER
from engine.slots import CAUSES, Slots
from engine.spec import EngineSettings, StreamSpec
from engine.startup import keep_what_is_loaded

_log = logging.getLogger(__name__)
# On a GPU streams share launches. On a CPU a pass costs as much as a small picture; streams that are live bring theirs
# one by one, and two hundredths of a second are nothing beside what is told within half of one. Files wait for nobody.
LAUNCH_WAIT_SECONDS = 0.005
LIVE_WAIT_SECONDS = 0.02
# Sound comes in blocks of a tenth of a second, and waits for that of others longer than pictures do.
SOUND_WAITS = 2
# One loop pass waits so long at most, so that `stop` is seen; queues ring before that.
IDLE_SECONDS = 0.25
# A pass that took longer kept the readers from going on; that is no silence of their sources.
AWAY_SECONDS = 1.0
# The shortest hole that stream.timestamps tells of.
HOLE_SECONDS = 0.5
# By then every kernel has been used, and so loaded: a tenth of a second of judging.
PASSES_TO_LOAD = 20
# What is kept to compare streams by is let go of this often.
FORGET_SECONDS = 1.0


class Engine(Slots):
    """Judges streams until each has ended.

    Args:
        settings: how.
        listener: who is told.
        slots: most streams at a time.
        evidence: who is handed the evidence of incidents, from a thread of its own; none is kept without.
    Raises: DeviceError if the device is not there; ConfigError if the network's weights cannot be used.
    """

    def __init__(
        self,
        settings: EngineSettings,
        listener: Listener | None = None,
        *,
        slots: int = 64,
        evidence: Sink | None = None,
    ) -> None:
        super().__init__(settings, listener, slots, evidence)
        self._range = ranges_on(self.device)
        wait = settings.max_wait_seconds
        if wait is None:
            live = settings.realtime or settings.reconnect
            wait = LAUNCH_WAIT_SECONDS if self.device.type == "cuda" else LIVE_WAIT_SECONDS if live else 0.0
        self._batcher = Batcher(self.device, settings.max_batch, wait)
        self._sound_wait, self._heard_at = SOUND_WAITS * wait, -math.inf
        self._uploader = Uploader(self.device) if self.device.type == "cuda" else None
        # Pictures of files come several at a time; what a pass does beside judging them costs as much as one of them.
        self._batches_a_pass = MOST_TOGETHER if self.device.type == "cpu" and wait == 0.0 else 1
        self._stopping = False
        self._looked_at = self._forgot_at = time.monotonic()
        self.waited_seconds = 0.0
        """For how long the loop had nothing to do."""

    def waits_for_kernels(self) -> bool:
        """Whether something was decoded, and nothing was judged yet. From any thread."""
        readers = [stream.reader for stream in list(self._streams.values())]
        judged = any(r.counters.frames_measured or r.counters.audio_samples for r in readers) or bool(self.outcomes)
        return not judged and any(len(r.video) or len(r.audio) for r in readers)

    def stop(self) -> None:
        """End soon; open incidents are closed as removed. May be called from any thread or signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Judge until every stream has ended, or `stop`.

        Raises: DeviceError if the GPU fails; the process has no more use of it then.
        """
        with gpu_failures_told(self.device), self._stream_of_its_own():
            self._run()

    @contextmanager
    def _stream_of_its_own(self) -> Iterator[None]:
        """On a GPU, nothing is to run on the default stream: its work holds NVDEC's back."""
        if self.device.type != "cuda":
            yield
            return
        own = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        own.wait_stream(torch.cuda.current_stream(self.device))  # the state of the slots was made there
        with torch.cuda.stream(own):
            yield

    def _run(self) -> None:
        try:
            passes = 0
            while self._streams and not self._stopping:
                self.step()
                passes += 1
                if passes == PASSES_TO_LOAD:
                    keep_what_is_loaded()
            for stream in self._streams.values():
                stream.reader.stop()  # all at once, so that they end side by side
            for stream in list(self._streams.values()):
                self._finish(stream, "removed")
        finally:
            for stream in self._streams.values():
                stream.reader.stop()
            self._decoders.close()
            if self._recorder is not None:
                self._recorder.stop()

    def step(self) -> None:
        """One pass of the loop: what is ready is batched, measured, judged, and told."""
        self._wait_until_ready()
        judged_pictures = False
        for _ in range(self._batches_a_pass):
            frames = self._batch()
            if frames is None:
                break
            judged_pictures = True
            with self._range("pictures"):
                self._judge_pictures(frames)
        with self._range("sound"):
            self._judge_sound()
        with self._range("streams"):
            self._judge_ticks()
            self._judge_silence()
            self._judge_sync()
            if not judged_pictures:
                self._settle(0)
            self._tell_streams()

    def _wait_until_ready(self) -> None:
        began = time.monotonic()
        if any(stream.ended for slot, stream in self._streams.items() if slot not in self._waiting):
            return  # it is to be finished
        sound, timeout = [], self._heard_at + self._sound_wait - began
        if timeout <= 0:
            sound, timeout = [queue for slot, queue in self._audio.items() if slot not in self._waiting], IDLE_SECONDS
        with self._range("wait"):
            self._batcher.wait_until_ready(self._bell, self._video, sound, min(timeout, IDLE_SECONDS))
        self.waited_seconds += time.monotonic() - began

    def _batch(self) -> FrameBatch | None:
        with self._range("batch"):
            return self._batcher.frames(self._video, self._pixel_black_th)

    def _judge_pictures(self, frames: FrameBatch) -> None:
        try:
            frames = self._on_device(frames)
            measures = self._measure.frames(frames)
        except torch.OutOfMemoryError as error:
            if not self._batcher.halve(len(frames.numbers)):
                raise  # one picture at a time is too much
            self._pass_over(frames, error)
            return
        for surface, slot in zip(frames.surfaces, frames.numbers, strict=True):
            if surface.apart:
                self._interrupt(slot, ("video",))
        self._emit(measures, frames)
        self._count_looks(frames)

    def _judge_sound(self) -> None:
        now = time.monotonic()
        if now - self._heard_at < self._sound_wait:
            return
        self._heard_at = now
        for _ in range(AUDIO_QUEUE_BLOCKS):  # sound that waits is short; more would hold the pictures up
            sound = self._batcher.sound(self._audio)
            if sound is None:
                break
            until = (sound.pts + sound.seconds).tolist()
            for slot, begin, end in zip(sound.slots.tolist(), sound.pts.tolist(), until, strict=True):
                stream = self._streams[slot]
                if begin - stream.heard_until > HOLE_SECONDS:
                    self._interrupt(slot, ("audio",))  # quiet before and after it is no silence that lasts through it
                stream.heard_until = end
            self._emit(self._measure.sound(sound), None)

    def _tell_streams(self) -> None:
        """Give out the seconds that are over, and let go of the streams that have ended."""
        for stream in list(self._streams.values()):
            self._tell(stream)
            if not stream.ended:
                continue
            if self._waits_for_reference(stream):
                self._waiting.add(stream.slot)
            else:
                self._finish(stream, "end_of_stream")

    def _pass_over(self, frames: FrameBatch, error: torch.OutOfMemoryError) -> None:
        """These pictures are not judged, and their seconds say so; the next batches are smaller."""
        self._settle(0)
        for surface, slot in zip(frames.surfaces, frames.numbers, strict=True):
            self._streams[slot].coverage.left_out(surface.pts)
            surface.release()
        give_memory_back(self.device)
        _log.warning(
            "out of memory on %s: %d pictures are left out, and at most %d are judged at a time from now on: %s",
            self.device, len(frames.numbers), self._batcher.max_batch, str(error).splitlines()[0],
        )  # fmt: skip

    def _count_looks(self, frames: FrameBatch) -> None:
        """Which of these pictures the network saw."""
        for row in () if self._measure.network is None else self._measure.network.looked:
            stream = self._streams[frames.numbers[row]]
            stream.coverage.network(frames.surfaces[row].pts)
            stream.reader.counters.frames_seen_by_network += 1

    def _on_device(self, batch: FrameBatch) -> FrameBatch:
        """The batch with the software decoder's pictures uploaded, where the kernels run on a GPU."""
        if self._uploader is None or all(surface.device != "cpu" for surface in batch.surfaces):
            return batch
        surfaces = [self._uploader.upload(s) if s.device == "cpu" else s for s in batch.surfaces]
        return self._batcher.assemble(list(zip(batch.numbers, surfaces, strict=True)), self._pixel_black_th)

    def _judge_ticks(self) -> None:
        while True:
            taken = [(s, tick) for s in self._streams.values() if (tick := s.reader.ticks.take()) is not None]
            if not taken:
                return
            for stream, tick in taken:
                if tick.decode_errors > 0:
                    stream.coverage.errors(tick.start, int(tick.decode_errors))
                for column, cause in tick.causes.items():
                    stream.causes.setdefault(column, deque(maxlen=CAUSES)).append((tick.start, cause))
            self._emit(self._measure.ticks([(stream.slot, tick) for stream, tick in taken]), None)

    def _judge_silence(self) -> None:
        """Live sources that give nothing: their time goes on by the clock."""
        silent: list[tuple[int, StreamTick]] = []
        now = time.monotonic()
        away, self._looked_at = now - self._looked_at, now
        for stream in self._streams.values():
            reader = stream.reader
            if away > AWAY_SECONDS:
                reader.progress.excuse(away)
            tick = reader.progress.stall_tick()
            if tick is not None:
                silent.append((stream.slot, tick))
            if (tick is not None or reader.gap.is_set()) and not (len(reader.video) or len(reader.audio)):
                self._settle(0)
                reader.gap.clear()  # first: what the reader says from here on counts for the next pass
                self._interrupt(stream.slot, ("video", "audio"))
                if reader.anew:
                    self._forget_measures(stream)
        if silent:
            self._emit(self._measure.ticks(silent), None)
        for slot, _ in silent:
            stream = self._streams[slot]
            for incident in stream.book.open():
                # While it lasts more becomes known: first nothing comes, then the server refuses.
                if incident.detector == "stream.stall" and incident.cause != stream.reader.progress.cause:
                    incident.cause = stream.reader.progress.cause
                    self._publish(stream, incident, "updated")

    def _interrupt(self, slot: int, tracks: Sequence[str]) -> None:
        """What lasts does not last through a hole."""
        self._judge.interrupt(slot, tracks)
        if self._shadows is not None:
            self._shadows.interrupt(slot, tracks)

    def _judge_sync(self) -> None:
        """What was found of lip sync since the last pass."""
        if self._looked_at - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = self._looked_at
            self.comparing.forget()
        for stream in self._streams.values():
            if stream.ended:
                self.comparing.ended(stream.spec.id)
        for stream in self._streams.values():
            if stream.sync is not None:
                self._emit_sync(stream, stream.sync.rows(stream.parameters.get("av.sync"), stream.judged_until()))


def check(
    streams: Sequence[StreamSpec],
    settings: EngineSettings,
    listener: Listener | None = None,
    started: Callable[[Engine], None] | None = None,
    evidence: Sink | None = None,
) -> list[Outcome]:
    """Judge inputs together in one engine until each has ended.

    Args:
        streams: with different ids.
        settings: how.
        listener: who is told on the way.
        started: given the engine before it runs, so that a signal handler can stop it.
        evidence: who is handed the evidence of incidents.
    Returns: one outcome per stream, in the order given.
    Raises: ConfigError for wrong detectors or parameters, DeviceError if the device is not there.
    """
    engine = Engine(settings, listener, slots=max(1, len(streams)), evidence=evidence)
    engine.expect_references(streams)
    try:
        for spec in streams:
            engine.add(spec)
        if started is not None:
            started(engine)
    except BaseException:
        engine.stop()  # `run` then ends the readers that were started already
        raise
    finally:
        with told_where_slow(engine.waits_for_kernels):
            engine.run()
    return [engine.outcomes[spec.id] for spec in streams]
