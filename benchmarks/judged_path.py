"""What comes after decoding, as the engine runs it: the batcher, the measures, the judge, and what follows them."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.evidence.series import MeasureRing
from engine.judge import Judge
from engine.levels import Levels
from engine.measure import AUDIO_COLUMNS, VIDEO_COLUMNS, Asking, Measure
from engine.measure.graphs import record_on
from engine.measure.network import NetworkUse
from engine.media import AudioBlock, Follower, FrameBatch, StreamTick
from engine.queues import BoundedQueue

BATCH_WINDOW_SECONDS: Final = 0.005
"""The engine's own on a GPU."""


class JudgedPath:
    """What comes after decoding: batch, measure, judge; verdicts are read one batch later, as in the engine.

    Args:
        device: where.
        streams: number of them.
        graphs: launches are recorded and played back, on a GPU.
        network: how the artifact network is used; None leaves it out.
        chosen: detectors and their parameters, as `resolve` takes them.
    """

    def __init__(
        self,
        device: torch.device,
        streams: int,
        *,
        graphs: bool = True,
        network: NetworkUse | None = None,
        chosen: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        detectors, parameters = resolve(chosen)
        self.device = device
        self.batcher = Batcher(device, streams, BATCH_WINDOW_SECONDS)
        record = record_on(device) if graphs and device.type == "cuda" else None
        # What the engine keeps beside its verdicts; on the CPU that is no part of what is measured here.
        self.levels = Levels(streams, device)
        followers = dict[str, list[Follower]]()
        for track, columns in (("video", VIDEO_COLUMNS), ("audio", AUDIO_COLUMNS)) if device.type == "cuda" else ():
            series = MeasureRing(streams, device)
            series.bind(columns)
            followers[track] = [self.levels.follower(track, columns), series]
        self.measure = Measure(
            device, streams, record=record, network=network,
            followers=followers.get("video", ()), sound_followers=followers.get("audio", ()),
        )  # fmt: skip
        self.judge = Judge(DETECTORS, device, streams)
        self.black = {slot: parameters.get("video.black", {}).get("pixel_black_th", 0.1) for slot in range(streams)}
        self.frames_judged = 0
        self.on_verdict: Callable[[int, float], None] | None = None
        """Told the slot and media time of each picture, once it is judged."""
        self._in_flight: deque[tuple[Any, FrameBatch | None, Asking | None]] = deque()
        rules = {d.name: d.rule(parameters[d.name]) for d in detectors if d in DETECTORS}
        for slot in range(streams):
            self.measure.open_slot(slot, parameters, {d.column for d in detectors})
            self.judge.open_slot(slot, rules)

    def frames(self, batch: FrameBatch) -> None:
        """One batch of pictures."""
        pending = self.judge.submit(self.measure.frames(batch))
        self._in_flight.append((pending, batch, self.measure.asking()))
        self.settle(1)

    def sound(self, audio: dict[int, BoundedQueue[AudioBlock]]) -> None:
        """One batch of sound blocks."""
        batch = self.batcher.sound(audio)
        if batch is not None:
            measures = self.measure.sound(batch)
            self._in_flight.append((self.judge.submit(measures), None, None))
            self.settle(1)

    def ticks(self, rows: list[tuple[int, StreamTick]]) -> None:
        """One row per stream and second."""
        self._in_flight.append((self.judge.submit(self.measure.ticks(rows)), None, None))
        self.settle(1)

    def device_to_host_bytes(self) -> int:
        """Copied so far."""
        return self.judge.device_to_host_bytes + self.levels.device_to_host_bytes

    def settle(self, depth: int) -> None:
        """Read verdicts until at most `depth` batches are in flight."""
        while len(self._in_flight) > depth:
            pending, batch, asking = self._in_flight.popleft()
            pending.transitions()
            if asking is not None:
                asking(pending.asks())
            if batch is not None:
                self.frames_judged += len(batch.surfaces)
                for slot, surface in zip(batch.numbers, batch.surfaces, strict=True):
                    surface.release()
                    if self.on_verdict is not None:
                        self.on_verdict(slot, surface.pts)
