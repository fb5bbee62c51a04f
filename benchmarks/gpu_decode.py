"""NVDEC alone, and the whole way from packets to verdicts over it.

Run by: one thread per stream decodes in a loop over its clip until it is stopped; the calling thread takes, measures
and judges. Each thread ends within one picture of `stop`; an error in one is raised by the calling thread.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.elementary_clip import OTHER_CLIPS, Clip
from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import JudgedPath
from benchmarks.progress import Progress
from engine.decode.driver import wait_by_blocking
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import DecoderPool
from engine.errors import AvjuryError
from engine.media import Surface
from engine.queues import Bell, BoundedQueue, QueueClosed

_SURFACES_IN_FLIGHT: Final = 4
_JOIN_SECONDS: Final = 30.0


class _Sessions:
    """N streams that decode as fast as they may.

    Args:
        pool: of the device.
        clip: what each of them decodes.
        count: streams.
        take: what happens to each surface, in the stream's thread.
    """

    def __init__(self, pool: DecoderPool, clip: Clip, count: int, take: Callable[[int, Surface], None]) -> None:
        self.pictures = [0] * count
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._ready = threading.Barrier(count + 1)
        self._pool, self._clip, self._take = pool, clip, take
        self._threads = [threading.Thread(target=self._run, args=(i,), name=f"session {i}") for i in range(count)]
        for thread in self._threads:
            thread.start()
        try:
            self._ready.wait(120)  # every session open and past its first picture
        except threading.BrokenBarrierError:
            self.stop()
            raise RuntimeError(f"not every session opened: {self.errors[:2]}") from None

    def _run(self, index: int) -> None:
        decoder = NvdecDecoder(self._clip.info, f"s{index}", self._pool)
        number, waiting = 0, True
        try:
            while not self._stop.is_set():
                surfaces = decoder.decode(self._clip.packet(number))
                number += 1
                if waiting and surfaces:
                    self._ready.wait(120)
                    waiting = False
                for surface in surfaces:
                    pts = self.pictures[index] / self._clip.rate
                    self.pictures[index] += 1
                    self._take(index, replace(surface, pts=pts, duration=1 / self._clip.rate))
        except (QueueClosed, threading.BrokenBarrierError):
            pass  # stopped
        except AvjuryError as error:
            self.errors.append(error.line())
            self._ready.abort()
        finally:
            decoder.close()

    def stopped(self) -> bool:
        """For queues that a stream waits at."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End every stream.

        Raises: RuntimeError if one failed or does not end.
        """
        self._stop.set()
        self._ready.abort()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            raise RuntimeError("a decode thread does not end")


def decode_only(pool: DecoderPool, clip: Clip, sessions: int, seconds: float) -> dict[str, Any]:
    """Pictures per second of N sessions that release each surface at once."""
    running = _Sessions(pool, clip, sessions, lambda _, surface: surface.release())
    before, cpu, began = sum(running.pictures), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    pictures, cpu, took = sum(running.pictures) - before, time.process_time() - cpu, time.perf_counter() - began
    running.stop()
    if running.errors:
        raise RuntimeError(running.errors[0])
    return _rates(sessions, pictures, cpu, took)


def _rates(sessions: int, pictures: float, cpu: float, took: float) -> dict[str, Any]:
    return {
        "sessions": sessions,
        "frames_per_second": round(pictures / took, 1),
        "cpu_cores": round(cpu / took, 3),
        # Of the whole process, all threads; packets are there already.
        "host_cpu_us_per_frame": round(1e6 * cpu / pictures, 2) if pictures else None,
    }


def pipeline(pool: DecoderPool, clip: Clip, device: torch.device, sessions: int, seconds: float) -> dict[str, Any]:
    """Pictures judged per second of N sessions, all video detectors on."""
    bell = Bell()
    queues: dict[int, BoundedQueue[Surface]] = {i: BoundedQueue(_SURFACES_IN_FLIGHT, bell) for i in range(sessions)}
    path = JudgedPath(device, sessions)
    stopping = threading.Event()
    running = _Sessions(
        pool, clip, sessions, lambda index, surface: queues[index].put(surface, stopping.is_set, deadline_seconds=60)
    )
    try:
        judged = cpu = began = 0.0
        warm_until = time.perf_counter() + max(1.0, seconds / 2)  # kernels are compiled in the first batches
        end = None
        while end is None or time.perf_counter() < end:
            if running.errors:
                raise RuntimeError(running.errors[0])
            path.batcher.wait_until_ready(bell, queues, [], 0.25)
            batch = path.batcher.frames(queues, path.black)
            if batch is not None:
                path.frames(batch)
            else:
                path.settle(0)
            if end is None and time.perf_counter() > warm_until and path.frames_judged:
                judged, cpu, began = path.frames_judged, time.process_time(), time.perf_counter()
                end = began + seconds
        took = time.perf_counter() - began
        figures = _rates(sessions, path.frames_judged - judged, time.process_time() - cpu, took)
    finally:
        stopping.set()
        for queue in queues.values():
            for surface in queue.discard():
                surface.release()
        running.stop()
        path.settle(0)
    return figures


def run_decode(device: torch.device, clip_path: Path, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """Decode-only and the pipeline at several session counts, turn by turn, and their ratio."""
    if device.type != "cuda":
        return {"skipped": "NVDEC needs a GPU; what follows decoding is measured on made surfaces"}
    note = wait_by_blocking(device.index or 0)
    clip = Clip(clip_path)
    pool = DecoderPool(device.index or 0, max_idle=128)
    engines = next((c.engines for c in pool.caps.codecs if (c.codec, c.bit_depth) == (clip.info.codec, 8)), 0)
    # One, one per engine, and as many as fill them; the HEVC ones in between, as they are promised too.
    seconds, counts = (0.5, (2,)) if quick else (2.5, (1, max(engines, 2), 8 * max(engines, 2)))
    took = 2 * (2.5 * seconds + 1)
    progress.found |= {
        "clip": clip_path.name,
        "waiting_threads": f"spin: {note}" if note else "block",
        "damage_reports": pool.damage_problem or "seen",
        "engines": engines,
    }
    rows: list[dict[str, Any]] = []
    others: dict[str, Any] = {}
    with on_a_side_stream(device):
        for sessions in counts:
            if progress.has_time_for(f"{sessions} sessions", took):
                rows.append(_both(pool, clip, device, sessions, seconds, turns=2 if sessions == counts[-1] else 1))
                progress.add("counts", rows)
        for path in OTHER_CLIPS:
            if progress.has_time_for(path.name, took):
                try:
                    others[path.name] = _both(pool, Clip(path), device, counts[-1], seconds, turns=1)
                except RuntimeError as failure:  # a codec or depth that this GPU does not decode
                    others[path.name] = {"problem": str(failure)[:300]}
                progress.add("others", others)
    pool.close()
    one, most = rows[0]["decode_rate"], rows[-1]
    # Two sessions fill an engine, one does not: with as many sessions as engines this says how evenly they share.
    share = round(most["decode_rate"] / (engines * one), 4) if engines and one else None
    progress.add("decode_over_engines_times_one", share)
    return progress.found


def _both(
    pool: DecoderPool, clip: Clip, device: torch.device, sessions: int, seconds: float, turns: int
) -> dict[str, Any]:
    """Decode-only and the whole way, turn by turn, and their ratio."""
    decoded, judged = list[dict[str, Any]](), list[dict[str, Any]]()
    for _ in range(turns):
        decoded.append(decode_only(pool, clip, sessions, seconds))
        judged.append(pipeline(pool, clip, device, sessions, seconds))
    decode_rate = max(d["frames_per_second"] for d in decoded)
    judge_rate = max(j["frames_per_second"] for j in judged)
    return {
        "sessions": sessions,
        "decode": decoded,
        "pipeline": judged,
        "decode_rate": decode_rate,
        "pipeline_over_decode": round(judge_rate / decode_rate, 4) if decode_rate else None,
    }
