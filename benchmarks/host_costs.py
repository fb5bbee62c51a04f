"""What a stream's reader thread spends in Python per picture on NVDEC: all of it with Python's lock held.

NVDEC itself is left out: its calls wait without the lock. Needs no GPU.
"""

import time
from typing import Any, Final

from benchmarks.gpu_decode import Clip
from benchmarks.harness import quantiles
from engine.decode.nvdec import NvdecDecoder
from engine.media import Surface
from engine.queues import Bell, BoundedQueue

_PICTURES: Final = 600
_RUNS: Final = 5


class _Picture:
    address = 1 << 20

    def release(self) -> None:
        """Nothing is there."""


class _NoDecoder:
    """Takes the place of a DecoderPool, and gives a picture for every packet at once."""

    device = "cuda:0"

    def take(self, fmt: object) -> object:
        """A session."""
        return self

    def give_back(self, session: object, *, usable: bool) -> None:
        """It is kept."""

    def decode(self, session: object, data: bytes, serial: int) -> list[tuple[object, int, bool]]:
        """A picture."""
        return [(None, serial, False)] if data else []

    def copy(self, frames: list[object]) -> list[_Picture]:
        """Where it lies."""
        return [_Picture() for _ in frames]


def reader_costs(clip: Clip, pictures: int = _PICTURES, runs: int = _RUNS) -> dict[str, Any]:
    """Microseconds of one thread per picture: from a packet to its surface in the queue of the loop, and out again.

    Args:
        clip: what is read, again and again.
        pictures: per run.
        runs: of which the quantiles are.
    """
    decoder = NvdecDecoder(clip.info, "s", _NoDecoder())  # type: ignore[arg-type]
    queue: BoundedQueue[Surface] = BoundedQueue(4, Bell())
    found = []
    for run in range(runs + 1):
        began = time.thread_time()
        for number in range(pictures):
            for surface in decoder.decode(clip.packet(run * pictures + number)):
                queue.put(surface, lambda: False)
                queue.take()
        if run:
            found.append(1e6 * (time.thread_time() - began) / pictures)
    return {
        "us_per_picture": quantiles(found),
        "bytes_per_packet": round(sum(len(p.payload) for p in clip.packets) / len(clip.packets)),
    }
