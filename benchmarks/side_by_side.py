"""Work on many clips in processes side by side."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from engine.hardening import die_with_parent

Clip = TypeVar("Clip")
Result = TypeVar("Result")


def each(work: Callable[[Clip], Iterable[Result]], clips: Iterable[Clip], processes: int) -> list[Result]:
    """What `work` makes of every clip, in processes side by side that end with this one."""
    # Where this one is killed its workers would go on to the end of their clips.
    ends = partial(ProcessPoolExecutor, initializer=die_with_parent, initargs=(os.getpid(),))
    with ends(processes, mp_context=get_context("spawn")) as pool:
        return [one for of_clip in pool.map(work, clips) for one in of_clip]
