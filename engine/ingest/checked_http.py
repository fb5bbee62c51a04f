"""Connections of HTTP to addresses that were checked, and not to what the name resolves to a moment later.

They are kept for what is asked for next: a live stream asks the same server every few seconds, and a new connection of
TLS costs several turns there and back.

Belongs to one thread, but for the sockets that are told of.
"""

import http.client
import socket
import urllib.request
from collections.abc import Callable
from typing import Any, Final

from engine.ingest.url_policy import UrlPolicy

_MOST_KEPT: Final = 4

Key = tuple[str, str]
"""Scheme and authority."""


class KeptConnections:
    """Connections that nobody uses at the moment."""

    def __init__(self) -> None:
        self._kept: list[tuple[Key, http.client.HTTPConnection]] = []

    def take(self, key: Key) -> http.client.HTTPConnection | None:
        """One to that server; the caller's from then on."""
        for index, (of, connection) in enumerate(self._kept):
            if of == key:
                del self._kept[index]
                return connection
        return None

    def give(self, key: Key, connection: http.client.HTTPConnection) -> None:
        """Keep one whose last answer was read whole."""
        self._kept.append((key, connection))
        while len(self._kept) > _MOST_KEPT:
            self._kept.pop(0)[1].close()

    def close(self) -> None:
        """Close them. Idempotent."""
        for _, connection in self._kept:
            connection.close()
        self._kept.clear()


class _Answer(http.client.HTTPResponse):
    """An answer that says when its connection is free."""

    released: Callable[[bool], None] | None = None
    """Told once, when it is closed, whether all of it was read and another one may follow."""

    def close(self) -> None:
        # `read1` leaves open what was read to its announced end, and closes what ended before.
        ended = self.isclosed() if self.length is None else self.length == 0
        whole = ended and not self.will_close
        super().close()
        released, self.released = self.released, None
        if released is not None:
            released(whole)


def checked_connections(
    policy: UrlPolicy,
    stream: str,
    connected: Callable[[socket.socket], None],
    kept: KeptConnections | None = None,
) -> tuple[urllib.request.BaseHandler, ...]:
    """Handlers for `urllib.request.build_opener` that resolve, check and connect in one step.

    Args:
        policy: says which addresses may be reached.
        stream: the stream's id, for errors.
        connected: given each connection's socket, so that another thread can end what waits for it.
        kept: where connections come from and go to; None closes each after its answer.
    """

    def connect(address: tuple[str, int], timeout: Any = None, source_address: Any = None) -> socket.socket:
        host, port = address
        failure: OSError | None = None
        for allowed in policy.allowed_addresses(host, port, stream):
            try:
                made = socket.create_connection((allowed, port), timeout, source_address)
                connected(made)
                return made
            except OSError as error:
                failure = error
        raise failure or OSError(f"{host} has no address")

    class Plain(http.client.HTTPConnection):
        response_class = _Answer

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = connect

    class Secure(http.client.HTTPSConnection):
        response_class = _Answer

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = connect

        def connect(self) -> None:
            # As its parent does it, which tells nobody of the socket that it makes of the plain one.
            http.client.HTTPConnection.connect(self)
            own: Any = self
            name = own._tunnel_host or self.host
            wrapped = own._context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
            self.sock = wrapped
            connected(wrapped)
            wrapped.do_handshake()

    def ask(made: Callable[..., http.client.HTTPConnection], request: urllib.request.Request) -> Any:
        """As urllib does it, but for the end of the connection."""
        asked: Any = request
        key = request.type, request.host
        headers = {**request.headers, **request.unredirected_hdrs}
        while True:
            old = kept.take(key) if kept is not None else None
            connection = old or made(request.host, timeout=asked.timeout)
            try:
                if old is not None and old.sock is not None:
                    old.sock.settimeout(asked.timeout)
                    connected(old.sock)
                connection.request(request.get_method(), request.selector, None, headers)
                answer: Any = connection.getresponse()
            except BaseException as error:
                connection.close()
                if old is not None and isinstance(error, ConnectionError | http.client.BadStatusLine):
                    continue  # the server had closed it meanwhile
                raise

            def release(whole: bool, connection: http.client.HTTPConnection = connection) -> None:
                if whole and kept is not None:
                    kept.give(key, connection)
                else:
                    connection.close()

            answer.released = release
            answer.url, answer.msg = request.get_full_url(), answer.reason
            return answer

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return ask(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            own: Any = req
            if own._tunnel_host:  # through a proxy
                return self.do_open(Secure, req)
            return ask(Secure, req)

    return PlainHandler(), SecureHandler()
