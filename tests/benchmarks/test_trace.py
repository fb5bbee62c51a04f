"""`avjury bench trace` writes a trace that a browser can show."""

import json
import subprocess
import sys


def test_a_trace_of_a_few_batches_names_the_operators(tmp_path):
    target = tmp_path / "trace.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.trace", "--device", "cpu", "--streams", "2", "--size", "128x96"),
            *("--output", target),
        ],
        capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    told = json.loads(done.stdout)
    events = json.loads(target.read_text())["traceEvents"]
    assert told["bytes"] == target.stat().st_size
    assert {event.get("cat") for event in events} >= {"cpu_op"}
    assert told["longest"][0]["us"] > 0
