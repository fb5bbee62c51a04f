"""The service as a process of its own, as `avjury serve` or with a scripted fleet; and a clip that goes black."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import httpx
import made_clips
import numpy as np
import psutil
from running_service import wait_until

ROOT = Path(__file__).parents[1]
SCRIPTED = Path(__file__).with_name("service") / "serve_scripted.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
SECRET = "correct-horse-battery"


def black(path, seconds=8):
    """A clip whose pictures are black from its second second on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        for index in range(25 * seconds):
            image = made_clips.picture(index, 160, 96) if index < 25 else np.zeros((96, 160, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    return path


class Process:
    """The service as a process.

    Args:
        folder: for its configuration, data and log.
        config: the text of its configuration.
        real: with the real fleet, as `avjury serve`; else with a scripted one, which is there at once.
        environment: variables that it has besides.
    """

    def __init__(self, folder, config, real, environment=None):
        self.environment = {**ENVIRONMENT, **(environment or {})}
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(config)
        self.real = real
        self.process = None

    def command(self, listen):
        where = (str(self.config), str(self.folder / "data"), listen)
        if not self.real:
            return [sys.executable, str(SCRIPTED), *where]
        options = [part for pair in zip(("--config", "--data", "--listen"), where, strict=True) for part in pair]
        return [sys.executable, "-m", "engine.cli", "serve", *options]

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.log = self.folder / f"log-{time.monotonic_ns()}"
        with self.log.open("w") as log:
            command = self.command(self.url.removeprefix("http://"))
            self.process = subprocess.Popen(command, stderr=log, cwd=ROOT, env=self.environment)
        wait_until(self._answers, 60)
        return self

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def _answers(self):
        assert self.process.poll() is None, self.lines()
        try:
            return self.get("/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path, **query):
        return httpx.get(f"{self.url}{path}", params=query, headers={"Authorization": f"Bearer {SECRET}"}, timeout=10)

    def incidents(self, **query):
        return self.get("/api/v1/incidents", **query).json()["items"]

    def lines(self):
        return self.log.read_text()

    def kill(self, number):
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        return code, time.monotonic() - began

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
