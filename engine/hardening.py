"""What a child process gives up, and that it ends with its parent. Linux; prctl through ctypes."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from engine.landlock import confine
from engine.seccomp import refuse_calls

_SET_PDEATHSIG: Final = 1
_SET_NO_NEW_PRIVS: Final = 38
_MOST_FILES: Final = 4096


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def die_with_parent(parent: int) -> None:
    """Be killed when the parent's thread that started this process ends; at once if the parent has ended already.

    Args:
        parent: its process id.
    """
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def give_up_privileges(
    most_memory_bytes: int, readable: Iterable[Path] | None = None, devices: Iterable[Path] = ()
) -> list[str]:
    """For a process that reads what strangers send: no new privileges, no programs, no core files, bounded memory.

    To be called before it has threads: what it gives up then holds for all that come.

    Args:
        most_memory_bytes: of address space; 0 leaves it.
        readable: files and folders that it may still open, for reading; None leaves it all.
        devices: that it may open for reading and writing.
    Returns: what this machine cannot do of it, and why, one line each.
    """
    _prctl(_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most_memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (most_memory_bytes, most_memory_bytes))
    missing = []
    if readable is not None and (why := confine(readable, devices)) is not None:
        missing.append(f"it may open what its user may: {why}")
    if (why := refuse_calls()) is not None:
        missing.append(f"it may run programs: {why}")
    return missing
