"""Real object stores over HTTP on loopback, each in a process of its own that can be stopped and continued.

- S3: moto's server.
- Google's: the same server, spoken to by Google's client in the XML API that both share, as Google's own is not to be
  had.
- Azure's: Azurite, which Microsoft makes for tests.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from email.utils import formatdate

from programs import program

# Azurite's only account, the same everywhere.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class ObjectStore:
    """The server, with a bucket `verdicts`.

    Args:
        kind: scheme of its URLs: "s3", "gs" or "az".
        folder: for what the server has to write.
    """

    def __init__(self, kind, folder):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.kind = kind
        self.url = f"http://127.0.0.1:{port}"
        if kind == "az":
            command = [program("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent",
                       "--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"]  # fmt: skip
            self.options = {"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY,
                            "endpoint": f"{self.url}/{AZURE_ACCOUNT}"}  # fmt: skip
            self.secret = "account_key"
        else:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            if kind == "s3":
                self.options = {"region": "us-east-1", "access_key_id": "test", "secret_access_key": "test",
                                "endpoint": self.url}  # fmt: skip
                self.secret = "secret_access_key"
            else:
                self.options = {"base_url": self.url, "bearer_token": "test"}
                self.secret = "bearer_token"
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self._make_bucket(), timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if time.monotonic() > end or self.process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.2)

    def _make_bucket(self):
        """The request that makes the bucket; Azure's has to be signed."""
        if self.kind != "az":
            return urllib.request.Request(f"{self.url}/verdicts", method="PUT")
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        named = "\n".join(f"{name}:{value}" for name, value in headers.items())
        path = f"/{AZURE_ACCOUNT}/verdicts"
        text = "PUT" + "\n" * 12 + f"{named}\n/{AZURE_ACCOUNT}{path}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)).decode()
        headers |= {"Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}", "Content-Length": "0"}
        return urllib.request.Request(f"{self.url}{path}?restype=container", method="PUT", headers=headers)

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
