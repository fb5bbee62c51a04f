"""SIGINT and SIGTERM, while a command judges.

Run by: the user's main thread, which owns the signal handlers.
"""

import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.pipeline import Engine


class StopSignals:
    """SIGINT and SIGTERM stop the engine, so that what was found is still told; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._engine: Engine | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, engine: "Engine") -> None:
        """Stop this engine from now on."""
        self._engine = engine
        if self.asked:
            engine.stop()

    def stop(self) -> None:
        """What a signal does."""
        self.asked = True
        if self._engine is not None:
            self._engine.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.stop()
