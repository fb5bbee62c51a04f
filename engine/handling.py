"""What a process is working on, in shared memory, so that it can be read after the process has died.

Owned by: the supervisor makes the table and reads it; a child claims a row per stream and marks it busy while the
stream's bytes are in the hands of a library. One writer per row; a mark is one byte.
"""

import mmap
import os
import struct
import threading
from typing import Final

ROW_BYTES: Final = 320
_ID_BYTES: Final = 300
_BUSY: Final = 0  # offsets in a row
_LENGTH: Final = 2
_ID: Final = 4


class Handling:
    """One stream's row; without a table its marks go nowhere."""

    __slots__ = ("_at", "_row", "_table")

    def __init__(self, table: "HandlingTable | None" = None, row: int = 0) -> None:
        self._table = table
        self._row = row
        self._at = row * ROW_BYTES

    def begin(self) -> None:
        """From here on a crash may be this stream's doing."""
        if self._table is not None:
            self._table.memory[self._at] = 1

    def end(self) -> None:
        """No more."""
        if self._table is not None:
            self._table.memory[self._at] = 0

    def release(self) -> None:
        """The stream is gone. Idempotent."""
        table, self._table = self._table, None
        if table is not None:
            table.release(self._row)


class HandlingTable:
    """The rows of one process.

    Args:
        memory: file descriptor of the table's memory; it becomes the table's.
    """

    def __init__(self, memory: int) -> None:
        size = os.fstat(memory).st_size
        self.memory = mmap.mmap(memory, size)
        os.close(memory)
        self._lock = threading.Lock()
        self._free = list(range(size // ROW_BYTES - 1, -1, -1))

    @staticmethod
    def make(rows: int) -> int:
        """Memory for a table, as a file descriptor that the caller closes."""
        memory = os.memfd_create("avjury-handling", os.MFD_CLOEXEC)
        os.ftruncate(memory, rows * ROW_BYTES)
        return memory

    def claim(self, stream: str) -> Handling:
        """A row for a stream; one whose marks go nowhere where all are taken."""
        name = stream.encode()[:_ID_BYTES]
        with self._lock:
            if not self._free:
                return Handling()
            row = self._free.pop()
            at = row * ROW_BYTES
            self.memory[at : at + _ID] = b"\0\0" + struct.pack("<H", len(name))
            self.memory[at + _ID : at + _ID + len(name)] = name
        return Handling(self, row)

    def release(self, row: int) -> None:
        """Take a row back."""
        at = row * ROW_BYTES
        with self._lock:
            self.memory[at : at + _ID] = b"\0\0\0\0"
            self._free.append(row)

    def busy(self) -> frozenset[str]:
        """The streams whose rows are marked; ids of more than 300 bytes are cut."""
        found = set()
        for at in range(0, len(self.memory), ROW_BYTES):
            if self.memory[at + _BUSY]:
                (length,) = struct.unpack_from("<H", self.memory, at + _LENGTH)
                name = bytes(self.memory[at + _ID : at + _ID + min(length, _ID_BYTES)])
                found.add(name.decode(errors="replace"))
        return frozenset(found)

    def clear(self) -> None:
        """Forget all marks: the process is gone, its successor starts with none."""
        with self._lock:
            self.memory[:] = bytes(len(self.memory))

    def close(self) -> None:
        """Let go of the memory."""
        self.memory.close()
