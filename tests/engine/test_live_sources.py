"""Live sources over loopback, from real senders: what a viewer would miss is told, with its cause, while it lasts."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from media import ffmpeg_exe

from engine.errors import SourceError
from engine.ingest.backoff import LONGEST_SECONDS, Backoff, OpenPace
from engine.ingest.causes import cause_of
from engine.ingest.source import Source
from engine.listener import Silent
from engine.pipeline import Engine
from engine.spec import EngineSettings, StreamSpec

SENDER = shutil.which("ffmpeg")
# What an outage could be mistaken for.
DETECTORS = (
    *("stream.stall", "stream.missing_video", "stream.missing_audio"),
    *("video.black", "video.freeze", "audio.silence"),
)
needs_sender = pytest.mark.skipif(SENDER is None, reason="no ffmpeg program that can send")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def encode(path: Path, seconds: float, *options: str) -> Path:
    """H.264 with a key frame a second, and AAC."""
    sources = ["-f", "lavfi", "-i", f"testsrc2=s=160x96:r=25:d={seconds}"]
    sources += ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.3:seed=1:r=48000"]
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]
    # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
    codecs += ["-x264-params", "mbtree=0"]
    command = [ffmpeg_exe(), "-y", "-v", "error", *sources, *codecs, "-c:a", "aac", *options, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return encode(folder / "clip.ts", 8)


class Watcher(Silent):
    """Runs an engine on one stream in a thread, and remembers what it was told and when."""

    def __init__(self, url: str, *, reconnect: bool = True, also: tuple[str, ...] = ()) -> None:
        self.incidents: list[tuple[str, str, str | None]] = []
        self.seconds = []
        self.frames_at: list[float] = []
        self.media = 0.0
        self.engine = Engine(EngineSettings(device="cpu", reconnect=reconnect), self, slots=1)
        self.engine.add(StreamSpec("live", url, {name: {} for name in (*DETECTORS, *also)}))
        self.thread = threading.Thread(target=self.engine.run)
        self.thread.start()

    def on_incident(self, incident, change) -> None:
        self.incidents.append((change, incident.detector, incident.cause))

    def on_second(self, second) -> None:
        self.seconds.append(second)

    def on_progress(self, stream, media_seconds, duration) -> None:
        self.media = media_seconds

    @property
    def frames(self) -> int:
        return self.engine.counters.streams["live"].frames_measured

    def wait(self, condition, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.incidents, self.frames, self.media)
            time.sleep(0.05)

    def opened(self, detector: str = "stream.stall") -> bool:
        return any(change == "opened" and name == detector for change, name, _ in self.incidents)

    def closed(self, detector: str = "stream.stall") -> bool:
        return any(change == "closed" and name == detector for change, name, _ in self.incidents)

    def end(self):
        self.engine.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.engine.outcomes["live"]


@contextlib.contextmanager
def watching(url: str, **options) -> Iterator[Watcher]:
    watcher = Watcher(url, **options)
    try:
        yield watcher
    finally:
        watcher.engine.stop()
        watcher.thread.join(20)


class Channel(threading.Thread):
    """Sends a transport stream to whoever connects, at its own pace, until it is closed; can go silent."""

    def __init__(self, clip: Path, port: int, seconds: float = 8.0) -> None:
        super().__init__()
        self.data, self.rate = clip.read_bytes(), clip.stat().st_size / seconds
        self.over, self.silent = threading.Event(), threading.Event()
        self.server = socket.create_server(("127.0.0.1", port))
        self.server.settimeout(0.1)
        self.start()

    def run(self) -> None:
        with self.server:
            while not self.over.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = self.server.accept()
                    with connection:
                        self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        began, sent = time.monotonic(), 0
        while not self.over.wait(0.02):
            due = int((time.monotonic() - began + 0.5) * self.rate) // 188 * 188
            if self.silent.is_set():
                began = time.monotonic() + 0.5 - sent / self.rate
            elif due > sent:
                connection.sendall(self.data[sent:due])
                sent = min(due, len(self.data))

    def close(self) -> None:
        self.over.set()
        self.join(10)


def test_a_source_that_goes_and_comes_back_is_one_stall_and_no_other_defect(clip: Path) -> None:
    port = free_port()
    channel = Channel(clip, port)
    with watching(f"tcp://127.0.0.1:{port}") as watcher:
        watcher.wait(lambda: watcher.frames > 25, 15)
        channel.close()
        left = time.monotonic()
        watcher.wait(watcher.opened, 8)
        assert time.monotonic() - left < 7
        watcher.wait(lambda: ("updated", "stream.stall", "refused") in watcher.incidents
                     or ("opened", "stream.stall", "refused") in watcher.incidents, 5)  # fmt: skip
        measured, media = watcher.frames, watcher.media
        channel = Channel(clip, port)
        try:
            watcher.wait(watcher.closed, 60)
            away = time.monotonic() - left
            watcher.wait(lambda: watcher.frames > measured + 25, 10)
            assert watcher.media > media
        finally:
            channel.close()
        outcome = watcher.end()
    assert {i.detector for i in outcome.incidents} == {"stream.stall"}, outcome.incidents
    [stall] = outcome.incidents
    assert stall.duration == pytest.approx(away, abs=2.5)
    assert stall.closed_by == "recovered"
    inside = [s for s in watcher.seconds if stall.start + 1 < s.second < stall.end - 1]
    assert inside
    told = [(s.second, s.frames_measured, "video.freeze" in s.unknown, "stream.stall" in s.open) for s in inside]
    assert told == [(s.second, 0, True, True) for s in inside]


def test_a_connection_that_falls_silent_is_a_stall_and_goes_on_where_the_clock_is(clip: Path) -> None:
    port = free_port()
    channel = Channel(clip, port)
    try:
        with watching(f"tcp://127.0.0.1:{port}") as watcher:
            watcher.wait(lambda: watcher.frames > 25, 15)
            channel.silent.set()
            watcher.wait(watcher.opened, 8)
            channel.silent.clear()
            watcher.wait(watcher.closed, 10)
            outcome = watcher.end()
    finally:
        channel.close()
    assert [(i.detector, i.cause) for i in outcome.incidents] == [("stream.stall", "no_data")]
    assert outcome.incidents[0].duration == pytest.approx(5.3, abs=1.5)


@pytest.mark.slow
def test_a_slide_show_comes_back_from_an_outage_too(folder: Path) -> None:
    path = folder / "slides.ts"
    drawn = ["-f", "lavfi", "-i", "testsrc2=s=160x96:r=1/3:d=600"]
    codec = ["-c:v", "libx264", "-g", "1", "-bf", "0", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *drawn, *codec, str(path)], check=True, timeout=60)
    port = free_port()
    channel = Channel(path, port, 600)
    try:
        with watching(f"tcp://127.0.0.1:{port}") as watcher:
            watcher.wait(lambda: watcher.frames > 3, 60)
            channel.silent.set()
            watcher.wait(watcher.opened, 15)
            channel.silent.clear()
            watcher.wait(watcher.closed, 20)
    finally:
        channel.close()


def test_a_source_that_sends_no_key_frame_is_a_stall(folder: Path) -> None:
    encode(folder / "rare.ts", 8, "-an", "-g", "1000", "-keyint_min", "1000", "-sc_threshold", "0")
    whole = (folder / "rare.ts").read_bytes()
    headers, middle = whole[: 188 * 3], len(whole) // 3 // 188 * 188
    cut = folder / "keyless.ts"
    cut.write_bytes(headers + whole[middle:])
    port = free_port()
    channel = Channel(cut, port)
    try:
        with watching(f"tcp://127.0.0.1:{port}") as watcher:
            watcher.wait(watcher.opened, 20)
            assert watcher.frames == 0
    finally:
        channel.close()


def test_a_source_that_is_not_there_at_first_is_waited_for(clip: Path) -> None:
    port = free_port()
    with watching(f"tcp://127.0.0.1:{port}") as watcher:
        watcher.wait(watcher.opened, 8)
        assert watcher.incidents[0] == ("opened", "stream.stall", "refused")
        channel = Channel(clip, port)
        try:
            watcher.wait(watcher.closed, 60)
            assert watcher.frames
        finally:
            channel.close()


def test_without_reconnecting_the_end_of_a_live_source_is_the_end(clip: Path) -> None:
    port = free_port()
    channel = Channel(clip, port)
    with watching(f"tcp://127.0.0.1:{port}", reconnect=False) as watcher:
        watcher.wait(lambda: watcher.frames > 10, 15)
        channel.close()
        watcher.thread.join(10)
        assert not watcher.thread.is_alive()


class _Playlists(BaseHTTPRequestHandler):
    """A live HLS origin over the segments of a folder: a new one each second, unless it is frozen or off the air."""

    def do_GET(self) -> None:
        server = self.server
        name = self.path.rpartition("/")[2]
        if server.missing.is_set():
            self.send_error(404)
            return
        if name == "live.m3u8":
            body = self._playlist().encode()
        else:
            path = server.folder / name
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            if server.hanging.is_set():
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:1000])
                server.released.wait(60)
                return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def _playlist(self) -> str:
        server = self.server
        if not server.frozen.is_set():
            server.newest = min(3 + int(time.monotonic() - server.began), server.count)
        first = max(0, server.newest - 4)
        head = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        head += '#EXT-X-MAP:URI="init.mp4"\n' if server.suffix == "m4s" else ""
        entries = (f"#EXTINF:1.0,\nseg{n:03d}.{server.suffix}\n" for n in range(first, server.newest))
        return head + "".join(entries)

    def log_message(self, *_: object) -> None:
        """Tests keep quiet."""


@contextlib.contextmanager
def packager(folder: Path, suffix: str) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Playlists)
    server.daemon_threads = True
    server.folder, server.suffix, server.began = folder, suffix, time.monotonic()
    server.count = len(list(folder.glob(f"seg*.{suffix}")))
    server.missing, server.frozen = threading.Event(), threading.Event()
    server.hanging, server.released = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}/live.m3u8"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def segments(folder: Path, suffix: str) -> Path:
    folder = folder / suffix
    if not folder.is_dir():
        folder.mkdir()
        kind = ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"] if suffix == "m4s" else []
        names = ["-hls_segment_filename", str(folder / f"seg%03d.{suffix}")]
        encode(folder / "made.m3u8", 40, "-f", "hls", "-hls_time", "1", "-hls_list_size", "0", *kind, *names)
    return folder


@pytest.mark.parametrize(
    ("suffix", "fault", "cause"),
    [
        ("ts", "frozen", "stalled_playlist"),
        pytest.param("m4s", "missing", "http_404", marks=pytest.mark.slow),
        pytest.param("ts", "hanging", "timeout", marks=pytest.mark.slow),
    ],
)
def test_a_live_playlist_that_stops_is_a_stall_with_its_cause(folder, suffix, fault, cause) -> None:
    with packager(segments(folder, suffix), suffix) as (server, url), watching(url) as watcher:
        watcher.wait(lambda: watcher.frames > 50, 15)
        getattr(server, fault).set()
        watcher.wait(watcher.opened, 12)
        watcher.wait(lambda: any(said == cause for _, _, said in watcher.incidents), 25)
        getattr(server, fault).clear()
        watcher.wait(watcher.closed, 35)
        outcome = watcher.end()
    # Each attempt at a segment that hangs drips some of its pictures: they are no freeze, and no missing sound.
    assert {i.detector for i in outcome.incidents} == {"stream.stall"}, outcome.incidents


def program(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)


@needs_sender
def test_a_udp_sender_that_dies_and_is_started_again(clip: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    command = (SENDER, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-f", "mpegts",
               f"udp://127.0.0.1:{port}?pkt_size=1316")  # fmt: skip
    sender = program(*command)
    try:
        with watching(f"udp://127.0.0.1:{port}") as watcher:
            watcher.wait(lambda: watcher.frames > 25, 20)
            stop(sender)
            watcher.wait(watcher.opened, 8)
            sender = program(*command)
            watcher.wait(watcher.closed, 15)
            outcome = watcher.end()
    finally:
        stop(sender)
    [stall] = [i for i in outcome.incidents if i.detector == "stream.stall"]
    assert 4.5 < stall.duration < 15
    assert "video.freeze" not in {i.detector for i in outcome.incidents}


class Datagrams(threading.Thread):
    """Sends transport streams one after the other over UDP, each at its own pace."""

    def __init__(self, clips: dict[Path, float], port: int) -> None:
        super().__init__()
        self.clips, self.port = [(clip.read_bytes(), seconds) for clip, seconds in clips.items()], port
        self.over, self.switched = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number, (data, seconds) in enumerate(self.clips):
                if number:
                    self.switched.set()
                began, sent = time.monotonic(), 0
                while sent < len(data) and not self.over.wait(0.01):
                    due = int((time.monotonic() - began) * len(data) / seconds)
                    while sent < min(due, len(data)):
                        sender.sendto(data[sent : sent + 1316], ("127.0.0.1", self.port))
                        sent += 1316


def test_another_codec_on_the_air_is_read_on_without_an_outage(
    clip: Path, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    other = encode(folder / "other.ts", 20, "-c:v", "mpeg2video", "-b:v", "1M", "-output_ts_offset", "8")
    port = free_port(socket.SOCK_DGRAM)
    also = ("stream.format_change", "stream.continuity", "stream.timestamps", "stream.decode_errors")
    with watching(f"udp://127.0.0.1:{port}", also=also) as watcher:
        sender = Datagrams({clip: 8.0, other: 20.0}, port)
        try:
            watcher.wait(lambda: watcher.frames > 25, 20)
            assert sender.switched.wait(15)
            pause, last, frames = 0.0, time.monotonic(), watcher.frames
            watched_until = last + 10.0
            while time.monotonic() < watched_until:
                if watcher.frames > frames:
                    pause, last, frames = max(pause, time.monotonic() - last), time.monotonic(), watcher.frames
                time.sleep(0.01)
            record_property("longest pause of judging s", round(max(pause, time.monotonic() - last), 2))
            assert watcher.opened("stream.format_change")
            measured = watcher.frames
            watcher.wait(lambda: watcher.frames > measured + 25, 18)
            outcome = watcher.end()
        finally:
            sender.over.set()
            sender.join(10)
    [change] = outcome.incidents
    assert (change.detector, change.cause) == ("stream.format_change", "H.264 -> MPEG-2")


def _gives_frames_and_survives(url: str, start, cause: str) -> None:
    """A server or sender that is killed and started again: one stall, with this cause in it, and pictures after it."""
    sender = start()
    try:
        with watching(url) as watcher:
            watcher.wait(lambda: watcher.frames > 25, 20)
            stop(sender)
            watcher.wait(watcher.opened, 12)
            watcher.wait(lambda: any(said == cause for _, _, said in watcher.incidents), 30)
            measured = watcher.frames
            sender = start()
            watcher.wait(watcher.closed, 45)
            watcher.wait(lambda: watcher.frames > measured + 25, 15)
            outcome = watcher.end()
    finally:
        stop(sender)
    assert "stream.stall" in {i.detector for i in outcome.incidents}
    assert "video.freeze" not in {i.detector for i in outcome.incidents}


_RTSP_SERVER = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1")
server.set_service("{port}")
factory.set_shared(True)
video = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=96,framerate=25/1"
video += " ! x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=1"
audio = "audiotestsrc is-live=true wave=white-noise ! audioconvert ! opusenc ! rtpopuspay name=pay1 pt=97"
factory.set_launch(f"( {{video}} {{audio}} )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""


@pytest.mark.slow
def test_an_rtsp_server_that_dies_and_is_started_again() -> None:
    python = "/usr/bin/python3"  # Debian's, for which GStreamer's bindings are packaged
    ready = (
        shutil.which(python)
        and not subprocess.run(
            (python, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"), capture_output=True, check=False
        ).returncode
    )
    if not ready:
        pytest.skip("no GStreamer RTSP server (gir1.2-gst-rtsp-server-1.0, python3-gi)")
    port = free_port()
    source = _RTSP_SERVER.format(port=port)
    url = f"rtsp://127.0.0.1:{port}/live"

    def start() -> subprocess.Popen[bytes]:
        server = program(python, "-c", source)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        return server

    _gives_frames_and_survives(url, start, "refused")


@pytest.mark.slow
@needs_sender
def test_an_rtmp_publisher_that_dies_and_is_started_again(clip: Path, tmp_path: Path) -> None:
    nginx, module = shutil.which("nginx"), Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
    if nginx is None or not module.exists():
        pytest.skip("no nginx with its rtmp module (libnginx-mod-rtmp)")
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"load_module {module};\ndaemon off;\nmaster_process off;\nuser root;\npid {tmp_path}/pid;\n"
        f"error_log {tmp_path}/log;\nevents {{}}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    )
    server = program(nginx, "-c", str(configuration), "-p", str(tmp_path))
    url = f"rtmp://127.0.0.1:{port}/live/one"

    def start() -> subprocess.Popen[bytes]:
        time.sleep(0.5)
        publisher = program(SENDER, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy",
                            "-bsf:a", "aac_adtstoasc", "-f", "flv", url)  # fmt: skip
        time.sleep(1.0)
        return publisher

    try:
        _gives_frames_and_survives(url, start, "no_data")
    finally:
        stop(server)


@pytest.mark.slow
@needs_sender
def test_rtp_with_a_transport_stream_in_it(clip: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)

    def start() -> subprocess.Popen[bytes]:
        return program(SENDER, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy",
                       "-f", "rtp_mpegts", f"rtp://127.0.0.1:{port}")  # fmt: skip

    _gives_frames_and_survives(f"rtp://127.0.0.1:{port}", start, "no_data")


@pytest.mark.parametrize(
    ("what", "why", "word"),
    [
        ("dns failure", "the name x cannot be resolved", "dns"),
        ("cannot open input", "not found (HTTP 404)", "http_404"),
        ("cannot open input", "tls error (wrong version)", "tls"),
        ("address not allowed", "x is 127.0.0.1", "not_allowed"),
        ("reading broke off", "something new", "broken"),
    ],
)
def test_causes_are_words_that_machines_can_route_by(what: str, why: str, word: str) -> None:
    assert cause_of(SourceError(what, why=why, remedy="")) == word


def test_a_forbidden_address_is_not_tried_again() -> None:
    with watching("gopher://127.0.0.1/x") as watcher:
        watcher.thread.join(10)
        assert not watcher.thread.is_alive()
        assert "scheme not allowed" in str(watcher.engine.outcomes["live"].error)


def test_pauses_between_attempts_grow_to_a_limit_and_begin_anew_after_a_good_time() -> None:
    class Worst:
        def uniform(self, low: float, high: float) -> float:
            return high

    backoff = Backoff(Worst())  # type: ignore[arg-type]
    assert [backoff.next() for _ in range(16)] == [1, 2, *[3] * 9, 6, 12, 24, 30, LONGEST_SECONDS]
    backoff.good_for(3.0)
    assert backoff.next() == LONGEST_SECONDS
    backoff.good_for(60.0)
    assert backoff.next() == 1.0


def test_three_hundred_sources_are_not_opened_at_once() -> None:
    pace = OpenPace(per_second=20.0)
    assert max(pace.turn() for _ in range(300)) == pytest.approx(299 / 20, abs=0.5)


def test_a_source_can_be_opened_again_at_a_later_media_time(clip: Path) -> None:
    source = Source(str(clip))
    source.open()
    source.close()
    source.open(lambda: 42.0)
    assert next(p.pts for p in source.packets()) == pytest.approx(42.0, abs=0.1)
    source.close()


def test_a_source_that_drips_as_it_is_opened_is_given_up_for_want_of_media():
    class Drips(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"G")
                    time.sleep(0.1)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    source = Source(f"http://127.0.0.1:{server.server_port}/live.ts")
    timer = threading.Timer(1.0, source.give_up)
    timer.start()
    try:
        with pytest.raises(SourceError) as caught:
            source.open()
        assert cause_of(caught.value) == "timeout"
        assert "told to stop" not in caught.value.line()
    finally:
        timer.join()
        source.close()
        server.shutdown()
        server.server_close()
        serving.join(5)
