"""Sources that never give a picture, read by an ingest process over real sockets: each is a stall with its cause."""

import contextlib
import http.server
import socket
import ssl
import threading
import time

import pytest
from live_kit import live
from origin import Origin
from senders import free_port
from servers import certificate

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:1,\nseg7.ts\n#EXTINF:1,\nseg8.ts\n"
EMPTY = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextlib.contextmanager
def accepting(drip):
    """A TCP server that sends `drip` once a second to each who connects."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    clients = []

    def run():
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                clients.append((server.accept()[0], time.monotonic()))
            if drip and over.wait(0.9) is False:
                for client, _ in clients:
                    with contextlib.suppress(OSError):
                        client.sendall(drip)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        thread.join(10)
        server.close()
        for client, _ in clients:
            client.close()


@contextlib.contextmanager
def behind_tls(folder):
    """An HTTPS server whose certificate nobody has signed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_each_kind_of_fault_is_a_stall_with_its_cause_and_nothing_else(tmp_path):
    answers = {
        "/down.m3u8": lambda: (503, {}, b""),
        "/login.m3u8": lambda: (401, {}, b""),
        "/page.m3u8": lambda: (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>welcome</html>"),
        "/page": lambda: (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>welcome</html>"),
        "/empty.m3u8": lambda: (200, {}, EMPTY),
        "/gone.m3u8": lambda: (200, {}, PLAYLIST),
        "/noise.ts": lambda: (200, {}, bytes(range(256)) * 400),
    }
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin(tmp_path, answers))
        silent, loris = (stack.enter_context(accepting(drip)) for drip in (b"", b"x"))
        tls = stack.enter_context(behind_tls(tmp_path))
        with live() as kit:
            sources = {
                "dns": ("http://no-such-host.invalid/live.m3u8", {"dns"}),
                "dns_rtmp": ("rtmp://no-such-host.invalid/live/one", {"dns"}),
                "dns_rtsp": ("rtsp://no-such-host.invalid/live", {"dns"}),
                "refused": (f"http://127.0.0.1:{free_port()}/live.m3u8", {"refused"}),
                "refused_rtsp": (f"rtsp://127.0.0.1:{free_port()}/live", {"refused"}),
                "refused_rtmp": (f"rtmp://127.0.0.1:{free_port()}/live/one", {"refused"}),
                "404": (f"{origin.url}/nowhere.m3u8", {"http_404"}),
                "404_ts": (f"{origin.url}/nowhere.ts", {"http_404"}),
                "404_dash": (f"{origin.url}/nowhere.mpd", {"http_404"}),
                "503": (f"{origin.url}/down.m3u8", {"http_503"}),
                "401": (f"{origin.url}/login.m3u8", {"http_401"}),
                "page": (f"{origin.url}/page.m3u8", {"not_media"}),
                "page_plain": (f"{origin.url}/page", {"not_media"}),
                "empty": (f"{origin.url}/empty.m3u8", {"no_segments"}),
                "gone": (f"{origin.url}/gone.m3u8", {"http_404"}),
                "noise": (f"{origin.url}/noise.ts", {"not_media"}),
                "tls_unsigned": (f"https://127.0.0.1:{tls}/live.m3u8", {"tls"}),
                "tls_plain": (f"https://127.0.0.1:{origin.port}/live.m3u8", {"tls"}),
                "silent": (f"http://127.0.0.1:{silent}/live.m3u8", {"timeout"}),
                "silent_tls": (f"https://127.0.0.1:{silent}/live.m3u8", {"timeout"}),
                "silent_tcp": (f"tcp://127.0.0.1:{silent}", {"timeout"}),
                "loris": (f"http://127.0.0.1:{loris}/live.m3u8", {"timeout"}),
                "udp": (f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", {"timeout"}),
            }
            detectors = {"stream.stall": {}, "video.freeze": {}, "video.black": {}, "stream.missing_video": {}}
            for name, (url, _) in sources.items():
                kit.take(name, url, detectors)

            def wrong():
                said = {name: kit.heard.report(name) for name in sources}
                said = {name: None if one is None else one.cause for name, one in said.items()}
                return {
                    name: (cause, sources[name][1]) for name, cause in said.items() if cause not in sources[name][1]
                }

            # The slowest are given up after ten seconds, with what was tried before that.
            deadline = time.monotonic() + 75
            seen = set()
            while time.monotonic() < deadline and len(seen) < len(sources):
                seen |= sources.keys() - wrong().keys()
                time.sleep(0.2)
            assert not sources.keys() - seen, wrong()
            assert {name: kit.found(name) for name in sources} == {name: {"stream.stall"} for name in sources}
