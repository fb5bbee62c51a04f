"""A store, a notifier over it, and incidents to tell of."""

import base64
import time

import pytest
from pydantic import TypeAdapter

from engine.incidents import incident_id
from engine.notify.notifier import Notifier
from engine.settings.notify import NotifySection, Sink
from engine.store.records import StreamRecord
from engine.store.sql import Store
from engine.verdicts import Incident, Severity

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Service:
    """What the supervisor does with store and notifier."""

    def __init__(self, url):
        self._url = url
        self.store = None
        self.notifier = None

    def start(self, section, *, damping_seconds=0.0, opened=(), **options):
        """Begin with a section as YAML would give it; incidents of the streams `opened` are due by then."""
        section = NotifySection.model_validate(section)
        self.notifier = Notifier(section, damping_seconds=damping_seconds, **options)
        self.store = Store(self._url, route=self.notifier.route, damping_seconds=damping_seconds)
        for stream in opened:
            self.open(stream)
        self.notifier.start(self.store)
        return self

    def open(self, stream="a", start=1.0, detector="video.freeze", severity=Severity.CRITICAL, cause=None):
        """An incident opens."""
        return self._record("opened", stream, start, detector, severity, None, cause)

    def close(self, stream="a", start=1.0, detector="video.freeze", severity=Severity.CRITICAL, end=9.0):
        """It ends."""
        return self._record("closed", stream, start, detector, severity, end, None)

    def add(self, stream, **fields):
        """A stream with labels or a channel."""
        self.store.streams.put(StreamRecord(stream, "file:///none", **fields))

    def stop(self):
        """End, if it runs."""
        if self.notifier is not None:
            assert self.notifier.stop(15.0) == []
            self.store.close()
            self.notifier = None

    def settled(self, seconds=20.0):
        """Wait until nothing is pending. Returns: the counts by sink and state. Raises: TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            counts = self.store.outbox.counts()
            if not any(state == "pending" for _, state in counts):
                return counts
            if time.monotonic() > until:
                raise TimeoutError(f"{counts}")
            time.sleep(0.02)

    def _record(self, change, stream, start, detector, severity, end, cause):
        by = None if end is None else "recovered"
        incident = Incident(incident_id(stream, detector, start), stream, detector, severity, start, 0.1, end, by)
        incident.cause = cause
        return self.store.incidents.record(incident, change).incident


@pytest.fixture
def service(tmp_path):
    made = Service(f"sqlite:///{tmp_path}/a.db")
    yield made
    made.stop()


@pytest.fixture
def secret():
    return SECRET


@pytest.fixture
def sink():
    """A sink's configuration from what is written in YAML."""
    return TypeAdapter(Sink).validate_python
