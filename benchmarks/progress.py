"""What a long measurement has found so far, and whether there is time for more."""

import time
from collections.abc import Callable
from typing import Any


class Progress:
    """Tells what was found as it is found, so that it is not lost with what comes after it.

    Args:
        seconds: from now on in which something new may begin.
        tell: called with all that was found so far.
    """

    def __init__(self, seconds: float = 3600.0, tell: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.found: dict[str, Any] = {}
        self._until = time.monotonic() + seconds
        self._tell = tell

    def add(self, name: str, value: object) -> None:
        """One more."""
        self.found[name] = value
        if self._tell is not None:
            self._tell(self.found)

    def left(self) -> float:
        """Seconds in which something new may begin; 0 where none are left."""
        return max(0.0, self._until - time.monotonic())

    def has_time_for(self, name: str, seconds: float) -> bool:
        """Whether there is time for something that takes so long; what there is none for is named in what was found."""
        if self.left() >= seconds:
            return True
        self.found.setdefault("no_time_for", []).append(name)
        return False
