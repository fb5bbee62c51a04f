"""Tells that CPU kernels are being compiled, while they are: on a new machine that takes a minute or two."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from numba.core import event

_KIND: Final = "numba:compile"  # never of a kernel that was loaded from numba's cache


class _Listener(event.Listener):
    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell: Callable[[], object] | None = tell

    def on_start(self, event: Any) -> None:
        """The first kernel of them."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


@contextlib.contextmanager
def told_of_compiling(tell: Callable[[], object]) -> Iterator[None]:
    """Within it, `tell` is called once, by the thread that compiles, before the first kernel that has to be."""
    listener = _Listener(tell)
    event.register(_KIND, listener)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        event.unregister(_KIND, listener)  # type: ignore[no-untyped-call]
