"""Packets of a transport stream that were sent twice, taken out before the demuxer.

A sender may send each packet twice (ISO/IEC 13818-1, 2.4.3.3), and a decoder takes one of them. libav's demuxer takes
both, and what it puts together is damaged. A copy becomes a null packet, so that every byte stays where it was.

Belongs to the reader's thread.
"""

import os
from typing import Final, Protocol

import numpy as np

from engine.ingest import ts_packets

# Who sends packets twice does it from the beginning.
_LOOKED_AT_BYTES: Final = 64 << 20
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
        self._seen = ts_packets.nothing_seen()
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
        values = np.frombuffer(joined, np.uint8)
        begin = 0
        if self._framing is None:
            found = ts_packets.find_framing(values)
            if found is None:
                self._hopeless = len(joined) > _UNFRAMED_BYTES
                self._held = b"" if self._hopeless else bytes(joined)
                return bytes(joined) if self._hopeless else b""
            self._framing, begin = found[:2], found[2]
        end, count, astray = ts_packets.take_out_copies(values, begin, self._framing, self._seen)
        self.found += count
        if astray >= _ASTRAY_PACKETS:  # packets lie elsewhere now; what follows is looked at for where
            self._framing = None
            return bytes(joined)
        self._held = bytes(joined[end:])
        return bytes(joined[:end])

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
            data = self._file.read(max(size, ts_packets.PACKET_BYTES))
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
