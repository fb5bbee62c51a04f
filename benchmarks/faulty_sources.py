"""Sources that do not work, each in its own way, for as long as a soak takes.

Run by: one thread for each connection that somebody makes, and one that takes them. It ends by `close`; a connection
notices within a second.
"""

import bisect
import os
import random
import socket
import socketserver
import struct
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.live.origin import schedule

LOOK_SECONDS: Final = 1.0
STEP_SECONDS: Final = 0.04
FLAP_SECONDS: Final = 4.0  # long enough to be judged, short enough to be gone again and again
CORRUPT_SHARE: Final = 1e-5  # of the bytes, one bit
GARBAGE_BYTES: Final = 20_000  # a second
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"


class FaultySources:
    """Listens on a port of its own; `urls` has what is wrong by name.

    Args:
        clip: MPEG-TS: what flaps plays some seconds of it, what is corrupt all of it, again and again, with flipped
            bits.
    """

    def __init__(self, clip: Path) -> None:
        self._over = threading.Event()
        self._times, self._offsets, _ = schedule(clip)
        self._clip = clip.read_bytes()
        damaged, draw = bytearray(self._clip), random.Random(1)
        for _ in range(round(CORRUPT_SHARE * len(damaged))):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        self._corrupt = bytes(damaged)
        sources = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sources._answer(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = False
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self._unused = socket.socket()  # bound, and never listened on: whoever connects is refused
        self._unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.urls = {
            "refused": f"http://127.0.0.1:{self._unused.getsockname()[1]}/x.ts",
            "not-found": f"{base}/404/x.m3u8",
            "not-media": f"{base}/page/x.ts",
            "garbage": f"{base}/garbage/x.ts",
            "silent": f"{base}/silent/x.ts",
            "closes": f"{base}/closes/x.ts",
            "flaps": f"{base}/flaps/x.ts",
            "resets": f"{base}/resets/x.ts",
            "corrupt": f"{base}/corrupt/x.ts",
        }

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(LOOK_SECONDS)
        try:
            kind = connection.recv(65_536).split(b"/")[1]
            if kind == b"404":
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif kind == b"page":
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>no media"
                )
            elif kind == b"garbage":
                connection.sendall(OK)
                while not self._over.wait(LOOK_SECONDS):
                    connection.sendall(os.urandom(GARBAGE_BYTES))
            elif kind == b"silent":
                connection.sendall(OK)
                while not self._over.is_set():
                    try:
                        if not connection.recv(1):
                            return
                    except TimeoutError:
                        continue
            elif kind in (b"flaps", b"resets"):
                connection.sendall(OK)
                self._play(connection, self._clip, FLAP_SECONDS)
                if kind == b"resets":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif kind == b"corrupt":
                connection.sendall(OK)
                while not self._over.is_set():
                    self._play(connection, self._corrupt, self._times[-1])
        except (OSError, IndexError):
            return  # who asked is gone

    def _play(self, connection: socket.socket, data: bytes, seconds: float) -> None:
        began, sent = time.monotonic(), 0
        while not self._over.is_set() and (at := time.monotonic() - began) < seconds:
            due = self._offsets[max(0, bisect.bisect_right(self._times, at) - 1)]
            connection.sendall(data[sent:due])
            sent = max(sent, due)
            self._over.wait(STEP_SECONDS)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._unused.close()
        self._thread.join(5)
