"""E-mail, chat and pagers through Apprise: text for people."""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from engine.errors import ConfigError
from engine.notify.message import Message
from engine.notify.sender import Sender
from engine.settings.notify import AppriseSink

# Shorter parts of an address are names of services and options; hiding "to" would hide half of every text.
_SHORTEST_SECRET: Final = 5


class AppriseSender(Sender):
    """Sends text to one service that Apprise knows.

    Args:
        name: of the sink.
        sink: its configuration.
    Raises: ConfigError.
    """

    def __init__(self, name: str, sink: AppriseSink) -> None:
        super().__init__(name)
        try:
            import apprise
        except ModuleNotFoundError as error:
            raise ConfigError(
                "wrong sink", stream=name, why="apprise is not installed", remedy='pip install "avjury[notify]"'
            ) from error
        self._apprise: Any = apprise
        self._url = sink.url.get_secret_value()
        self._most = sink.changes_per_message
        self._service: Any = apprise.Apprise.instantiate(self._url, suppress_exceptions=True)
        if self._service is None:
            raise ConfigError(
                "wrong sink", stream=name, why="Apprise does not know such an address",
                remedy="see https://github.com/caronc/apprise/wiki for the service's address",
            )  # fmt: skip
        self._service.socket_connect_timeout = sink.timeout_seconds
        self._service.socket_read_timeout = sink.timeout_seconds

    @property
    def summarises(self) -> bool:
        """People read it."""
        return True

    def send(self, message: Message) -> str:
        """Send; Apprise says only whether it worked, and why not in its log."""
        with _COMPLAINTS.kept() as said:
            try:
                arrived = self._service.notify(
                    body=message.text(self._most),
                    title=message.title(),
                    notify_type=self._kind(message),
                    body_format=self._apprise.NotifyFormat.TEXT,
                )
            except (OSError, TypeError, ValueError) as error:
                raise self.failed(self._redacted(str(error)), remedy="see the service's address") from error
        if not arrived:
            why = self._redacted("; ".join(said)) or f"{self._service.service_name} did not take it"
            raise self.failed(why, remedy="see the service's address, and that it is reached")
        return f"{self._service.service_name} took it"

    def _kind(self, message: Message) -> Any:
        kinds = self._apprise.NotifyType
        if message.test:
            return kinds.INFO
        latest = {change["id"]: change for change in message.changes()}.values()
        if all(change["state"] == "closed" for change in latest):
            return kinds.SUCCESS
        bad = any(change["severity"] == "critical" and change["state"] == "open" for change in latest)
        return kinds.FAILURE if bad else kinds.WARNING

    def _redacted(self, text: str) -> str:
        """Text without any part of the address that can be a secret."""
        whole = self._url.split("://", 1)[-1]
        parts = {piece for part in re.split(r"[/:@?&=,]", whole) for piece in (part, unquote(part))}
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= _SHORTEST_SECRET:
                text = text.replace(part, "***")
        return " ".join(text.split())[:300]


class _Complaints(logging.Filter):
    """Keeps what Apprise logs while a thread sends, from the log: it may hold parts of the address."""

    def __init__(self) -> None:
        super().__init__()
        self._mine = threading.local()

    @contextlib.contextmanager
    def kept(self) -> Iterator[list[str]]:
        """What this thread's sending made Apprise complain of."""
        logging.getLogger("apprise").addFilter(self)  # once, however often it is called
        lines: list[str] = []
        self._mine.lines = lines
        try:
            yield lines
        finally:
            del self._mine.lines

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it goes on to the log."""
        lines: list[str] | None = getattr(self._mine, "lines", None)
        if lines is None:
            return True
        if record.levelno >= logging.WARNING and len(lines) < 5:
            lines.append(record.getMessage())
        return False


# Apprise has one logger for all of its services.
_COMPLAINTS: Final = _Complaints()
