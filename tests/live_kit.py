"""A live engine in the test's own process, fed by a real ingest process over a real ring."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from media import ffmpeg_exe

from engine.ingest.control import IngestSays, Stop, TakeLink
from engine.ingest.link import Links
from engine.ingest.ring import make_ring
from engine.listener import Silent
from engine.live import LiveEngine, Order
from engine.service.children import Child
from engine.service.messages import Report
from engine.spec import EngineSettings, NetworkSettings, StreamSpec


def encode(path: Path, seconds: float, *options: str, drawn: str = "null") -> Path:
    """H.264 with a key frame a second, and AAC; nothing in it is a defect to those who look for outages."""
    sources = ["-f", "lavfi", "-i", f"testsrc2=s=160x96:r=25:d={seconds},{drawn}"]
    sources += ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.3:seed=1:r=48000"]
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"]
    # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
    codecs += ["-x264-params", "mbtree=0"]
    command = [ffmpeg_exe(), "-y", "-v", "error", *sources, *codecs, "-c:a", "aac", *options, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


def wait(condition, seconds: float, shown=lambda: None) -> None:
    """Until it holds; fails with what is shown after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, shown()
        time.sleep(0.02)


class Heard(Silent):
    """Remembers what the engine said."""

    def __init__(self) -> None:
        self.incidents: list[tuple[str, str, str, str | None]] = []
        self.starts: dict[tuple[str, str], float] = {}
        self.seconds: dict[str, list] = {}
        self.ended: dict[str, object] = {}
        self.pictures: dict[str, bytes] = {}
        self.reports: list[Report] = []

    def on_incident(self, incident, change) -> None:
        self.incidents.append((incident.stream, change, incident.detector, incident.closed_by))
        self.starts[incident.stream, incident.detector] = incident.start

    def on_second(self, second) -> None:
        self.seconds.setdefault(second.stream, []).append(second)

    def on_end(self, outcome) -> None:
        self.ended[outcome.stream] = outcome

    def on_thumbnail(self, stream, jpeg) -> None:
        self.pictures[stream] = jpeg

    def on_report(self, report) -> None:
        self.reports.append(report)

    def report(self, stream: str):
        """What the last report said of a stream; None where it said nothing."""
        if not self.reports:
            return None
        return next((said for said in self.reports[-1].streams if said.id == stream), None)


class LiveKit:
    """The engine in a thread, and its ingest process."""

    def __init__(self, network: NetworkSettings | None = None, **options) -> None:
        self.heard = Heard()
        self.links = Links()
        settings = EngineSettings(device="cpu", reconnect=True, network=network)
        self.engine = LiveEngine(settings, self.heard, self.links, **options)
        self.failure: BaseException | None = None
        self.start_reader()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.engine.warm_up()  # as a service's engine does; what compiles while streams run skips their seconds
            self.engine.run()
        except BaseException as error:  # noqa: BLE001 - told by whoever waits
            self.failure = error

    def start_reader(self) -> None:
        """A new ingest process, linked under the name of the last one."""
        arguments = ("--open-files",)  # its sources are wherever a test has them
        self.reader: Child = Child("reader", "engine.ingest.process", IngestSays, 64, lambda: None, arguments)
        self.link()

    def link(self) -> None:
        """A new ring and connection between the two."""
        memory, doorbell = make_ring()
        near, far = socket.socketpair()
        self.links.add("reader", near, os.dup(memory), os.dup(doorbell), self.reader.pid)
        self.reader.channel.send(TakeLink(), fds=(far.detach(), memory, doorbell))
        assert self.reader.channel.flush()

    def take(self, stream: str, url: object, detectors=None, reference=None, **options) -> None:
        """Judge a stream, or judge it otherwise; waits until the engine has taken it."""
        order = Order(StreamSpec(stream, str(url), detectors, reference=reference), "reader", **options)
        self.call(lambda: self.engine.take(order))

    def call(self, do) -> object:
        """Have the loop do something, and wait for it."""
        done = threading.Event()
        result: list[object] = []

        def run() -> None:
            try:
                result.append(do())
            except Exception as error:  # noqa: BLE001 - raised where it was asked for
                result.append(error)
            done.set()

        self.engine.order(run)
        assert done.wait(240), self.failure  # the first call may compile the kernels
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def frames(self, stream: str) -> int:
        """Pictures measured."""
        counters = self.engine.counters.streams.get(stream)
        return counters.frames_measured if counters is not None else 0

    def state(self, stream: str) -> str:
        """As the last report has it; "" where it says nothing."""
        said = self.heard.report(stream)
        return said.state if said is not None else ""

    def wait(self, condition, seconds: float) -> None:
        """Until it holds."""
        wait(condition, seconds, lambda: (self.failure, self.heard.incidents, self.heard.reports[-1:]))

    def found(self, stream: str) -> set[str]:
        """Detectors that opened on a stream."""
        return {detector for of, change, detector, _ in self.heard.incidents if of == stream and change == "opened"}

    def end(self) -> None:
        """End all."""
        self.engine.stop()
        self.engine.bell.ring()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.links.close()
        with contextlib.suppress(Exception):
            self.reader.channel.send(Stop())
            self.reader.channel.flush()
        deadline = time.monotonic() + 5
        while self.reader.ended() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.reader.ended() is None:
            self.reader.kill()
        self.reader.close()
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def live(**options) -> Iterator[LiveKit]:
    """A kit that is ended whatever happens."""
    kit = LiveKit(**options)
    try:
        yield kit
    finally:
        kit.end()
