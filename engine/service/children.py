"""Child processes, started by name: their sockets, their end.

Used by: the fleet's thread alone, which starts them (they are killed when that thread ends) and reaps them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from engine.handling import HandlingTable
from engine.wire import Channel

# Secrets of the service's own; children get what they need in messages.
_OWN_ENVIRONMENT: Final = "AVJURY_"
_STDERR: Final = 2

T = TypeVar("T")


class Child(Generic[T]):
    """One process.

    Args:
        name: shown in the list of processes.
        module: that is run.
        says: the type of what it sends.
        rows: of its table of what it works on.
        wanted: called when there is something to write to it.
        arguments: further ones of its command line.
    Raises: OSError where no process can be started.
    """

    def __init__(
        self,
        name: str,
        module: str,
        says: Any,
        rows: int,
        wanted: Callable[[], None],
        arguments: Sequence[str] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        memory = HandlingTable.make(rows)
        self.name = name
        self.table = HandlingTable(os.dup(memory))
        self.channel: Channel[T] = Channel(ours, says, wanted)
        self.started_at = time.monotonic()
        self.heard_at = self.started_at
        self.lost = False
        """Its connection is gone."""
        command = [sys.executable, "-P", "-m", module, "--control", str(theirs.fileno()), "--table", str(memory)]
        command += ["--parent", str(os.getpid()), "--name", name, *arguments]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(_OWN_ENVIRONMENT)}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,  # what libraries print is no output of ours
                pass_fds=(theirs.fileno(), memory),
                env=environment,
            )
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
            os.close(memory)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> int | None:
        """How it ended: its exit code, or minus the signal; None while it runs. Reaps it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and reap it."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go of the socket and the table. After its end."""
        self.channel.close()
        self.table.close()


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
