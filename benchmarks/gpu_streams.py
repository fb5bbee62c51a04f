"""Live streams on a GPU: how many keep up at their own rate, how late their verdicts are, what one of them takes of
memory, and what a damaged or silent one costs the others.

Run by: one thread per stream, which decodes a picture when its time has come (or as fast as it may); the calling thread
takes, measures and judges.
"""

import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.elementary_clip import Clip
from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import BATCH_WINDOW_SECONDS, JudgedPath
from benchmarks.progress import Progress
from engine.decode.driver import wait_by_blocking
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import DecoderPool
from engine.errors import AvjuryError
from engine.media import Packet, Surface
from engine.queues import Bell, BoundedQueue, QueueClosed

_IN_FLIGHT = 4
_JOIN_SECONDS = 30.0
# A stream keeps up if of the pictures that were due so many were judged.
_KEEPS_UP = 0.995


class PacedStreams:
    """N streams that decode at their own rate, spread evenly over the time of one picture.

    Args:
        pool: of the device.
        clip: what each decodes in a loop.
        count: streams.
        silent: of them, those that give nothing after their first picture.
        damaged: of them, those whose packets have a byte in sixteen inverted.
        rate: pictures per second of each; None decodes as fast as its queue takes them.
    """

    def __init__(
        self, pool: DecoderPool, clip: Clip, count: int, *, silent: int = 0, damaged: int = 0, rate: float | None
    ) -> None:
        self.bell = Bell()
        self.queues: dict[int, BoundedQueue[Surface]] = {i: BoundedQueue(_IN_FLIGHT, self.bell) for i in range(count)}
        self.arrived: list[deque[tuple[float, float]]] = [deque(maxlen=256) for _ in range(count)]  # pts, wall time
        self.late = [0] * count
        """Pictures that were due, and whose time passed before the one before them was taken."""
        self.errors: list[str] = []
        self._pool, self._clip, self._rate = pool, clip, rate
        self._silent, self._damaged = range(silent), range(silent, silent + damaged)
        self._stop = threading.Event()
        self._ready = threading.Barrier(count + 1)
        self._began = 0.0
        self._threads = [threading.Thread(target=self._run, args=(i,), name=f"paced {i}") for i in range(count)]
        for thread in self._threads:
            thread.start()
        try:
            self._ready.wait(120)
        except threading.BrokenBarrierError:
            self.stop()
            raise RuntimeError(f"not every stream opened: {self.errors[:2]}") from None

    def _run(self, index: int) -> None:
        decoder = NvdecDecoder(self._clip.info, f"s{index}", self._pool)
        number, pictures, waiting = 0, 0, True
        try:
            while not self._stop.is_set():
                packet = self._clip.packet(number)
                if index in self._damaged and number >= len(self._clip.packets):
                    packet = _damaged(packet)
                if not waiting:
                    if index in self._silent:
                        self._stop.wait(0.1)
                        continue
                    if self._rate is not None:
                        self._wait_for(index, number)
                came = time.perf_counter()
                surfaces = decoder.decode(packet)
                number += 1
                if waiting and surfaces:
                    self._ready.wait(120)
                    waiting = False
                    self._began = time.perf_counter() - number / (self._rate or 1.0)
                for surface in surfaces:
                    pts = pictures / self._clip.rate
                    pictures += 1
                    self.arrived[index].append((pts, came))
                    shown = replace(surface, pts=pts, duration=1 / self._clip.rate)
                    self.queues[index].put(shown, self._stop.is_set, deadline_seconds=60)
        except (QueueClosed, threading.BrokenBarrierError):
            pass  # stopped
        except AvjuryError as error:
            self.errors.append(error.line())
            self._ready.abort()
        finally:
            decoder.close()

    def _wait_for(self, index: int, number: int) -> None:
        assert self._rate is not None
        due = self._began + (number + index / len(self._threads)) / self._rate
        left = due - time.perf_counter()
        if left > 0:
            self._stop.wait(left)
        elif left < -1 / self._rate:
            self.late[index] += 1

    def stop(self) -> None:
        """End every stream, and give back what waits.

        Raises: RuntimeError if one does not end.
        """
        self._stop.set()
        self._ready.abort()
        for queue in self.queues.values():
            for surface in queue.discard():
                surface.release()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise RuntimeError("a decode thread does not end")


def _damaged(packet: Packet) -> Packet:
    data = bytearray(packet.payload)
    for at in range(32, len(data), 16):
        data[at] ^= 0xFF
    return replace(packet, payload=bytes(data))


def judge_paced(device: torch.device, streams: PacedStreams, count: int, seconds: float) -> dict[str, Any]:
    """Judge what the streams give for so long, after as long to warm up (kernels are compiled, launches recorded).

    Returns: pictures judged per second by stream, and the time from a packet to its verdict.
    """
    path = JudgedPath(device, count)
    judged: list[int] = [0] * count
    latencies: list[float] = []
    measuring = False

    def told(slot: int, pts: float) -> None:
        arrived = streams.arrived[slot]
        while arrived and arrived[0][0] < pts - 1e-6:
            arrived.popleft()
        if measuring:
            judged[slot] += 1
            if arrived and abs(arrived[0][0] - pts) < 1e-6:
                latencies.append(time.perf_counter() - arrived[0][1])

    path.on_verdict = told
    began = time.perf_counter()
    cpu = 0.0
    while True:
        now = time.perf_counter()
        if not measuring and now - began > max(seconds, 2.0):
            measuring, began, cpu = True, now, time.process_time()
        elif measuring and now - began > seconds:
            break
        if streams.errors:
            raise RuntimeError(streams.errors[0])
        path.batcher.wait_until_ready(streams.bell, streams.queues, [], 0.25)
        batch = path.batcher.frames(streams.queues, path.black)
        if batch is not None:
            path.frames(batch)
        else:
            path.settle(0)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    path.settle(0)
    ordered = sorted(latencies)
    return {
        "frames_per_second": round(sum(judged) / took, 1),
        "by_stream": [count / took for count in judged],
        "latency_ms": {
            f"p{share}": round(1e3 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 2)
            for share in (50, 99)
        }
        if ordered
        else None,
        "cpu_cores": round(cpu / took, 3),
    }


def run_streams(device: torch.device, clip_path: Path, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """All of it; each part says what went wrong in it, and the others stand."""
    if device.type != "cuda":
        return {"skipped": "NVDEC needs a GPU"}
    # Before torch makes the context: a decode thread per stream that spins would take every core.
    note = wait_by_blocking(device.index or 0)
    clip, pool = Clip(clip_path), DecoderPool(device.index or 0, max_idle=512)
    seconds, counts, few = (0.5, (2,), 2) if quick else (3.0, (64, 96, 128, 160, 192), 32)
    progress.found |= {
        "clip": clip_path.name,
        "rate": clip.rate,
        "waiting_threads": f"spin: {note}" if note else "block",
        # Of the last of a hundred: two pictures and the time that a batch waits for more.
        "latency_goal_ms": round(1e3 * (2 / clip.rate + BATCH_WINDOW_SECONDS), 1),
    }
    rows: list[dict[str, Any]] = []
    with on_a_side_stream(device):
        try:
            progress.add("memory", _memory(device, pool, clip, few))
            if progress.has_time_for("beside_a_damaged_and_a_silent_one", 5 * seconds + 4):
                found = _beside(device, pool, clip, few, seconds)
                progress.add("beside_a_damaged_and_a_silent_one", found)
            for count in counts:
                if not progress.has_time_for(f"{count} streams", 2 * seconds + 6):
                    break
                rows.append(_paced(device, pool, clip, count, seconds))
                progress.add("in_real_time", rows)
                if rows[-1]["keeping_up"] < count:
                    break  # more will not keep up either
            most = max((row["streams"] for row in rows if row["keeping_up"] == row["streams"]), default=0)
            load = max(1, most * 9 // 10)
            if most and progress.has_time_for("at nine tenths", 2 * seconds + 3):
                progress.add("at_nine_tenths_of_the_most", _paced(device, pool, clip, load, seconds))
        except RuntimeError as error:
            progress.found["error"] = str(error)[:400]
        finally:
            pool.close()
    return progress.found


def _paced(device: torch.device, pool: DecoderPool, clip: Clip, count: int, seconds: float) -> dict[str, Any]:
    streams = PacedStreams(pool, clip, count, rate=clip.rate)
    try:
        figures = judge_paced(device, streams, count, seconds)
    finally:
        streams.stop()
    rates = figures.pop("by_stream")
    kept = sum(rate >= _KEEPS_UP * clip.rate for rate in rates)
    return {"streams": count, "keeping_up": kept, "late_pictures": sum(streams.late), **figures}


def _memory(device: torch.device, pool: DecoderPool, clip: Clip, count: int) -> dict[str, Any]:
    """Bytes of device memory per stream: its session, its surfaces in flight, its reference, its state."""
    before = torch.cuda.mem_get_info(device)[0]
    streams = PacedStreams(pool, clip, count, rate=clip.rate)
    try:
        judge_paced(device, streams, count, 1.0)
        after = torch.cuda.mem_get_info(device)[0]
    finally:
        streams.stop()
    return {"streams": count, "bytes_per_stream": (before - after) // count}


def _beside(device: torch.device, pool: DecoderPool, clip: Clip, count: int, seconds: float) -> dict[str, Any]:
    """The healthy streams' pictures per second at their pace, without and with a silent and a damaged one beside."""
    rates = []
    for bad in (0, 1):
        streams = PacedStreams(pool, clip, count + 2, silent=bad, damaged=bad, rate=clip.rate)
        try:
            rates.append(sum(judge_paced(device, streams, count + 2, seconds)["by_stream"][2:]))
        finally:
            streams.stop()
    return {
        "healthy": count,
        "frames_per_second": [round(rate, 1) for rate in rates],
        "with_over_without": round(rates[1] / rates[0], 4) if rates[0] else None,
    }
