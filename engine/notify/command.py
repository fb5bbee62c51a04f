"""`avjury notify test`: does a message get through to each sink, and if not, why."""

import sys
import time
import uuid
from collections.abc import Sequence
from typing import IO, Final

from engine.errors import AvjuryError, ConfigError
from engine.notify.message import Message, sample
from engine.notify.senders import make_sender
from engine.output import printable
from engine.settings.notify import NotifySection

ARRIVED: Final = 0
FAILED: Final = 1
WRONG: Final = 2


def send_tests(section: NotifySection, names: Sequence[str], out: IO[str]) -> int:
    """Send a test message through each of these sinks, one after the other.

    Args:
        section: what is configured.
        names: of sinks; all unless named.
        out: a line for each sink goes here.
    Returns: exit code: 0 if all arrived, 1 if one did not, 2 if one cannot even be tried.
    Raises: ConfigError for a name that is none, or where there is no sink.
    """
    if not section.sinks:
        raise ConfigError(
            "nobody to notify", why="no sink is configured", remedy="write notify.sinks in the file of --config"
        )
    for name in names:
        if name not in section.sinks:
            raise ConfigError(
                "no such sink", stream=name, why="notify.sinks does not have it",
                remedy=f"sinks: {', '.join(section.sinks)}",
            )  # fmt: skip
    code = ARRIVED
    for name in dict.fromkeys(names or section.sinks):
        began = time.monotonic()
        said: str | AvjuryError
        try:
            said = _send(name, section)
        except ConfigError as error:
            code, said = WRONG, error
        except AvjuryError as error:
            code, said = max(code, FAILED), error
        if isinstance(said, AvjuryError):
            out.write(f"{name}: failed: {printable(said.why)}; {printable(said.remedy)}\n")
        else:
            out.write(f"{name}: delivered in {time.monotonic() - began:.2f} s ({printable(said)})\n")
        out.flush()
    if unused := [name for name in section.sinks if not any(name in route.sinks for route in section.routes)]:
        print(f"avjury: no route leads to: {', '.join(unused)}", file=sys.stderr)  # noqa: T201 - as cli.py's errors
    return code


def _send(name: str, section: NotifySection) -> str:
    sender = make_sender(name, section.sinks[name], section)
    try:
        token = uuid.uuid4().hex
        message = Message(f"msg_test{token}", (sample(time.time(), f"test.{token}"),), test=True, link=section.link)
        return sender.send(message)
    finally:
        sender.close()
