"""The first command that a newcomer runs: what it plants, and nothing else, is found with every detector on."""

import json
import os
import subprocess
import sys
from pathlib import Path

from engine.demo import PLANTED, make_clip, run_demo

ROOT = Path(__file__).parents[2]


def test_the_demo_agrees_with_itself(tmp_path, capsys):
    assert run_demo(tmp_path / "demo", device="cpu")
    told = capsys.readouterr().out
    assert told.count("yes") == len(PLANTED)
    assert "NO" not in told
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000


def test_who_checks_the_demos_clip_is_told_the_same(tmp_path):
    make_clip(tmp_path / "demo.mp4")
    command = [sys.executable, "-m", "engine.cli", "check", "demo.mp4", "--format", "jsonl", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    told = [record for record in map(json.loads, done.stdout.splitlines()) if record["type"] == "incident"]
    assert [(one["detector"], one["closed_by"]) for one in told] == [
        (one.detector, "recovered") for one in sorted(PLANTED, key=lambda one: one.start)
    ]
