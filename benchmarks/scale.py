"""`avjury bench scale`: channels of the live service until real time is lost; what each costs as they become more.

The same service, sender and watch as `bench service`; here every step tells cores, memory and dollars per channel, and
whether those stay what they were with few channels.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.function_chain.account import INSTANCE, load_prices
from benchmarks.harness import write_result
from benchmarks.service import SIZES, find_sustained, make_channel


def per_channel(sustained: Mapping[str, Any], hour: float, vcpus: int, cores: int) -> dict[str, Any]:
    """What each step of a run costs per channel.

    Args:
        sustained: of `service.find_sustained`.
        hour, vcpus: price and size of the instance that it is priced on.
        cores: of this machine; a core counts as a vCPU.
    """
    idle = next(step["resident_mb"] for step in sustained["steps"] if step["channels"] == 0)
    rows = []
    for step in sustained["steps"]:
        if not step["channels"] or step["channels"] > sustained["channels"]:
            continue
        busy = step["cores_busy"] / step["channels"]
        rows.append({
            "channels": step["channels"],
            "cores_per_channel": round(busy, 4),
            "mb_per_channel": round((step["resident_mb"] - idle) / step["channels"], 1),
            "dollars_per_stream_hour_of_used_cores": round(hour / vcpus * busy, 6),
        })  # fmt: skip
    found: dict[str, Any] = {"rows": rows, "channels": sustained["channels"], "ended_by": sustained["ended_by"]}
    if rows:
        found["cores_per_channel_last_over_first"] = round(
            rows[-1]["cores_per_channel"] / rows[0]["cores_per_channel"], 3
        )
        # A whole instance is paid for, also what no channel may use.
        found["dollars_per_stream_hour_of_the_instance"] = round(hour * cores / vcpus / sustained["channels"], 6)
    return found


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="avjury bench scale", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES), help="of the pictures")
    parser.add_argument("--step", type=int, help="channels that are added at a time; default: 2 of 1080p, 4 of 360p")
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    instance = load_prices()["instances"][INSTANCE]
    figures: dict[str, Any] = {"instance": INSTANCE}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        for size in options.sizes:
            clip = make_channel(Path(name), size)
            step = options.step or (2 if size == "1080p" else 4)
            sustained = find_sustained(Path(name), clip, step, step)
            cores = len(os.sched_getaffinity(0))
            figures[size] = per_channel(sustained, instance["hour"], instance["vcpus"], cores)
            print(json.dumps(figures[size]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    path = write_result("scale", figures, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
