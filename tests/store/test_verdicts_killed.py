"""A process that is killed at any moment loses no second that it had written, doubles none, and breaks no file."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from verdict_rows import wait_until

from engine.store.directory import Directory
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.questions import ask
from engine.store.verdict_reader import VerdictReader

WRITER = Path(__file__).with_name("verdict_writer.py")
ROOT = Path(__file__).parents[2]
STREAMS = 3


def write(verdicts, spool, first, seconds):
    """Run the writer for a while and kill it. Returns: up to which number it had written."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(verdicts), str(spool), str(first)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = process.stdout.readline()  # it has started
    time.sleep(seconds)
    process.kill()
    said = ([said, *process.stdout.read().splitlines()])[-1]
    process.stdout.close()
    process.wait(timeout=30)
    return int(said)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled_over_kills(tmp_path, kills):
    verdicts, spool = tmp_path / "verdicts", tmp_path / "spool"
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    first, written = 0, []
    for _ in range(kills):
        until = write(verdicts, spool, first, rng.uniform(0.0, 1.5))
        written += range(first, until)
        for file in verdicts.rglob("*.parquet"):
            pq.read_table(file, partitioning=None)  # whole, or this raises
        reader = VerdictReader(Directory(verdicts), spool)
        kept = ask(reader, "SELECT stream, second FROM seconds").rows
        assert len(kept) == len(set(kept)), f"seed {seed}"
        assert {(f"s{stream}", n) for stream in range(STREAMS) for n in written} <= set(kept), f"seed {seed}"
        first = max((n for _, n in kept), default=first - 1) + 1  # what it had not acknowledged may be there, too
    assert written
    store = VerdictStore(VerdictSettings(verdicts, spool))
    store.start()
    assert wait_until(lambda: store.snapshot()["spool_bytes"] == 0)
    assert store.stop()
    in_files = ask(VerdictReader(Directory(verdicts)), "SELECT stream, second FROM seconds").rows
    assert sorted(in_files) == sorted(kept), f"seed {seed}"
