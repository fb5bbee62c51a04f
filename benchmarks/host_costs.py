"""What a stream's reader thread spends in Python per picture on NVDEC: all of it with Python's lock held.

NVDEC and the driver themselves are left out, as their calls wait without the lock; what it takes Python to call them is
in it. Needs no GPU.
"""

import ctypes
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

import numba

from benchmarks.elementary_clip import Clip
from benchmarks.harness import quantiles
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import Calls, DecoderPool, Session
from engine.decode.sequence import SequenceFormat
from engine.media import Surface
from engine.queues import Bell, BoundedQueue

_PICTURES: Final = 600
_RUNS: Final = 5
# A broadcast's 1080p30: 8 Mbit/s.
_BYTES: Final = 33_000


@dataclass(slots=True, eq=False)
class _Frame:
    """What PyNvVideoCodec gives for a picture, as far as the pool asks."""

    shape: tuple[int, int]
    timestamp: int

    def framesize(self) -> int:
        return self.shape[0] * self.shape[1]

    def GetPtrToPlane(self, plane: int) -> int:
        return 1 << 21


class _Decoder:
    """Takes the place of a PyNvDecoder, and gives a picture for every packet at once."""

    def __init__(self, fmt: SequenceFormat) -> None:
        self._shape = (fmt.height * 3 // 2, fmt.width)

    def Decode(self, packet: Any) -> list[_Frame]:
        return [_Frame(self._shape, packet.pts)] if packet.bsl else []


class _CallsNothing(DecoderPool):
    """A pool whose driver does nothing when it is called: what is left is what calling it costs."""

    def __init__(self) -> None:
        @numba.cfunc(numba.types.int32())
        def succeed() -> int:
            return 0

        # It looks at none of its arguments, so it can be called with those of each.
        call = ctypes.CFUNCTYPE(ctypes.c_int)(succeed.address or 0)
        self._kept = succeed
        # What the pool's own makes with a driver.
        self.device = "cuda:0"
        self.module = SimpleNamespace(PacketData=SimpleNamespace)  # type: ignore[assignment]
        self._driver = SimpleNamespace(cuEventCreate=call)  # type: ignore[assignment]
        self._calls = Calls.at(*[succeed.address or 0] * len(Calls.TYPES))
        self._context, self.cuda_stream = ctypes.c_void_p(1), 1
        self._events, self._buffers = deque(), {}
        self._lock, self._held_buffers, self._closed = threading.RLock(), 0, False

    def take(self, fmt: SequenceFormat) -> Session:
        """A session that gives pictures of the sequence's size."""
        size = (fmt.width, fmt.height)
        return Session(_Decoder(fmt), fmt.codec, fmt.bit_depth, size, size)

    def give_back(self, session: Session, *, usable: bool) -> None:
        """It is dropped."""

    def _take_buffer(self, size: int) -> int:
        with self._lock:
            free = self._buffers.get(size)
            self._held_buffers += 1
            return free.pop() if free else 1 << 22


def reader_costs(clip: Clip, pictures: int = _PICTURES, runs: int = _RUNS) -> dict[str, Any]:
    """Microseconds of one thread per picture: from a packet to its surface in the queue of the loop, and out again.

    Args:
        clip: what is read, again and again.
        pictures: per run.
        runs: of which the quantiles are.
    """
    return {
        "us_per_picture": _measure(clip, pictures, runs, 0),
        "bytes_per_packet": round(sum(len(p.payload) for p in clip.packets) / len(clip.packets)),
        "us_per_picture_of_large_packets": _measure(clip, pictures, runs, _BYTES),
        "bytes_per_large_packet": _BYTES,
    }


def _measure(clip: Clip, pictures: int, runs: int, least: int) -> dict[str, float]:
    decoder = NvdecDecoder(clip.info, "s", _CallsNothing())
    queue: BoundedQueue[Surface] = BoundedQueue(4, Bell())
    packets = [replace(packet, payload=_of_size(packet.payload, least)) for packet in clip.packets]
    found = []
    for run in range(runs + 1):
        began = time.thread_time()
        for number in range(pictures):
            for surface in decoder.decode(packets[(run * pictures + number) % len(packets)]):
                queue.put(surface, lambda: False)
                taken = queue.take()
                assert taken is not None
                taken.release()
        if run:
            found.append(1e6 * (time.thread_time() - began) / pictures)
    return quantiles(found)


def _of_size(payload: bytes, least: int) -> bytes:
    """A packet whose last slice goes on for as long as it takes to have so many bytes."""
    return payload + bytes(range(16, 251)) * (max(0, least - len(payload)) // 235 + 1 if least else 0)
