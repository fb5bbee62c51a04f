"""The service, really running: its API on a loopback port, in a thread of the test."""

import asyncio
import contextlib
import os
import socket
import threading
import time
from unittest import mock

import httpx
from prometheus_client.parser import text_string_to_metric_families
from recent_seconds import RecentSeconds
from scripted_fleet import ScriptedFleet

from engine.configured import load_config
from engine.service.auth import Gate
from engine.service.makers import Makers
from engine.service.supervisor import Service


class Running:
    """A running service.

    Args:
        folder: for its data and configuration.
        config: the text of its configuration file.
        fleet: that judges; a scripted one unless given.
        notifier: that tells; nobody unless given.
    """

    def __init__(self, folder, config="", fleet=None, notifier=None, data=None):
        self.path = folder / "config.yaml"
        self.path.write_text(config)
        self.data = data or folder / "data"
        self.data.mkdir(exist_ok=True)
        self.fleet = fleet or ScriptedFleet()
        self.verdicts = RecentSeconds()
        with mock.patch.dict(os.environ):
            for name in [name for name in os.environ if name.startswith("AVJURY_") and "__" in name]:
                del os.environ[name]
            parsed, known = load_config(self.path)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._arguments = (parsed, known, self.path, self.data, Gate(parsed.auth, "127.0.0.1"),
                           Makers(lambda *_: self.fleet, lambda _: notifier,
                                  lambda *_: (self.verdicts, self.verdicts)))  # fmt: skip
        self._started = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        async def run():
            self.service = Service(*self._arguments)
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self.service.run(self._socket)

        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._failure = error
        finally:
            self._started.set()
            self._socket.close()

    def start(self):
        self._thread.start()
        self._started.wait(60)
        wait_until(lambda: self._failure or self._answers(), 60)
        if self._failure is not None:
            raise self._failure
        return self

    def _answers(self):
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        return False

    def stop(self):
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(self.service.end)
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def client(self, token=None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=15, **options)

    @property
    def parts(self):
        return self.service.parts


@contextlib.contextmanager
def running(folder, config="", **options):
    service = Running(folder, config, **options).start()
    try:
        yield service
    finally:
        service.stop()


def wait_until(condition, seconds=10.0):
    """Wait until a condition holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)
    return value


def scraped(service):
    """The metrics: value by name and labels."""
    with service.client() as client:
        text = client.get("/metrics").text
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
