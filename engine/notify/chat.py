"""E-mail, chat and pagers through Apprise: text for people."""

import logging
import re
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
        said = _Said()
        logger = logging.getLogger("apprise")
        logger.addHandler(said)
        kept, logger.propagate = logger.propagate, False  # what it logs may hold parts of the address
        try:
            arrived = self._service.notify(
                body=message.text(self._most),
                title=message.title(),
                notify_type=self._kind(message),
                body_format=self._apprise.NotifyFormat.TEXT,
            )
        except (OSError, TypeError, ValueError) as error:
            raise self.failed(self._redacted(str(error)), remedy="see the service's address") from error
        finally:
            logger.propagate = kept
            logger.removeHandler(said)
        if not arrived:
            why = self._redacted("; ".join(said.lines)) or f"{self._service.service_name} did not take it"
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


class _Said(logging.Handler):
    """Keeps what Apprise complains of while one message is sent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if len(self.lines) < 5:
            self.lines.append(record.getMessage())
