"""System calls that a process which reads what strangers send never makes, refused by a seccomp filter.

A list of what is refused, not of what is allowed: libav, libsrt, ALSA and Python may change what they call from one
release to the next, and a stream must not end for that. Source: Documentation/userspace-api/seccomp_filter.rst of
Linux; the numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Final

_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # of linux/audit.h
# Name: number on x86_64 and on aarch64; None where there is no such call.
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    # Programs and processes.
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    # Other processes' memory and descriptors.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # File systems and name spaces.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_by_handle_at": (304, 265), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "mount_setattr": (442, 442),
    "mknod": (133, None), "mknodat": (259, 33), "quotactl": (179, 60), "swapon": (167, 224), "swapoff": (168, 225),
    # The kernel: modules, programs in it, keys, tracing, and what runs calls past this filter.
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "personality": (135, 92), "syslog": (103, 116),
    "acct": (163, 89), "iopl": (172, None), "ioperm": (173, None),
    # The machine: clocks, names, its end.
    "reboot": (169, 142), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_THREAD: Final = 0x00010000  # CLONE_THREAD
_X32: Final = 0x40000000  # numbers from here on are x86_64's second table
# Of linux/bpf_common.h and linux/seccomp.h; `seccomp_data` has the call's number at 0, the architecture at 4, the low
# half of the first argument at 16.
_LOAD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_AT_LEAST: Final = 0x35
_IF_SET: Final = 0x45
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000


class _Filter(ctypes.Structure):
    """sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter as (code, jump if true, jump if false, value)."""
    column = list(_ARCHITECTURES).index(machine)
    calls = [number for numbers in _REFUSED.values() if (number := numbers[column]) is not None]
    x32 = [(_IF_AT_LEAST, len(calls) + 3, 0, _X32)] if machine == "x86_64" else []
    body = [
        *x32,
        *((_IF_EQUAL, len(calls) - index + 2, 0, call) for index, call in enumerate(calls)),
        (_IF_EQUAL, 3, 0, _CLONE[machine]),
        (_IF_EQUAL, 4, 0, _CLONE3),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        # Threads are made, and processes are not.
        (_LOAD, 0, 0, 16),
        (_IF_SET, 2, 1, _THREAD),
        # Its flags lie in memory, where a filter cannot look: the C library then calls `clone`.
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    # Calls of another architecture have other numbers: all are refused.
    head = [(_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    return [*head, (_LOAD, 0, 0, 0), *body]


def refuse_calls() -> str | None:
    """Refuse them to this thread, and to all that it will start. Needs no_new_privs.

    Returns: why they are not refused, on another processor or kernel; None where they are.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return f"no list of system calls for {machine}"
    lines = _program(machine)
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    wanted = _Filter(len(lines), ctypes.addressof(program))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.c_ulong(ctypes.addressof(wanted)), 0, 0) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number))
        return "this kernel was built without seccomp filters"
    return None
