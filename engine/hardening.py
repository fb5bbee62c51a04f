"""What a child process gives up, and that it ends with its parent. Linux; prctl through ctypes."""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from typing import Final

_SET_PDEATHSIG: Final = 1
_SET_NO_NEW_PRIVS: Final = 38
_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_MOST_FILES: Final = 4096
# Of linux/audit.h, and the numbers of execve and execveat there.
_PROGRAM_CALLS: Final = {"x86_64": (0xC000003E, (59, 322)), "aarch64": (0xC00000B7, (221, 281))}
# Of linux/bpf_common.h and linux/seccomp.h; `seccomp_data` has the number of the call at 0 and the architecture at 4.
_LOAD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM


class _Filter(ctypes.Structure):
    """sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))


def _prctl(option: int, value: int, more: int = 0) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(more), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def die_with_parent(parent: int) -> None:
    """Be killed when the parent's thread that started this process ends; at once if the parent has ended already.

    Args:
        parent: its process id.
    """
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def give_up_privileges(most_memory_bytes: int) -> None:
    """For a process that reads what strangers send: no new privileges, no programs, no core files, bounded memory.

    To be called before it has threads: what it gives up then holds for all that come.

    Args:
        most_memory_bytes: of address space; 0 leaves it.
    """
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _refuse_programs()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most_memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (most_memory_bytes, most_memory_bytes))


def _refuse_programs() -> None:
    """Let every attempt to run a program fail, by a seccomp filter; other processors and kernels go without.

    Source: Documentation/userspace-api/seccomp_filter.rst of Linux.
    """
    known = _PROGRAM_CALLS.get(platform.machine())
    if known is None:
        return
    architecture, calls = known
    # (code, jump if true, jump if false, value); calls of another architecture have other numbers: all refused.
    lines = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, 0)]
    lines += [(_JUMP_IF_EQUAL, len(calls) - n, 0, call) for n, call in enumerate(calls)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    wanted = _Filter(len(lines), ctypes.addressof(program))
    try:
        _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(wanted))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # a kernel that was built without it
            raise
