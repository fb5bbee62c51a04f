"""`avjury bench latency`: from the picture that makes a defect last for its set duration to the webhook's arrival.

With as many channels as are told, at the pace of live sources; `bench service` finds how many are sustained. The goal
is a 99th percentile of half a second at 90 % of those.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import write_result
from benchmarks.service import SIZES, make_channel, measure_latency


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="avjury bench latency", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--size", choices=tuple(SIZES), default="1080p", help="of the pictures")
    parser.add_argument("--channels", nargs="+", type=int, default=[1, 4, 8], help="at the same time, each in turn")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement; a defect comes every 20")
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        clip = make_channel(Path(name), options.size)
        for channels in options.channels:
            rows.append(measure_latency(Path(name), clip, channels, options.seconds))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    figures = {"size": options.size, "rows": rows}
    path = write_result("latency", figures, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
