"""Ends a blocking libav call of another thread.

PyAV 18 installs libav's interrupt callback itself; it asks `time.monotonic()` whether the deadline has passed, and
offers no other way in. So PyAV's view of that clock is replaced by one that runs far ahead in a thread that was asked
to stop: the callback, which libav asks about every 100 ms while it waits, then ends the call as if it had timed out.
If a later PyAV looks at another clock, the read timeout still ends the call, only later.

Whoever opens or reads an input owns its entry in `_watched` for the length of one call. Nothing here waits or blocks.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, get_ident
from typing import Any, Final

from av.container import core as _core

# Far above any timeout, and small enough for a double to keep milliseconds through thousands of calls.
_LEAP_SECONDS: Final = 1e6

_pyav: Any = _core  # its type stubs do not name the modules that it imports

_watched: dict[int, Event] = {}
_leaps = 0


class _Clock:
    """The `time` module as PyAV's containers see it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def monotonic() -> float:
        global _leaps
        stop = _watched.get(get_ident())
        if stop is not None and stop.is_set():
            # Further at every call: the deadline itself may have been taken from an earlier leap.
            _leaps += 1
            return time.monotonic() + _leaps * _LEAP_SECONDS
        return time.monotonic()


def install() -> None:
    """Put the clock in place. Idempotent."""
    if not isinstance(_pyav.time, _Clock):
        _pyav.time = _Clock()


@contextmanager
def interruptible(stop: Event) -> Iterator[None]:
    """Within it, libav calls of this thread end soon after `stop` is set."""
    watch(stop)
    try:
        yield
    finally:
        unwatch()


def watch(stop: Event) -> None:
    """From now on, libav calls of this thread end soon after `stop` is set."""
    _watched[get_ident()] = stop


def unwatch() -> None:
    """Libav calls of this thread are left alone again."""
    _watched.pop(get_ident(), None)
