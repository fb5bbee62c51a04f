"""SRT over loopback, against ffmpeg as the other side."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from media import ffmpeg_exe
from programs import program

from engine.errors import SourceError
from engine.ingest import srt
from engine.ingest.causes import cause_of
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy

SECRET = "opensesame42"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("srt") / "clip.ts"
    sources = ["-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *sources, *codecs, str(path)], check=True, timeout=60)
    return path


@contextlib.contextmanager
def sender(clip: Path, url: str, loops: str = "-1") -> Iterator[None]:
    if not srt.is_available():
        pytest.skip("no libsrt")
    command = [
        program("ffmpeg"),
        "-v",
        "quiet",
        "-re",
        "-stream_loop",
        loops,
        "-i",
        str(clip),
        "-c",
        "copy",
        "-f",
        "mpegts",
    ]
    process = subprocess.Popen([*command, url], stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait(10)


def test_a_caller_reads_pictures_sound_and_every_packet_below_the_demuxer(clip: Path) -> None:
    port = free_port()
    with (
        sender(clip, f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}"),
        Source(f"srt://127.0.0.1:{port}?passphrase={SECRET}&latency=40") as source,
    ):
        info = source.open()
        assert info.live
        assert info.video is not None
        assert info.audio is not None
        assert SECRET not in info.stream
        began = time.monotonic()
        counts = {"video": 0, "audio": 0}
        raw = source.raw_bytes()
        assert raw is not None
        data = b""
        for packet in source.packets():
            counts[packet.track] += 1
            piece = raw.read_until(packet.payload.pos)
            data += piece.data if piece is not None else b""
            if counts["video"] >= 75:
                break
        assert time.monotonic() - began < 6  # as it comes, not in lumps
        assert counts["audio"] > 50
        assert len(data) % 188 == 0
        assert data[::188] == b"G" * (len(data) // 188)


def test_it_waits_for_a_caller_where_it_is_told_to_listen(clip: Path) -> None:
    port = free_port()
    with (
        sender(clip, f"srt://127.0.0.1:{port}?mode=caller&connect_timeout=8000", loops="1"),
        Source(f"srt://127.0.0.1:{port}?mode=listener") as source,
    ):
        assert source.open().video is not None
        assert sum(1 for packet in source.packets() if packet.track == "video") > 100
        assert source.error is None  # the sender has ended
        assert source.why_ended() == "ended"


def test_a_wrong_passphrase_is_named(clip: Path) -> None:
    port = free_port()
    with (
        sender(clip, f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}"),
        pytest.raises(SourceError, match="passphrase") as caught,
    ):
        Source(f"srt://127.0.0.1:{port}?passphrase=somethingelse1", open_timeout_seconds=5).open()
    assert "somethingelse1" not in caught.value.line()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("srt://127.0.0.1", "names no port"),
        ("srt://127.0.0.1:9?latency=long", "latency is no number"),
        ("srt://127.0.0.1:9?passphrase=short", "no such value of passphrase"),
        ("srt://127.0.0.1:9?mode=sideways", "unknown mode"),
    ],
)
def test_what_a_wrong_address_is_told(url: str, why: str) -> None:
    if not srt.is_available():
        pytest.skip("no libsrt")
    with pytest.raises(SourceError, match=why):
        Source(url).open()


def test_nobody_there_is_a_timeout() -> None:
    if not srt.is_available():
        pytest.skip("no libsrt")
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        Source(f"srt://127.0.0.1:{free_port()}", open_timeout_seconds=1.5).open()
    assert cause_of(caught.value) in ("timeout", "refused")
    assert time.monotonic() - began < 5


def test_a_private_address_is_refused_where_only_public_ones_are_allowed() -> None:
    with pytest.raises(SourceError, match="address not allowed"):
        Source("srt://127.0.0.1:9", policy=UrlPolicy(allow_files=False, allow_private=False)).open()


def test_without_libsrt_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt, "_library", lambda: None)
    with pytest.raises(SourceError, match="libsrt is not installed; install it") as caught:
        Source("srt://127.0.0.1:9000").open()
    assert cause_of(caught.value) == "unsupported"
