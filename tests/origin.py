"""An HTTP server on loopback that serves a folder, knows ranges, and counts what is asked for and connections."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Origin:
    """Serves the files of a folder until it is closed.

    Args:
        folder: whose files are served.
        answers: by path: gives (status, headers, body) instead.
    """

    def __init__(self, folder: Path, answers: dict[str, Callable[[], tuple[int, dict[str, str], bytes]]] | None = None):
        self.asked: list[str] = []
        self.connections = 0
        self.closes = False
        """Each connection is closed after its answer, without a word of that before."""
        self.answers = answers or {}
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                origin.asked.append(path)
                if path in origin.answers:
                    status, headers, body = origin.answers[path]()
                else:
                    file = folder / path.lstrip("/")
                    status, headers, body = (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")
                    headers = {**headers, "Accept-Ranges": "bytes"}
                span = self.headers.get("Range")
                if span and status == 200:
                    first, _, last = span.removeprefix("bytes=").partition("-")
                    body, status = body[int(first) : int(last) + 1 if last else None], 206
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.close_connection = self.close_connection or origin.closes
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

        class Server(ThreadingHTTPServer):
            def get_request(self) -> tuple[socket.socket, object]:
                origin.connections += 1
                return super().get_request()

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = int(self._server.server_port)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Origin":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
