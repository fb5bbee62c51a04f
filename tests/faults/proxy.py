"""What stands between a source and its reader and does it harm: a TCP proxy with modes, and a UDP relay that loses.

Works wherever loopback does: no privilege, no traffic control of the kernel. A test changes `mode` while it runs.
"""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from typing import Literal

Mode = Literal["pass", "flip", "stall", "drip", "reset", "close", "refuse"]
_LOOK_SECONDS = 0.05
_DRIP_SECONDS = 1.0


class TcpProxy:
    """Hands on what a server sends, as its mode says.

    - pass: all of it, at once.
    - flip: all of it, one bit of some bytes turned over, by a seed; answers' heads are left alone.
    - stall: connections stay, nothing more comes.
    - drip: a byte a second.
    - reset: connections end with RST, and so does each new one.
    - close: connections end as they should, and so does each new one.
    - refuse: connections end, and nobody listens any more.

    Args:
        port: of the server, on loopback.
        flips: share of the bytes of which a bit is turned over.
        seed: of which ones.
    """

    def __init__(self, port: int, flips: float = 0.0, seed: int = 0) -> None:
        self._target = port
        self._flips, self._draw = flips, random.Random(seed)
        self.flipped = 0
        """Bits that were turned over so far."""
        self.mode: Mode = "pass"
        self.opened: list[float] = []
        """When each connection was asked for, by the monotonic clock."""
        self._over = threading.Event()
        self._listener = self._listen(0)
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
        listener.settimeout(_LOOK_SECONDS)
        return listener

    def _run(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listening = True
        while not self._over.is_set():
            if self.mode == "refuse":
                if listening:
                    self._listener.close()
                    listening = False
                time.sleep(_LOOK_SECONDS)
                continue
            if not listening:
                self._listener = self._listen(self.port)
                listening = True
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                self.opened.append(time.monotonic())
                self._run(self._serve, client)
        if listening:
            self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(client.close)
            if self.mode in ("reset", "close", "refuse"):
                self._end(client)
                return
            server = stack.enter_context(socket.create_connection(("127.0.0.1", self._target)))
            dripped = 0.0
            while not self._over.is_set():
                if self.mode in ("reset", "close", "refuse"):
                    self._end(client)
                    return
                watched = [client] if self.mode == "stall" else [client, server]
                ready = select.select(watched, [], [], _LOOK_SECONDS)[0]
                with contextlib.suppress(OSError):
                    if client in ready:
                        if not (asked := client.recv(65_536)):
                            return
                        server.sendall(asked)
                    if server in ready:
                        if self.mode == "drip":
                            if time.monotonic() - dripped < _DRIP_SECONDS:
                                time.sleep(_LOOK_SECONDS)
                                continue
                            dripped = time.monotonic()
                        if not (data := server.recv(1 if self.mode == "drip" else 65_536)):
                            return
                        client.sendall(self._flip(data) if self.mode == "flip" else data)
                    continue
                return

    def _flip(self, data: bytes) -> bytes:
        if data.startswith(b"HTTP/"):
            return data
        damaged = bytearray(data)
        at = int(self._draw.expovariate(self._flips))
        while at < len(damaged):
            damaged[at] ^= 1 << self._draw.randrange(8)
            self.flipped += 1
            at += 1 + int(self._draw.expovariate(self._flips))
        return bytes(damaged)

    def _end(self, client: socket.socket) -> None:
        if self.mode == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def busiest_second(self) -> int:
        """The most connections that were asked for within one second."""
        return max((sum(at <= other < at + 1.0 for other in self.opened) for at in self.opened), default=0)

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)


class LossyRelay:
    """Hands datagrams on and loses some, by a seed.

    Args:
        port: to which they go, on loopback.
        share: of the datagrams that are lost.
        seed: of what is lost.
    """

    def __init__(self, port: int, share: float, seed: int) -> None:
        self._to = ("127.0.0.1", port)
        self.share = share
        self._draw = random.Random(seed)
        self.passed = self.lost = 0
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_LOOK_SECONDS)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._hand_on)
        self._thread.start()

    def _hand_on(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(65_536)
                if self._draw.random() < self.share:
                    self.lost += 1
                else:
                    self.passed += 1
                    with contextlib.suppress(ConnectionRefusedError):
                        self._socket.sendto(data, self._to)

    def __enter__(self) -> "LossyRelay":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._socket.close()
