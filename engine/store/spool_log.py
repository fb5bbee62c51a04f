"""An append-only file of records, each with its length and a checksum, that survives being cut off at any byte.

    record = magic (4) | length (4, little-endian) | CRC-32 of the content (4) | content

A reader takes every record that is whole. A torn tail, a damaged record or bytes of anything else are skipped up to the
next whole record, and counted.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = b"\xa7vs\x01"
_HEADER: Final = struct.Struct("<4sII")
# No batch is longer: a damaged length must not swallow what follows.
MOST_BYTES: Final = 16 << 20


class LogWriter:
    """Appends to one file.

    Args:
        path: made if it is not there.
    Raises: OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.bytes = os.fstat(self._file).st_size

    def append(self, content: bytes) -> None:
        """Write one record whole. If it raises, the file ends where it ended before.

        Raises: OSError (no room, a dead disk); ValueError if the content is too long.
        """
        if len(content) > MOST_BYTES:
            raise ValueError(f"a record of {len(content)} bytes; at most {MOST_BYTES}")
        record = _HEADER.pack(MAGIC, len(content), zlib.crc32(content)) + content
        view = memoryview(record)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            # A reader would skip the half record; without it the room that it takes is free for the next attempt.
            os.ftruncate(self._file, self.bytes)
            raise
        self.bytes += len(record)

    def sync(self) -> None:
        """Bring what was appended to the disk.

        Raises: OSError.
        """
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file; nothing is appended to it again."""
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class LogContent:
    """What a log holds.

    Args:
        records: contents, in the order in which they were appended.
        damaged_bytes: that belong to no whole record.
    """

    records: tuple[bytes, ...]
    damaged_bytes: int


def read_log(path: Path) -> LogContent:
    """Every whole record of a file.

    Raises: OSError.
    """
    data = path.read_bytes()
    records, at, damaged = [], 0, 0
    while at < len(data):
        content = _record(data, at)
        if content is not None:
            records.append(content)
            at += _HEADER.size + len(content)
            continue
        following = data.find(MAGIC, at + 1)
        damaged += (following if following >= 0 else len(data)) - at
        at = following if following >= 0 else len(data)
    return LogContent(tuple(records), damaged)


def _record(data: bytes, at: int) -> bytes | None:
    """The content of the record that begins there; None if none does, or it is not whole."""
    if len(data) - at < _HEADER.size:
        return None
    magic, length, checksum = _HEADER.unpack_from(data, at)
    begin = at + _HEADER.size
    if magic != MAGIC or length > MOST_BYTES or begin + length > len(data):
        return None
    content = data[begin : begin + length]
    return content if zlib.crc32(content) == checksum else None
