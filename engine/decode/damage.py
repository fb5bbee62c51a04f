"""Which thread's NVDEC decoder called a picture damaged.

PyNvVideoCodec hands a damaged picture out as if it were good; the only trace is a line that it prints on C's stdout,
`Decode Error occurred for picture N`, with a number that is not unique. But it prints in the thread that called
`Decode`. So C's `stdout` is replaced by a stream whose write function runs in that thread and counts by thread. It is
compiled by numba and takes no Python lock: taking one while C holds its stream lock could hang the process. All other
text goes to stderr, which also keeps the records on our own stdout clean (Python does not print through C's stdout).

Owned by the process, installed once, undone at exit. Linux with glibc only; elsewhere `install` says why not, and
damage is seen in the headers alone.
"""

import atexit
import ctypes
import threading
from typing import Any, cast

import numpy as np
import numpy.typing as npt

_THREADS = 4096  # decode threads of one process; the ones above share row 0
_LINE = b"Decode Error"
_UNBUFFERED = 2  # _IONBF of glibc


class _CookieFunctions(ctypes.Structure):
    """cookie_io_functions_t."""

    _fields_ = (
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("seek", ctypes.c_void_p),
        ("close", ctypes.c_void_p),
    )


class DamageTap:
    """Counts damaged pictures by thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # (row, [thread, count]); row 0 counts for threads that were never announced.
        self._table: npt.NDArray[np.uint64] = np.zeros((_THREADS, 2), dtype=np.uint64)
        self._counts = memoryview(cast(Any, self._table.reshape(-1)))  # one number costs numpy three times as much
        self._rows: dict[int, int] = {}
        self._kept: list[Any] = []  # what C still points to
        self._installed = False
        self._problem = ""

    def install(self) -> str:
        """Replace C's stdout, once.

        Returns: "" if damage is seen, else why not.
        """
        with self._lock:
            if not self._installed and not self._problem:
                try:
                    self._replace()
                    self._installed = True
                except (OSError, AttributeError, ValueError) as error:
                    self._problem = f"C's stdout cannot be replaced here ({error})"
            return self._problem

    def count(self) -> int:
        """Damaged pictures that the calling thread's decoders have reported so far."""
        thread = threading.get_ident()
        row = self._rows.get(thread)
        if row is None:
            row = self._announce(thread)
        return self._counts[2 * row + 1]

    def _announce(self, thread: int) -> int:
        with self._lock:
            row = min(len(self._rows) + 1, _THREADS - 1)
            self._rows[thread] = row
            self._table[row, 0] = thread
            return row

    def _replace(self) -> None:
        libc = ctypes.CDLL(None)
        slot = ctypes.c_void_p.in_dll(libc, "stdout")
        write = _compiled_writer()
        functions = _CookieFunctions(write=write.address)
        libc.fopencookie.restype = ctypes.c_void_p
        libc.fopencookie.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _CookieFunctions)
        libc.fflush.argtypes = (ctypes.c_void_p,)
        libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        stream = libc.fopencookie(self._table.ctypes.data, b"w", functions)
        if not stream:
            raise OSError("fopencookie failed")
        # Unbuffered: a line has to arrive while its Decode call is still running.
        libc.setvbuf(stream, None, _UNBUFFERED, 0)
        before = slot.value
        libc.fflush(before)
        self._kept = [write, functions, libc]

        def undo() -> None:
            # The write function is gone when the interpreter is; what prints after that must not find it.
            slot.value = before

        slot.value = stream
        atexit.register(undo)


def _compiled_writer() -> Any:
    """The stream's write function: ssize_t (*)(void *cookie, const char *text, size_t size)."""
    import numba  # a second to import; only machines with NVDEC pay it

    carray, types = vars(numba)["carray"], numba.types

    libc = ctypes.CDLL(None)
    # On Linux Python's thread ident is pthread_self().
    this_thread = libc.pthread_self
    this_thread.restype = ctypes.c_uint64
    this_thread.argtypes = ()
    emit = libc.write
    emit.restype = ctypes.c_ssize_t
    emit.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    line = np.frombuffer(_LINE, dtype=np.uint8)
    size_of_line = len(_LINE)
    rows = _THREADS

    @numba.cfunc(types.int64(types.voidptr, types.voidptr, types.uint64))
    def write(cookie: Any, text: Any, size: Any) -> Any:
        table = carray(cookie, (rows, 2), np.uint64)
        got = carray(text, (size,), np.uint8)
        ours = size >= size_of_line
        if ours:
            for i in range(size_of_line):
                if got[i] != line[i]:
                    ours = False
        if not ours:
            emit(2, text, size)
            return size
        thread = this_thread()
        row = 0
        for i in range(1, rows):
            if table[i, 0] == thread:
                row = i
                break
            if table[i, 0] == 0:
                break
        table[row, 1] += np.uint64(1)  # C holds the stream's lock: no two threads are here at once
        return size

    return write


damage_tap = DamageTap()
"""The one of this process: there is only one stdout."""
