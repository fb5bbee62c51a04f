"""`avjury bench reliability`: injects every fault of the table into the real parts and records what held.

The rows of benchmarks/reliability_table.py are taken in an order by `--seed`, and the tests of each are run by pytest,
as `make test-all` runs them, with draws of that seed. What they record of themselves (how soon an incident was there,
what share of pictures was judged) is held to the row's limits. A row holds if its tests pass and its figures keep to
these; a row whose tests were skipped, or for which no time was left, is not said to hold. `make chaos` runs all of it.
"""

import fnmatch
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.reliability_table import ROWS, Row

TESTS: Final = Path(__file__).parents[1] / "tests"
ROW_SECONDS: Final = 1200.0
# Of what a test that failed says of itself, so much is kept.
MESSAGE_CHARACTERS: Final = 400
_PATH: Final = re.compile(r"(?<!\w)/[\w.@+-]+(?:/[\w.@+-]*)+")  # of the machine that it ran on: nobody else has it


def read_report(path: Path) -> dict[str, Any]:
    """What a JUnit file of pytest says: how many passed, failed and were skipped, and what figures were recorded."""
    found: dict[str, Any] = {"passed": 0, "failed": [], "said": [], "skipped": 0, "figures": {}}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        wrong = case.find("failure")
        wrong = case.find("error") if wrong is None else wrong
        if wrong is not None:
            found["failed"].append(case.get("name", ""))
            line = wrong.get("message", "").strip().partition("\n")[0]
            found["said"].append(_PATH.sub("...", line)[:MESSAGE_CHARACTERS])
        elif case.find("skipped") is not None:
            found["skipped"] += 1
        else:
            found["passed"] += 1
        for item in case.iter("property"):
            found["figures"].setdefault(item.get("name", ""), []).append(_value(item.get("value", "")))
    return found


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def outside(row: Row, figures: Mapping[str, list[Any]]) -> list[str]:
    """Which of a row's limits its figures do not keep to, or do not show at all."""
    wrong = []
    for name, limit, largest in (
        *((n, x, True) for n, x in row.most.items()),
        *((n, x, False) for n, x in row.least.items()),
    ):
        values = [value for value in figures.get(name, ()) if isinstance(value, float)]
        if not values:
            wrong.append(f"{name}: not measured")
        elif largest and max(values) > limit:
            wrong.append(f"{name}: {max(values):g}, at most {limit:g}")
        elif not largest and min(values) < limit:
            wrong.append(f"{name}: {min(values):g}, at least {limit:g}")
    return wrong


def run_row(row: Row, seed: int, seconds: float, *, fast: bool) -> dict[str, Any]:
    """Run a row's tests."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="avjury-reliability-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1", f"--hypothesis-seed={seed}", *(["-m", "not slow"] if fast else [])]
        command += [str(TESTS / test) for test in row.tests]
        environment = {**os.environ, "AVJURY_EXPLORE": "1", "AVJURY_FAULT_SEED": str(seed)}
        try:
            done = subprocess.run(
                command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return {"holds": False, "why": f"not done within {seconds:.0f} s", "seconds": round(seconds, 1)}
        if not report.exists():
            return {"holds": False, "why": done.stdout[-500:], "seconds": round(time.monotonic() - began, 1)}
        said = read_report(report)
    wrong = [] if fast else outside(row, said["figures"])
    holds = not said["failed"] and said["passed"] > 0 and not wrong
    failed = zip(said["failed"], said["said"], strict=True)
    why = "; ".join([*(f"failed: {name} ({message})" for name, message in failed), *wrong])
    return {"holds": holds, "why": why or ("" if said["passed"] else "nothing was run"), **said,
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("reliability", __doc__)
    arguments.add_argument("--seed", type=int, default=None, help="of order and draws; drawn and told if not given")
    arguments.add_argument("--minutes", type=float, default=60.0, help="after which no further row is begun")
    arguments.add_argument("--only", nargs="+", default=["*"], help="rows whose fault fits one of these patterns")
    arguments.add_argument("--fast", action="store_true", help="without the slow tests, and so without their figures")
    options = arguments.parse_args()
    show_children_this_tree()
    seed = int.from_bytes(os.urandom(3), "big") if options.seed is None else options.seed
    say(f"seed {seed}")
    rows = [row for row in ROWS if any(fnmatch.fnmatch(row.fault, pattern) for pattern in options.only)]
    random.Random(seed).shuffle(rows)
    began = time.monotonic()
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        left = 60.0 * options.minutes - (time.monotonic() - began)
        if left <= 0:
            break
        found[row.fault] = run_row(row, seed, min(left, ROW_SECONDS), fast=options.fast)
        say(f"{'holds' if found[row.fault]['holds'] else 'DOES NOT HOLD'}: {row.fault} {found[row.fault]['why']}")
    broken = [fault for fault, said in found.items() if not said["holds"]]
    figures = {
        "seed": seed,
        "fast": options.fast,
        "rows": len(ROWS),
        "run": len(found),
        "hold": len(found) - len(broken),
        "broken": broken,
        "not_run": [row.fault for row in ROWS if row.fault not in found],
        "seconds": round(time.monotonic() - began, 1),
        "by_fault": found,
    }
    print(write_result("reliability", figures, options.results))  # noqa: T201 - the command's result
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
