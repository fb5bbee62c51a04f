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
    jobs = [_pool.submit(work, row) for row in range(1, count)]
    try:
        work(0)  # rather than wait for the others: handing a row over and waking up costs as much as a cheap kernel
    finally:
        for job in jobs:
            job.exception()  # waits: they write to the caller's memory
    for job in jobs:
        job.result()
