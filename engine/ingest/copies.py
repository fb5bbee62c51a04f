"""Packets of a transport stream that were sent twice, taken out before the demuxer.

A sender may send each packet twice (ISO/IEC 13818-1, 2.4.3.3), and a decoder takes one of them. libav's demuxer takes
both, and what it puts together is damaged. A copy becomes a null packet, so that every byte stays where it was.

Belongs to the reader's thread.
"""

import os
from typing import Final, Protocol

import numpy as np

from engine.ingest.ts_framing import NULL_PID, PACKET_BYTES, SYNC_BYTE, find_framing

# Who sends packets twice does it from the beginning: what has no copy in so much is handed on as it comes. A packet
# takes about a microsecond, which hundreds of streams would not have all the time.
_LOOKED_AT_BYTES: Final = 4 << 20
_PIECE_BYTES: Final = 1 << 20
# Where there was no run of packets in so much, it is no transport stream.
_UNFRAMED_BYTES: Final = 1 << 16
_ASTRAY_PACKETS: Final = 2


class Seekable(Protocol):
    """A file as a demuxer reads it."""

    def read(self, size: int) -> bytes: ...
    def seek(self, offset: int, whence: int = ...) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


class Copies:
    """Finds the copies in bytes that come in pieces, in their order."""

    def __init__(self) -> None:
        self.found = 0
        """How many there were so far."""
        self._looked_at = 0
        self._seen: dict[int, tuple[int, bytes, bool]] = {}  # by PID of its last packet: counter, end, whether a copy
        self._framing: tuple[int, int] | None = None
        self._held = b""
        self._hopeless = False

    def without(self, data: bytes) -> bytes:
        """What can be handed on now; a packet that is not whole yet waits.

        Args:
            data: what comes next; nothing at the end.
        """
        if self._hopeless:
            return data
        joined = bytearray(self._held + data)
        self._held = b""
        if not data:
            return bytes(joined)
        begin = 0
        if self._framing is None:
            found = find_framing(np.frombuffer(joined, np.uint8))
            if found is None:
                self._hopeless = len(joined) > _UNFRAMED_BYTES
                self._held = b"" if self._hopeless else bytes(joined)
                return bytes(joined) if self._hopeless else b""
            self._framing, begin = found[:2], found[2]
        end, astray = self._take_out(joined, begin, *self._framing)
        self._looked_at += end - begin
        if not self.found and self._looked_at > _LOOKED_AT_BYTES:
            self._hopeless = True
            return bytes(joined)
        if astray >= _ASTRAY_PACKETS:  # packets lie elsewhere now; what follows is looked at for where
            self._framing = None
            return bytes(joined)
        self._held = bytes(joined[end:])
        return bytes(joined[:end])

    def _take_out(self, data: bytearray, begin: int, packet_bytes: int, lead: int) -> tuple[int, int]:
        """Make null packets of those that are the one before once more.

        Returns: offset of the first packet that is not whole, and how many had no sync byte.
        """
        seen, astray = self._seen, 0
        for at in range(begin, len(data) - packet_bytes + 1, packet_bytes):
            head = at + lead
            if data[head] != SYNC_BYTE:
                astray += 1
                continue
            second, fourth = data[head + 1], data[head + 3]
            pid = (second & 0x1F) << 8 | data[head + 2]
            if second & 0x80 or not fourth & 0x10 or pid == NULL_PID:
                continue
            # Where an adaptation field carries a PCR, the copy's may be another; its payload lies at the end.
            end = bytes(data[head + PACKET_BYTES - 24 : head + PACKET_BYTES])
            last = seen.get(pid)
            is_copy = last == (fourth & 15, end, False)  # a third one is a fault, and stays
            if is_copy and fourth & 0x20 and data[head + 4] and data[head + 5] & 0x80:
                is_copy = False  # discontinuity_indicator: it is another one
            if is_copy:
                data[head + 1], data[head + 2] = second & 0xE0 | 0x1F, 0xFF
                self.found += 1
            seen[pid] = fourth & 15, end, is_copy
        return begin + max(0, len(data) - begin) // packet_bytes * packet_bytes, astray

    @property
    def waiting(self) -> int:
        """Bytes that were not handed on yet."""
        return len(self._held)

    @property
    def framed(self) -> bool:
        """Whether packets were found where they should be."""
        return self._framing is not None


class WithoutCopies:
    """A file without the copies in it.

    Args:
        file: closed with this.
    """

    def __init__(self, file: Seekable) -> None:
        self._file = file
        self._copies = Copies()
        self._ready = b""

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; nothing at the end."""
        while not self._ready:
            data = self._file.read(max(size, PACKET_BYTES))
            self._ready = self._copies.without(data)
            if not data:
                break
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.IOBase.seek`."""
        if whence == os.SEEK_CUR:
            offset, whence = self.tell() + offset, os.SEEK_SET
        self._copies, self._ready = Copies(), b""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte lies."""
        return self._file.tell() - len(self._ready) - self._copies.waiting

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def has_copies(file: Seekable) -> bool:
    """Whether packets come twice in a file, as far as its first bytes say; it is read from where it is."""
    copies, read = Copies(), 0
    while read < _LOOKED_AT_BYTES and (data := file.read(_PIECE_BYTES)):
        copies.without(data)
        if copies.found:
            return True
        if not copies.framed:
            return False
        read += len(data)
    return False
