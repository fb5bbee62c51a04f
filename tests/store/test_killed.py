"""A writer that is killed at any moment loses nothing that it said was kept, and doubles nothing when it comes back."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.sql import Store

WRITER = Path(__file__).with_name("writer.py")
ROOT = Path(__file__).parents[2]
COUNT = 60


def write(url, lines):
    """Run the writer and kill it after so many lines (None: let it end). Returns: the lines that it wrote."""
    process = subprocess.Popen(
        [sys.executable, str(WRITER), url, str(COUNT)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = []
    for line in process.stdout:
        said.append(line.split())
        if lines is not None and len(said) >= lines:
            process.kill()
    process.stdout.close()
    process.wait(timeout=30)
    return said


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled_over_kills(url, kills):
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    for _ in range(kills):
        said = write(url, rng.randrange(1, 2 * COUNT))
        store = Store(url)
        kept = {round(one.start / 100): one for one in store.incidents.list(limit=500).items}
        store.close()
        assert {int(number) for _, number in said} <= set(kept), f"seed {seed}"
        assert all(kept[int(number)].state == "closed" for what, number in said if what == "closed"), f"seed {seed}"
    write(url, None)
    store = Store(url)
    items = store.incidents.list(limit=500).items
    assert len(items) == COUNT, f"seed {seed}"
    assert all(one.state == "closed" for one in items)
    assert store.outbox.counts() == {("hook", "pending"): 2 * COUNT}, f"seed {seed}"
    store.close()
