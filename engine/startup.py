"""The start of a process: what is imported stays for as long as it lives, and is not searched for garbage."""

import contextlib
import gc
from collections.abc import Iterator


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
