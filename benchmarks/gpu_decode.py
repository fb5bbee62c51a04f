"""NVDEC alone, the whole way from packets to verdicts over it, and what crosses to the host.

Where NVDEC is missing, the way after decoding is measured on surfaces made in device memory, and the result says so.

Run by: one thread per stream decodes in a loop over its clip until it is stopped; the calling thread takes, measures
and judges. Each thread ends within one picture of `stop`; an error in one is raised by the calling thread.
"""

import argparse
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_kernels import on_a_side_stream, random_network, waiter
from benchmarks.harness import quantiles, time_repeats
from benchmarks.made_surfaces import copy_to_host, make_surface, picture_bytes
from benchmarks.progress import Progress
from engine.batch import Batcher
from engine.decode.driver import wait_by_blocking
from engine.decode.headers import HeaderWatch
from engine.decode.nal import Codec, split_access_units
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import DecoderPool
from engine.decode.upload import Uploader
from engine.detectors import DETECTORS, resolve
from engine.errors import AvjuryError
from engine.evidence.series import MeasureRing
from engine.judge import Judge
from engine.levels import Levels
from engine.measure import AUDIO_COLUMNS, VIDEO_COLUMNS, Measure
from engine.measure.graphs import record_on
from engine.measure.network import NetworkUse
from engine.media import AudioBlock, Follower, FrameBatch, Packet, StreamTick, Surface, VideoInfo
from engine.queues import Bell, BoundedQueue, QueueClosed
from models.artifact_weights import Artifact, OperatingPoint

_CLIPS = Path(__file__).parents[1] / "tests" / "clips"
CLIP = _CLIPS / "h264_1920x1080_8bit.h264"
OTHER_CLIPS = (_CLIPS / "hevc_1920x1080_8bit.hevc", _CLIPS / "hevc_1920x1080_10bit.hevc")
BATCH_WINDOW_SECONDS = 0.005
"""The engine's own on a GPU."""
_SURFACES_IN_FLIGHT = 4
_JOIN_SECONDS = 30.0


class Clip:
    """An elementary stream, cut into packets once for all streams."""

    def __init__(self, path: Path) -> None:
        codec: Codec = "h264" if path.suffix == ".h264" else "hevc"
        units = split_access_units(path.read_bytes(), codec)
        watch = HeaderWatch(codec)
        watch.read(units[0].data)
        fmt = watch.format
        if fmt is None:
            raise ValueError(f"{path} does not begin with a sequence header")
        self.rate = fmt.frame_rate or 30.0
        self.info = VideoInfo(codec, "", fmt.width, fmt.height, "yuv420p", fmt.bit_depth, self.rate, False, None)
        self.packets = [Packet("clip", "video", None, None, 0.0, len(u.data), u.key, False, u.data) for u in units]

    def packet(self, number: int) -> Packet:
        """Packet `number` of an endless loop over the clip."""
        return self.packets[number % len(self.packets)]


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


class JudgedPath:
    """What comes after decoding: batch, measure, judge; verdicts are read one batch later, as in the engine."""

    def __init__(
        self, device: torch.device, streams: int, *, graphs: bool = True, network: NetworkUse | None = None
    ) -> None:
        detectors, parameters = resolve(None)
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
        self._in_flight: deque[tuple[Any, FrameBatch | None]] = deque()
        rules = {d.name: d.rule(parameters[d.name]) for d in detectors if d in DETECTORS}
        for slot in range(streams):
            self.measure.open_slot(slot, parameters, {d.column for d in detectors})
            self.judge.open_slot(slot, rules)

    def frames(self, batch: FrameBatch) -> None:
        """One batch of pictures."""
        self._in_flight.append((self.judge.submit(self.measure.frames(batch)), batch))
        self.settle(1)

    def sound(self, audio: dict[int, BoundedQueue[AudioBlock]]) -> None:
        """One batch of sound blocks."""
        batch = self.batcher.sound(audio)
        if batch is not None:
            measures = self.measure.sound(batch)
            self._in_flight.append((self.judge.submit(measures), None))
            self.settle(1)

    def ticks(self, rows: list[tuple[int, StreamTick]]) -> None:
        """One row per stream and second."""
        self._in_flight.append((self.judge.submit(self.measure.ticks(rows)), None))
        self.settle(1)

    def device_to_host_bytes(self) -> int:
        """Copied so far."""
        return self.judge.device_to_host_bytes + self.levels.device_to_host_bytes

    def settle(self, depth: int) -> None:
        """Read verdicts until at most `depth` batches are in flight."""
        while len(self._in_flight) > depth:
            pending, batch = self._in_flight.popleft()
            pending.transitions()
            if batch is not None:
                self.frames_judged += len(batch.surfaces)
                for slot, surface in zip(batch.numbers, batch.surfaces, strict=True):
                    surface.release()
                    if self.on_verdict is not None:
                        self.on_verdict(slot, surface.pts)


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


def judge_made_surfaces(
    device: torch.device,
    streams: int,
    size: tuple[int, int],
    seconds: int,
    rate: int = 30,
    *,
    graphs: bool = True,
    network: NetworkUse | None = None,
    uploaded: int = 0,
) -> dict[str, Any]:
    """What follows decoding, on surfaces made beforehand: speed, and bytes to the host per stream-second.

    Every stream has `rate` pictures, ten sound blocks and one tick per media second, as a real one has.

    Args:
        device: where.
        streams: how many.
        size: of the pictures, in samples.
        seconds: of media to judge, after one that warms up.
        rate: pictures per second.
        graphs: play recorded launches back.
        network: used so; None leaves it out.
        uploaded: of the streams, those whose pictures come from host memory, as the software decoder's do.
    """
    path = JudgedPath(device, streams, graphs=graphs, network=network)
    uploader = Uploader(device) if uploaded else None
    # Two pictures per stream take turns, so that nothing freezes.
    pictures = [[make_surface(f"s{i}", device, *size, seed=2 * i + k) for k in range(2)] for i in range(streams)]
    noise = (torch.rand((2, 4800), generator=torch.Generator().manual_seed(0)) - 0.5).numpy()
    bell = Bell()
    wait = waiter(device) or (lambda: None)
    rows: list[float] = []
    pictures[:uploaded] = [[copy_to_host(surface) for surface in turn] for turn in pictures[:uploaded]]
    before, cpu, loop = 0, 0.0, 0.0
    for second in range(seconds + 1):
        wait()
        began = time.perf_counter()
        if second == 1:
            before, cpu, loop = path.device_to_host_bytes(), time.process_time(), time.thread_time()
        for n in range(rate):
            pts = second + n / rate
            shown = [replace(pictures[i][n % 2], pts=pts) for i in range(streams)]
            if uploader is not None:
                shown[:uploaded] = [uploader.upload(surface) for surface in shown[:uploaded]]
            path.frames(path.batcher.assemble(list(enumerate(shown)), path.black))
            if n * 10 // rate != (n - 1) * 10 // rate:
                audio: dict[int, BoundedQueue[AudioBlock]] = {}
                for i in range(streams):
                    audio[i] = BoundedQueue(1, bell)
                    at = second + (n * 10 // rate) / 10
                    audio[i].put(AudioBlock(f"s{i}", at, noise, 4800, (1.0, 1.0), 0.9999), lambda: False)
                path.sound(audio)
        path.ticks([(i, StreamTick(float(second), second + 1.0, 0, 0.0, 0.0)) for i in range(streams)])
        path.settle(0)
        wait()
        if second:
            rows.append(time.perf_counter() - began)
    crossed = path.device_to_host_bytes() - before
    cpu, loop = time.process_time() - cpu, time.thread_time() - loop
    return {
        "streams": streams,
        "size": list(size),
        "frames_per_second": quantiles([streams * rate / s for s in rows]),
        "host_cpu_us_per_frame": round(1e6 * cpu / (streams * seconds * rate), 2),
        # Of the loop's thread alone; what it holds Python's lock for is no more.
        "loop_us_per_frame": round(1e6 * loop / (streams * seconds * rate), 2),
        "batches_played_back": path.measure.replays,
        "batches_of_sound_played_back": path.measure.sound_replays,
        "recording_problem": path.measure.graph_problem,
        "device_to_host_bytes_per_stream_second": round(crossed / (streams * seconds), 1),
    }


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


def run_path(device: torch.device, clip: Path, *, quick: bool, progress: Progress) -> dict[str, Any]:
    """The way after decoding, on surfaces made in the device's memory, and what the host spends on a picture."""
    streams, size, seconds = (2, (320, 180), 1) if quick else (64, (1920, 1080), 3)
    if device.type == "cuda":
        wait_by_blocking(device.index or 0)
    from benchmarks.host_costs import reader_costs  # which needs what is above

    with on_a_side_stream(device):
        recorded = judge_made_surfaces(device, streams, size, seconds)
        progress.add("recorded", recorded)
        reader = reader_costs(Clip(clip), *((20, 2) if quick else ()))
        progress.add("reader", reader)
        progress.add(
            "under_the_lock_us_per_frame_at_most",
            round(recorded["loop_us_per_frame"] + reader["us_per_picture"]["p50"], 2),
        )
        if progress.has_time_for("network", 8.0):
            network = NetworkUse(Artifact(random_network(), OperatingPoint(0.5, 0.5, 2), "random"), 1.0)
            progress.add("with_network", judge_made_surfaces(device, streams, size, seconds, network=network))
        if device.type == "cuda" and progress.has_time_for("uploads", 8.0):
            progress.add("uploads", _uploads(device, streams, size, seconds, recorded))
        if progress.has_time_for("one_by_one", 15.0):
            progress.add("one_by_one", judge_made_surfaces(device, streams, size, seconds, graphs=False))
        # Last, as no profiler that fails is to take the others with it.
        if device.type == "cuda" and progress.has_time_for("launches", 12.0):
            try:
                progress.add("launches_per_batch", _launches(device, size, (2, 4) if quick else (8, streams)))
            except RuntimeError as failure:
                progress.add("launches_problem", str(failure)[:300])
    return progress.found


# What the CUDA runtime and the driver call what is put into a stream, as torch's profiler tells it.
LAUNCHES = (
    *("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch"),
    *("cudaMemcpyAsync", "cudaMemsetAsync", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync"),
)


def _launches(device: torch.device, size: tuple[int, int], counts: tuple[int, ...]) -> dict[str, float]:
    """Launches and copies of a batch of pictures by number of streams, where no second ends and no verdict changes.

    Args:
        device: a GPU.
        size: of the pictures, in samples.
        counts: numbers of streams.
    """
    from torch.profiler import ProfilerActivity, profile

    found = {}
    rate, first, batches = 30, 36, 12  # all kinds of batches were recorded by then, and the next second is far
    for streams in counts:
        path = JudgedPath(device, streams)
        pictures = [[make_surface(f"s{i}", device, *size, seed=2 * i + k) for k in range(2)] for i in range(streams)]

        def judge(
            n: int, path: JudgedPath = path, pictures: list[list[Surface]] = pictures, streams: int = streams
        ) -> None:
            shown = [(i, replace(pictures[i][n % 2], pts=n / rate)) for i in range(streams)]
            path.frames(path.batcher.assemble(shown, path.black))

        for n in range(first):
            judge(n)
        path.settle(0)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            for n in range(first, first + batches):
                judge(n)
            path.settle(0)
        counted = sum(event.count for event in profiler.key_averages() if event.key in LAUNCHES)
        found[str(streams)] = round(counted / batches, 2)
    return found


def _uploads(
    device: torch.device, streams: int, size: tuple[int, int], seconds: int, without: dict[str, Any], rate: int = 30
) -> dict[str, Any]:
    """A quarter of the streams decoded in software: how much of their upload is hidden behind everything else.

    Args:
        device, streams, size, seconds, rate: as for `judge_made_surfaces`.
        without: its figures with all pictures on the device.
    """
    share = max(1, streams // 4)
    both = judge_made_surfaces(device, streams, size, seconds, rate, uploaded=share)
    uploader = Uploader(device)
    pictures = [copy_to_host(make_surface(f"u{i}", device, *size, seed=i)) for i in range(share)]
    wait = waiter(device) or (lambda: None)

    def upload_all() -> None:
        for surface in [uploader.upload(picture) for picture in pictures]:
            surface.release()

    alone = quantiles(time_repeats(upload_all, repeats=15, wait=wait))["p50"] * rate
    second, with_them = (streams * rate / figures["frames_per_second"]["p50"] for figures in (without, both))
    return {
        "streams": share,
        "of": streams,
        "bytes_per_second_alone": round(share * rate * picture_bytes(pictures[0]) / alone),
        "seconds_per_stream_second_alone": round(alone / share, 6),
        "frames_per_second": both["frames_per_second"],
        # 1: all of the shorter of both is hidden behind the longer one; 0: they take turns.
        "hidden": round((second + alone - with_them) / min(second, alone), 3),
    }


def main() -> int:
    """Measure and print; `python -m benchmarks.gpu_check` keeps the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    found = {
        "path": run_path(device, options.clip, quick=options.quick, progress=Progress()),
    }
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
