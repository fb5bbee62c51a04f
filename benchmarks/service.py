"""`avjury bench service`: the live service over real sockets: how many streams, how soon a webhook, what memory.

One run: channels from a sender of its own process (benchmarks/live/origin.py), `avjury serve` as a user starts it, and
a receiver of webhooks here. Every channel plays one clip in which the picture is black for three seconds out of twenty.

- *Sustained*: channels are added until one is refused, judged less often than it has pictures, or more than a second
  late. Beside it: how many such channels these cores decode and do nothing else.
- *Latency*: from the moment at which the picture was sent that makes the black last for its set duration, to the
  webhook's arrival, with 50 % and 90 % of the sustained channels.
- *Memory*: of all the service's processes, by number of channels; and after adding and removing one a thousand times.
- *Soak* (`--soak-seconds`): healthy channels among sources that refuse, are not there, hang, end, come and
  go, are corrupt, or are no media.

All of it is one record. A part that fails is recorded as failed, the others are run all the same, and the command ends
with 1.
"""

import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.cpu_sides import decode_only
from benchmarks.faulty_sources import FaultySources
from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.latency import REFUSED_SECONDS, measure_latency
from benchmarks.live.service import READY_SECONDS, SIZES, UNIT_SECONDS, make_channel, running, wait_until_running
from benchmarks.looped import RATE, loop_clip
from benchmarks.scale import find_sustained

FIRST: Final = {"360p": 8, "1080p": 4}  # channels to begin with, then as many at a time as here:
STEPS: Final = {"360p": 4, "1080p": 1}
SOAK_CHANNELS: Final = 4  # where it is not known how many are sustained
# The usual ring of events is full after some 4,000 channels; what grows beside it is looked for.
SMALL_BACKLOG: Final = {"service": {"event_backlog": 256}}


def measure_cycles(folder: Path, clip: Path, cycles: int) -> dict[str, Any]:
    """Add a channel and take it out again, many times."""
    rows: list[dict[str, Any]] = []
    with running(folder, clip, SMALL_BACKLOG) as (service, origin, _):
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
                say(json.dumps(rows[-1]))
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


def _slope_per_hour(samples: list[tuple[float, float]]) -> float | None:
    """Of the straight line through (minute, megabytes), by least squares: one look into a file being written is no
    growth. None where there are no two."""
    mean_at, mean_mb = (sum(values) / len(samples) for values in zip(*samples, strict=True))
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    return 60 * sum((at - mean_at) * (mb - mean_mb) for at, mb in samples) / spread if spread else None


def soak(folder: Path, clip: Path, healthy: int, seconds: float) -> dict[str, Any]:
    """Healthy channels among faulty sources, for long; seconds count from when all healthy ones run."""
    rows: list[dict[str, Any]] = []
    names = [f"c{index}" for index in range(healthy)]
    long = loop_clip(clip, folder / "soak.ts", seconds + 2 * READY_SECONDS)  # none of them ends before the soak does
    with (
        running(folder, long, SMALL_BACKLOG) as (service, origin, receiver),
        contextlib.closing(FaultySources(clip)) as faulty,
    ):
        for name, url in {**{name: origin.url(name) for name in names}, **faulty.urls}.items():
            if not service.add(name, url):
                raise RuntimeError(f"no room for {name}")
        wait_until_running(service, names)
        began, measured, unanswered = time.monotonic(), service.measured(), 0
        while time.monotonic() - began < seconds:
            time.sleep(min(30.0, max(1.0, seconds / 40)))
            try:
                statuses = service.statuses()
            except httpx.TimeoutException:  # a machine with too much else to do is no end of a soak
                unanswered += 1
                continue
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
            say(json.dumps(rows[-1]))
        after, took = service.measured(), time.monotonic() - began
        causes = {name: status["cause"] for name, status in service.statuses().items() if name in faulty.urls}
        incidents = Counter((one["stream"], one["detector"]) for one in service.incidents())
    half = rows[len(rows) // 2 :]
    growth, handles, threads = (
        _slope_per_hour([(row["minutes"], row[name]) for row in half]) for name in ("resident_mb", "handles", "threads")
    )
    shares = [(after[name] - measured[name]) / took / RATE for name in names]
    black = sum(incidents[name, "video.black"] for name in names)  # faulty sources send some, too
    return {
        "seconds": seconds,
        "looks_without_an_answer": unanswered,
        "healthy": healthy,
        "faulty": causes,
        "mb_per_hour_second_half": None if growth is None else round(growth, 1),
        "handles_per_hour_second_half": None if handles is None else round(handles, 1),
        "threads_per_hour_second_half": None if threads is None else round(threads, 1),
        "most_zombies": max((row["zombies"] for row in rows), default=0),
        "least_healthy_running": min((row["healthy_running"] for row in rows), default=0),
        "least_judged_share": round(min(shares), 4),
        "black_found": black,
        "black_sent_about": int(healthy * took / UNIT_SECONDS),
        "others_on_healthy": {f"{stream} {detector}": count for (stream, detector), count in incidents.items()
                              if stream in names and detector != "video.black"},
        "webhooks": len(receiver.arrived),
        "rows": rows,
    }  # fmt: skip


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("service", __doc__)
    arguments.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES), help="of the pictures")
    arguments.add_argument(
        "--channels", type=int, help="that are sustained, where that is known: it is not measured then"
    )
    arguments.add_argument(
        "--latency-seconds", type=float, default=100.0, help="of each measurement of latency; 0 leaves it out"
    )
    arguments.add_argument(
        "--cycles", type=int, default=1000, help="channels that are added and removed; 0 leaves it out"
    )
    arguments.add_argument(
        "--soak-seconds", type=float, default=0.0, help="of the soak; 1800 is usual, 0 leaves it out"
    )
    arguments.add_argument("--soak-channels", type=int, help="healthy ones; default: half of the sustained ones")
    options = arguments.parse_args()
    show_children_this_tree()
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
    path = write_result("service", run.figures, options.results)
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
        say(f"{name}: {took} s")


def _size_part(folder: Path, size: str, latency_seconds: float, channels: int | None) -> Callable[[], dict[str, Any]]:
    """Everything about channels of one size of picture; how many are sustained is measured unless it is known."""

    def measure() -> dict[str, Any]:
        clip = make_channel(folder, size)
        figure: dict[str, Any] = {}
        most = channels
        if most is None:
            decoded = decode_only(folder / f"unit-{size}.ts", len(os.sched_getaffinity(0)))
            alone = decoded["frames"] / decoded["seconds"] / RATE
            sustained = find_sustained(folder, clip, itertools.count(FIRST[size], STEPS[size]))
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
            say(json.dumps(latency))
        return figure | {"latency": latency}

    return measure


if __name__ == "__main__":
    raise SystemExit(main())
