"""A local file from a byte on, as a demuxer reads it. Belongs to the reader's thread."""

import os
import weakref


class FileFrom:
    """A file whose first byte is one in its middle.

    Args:
        path: of it.
        begin: that byte.
    Raises: OSError if it cannot be opened.
    """

    def __init__(self, path: str, begin: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        # A source that is dropped is closed by that; libav, which holds this, closes only what it opened itself.
        weakref.finalize(self, self._file.close)
        self._begin = begin
        self._file.seek(begin)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; nothing at the end."""
        return self._file.read(size) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.IOBase.seek`, counted from the first byte."""
        if whence == os.SEEK_SET:
            offset += self._begin
        return self._file.seek(offset, whence) - self._begin

    def tell(self) -> int:
        """Where the next byte lies, counted from the first one."""
        return self._file.tell() - self._begin

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()
