"""`avjury bench overload-drill`: three times as many channels as a machine sustains: what is given up, in what order.

`avjury serve` is started with all channels in its configuration, a third of them each of a low, a usual and a high
priority, so that none is refused; each second it is asked how they are. In the record: when pictures were first judged
less often, when streams of each priority were first shed, what was judged at the end and against what the machine
sustains, how late the verdicts of what was judged were, and the whole course, which is drawn beside it.
"""

import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.charts import lines_over
from benchmarks.harness import RESULTS, parser, say, show_children_this_tree, write_result
from benchmarks.live.service import SIZES, Origin, Receiver, Service, make_channel
from benchmarks.looped import RATE
from benchmarks.records import newest

PRIORITIES: Final = {"low": 20, "usual": 50, "high": 80}
TIMES: Final = 3
SETTLED_SHARE: Final = 1 / 3  # of the drill, its end, over which what was kept is told


def sustained(size: str, folder: Path = RESULTS) -> int:
    """How many channels of a size the newest record of `avjury bench service` says are sustained."""
    figures = newest("service", f"{size}.sustained.channels", folder=folder)["figures"]
    return int(figures[size]["sustained"]["channels"])


def look(statuses: Mapping[str, Mapping[str, Any]], priority_of: Mapping[str, str]) -> dict[str, Any]:
    """How the channels are, by priority."""
    found: dict[str, Any] = {"states": {}, "sampling": {}, "lag_seconds": 0.0}
    for priority in PRIORITIES:
        mine = [status for name, status in statuses.items() if priority_of[name] == priority]
        judged = [status for status in mine if status["state"] == "running"]
        found["states"][priority] = dict(Counter(status["state"] for status in mine))
        found["sampling"][priority] = round(sum(s["sampling"] for s in judged) / len(mine), 3) if mine else 0.0
        found["lag_seconds"] = max([found["lag_seconds"], *(s["lag_seconds"] for s in judged)])
    return found


def course(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """When each thing was first given up, and what was kept at the end."""

    def first(of: list[dict[str, Any]], holds: Any) -> float | None:
        return next((row["second"] for row in of if holds(row)), None)

    # What has not started yet is not judged less often.
    known = [row for row in rows if not any("starting" in row["states"][name] for name in PRIORITIES)]
    last = rows[-max(1, int(len(rows) * SETTLED_SHARE)) :]
    return {
        "first_fewer_pictures": first(
            known,
            lambda row: any(0 < row["sampling"][name] < 1 and "shed" not in row["states"][name] for name in PRIORITIES),
        ),
        "first_shed": {name: first(rows, lambda row, name=name: "shed" in row["states"][name]) for name in PRIORITIES},
        "kept": {
            name: round(sum(row["states"][name].get("running", 0) for row in last) / len(last), 1)
            for name in PRIORITIES
        },
        "lag_seconds_at_the_end": round(max(row["lag_seconds"] for row in last), 2),
    }


def drill(folder: Path, size: str, channels: int, seconds: float) -> dict[str, Any]:
    """Run it."""
    clip = make_channel(folder, size)
    names = [f"c{index}" for index in range(channels)]
    priority_of = {name: list(PRIORITIES)[index % len(PRIORITIES)] for index, name in enumerate(names)}
    with contextlib.ExitStack() as stack:
        receiver, origin = stack.enter_context(contextlib.closing(Receiver())), Origin(clip)
        stack.callback(origin.close)
        streams = [{"id": name, "url": origin.url(name), "priority": PRIORITIES[priority_of[name]]} for name in names]
        service = stack.enter_context(contextlib.closing(Service(folder / "service", receiver, {"streams": streams})))
        began, rows = time.monotonic(), []
        settled: tuple[float, float] | None = None
        while (at := time.monotonic() - began) < seconds:
            if settled is None and at >= seconds * (1 - SETTLED_SHARE):
                settled = time.monotonic(), sum(service.measured().values())
            time.sleep(1.0)
            at = time.monotonic() - began
            rows.append({"second": round(at, 1), **look(service.statuses(), priority_of)})
            say(json.dumps(rows[-1]))
        assert settled is not None
        measured, since = service.measured(), time.monotonic() - settled[0]
    each_second = (sum(measured.values()) - settled[1]) / since
    judged = {name: round(sum(measured.get(c, 0.0) for c in names if priority_of[c] == name)) for name in PRIORITIES}
    return {
        "channels": channels,
        "seconds": seconds,
        **course(rows),
        "pictures_judged": judged,
        "pictures_a_second_at_the_end": round(each_second, 1),
        "of_what_is_sustained": round(each_second / (channels / TIMES * RATE), 3),
        "rows": rows,
    }


def drawn(rows: list[dict[str, Any]]) -> str:
    """The course as a chart."""
    series = {
        f"{name} priority": [(row["second"], 100.0 * row["sampling"][name]) for row in rows] for name in PRIORITIES
    }
    series["verdicts late by (100: 2 s)"] = [(row["second"], min(100.0, 50.0 * row["lag_seconds"])) for row in rows]
    return lines_over("What is judged under three times the load", series, "seconds since the start", "% of pictures")


def main() -> int:
    """Parse the command line, run, and keep the result and its chart."""
    arguments = parser("overload-drill", __doc__)
    arguments.add_argument("--size", choices=tuple(SIZES), default="360p", help="of the pictures")
    arguments.add_argument("--channels", type=int, help="default: three times what the newest record sustains")
    arguments.add_argument("--seconds", type=float, default=90.0, help="for how long")
    options = arguments.parse_args()
    show_children_this_tree()
    channels = options.channels or TIMES * sustained(options.size, options.results)
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        figures = drill(Path(name), options.size, channels, options.seconds)
    path = write_result("overload_drill", figures, options.results)
    path.with_suffix(".svg").write_text(drawn(figures["rows"]) + "\n", encoding="utf-8")
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
