"""The live service as a user starts it, with a sender of channels and a receiver of webhooks, for benchmarks.

Run by: a benchmark's main thread. The sender (benchmarks/live/origin.py) and `avjury serve` are processes, which end
when they are closed; the receiver is a thread of this process. If the service dies, what is asked of it fails the
benchmark.
"""

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
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.looped import RATE, loop_clip, make_clip

MEGABYTE: Final = 1 << 20
UNIT_SECONDS: Final = 20.0
BLACK_AT: Final = 8.0
BLACK_SECONDS: Final = 3.0
SET_SECONDS: Final = 2.0  # black_min_duration
CLIP_SECONDS: Final = 300.0
READY_SECONDS: Final = 180.0  # a first start compiles the kernels
SIZES: Final = {"360p": (640, 360), "1080p": (1920, 1080)}


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
    return loop_clip(unit, folder / f"channel-{name}.ts", CLIP_SECONDS, every=UNIT_SECONDS)


class Origin:
    """The sender, and what it said of its connections.

    `began` has when each channel's first timestamp was sent last; `connections` channel and moment of all of them,
    `ended` by these when they were over, and `late` since and until when it could send nothing to a channel.

    Args:
        clip: what every channel plays.
        on_air: who asks later is sent what is on then.
    """

    def __init__(self, clip: Path, *, on_air: bool = False) -> None:
        command = [sys.executable, "-m", "benchmarks.live.origin", str(clip), *(["--on-air"] if on_air else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.began: dict[str, float] = {}
        self.connections: list[tuple[str, float]] = []
        self.ended: dict[tuple[str, float], float] = {}
        self.late: list[tuple[str, float, float]] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, path, *at = line.split()
            channel = path.strip("/").removesuffix(".ts")
            if what == "began":
                self.began[channel] = float(at[0])
                self.connections.append((channel, float(at[0])))
            elif what == "ended":
                self.ended[channel, float(at[0])] = float(at[1])
            else:
                self.late.append((channel, float(at[0]), float(at[1])))

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
        if self._process.stdout is not None:
            self._process.stdout.close()


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
        more: sections of its configuration beside those of the benchmark; what `service` has of it counts first.
        patient: wait until it is ready.
        environment: variables beside those of this process.
    """

    def __init__(
        self,
        folder: Path,
        receiver: Receiver,
        more: Mapping[str, Any] | None = None,
        *,
        patient: bool = True,
        environment: Mapping[str, str] | None = None,
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
        }  # fmt: skip
        config |= {**(more or {}), "service": config["service"] | (more or {}).get("service", {})}
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self._log = (folder / "log").open("ab")
        command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(folder / "config.yaml")]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        self._children: list[psutil.Process] = []
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
        """By process, the megabytes that no file holds; see `_own_megabytes`."""
        parent = psutil.Process(self._process.pid)
        found: dict[str, float] = {}
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = [word for word in process.cmdline() if word.startswith("engine.")]
                name = words[0] if words else process.name()
                found[name] = round(found.get(name, 0.0) + _own_megabytes(process.pid), 1)
        return found

    def cost(self) -> dict[str, float]:
        """What all its processes hold together."""
        parent = psutil.Process(self._process.pid)
        total = {"resident_mb": 0.0, "handles": 0.0, "threads": 0.0, "cpu_seconds": 0.0, "processes": 0.0,
                 "zombies": 0.0}  # fmt: skip
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() == psutil.STATUS_ZOMBIE:
                    total["zombies"] += 1
                    continue
                total["resident_mb"] += _own_megabytes(process.pid)
                total["handles"] += process.num_fds()
                total["threads"] += process.num_threads()
                total["cpu_seconds"] += sum(process.cpu_times()[:2])
                total["processes"] += 1
        return {name: round(value, 1) for name, value in total.items()}

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs; takes note of its processes."""
        if self._process.poll() is not None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self._children = psutil.Process(self._process.pid).children(recursive=True) or self._children
        return True

    def kill(self) -> None:
        """End it as the kernel does when memory runs out; returns when its processes are gone."""
        if self.alive:
            self._process.kill()
        self._process.wait()
        psutil.wait_procs(self._children, 15)
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


def _own_megabytes(pid: int) -> float:
    """Memory of a process that no file holds: a library's pages are its own or shared by who else runs just then.

    Raises: psutil.NoSuchProcess.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            kilobytes = next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration) as error:
        raise psutil.NoSuchProcess(pid) from error
    return kilobytes / 1024


@contextlib.contextmanager
def running(
    folder: Path, clip: Path, more: Mapping[str, Any] | None = None
) -> Iterator[tuple[Service, Origin, Receiver]]:
    """Sender, receiver and service; `more` as `Service` takes it."""
    receiver = Receiver()
    origin = Origin(clip)
    try:
        service = Service(Path(tempfile.mkdtemp(dir=folder)) / "service", receiver, more)
        try:
            yield service, origin, receiver
        finally:
            service.close()
    finally:
        origin.close()
        receiver.close()


def wait_until_running(service: Service, names: Sequence[str], seconds: float = READY_SECONDS) -> None:
    """Wait until channels are judged. Raises: RuntimeError where one is not in time."""
    deadline = time.monotonic() + seconds
    while True:
        states = {name: status["state"] for name, status in service.statuses().items() if name in names}
        if set(states.values()) == {"running"}:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not every healthy channel came to run: {states}")
        time.sleep(0.5)


def changes_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The incidents of a webhook, each with its change."""
    items = body.get("changes") or body.get("items") or [body]
    return [{**item, **item.get("incident", {}), "change": item.get("change", body.get("change"))} for item in items]
