"""The streams of an engine, each in its slot: how they come and go.

Run by: the engine's loop, whose part this is (engine/pipeline.py). Each stream's reader is a thread of its own, which
is started when the stream moves in, and has ended when it has moved out.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch

from engine.coverage import Coverage
from engine.decode.choose import DecoderChooser
from engine.detectors import Detector, Rule, detector, resolve
from engine.emitter import Emitter
from engine.errors import DeviceError
from engine.evidence.series import Watched
from engine.evidence.worker import Sink
from engine.flash_beep import FlashBeep
from engine.handling import Handling
from engine.incidents import IncidentBook
from engine.ingest.backoff import OpenPace
from engine.ingest.base import MediaSource
from engine.ingest.source import Source
from engine.judged_stream import JudgedStream
from engine.lip_sync import LipSync, SyncRow
from engine.listener import Listener
from engine.media import AudioBlock, StreamTick, Surface
from engine.network_sync import NetworkSync
from engine.outcome import Outcome, Trace
from engine.progress import STALL_SECONDS
from engine.queues import Bell, BoundedQueue
from engine.reader import StreamReader
from engine.shadow_judge import ShadowJudge
from engine.sound_onsets import SoundOnsets
from engine.spec import EngineSettings, StreamSpec
from engine.speech import Speech
from engine.turns import Turn
from engine.verdicts import ClosedBy, Loudness
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.siti import COLUMNS as INFORMATION_COLUMNS

JOIN_SECONDS: Final = 20.0
# Causes kept per measure until its detector opens; on a GPU verdicts come a few rows later than the rows.
CAUSES: Final = 64


class Slots(Emitter):
    """Takes streams in, and lets them go.

    Args:
        settings, listener, slots, evidence: as `Emitter` takes them.
    """

    def __init__(self, settings: EngineSettings, listener: Listener | None, slots: int, evidence: Sink | None) -> None:
        super().__init__(settings, listener, slots, evidence)
        self._slots = slots
        self._free = list(range(slots - 1, -1, -1))
        self._decoders = DecoderChooser(self.device, settings.decode_threads)
        self._bell = Bell()
        self._open_pace = OpenPace()
        # What every pass of the loop needs of the streams, by slot.
        self._video: dict[int, BoundedQueue[Surface]] = {}
        self._audio: dict[int, BoundedQueue[AudioBlock]] = {}
        self._pixel_black_th: dict[int, float] = {}
        self._waiting: set[int] = set()  # slots of streams that have ended, and whose references go on

    def add(self, spec: StreamSpec) -> None:
        """Take a stream in and start to read it.

        Raises: ConfigError if its detectors or parameters are wrong; DeviceError if every slot is taken.
        """
        if not self._free:
            raise DeviceError(
                "capacity exceeded",
                stream=spec.id,
                why=f"all {len(self._streams)} slots of this engine are taken",
                remedy="start another engine, or remove a stream",
            )
        detectors, parameters = resolve(spec.detectors)
        rules = {d.name: d.rule(parameters[d.name]) for d in detectors}
        slot = self._free.pop()
        recorder = None
        if self._recorder is not None:
            recorder = self._recorder.open(slot, spec.id, {d.name: watched(d, rules[d.name]) for d in detectors})
        reader = StreamReader(
            spec.id,
            self._source_of(spec),
            self._decoders.open,
            self._bell,
            realtime=self.settings.realtime,
            parameters=parameters,
            reconnect=self.settings.reconnect,
            stall_seconds=parameters.get("stream.stall", {}).get("duration", STALL_SECONDS),
            pace=self._open_pace,
            recorder=recorder,
            handling=self._handling_of(spec),
            turn=self._turn_of(spec),
            together=self.device.type == "cpu",  # a GPU has other streams' pictures to wait for, and few surfaces
        )
        stream = JudgedStream(
            spec=spec,
            slot=slot,
            reader=reader,
            detectors=detectors,
            parameters=parameters,
            outcome=Outcome(spec.id, thresholds={name: rule.enter for name, rule in rules.items()}),
            book=IncidentBook(spec.id),
            coverage=Coverage(
                spec.id,
                tuple(d.name for d in detectors if d.track == "video"),
                tuple(d.name for d in detectors if d.track == "audio"),
            ),
            began=time.monotonic(),
        )
        self._measure.open_slot(slot, parameters, self._columns_of(stream))
        self._judge.open_slot(slot, rules)
        if self._levels is not None:
            self._levels.open_slot(slot)
        self._try_beside(stream)
        self.counters.streams[spec.id] = reader.counters
        self._streams[slot] = stream
        self._video[slot], self._audio[slot] = reader.video, reader.audio
        self._pixel_black_th[slot] = parameters.get("video.black", {}).get("pixel_black_th", 0.1)
        self.comparing.enter(spec.id, slot, reader)
        self._watch_sync(stream)
        reader.start()

    def expect_references(self, streams: Sequence[StreamSpec]) -> None:
        """These will be added: what they name as their reference is kept from its first picture on."""
        self.comparing.expect({spec.reference for spec in streams if spec.reference is not None})

    def _watch_sync(self, stream: JudgedStream) -> None:
        """Look for what the stream's lip sync is judged by, as its detectors and its reference want it."""
        spec, parameters, before = stream.spec, stream.parameters, stream.sync
        pattern = None
        if "av.sync" in parameters:
            pattern = before.pattern if before is not None else None
            if pattern is None:
                stream.reader.onsets = SoundOnsets()
                pattern = FlashBeep(stream.reader.onsets)
        else:
            stream.reader.onsets = None
        compares = not parameters.keys().isdisjoint(("av.sync", "av.reference_mismatch"))
        reference = self.comparing.compare(spec.id, spec.reference if compares else None)
        network = self._listen_for_lips(stream, "av.sync" in parameters and reference is None)
        speech = self._hear_speech(stream, "av.sync" in parameters and (reference or network) is not None)
        if pattern is None and reference is None:
            stream.sync = None
        elif before is None or (before.pattern, before.reference, before.network, before.speech) != (
            pattern, reference, network, speech,
        ):  # fmt: skip
            stream.sync = LipSync(pattern, reference, spec.reference or "", network, speech)

    def _listen_for_lips(self, stream: JudgedStream, wanted: bool) -> NetworkSync | None:
        """What judges a stream's lip sync by the network, where it is used and nothing better is there."""
        if self._sync_network is None or not wanted:
            self._measure.fingerprints.keep_tiles(stream.slot, None)
            stream.reader.lips = None
            return None
        network = stream.sync.network if stream.sync is not None else None
        network = network or NetworkSync(self._sync_network, self.device)
        self._measure.fingerprints.keep_tiles(stream.slot, network.tiles)
        stream.reader.lips = network.print
        return network

    def _hear_speech(self, stream: JudgedStream, wanted: bool) -> Speech | None:
        """How much of a stream is speech, by which its offset is tolerated, where the audio network listens."""
        listening = self._measure.listening
        if listening is None:
            return None
        speech = None
        if wanted:
            speech = (stream.sync.speech if stream.sync is not None else None) or Speech()
        listening.keep(stream.slot, speech)
        return speech

    def _columns_of(self, stream: JudgedStream) -> set[str]:
        """The measures that are taken of a stream."""
        wanted = {d.column for d in stream.detectors}
        wanted |= {detector(name).column for name in stream.spec.shadow or ()}
        if self.settings.trace:
            wanted |= {*INFORMATION_COLUMNS, *EDGE_COLUMNS}  # no detector of ours judges them
        return wanted

    def _try_beside(self, stream: JudgedStream) -> None:
        """Begin to judge a stream by other rules beside its own, where there are some, and end it where not."""
        if self._shadows is None and stream.spec.shadow is None:
            return
        if self._shadows is None:
            self._shadows = ShadowJudge(self.device, self._slots)
        self._told_beside(self._shadows.close(stream.slot, stream.ends, "removed"))
        if stream.spec.shadow is not None:
            detectors, parameters = resolve(stream.spec.shadow)
            self._shadows.open(stream.slot, stream.spec.id, {d.name: d.rule(parameters[d.name]) for d in detectors})

    def tell_tiles(self, take: Callable[[torch.Tensor], None]) -> None:
        """Hand on what the network says of each tile that it looks at: (pictures, pieces, tiles, tiles), on the device.

        For measuring it; called from the loop, in the order of the rows.
        """
        if self._measure.network is not None:
            self._measure.network.told_tiles = lambda _, said: take(said)

    def tell_second_looks(self, take: Callable[[int, float, torch.Tensor], None]) -> None:
        """Hand on what the network says where blocks are torn a little: slot, media seconds, (pieces, tiles, tiles).

        Where nobody has measured from where on that counts, it is looked at all the same.
        """
        if self._measure.network is not None and self._measure.network.second is not None:
            self._measure.network.second.take = take

    def tell_maps(self, take: Callable[[Surface, torch.Tensor], None]) -> None:
        """Hand on each whole picture that the network looks at and its map, (rows, columns) logits, on the device.

        For measuring it; called from the loop.
        """
        if self._measure.network is not None:
            self._measure.network.tell_maps(take)

    def _source_of(self, spec: StreamSpec) -> MediaSource:
        """What a stream's packets come from."""
        return Source(spec.url, stream=spec.id, policy=spec.policy, rendition=spec.rendition)

    def _handling_of(self, spec: StreamSpec) -> Handling:
        """Where its reader marks that it is at work for the stream."""
        return Handling()

    def _turn_of(self, spec: StreamSpec) -> Turn:
        """When its reader is at work, among those of other streams."""
        return Turn()

    def _waits_for_reference(self, stream: JudgedStream) -> bool:
        """Whether more may be said of a stream that has ended, once its reference has gone on."""
        reference = stream.sync.reference if stream.sync is not None else None
        return reference is not None and reference.waits()

    def _forget_measures(self, stream: JudgedStream) -> None:
        """What was measured of the stream so far is not to be compared with what comes."""
        stream.reader.anew = False
        self._measure.open_slot(stream.slot, stream.parameters, self._columns_of(stream))

    def _finish(self, stream: JudgedStream, closed_by: ClosedBy) -> None:
        """A stream has ended, or is taken out: close what is open, sum up, free the slot."""
        reader = stream.reader
        reader.stop()
        self._settle(0)
        for queue in (reader.video, reader.audio, reader.ticks):
            for item in queue.discard():
                if queue is reader.video:
                    item.release()  # type: ignore[union-attr]  # the video queue holds surfaces
        self._judge_programme(stream, closed_by)
        if stream.sync is not None and closed_by == "end_of_stream":
            if reader.onsets is not None:
                reader.onsets.finish()
            limits = stream.parameters.get("av.sync")
            self._emit_sync(stream, stream.sync.rows(limits, stream.judged_until(), last=True))
            self._settle(0)
        for transition in self._judge.close_slot(stream.slot, stream.ends):
            incident, change = stream.book.apply(transition, closed_by=closed_by)
            self._publish(stream, incident, change, max(stream.ends.values()))  # a track may have ended long before
        if self._shadows is not None:
            self._told_beside(self._shadows.close(stream.slot, stream.ends, closed_by))
        reader.join(JOIN_SECONDS)
        if self._recorder is not None:
            self._recorder.close(stream.slot)
        for second in stream.coverage.rest(max(stream.ends.values())):
            self._give(stream, second)
        outcome = stream.outcome
        outcome.incidents = list(stream.book.all())
        outcome.info = reader.info
        outcome.error = stream.failure(closed_by)
        if outcome.error is None or outcome.error is reader.video.failure:  # else there is nothing to sum up
            loudness = Loudness(**self._measure.loudness(stream.slot)) if stream.audio_samples else None
            outcome.summary = stream.summary(str(self.device), loudness)
        for track, rows in stream.rows.items():
            outcome.trace[track] = Trace(
                columns=self._measure.columns(track),
                times=np.array([at for at, _, _ in rows]),
                values=np.array([values for _, _, values in rows]),
                until=np.array([until for _, until, _ in rows]),
            )
        self.comparing.leave(stream.spec.id)
        self._measure.close_slot(stream.slot)
        for table in (self._streams, self._video, self._audio, self._pixel_black_th):
            del table[stream.slot]
        self._waiting.discard(stream.slot)
        self._free.append(stream.slot)
        self.outcomes[stream.spec.id] = outcome
        self._listener.on_end(outcome)

    def _emit_sync(self, stream: JudgedStream, rows: Sequence[SyncRow]) -> None:
        for row in rows:
            tick = StreamTick(row.at, row.at, sync_error=row.sync_error, reference_mismatch=row.mismatch)
            if row.cause is not None:
                column = "reference_mismatch" if row.mismatch > 0 else "sync_error"
                stream.causes.setdefault(column, deque(maxlen=CAUSES)).append((row.at, row.cause))
            self._emit(self._measure.ticks([(stream.slot, tick)]), None)

    def _judge_programme(self, stream: JudgedStream, closed_by: ClosedBy) -> None:
        """What can be said of a programme once all of it was heard; live sources have no end."""
        info = stream.reader.info
        if info is None or info.live or closed_by != "end_of_stream":
            return
        row = self._measure.programme(stream.slot, stream.ends["audio"])
        if row is None:
            return
        for transition in self._judge.judge(row):
            incident, change = stream.book.apply(transition)
            self._publish(stream, incident, change)


def watched(declared: Detector, rule: Rule) -> Watched:
    """What shows a detector's defect, for its evidence."""
    return Watched(declared.track, declared.column, rule.enter, rule.exit, rule.below)
