"""A cluster of real Ray nodes on this machine, with `avjury cluster serve` in front, that parts can be taken out of.

Run by: a benchmark or a test. Ray's processes and the front are processes of their own; one thread hears every second
that is judged. All end with `close`. Ray's node objects are its own tools for tests (ray.cluster_utils).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from engine.store.database import Database
from engine.store.owners import Owners

# As deploy/ray has it: a node that hangs is found after seven seconds, and engines are no less than other processes.
HEALTH: Final[Mapping[str, str]] = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
RESOURCE: Final = "judge"
# Both engines compile their kernels where nobody has yet, and a busy machine takes its time.
START_SECONDS: Final = 600.0
# An engine that Ray leaves waiting is started anew after five minutes (engine/cluster/actors.py).
WHOLE_SECONDS: Final = 300.0 + 240.0
_NAMESPACE: Final = "avjury"
_ASK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A second of which pictures were judged, as the front told of it.

    Args:
        at: monotonic seconds.
        played_at: Unix seconds.
        session: of whoever judged it.
    """

    at: float
    played_at: float
    session: str


def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until `holds()` is true. Returns: what it said. Raises: TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Fleet:
    """The cluster; it is started by `start`.

    Args:
        folder: for its files.
        database: URL of an empty database.
        streams: addresses by stream.
        more: sections of the configuration beside those that are needed.
        nodes: that can have an engine each.
        engines: as configured.
        environment: variables of Ray's processes and of the front.
    """

    def __init__(
        self,
        folder: Path,
        database: str,
        streams: Mapping[str, str],
        *,
        more: Mapping[str, Any] | None = None,
        nodes: int = 2,
        engines: int | None = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.streams = tuple(streams)
        self.heard: defaultdict[str, list[Heard]] = defaultdict(list)
        self._before = {name: os.environ.get(name) for name in {**HEALTH, **(environment or {})}}
        os.environ |= {**HEALTH, **(environment or {})}
        # Ray reads some variables when it is imported.
        import ray
        from ray.cluster_utils import Cluster

        self._ray: Any = ray
        self.cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes: list[Any] = []
        for _ in range(nodes):
            self.add_node()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        config: dict[str, Any] = {
            "service": {"listen": f"127.0.0.1:{port}", "data": str(folder / "front"), "damping_seconds": 0.0},
            "storage": {"database": database, "verdicts": str(folder / "verdicts"), "flush_seconds": 2.0},
            "cluster": {
                "address": self.cluster.address,
                "engines": engines,
                "resources": {RESOURCE: 1},
                "folder": str(folder / "engines"),
                # Nothing moves for balance: a machine of few cores has measures of load that jump.
                "dwell_seconds": 86_400,
                "spread": 1.0,
            },
            "streams": [{"id": name, "url": url} for name, url in streams.items()],
            **(more or {}),
        }
        self.config = folder / "config.yaml"
        self.config.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self._log = (folder / "front.log").open("ab")
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20)
        self._database = Database(database)
        self.owners = Owners(self._database)
        self._front: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hear, name="hears seconds")
        self._ray.init(address=self.cluster.address, namespace=_NAMESPACE, log_to_driver=False)
        from engine.cluster.actors import listen_to_no_errors

        listen_to_no_errors()

    # Its parts.

    def start(self) -> "Fleet":
        """Start the front, and wait until every stream is judged."""
        self.start_front()
        self._thread.start()
        until(lambda: all(self.heard[name] for name in self.streams), START_SECONDS, "every stream is judged")
        return self

    def start_front(self, python_path: Path | None = None) -> None:
        """Start `avjury cluster serve`, of the tree at `python_path` where one is named, and wait for its API."""
        environment = {**os.environ, **({"PYTHONPATH": str(python_path)} if python_path else {})}
        command = [sys.executable, "-m", "engine.cli", "cluster", "serve", "--config", str(self.config)]
        self._front = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment, cwd=python_path
        )
        until(self._answers, START_SECONDS, "the front answers")

    def stop_front(self) -> None:
        """End it as its service manager would."""
        if self._front is None:
            return
        self._front.send_signal(signal.SIGTERM)
        try:
            self._front.wait(30)
        except subprocess.TimeoutExpired:
            self._front.kill()
            self._front.wait()
        self._front = None

    def add_node(self, python_path: Path | None = None) -> Any:
        """A node with room for one engine, of the tree at `python_path` where one is named."""
        variables = {"PYTHONPATH": str(python_path)} if python_path else {}
        node = self.cluster.add_node(num_cpus=1, resources={RESOURCE: 1}, env_vars=variables)
        self.nodes.append(node)
        return node

    def remove_node(self, node: Any, *, graceful: bool = False) -> None:
        """Take a node out: all its processes are killed at once, unless gracefully."""
        self.cluster.remove_node(node, allow_graceful=graceful)
        self.nodes = [one for one in self.nodes if one is not node]

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        self.stop_front()
        if self._thread.ident is not None:  # it never began, where nothing answered
            self._thread.join(15)
        self.api.close()
        self._database.close()
        self._log.close()
        self._ray.shutdown()
        self.cluster.shutdown()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def leave_ray(self) -> None:
        """Be no client of Ray any more: it ends its clients when its head is away for long."""
        self._ray.shutdown()

    def command(self, *words: str) -> None:
        """`avjury cluster ...`. Raises: RuntimeError if it fails."""
        line = [sys.executable, "-m", "engine.cli", "cluster", *words, "--config", str(self.config)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")

    # Where they are.

    def pid(self, actor: str) -> int:
        """Of an actor's process."""
        handle: Any = self._ray.get_actor(actor, namespace=_NAMESPACE)
        return int(self._ray.get(handle.pid.remote(), timeout=_ASK_SECONDS))

    def front_seconds(self) -> float:
        """How long the front's process has had a core so far."""
        assert self._front is not None
        times = psutil.Process(self._front.pid).cpu_times()
        return float(times.user + times.system)

    def coordinator_release(self) -> str:
        """The release that the coordinator is of."""
        handle: Any = self._ray.get_actor("coordinator", namespace=_NAMESPACE)
        return str(self._ray.get(handle.made_from.remote(), timeout=_ASK_SECONDS)[0])

    def node_of(self, engine: str) -> Any:
        """The node that an engine runs on."""
        handle: Any = self._ray.get_actor(engine, namespace=_NAMESPACE)
        found = self._ray.get(handle.node.remote(), timeout=_ASK_SECONDS)
        return next(node for node in self.nodes if node.node_id == found)

    def processes(self, engine: str) -> list[psutil.Process]:
        """The helper that speaks for an engine when it has died, its process, and those that it started."""
        actor = psutil.Process(self.pid(engine))
        return [*_helpers(actor.pid), actor, *actor.children(recursive=True)]

    @staticmethod
    def raylet(node: Any) -> psutil.Process:
        """The process that is the node for Ray."""
        return psutil.Process(node.all_processes["raylet"][0].process.pid)

    # How it is.

    def engines_up(self) -> int:
        """How many engines there are that judge."""
        overview = self.owners.overview()
        return sum(engine.alive and bool(engine.state.get("ready")) for engine in overview.engines)

    def settle(self, engines: int = 2) -> None:
        """Wait until so many engines are up, each stream has an owner, and all were heard lately.

        Raises: TimeoutError, which says what was missing.
        """
        missing: list[str] = []

        def settled() -> bool:
            overview = self.owners.overview()
            lately = time.monotonic() - 3.0
            up = self.engines_up()
            missing[:] = [] if up >= engines else [f"{up} of {engines} engines are up"]
            missing.extend(
                f"{unit.stream} has no owner, or a next one"
                for unit in overview.units if overview.owner(unit) is None or unit.next is not None
            )  # fmt: skip
            missing.extend(
                f"{name} is not heard"
                for name in self.streams if not self.heard[name] or self.heard[name][-1].at <= lately
            )  # fmt: skip
            return not missing

        try:
            until(settled, WHOLE_SECONDS, "the cluster is whole")
        except TimeoutError as error:
            raise TimeoutError(f"{error} ({'; '.join(missing)})") from error

    def owned(self) -> dict[str, tuple[str | None, int]]:
        """By stream its owner, and how often that changed."""
        return {unit.stream: (unit.owner, unit.epoch) for unit in self.owners.units()}

    def streams_of(self, engine: str) -> list[str]:
        """The streams that an engine owns."""
        return [stream for stream, (owner, _) in self.owned().items() if owner == engine]

    def judged_again(self, since: float, streams: Iterable[str], seconds: float) -> float:
        """Seconds from a moment until each stream has a verdict of a session that it did not have before.

        Raises: TimeoutError.
        """
        known = {name: {heard.session for heard in self.heard[name] if heard.at < since} for name in streams}

        def first(name: str) -> float | None:
            return next((one.at for one in self.heard[name] if one.at > since and one.session not in known[name]), None)

        until(lambda: all(first(name) is not None for name in known), seconds, "streams are judged again")
        return max(first(name) or since for name in known) - since

    # Its own.

    def _answers(self) -> bool:
        assert self._front is not None
        if self._front.poll() is not None:
            raise RuntimeError(f"the front ended:\n{(self.folder / 'front.log').read_text(errors='replace')[-4000:]}")
        with contextlib.suppress(httpx.HTTPError):
            return self.api.get("/streams").status_code == 200
        return False

    def _hear(self) -> None:
        while not self._stop.is_set():
            with (
                contextlib.suppress(httpx.HTTPError),
                self.api.stream("GET", "/events?types=second", timeout=5.0) as answer,
            ):
                kind = ""
                for line in answer.iter_lines():
                    if self._stop.is_set():
                        return
                    if line.startswith("event:"):
                        kind = line.partition(":")[2].strip()
                    elif line.startswith("data:") and kind == "second":
                        told = json.loads(line.partition(":")[2])
                        if not told["frames_measured"]:
                            continue  # an owner that has no picture yet says so every second
                        played = datetime.fromisoformat(told["played_at"]).timestamp()
                        self.heard[told["stream"]].append(Heard(time.monotonic(), played, told["session"]))
            self._stop.wait(0.1)


def _helpers(pid: int) -> list[psutil.Process]:
    """Those that wait for the end of a pipe of this process: they are nobody's children."""
    pipes = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(fd).startswith("pipe:")}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "engine.cluster.last_will" in (process.info["cmdline"] or ()):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process.pid}/fd/0") in pipes:
                    found.append(process)
    return found


def kept_twice(sessions_of: Mapping[str, Mapping[str, Sequence[float]]]) -> int:
    """Seconds of one session of a stream that lie within the time of another one.

    Args:
        sessions_of: by stream and session, when its seconds were played.
    """
    found = 0
    for sessions in sessions_of.values():
        spans = sorted((min(times), max(times), name) for name, times in sessions.items())
        for begins, ends, name in spans:
            for other, times in sessions.items():
                if other != name:
                    found += sum(begins < at < ends for at in times)
    return found


def kept_seconds(verdicts: Path, least_share: float = 0.0) -> dict[str, dict[str, list[float]]]:
    """What the store of verdicts has: by stream and session, when its seconds were played.

    Args:
        verdicts: its folder.
        least_share: of the pictures that a second should have; seconds of which fewer were measured are left out.
    """
    import pyarrow.parquet as pq

    columns = ["stream", "session", "played_at", "frames_expected", "frames_measured"]
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(verdicts.rglob("*.parquet")):
        for row in pq.ParquetFile(file).read(columns=columns).to_pylist():
            share = row["frames_measured"] / row["frames_expected"] if row["frames_expected"] else 0.0
            if share >= least_share:
                found[row["stream"]][row["session"]].append(row["played_at"].timestamp())
    return {stream: dict(sessions) for stream, sessions in found.items()}
