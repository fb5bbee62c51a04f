"""Real servers for tests: started on a loopback port of their own, ended with the block. See programs.py."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
from programs import program

READY_SECONDS = 60.0


def free_port():
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(holds, seconds=READY_SECONDS, every=0.05):
    """Wait until `holds()` is true. Returns: what it said. Raises: TimeoutError."""
    until = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s: {holds}")
        time.sleep(every)


def answers(port):
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def fetched(url):
    """Whether a GET of it is answered with 2xx."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # a 4xx is an OSError too
        return True
    return False


def certificate(folder):
    """A certificate of 127.0.0.1 that is its own authority. Returns: the certificate's and its key's PEM files."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return certificate, key


class Server:
    """A server's process.

    Args:
        command: program and arguments.
        port: that it listens on.
        ready: whether it answers.
        user: to run as, where we are root.
    """

    def __init__(self, command, port, ready, folder, user=None):
        self.port = port
        self.folder = Path(folder)
        self._command = [str(part) for part in command]
        self._ready = ready
        self._user = user
        self.start()

    @property
    def url(self):
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, user=self._user,
                env={**os.environ, "HOME": str(self.folder)},
            )  # fmt: skip
        try:
            eventually(self._answers)
        except BaseException:
            self.stop()
            raise

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended: {(self.folder / 'log').read_text()[-2000:]}")
        return self._ready()

    def stop(self, seconds=10.0):
        """End it as its service manager would, or kill it after so long."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """As a power cut for it alone."""
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def _folder(user=None):
    # Not pytest's tmp_path: only root may pass through that, and PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="avjury-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(server):
    try:
        yield server
    finally:
        server.stop()


class Postgres(Server):
    """A PostgreSQL server with a superuser and no password."""

    _made = 0

    def database(self):
        """The URL of a new, empty database."""
        Postgres._made += 1
        name = f"test_{Postgres._made}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def run(self, statement, database="postgres"):
        """Run one statement as the superuser. Returns: its rows, if it has any."""
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def stop(self, seconds=10.0):
        """Its fast shutdown: clients are sent away."""
        self.process.send_signal(2)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """Its immediate shutdown: it has to recover from its log at the next start."""
        self.process.send_signal(3)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            super().kill()


@contextlib.contextmanager
def postgres():
    """A PostgreSQL server with an empty cluster."""
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        pwd.getpwnam(user)
    initdb, server = program("initdb"), program("postgres")
    with _folder(user) as folder:
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder, user=user, timeout=READY_SECONDS,
        )  # fmt: skip
        port = free_port()

        def ready():
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", connect_timeout=2).close()
                return True
            return False

        command = [server, "-D", folder / "data", "-p", port, "-c", "listen_addresses=127.0.0.1",
                   "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50"]  # fmt: skip
        with _running(Postgres(command, port, ready, folder, user)) as running:
            yield running


@contextlib.contextmanager
def alertmanager():
    """An Alertmanager of one instance that notifies nobody."""
    with _folder() as folder:
        (folder / "config.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        port = free_port()
        command = [program("prometheus-alertmanager"), f"--config.file={folder}/config.yml",
                   f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
                   "--cluster.listen-address="]  # fmt: skip
        ready = lambda: fetched(f"http://127.0.0.1:{port}/-/ready")  # noqa: E731
        with _running(Server(command, port, ready, folder)) as running:
            yield running


@contextlib.contextmanager
def mosquitto(user=None, password=None, tls=None):
    """An MQTT broker; anybody may connect, or only that user.

    Args:
        tls: files of its certificate and key; plain unless given.
    """
    with _folder() as folder:
        port = free_port()
        settings = [f"listener {port} 127.0.0.1", f"allow_anonymous {'false' if user else 'true'}"]
        if user:
            (folder / "users").touch()
            made = [program("mosquitto_passwd"), "-b", folder / "users", user, password]
            subprocess.run(made, check=True, capture_output=True, timeout=30)
            settings.append(f"password_file {folder}/users")
        if tls:
            settings += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        if os.geteuid() == 0:
            settings.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        command = [program("mosquitto"), "-c", folder / "mosquitto.conf"]
        with _running(Server(command, port, lambda: answers(port), folder)) as running:
            yield running


@contextlib.contextmanager
def aws():
    """moto's server: S3, SNS and SQS over HTTP, with any keys."""
    with _folder() as folder:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        ready = lambda: fetched(f"http://127.0.0.1:{port}/moto-api/")  # noqa: E731
        with _running(Server(command, port, ready, folder)) as running:
            yield running
