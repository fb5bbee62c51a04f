"""What each detector costs on one core: the time of its measures and of judging them, with no other detector enabled.

Pictures without a detector are measured all the same by `frame_stats`, for the picture that the next one is compared
with, and sound for the loudness of the summary: that is what every stream pays. A detector's cost is what comes on top.
Detectors that need the same kernel each show the whole of it; together they pay for it once, so the costs do not add
up to that of all. Media go by as in a stream in which nothing happens; decoding takes no part.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.harness import quantiles
from engine.batch import BLOCK_SAMPLES, Batcher
from engine.detectors import Detector, all_detectors, resolve
from engine.judge import Judge
from engine.measure import Measure
from engine.media import AudioBlock, Surface
from engine.queues import Bell, BoundedQueue
from models.synthesis.picture import Picture

RATE = 25
BLOCKS_PER_SECOND = 10
BLACK = 0.1
CPU = torch.device("cpu")


def as_surface(picture: Picture) -> Surface:
    """An 8-bit 4:2:0 picture, where it lies."""
    y, u, v = picture
    return Surface(
        stream="made", pts=0.0, duration=1 / RATE, addresses=(y.ctypes.data, u.ctypes.data, v.ctypes.data),
        luma_pitch=y.strides[0], chroma_pitch=u.strides[0], chroma_step=1, width=y.shape[1], height=y.shape[0],
        chroma_width=u.shape[1], chroma_height=u.shape[0], bit_depth=8, shift=0, full_range=False, matrix=1,
        interlaced=False, corrupt=False, device="cpu", owner=picture,
    )  # fmt: skip


class Stream:
    """One stream with some detectors, fed a second of media at a time.

    Args:
        detectors: enabled.
        surfaces: shown in turn, for as long as it runs.
    """

    def __init__(self, detectors: Sequence[Detector], surfaces: Sequence[Surface]) -> None:
        _, parameters = resolve({declared.name: {} for declared in detectors})
        self._measure, self._judge = Measure(CPU, 1), Judge(all_detectors(), CPU, 1)
        self._measure.open_slot(0, parameters, {declared.column for declared in detectors})
        self._judge.open_slot(0, {d.name: d.rule(parameters[d.name]) for d in detectors})
        self._batcher, self._surfaces = Batcher(CPU, 1, 0.0), surfaces
        self._queue: BoundedQueue[AudioBlock] = BoundedQueue(1, Bell())
        rng = np.random.default_rng(1)
        self._samples = (0.1 * rng.standard_normal((2, BLOCK_SAMPLES))).astype(np.float32)
        self._shown = self._heard = 0

    def see(self) -> float:
        """A second of pictures; CPU seconds of this thread."""
        batches = []
        for _ in range(RATE):
            surface = self._surfaces[self._shown % len(self._surfaces)]
            batches.append(self._batcher.assemble([(0, replace(surface, pts=self._shown / RATE))], {0: BLACK}))
            self._shown += 1
        began = time.thread_time()
        for batch in batches:
            self._judge.submit(self._measure.frames(batch)).transitions()
        return time.thread_time() - began

    def hear(self) -> float:
        """A second of stereo sound; CPU seconds of this thread."""
        batches = []
        for _ in range(BLOCKS_PER_SECOND):
            at = self._heard / BLOCKS_PER_SECOND
            self._queue.put(AudioBlock("made", at, self._samples, BLOCK_SAMPLES, (1.0, 1.0), 1.0), lambda: False)
            batches.append(self._batcher.sound({0: self._queue}))
            self._heard += 1
        began = time.thread_time()
        for batch in batches:
            assert batch is not None
            self._judge.submit(self._measure.sound(batch)).transitions()
        return time.thread_time() - began


def detector_costs(pictures: Sequence[Picture], turns: int) -> dict[str, Any]:
    """Milliseconds of CPU per picture, and per second of sound, on top of a stream without detectors.

    Args:
        pictures: of one size, shown in turn.
        turns: media seconds of each stream, taken turn by turn; detectors of the transport cost no kernel and are left
            out.
    """
    surfaces = [as_surface(picture) for picture in pictures]
    declared = all_detectors()
    figures: dict[str, Any] = {}
    for track, unit in (("video", "ms_per_picture"), ("audio", "ms_per_second_of_sound")):
        own = [detector for detector in declared if detector.track == track]
        streams = {"every stream": Stream([], surfaces), "all detectors": Stream(own, surfaces)}
        streams |= {detector.name: Stream([detector], surfaces) for detector in own}
        taken = _in_turn(streams, track, turns)
        base = np.array(taken["every stream"])
        figures[track] = {"unit": unit, "every stream": quantiles(list(base))}
        figures[track] |= {
            name: quantiles(list(np.array(found) - base)) for name, found in taken.items() if name != "every stream"
        }
    return figures


def _in_turn(streams: Mapping[str, Stream], track: str, turns: int) -> dict[str, list[float]]:
    """Milliseconds per picture, or per second of sound, of each turn but the first, which compiles and fills."""
    found: dict[str, list[float]] = {name: [] for name in streams}
    for turn in range(turns + 1):
        for name, stream in streams.items():
            spent = 1000 * stream.see() / RATE if track == "video" else 1000 * stream.hear()
            if turn:
                found[name].append(spent)
    return found
