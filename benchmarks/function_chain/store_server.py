"""The object store: moto's S3 in a process of its own, which counts what it is asked.

`python -m benchmarks.function_chain.store_server` prints its port, and for each line "count" of its standard input what
it has counted and what CPU time it has taken, as JSON. It ends with its standard input. It keeps objects in memory and
connections open, as S3 does. It is slower than S3; that takes its own CPU time, which is not the chain's, and makes
functions wait, for which the chain is not charged.
"""

import io
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

# Answers without a body, by their status, beside those to HEAD.
_NO_BODY: Final = (204, 304)


class _Handler(BaseHTTPRequestHandler):
    """Asks a WSGI application, and keeps the connection: it reads each request whole and says how long an answer is."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    application: Callable[..., Any]
    counted: Counter[str]

    def setup(self) -> None:
        self.counted["connections"] += 1
        super().setup()

    def log_message(self, *_: object) -> None:
        pass

    def _ask(self) -> None:
        self.counted[self.command] += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command, "SCRIPT_NAME": "", "PATH_INFO": unquote(parts.path, "latin-1"),
            "QUERY_STRING": parts.query, "RAW_URI": self.path, "REQUEST_URI": self.path,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(self.connection.getsockname()[1]),
            "SERVER_PROTOCOL": self.request_version, "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        for name, value in self.headers.items():
            if name.lower() not in ("content-type", "content-length"):
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        said: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            said[:] = [int(status.partition(" ")[0]), headers]

        answer = self.application(environ, start_response)
        try:
            content = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        status, headers = said
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        if self.command == "HEAD" or status in _NO_BODY:
            length = dict(headers).get("Content-Length")
            if length is not None and self.command == "HEAD":
                self.send_header("Content-Length", length)
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _ask


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True  # each ends with its client's connection; clients outlive the server where a run fails


def main() -> None:
    """Serve until standard input ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    _Handler.application = staticmethod(DomainDispatcherApplication(create_backend_app))
    counted = _Handler.counted = Counter()
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    print(server.server_port, flush=True)  # noqa: T201 - read by the benchmark
    for line in sys.stdin:  # each line asks for what was counted so far
        if line.strip() == "count":
            print(json.dumps({**counted, "cpu_seconds": time.process_time()}), flush=True)  # noqa: T201
    server.shutdown()
    thread.join(10)


if __name__ == "__main__":
    main()
