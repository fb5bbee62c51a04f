"""Programmes on the air: transport streams over HTTP that go on whether anybody receives them, and outages of them."""

import bisect
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av

STEP_SECONDS = 0.02


def schedule(clip: Path) -> tuple[list[float], list[int]]:
    """When each picture is due (without any, each piece of sound), in seconds from the first, and its first byte."""
    times, offsets = [], []
    with av.open(str(clip)) as container:
        for packet in container.demux(container.streams[0]):
            if packet.dts is not None and packet.pos is not None and (not offsets or packet.pos > offsets[-1]):
                times.append(float(packet.dts * packet.time_base))
                offsets.append(packet.pos)
    return [at - times[0] for at in times], offsets


class OnAir:
    """Channels by name, all at the same moment of their programme; who comes later joins in the middle.

    Args:
        clips: MPEG-TS, by channel.
    """

    def __init__(self, clips: dict[str, Path]) -> None:
        self._clips = {name: (clip.read_bytes(), *schedule(clip)) for name, clip in clips.items()}
        self.began = time.monotonic()
        self.hanging: set[str] = set()
        """Channels that keep their connections and send nothing."""
        self.off: set[str] = set()
        """Channels that end their connections and take none."""
        air = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                name = self.path.strip("/").removesuffix(".ts")
                if name in air.off or name not in air._clips:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.end_headers()
                air._send(name, self.wfile)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._closed = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, name: str) -> str:
        """Where a channel is had."""
        return f"http://127.0.0.1:{self._server.server_port}/{name}.ts"

    def _send(self, name: str, out: object) -> None:
        data, times, offsets = self._clips[name]

        def now() -> int:
            return offsets[max(0, bisect.bisect_right(times, time.monotonic() - self.began) - 1)]

        sent = now()
        while not self._closed and name not in self.off:
            due = now()
            if name in self.hanging:
                sent = due  # what was on the air meanwhile is gone
            elif due > sent:
                try:
                    out.write(data[sent:due])
                except OSError:
                    return
                sent = due
            time.sleep(STEP_SECONDS)

    def __enter__(self) -> "OnAir":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
