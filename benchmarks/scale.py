"""`avjury bench scale`: channels of the live service until real time is lost; what each costs as they become more.

The same service, sender and watch as `bench service`, from one channel on: every step tells cores, memory and dollars
per channel, and whether those stay what they were with few channels. What the service takes without any channel is told
apart. The sender runs on the same cores and is not counted.
"""

import contextlib
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.function_chain.account import INSTANCE, load_prices
from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.live.service import SIZES, Service, make_channel, running, wait_until_running
from benchmarks.looped import RATE

RUNNING_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 6.0
WATCH_SECONDS: Final = 4.0
LATE_SECONDS: Final = 1.0
JUDGED_SHARE: Final = 0.98
MOST_CHANNELS: Final = 256
# Where costs are looked at; beyond the last of these, as many more at a time as between the last two.
STEPS: Final = {"360p": (1, 2, 4, 8, 12, 16, 20), "1080p": (1, 2, 4, 6, 8)}


def find_sustained(
    folder: Path, clip: Path, counts: Iterable[int], watch_seconds: float = WATCH_SECONDS
) -> dict[str, Any]:
    """Add channels until real time is lost.

    Args:
        folder: for the service's files.
        clip: what the channels play.
        counts: rising numbers of channels at which to look.
        watch_seconds: how long to look each time.
    """
    steps: list[dict[str, Any]] = []
    sustained, why = 0, "the limit of this benchmark"
    with running(folder, clip) as (service, origin, _):
        idle, began = service.cost(), time.monotonic()
        time.sleep(watch_seconds)
        busy = (service.cost()["cpu_seconds"] - idle["cpu_seconds"]) / (time.monotonic() - began)
        steps.append({"channels": 0, "cores_busy": round(busy, 3), **service.cost()})
        count = 0
        for wanted in itertools.takewhile(lambda number: number <= MOST_CHANNELS, counts):
            names = [f"c{index}" for index in range(count, wanted)]
            added = [name for name in names if service.add(name, origin.url(name))]
            if not added:
                why = "refused: no headroom"
                break
            with contextlib.suppress(RuntimeError):  # what does not run by then is a problem that is seen below
                wait_until_running(service, added, RUNNING_SECONDS)
            time.sleep(SETTLE_SECONDS)
            problem, row = _watch(service, watch_seconds)
            count += len(added)
            steps.append({"channels": count, **row, **service.cost(), "load": round(os.getloadavg()[0], 2)})
            say(json.dumps(steps[-1]))
            if problem:
                why = problem
                break
            sustained = count
            if len(added) < len(names):
                why = "refused: no headroom"
                break
    return {"channels": sustained, "ended_by": why, "steps": steps, "mb_per_channel": _slope(steps)}


def _watch(service: Service, watch_seconds: float) -> tuple[str | None, dict[str, Any]]:
    """Whether every channel is judged in real time now. Returns: what is wrong, and what was seen."""
    before, began = service.measured(), time.monotonic()
    cpu = service.cost()["cpu_seconds"]
    time.sleep(watch_seconds)
    after, seconds = service.measured(), time.monotonic() - began
    statuses = service.statuses()
    rates = [(after.get(name, 0) - before.get(name, 0)) / seconds / RATE for name in statuses]
    row = {
        "judged_share": round(min(rates), 3),
        "lag_seconds": round(max(status["lag_seconds"] for status in statuses.values()), 3),
        "sampling": min(status["sampling"] for status in statuses.values()),
        "cores_busy": round((service.cost()["cpu_seconds"] - cpu) / seconds, 3),
    }
    states = sorted({status["state"] for status in statuses.values()} - {"running"})
    if states:
        return f"state {', '.join(states)}", row
    if row["sampling"] < 1:
        return "judged less often", row
    if row["lag_seconds"] > LATE_SECONDS:
        return "late", row
    # The reports of counters come once a second, so a share over some seconds is not exact.
    if sum(rates) / len(rates) < JUDGED_SHARE - 1 / (watch_seconds * RATE):
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


def steps_of(size: str) -> Iterable[int]:
    """Numbers of channels at which to look, without an end."""
    first = STEPS[size]
    return itertools.chain(first, itertools.count(2 * first[-1] - first[-2], first[-1] - first[-2]))


def per_channel(sustained: Mapping[str, Any], hour: float, vcpus: int, cores: int) -> dict[str, Any]:
    """What each step of a run costs per channel.

    Args:
        sustained: of `find_sustained`.
        hour, vcpus: price and size of the instance that it is priced on.
        cores: of this machine; a core counts as a vCPU.
    Returns: for each number of channels that held, cores, megabytes and dollars per channel; cores also without what
        the service takes with no channel, megabytes also for each more; how the last compares with the first; the price
        of a full instance.
    """
    idle = next(step for step in sustained["steps"] if step["channels"] == 0)
    first = next((step for step in sustained["steps"] if step["channels"]), idle)
    rows = []
    for step in sustained["steps"]:
        if not step["channels"] or step["channels"] > sustained["channels"]:
            continue
        busy = step["cores_busy"] / step["channels"]
        rows.append({
            "channels": step["channels"],
            "cores_per_channel": round(busy, 4),
            "cores_per_channel_above_idle": round((step["cores_busy"] - idle["cores_busy"]) / step["channels"], 4),
            "mb_per_channel": round(step["resident_mb"] / step["channels"], 1),
            # Above the first step with channels: without any, the engine still holds what compiling took.
            "mb_for_each_more": None if step is first else round(
                (step["resident_mb"] - first["resident_mb"]) / (step["channels"] - first["channels"]), 1
            ),
            "dollars_per_stream_hour_of_used_cores": round(hour / vcpus * busy, 6),
            "dollars_per_stream_hour_if_the_instance_held_no_more": round(hour * cores / vcpus / step["channels"], 6),
        })  # fmt: skip
    found: dict[str, Any] = {
        "idle": {"cores_busy": idle["cores_busy"], "resident_mb": idle["resident_mb"]},
        "rows": rows,
        "channels": sustained["channels"],
        "ended_by": sustained["ended_by"],
        "steps": sustained["steps"],
    }
    if rows:
        for what in ("cores_per_channel", "cores_per_channel_above_idle", "mb_per_channel"):
            if rows[0][what]:
                found[f"{what}_last_over_first"] = round(rows[-1][what] / rows[0][what], 3)
        # A whole instance is paid for, also what no channel may use.
        found["dollars_per_stream_hour_of_the_instance"] = round(hour * cores / vcpus / sustained["channels"], 6)
    return found


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("scale", __doc__)
    arguments.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES), help="of the pictures")
    arguments.add_argument("--watch-seconds", type=float, default=2 * WATCH_SECONDS, help="at each number of channels")
    options = arguments.parse_args()
    show_children_this_tree()
    instance = load_prices()["instances"][INSTANCE]
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {"instance": INSTANCE}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        for size in options.sizes:
            clip = make_channel(Path(name), size)
            sustained = find_sustained(Path(name), clip, steps_of(size), options.watch_seconds)
            figures[size] = per_channel(sustained, instance["hour"], instance["vcpus"], cores)
            say(json.dumps(figures[size]))
    path = write_result("scale", figures, options.results)
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
