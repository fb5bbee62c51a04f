"""Connections of HTTP to addresses that were checked, and not to what the name resolves to a moment later."""

import http.client
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

from engine.ingest.url_policy import UrlPolicy


def checked_connections(
    policy: UrlPolicy, stream: str, connected: Callable[[socket.socket], None]
) -> tuple[urllib.request.BaseHandler, ...]:
    """Handlers for `urllib.request.build_opener` that resolve, check and connect in one step.

    Args:
        policy: says which addresses may be reached.
        stream: the stream's id, for errors.
        connected: given each connection's socket, so that another thread can end what waits for it.
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
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = connect

    class Secure(http.client.HTTPSConnection):
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

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Secure, req)

    return PlainHandler(), SecureHandler()
