"""Callers who may reach public addresses only: no name, redirect, playlist or changing name server leads elsewhere.

This machine reaches no public address, so one is made up: `public.test` resolves to it, and connections to it arrive
at a server on loopback. Everything else is real.
"""

import ipaddress
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from media import ffmpeg_exe
from origin import Origin

from engine.errors import SourceError
from engine.ingest import url_policy
from engine.ingest.http_files import HttpFiles
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy

PUBLIC = "93.184.215.14"
RESTRICTED = UrlPolicy(allow_files=False, allow_private=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("origin")
    sources = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    for name, options in (
        ("a.ts", []),
        ("end.mp4", []),  # its index at the end: it has to be read from there first
        ("list.m3u8", ["-hls_time", "1", "-hls_playlist_type", "vod", "-f", "hls"]),
    ):
        command = [ffmpeg_exe(), "-y", "-v", "error", *sources, *codecs, *options, str(made / name)]
        subprocess.run(command, check=True, timeout=60)
    return made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each made-up name resolves to; a list of several is given out one after the other."""
    known = {"public.test": [PUBLIC]}

    def resolve(host, port, stream):
        answers = known.get(host, [host])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(answer)]

    connect = socket.create_connection

    def create_connection(address, *args, **options):
        return connect(("127.0.0.1" if address[0] == PUBLIC else address[0], address[1]), *args, **options)

    monkeypatch.setattr(url_policy, "resolve", resolve)
    monkeypatch.setattr("engine.ingest.classify.resolve", resolve)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    return known


@pytest.fixture
def origin(folder: Path) -> Iterator[Origin]:
    with Origin(folder) as served:
        yield served


@pytest.mark.parametrize("path", ["a.ts", "end.mp4", "list.m3u8"])
def test_what_lies_at_a_public_address_is_read_whole(origin: Origin, names, path: str) -> None:
    with Source(f"http://public.test:{origin.port}/{path}", policy=RESTRICTED) as source:
        source.open()
        assert sum(packet.track == "video" for packet in source.packets()) == 75
        assert source.error is None


def test_a_redirect_to_a_private_address_is_not_followed(origin: Origin, names) -> None:
    secret = f"http://127.0.0.1:{origin.port}/a.ts"
    origin.answers["/away.ts"] = lambda: (302, {"Location": secret}, b"")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 is not a public address"):
        Source(f"http://public.test:{origin.port}/away.ts", policy=RESTRICTED).open()
    assert "/a.ts" not in origin.asked


def test_a_playlist_that_changes_later_leads_to_no_private_address(origin: Origin, names, folder: Path) -> None:
    """The first look at it finds nothing wrong; what libav then gets names a private address."""
    whole = (folder / "list.m3u8").read_text()
    good = whole[: whole.index("#EXTINF", whole.index("list0.ts"))]  # live: more is to come
    bad = whole.replace("list1.ts", f"http://127.0.0.1:{origin.port}/list1.ts")
    looks = iter([good, bad])
    origin.answers["/turns.m3u8"] = lambda: (200, {}, next(looks, bad).encode())
    with Source(f"http://public.test:{origin.port}/turns.m3u8", policy=RESTRICTED) as source:
        source.open()
        assert sum(packet.track == "video" for packet in source.packets()) == 50
    assert "/list1.ts" not in origin.asked


def test_a_name_server_that_changes_its_answer_leads_nowhere(origin: Origin, names) -> None:
    names["rebinding.test"] = [PUBLIC, "127.0.0.1"]
    with pytest.raises(SourceError, match="not a public address"):
        Source(f"http://rebinding.test:{origin.port}/a.ts", policy=RESTRICTED).open()
    assert not origin.asked


def test_a_read_that_hangs_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        files = HttpFiles("cam", UrlPolicy(), (5.0, 30.0))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        got: list[bytes] = []

        def read() -> None:
            file = files.open(url)
            got.append(file.read())
            got.append(file.read())
            file.close()

        thread = threading.Thread(target=read)
        thread.start()
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
            while not got:
                thread.join(0.05)
            files.abort()
            thread.join(5)
        assert not thread.is_alive()
        assert got == [b"abc", b""]


def test_the_key_of_encrypted_segments_is_held_to_the_same_addresses(folder: Path, names, tmp_path: Path) -> None:
    """What callers may not reach for a segment, they may not reach for a key."""
    (tmp_path / "key").write_bytes(bytes(range(16)))
    (tmp_path / "info").write_text(f"key.key\n{tmp_path / 'key'}\n")
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-i", folder / "a.ts", "-c", "copy", "-f", "hls", "-hls_time", "1",
         "-hls_list_size", "0", "-hls_key_info_file", tmp_path / "info", tmp_path / "locked.m3u8"],
        check=True, timeout=60,
    )  # fmt: skip
    (tmp_path / "key.key").write_bytes((tmp_path / "key").read_bytes())
    text = (tmp_path / "locked.m3u8").read_text()
    with Origin(tmp_path) as served:
        with Source(f"http://public.test:{served.port}/locked.m3u8", policy=RESTRICTED) as source:
            source.open()
            assert sum(packet.track == "video" for packet in source.packets()) == 75
        for private in (f"http://127.0.0.1:{served.port}/key.key", "file:///etc/hostname.key", "/key.key"):
            served.asked.clear()
            served.answers["/away.m3u8"] = lambda uri=private: (200, {}, text.replace("key.key", uri).encode())
            source = Source(f"http://public.test:{served.port}/away.m3u8", policy=RESTRICTED)
            if private == "/key.key":
                with source:
                    source.open()
                assert "/key.key" in served.asked
                continue
            with pytest.raises(SourceError, match="not allowed"):
                source.open()
            assert served.asked == ["/away.m3u8"]
        # A redirect of the key's address is one, too.
        served.answers["/key.key"] = lambda: (302, {"Location": f"http://127.0.0.1:{served.port}/key"}, b"")
        with pytest.raises(SourceError, match="not a public address"):
            Source(f"http://public.test:{served.port}/locked.m3u8", policy=RESTRICTED).open()
        assert "/key" not in served.asked
