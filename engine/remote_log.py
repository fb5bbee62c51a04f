"""A child's log lines, told by its supervisor: one process writes the log, in one format.

Run by: whichever thread of the child logs. A line that finds no room is let go, and so are those of a stream that
speaks more often than a reader can follow.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

LINES_PER_SECOND: Final = 5
_MOST_SPEAKERS: Final = 4096
_MOST_CHARACTERS: Final = 4000


class LogLine(msgspec.Struct, tag=True, frozen=True):
    """One line. `name` is the logger's; `dropped` is how many lines before it were let go."""

    level: int
    name: str
    text: str
    dropped: int


class RemoteHandler(logging.Handler):
    """Hands records on as `LogLine`s.

    Args:
        send: given each line; whether it was taken.
    """

    def __init__(self, send: Callable[[LogLine], bool]) -> None:
        super().__init__()
        self._send = send
        self._spoken: dict[str, tuple[int, int]] = {}  # speaker: second, lines in it
        self._guard = threading.Lock()
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        speaker = text.split(":", 1)[0]  # messages begin with the stream that they are about
        now = int(time.monotonic())
        with self._guard:
            second, lines = self._spoken.get(speaker, (now, 0))
            lines = lines + 1 if second == now else 1
            if len(self._spoken) > _MOST_SPEAKERS:
                self._spoken.clear()
            self._spoken[speaker] = (now, lines)
            if lines > LINES_PER_SECOND:
                self._dropped += 1
                return
            dropped, self._dropped = self._dropped, 0
        if not self._send(LogLine(record.levelno, record.name, text[:_MOST_CHARACTERS], dropped)):
            with self._guard:
                self._dropped += dropped + 1


def log_remotely(send: Callable[[LogLine], bool], level: int = logging.INFO) -> None:
    """Let this process log through `send` and nowhere else."""
    root = logging.getLogger()
    root.handlers[:] = [RemoteHandler(send)]
    root.setLevel(level)
