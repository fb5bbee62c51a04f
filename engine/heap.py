"""Memory that was freed, and that the C library keeps: each arena of its allocator holds on to the most it ever had.

Threads come and go here with every stream and every request, and glibc gives them up to eight arenas a core, so that a
process grows for hours though nothing in it does. Where there is no glibc, nothing is done.
"""

import ctypes
from typing import Final

ARENAS: Final = 2
# Of malloc.h: M_ARENA_MAX, M_TRIM_THRESHOLD.
_ARENA_MAX: Final = -8
_TRIM_THRESHOLD: Final = -1
_TRIM_BYTES: Final = 1 << 20


def use_few_arenas(arenas: int = ARENAS) -> bool:
    """Let all threads of this process share few arenas. To be called before it has threads.

    Returns: whether the C library knows of such.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    return bool(set_option(_ARENA_MAX, arenas)) and bool(set_option(_TRIM_THRESHOLD, _TRIM_BYTES))


def give_back() -> None:
    """Give freed memory back to the machine; takes milliseconds. From any thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
