"""Whether somebody is told of what begins on a stream now."""

import hashlib
import json
from collections.abc import Iterable

from engine.settings.maintenance import Window


def suppressed(windows: Iterable[Window], at: float) -> bool:
    """Whether nobody is told of what begins at a moment.

    Args:
        windows: of the stream. One that suppresses counts more than those within which alone somebody is told.
        at: Unix seconds.
    """
    only_then: list[bool] = []
    for window in windows:
        holds = window.holds(at)
        if window.mode == "invert":
            only_then.append(holds)
        elif holds:
            return True
    return bool(only_then) and not any(only_then)


def named(window: Window) -> Window:
    """The window with an id: its own, or one that the same window gets again."""
    if window.id is not None:
        return window
    digest = hashlib.sha256(json.dumps(window.as_json(), sort_keys=True).encode()).hexdigest()
    return window.model_copy(update={"id": digest[:8]})
