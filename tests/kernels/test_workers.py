"""Rows of a batch on several threads: each once, and no call comes back while one is still at work."""

import threading
import time

import pytest

from kernels.workers import for_each_row


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_each_row_is_done_once(count):
    done = []
    for_each_row(done.append, count)
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize("bad", [0, 3])
def test_failure_of_a_row_is_raised_when_all_the_others_are_done(bad):
    done, lock = [], threading.Lock()

    def work(row):
        if row == bad:
            raise ValueError(f"row {row}")
        time.sleep(0.05)
        with lock:
            done.append(row)

    with pytest.raises(ValueError, match=f"row {bad}"):
        for_each_row(work, 5)
    assert sorted(done) == [row for row in range(5) if row != bad]
