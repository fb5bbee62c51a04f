"""Who is notified in tests: receivers on the loopback that work, or fail in the way they are told to."""

import base64
import email
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """An HTTP receiver that keeps what it got.

    Args:
        answer: called with the number of the request, from 0; returns a status, a (status, headers) pair, or one of
            "hang" (no reply at all), "drop" (taken, but the reply is lost), "garbage", "drip" (a reply without end, a
            byte at a time).
        tls: files of its certificate and key; plain HTTP unless given.
    """

    def __init__(self, answer=lambda number: 204, tls=None):
        self.answer = answer
        self.requests = []  # (headers, body) as they came, also those that were answered with a failure
        self.taken = []  # those that the receiver would have processed
        self.changed = threading.Condition()
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver._serve(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 64
            block_on_close = False
            daemon_threads = True

            def handle_error(self, *_):
                pass  # whoever is killed in the middle of a request leaves a broken connection

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def bodies(self):
        """What was taken, as JSON, in the order of its arrival."""
        return [json.loads(body) for _, body in self.taken]

    def wait_for(self, count, seconds=20.0):
        """Wait until so many were taken. Raises: TimeoutError."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.taken) >= count, seconds):
                raise TimeoutError(f"{len(self.taken)} of {count} within {seconds:g} s")

    def _serve(self, handler):
        length = int(handler.headers.get("content-length", 0))
        body = handler.rfile.read(length)
        if len(body) < length:
            handler.close_connection = True  # whoever sent it died in the middle
            return
        with self.changed:
            number = len(self.requests)
            self.requests.append((dict(handler.headers), body))
        how = self.answer(number)
        status, headers = how if isinstance(how, tuple) else (how, {})
        if how == "drop" or (isinstance(status, int) and 200 <= status < 300):
            with self.changed:
                self.taken.append(({k.lower(): v for k, v in handler.headers.items()}, body))
                self.changed.notify_all()
        if how == "hang":
            self._ended.wait(30)
        elif how == "garbage":
            handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")
        elif how == "drip":
            with suppress(OSError):
                handler.wfile.write(b"HTTP/1.1 ")
                while not self._ended.wait(0.2):
                    handler.wfile.write(b"2")
                    handler.wfile.flush()
        elif how != "drop":
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)


def verify(secret, headers, body, now=None, tolerance_seconds=300):
    """Check a webhook as a receiver has to; docs/notifications.md has the same lines.

    Args:
        secret: "whsec_..." as configured.
        headers: of the request, their names in lower case.
        body: its bytes, as they came.
    Returns: whether it is authentic and fresh.
    """
    message_id, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs((time.time() if now is None else now) - int(at)) > tolerance_seconds:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)).decode()
    signatures = [one.removeprefix("v1,") for one in headers["webhook-signature"].split() if one.startswith("v1,")]
    return any(hmac.compare_digest(expected, one) for one in signatures)


class MailServer:
    """An SMTP server that takes every mail (RFC 5321, what a client needs of it).

    Args:
        refuse: answer each mail with 451.
    """

    def __init__(self, refuse=False):
        self.refuse = refuse
        self.mails = []
        self.changed = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(10)
        self._socket.close()

    def _accept(self):
        while not self._ended.is_set():
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    self._talk(connection)

    def _talk(self, connection):
        with connection.makefile("rwb", buffering=0) as lines:
            say = lambda text: lines.write(f"{text}\r\n".encode())  # noqa: E731
            say("220 test ESMTP")
            while line := lines.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    say("354 go on")
                    mail = b""
                    while (line := lines.readline()) not in (b".\r\n", b""):
                        mail += line
                    if self.refuse:
                        say("451 not now")
                        continue
                    with self.changed:
                        self.mails.append(email.message_from_bytes(mail))
                        self.changed.notify_all()
                    say("250 taken")
                elif word == b"EHLO":
                    say("250-test")
                    say("250 AUTH PLAIN")
                elif word == b"AUTH":
                    say("235 welcome")
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 test")
