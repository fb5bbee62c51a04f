"""Reads `unix:/run/encoder.sock`: a container, MPEG-TS for example, that somebody writes into a Unix socket."""

import socket
import time

from engine.ingest.package_sources import Request
from engine.ingest.raw_bytes import TappedBytes

# How soon `stop` is noticed.
SLICE_SECONDS = 0.1


class UnixSocket(TappedBytes):
    """What comes out of a socket. Raises: OSError where nobody listens there."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(request.connect_seconds)
            self._socket.connect(request.url.partition(":")[2])
            self._socket.settimeout(SLICE_SECONDS)
        except OSError:
            self._socket.close()
            raise

    def next_bytes(self) -> bytes:
        """What comes next; nothing once the writer has gone, or this end was told to stop."""
        began = time.monotonic()
        while not self._request.stop.is_set():
            try:
                return self._socket.recv(65_536)
            except TimeoutError:
                if time.monotonic() - began > self._request.read_seconds:
                    raise
        return b""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
