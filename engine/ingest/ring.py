"""Packets from an ingest process to an engine: a ring in shared memory, and a doorbell.

Owned by: the supervisor makes it and hands it to both; it lives as long as one of them has it open, has no name, and so
leaves nothing behind whoever is killed. One process writes (its threads share a lock), one thread of the other reads.
Neither ever waits for the other: where there is no room the writer is told so. A record becomes visible at once and
whole, when the count of written bytes grows, so a writer that dies in the middle of one leaves none.

The counts are aligned 8-byte words, which the machines that torch runs on store and load in one piece; the doorbell's
system call comes between the writer's last byte and the reader's first look.
"""

import contextlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

RING_BYTES: Final = 32 << 20
_PAGE: Final = 4096
_WRITTEN: Final = 0  # index of each count among the 8-byte words of the first page
_READ: Final = 8
_RECORD: Final = struct.Struct("<IIHHI")  # bytes of the record, stream number, kind, unused, bytes of the content
_ALIGN: Final = 8
_WRAP: Final = b"\xff\xff\xff\xff"  # the rest up to the end is left out


class RingBroken(Exception):
    """The ring holds what no writer of ours writes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a writer put in.

    Args:
        number: of the stream.
        kind: what it is; see ingest/messages.py.
        content: its bytes.
    """

    number: int
    kind: int
    content: bytes


def make_ring(size: int = RING_BYTES) -> tuple[int, int]:
    """Make a ring.

    Args:
        size: bytes of records, a multiple of the page size.
    Returns: file descriptors of the memory and of the doorbell; the caller closes them once both sides have theirs.
    """
    memory = os.memfd_create("avjury-ring", os.MFD_CLOEXEC)
    os.ftruncate(memory, _PAGE + size)
    return memory, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


class _Ring:
    def __init__(self, memory: int, doorbell: int) -> None:
        total = os.fstat(memory).st_size
        self.size = total - _PAGE
        self._map = mmap.mmap(memory, total)
        os.close(memory)
        self._view = memoryview(self._map)
        self._counts = self._view[:_PAGE].cast("Q")
        self._data = self._view[_PAGE:]
        self._doorbell = doorbell

    def close(self) -> None:
        """Let go of the memory and the doorbell. Idempotent."""
        doorbell, self._doorbell = self._doorbell, -1
        if doorbell >= 0:
            self._counts.release()
            self._data.release()
            self._view.release()
            self._map.close()
            os.close(doorbell)


class RingWriter(_Ring):
    """The writing end. Thread-safe.

    Args:
        memory, doorbell: file descriptors, from `make_ring`; they become the writer's.
    """

    def __init__(self, memory: int, doorbell: int) -> None:
        super().__init__(memory, doorbell)
        self._lock = threading.Lock()

    def half_empty(self) -> bool:
        """Whether there is room for much."""
        with self._lock:
            if self._doorbell < 0:
                return False
            return self._counts[_WRITTEN] - self._counts[_READ] <= self.size // 2

    def write(self, number: int, kind: int, *parts: bytes | memoryview) -> bool:
        """Put a record in.

        Args:
            number: of the stream.
            kind: what it is.
            parts: its content, in pieces.
        Returns: False where there is no room for it now, or the ring is closed.
        """
        content = sum(len(part) for part in parts)
        needed = (_RECORD.size + content + _ALIGN - 1) // _ALIGN * _ALIGN
        with self._lock:
            if self._doorbell < 0:
                return False
            written = self._counts[_WRITTEN]
            free = self.size - (written - self._counts[_READ])
            at = written % self.size
            rest = self.size - at
            if needed > rest:
                if rest + needed > free:
                    return False
                self._data[at : at + 4] = _WRAP
                written, at = written + rest, 0
            elif needed > free:
                return False
            _RECORD.pack_into(self._data, at, needed, number, kind, 0, content)
            place = at + _RECORD.size
            for part in parts:
                self._data[place : place + len(part)] = part
                place += len(part)
            self._counts[_WRITTEN] = written + needed
            with contextlib.suppress(BlockingIOError):  # it has been rung more often than it can count
                os.eventfd_write(self._doorbell, 1)
        return True

    def close(self) -> None:
        """Let go. Idempotent; later writes say that there is no room."""
        with self._lock:
            super().close()


class RingReader(_Ring):
    """The reading end, for one thread.

    Args:
        memory, doorbell: file descriptors, from `make_ring`; they become the reader's.
    """

    @property
    def doorbell(self) -> int:
        """The file descriptor to wait for."""
        return self._doorbell

    def read(self) -> Iterator[Record]:
        """Everything that is in it now, in order; each record's room is given back before the next one.

        Raises: RingBroken.
        """
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._doorbell)
        read = self._counts[_READ]
        while (written := self._counts[_WRITTEN]) != read:
            # Both counts lie where the writer can write: a process that was taken over may say anything.
            if not 0 <= written - read <= self.size:
                raise RingBroken(f"{read} bytes were read, and {written} written, of {self.size}")
            at = read % self.size
            rest = self.size - at
            if rest < _RECORD.size or bytes(self._data[at : at + 4]) == _WRAP:
                if rest > written - read:
                    raise RingBroken(f"{rest} bytes are left out at {at}, of {written - read} that were written")
                read += rest
                self._counts[_READ] = read
                continue
            length, number, kind, _, content = _RECORD.unpack_from(self._data, at)
            if not _RECORD.size + content <= length <= min(rest, written - read) or length % _ALIGN:
                raise RingBroken(f"a record of {length} bytes with {content} of content at {at}")
            place = at + _RECORD.size
            record = Record(number, kind, bytes(self._data[place : place + content]))
            read += length
            self._counts[_READ] = read
            yield record
