"""`avjury bench service`: the live service over real sockets: how many streams, how soon a webhook, what memory.

One run: channels from a sender of its own process (benchmarks/live_origin.py), `avjury serve` as a user starts it, and
a receiver of webhooks here. Every channel plays one clip in which the picture is black for three seconds out of twenty.

- *Sustained*: channels are added until one is refused, judged less often than it has pictures, or more than a second
  late. Beside it: how many such channels these cores decode and do nothing else.
- *Latency*: from the moment at which the picture was sent that makes the black last for its set duration, to the
  webhook's arrival, with 50 % and 90 % of the sustained channels.
- *Memory*: of all the service's processes, by number of channels; and after adding and removing one a thousand times.
- *Soak* (`--soak-seconds`): healthy channels among sources that refuse, are not there, hang, end, or are no media.

All of it is one record. A part that fails is recorded as failed, the others are run all the same, and the command ends
with 1.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.cpu import decode_only
from benchmarks.faulty_sources import FaultySources
from benchmarks.harness import quantiles, write_result
from benchmarks.looped import RATE, loop_clip, make_clip

MEGABYTE: Final = 1 << 20
UNIT_SECONDS: Final = 20.0
BLACK_AT: Final = 8.0
BLACK_SECONDS: Final = 3.0
SET_SECONDS: Final = 2.0  # black_min_duration
CLIP_SECONDS: Final = 300.0
SETTLE_SECONDS: Final = 6.0
WATCH_SECONDS: Final = 4.0
LATE_SECONDS: Final = 1.0
JUDGED_SHARE: Final = 0.98
READY_SECONDS: Final = 180.0  # a first start compiles the kernels
SIZES: Final = {"360p": (640, 360), "1080p": (1920, 1080)}
FIRST: Final = {"360p": 8, "1080p": 4}  # channels to begin with, then as many at a time as here:
STEPS: Final = {"360p": 4, "1080p": 1}
REFUSED_SECONDS: Final = 60.0  # no room for one channel for so long, after all others were taken out
SOAK_CHANNELS: Final = 4  # where it is not known how many are sustained


def make_channel(folder: Path, name: str) -> Path:
    """The clip that every channel plays: textured pictures that pan, and black at known times."""
    width, height = SIZES[name]
    made, unit = folder / "made.mp4", folder / f"unit-{name}.ts"
    if not made.exists():
        make_clip(made)
    black = f"drawbox=color=black:t=fill:enable='gte(t,{BLACK_AT})*lt(t,{BLACK_AT + BLACK_SECONDS})'"
    import imageio_ffmpeg

    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-stream_loop", "-1", "-i", str(made),
        "-t", str(UNIT_SECONDS), "-vf", f"scale={width}:{height},{black}", "-c:v", "libx264", "-preset", "veryfast",
        "-bf", "0", "-g", str(RATE), "-c:a", "aac", str(unit),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return loop_clip(unit, folder / f"channel-{name}.ts", CLIP_SECONDS)


class Origin:
    """The sender; `began` has when each channel's first timestamp was sent last, `connections` all of them."""

    def __init__(self, clip: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.live_origin", str(clip)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.began: dict[str, float] = {}
        self.connections: list[tuple[str, float]] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            path, at = line.split()
            channel = path.strip("/").removesuffix(".ts")
            self.began[channel] = float(at)
            self.connections.append((channel, float(at)))

    def url(self, channel: str) -> str:
        """Where a channel is had."""
        return f"http://127.0.0.1:{self.port}/{channel}.ts"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(5)


class Receiver:
    """Takes webhooks, and when each came."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                at = time.time()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                receiver.arrived.append((at, json.loads(body)))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Service:
    """`avjury serve` in processes of its own.

    Args:
        folder: for its configuration, log and data, which may be there.
        receiver: of its webhooks.
        more: sections of its configuration beside those of the benchmark.
        patient: wait until it is ready.
    """

    def __init__(
        self, folder: Path, receiver: Receiver, more: Mapping[str, Any] | None = None, *, patient: bool = True
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        folder.mkdir(exist_ok=True)
        config: dict[str, Any] = {
            "service": {"listen": f"127.0.0.1:{port}", "data": str(folder / "data"), "api_private_addresses": True,
                        "damping_seconds": 0.0, "log_level": "warning"},
            "notify": {"sinks": {"bench": {"type": "webhook", "url": receiver.url}},
                       "routes": [{"sinks": ["bench"], "closed_hold_seconds": 0}]},
            **(more or {}),
        }  # fmt: skip
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self._log = (folder / "log").open("ab")
        command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(folder / "config.yaml")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0)
        if patient:
            self._wait_until_ready(folder / "log")

    def _wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if self.client.get("/readyz").status_code == 200:
                    return
            time.sleep(0.2)
        self.close()
        raise RuntimeError(f"the service did not become ready:\n{log.read_text(errors='replace')[-4000:]}")

    def add(self, channel: str, url: str) -> bool:
        """Add a channel. Returns: False where the service has no room for it."""
        answer = self.client.post("/api/v1/streams", json={"id": channel, "url": url})
        if answer.status_code == 503:
            return False
        answer.raise_for_status()
        return True

    def remove(self, channel: str) -> None:
        """Take a channel out."""
        self.client.delete(f"/api/v1/streams/{channel}").raise_for_status()

    def statuses(self) -> dict[str, dict[str, Any]]:
        """By channel, how it is."""
        return {item["id"]: item["status"] for item in self._all("/api/v1/streams")}

    def incidents(self) -> list[dict[str, Any]]:
        """All of them."""
        return list(self._all("/api/v1/incidents"))

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self.client.get(path, params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
            page.raise_for_status()
            body = page.json()
            yield from body["items"]
            cursor = body["next"]
            if cursor is None:
                return

    def measured(self) -> dict[str, float]:
        """By channel, how many pictures were judged so far."""
        start = 'avjury_frames_measured_total{stream="'
        lines = self.client.get("/metrics").text.splitlines()
        return {
            line.removeprefix(start).partition('"')[0]: float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(start)
        }

    def memory(self) -> dict[str, float]:
        """By process, the megabytes that are its alone."""
        parent = psutil.Process(self._process.pid)
        found: dict[str, float] = {}
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = [word for word in process.cmdline() if word.startswith("engine.")]
                name = words[0] if words else process.name()
                found[name] = round(found.get(name, 0.0) + process.memory_full_info().uss / MEGABYTE, 1)
        return found

    def cost(self) -> dict[str, float]:
        """What all its processes hold together."""
        parent = psutil.Process(self._process.pid)
        total = {"resident_mb": 0.0, "handles": 0.0, "threads": 0.0, "cpu_seconds": 0.0, "processes": 0.0}
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total["resident_mb"] += process.memory_full_info().uss / MEGABYTE
                total["handles"] += process.num_fds()
                total["threads"] += process.num_threads()
                total["cpu_seconds"] += sum(process.cpu_times()[:2])
                total["processes"] += 1
        return {name: round(value, 1) for name, value in total.items()}

    def kill(self) -> None:
        """End it as the kernel does when memory runs out; returns when its processes are gone."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        psutil.wait_procs(children, 15)
        self._log.close()
        self.client.close()

    def close(self) -> None:
        """End it as an operator does."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self.client.close()


@contextlib.contextmanager
def running(folder: Path, clip: Path) -> Iterator[tuple[Service, Origin, Receiver]]:
    """Sender, receiver and service."""
    receiver = Receiver()
    origin = Origin(clip)
    try:
        service = Service(Path(tempfile.mkdtemp(dir=folder)) / "service", receiver)
        try:
            yield service, origin, receiver
        finally:
            service.close()
    finally:
        origin.close()
        receiver.close()


def find_sustained(folder: Path, clip: Path, first: int, step: int) -> dict[str, Any]:
    """Add channels until real time is lost.

    Args:
        folder: for the service's files.
        clip: what the channels play.
        first: channels to begin with.
        step: channels that are added at a time from then on.
    """
    steps: list[dict[str, Any]] = []
    sustained, why = 0, "the limit of this benchmark"
    with running(folder, clip) as (service, origin, _):
        steps.append({"channels": 0, **service.cost()})
        count, batch = 0, first
        while count < 64 * step:
            names = [f"c{index}" for index in range(count, count + batch)]
            added = [name for name in names if service.add(name, origin.url(name))]
            if not added:
                why = "refused: no headroom"
                break
            time.sleep(SETTLE_SECONDS)
            problem, row = _watch(service)
            count += len(added)
            steps.append({"channels": count, **row, **service.cost()})
            _say(json.dumps(steps[-1]))
            if problem:
                why = problem
                break
            sustained = count
            if len(added) < batch:
                why = "refused: no headroom"
                break
            batch = step
    return {"channels": sustained, "ended_by": why, "steps": steps, "mb_per_channel": _slope(steps)}


def _watch(service: Service) -> tuple[str | None, dict[str, Any]]:
    """Whether every channel is judged in real time now. Returns: what is wrong, and what was seen."""
    before, began = service.measured(), time.monotonic()
    cpu = service.cost()["cpu_seconds"]
    time.sleep(WATCH_SECONDS)
    after, seconds = service.measured(), time.monotonic() - began
    statuses = service.statuses()
    rates = [(after.get(name, 0) - before.get(name, 0)) / seconds / RATE for name in statuses]
    row = {
        "judged_share": round(min(rates), 3),
        "lag_seconds": round(max(status["lag_seconds"] for status in statuses.values()), 3),
        "sampling": min(status["sampling"] for status in statuses.values()),
        "cores_busy": round((service.cost()["cpu_seconds"] - cpu) / seconds, 2),
    }
    states = sorted({status["state"] for status in statuses.values()} - {"running"})
    if states:
        return f"state {', '.join(states)}", row
    if row["sampling"] < 1:
        return "judged less often", row
    if row["lag_seconds"] > LATE_SECONDS:
        return "late", row
    # The reports of counters come once a second, so a share over some seconds is not exact.
    if sum(rates) / len(rates) < JUDGED_SHARE - 1 / (WATCH_SECONDS * RATE):
        return "pictures not judged", row
    return None, row


def _slope(steps: Sequence[Mapping[str, Any]]) -> float:
    """Megabytes per added channel, from the first channel on."""
    points = [(row["channels"], row["resident_mb"]) for row in steps if row["channels"]]
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return float(round(sum((x - mean_x) * (y - mean_y) for x, y in points) / spread, 1))


def measure_latency(folder: Path, clip: Path, channels: int, seconds: float) -> dict[str, Any]:
    """From the picture that completes a defect's set duration to the webhook."""
    with running(folder, clip) as (service, origin, receiver):
        for index in range(channels):
            if not service.add(f"c{index}", origin.url(f"c{index}")):
                raise RuntimeError(f"no room for the channel after {index}")
            time.sleep(UNIT_SECONDS / max(channels, 8) / 2)  # so that not all go black at once
        began = time.time()
        time.sleep(seconds)
        ended = time.time()
        arrived = list(receiver.arrived)
        began_at = dict(origin.began)
    opened = [(at, item) for at, body in arrived for item in changes_of(body)
              if item["detector"] == "video.black" and item["change"] == "opened"]  # fmt: skip
    found: list[float] = []
    missed = 0
    for channel, first in began_at.items():
        due = first + BLACK_AT + SET_SECONDS
        while due < ended - 2.0:
            if due > began:
                own = [at - due for at, item in opened if item["stream"] == channel and -0.5 < at - due < 5.0]
                found += own[:1]
                missed += not own
            due += UNIT_SECONDS
    if not found:
        raise RuntimeError("no webhook told of a planted defect")
    ordered = sorted(found)
    return {
        "channels": channels,
        "defects": len(found) + missed,
        "missed": missed,
        "seconds": {**quantiles(found), "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
                    "max": round(ordered[-1], 3)},
    }  # fmt: skip


def changes_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The incidents of a webhook, each with its change."""
    items = body.get("changes") or body.get("items") or [body]
    return [{**item, **item.get("incident", {}), "change": item.get("change", body.get("change"))} for item in items]


def measure_cycles(folder: Path, clip: Path, cycles: int) -> dict[str, Any]:
    """Add a channel and take it out again, many times."""
    rows: list[dict[str, Any]] = []
    with running(folder, clip) as (service, origin, _):
        began = time.monotonic()
        for index in range(cycles):
            name = f"cycle{index}"
            refused_at = time.monotonic()
            while not service.add(name, origin.url(name)):
                if time.monotonic() - refused_at > REFUSED_SECONDS:
                    raise RuntimeError(f"no room for one channel after {index} were taken out")
                time.sleep(0.5)  # the last one's end is not reported yet
            if index % 10 == 0:
                time.sleep(0.5)  # so that some get to play
            service.remove(name)
            if (index + 1) % max(1, cycles // 10) == 0:
                time.sleep(3.0)
                rows.append({"cycles": index + 1, **service.cost(), "mb_by_process": service.memory()})
                _say(json.dumps(rows[-1]))
        seconds = time.monotonic() - began
    half = rows[len(rows) // 2 :]
    between = half[-1]["cycles"] - half[0]["cycles"]
    growth = (half[-1]["resident_mb"] - half[0]["resident_mb"]) / between * 1000 if between else None
    return {
        "cycles": cycles,
        "seconds": round(seconds, 1),
        "mb_per_1000_cycles_second_half": None if growth is None else round(growth, 2),
        "handles_grown": rows[-1]["handles"] - rows[0]["handles"],
        "threads_grown": rows[-1]["threads"] - rows[0]["threads"],
        "rows": rows,
    }


def soak(folder: Path, clip: Path, healthy: int, seconds: float) -> dict[str, Any]:
    """Healthy channels among faulty sources, for long; seconds count from when all healthy ones run."""
    rows: list[dict[str, Any]] = []
    names = [f"c{index}" for index in range(healthy)]
    long = loop_clip(clip, folder / "soak.ts", seconds + 2 * READY_SECONDS)  # none of them ends before the soak does
    with running(folder, long) as (service, origin, receiver), contextlib.closing(FaultySources()) as faulty:
        for name, url in {**{name: origin.url(name) for name in names}, **faulty.urls}.items():
            if not service.add(name, url):
                raise RuntimeError(f"no room for {name}")
        wait_until_running(service, names)
        began, measured = time.monotonic(), service.measured()
        while time.monotonic() - began < seconds:
            time.sleep(min(30.0, max(1.0, seconds / 40)))
            statuses = service.statuses()
            bad = {name: f"{statuses[name]['state']} {statuses[name]['cause']}" for name in names
                   if statuses[name]["state"] != "running"}  # fmt: skip
            rows.append({
                "minutes": round((time.monotonic() - began) / 60, 2),
                **service.cost(),
                "mb_by_process": service.memory(),
                "healthy_running": healthy - len(bad),
                **({"not_running": bad} if bad else {}),
                "lag_seconds": max(statuses[name]["lag_seconds"] for name in names),
                "sampling": min(statuses[name]["sampling"] for name in names),
                "load": round(os.getloadavg()[0], 2),
            })  # fmt: skip
            _say(json.dumps(rows[-1]))
        after, took = service.measured(), time.monotonic() - began
        causes = {name: status["cause"] for name, status in service.statuses().items() if name in faulty.urls}
        incidents = Counter((one["stream"], one["detector"]) for one in service.incidents())
    half = rows[len(rows) // 2 :]
    hours = (half[-1]["minutes"] - half[0]["minutes"]) / 60
    growth = half[-1]["resident_mb"] - half[0]["resident_mb"]
    shares = [(after[name] - measured[name]) / took / RATE for name in names]
    black = sum(count for (stream, detector), count in incidents.items() if detector == "video.black")
    return {
        "seconds": seconds,
        "healthy": healthy,
        "faulty": causes,
        "mb_per_hour_second_half": round(growth / hours, 1) if hours else None,
        "least_healthy_running": min((row["healthy_running"] for row in rows), default=0),
        "least_judged_share": round(min(shares), 4),
        "black_found": black,
        "black_sent_about": int(healthy * took / UNIT_SECONDS),
        "others_on_healthy": {f"{stream} {detector}": count for (stream, detector), count in incidents.items()
                              if stream in names and detector != "video.black"},
        "webhooks": len(receiver.arrived),
        "rows": rows,
    }  # fmt: skip


def wait_until_running(service: Service, names: Sequence[str]) -> None:
    """Wait until channels are judged. Raises: RuntimeError where one is not in time."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        states = {name: status["state"] for name, status in service.statuses().items() if name in names}
        if set(states.values()) == {"running"}:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not every healthy channel came to run: {states}")
        time.sleep(0.5)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress of a command


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="avjury bench service", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES), help="of the pictures")
    parser.add_argument("--channels", type=int, help="that are sustained, where that is known: it is not measured then")
    parser.add_argument(
        "--latency-seconds", type=float, default=100.0, help="of each measurement of latency; 0 leaves it out"
    )
    parser.add_argument("--cycles", type=int, default=1000, help="channels that are added and removed; 0 leaves it out")
    parser.add_argument("--soak-seconds", type=float, default=0.0, help="of the soak; 1800 is usual, 0 leaves it out")
    parser.add_argument("--soak-channels", type=int, help="healthy ones; default: half of the sustained ones")
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what it started ends with it
    run = Run()
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        for size in options.sizes:
            if options.channels is None or options.latency_seconds:
                run.part(size, _size_part(folder, size, options.latency_seconds, options.channels))
        first = options.sizes[0]
        clip = folder / f"channel-{first}.ts"
        if not clip.exists():
            make_channel(folder, first)
        if options.cycles:
            run.part("cycles", lambda: measure_cycles(folder, clip, options.cycles))
        if options.soak_seconds:
            known = options.channels or run.figures.get(first, {}).get("sustained", {}).get("channels")
            healthy = options.soak_channels or max(1, (known or 2 * SOAK_CHANNELS) // 2)
            unit = folder / f"unit-{first}.ts"
            run.part("soak", lambda: soak(folder, unit, healthy, options.soak_seconds))
    path = write_result("service", run.figures, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 1 if run.failed else 0


class Run:
    """The parts of one run, with how long each took and how busy the machine was when it began."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.failed = False

    def part(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Run one; where it fails, say so in the record and go on."""
        load, began = os.getloadavg()[0], time.monotonic()
        try:
            found = measure()
        except Exception as problem:  # noqa: BLE001 - whatever it was is in the record, and the exit status
            traceback.print_exc()
            found, self.failed = {"failed": f"{type(problem).__name__}: {problem}"}, True
        took = round(time.monotonic() - began, 1)
        self.figures[name] = {"part_seconds": took, "load_before": round(load, 2), **found}
        _say(f"{name}: {took} s")


def _size_part(folder: Path, size: str, latency_seconds: float, channels: int | None) -> Callable[[], dict[str, Any]]:
    """Everything about channels of one size of picture; how many are sustained is measured unless it is known."""

    def measure() -> dict[str, Any]:
        clip = make_channel(folder, size)
        figure: dict[str, Any] = {}
        most = channels
        if most is None:
            decoded = decode_only(folder / f"unit-{size}.ts", len(os.sched_getaffinity(0)))
            alone = decoded["frames"] / decoded["seconds"] / RATE
            sustained = find_sustained(folder, clip, FIRST[size], STEPS[size])
            most = sustained["channels"]
            figure |= {
                "sustained": sustained,
                "decode_only_channels": round(alone, 1),
                "sustained_over_decode_only": round(most / alone, 3),
            }
        latency: dict[str, Any] = {}
        for share in (0.5, 0.9) if latency_seconds else ():
            count = max(1, int(share * most))
            try:
                latency[f"{share:.0%}"] = measure_latency(folder, clip, count, latency_seconds)
            except RuntimeError as problem:
                latency[f"{share:.0%}"] = {"channels": count, "failed": str(problem)}
            _say(json.dumps(latency))
        return figure | {"latency": latency}

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
