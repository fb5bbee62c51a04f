"""`avjury bench latency`: from the picture that makes a defect last for its set duration to the webhook's arrival.

With as many channels as are told, at the pace of live sources; `bench service` finds how many are sustained. The goal
is a 99th percentile of half a second at 90 % of those.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import parser, quantiles, say, show_children_this_tree, write_result
from benchmarks.live.service import (
    BLACK_AT,
    SET_SECONDS,
    SIZES,
    UNIT_SECONDS,
    changes_of,
    make_channel,
    running,
)

REFUSED_SECONDS: Final = 60.0  # no room for one channel for so long, where there should be some


def measure_latency(folder: Path, clip: Path, channels: int, seconds: float) -> dict[str, Any]:
    """From the picture that completes a defect's set duration to the webhook."""
    with running(folder, clip) as (service, origin, receiver):
        for index in range(channels):
            refused_at = time.monotonic()
            while not service.add(f"c{index}", origin.url(f"c{index}")):
                if time.monotonic() - refused_at > REFUSED_SECONDS:
                    raise RuntimeError(f"no room for the channel after {index}")
                time.sleep(1.0)  # what was added last still costs what beginning costs
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
        "load": round(os.getloadavg()[0], 2),
        "defects": len(found) + missed,
        "missed": missed,
        "seconds": {**quantiles(found), "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
                    "max": round(ordered[-1], 3)},
    }  # fmt: skip


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("latency", __doc__)
    arguments.add_argument("--size", choices=tuple(SIZES), default="1080p", help="of the pictures")
    arguments.add_argument("--channels", nargs="+", type=int, default=[1, 4, 8], help="at the same time, each in turn")
    arguments.add_argument("--seconds", type=float, default=60.0, help="of each measurement; a defect comes every 20")
    options = arguments.parse_args()
    show_children_this_tree()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        clip = make_channel(Path(name), options.size)
        for channels in options.channels:
            try:
                rows.append(measure_latency(Path(name), clip, channels, options.seconds))
            except RuntimeError as problem:  # no room for so many, or none was told of: a finding like any other
                rows.append({"channels": channels, "failed": str(problem)})
            say(json.dumps(rows[-1]))
    figures = {"size": options.size, "rows": rows}
    path = write_result("latency", figures, options.results)
    print(path)  # noqa: T201 - the command's result
    return 1 if any("failed" in row for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
