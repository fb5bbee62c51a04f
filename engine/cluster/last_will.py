"""Gives back what an engine owned the moment its process has died, and not only when its lease ends.

Run by: a process of its own beside each engine's actor (`LastWill` starts it), which is no child of it, as Ray ends
those with it. It reads from the actor which life of
which engine it stands for, and waits for the end of the pipe. It then makes sure that the process is gone, which only
its own machine can know, and ends the lease. It ends with that, or when the actor says that it left in order. If it
dies, or with its whole machine, the lease ends by itself six seconds later.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from typing import IO, Final

from engine.errors import StoreError
from engine.store.database import Database
from engine.store.owners import Owners

_GONE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_END_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class LastWill:
    """The process that is told what to give back.

    Args:
        database: URL; it goes through the pipe, where nobody of the machine reads it.
        name: of the engine.
        process: of the engine, see `gone`.
    """

    def __init__(self, database: str, name: str, process: tuple[int, str]) -> None:
        command = [sys.executable, "-P", "-m", "engine.cluster.last_will"]
        self._first = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._write({"database": database, "name": name, "pid": process[0], "started": process[1]})

    def name_life(self, incarnation: int) -> None:
        """It stands for this life of the engine from now on."""
        self._first.poll()  # it has begun by now, and left its parent
        self._write({"incarnation": incarnation})

    def revoke(self) -> None:
        """The engine leaves in order: nothing is to be given back for it."""
        self._write({"incarnation": 0})
        assert self._first.stdin is not None
        with contextlib.suppress(OSError):
            self._first.stdin.close()
        try:
            self._first.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._first.kill()
            self._first.wait()

    def _write(self, told: dict[str, object]) -> None:
        assert self._first.stdin is not None
        try:
            self._first.stdin.write(json.dumps(told).encode() + b"\n")
            self._first.stdin.flush()
        except OSError:
            log.warning("nobody will give back what this engine owns if it dies: its lease will end by itself")


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" if there is none of that id."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    # A process that has died and was not waited for runs no more either.
    return "" if len(fields) < 20 or fields[0] in "ZX" else fields[19]


def gone(pid: int, began: str, seconds: float) -> bool:
    """Whether the process of that id that began then is gone, within so many seconds."""
    until = time.monotonic() + seconds
    while started(pid) == began:
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def carry_out(pipe: IO[bytes]) -> bool:
    """Read what is to be given back, wait for the end, and give it back. Returns: whether it was."""
    will = json.loads(pipe.readline())
    database: Database | None = None
    incarnation = 0
    with contextlib.suppress(StoreError):  # it may be away just now; it is asked again then
        database = Database(will["database"])
        database.close()  # opened once, so that nothing is left to do then but to connect
    for line in pipe:
        incarnation = int(json.loads(line)["incarnation"])
    if incarnation == 0 or not gone(will["pid"], will["started"], _GONE_SECONDS):
        return False
    Owners(database or Database(will["database"])).leave(will["name"], incarnation)
    return True


def leave_parent() -> None:
    """Be nobody's child, in a session of one's own."""
    if os.fork():
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    leave_parent()
    with contextlib.suppress(StoreError, ValueError):
        carry_out(sys.stdin.buffer)
