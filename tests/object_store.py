"""A real S3 API over HTTP on loopback: moto's server, in a process of its own that can be stopped and continued."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

OPTIONS = {"region": "us-east-1", "access_key_id": "test", "secret_access_key": "test"}


class ObjectStore:
    """The server, with a bucket `verdicts`."""

    def __init__(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.options = {**OPTIONS, "endpoint": self.url}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            try:
                request = urllib.request.Request(f"{self.url}/verdicts", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if time.monotonic() > end or self.process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.2)

    def freeze(self):
        """It takes connections and never answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
            self.process.kill()
        self.process.wait(10)
