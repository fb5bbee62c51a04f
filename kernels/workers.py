"""The threads on which CPU kernels work through the rows of a batch.

Run by: whoever calls `for_each_row`; the pool of `THREADS` threads is made when the first batch of several rows comes.
It is idle between calls, ends with the process, and an exception in it is raised in the caller. A row's numbers do not
depend on who computes them.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = min(8, os.cpu_count() or 1)

_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    global _pool
    _pool = None  # its threads did not come along into the forked process


os.register_at_fork(after_in_child=_forget_pool)


def for_each_row(work: Callable[[int], object], count: int) -> None:
    """`work(row)` for every row of a batch; it has to give up the GIL to gain from the threads.

    Args:
        work: independent for different rows.
        count: number of rows.
    """
    global _pool
    if count <= 1 or THREADS == 1:
        for row in range(count):
            work(row)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kernels")
    rows = iter(range(count))  # of all that take part: each takes the next one
    failures: list[Exception] = []

    def take_rows() -> None:
        for row in rows:
            try:
                work(row)
            except Exception as error:  # noqa: BLE001 - it is raised below, when nobody writes to the caller's memory
                failures.append(error)

    # One message for each thread, not for each row: handing over and waking up cost as much as a cheap kernel. Who has
    # not begun when the rows are done, because the cores are busy, is not waited for.
    helpers = [_pool.submit(take_rows) for _ in range(min(THREADS, count) - 1)]
    try:
        take_rows()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    if failures:
        raise failures[0]
