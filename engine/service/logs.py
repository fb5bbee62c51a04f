"""Log lines: JSON for machines or text for a terminal, secrets hidden, at most a few lines a second for each stream.

A record names its stream by `extra={"stream": id}`, or by beginning with "id: " as the engine's lines do.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any, Final, Literal

from engine.ingest.url_policy import redact
from engine.output import printable

LINES_PER_SECOND: Final = 5
# Streams whose counts are kept; beyond that the oldest are forgotten, and begin anew.
MOST_STREAMS: Final = 4096
LOGGERS: Final = ("engine", "uvicorn.error", "alembic", "py.warnings")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class RateLimit(logging.Filter):
    """Lets so many lines a second through for each stream, and says how many it held back.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, list[float]] = {}  # begin of the second, lines in it, lines held back

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        stream = getattr(record, "stream", None)
        if not stream:
            return True
        now = self._clock()
        with self._lock:
            count = self._counts.get(stream)
            if count is None or now - count[0] >= 1.0:
                held_back = int(count[2]) if count is not None else 0
                self._counts.pop(stream, None)
                self._counts[stream] = [now, 1, 0]
                if len(self._counts) > MOST_STREAMS:
                    del self._counts[next(iter(self._counts))]
                if held_back:
                    record.suppressed = held_back
                return True
            # One of the lines is the one that says how many were held back.
            if count[1] < LINES_PER_SECOND:
                count[1] += 1
                return True
            count[2] += 1
            return False


def _said(record: logging.LogRecord) -> str:
    """The message with its secrets hidden, and how many lines before it were not written."""
    text = redact(record.getMessage())
    suppressed = getattr(record, "suppressed", 0)
    return f"{text} (suppressed {suppressed} lines before this one)" if suppressed else text


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _said(record),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and value not in ("", None):
                line[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """For people: time, level, stream, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; more only where an exception is told."""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        stream = getattr(record, "stream", "")
        text = f"{at} {record.levelname.lower():7} {f'{stream}: ' if stream else ''}{_said(record)}"
        text = printable(text)
        if record.exc_info:
            text += "\n" + redact(self.formatException(record.exc_info))
        return text


class _OwnStream(logging.Filter):
    """Finds the stream of the engine's lines, which begin with its id."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "stream"):
            arguments = record.args
            first = arguments[0] if isinstance(arguments, tuple) and arguments else None
            begins = isinstance(record.msg, str) and record.msg.startswith("%s: ")
            record.stream = first if begins and isinstance(first, str) else ""
        return True


def configure(format: Literal["auto", "json", "text"], level: str, out: IO[str] | None = None) -> logging.Handler:
    """Write the lines of all parts of the service.

    Args:
        format: "auto" is text on a terminal, JSON elsewhere.
        level: least severe that is written.
        out: stderr unless given.
    Returns: the handler, for `remove`.
    """
    out = out if out is not None else sys.stderr
    text = format == "text" or (format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines() if text else JsonLines())
    handler.addFilter(_OwnStream())
    handler.addFilter(RateLimit())
    logging.captureWarnings(True)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(
            level.upper() if name == "engine" else max(logging.WARNING, logging.getLevelName(level.upper()))
        )
        logger.propagate = False
    return handler


def remove(handler: logging.Handler) -> None:
    """Take the handler away again."""
    logging.captureWarnings(False)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.removeHandler(handler)
        logger.propagate = True
