"""The bytes of a transport stream as they lie in its file, which the demuxer does not hand out.

A file is read a second time, up to where the demuxer is: the pages are in memory already, and how libav opens and
seeks stays its own business. A network input cannot be read twice; there the packet level stays unseen.
"""

from pathlib import Path
from typing import Final

# A damaged stream may have no demuxable packet for long; its bytes are read in pieces.
PIECE_BYTES: Final = 1 << 20


class FileBytes:
    """Reads a file forward. Belongs to the reader's thread.

    Args:
        path: of the file.
    Raises: OSError if it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._position = 0

    def read_until(self, position: int | None) -> bytes:
        """The next bytes, at most PIECE_BYTES.

        Args:
            position: byte before which to stop; None reads to the end.
        Returns: nothing where there is no more.
        """
        wanted = PIECE_BYTES if position is None else min(PIECE_BYTES, position - self._position)
        if wanted <= 0:
            return b""
        try:
            data = self._file.read(wanted) or b""
        except OSError:  # the demuxer meets the same, and says so
            return b""
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()
