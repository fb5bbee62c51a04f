"""The start of a process: what is imported stays for as long as it lives, and is not searched for garbage.

Nor is it taken down at its end.
"""

import atexit
import contextlib
import functools
import gc
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Within it Python looks for no garbage, and later not among what was made in it.

    torch and the kernels are half a million objects. To look through them again and again while more are loaded takes a
    fifth of a start; to look through all of them once while streams are judged would hold every verdict up.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@functools.cache
def keep_what_is_loaded() -> None:
    """What was loaded meanwhile, as the compiled kernels are when they are first used, is no garbage either.

    Once in a process: what happens to be garbage at that moment is kept too.
    """
    gc.freeze()


def leave(code: int) -> NoReturn:
    """End the process, once all is written and its threads have ended.

    What was registered to run at the end runs. Python would then let go of torch and the kernels object by object, a
    tenth of a short check.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    atexit._run_exitfuncs()
    os._exit(code)
