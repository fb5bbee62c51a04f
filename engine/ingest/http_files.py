"""Resources of HTTP as files that libav's demuxers read, each address checked before it is asked for.

libav's own HTTP follows redirects and playlists to wherever they point, and cannot be given a list that we made. Where
the addresses have to be held (callers who may reach public ones only), or where the list is ours (DASH), libav asks
here for every file that it opens.

Belongs to the reader's thread, but for `abort`, which ends a blocking read from any thread. Every wait has the limit
that was given. A resource that cannot be had reads as an empty one, as libav then goes on with the next segment of a
playlist; `failure` keeps why.
"""

import contextlib
import http.client
import os
import socket
import threading
import time
import urllib.error
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol

from engine.errors import SourceError
from engine.ingest import classify
from engine.ingest.checked_http import KeptConnections
from engine.ingest.raw_bytes import TappedBytes
from engine.ingest.url_policy import UrlPolicy, redact, scheme_of

_PIECE_BYTES: Final = 1 << 16
# Requests that are open at one time; libav reads one segment of each track, and a playlist.
_MOST_OPEN: Final = 64


class _Answer(Protocol):
    """What is read of an HTTP answer."""

    def read1(self, amount: int) -> bytes: ...
    def geturl(self) -> str: ...
    def close(self) -> None: ...


class HttpFile:
    """One answer, read forward.

    Args:
        answer: whose body is read; None for an empty one.
        connection: its socket, for `abort`.
        failed: told why reading broke off.
        closed: told that this file is not read any more.
        span: of the body, the first byte and the first one that is not wanted; None for all of it.
    """

    def __init__(
        self,
        answer: _Answer | None,
        connection: socket.socket | None,
        failed: Callable[[Exception], None],
        closed: Callable[["HttpFile"], None],
        span: tuple[int, int] | None = None,
    ) -> None:
        self._passed, self._left = (0, None) if span is None else (span[0], span[1] - span[0] if span[1] else None)
        self.answer = answer
        self.connection = connection
        said: str = getattr(answer, "headers", {}).get("Content-Length", "")
        self.length = int(said) if said.isdigit() else None
        """Bytes; None for what has no end yet."""
        self._failed = failed
        self._closed = closed

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """The next bytes, at most `size`; nothing at the end, and where reading breaks off."""
        if self.answer is None:
            return b""
        try:
            while self._passed and (data := self.answer.read1(min(size, self._passed))):
                self._passed -= len(data)
            if self._left is not None:
                size = min(size, self._left)
            data = self.answer.read1(size) if size else b""  # what is there: a live one must not wait for a full buffer
            if self._left is not None:
                self._left -= len(data)
            if size and not data and (missing := getattr(self.answer, "length", None)):
                raise http.client.IncompleteRead(b"", missing)  # `read1` takes it for the end
            return data
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._failed(error)
            self.close()
            return b""

    def close(self) -> None:
        """Close the answer. Idempotent."""
        answer, self.answer = self.answer, None
        if answer is not None:
            self._closed(self)
            with contextlib.suppress(OSError):
                answer.close()


class SeekableHttpFile(HttpFile):
    """A resource of known length, asked for again from wherever it is to be read.

    Args:
        files: which opened it.
        url: of it.
        file: open at its first byte.
        length: bytes.
    """

    def __init__(self, files: "HttpFiles", url: str, file: HttpFile, length: int) -> None:
        super().__init__(None, None, lambda _: None, lambda _: None)
        self._files, self._url, self._file, self._length = files, url, file, length
        self._position = 0

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """The next bytes, at most `size`; nothing at the end."""
        if self._position >= self._length:
            return b""
        data = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on reading elsewhere. Returns: where."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        target = max(0, base + offset)
        if target != self._position:
            self._file.close()
            self._position = target
            if target < self._length:
                self._file = self._files.open(self._url, (target, 0))
        return target

    def tell(self) -> int:
        """Where it is read next."""
        return self._position

    def close(self) -> None:
        """Close the answer. Idempotent."""
        self._file.close()


class HttpBytes(TappedBytes):
    """A transport stream over HTTP whose packets are watched below the demuxer.

    Args:
        file: open at its first byte.
    """

    def __init__(self, file: HttpFile) -> None:
        super().__init__()
        self._file = file

    def next_bytes(self) -> bytes:
        """See TappedBytes."""
        return self._file.read()

    def close(self) -> None:
        """See TappedBytes."""
        self.forget()
        self._file.close()


class HttpFiles:
    """Opens resources of HTTP, over connections that are kept.

    Args:
        stream: the stream's id, for errors.
        policy: every address and every redirect is checked against it.
        timeouts: seconds to connect and get an answer, and for the next bytes.
    """

    def __init__(self, stream: str, policy: UrlPolicy, timeouts: tuple[float, float]) -> None:
        self.failure: SourceError | None = None
        """Why the last resource could not be had; None once one could."""
        self.broke: Exception | None = None
        """What broke the last answer off in the middle."""
        self.read_seconds = timeouts[1]
        """Limit for the next bytes."""
        self._stream = stream
        self._policy = policy
        self._open_seconds = timeouts[0]
        self._open: set[HttpFile] = set()
        self._connection: socket.socket | None = None  # of the request that is under way
        self._kept = KeptConnections()
        weakref.finalize(self, self._kept.close)
        self._aborted = False

    def open(self, url: str, span: tuple[int, int] | None = None) -> HttpFile:
        """Open a resource; an empty one where that fails.

        Args:
            span: first byte, and the first one that is not wanted any more (0: to the end).
        """
        answer: Any = None
        self._connection = self.broke = None
        late = threading.Event()

        def end() -> None:
            late.set()
            if self._connection is not None:
                _end(self._connection)

        # http.client knows a limit for each read only; a head that drips would last for ever.
        timer = threading.Timer(self._open_seconds, end)
        timer.start()
        try:
            if scheme_of(url) not in ("http", "https"):
                raise SourceError(
                    "scheme not allowed",
                    stream=self._stream,
                    why=f"the list of segments names {redact(url)[:200]}",
                    remedy="it may name addresses of http and https only; check who wrote it",
                )
            self._policy.check(url, self._stream)
            if self._aborted or len(self._open) >= _MOST_OPEN:
                raise OSError("too many requests at a time" if not self._aborted else "it was told to stop")
            headers = {}
            if span is not None:
                headers["Range"] = f"bytes={span[0]}-{span[1] - 1 if span[1] else ''}"
            answer = classify.request(
                url, self._stream, self._policy, self._open_seconds, headers, self._connected, self._kept
            )
        except SourceError as error:
            self.failure = error
        except (OSError, http.client.HTTPException, urllib.error.URLError, ValueError) as error:
            self._fail(TimeoutError() if late.is_set() else error, url)
        finally:
            timer.cancel()
            timer.join()
        connection, self._connection = self._connection, None
        # Some servers know no ranges, and send everything.
        whole = span if span is not None and getattr(answer, "status", 0) == http.HTTPStatus.OK else None
        file = HttpFile(answer, connection, self._break_off, self._open.discard, whole)
        if answer is not None:
            self.failure = None
            self._open.add(file)
            if connection is not None:
                with contextlib.suppress(OSError):  # a short answer is read, and its connection closed, already
                    connection.settimeout(self.read_seconds)
        return file

    def fetch(self, url: str, limit: int) -> tuple[bytes, str]:
        """The first bytes of a resource, and the address that it came from after redirects.

        Args:
            limit: bytes.
        Raises: SourceError: it cannot be had, or takes longer than a connection may.
        """
        deadline = time.monotonic() + self._open_seconds
        file = self.open(url)
        final = file.answer.geturl() if file.answer is not None else url
        parts: list[bytes] = []
        size = 0
        try:
            while size < limit and self.failure is None and (part := file.read(min(_PIECE_BYTES, limit - size))):
                parts.append(part)
                size += len(part)
                if time.monotonic() > deadline:  # a server that sends a byte a second does not get longer
                    self._fail(TimeoutError(), url)
        finally:
            file.close()
        if self.broke is not None:
            self._fail(self.broke, url)
        if self._aborted:
            raise classify.cannot_open(self._stream, "it was told to stop", "start it again if it is wanted")
        if self.failure is not None:
            raise self.failure
        return b"".join(parts), final

    def _connected(self, connection: socket.socket) -> None:
        self._connection = connection
        if self._aborted:
            _end(connection)

    def open_seekable(self, url: str) -> "HttpFile":
        """Open a resource that can be read from anywhere, where its server allows that; else as `open`."""
        file = self.open(url)
        if file.length is None or "bytes" not in getattr(file.answer, "headers", {}).get("Accept-Ranges", ""):
            return file
        return SeekableHttpFile(self, url, file, file.length)

    def _break_off(self, error: Exception) -> None:
        if not self._aborted:
            self.broke = error

    def _fail(self, error: Exception, url: str) -> None:
        if self._aborted:
            return
        self.failure = classify.explain(error, url, self._stream, self._policy, self._open_seconds)

    def abort(self) -> None:
        """End what is being read, and open nothing more. From any thread."""
        self._aborted = True
        # Sockets: closing an answer would wait for the lock that its reader holds.
        for connection in (self._connection, *(file.connection for file in list(self._open))):
            if connection is not None:
                _end(connection)

    def close(self) -> None:
        """Close what is open. Idempotent."""
        for file in list(self._open):
            file.close()
        self._kept.close()


def _end(connection: socket.socket) -> None:
    """Make whoever waits for a connection go on."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS's own would also forget what is being read
