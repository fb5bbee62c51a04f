"""A PostgreSQL server with an empty cluster, for benchmarks: on a loopback port of its own, ended with its block."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg

READY_SECONDS: Final = 60.0
_END_SECONDS: Final = 15.0


class Postgres:
    """The server; anybody of this machine may do anything.

    Args:
        folder: of its user, empty.
        user: to run as; None where we are not root.
        connections: most at a time.
    """

    def __init__(self, folder: Path, user: str | None, connections: int) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.port = unused.getsockname()[1]
        self._user, self._folder = user, folder
        subprocess.run(
            [_program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder, user=user, timeout=READY_SECONDS,
        )  # fmt: skip
        self._command = [_program("postgres"), "-D", str(folder / "data"), "-p", str(self.port),
                         "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                         "-c", f"max_connections={connections}"]  # fmt: skip
        self.start()

    def database(self, name: str = "bench") -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises: RuntimeError if it does not."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, user=self._user
            )
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._address, connect_timeout=2):
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Its fast shutdown: clients are sent away."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _address(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"


@contextlib.contextmanager
def running(connections: int = 100) -> Iterator[Postgres]:
    """A server.

    Raises: RuntimeError if none is installed, or it does not start.
    """
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="avjury-bench-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = Postgres(folder, user, connections)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    # Debian keeps the server out of the PATH.
    places = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))]
    found = next((place for place in places if place), None)
    if found is None:
        raise RuntimeError(f"{name} is not installed: this needs PostgreSQL's server")
    return found
