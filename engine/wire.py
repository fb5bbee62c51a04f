"""Framed messages over a Unix socket between two processes of this machine.

A frame is a length (4 bytes, little-endian), the version of the protocol (1 byte) and a msgspec message. A frame that
is too long, of another version or that cannot be read ends the connection: the other side is not who it should be, and
whoever supervises it starts it anew.

Used by: one thread at a time calls `receive` and `flush`; any thread may `send`. Nothing here waits: what the socket
does not take now is kept, up to a bound, and `wanted` is called so that the owner's selector looks for room.
"""

import contextlib
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

VERSION: Final = 1
MOST_FRAME_BYTES: Final = 4 << 20
# What may be lost (log lines, stream-seconds) is no longer kept beyond this; what may not, up to the second.
MOST_SPARE_BYTES: Final = 8 << 20
MOST_KEPT_BYTES: Final = 64 << 20
_HEAD: Final = struct.Struct("<IB")
_READ_BYTES: Final = 1 << 18
_MOST_FDS: Final = 8

T = TypeVar("T")


class ConnectionLost(Exception):
    """The other side is gone, or says what cannot be understood."""


class Channel(Generic[T]):
    """One end of a connection.

    Args:
        connection: a connected stream socket; the channel makes it non-blocking and closes it.
        receives: the type, or union of tagged types, of what the other side sends.
        wanted: called, from any thread, when there is something to write.
    """

    def __init__(self, connection: socket.socket, receives: Any, wanted: Callable[[], None] | None = None) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(receives)
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._out_bytes = 0
        self._in = bytearray()
        self._wanted = wanted
        self.fds: deque[int] = deque()
        """File descriptors that came along, in their order; whoever takes one closes it."""
        self.dropped = 0
        """Messages that were let go because the other side does not read."""

    def fileno(self) -> int:
        """Of the socket, for a selector; -1 once closed."""
        return self._socket.fileno()

    @property
    def pending_bytes(self) -> int:
        """What waits to be written."""
        return self._out_bytes

    def send(self, message: object, *, spare: bool = False, fds: Sequence[int] = ()) -> bool:
        """Queue a message.

        Args:
            message: of a type that the other side expects.
            spare: it may be let go where the other side does not read.
            fds: file descriptors that go along; they become the channel's, which closes them once they are written.
        Returns: whether it was queued.
        Raises: ConnectionLost if the other side has read nothing for so long that memory would run out.
        """
        body = self._encoder.encode(message)
        if len(body) > MOST_FRAME_BYTES:
            self.dropped += 1
            return False
        with self._lock:
            if self._out_bytes > (MOST_SPARE_BYTES if spare else MOST_KEPT_BYTES):
                self.dropped += 1
                if spare:
                    return False
                raise ConnectionLost("the other side does not read")
            frame = _HEAD.pack(len(body), VERSION) + body
            self._out.append((memoryview(frame), tuple(fds)))
            self._out_bytes += len(frame)
        if self._wanted is not None:
            self._wanted()
        return True

    def flush(self) -> bool:
        """Write what the socket takes. Returns: whether everything is written. Raises: ConnectionLost."""
        with self._lock:
            while self._out:
                data, fds = self._out[0]
                try:
                    sent = socket.send_fds(self._socket, [data], list(fds)) if fds else self._socket.send(data)
                except (BlockingIOError, InterruptedError):
                    return False
                except OSError as error:
                    raise ConnectionLost(str(error)) from error
                for fd in fds:
                    os.close(fd)
                self._out_bytes -= sent
                if sent == len(data):
                    self._out.popleft()
                else:
                    self._out[0] = (data[sent:], ())
            return True

    def receive(self) -> list[T]:
        """What has come, in order; empty where nothing is complete yet. Raises: ConnectionLost."""
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MOST_FDS)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        self.fds.extend(fds)
        if not data:
            raise ConnectionLost("closed")
        self._in += data
        messages: list[T] = []
        at = 0
        while len(self._in) - at >= _HEAD.size:
            length, version = _HEAD.unpack_from(self._in, at)
            if version != VERSION or length > MOST_FRAME_BYTES:
                raise ConnectionLost(f"a frame of {length} bytes, version {version}")
            end = at + _HEAD.size + length
            if len(self._in) < end:
                break
            try:
                messages.append(self._decoder.decode(bytes(self._in[at + _HEAD.size : end])))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConnectionLost(f"a message that cannot be read ({error})") from error
            at = end
        del self._in[:at]
        return messages

    def close(self) -> None:
        """Close the socket, and what was to go along or came along and was not taken. Idempotent."""
        with self._lock:
            left = [fd for _, fds in self._out for fd in fds] + list(self.fds)
            self._out.clear()
            self.fds.clear()
        for fd in left:
            os.close(fd)
        with contextlib.suppress(OSError):
            self._socket.close()
