"""Surfaces and sound blocks of many streams -> FrameBatch, AudioBatch.

At most one picture and one block per slot, bounded in count and in time: one slow stream never holds the batch, and a
stream that was passed over is first in line for the next one.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.media import AudioBatch, AudioBlock, FrameBatch, Surface
from engine.queues import Bell, BoundedQueue

SAMPLE_RATE = 48000
BLOCK_SAMPLES = 4800
MAX_CHANNELS = 8


def black_level(surface: Surface, pixel_black_th: float) -> int:
    """The code value up to which a luma sample counts as black, in the depth of the surface.

    Source: FFmpeg's blackdetect: the threshold is a share of the nominal range, above black; inclusive.
    """
    scale = 1 << (surface.bit_depth - 8)
    if surface.full_range:
        return int(pixel_black_th * ((1 << surface.bit_depth) - 1))
    return int(16 * scale + pixel_black_th * (235 - 16) * scale)


def _integers(values: Iterable[int]) -> Tensor:
    # By way of numpy: torch takes several times as long to make small tensors.
    return torch.from_numpy(np.array(list(values), np.int64))


def _numbers(values: Iterable[float]) -> Tensor:
    return torch.from_numpy(np.array(list(values), np.float64))


def _most_channels(blocks: Sequence[AudioBlock]) -> int:
    most: int = max(block.samples.shape[0] for block in blocks)
    return most


def _put_samples(blocks: Sequence[AudioBlock], into: npt.NDArray[np.float32]) -> None:
    """What lies beyond a block's own channels is not read, so it is not cleared."""
    for row, block in enumerate(blocks):
        into[row, : block.samples.shape[0]] = block.samples


class Batcher:
    """Collects what is ready.

    Args:
        device: where the kernels run; on a GPU the frame rows are pinned, so that their upload is asynchronous.
        max_batch: most pictures, and most blocks, in one batch.
        max_wait_seconds: how long a picture that was decoded waits for other streams' pictures. 0 takes what is there.
    """

    def __init__(self, device: torch.device, max_batch: int, max_wait_seconds: float) -> None:
        self._device = device
        self.max_batch = max_batch
        """Most pictures, and most blocks, in one batch."""
        self._max_wait_seconds = max_wait_seconds
        self._next_slot = 0
        self._waited_until = -math.inf

    def wait_until_ready(
        self,
        bell: Bell,
        video: Mapping[int, BoundedQueue[Surface]],
        others: Sequence[BoundedQueue[AudioBlock]],
        timeout_seconds: float,
    ) -> None:
        """Wait until every live stream has a picture, or one has had one for `max_wait_seconds`; or for another ring.

        Sound waits as long, from when the last wait was over. Whoever comes meanwhile wakes nobody.

        Args:
            bell: of all these queues.
            video: queue of pictures per slot.
            others: queues of sound.
            timeout_seconds: longest wait if nothing comes at all.
        """
        rung = False
        while True:
            rings, now = bell.rings, time.monotonic()
            live = [queue for queue in video.values() if not queue.ended]
            heads = [head for queue in live if (head := queue.head()) is not None]
            if heads or any(len(queue) for queue in others):
                missing = min(len(live), self.max_batch) - len(heads)
                if not live:
                    missing = sum(1 for queue in others if not len(queue))
                since = min((head.decoded_at for head in heads), default=self._waited_until)
                left = since + self._max_wait_seconds - now
                if missing <= 0 or left <= 0:
                    break
                bell.wait(rings, left, missing)
            elif rung or not bell.wait(rings, timeout_seconds):
                break  # after a ring with neither there is something else to do
            else:
                rung = True
        self._waited_until = time.monotonic()

    def frames(
        self, video: Mapping[int, BoundedQueue[Surface]], pixel_black_th: Mapping[int, float]
    ) -> FrameBatch | None:
        """The next picture of each slot that has one, at most `max_batch`; None if there is none.

        Args:
            video: queue of pictures per slot.
            pixel_black_th: per slot, the share of the nominal luma range that counts as black.
        """
        taken: list[tuple[int, Surface]] = []
        for slot in self._in_turn(video):
            surface = video[slot].take()
            if surface is not None:
                taken.append((slot, surface))
                if len(taken) == self.max_batch:
                    self._next_slot = slot + 1
                    break
        return self.assemble(taken, pixel_black_th) if taken else None

    def halve(self, count: int) -> bool:
        """Make batches half of `count` pictures at most; False where that is none."""
        self.max_batch = min(self.max_batch, count // 2) if count > 1 else self.max_batch
        return count > 1

    def assemble(self, taken: Sequence[tuple[int, Surface]], pixel_black_th: Mapping[int, float]) -> FrameBatch:
        """A batch of exactly these pictures, each with its slot (all different)."""
        rows = [
            (
                *surface.addresses,
                surface.luma_pitch,
                surface.chroma_pitch,
                surface.chroma_step,
                surface.width,
                surface.height,
                surface.chroma_width,
                surface.chroma_height,
                surface.bit_depth,
                surface.shift,
                black_level(surface, pixel_black_th[slot]),
            )
            for slot, surface in taken
        ]
        frames = torch.from_numpy(np.array(rows, np.int64))
        numbers = tuple(slot for slot, _ in taken)
        return FrameBatch(
            slots=_integers(numbers),
            pts=_numbers(surface.pts for _, surface in taken),
            frames=frames.pin_memory() if self._device.type == "cuda" else frames,
            surfaces=tuple(surface for _, surface in taken),
            numbers=numbers,
        )

    def sound(self, audio: Mapping[int, BoundedQueue[AudioBlock]]) -> AudioBatch | None:
        """The next block of each slot that has one, at most `max_batch`; None if there is none."""
        taken: list[tuple[int, AudioBlock]] = []
        for slot in self._in_turn(audio):
            block = audio[slot].take()
            if block is not None:
                taken.append((slot, block))
                if len(taken) == self.max_batch:
                    break
        if not taken:
            return None
        n = len(taken)
        blocks = [block for _, block in taken]
        if n == 1:
            samples = blocks[0].samples[None]
        else:
            samples = np.empty((n, _most_channels(blocks), BLOCK_SAMPLES), dtype=np.float32)
            _put_samples(blocks, samples)
        weights = np.zeros((n, MAX_CHANNELS))
        for row, block in enumerate(blocks):
            weights[row, : len(block.weights)] = block.weights
        # Tables of few numbers: numpy makes one in a tenth of the time that torch takes for each of their rows.
        whole = np.array([(slot, block.samples.shape[0], block.valid) for slot, block in taken], dtype=np.int64)
        real = np.array([(block.pts, block.valid / SAMPLE_RATE, block.clip_level) for block in blocks])
        slots, channels, valid = (torch.from_numpy(column) for column in np.ascontiguousarray(whole.T))
        pts, seconds, clip_level = (torch.from_numpy(column) for column in np.ascontiguousarray(real.T))
        return AudioBatch(
            slots=slots,
            pts=pts,
            seconds=seconds,
            samples=torch.from_numpy(samples),
            channels=channels,
            valid=valid,
            weights=torch.from_numpy(weights),
            clip_level=clip_level,
        )

    def _in_turn(self, queues: Mapping[int, object]) -> list[int]:
        """Slots in the order of their turn: those that the last full batch did not reach come first."""
        if len(queues) == 1:
            return list(queues)
        slots = sorted(queues)
        return [slot for slot in slots if slot >= self._next_slot] + [slot for slot in slots if slot < self._next_slot]
