"""The chain as a whole: starts its processes, takes streams in, moves executions on, counts.

Run by: the benchmark's main thread, in `Chain.run`, which is the state machine's service; the entry point's HTTP server
has a thread of its own, which hands streams over in a queue. Workers and the object store are processes; the death of
one ends the run with an error. `close` ends all of them.
"""

import contextlib
import json
import multiprocessing
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from benchmarks.function_chain import worker
from benchmarks.function_chain.state_machine import StateMachine
from benchmarks.function_chain.store import BUCKET
from benchmarks.function_chain.variants import Variant

# Segments of a stream that are on their way at the same time.
AHEAD: Final = 2
ANSWER_SECONDS: Final = 300.0
_END_SECONDS: Final = 20.0


class StoreServer:
    """The object store's process, with the bucket made."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.function_chain.store_server"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip():
            self.close()
            raise RuntimeError("the object store did not start; are the development dependencies installed?")
        self.url = f"http://127.0.0.1:{int(line)}"
        request = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()

    def count(self) -> dict[str, float]:
        """Requests by method, connections, and CPU seconds so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        counted: dict[str, float] = json.loads(self._process.stdout.readline())
        return counted

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Instance:
    """A warm instance of a function, and the invocations that wait for it."""

    def __init__(self, function: str, kind: str, arguments: Mapping[str, Any]) -> None:
        self.function = function
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=worker.run, args=(theirs, kind, dict(arguments)), name=function)
        self._process.start()
        theirs.close()
        self.waiting: deque[tuple[str, bytes]] = deque()
        self.busy: str | None = None

    def invoke(self, execution: str, payload: bytes) -> None:
        """Hand an event over, now or when those before it are done."""
        self.waiting.append((execution, payload))
        self.go_on()

    def go_on(self) -> None:
        """Begin the next invocation if none is under way."""
        if self.busy is None and self.waiting:
            self.busy, payload = self.waiting.popleft()
            self.pipe.send_bytes(payload)

    def usage(self) -> dict[str, Any]:
        """What it has used so far; only while it has nothing to do."""
        self.pipe.send_bytes(b'{"usage": true}')
        if not self.pipe.poll(ANSWER_SECONDS):
            raise TimeoutError(f"{self.function} does not answer")
        used: dict[str, Any] = json.loads(self.pipe.recv_bytes())
        return used

    def close(self) -> None:
        """End it."""
        self.pipe.close()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


class EntryPoint:
    """Takes streams in over HTTP: `POST /streams` with `{"stream": ..., "url": ...}`."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                asked.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/streams"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_SECONDS)


@dataclass(slots=True)
class _Stream:
    url: str
    begun: int = 0
    done: int = 0
    ended: bool = False  # its last second was converted


@dataclass(slots=True)
class _Execution:
    stream: str
    second: int
    manifest: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)


class Chain:
    """The chain in one variant.

    Args:
        variant: how it is built.
        folder: for the state machine's database.
        receiver: url that is told of incidents.
        instances: of each function that works on media; streams are dealt out among them.
    """

    def __init__(self, variant: Variant, folder: Path, receiver: str, instances: int) -> None:
        self.variant = variant
        self.machine = StateMachine(folder / f"state-{variant.name}.db")
        self.store = StoreServer()
        self.entry = EntryPoint()
        url, image, bundled = self.store.url, variant.image, variant.bundled
        media: dict[str, tuple[str, dict[str, Any]]] = {
            "convert": ("convert", {"store": url, "image": image, "bundled": bundled,
                                    "segment_seconds": variant.segment_seconds})
        }  # fmt: skip
        for name, detectors in variant.functions.items():
            arguments = {"store": url, "image": image, "bundled": bundled, "names": detectors,
                         "results_in_store": variant.results_in_store, "function": name}  # fmt: skip
            media[f"detect-{name}"] = ("detect", arguments)
        self._instances = {name: [Instance(name, *made) for _ in range(instances)] for name, made in media.items()}
        self._instances["aggregate"] = [Instance("aggregate", "aggregate", {"store": url})]
        self._instances["notify"] = [Instance("notify", "notify", {"url": receiver})]
        self._streams: dict[str, _Stream] = {}
        self._executions: dict[str, _Execution] = {}
        self.incidents: dict[str, list[Any]] = {}
        self.seconds = self.segments = self.pictures = 0
        self.invocations: Counter[str] = Counter()
        self.wall_seconds: Counter[str] = Counter()
        self.payload_bytes = 0

    def run(self, streams: Mapping[str, str]) -> None:
        """Judge streams to their end.

        Args:
            streams: url or path by id; ids that were not used before.
        """
        for stream, url in streams.items():
            body = json.dumps({"stream": stream, "url": url}).encode()
            urllib.request.urlopen(urllib.request.Request(self.entry.url, data=body), timeout=30).close()
            self.invocations["entry"] += 1
        for _ in streams:
            asked = self.entry.asked.get(timeout=30)
            self._streams[asked["stream"]] = _Stream(asked["url"])
        self._begin_seconds()
        by_pipe = {instance.pipe: instance for some in self._instances.values() for instance in some}
        while self._executions:
            ready = wait(list(by_pipe), ANSWER_SECONDS)
            if not ready:
                raise TimeoutError("no function answers")
            for pipe in ready:
                self._answered(by_pipe[pipe])  # type: ignore[index]  # `wait` is typed for all that it takes
        self._streams.clear()

    def _begin_seconds(self) -> None:
        for stream, state in self._streams.items():
            while not state.ended and state.begun - state.done < AHEAD:
                execution = f"{stream}/{state.begun}"
                self._executions[execution] = _Execution(stream, state.begun)
                event = {"stream": stream, "second": state.begun, "url": state.url}
                state.begun += 1
                self.machine.start(execution, "Convert", event)
                self._invoke("convert", execution, event)

    def _invoke(self, function: str, execution: str, event: Mapping[str, Any]) -> None:
        instances = self._instances[function]
        index = list(self._streams).index(self._executions[execution].stream) % len(instances)
        payload = json.dumps({"event": event}).encode()
        self.payload_bytes += len(payload)
        self.invocations[function] += 1
        instances[index].invoke(execution, payload)

    def _answered(self, instance: Instance) -> None:
        try:
            raw = instance.pipe.recv_bytes()
        except EOFError:
            raise RuntimeError(f"{instance.function} died") from None
        self.payload_bytes += len(raw)
        answer = json.loads(raw)
        if "error" in answer:
            raise RuntimeError(f"{instance.function} failed:\n{answer['error']}")
        self.wall_seconds[instance.function] += answer["wall_seconds"]
        execution, instance.busy = instance.busy, None
        assert execution is not None
        instance.go_on()
        self._advance(execution, instance.function, answer["result"])

    def _advance(self, name: str, function: str, result: dict[str, Any]) -> None:
        """From the state whose function has answered to the next."""
        execution, machine = self._executions[name], self.machine
        stream = self._streams[execution.stream]
        if result.get("past_end"):
            self._executions.pop(name)
            machine.end(name)
        elif function == "convert":
            execution.manifest = result
            stream.ended = stream.ended or result["last"]
            machine.enter(name, "Detect", result)
            for detectors in self.variant.functions:
                machine.enter(name, f"Detect.{detectors}", result)
                self._invoke(f"detect-{detectors}", name, result)
        elif function.startswith("detect-"):
            execution.results[function] = result
            if len(execution.results) == len(self.variant.functions):
                event = {key: execution.manifest[key] for key in ("stream", "second", "last", "objects")}
                event["results"] = [execution.results[f"detect-{one}"] for one in self.variant.functions]
                machine.enter(name, "Aggregate", event)
                self._invoke("aggregate", name, event)
        elif function == "aggregate":
            machine.enter(name, "Changed", {"changes": len(result["changes"])})
            self.pictures += result["verdict"]["pictures"]
            if result["incidents"] is not None:
                self.incidents[execution.stream] = result["incidents"]
            if result["changes"]:
                machine.enter(name, "Notify", result)
                self._invoke("notify", name, result)
            else:
                self._end(name)
        else:
            self._end(name)

    def _end(self, name: str) -> None:
        execution = self._executions.pop(name)
        self.machine.end(name)
        self.seconds += execution.manifest["seconds"]
        self.segments += 1
        self._streams[execution.stream].done += 1
        self._begin_seconds()

    def counts(self) -> dict[str, Any]:
        """All that was counted so far; only between runs."""
        functions: dict[str, Any] = {}
        for name, instances in self._instances.items():
            used = [instance.usage() for instance in instances]
            functions[name] = {
                "invocations": self.invocations[name],
                "wall_seconds": self.wall_seconds[name],
                "cpu_seconds": sum(one["cpu_seconds"] for one in used),
                "handoff_cpu_seconds": sum(one["spent"]["handoff"] for one in used),
                "media_cpu_seconds": sum(one["spent"]["media"] for one in used),
                **{f"store_{what}": sum(one["counted"].get(what, 0) for one in used)
                   for what in ("put", "get", "delete", "put_bytes", "get_bytes")},
            }  # fmt: skip
            functions[name]["resident_mb_largest"] = max(one["resident_mb"] for one in used)
        return {
            "stream_seconds": self.seconds,
            "executions": self.segments,
            "pictures": self.pictures,
            "transitions": self.machine.transitions,
            "state_bytes": self.machine.bytes,
            "payload_bytes": self.payload_bytes,
            "orchestrator_cpu_seconds": time.process_time(),
            "store": self.store.count(),
            "functions": functions,
        }

    def close(self) -> None:
        """End all of it."""
        with contextlib.ExitStack() as stack:
            for part in (self.machine, self.store, self.entry):
                stack.callback(part.close)
            for instances in self._instances.values():
                for instance in instances:
                    stack.callback(instance.close)


def difference(after: Any, before: Any) -> Any:
    """What was counted between two `counts`; the largest resident memory is that of the later one."""
    if isinstance(after, Mapping):
        return {
            name: value if name.endswith("_largest") else difference(value, before.get(name, _zero(value)))
            for name, value in after.items()
        }
    return after - before


def _zero(value: Any) -> Any:
    return {} if isinstance(value, Mapping) else 0


def total(counts: Mapping[str, Any], what: str, functions: Sequence[str] | None = None) -> float:
    """The sum of a count over functions."""
    return float(sum(of[what] for name, of in counts["functions"].items() if functions is None or name in functions))
