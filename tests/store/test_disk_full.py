"""A full disk refuses what it cannot keep, harms nothing that it has, and is written to again when it has room."""

import contextlib
import subprocess

import pytest
import servers
from receivers import Receiver

from engine.errors import StoreError
from engine.incidents import incident_id
from engine.notify.notifier import Notifier
from engine.settings.notify import NotifySection
from engine.store.sql import Store
from engine.verdicts import Incident, Severity


@pytest.fixture
def disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"may not mount a file system: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def black(number):
    name, stream = "video.black", f"s{number}"
    return Incident(incident_id(stream, name, 1.0), stream, name, Severity.CRITICAL, 1.0, 1.0)


def recorded_until_refused(store):
    """Record until it is refused. Returns: how many were kept."""
    for number in range(10_000):
        try:
            store.incidents.record(black(number), "opened")
        except StoreError:
            return number
    raise AssertionError("the disk does not fill")


def fill(file):
    """Leave no room on the file's disk."""
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def test_what_was_kept_stays_and_what_comes_later_is_kept_when_there_is_room(disk):
    with Receiver() as receiver:
        section = NotifySection.model_validate(
            {"sinks": {"hook": {"type": "webhook", "url": receiver.url}}, "routes": [{"sinks": ["hook"]}]}
        )
        notifier = Notifier(section, damping_seconds=0.0)
        store = Store(f"sqlite:///{disk}/a.db", route=notifier.route, damping_seconds=0.0)
        kept = recorded_until_refused(store)
        assert kept > 0
        with pytest.raises(StoreError, match="full"):
            store.incidents.record(black(kept), "opened")
        assert len(store.incidents.list(limit=10_000).items) == kept
        notifier.start(store)  # it cannot claim, and waits
        subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        store.incidents.record(black(kept), "opened")
        servers.eventually(lambda: store.outbox.counts() == {("hook", "delivered"): kept + 1}, 30)
        assert notifier.stop(15.0) == []
        store.close()
    assert sorted(body["stream"] for body in receiver.bodies) == sorted(f"s{number}" for number in range(kept + 1))


def test_a_full_disk_is_no_damage(disk):
    store = Store(f"sqlite:///{disk}/a.db", damping_seconds=0.0)
    store.incidents.record(black(0), "opened")
    store.close()
    fill(disk / "filler")
    with contextlib.suppress(StoreError):  # it may or may not have to write
        again = Store(f"sqlite:///{disk}/a.db")
        assert len(again.incidents.list().items) == 1
        again.close()
    assert list(disk.glob("*.damaged-*")) == []
    (disk / "filler").unlink()
    healed = Store(f"sqlite:///{disk}/a.db")
    assert len(healed.incidents.list().items) == 1
    healed.close()
