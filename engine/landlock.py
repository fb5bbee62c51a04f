"""Landlock: what of the file system a process may still open, whatever it is made to do.

Needs no privilege. What a process has given up, it and all that it starts never get back. Source:
Documentation/userspace-api/landlock.rst of Linux; include/uapi/linux/landlock.h.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1
# LANDLOCK_ACCESS_FS_*
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _DEVICE_CALLS = 1 << 14, 1 << 15
# All rights of the first version; then those that later ones brought.
_FIRST: Final = (1 << 13) - 1
_LATER: Final = {2: 1 << 13, 3: _TRUNCATE, 5: _DEVICE_CALLS}
_SCOPES_SINCE: Final = 6
_SCOPES: Final = 0b11  # abstract sockets, signals: not to processes outside
_READ: Final = _READ_FILE | _READ_DIR
_OF_FILES: Final = _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CALLS


class _Rules(ctypes.Structure):
    """landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    """landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def version() -> int:
    """Of the kernel's Landlock; 0 where it has none, or it is switched off."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def confine(readable: Iterable[Path], devices: Iterable[Path] = ()) -> str | None:
    """Let this thread, and all that it will start, open nothing but what is named. Needs no_new_privs.

    Nothing can be written, made, removed or run; no signal reaches a process outside (from version 6 on). What is open
    stays open, and sockets are made as before.

    Args:
        readable: files and folders; those that are not there are left out.
        devices: that are also written to and controlled.
    Returns: why nothing is confined, where the kernel has no Landlock; None where it is.
    Raises: OSError.
    """
    known = version()
    if known < 1:
        return "this kernel has no Landlock, or it is switched off"
    handled = _FIRST | sum(right for since, right in _LATER.items() if known >= since)
    rules = _Rules(handled, 0, _SCOPES if known >= _SCOPES_SINCE else 0)
    size = ctypes.sizeof(rules) if known >= _SCOPES_SINCE else 16 if known >= 4 else 8
    ruleset = _call(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in devices:
            _allow(ruleset, path, handled & (_READ | _WRITE_FILE | _DEVICE_CALLS))
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return None


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it is not there, or nobody may look: then it needs no rule
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = _Beneath(rights, descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)
