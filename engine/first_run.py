"""Says why nothing happens: the first run on a machine compiles the CPU kernels.

Run by: a timer thread of whoever judges inputs; it looks once, says one line at most, and ends with the judging.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

# Opening inputs and loading compiled kernels take less.
PATIENCE_SECONDS: Final = 5.0

_log: Final = logging.getLogger(__name__)


@contextlib.contextmanager
def told_where_slow(waits: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Within it, say that kernels are being compiled where pictures or sound wait for it.

    Args:
        waits: whether something was decoded, and nothing was judged yet.
        patience_seconds: how long that is nobody's trouble.
    """

    def say() -> None:
        if waits():
            _log.warning("compiling the kernels for this machine; that takes up to a minute, once")

    timer = threading.Timer(patience_seconds, say)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
