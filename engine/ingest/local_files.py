"""Resources of a local playlist. Belongs to the reader's thread; opening a file waits for nobody."""

import os
from typing import Final

from engine.errors import SourceError
from engine.ingest import classify
from engine.ingest.url_policy import is_local, local_path

_PIECE_BYTES: Final = 1 << 16


class _Spanned:
    """A file from one byte to another.

    Args:
        path: of it.
        span: first byte, and the first one that is not wanted any more; None for all of it.
    Raises: OSError.
    """

    def __init__(self, path: str, span: tuple[int, int] | None) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._left: int | None = None
        if span is not None:
            self._file.seek(span[0], os.SEEK_SET)
            self._left = span[1] - span[0]

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """The next bytes, at most `size`; nothing at the end."""
        if self._left is not None:
            size = min(size, self._left)
        data = self._file.read(size) or b""
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        """Close it. Idempotent."""
        self._file.close()


class _Nothing:
    """A file that could not be opened."""

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """Nothing."""
        return b""

    def close(self) -> None:
        """Nothing is to be closed."""


class LocalFiles:
    """Opens what a local playlist names, which the policy has looked at.

    Args:
        stream: the stream's id, for errors.
    """

    def __init__(self, stream: str) -> None:
        self.failure: SourceError | None = None
        """Why the last resource could not be had; None once one could."""
        self.broke: Exception | None = None
        """Nothing breaks off in a file."""
        self.read_seconds = 0.0
        """Nothing is waited for."""
        self._stream = stream

    def open(self, url: str, span: tuple[int, int] | None = None) -> _Spanned | _Nothing:
        """Open a resource; an empty one where that fails.

        Args:
            span: first byte, and the first one that is not wanted any more.
        """
        if is_local(url):
            try:
                opened = _Spanned(local_path(url), span)
            except OSError as error:
                self.failure = classify.cannot_open(
                    self._stream, f"a file of the playlist: {error.strerror}", "check it"
                )
            else:
                self.failure = None
                return opened
        else:
            self.failure = SourceError(
                "scheme not allowed",
                stream=self._stream,
                why="a local playlist names an address of the network",
                remedy="a local playlist may name local files only; check who wrote this playlist",
            )
        return _Nothing()

    def fetch(self, url: str, limit: int) -> tuple[bytes, str]:
        """The first bytes of a resource, and its address. Raises: SourceError."""
        file = self.open(url)
        if self.failure is not None:
            raise self.failure
        data = file.read(limit)
        file.close()
        return data, url
