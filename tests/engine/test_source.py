"""Opening and reading inputs: what works, and what each bad input is told."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import make, picture

from engine.errors import SourceError
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy


def refusal(url: str | Path, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        Source(str(url), **options).open()  # type: ignore[arg-type]
    line = caught.value.line()
    assert "\n" not in line
    assert caught.value.exit_code == 3
    return line


def test_a_clip_is_described_and_read_in_demux_order() -> None:
    source = Source(str(make("av.mp4")), stream="cam")
    info = source.open()
    assert info.stream == "cam"
    assert info.container.startswith("mov,mp4")
    assert info.duration == pytest.approx(2.0, abs=0.1)
    assert not info.live
    assert info.video is not None
    assert (info.video.codec, info.video.width, info.video.height) == ("mpeg4", 160, 96)
    assert (info.video.pixel_format, info.video.bit_depth, info.video.frame_rate) == ("yuv420p", 8, 25.0)
    assert info.audio is not None
    assert (info.audio.codec, info.audio.sample_rate, info.audio.layout, info.audio.channels) == (
        "aac",
        48_000,
        "stereo",
        2,
    )
    packets = list(source.packets())
    video = [p for p in packets if p.track == "video"]
    assert len(video) == 50
    assert video[0].key
    assert video[0].pts == 0.0
    assert video[-1].pts == pytest.approx(1.96)
    assert {p.track for p in packets} == {"video", "audio"}
    assert all(p.stream == "cam" and p.size > 0 for p in packets)
    assert source.error is None
    assert source.problems == []
    source.close()
    source.close()


@pytest.mark.parametrize("start", [0.0, 1000.0])
def test_media_time_begins_at_the_first_timestamp(start: float) -> None:
    source = Source(str(make(f"start{start:.0f}.ts", video="mpeg2video", audio="mp2", start=start)))
    source.open()
    first = next(p.pts for p in source.packets())
    assert first == pytest.approx(0.0, abs=0.05)


def test_audio_only_and_video_only_leave_the_other_track_out() -> None:
    sound = Source(str(make("sound.wav", video=None, audio="pcm_s16le"))).open()
    assert sound.video is None
    assert sound.audio is not None
    pictures = Source(str(make("pictures.mp4", audio=None))).open()
    assert pictures.audio is None
    assert pictures.video is not None


def test_a_cover_picture_is_not_a_video_track(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    frame = av.VideoFrame.from_ndarray(picture(0, 32, 32), format="rgb24")
    with av.open(str(make("sound.m4a", video=None))) as given, av.open(str(path), "w") as made:
        cover = made.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        copied = made.add_stream_from_template(given.streams.audio[0])
        made.mux(cover.encode(frame))
        made.mux(cover.encode(None))
        for packet in given.demux(audio=0):
            if packet.size:
                packet.stream = copied
                made.mux(packet)
    info = Source(str(path)).open()
    assert info.video is None
    assert info.audio is not None


def test_a_truncated_ts_is_read_to_where_it_ends(tmp_path: Path) -> None:
    whole = make("whole.ts", video="mpeg2video", audio="mp2").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) * 6 // 10 + 77])
    source = Source(str(cut))
    source.open()
    packets = list(source.packets())
    assert 20 < sum(p.track == "video" for p in packets) < 45
    assert source.error is None


def test_corrupt_packets_in_the_middle_do_not_end_the_reading(tmp_path: Path) -> None:
    data = bytearray(make("whole.ts", video="mpeg2video", audio="mp2").read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(data) // 3, len(data) * 2 // 3, 200):
        data[at] ^= 0xFF
    broken = tmp_path / "flipped.ts"
    broken.write_bytes(data)
    source = Source(str(broken))
    source.open()
    packets = list(source.packets())
    assert packets[-1].pts is not None
    assert packets[-1].pts > 1.7
    assert source.corrupt_packets > 0
    assert source.error is None


def test_a_track_that_is_added_on_the_way_does_not_end_the_reading(tmp_path: Path) -> None:
    alone = make("alone.ts", video="mpeg2video", audio=None).read_bytes()
    both = make("both.ts", video="mpeg2video", audio="mp2", start=2.0, seconds=2.0).read_bytes()
    # libav looks for tracks at the start of a file, and for its duration at the end.
    path = tmp_path / "joined.ts"
    path.write_bytes(alone * 120 + both + alone * 40)
    source = Source(str(path))
    info = source.open()
    assert info.audio is None
    assert len([p for p in source.packets() if p.track == "video"]) == 161 * 50
    assert source.error is None
    # libav does not always hand over what comes on a track that it met on the way.
    assert set(source.problems) <= {"a track was added on the way; it is not judged"}
    source.close()


def test_what_a_missing_file_is_told(tmp_path: Path) -> None:
    assert "file not found; check the path" in refusal(tmp_path / "none.mp4")


def test_what_a_directory_is_told(tmp_path: Path) -> None:
    assert "it is a directory" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_an_unreadable_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x" * 1000)
    path.chmod(0)
    assert "permission denied" in refusal(path)


def test_what_an_unreadable_file_is_told_even_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x" * 1000)

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    assert "permission denied; make the file readable" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.mp4", b"", "empty file (0 bytes)"),
        ("short.ts", bytes(range(100, 200)), "too short to be media (100 bytes)"),
        ("notes.txt", b"hello world, this is not a film\n" * 50, "not media: a text file"),
        ("film.mp4", "Grüße aus Köln, kein Film\n".encode() * 400, "not media: a text file"),
        ("page.mp4", b"<!DOCTYPE html><html><body>404</body></html>" * 30, "not media: an HTML page"),
        ("random.bin", np.random.default_rng(7).bytes(20_000), "not media: libav knows no format"),
        ("alone.m3u8", b"#EXTM3U\n", "the playlist has no segments"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:4,\nhttp://h/a.ts\n", "the playlist names http://h/a.ts"),
        ("passwd.m3u8", b"#EXTM3U\n#EXTINF:4,\n/etc/passwd\n", "the playlist names /etc/passwd"),
        ("gone.m3u8", b"#EXTM3U\n#EXTINF:4,\nnone.ts\n#EXT-X-ENDLIST\n", "playlist"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n", "not media: a text file"),
    ],
)
def test_what_a_bad_file_is_told(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    line = refusal(path)
    assert told in line
    assert line.startswith(str(path))


def test_what_an_mp4_without_moov_is_told(tmp_path: Path) -> None:
    whole = make("av.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: whole.index(b"moov") - 4])
    assert "truncated mp4: it has no moov box" in refusal(cut)
    assert "let the recorder finish the file" in refusal(cut)


def test_what_an_unknown_codec_is_told(tmp_path: Path) -> None:
    data = make("pictures.mkv", audio=None).read_bytes()
    assert b"V_MPEG4/ISO/ASP" in data
    unknown = tmp_path / "unknown.mkv"
    unknown.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_QUANTUM/LEAP1"))
    assert "unknown codec" in refusal(unknown)


def test_a_file_without_pictures_or_sound_is_refused(tmp_path: Path) -> None:
    subtitles = tmp_path / "only.mkv"
    text = tmp_path / "only.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")
    with av.open(str(text)) as given, av.open(str(subtitles), "w") as made:
        track = made.add_stream_from_template(given.streams[0])
        for packet in given.demux():
            if packet.size:
                packet.stream = track
                made.mux(packet)
    assert "it has no video and no audio track (only subtitle)" in refusal(subtitles)


def test_pictures_over_the_limit_are_refused() -> None:
    line = refusal(make("av.mp4"), policy=UrlPolicy(max_pixels=100 * 100))
    assert "resolution over limit: 160x96 pictures; 10000 pixels are allowed" in line


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/moved.ts":
            self.send_response(302)
            self.send_header("Location", "/clip.ts")
            self.end_headers()
            return
        if path == "/to-file.m3u8":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        if path == "/stall.ts":
            self.send_response(200)
            self.end_headers()
            # Enough for libav to find the tracks; it may look at several seconds.
            self.wfile.write(self.server.files["/clip.ts"] * 4)  # type: ignore[attr-defined]
            self.wfile.flush()
            self.server.released.wait(20)  # type: ignore[attr-defined]
            return
        if path in ("/401", "/403", "/500"):
            self.send_error(int(path[1:]))
            return
        body = self.server.files.get(path)  # type: ignore[attr-defined]
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests keep quiet."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    clip = make("whole.ts", video="mpeg2video", audio="mp2").read_bytes()
    server.released = threading.Event()  # type: ignore[attr-defined]
    server.files = {  # type: ignore[attr-defined]
        "/clip.ts": clip,
        "/live.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nclip.ts\n#EXT-X-ENDLIST\n",
        "/master.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n",
        "/twice.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmaster.m3u8\n",
        "/itself.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nitself.m3u8\n",
        "/passwd.m3u8": b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n",
        "/hidden": b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "/bare.m3u8": b"#EXTM3U\n",
        "/html.m3u8": b"<html><body>login</body></html>",
        "/page": b"<!doctype html><html><body>login</body></html>" * 40,
        "/lost.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nnone.ts\n#EXT-X-ENDLIST\n",
        "/nothing.ts": b"",
        "/live.mpd": b'<?xml version="1.0"?>\n<MPD type="dynamic"><Period/></MPD>\n' * 20,
    }
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.parametrize("path", ["/clip.ts", "/moved.ts", "/live.m3u8", "/master.m3u8"])
def test_network_inputs_are_read(origin: str, path: str) -> None:
    source = Source(origin + path)
    info = source.open()
    assert info.video is not None
    assert sum(p.track == "video" for p in source.packets()) == 50
    assert source.error is None
    source.close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/none.ts", "not found (HTTP 404)"),
        ("/none.m3u8", "not found (HTTP 404)"),
        ("/401", "unauthorized (HTTP 401)"),
        ("/403", "forbidden (HTTP 403)"),
        ("/500", "the server failed (HTTP 500)"),
        ("/bare.m3u8", "the playlist has no segments"),
        ("/html.m3u8", "expected HLS, got HTML"),
        ("/page", "expected media, got HTML"),
        ("/passwd.m3u8", "the playlist names file:///etc/passwd"),
        ("/hidden", "the playlist names file:///etc/passwd"),
        ("/itself.m3u8", "playlist limit exceeded: the playlist names itself"),
        ("/twice.m3u8", "playlist limit exceeded"),
        ("/to-file.m3u8", "scheme not allowed"),
        ("/lost.m3u8", "none of the playlist's segments can be opened"),
        ("/nothing.ts", "the server's answer is empty"),
    ],
)
def test_what_a_bad_network_input_is_told(origin: str, path: str, told: str) -> None:
    assert told in refusal(f"{origin}{path}?token=s3cretvalue")


def test_no_message_shows_a_secret(origin: str) -> None:
    host = origin.removeprefix("http://")
    line = refusal(f"http://admin:hunter2@{host}/none.ts?token=s3cretvalue")
    assert "hunter2" not in line
    assert "s3cretvalue" not in line
    assert "***" in line


def test_what_an_unreachable_host_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "connection refused" in refusal(f"http://127.0.0.1:{port}/live.ts")
    assert "connection refused" in refusal(f"tcp://127.0.0.1:{port}")
    assert "connection refused" in refusal(f"http://127.0.0.1:{port}/live.m3u8")
    assert "dns failure" in refusal("http://nowhere.invalid/live.ts")


def test_what_a_plain_server_behind_https_is_told(origin: str) -> None:
    assert "tls error" in refusal(origin.replace("http:", "https:") + "/clip.ts")


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        line = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/x.ts", open_timeout_seconds=0.5)
        assert "no media within 0.5 s" in line
        assert time.monotonic() - started < 5


def test_a_stalled_input_breaks_off_with_an_error(origin: str) -> None:
    source = Source(f"{origin}/stall.ts", read_timeout_seconds=0.7)
    source.open()
    assert len(list(source.packets())) > 10
    assert source.error is not None
    assert "reading broke off: no data for 0.7 s" in source.error.line()
    source.close()


def test_stop_ends_a_blocking_open() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        source = Source(f"http://127.0.0.1:{silent.getsockname()[1]}/x.ts", open_timeout_seconds=30)
        timer = threading.Timer(0.3, source.stop)
        timer.start()
        started = time.monotonic()
        with pytest.raises(SourceError, match="opening was given up"):
            source.open()
        timer.join()
        assert time.monotonic() - started < 3


def test_stop_ends_a_blocking_read() -> None:
    clip = make("whole.ts", video="mpeg2video", audio="mp2").read_bytes()
    release = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(clip * 4)
                release.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        source = Source(f"tcp://127.0.0.1:{server.getsockname()[1]}", read_timeout_seconds=30)
        source.open()
        timer = threading.Timer(0.5, source.stop)
        timer.start()
        started = time.monotonic()
        packets = list(source.packets())
        took = time.monotonic() - started
        timer.join()
        release.set()
        thread.join(10)
        source.close()
    assert packets
    assert source.error is None
    assert took < 5


def test_top_level_boxes_of_a_64_bit_file(tmp_path: Path) -> None:
    from engine.ingest.classify import top_boxes

    path = tmp_path / "big.mp4"
    path.write_bytes(
        struct.pack(">I4s8x", 16, b"ftyp") + struct.pack(">I4sQ8x", 1, b"mdat", 24) + struct.pack(">I4s", 8, b"moov")
    )
    assert top_boxes(str(path)) == ["ftyp", "mdat", "moov"]
