"""A TCP relay that can be cut, so that who goes through it is cut off and everybody else is not.

Run by: a thread for each way of each connection, which end with `close`. What dies with the process is the relay alone.
"""

import contextlib
import socket
import threading
from typing import Final

_STEP_SECONDS: Final = 0.2
_BYTES: Final = 65_536


class Relay:
    """Listens on one loopback address, and hands on to another one of the same port.

    Args:
        listen, target: addresses of the loopback.
        port: of both.
    """

    def __init__(self, listen: str, target: str, port: int) -> None:
        self._target = (target, port)
        self._open = threading.Event()
        self._open.set()
        self._closed = threading.Event()
        self._listener = socket.create_server((listen, port))
        self._listener.settimeout(_STEP_SECONDS)
        self._threads = [threading.Thread(target=self._accept, name="relay")]
        self._threads[0].start()

    def cut(self) -> None:
        """Let nothing through, as a network that drops every packet: connections stay, and hear nothing."""
        self._open.clear()

    def mend(self) -> None:
        """Let everything through again, what waited first."""
        self._open.set()

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._open.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:  # nobody is there: who asked hears the same
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._hand_on, args=(one, other), name="relay")
                self._threads.append(thread)
                thread.start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        one.settimeout(_STEP_SECONDS)
        with contextlib.suppress(OSError):
            while not self._closed.is_set():
                try:
                    data = one.recv(_BYTES)
                except TimeoutError:
                    continue
                while not self._open.wait(_STEP_SECONDS) and not self._closed.is_set():
                    pass
                if not data:
                    break
                other.settimeout(None)
                other.sendall(data)
                other.settimeout(_STEP_SECONDS)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
