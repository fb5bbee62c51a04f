"""How long commands take to begin: what is run, and what the page says of it."""

import subprocess

import pytest

from benchmarks.measured_parts import start
from benchmarks.start import make_second, measure, run

ONCE = {"p20": 1.1, "p50": 1.25, "p80": 1.5, "n": 9}


def test_a_command_is_timed_after_one_that_does_not_count_and_its_failure_is_no_figure(tmp_path):
    assert make_second(tmp_path / "second.mp4").stat().st_size > 1000
    found = measure({"help": ["--help"]}, 2)["help"]
    assert found["seconds"]["n"] == found["cpu_seconds"]["n"] == 2
    assert found["seconds"]["p50"] > 0
    assert found["cpu_seconds"]["p50"] > 0
    with pytest.raises(subprocess.CalledProcessError):
        run(["check", str(tmp_path / "not-there.mp4")])


@pytest.mark.parametrize(("median", "said"), [(1.25, "reached"), (2.5, "missed")])
def test_the_page_holds_check_to_its_goal(median, said):
    environment = {"cpu": "a CPU", "cores": 2, "gpu": None, "load": 0.5}
    commands = {name: {"seconds": ONCE, "cpu_seconds": ONCE} for name in ("avjury --help", "avjury check")}
    commands["avjury check"] = {"seconds": {**ONCE, "p50": median}, "cpu_seconds": ONCE}
    figures = {"load_before": 0.25, "commands": commands}
    text = "\n".join(start({"environment": environment, "file": "start-1.json", "figures": figures}))
    assert f"| `avjury check` | {median:.2f} | 1.10 to 1.50 | 1.25 | 9 |" in text
    assert f"The goal is 2 s: {said}." in text
