"""Says what is wrong with an input that cannot be opened. libav says nearly the same of everything."""

import base64
import contextlib
import errno
import http.client
import os
import socket
import ssl
import stat
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import av
import av.error

from engine.errors import SourceError
from engine.ingest.checked_http import KeptConnections, checked_connections
from engine.ingest.url_policy import (
    UrlPolicy,
    is_device,
    is_local,
    is_package_scheme,
    local_path,
    redact,
    resolve,
    scheme_of,
)

HEAD_BYTES: Final = 4096
PLAYLIST_BYTES: Final = 4 << 20
# Shorter than one MPEG-TS packet pair or any container's headers.
_TOO_SHORT_BYTES: Final = 512
_TOP_BOXES: Final = frozenset(b"ftyp moov moof mdat free skip wide styp sidx uuid".split())

Kind = Literal["playlist", "html", "text", "binary"]


def cannot_open(stream: str, why: str, remedy: str) -> SourceError:
    """The error that every unreadable input ends in."""
    return SourceError("cannot open input", stream=stream, why=why, remedy=remedy)


def sniff(head: bytes) -> Kind:
    """What the first bytes of an input say that it is.

    Args:
        head: its first bytes, up to HEAD_BYTES.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"#EXTM3U"):
        return "playlist"
    lowered = text[:512].lower()
    if lowered.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    # These begin as text and go on as media.
    if text.startswith((b"YUV4MPEG2", b"#!AMR", b"v=0")) or (text.startswith(b"<?xml") and b"<MPD" in head):
        return "binary"
    control = bytes(range(9)) + bytes(range(14, 32)) + b"\x0b\x0c\x7f"
    if not text or text.translate(None, control) != text:
        return "binary"
    try:
        # The last character may have been cut.
        text.decode("utf-8") if len(head) < HEAD_BYTES else text[:-4].decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(text) - 8:
            return "binary"
    return "text"


def check_file(path: str, stream: str) -> bytes:
    """Refuse a local path that cannot be media, before libav sees it.

    Returns: its first bytes; empty for a pipe or device, which must not be read twice.
    Raises: SourceError naming what the path is instead.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise cannot_open(stream, "file not found", "check the path") from error
    except NotADirectoryError as error:
        raise cannot_open(stream, "file not found: a part of its path is not a directory", "check the path") from error
    except PermissionError as error:
        raise cannot_open(stream, "permission denied", "make the file readable for this user") from error
    except (OSError, ValueError) as error:
        raise cannot_open(stream, f"not a usable path ({_system_reason(error)})", "check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise cannot_open(stream, "it is a directory", "name the files in it")
    if not stat.S_ISREG(status.st_mode):
        return b""
    if status.st_size == 0:
        raise cannot_open(stream, "empty file (0 bytes)", "check what wrote it, and whether it has finished")
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except PermissionError as error:
        raise cannot_open(stream, "permission denied", "make the file readable for this user") from error
    except OSError as error:
        raise cannot_open(stream, f"cannot be read ({_system_reason(error)})", "check the disk") from error
    kind = sniff(head)
    if kind == "html":
        raise cannot_open(stream, "not media: an HTML page", "download the media file itself, not the page around it")
    if kind == "text":
        raise cannot_open(stream, "not media: a text file", "name a media file, a playlist (.m3u8) or a URL")
    return head


def _system_reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, policy: UrlPolicy, stream: str) -> None:
        self.policy = policy
        self.stream = stream

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        target = urljoin(req.full_url, headers.get("Location") or headers.get("URI") or "")
        try:
            if scheme_of(target) not in ("http", "https"):
                raise SourceError(
                    "scheme not allowed",
                    stream=self.stream,
                    why=f"the server redirects to {redact(target)[:200]}",
                    remedy="check who runs this server",
                )
            self.policy.check(target, self.stream)
        except SourceError:
            fp.close()
            raise
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _nobody(_: socket.socket) -> None:
    """Nobody wants to end a request early."""


def fetch(url: str, stream: str, policy: UrlPolicy, limit: int, timeout_seconds: float) -> tuple[bytes, str]:
    """The first bytes of an HTTP resource, and the address that it came from after redirects.

    Every redirect is checked against the policy.

    Args:
        limit: bytes.
        timeout_seconds: for all of it; a server that sends a byte a second does not get longer.
    Raises: SourceError as `explain` would, OSError for anything else that goes wrong on the way.
    """
    connections: list[socket.socket] = []
    late = threading.Event()

    def end() -> None:
        late.set()
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS's own would also forget what is being read

    # http.client knows a limit for each read only.
    timer = threading.Timer(timeout_seconds, end)
    timer.start()
    try:
        with request(url, stream, policy, timeout_seconds, connected=connections.append) as answer:
            found = answer.read(limit), answer.geturl()
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
            raise ConnectionResetError(f"the answer is no HTTP ({type(error).__name__})") from error
        raise
    finally:
        timer.cancel()
        timer.join()
    if late.is_set():
        raise TimeoutError
    return found


def request(
    url: str,
    stream: str,
    policy: UrlPolicy,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    connected: Callable[[socket.socket], None] = _nobody,
    kept: KeptConnections | None = None,
) -> Any:
    """Ask for an HTTP resource, whose address was checked before; its redirects are checked here.

    Args:
        timeout_seconds: limit for connecting, and for the next bytes.
        headers: besides our own.
        connected: given each connection's socket, so that another thread can end what waits for it.
        kept: connections to use, and to keep; None closes each after its answer.
    Returns: the answer (`http.client.HTTPResponse`), which the caller closes.
    Raises: SourceError as `explain` would, OSError for anything else that goes wrong on the way.
    """
    parts = urlsplit(url)
    asked = urllib.request.Request(
        urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], parts.path or "/", parts.query, "")),
        headers={"User-Agent": "avjury", "Accept": "*/*", **(headers or {})},
    )
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        # Not for whom the server redirects to.
        asked.add_unredirected_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    handlers: list[Any] = [_CheckedRedirects(policy, stream), *checked_connections(policy, stream, connected, kept)]
    if not policy.allow_private:
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy would connect to wherever it likes
    opener = urllib.request.build_opener(*handlers)
    try:
        return opener.open(asked, timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            raise _http_refusal(error.code, stream) from error
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else error from error


def _http_refusal(code: int, stream: str) -> SourceError:
    if code == 401:
        return cannot_open(stream, "unauthorized (HTTP 401)", "put the user and password or the token into the URL")
    if code == 403:
        return cannot_open(stream, "forbidden (HTTP 403)", "check the URL's token, and whether it has expired")
    if code in (404, 410):
        return cannot_open(stream, f"not found (HTTP {code})", "check the URL's path, and whether the stream is on air")
    if code >= 500:
        return cannot_open(stream, f"the server failed (HTTP {code})", "try again later, or look at the server's log")
    return cannot_open(stream, f"the server refused (HTTP {code})", "open the URL in a player to see why")


def expect_playlist(body: bytes, stream: str) -> None:
    """Refuse a playlist that is none."""
    kind = sniff(body[:HEAD_BYTES])
    if kind == "html":
        raise cannot_open(stream, "expected HLS, got HTML", "the server answers with a page: open it in a browser")
    if kind != "playlist":
        raise cannot_open(
            stream, f"expected HLS, got {'text' if kind == 'text' else 'other data'}", "check what the URL serves"
        )


def explain(error: Exception, url: str, stream: str, policy: UrlPolicy, timeout_seconds: float) -> SourceError:
    """Turn what libav said of an input into what the user can act on.

    Args:
        error: what PyAV raised while opening.
        timeout_seconds: the limit that was set for opening.
    """
    refusals: dict[type[Exception], int] = {
        av.error.HTTPBadRequestError: 400,
        av.error.HTTPUnauthorizedError: 401,
        av.error.HTTPForbiddenError: 403,
        av.error.HTTPNotFoundError: 404,
        av.error.HTTPTooManyRequestsError: 429,
        av.error.HTTPOtherClientError: 499,
        av.error.HTTPServerError: 500,
    }
    code = refusals.get(type(error))
    if code is not None:
        return _http_refusal(code, stream)
    if isinstance(error, av.error.ExitError | TimeoutError):
        return cannot_open(
            stream,
            f"no media within {timeout_seconds:.3g} s",
            "check that the stream is on air and that no firewall is between",
        )
    if isinstance(error, ConnectionRefusedError):
        return cannot_open(stream, "connection refused", "check the port, and that the server runs")
    if isinstance(error, av.error.ProtocolNotFoundError):
        return cannot_open(stream, "this build of libav lacks the protocol", "use another address of the stream")
    if is_local(url):
        return _explain_file(error, local_path(url), stream)
    if is_device(url):
        why = f"the device cannot be opened ({getattr(error, 'strerror', None) or error})"
        return cannot_open(stream, why, "check its name, that it is free, and that this user may open it")
    if is_package_scheme(scheme_of(url)):
        why = redact(getattr(error, "strerror", None) or str(error))
        return cannot_open(stream, why, "check the address; the package that reads this scheme says what it means")
    found = _explain_network(url, stream, policy, timeout_seconds)
    if found is not None:
        return found
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return cannot_open(stream, "host unreachable", "check the address and the route to it")
    if isinstance(error, ConnectionError):
        return cannot_open(stream, "the connection broke", "check that the server stays up")
    reason = redact(getattr(error, "strerror", None) or str(error))
    return cannot_open(stream, f"not media, or broken ({reason})", "open it in a player to see whether it plays there")


def _explain_file(error: Exception, path: str, stream: str) -> SourceError:
    size = Path(path).stat().st_size if Path(path).exists() else 0
    boxes = top_boxes(path)
    if boxes and "moov" not in boxes and "moof" not in boxes:
        return cannot_open(
            stream,
            f"truncated mp4: it has no moov box (found {', '.join(boxes[:6])})",
            "let the recorder finish the file, or record fragmented mp4",
        )
    if sniff(_head(path)) == "playlist":
        return cannot_open(stream, "none of the playlist's segments can be opened", "check the files that it names")
    if size < _TOO_SHORT_BYTES:
        return cannot_open(stream, f"too short to be media ({size} bytes)", "check what wrote it")
    if isinstance(error, PermissionError):
        return cannot_open(stream, "permission denied", "make the file readable for this user")
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return cannot_open(stream, "not media: libav knows no format that looks like it", "check what wrote it")
    reason = redact(getattr(error, "strerror", None) or str(error))
    return cannot_open(stream, f"not media, or broken ({reason})", "check what wrote it")


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _explain_network(url: str, stream: str, policy: UrlPolicy, timeout_seconds: float) -> SourceError | None:
    """Look for the reason where libav only says "Input/output error"."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return cannot_open(stream, f"not a URL ({redact(str(error))})", "check its spelling")
    if not host:
        return cannot_open(stream, "the URL names no host", "write scheme://host/path")
    scheme = scheme_of(url)
    if scheme == "udp" or scheme == "rtp":
        return None
    try:
        resolve(host, port, stream)
        if scheme in ("https", "tls", "rtmps", "rtsps"):
            _try_tls(host, port or 443, timeout_seconds)
        if scheme in ("http", "https"):
            head, final = fetch(url, stream, policy, HEAD_BYTES, timeout_seconds)
            return _explain_body(head, final, stream, policy)
    except SourceError as error:
        return error
    except ssl.SSLError as error:
        return cannot_open(
            stream, f"tls error ({error.reason or error})", "check the port and the server's certificate"
        )
    except ConnectionRefusedError:
        return cannot_open(stream, "connection refused", "check the port, and that the server runs")
    except (OSError, ValueError):
        return None  # libav's own reason is then the best there is
    return None


def _try_tls(host: str, port: int, timeout_seconds: float) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), timeout=timeout_seconds) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return


def _explain_body(head: bytes, url: str, stream: str, policy: UrlPolicy) -> SourceError | None:
    if not head:
        return cannot_open(stream, "the server's answer is empty", "check that the stream is on air")
    kind = sniff(head)
    if kind == "html":
        expected = "HLS" if urlsplit(url).path.endswith((".m3u8", ".m3u")) else "media"
        return cannot_open(
            stream, f"expected {expected}, got HTML", "the server answers with a page: open it in a browser"
        )
    if kind == "text":
        return cannot_open(stream, "not media: the server answers with text", "open the URL in a browser to read it")
    if kind == "playlist":
        expect_playlist(head, stream)
        policy.check_playlist(url, head.decode("utf-8", "replace"), stream)
        return cannot_open(stream, "none of the playlist's segments can be opened", "open one of them in a browser")
    return None


def top_boxes(path: str) -> list[str]:
    """Types of the top-level boxes of an ISO base media file, in order; empty where it is none.

    Source: ISO/IEC 14496-12, 4.2 (size, type; size 1 means a 64-bit size follows, 0 means to the end of the file).
    """
    boxes: list[str] = []
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            at = 0
            while at + 8 <= end and len(boxes) < 64:
                file.seek(at)
                header = file.read(16)
                size, kind = struct.unpack(">I4s", header[:8])
                if size == 1 and len(header) == 16:
                    size = struct.unpack(">Q", header[8:])[0]
                known = kind in _TOP_BOXES
                if not known and not boxes:
                    return []
                if not known:
                    break
                boxes.append(kind.decode("ascii"))
                if size == 0:
                    break
                if size < 8:
                    break
                at += size
    except (OSError, struct.error):
        return []
    return boxes
