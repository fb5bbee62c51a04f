"""avjury on the inputs of the chain, with the same duties: tell a receiver of incidents, write a verdict per second.

`python -m benchmarks.function_chain.one_process` reads a request as JSON from standard input and prints what it took.
It is a process of its own, as the chain's functions are. A first run that does not count loads and fills what a
service's process has loaded and filled.
"""

import json
import queue
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from benchmarks.function_chain.functions import Notifier
from benchmarks.function_chain.variants import ALL
from engine.listener import Silent
from engine.outcome import Outcome
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from engine.verdicts import Incident, StreamSecond


class _Told(Silent):
    """Writes verdicts, and hands incidents to the thread that sends them."""

    def __init__(self, path: Path) -> None:
        self.changes: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._file = path.open("w", encoding="utf-8")

    def on_incident(self, incident: Incident, change: Literal["opened", "updated", "closed"]) -> None:
        if change != "updated":
            self.changes.put(
                {"change": change, "id": incident.id, "stream": incident.stream, "detector": incident.detector,
                 "severity": str(incident.severity), "start": incident.start, "end": incident.end,
                 "score": incident.score}
            )  # fmt: skip

    def on_second(self, second: StreamSecond) -> None:
        row = {"stream": second.stream, "second": second.second, "pictures": second.frames_measured,
               "open": second.open}  # fmt: skip
        self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


def judge(streams: dict[str, str], folder: Path, receiver: str) -> tuple[list[Outcome], float, float, int]:
    """Judge inputs side by side in one engine. Returns: outcomes, CPU seconds, wall seconds, notifications."""
    told, sent = _Told(folder / "verdicts.jsonl"), 0

    def send() -> None:
        nonlocal sent
        notifier = Notifier(receiver)
        while (change := told.changes.get()) is not None:
            notifier.handle({"changes": [change]})
            sent += 1
        notifier.close()

    sender = threading.Thread(target=send)
    cpu, wall = time.process_time(), time.perf_counter()
    sender.start()
    specs = [StreamSpec(id=stream, url=url, detectors={name: {} for name in ALL}) for stream, url in streams.items()]
    try:
        outcomes = check(specs, EngineSettings(device="cpu"), told)
    finally:
        told.changes.put(None)
        sender.join()
        told.close()
    return outcomes, time.process_time() - cpu, time.perf_counter() - wall, sent


def main() -> None:
    """Read the request, warm up, judge, print."""
    request = json.loads(sys.stdin.read())
    folder = Path(request["folder"])
    judge(request["warm_up"], folder, request["receiver"])
    outcomes, cpu, wall, sent = judge(request["streams"], folder, request["receiver"])
    for outcome in outcomes:
        if outcome.error is not None or outcome.summary is None:
            raise outcome.error or RuntimeError(f"{outcome.stream}: nothing was judged")
    found = {
        "stream_seconds": sum(outcome.summary.duration for outcome in outcomes if outcome.summary),
        "pictures": sum(outcome.summary.frames_measured for outcome in outcomes if outcome.summary),
        "cpu_seconds": cpu,
        "notifications": sent,
        "wall_seconds": wall,
        "resident_mb_largest": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "verdict_bytes": (folder / "verdicts.jsonl").stat().st_size,
        "incidents": {o.stream: [[i.detector, i.start, i.end] for i in o.incidents] for o in outcomes},
    }
    print(json.dumps(found))  # noqa: T201 - read by the benchmark


if __name__ == "__main__":
    main()
