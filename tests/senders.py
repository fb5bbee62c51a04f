"""Live channels from real programs on loopback: each can die and come back. See programs.py."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import program

RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's, for which GStreamer's bindings are packaged

_NGINX = """
load_module {module};
daemon off; master_process off; user root; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; application/dash+xml mpd; }}
  server {{ listen 127.0.0.1:{http}; root {folder}/www; }}
}}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; application live {{ live on; }} }} }}
"""

_ICECAST = """<icecast>
<limits><clients>10</clients><sources>4</sources></limits>
<authentication><source-password>hackme</source-password><admin-user>a</admin-user>
<admin-password>hackme</admin-password></authentication>
<hostname>localhost</hostname>
<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
<fileserve>0</fileserve>
<paths><logdir>{folder}</logdir><webroot>{folder}</webroot><adminroot>{folder}</adminroot></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
<security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""

_RTSP = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1")
server.set_service("{port}")
factory.set_shared(True)
factory.set_protocols(GstRtsp.RTSPLowerTrans.{transport})
video = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=96,framerate=25/1"
video += " ! x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=1"
audio = "audiotestsrc is-live=true wave=white-noise ! audioconvert ! opusenc ! rtpopuspay name=pay1 pt=97"
factory.set_launch(f"( {{video}} {{audio}} )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback that nobody has."""
    with socket.socket(socket.AF_INET, kind) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def free_udp_port() -> int:
    """One for datagrams."""
    return free_port(socket.SOCK_DGRAM)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def spawn(*command: object) -> subprocess.Popen[bytes]:
    """A program in the background, its output thrown away."""
    parts = [str(part) for part in command]
    return subprocess.Popen(parts, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Sender:
    """One channel, on the air between `start` and `stop`.

    Args:
        url: where it is to be had.
        command: the program that sends it.
        port: that it listens on itself, if it does.
    """

    def __init__(self, url: str, *command: object, port: int | None = None) -> None:
        self.url = url
        self._command = command
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """On the air."""
        self._process = spawn(*self._command)

    def stop(self) -> None:
        """Dead at once. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)


class Studio:
    """Makes senders of one clip, and runs what servers they need.

    Args:
        clip: mp4 with H.264 and AAC.
    """

    def __init__(self, clip: Path) -> None:
        # Not pytest's folder: only root may pass through that, and Icecast gives root's rights up.
        self.folder = Path(tempfile.mkdtemp(prefix="avjury-"))
        self.folder.chmod(0o777)
        self._clip = clip
        self._servers: list[subprocess.Popen[bytes]] = []
        self._http = self._rtmp = self._icecast = 0

    def close(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.kill()
            server.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self, port: int, *command: object) -> None:
        self._servers.append(spawn(*command))
        deadline = time.monotonic() + 20
        while not answers(port):
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.1)

    def _nginx(self) -> None:
        if self._http:
            return
        if not RTMP_MODULE.exists():
            pytest.skip("no nginx rtmp module (libnginx-mod-rtmp)")
        nginx = program("nginx")
        self._http, self._rtmp = free_port(), free_port()
        (self.folder / "www").mkdir()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(module=RTMP_MODULE, folder=self.folder, http=self._http, rtmp=self._rtmp)
        )
        self._serve(self._http, nginx, "-c", configuration, "-p", self.folder)

    def _played(self, *more: object) -> tuple[object, ...]:
        """The clip, again and again at its pace."""
        return (program("ffmpeg"), "-v", "quiet", "-re", "-stream_loop", "-1", "-i", self._clip, "-c", "copy", *more)

    def hls(self, name: str, kind: str) -> Sender:
        """Segments of a second behind nginx; kind "mpegts" or "fmp4"."""
        self._nginx()
        folder = self.folder / "www" / name
        folder.mkdir()
        options = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments+append_list",
                   "-hls_segment_type", kind, "-hls_start_number_source", "epoch")  # fmt: skip
        command = self._played(*options)
        return Sender(f"http://127.0.0.1:{self._http}/{name}/live.m3u8", *command, folder / "live.m3u8")

    def hls_master(self, name: str) -> Sender:
        """A master playlist of two variants, 320x192 and 160x96, each with its sound."""
        self._nginx()
        folder = self.folder / "www" / name
        folder.mkdir()
        played = (program("ffmpeg"), "-v", "quiet", "-re", "-stream_loop", "-1", "-i", self._clip)
        maps = ("-map", "0:v", "-map", "0:a", "-map", "0:v", "-map", "0:a", "-c:a", "copy", "-c:v", "libx264")
        codec = ("-preset", "ultrafast", "-g", "25", "-s:v:0", "320x192", "-b:v:0", "600k", "-s:v:1", "160x96",
                 "-b:v:1", "200k")  # fmt: skip
        options = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments",
                   "-var_stream_map", "v:0,a:0 v:1,a:1", "-master_pl_name", "live.m3u8")  # fmt: skip
        url = f"http://127.0.0.1:{self._http}/{name}/live.m3u8"
        return Sender(url, *played, *maps, *codec, *options, folder / "v%v.m3u8")

    def dash(self, name: str) -> Sender:
        """A live manifest behind nginx."""
        self._nginx()
        folder = self.folder / "www" / name
        folder.mkdir()
        options = ("-f", "dash", "-seg_duration", "1", "-window_size", "6",
                   "-use_timeline", "0", "-utc_timing_url", f"http://127.0.0.1:{self._http}/time")  # fmt: skip
        command = self._played(*options, folder / "live.mpd")
        return Sender(f"http://127.0.0.1:{self._http}/{name}/live.mpd", *command)

    def rtmp(self, name: str) -> Sender:
        """Published to nginx."""
        self._nginx()
        url = f"rtmp://127.0.0.1:{self._rtmp}/live/{name}"
        return Sender(url, *self._played("-f", "flv", url))

    def rtsp(self, transport: str) -> Sender:
        """GStreamer's RTSP server; transport "TCP" or "UDP", which alone it allows."""
        check = (SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')")
        if not shutil.which(SYSTEM_PYTHON) or subprocess.run(check, capture_output=True, check=False).returncode:
            pytest.skip("no GStreamer RTSP server (gir1.2-gst-rtsp-server-1.0, python3-gi)")
        port = free_port()
        source = _RTSP.format(port=port, transport=transport)
        return Sender(f"rtsp://127.0.0.1:{port}/live", SYSTEM_PYTHON, "-c", source, port=port)

    def srt(self) -> Sender:
        """ffmpeg listens, and sends to who calls."""
        port = free_udp_port()
        command = self._played("-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener")
        return Sender(f"srt://127.0.0.1:{port}?latency=40", *command)

    def udp(self, host: str = "127.0.0.1") -> Sender:
        """A transport stream in datagrams; a multicast address is reached through the loopback."""
        port = free_udp_port()
        where = "" if host.startswith("127.") else "localaddr=127.0.0.1"
        command = self._played("-f", "mpegts", f"udp://{host}:{port}?pkt_size=1316&{where}")
        return Sender(f"udp://{host}:{port}?{where}", *command)

    def rtp(self) -> Sender:
        """A transport stream in RTP."""
        url = f"rtp://127.0.0.1:{free_udp_port()}"
        return Sender(url, *self._played("-f", "rtp_mpegts", url))

    def http(self) -> Sender:
        """ffmpeg as the server of one endless transport stream, for one client."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/live.ts"
        return Sender(url, *self._played("-f", "mpegts", "-listen", "1", url), port=port)

    def tcp(self) -> Sender:
        """The same without HTTP."""
        port = free_port()
        return Sender(f"tcp://127.0.0.1:{port}", *self._played("-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"))

    def icecast(self, name: str) -> Sender:
        """A radio on Icecast."""
        if not self._icecast:
            port = free_port()
            configuration = self.folder / "icecast.xml"
            configuration.write_text(_ICECAST.format(port=port, folder=self.folder))
            self._serve(port, program("icecast2"), "-c", configuration)
            self._icecast = port
        address = f"127.0.0.1:{self._icecast}/{name}.mp3"
        noise = ("-f", "lavfi", "-i", "anoisesrc=a=0.3:seed=1:r=48000", "-c:a", "libmp3lame")
        command = (program("ffmpeg"), "-v", "quiet", "-re", *noise, "-content_type", "audio/mpeg", "-f", "mp3")
        return Sender(f"http://{address}", *command, f"icecast://source:hackme@{address}")


@contextlib.contextmanager
def studio(clip: Path) -> Iterator[Studio]:
    """One that is closed whatever happens."""
    made = Studio(clip)
    try:
        yield made
    finally:
        made.close()


Make = Callable[[Studio], Sender]
# What each kind says once its sender is dead: the cause that a stall comes to, the likeliest first.
KINDS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "hls_ts": (lambda s: s.hls("ts", "mpegts"), ("stalled_playlist",)),
    "hls_fmp4": (lambda s: s.hls("fmp4", "fmp4"), ("stalled_playlist",)),
    "dash": (lambda s: s.dash("dash"), ("stalled_playlist",)),
    "rtmp": (lambda s: s.rtmp("one"), ("no_data", "timeout")),
    "rtsp_tcp": (lambda s: s.rtsp("TCP"), ("refused",)),
    "rtsp_udp": (lambda s: s.rtsp("UDP"), ("refused",)),
    "srt": (lambda s: s.srt(), ("ended", "timeout")),
    "udp": (lambda s: s.udp(), ("no_data", "timeout")),
    "multicast": (lambda s: s.udp("239.255.7.7"), ("no_data", "timeout")),
    "rtp": (lambda s: s.rtp(), ("no_data", "timeout")),
    "http_ts": (lambda s: s.http(), ("refused",)),
    "tcp": (lambda s: s.tcp(), ("refused",)),
    "icecast": (lambda s: s.icecast("radio"), ("http_404",)),
}
