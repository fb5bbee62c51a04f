"""SRT, through the system's libsrt: the libav of PyAV's wheels is built without it.

Belongs to the reader's thread. Every wait ends within 0.1 s of `stop`, and at its limit. libsrt has threads of its own,
one pair per socket; they end with `close`.

Source: libsrt 1.5, docs/API/API-functions.md and API-socket-options.md; options of addresses as in srt-live-transmit.
"""

import ctypes
import ctypes.util
import ipaddress
import socket
import threading
import time
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from engine.errors import SourceError
from engine.ingest.raw_bytes import TappedBytes
from engine.ingest.url_policy import UrlPolicy

# Debian calls it by the library that encrypts.
_NAMES: Final = ("srt", "srt-gnutls", "srt-openssl")
_FILES: Final = ("libsrt.so.1.5", "libsrt-gnutls.so.1.5", "libsrt-openssl.so.1.5", "libsrt.so.1.4")
_LARGEST_MESSAGE: Final = 1456
# Messages that wait are handed on together: libav asks for 32 kB at a time.
_MOST_MESSAGES: Final = 24
_GATHER_SECONDS: Final = 0.02
_SLICE_SECONDS: Final = 0.1
_INVALID: Final = -1
# SRT_ERRNO
_CONNECTION_LOST: Final = frozenset((2000, 2001, 2002))
_TIMED_OUT: Final = frozenset((6002, 6003))
# SRT_REJECT_REASON
_REASONS: Final = {
    2: "the other side rejected it", 4: "the other side speaks no SRT", 5: "the other side takes no more connections",
    8: "the other side's SRT is too old", 10: "wrong passphrase", 11: "one side has a passphrase, the other has none",
    16: "no answer",
}  # fmt: skip
# Numbers of SRT_SOCKOPT.
_RECEIVE_BLOCKS, _RENDEZVOUS, _RECEIVE_TIMEOUT, _CONNECT_TIMEOUT = 2, 12, 14, 36
_INTEGERS: Final = {"latency": 23, "rcvlatency": 43, "peerlatency": 44, "pbkeylen": 27, "fc": 4, "rcvbuf": 6}
_TEXTS: Final = {"passphrase": 26, "streamid": 46}
_FLAGS: Final = {"enforcedencryption": 53, "tlpktdrop": 31}


@cache
def _library() -> Any:
    """libsrt, started; None where there is none."""
    for name in (*_FILES, *_NAMES):
        try:
            # Looking for other versions of it runs programs, and writes files: an ingest process may do neither.
            found = name if name in _FILES else ctypes.util.find_library(name)
            if found is None:
                continue
            library = ctypes.CDLL(found)
        except OSError:
            continue
        library.srt_getlasterror_str.restype = ctypes.c_char_p
        library.srt_startup()
        library.srt_setloglevel(0)  # it writes to stderr, with addresses
        return library
    return None


def is_available() -> bool:
    """Whether libsrt is there."""
    return _library() is not None


class _Address(ctypes.Structure):
    """struct sockaddr_storage, with what was packed into it."""

    _fields_ = (("packed", ctypes.c_uint8 * 28),)


def _address(host: str, port: int) -> tuple[_Address, int]:
    """A `struct sockaddr_in` or `sockaddr_in6` (Linux), and its size."""
    ip = ipaddress.ip_address(host)
    network_port = port.to_bytes(2, "big")
    if ip.version == 4:
        packed = int(socket.AF_INET).to_bytes(2, "little") + network_port + ip.packed + bytes(8)
    else:
        packed = int(socket.AF_INET6).to_bytes(2, "little") + network_port + bytes(4) + ip.packed + bytes(4)
    address = _Address()
    ctypes.memmove(ctypes.addressof(address), packed, len(packed))
    return address, len(packed)


class SrtBytes(TappedBytes):
    """What an SRT connection brings.

    Args:
        url: `srt://host:port?mode=caller|listener|rendezvous&latency=ms&passphrase=...&streamid=...`; a URL without a
            host, or with mode=listener, waits for a caller.
        stream: the stream's id, for errors.
        policy: says which addresses may be reached.
        timeouts: seconds to connect, and for the next bytes.
        stop: ends every wait.
    Raises: SourceError if there is no libsrt, the address is wrong, or no connection comes about; TimeoutError.
    """

    def __init__(
        self, url: str, stream: str, policy: UrlPolicy, timeouts: tuple[float, float], stop: threading.Event
    ) -> None:
        super().__init__()
        self._stream, self._stop = stream, stop
        self._connect_seconds, self._read_seconds = timeouts
        self._socket = _INVALID
        self._buffer = ctypes.create_string_buffer(_LARGEST_MESSAGE)
        library = _library()
        if library is None:
            raise self._refused("libsrt is not installed", "install it (Debian: libsrt1.5-gnutls)")
        self._srt = library
        host, port, options = self._parse(url)
        mode = options.pop("mode", "caller" if host else "listener")
        if mode not in ("caller", "listener", "rendezvous"):
            raise self._refused(f"unknown mode {mode!r}", "use caller, listener or rendezvous")
        targets = policy.allowed_addresses(host, port, stream) if host else ["0.0.0.0"]
        try:
            self._connect(mode, targets, port, options)
        except BaseException:
            self.close()
            raise

    def _parse(self, url: str) -> tuple[str, int, dict[str, str]]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise self._refused("not an SRT address", "write srt://host:port?...") from error
        if port is None:
            raise self._refused("the address names no port", "write srt://host:port?...")
        return host, port, dict(parse_qsl(parts.query, keep_blank_values=True))

    def _connect(self, mode: str, targets: list[str], port: int, options: dict[str, str]) -> None:
        for index, target in enumerate(targets):
            self._socket = self._srt.srt_create_socket()
            self._configure(options, rendezvous=mode == "rendezvous")
            address, size = _address(target, port)
            if mode == "listener":
                self._listen(address, size)
                return
            if mode == "rendezvous":
                own, own_size = _address("0.0.0.0" if ":" not in target else "::", port)
                done = self._srt.srt_rendezvous(self._socket, ctypes.byref(own), own_size, ctypes.byref(address), size)
            else:
                done = self._srt.srt_connect(self._socket, ctypes.byref(address), size)
            if done != _INVALID:
                return
            if index + 1 == len(targets):
                raise self._not_connected()
            self._srt.srt_close(self._socket)

    def _configure(self, options: dict[str, str], *, rendezvous: bool) -> None:
        # libsrt's own wait cannot be ended; it is kept as short as the limit.
        self._set(_CONNECT_TIMEOUT, ctypes.c_int(int(1000 * self._connect_seconds)), "conntimeo")
        self._set(_RECEIVE_TIMEOUT, ctypes.c_int(int(1000 * _SLICE_SECONDS)), "rcvtimeo")
        if rendezvous:
            self._set(_RENDEZVOUS, ctypes.c_bool(True), "rendezvous")
        for name, value in options.items():
            try:
                if name in _INTEGERS:
                    self._set(_INTEGERS[name], ctypes.c_int(int(value)), name)
                elif name in _FLAGS:
                    self._set(_FLAGS[name], ctypes.c_bool(value.lower() in ("1", "true", "yes", "on")), name)
                elif name in _TEXTS:
                    text = value.encode()
                    self._set(_TEXTS[name], ctypes.create_string_buffer(text, len(text)), name)
            except ValueError as error:
                raise self._refused(f"the value of {name} is no number", "correct it") from error

    def _set(self, option: int, value: Any, name: str) -> None:
        if self._srt.srt_setsockflag(self._socket, option, ctypes.byref(value), ctypes.sizeof(value)) == _INVALID:
            raise self._refused(f"libsrt takes no such value of {name}", "see libsrt's documentation of its options")

    def _listen(self, address: _Address, size: int) -> None:
        listener = self._socket
        if self._srt.srt_bind(listener, ctypes.byref(address), size) == _INVALID:
            raise self._refused("the port cannot be listened on", "choose another one, or end what uses it")
        self._set(_RECEIVE_BLOCKS, ctypes.c_bool(False), "rcvsyn")
        if self._srt.srt_listen(listener, 1) == _INVALID:
            raise self._refused("the port cannot be listened on", "choose another one, or end what uses it")
        deadline = time.monotonic() + self._connect_seconds
        peer, peer_size = _Address(), ctypes.c_int(ctypes.sizeof(_Address))
        while not self._stop.wait(_SLICE_SECONDS / 2):
            accepted = self._srt.srt_accept(listener, ctypes.byref(peer), ctypes.byref(peer_size))
            if accepted != _INVALID:
                self._srt.srt_close(listener)
                self._socket = accepted
                self._set(_RECEIVE_BLOCKS, ctypes.c_bool(True), "rcvsyn")
                self._set(_RECEIVE_TIMEOUT, ctypes.c_int(int(1000 * _SLICE_SECONDS)), "rcvtimeo")
                return
            if time.monotonic() > deadline:
                raise TimeoutError("nobody called")
        raise TimeoutError("it was told to stop")

    def _not_connected(self) -> SourceError | TimeoutError:
        reason = self._srt.srt_getrejectreason(self._socket)
        if reason == 16:
            return TimeoutError("no answer")
        known = _REASONS.get(reason)
        if reason >= 1000:  # the application on the other side said so, in numbers like HTTP's
            known = (
                f"the other side refused it (HTTP {reason - 1000})" if reason < 2000 else "the other side refused it"
            )
        if known is None:
            known = f"the connection was refused ({self._last_error()[1]})"
        return self._refused(known, "check host, port, streamid and passphrase, and that the sender runs")

    def _last_error(self) -> tuple[int, str]:
        system = ctypes.c_int(0)
        code = self._srt.srt_getlasterror(ctypes.byref(system))
        return code, (self._srt.srt_getlasterror_str() or b"").decode("utf-8", "replace")

    def next_bytes(self) -> bytes:
        """See TappedBytes. Raises: TimeoutError, ConnectionError."""
        began = time.monotonic()
        messages: list[bytes] = []
        while not self._stop.is_set():
            size = self._srt.srt_recvmsg(self._socket, self._buffer, _LARGEST_MESSAGE)
            if size > 0:
                messages.append(self._buffer.raw[:size])
                if len(messages) >= _MOST_MESSAGES or time.monotonic() - began > _GATHER_SECONDS:
                    break
                continue
            code, why = (0, "") if size == 0 else self._last_error()
            if code in _TIMED_OUT:
                if messages:
                    break
                if time.monotonic() - began > self._read_seconds:
                    raise TimeoutError(f"no data for {self._read_seconds:g} s")
                continue
            if messages or size == 0 or code in _CONNECTION_LOST:
                break  # the sender has gone
            raise ConnectionError(why)
        return b"".join(messages)

    def close(self) -> None:
        """See TappedBytes."""
        self.forget()
        held, self._socket = self._socket, _INVALID
        if held != _INVALID:
            self._srt.srt_close(held)

    def _refused(self, why: str, remedy: str) -> SourceError:
        return SourceError("cannot open input", stream=self._stream, why=why, remedy=remedy)
