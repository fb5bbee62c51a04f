"""A database file, or its log, that was damaged: the service starts, and nothing that can be read is lost."""

import shutil
import time

import pytest

from engine.errors import StoreError
from engine.incidents import incident_id
from engine.store.sql import Store
from engine.verdicts import Incident, Severity

PAGE = 4096
COUNT = 40


def black(number):
    name, stream = "video.black", f"s{number}"
    return Incident(incident_id(stream, name, 1.0), stream, name, Severity.CRITICAL, 1.0, 1.0)


def beheaded(file):
    with file.open("r+b") as content:
        content.write(bytes(100))


def halved(file):
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size // 2)


def cut_within_a_page(file):
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size - 1000)


def cut_by_a_little(file):
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size - 100)


def pages_zeroed(file):
    with file.open("r+b") as content:
        content.seek(2 * PAGE)
        content.write(bytes(file.stat().st_size - 3 * PAGE))


def pages_scribbled(file):
    with file.open("r+b") as content:
        content.seek(PAGE)
        content.write(bytes(range(256)) * ((file.stat().st_size - 2 * PAGE) // 256))


def replaced_by_text(file):
    file.write_text("this is no database\n" * 500)


def pages_swapped(file):
    with file.open("r+b") as content:
        content.seek(3 * PAGE)
        one = content.read(PAGE)
        two = content.read(PAGE)
        content.seek(3 * PAGE)
        content.write(two + one)


@pytest.mark.parametrize(
    "damage",
    [
        beheaded,
        halved,
        cut_within_a_page,
        cut_by_a_little,
        pages_zeroed,
        pages_scribbled,
        replaced_by_text,
        pages_swapped,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_file_is_set_aside_and_the_service_starts(tmp_path, damage):
    file = tmp_path / "a.db"
    store = Store(f"sqlite:///{file}", damping_seconds=0.0)
    for number in range(COUNT):
        store.incidents.record(black(number), "opened")
    store.close()
    damage(file)
    damaged = file.read_bytes()
    began = time.monotonic()
    again = Store(f"sqlite:///{file}", damping_seconds=0.0)
    assert time.monotonic() - began < 5
    assert again.set_aside.read_bytes() == damaged
    assert again.incidents.list().items == ()
    again.incidents.record(black(0), "opened")
    again.close()
    sound = Store(f"sqlite:///{file}")
    assert sound.set_aside is None
    assert len(sound.incidents.list().items) == 1
    sound.close()


def log_cut(folder):
    log = folder / "a.db-wal"
    with log.open("r+b") as content:
        content.truncate(log.stat().st_size - 1000)
    return COUNT - 1


def log_scribbled_at_its_end(folder):
    log = folder / "a.db-wal"
    with log.open("r+b") as content:
        content.seek(log.stat().st_size - PAGE)
        content.write(b"\xff" * 500)
    return COUNT - 1


def log_gone(folder):
    (folder / "a.db-wal").unlink()
    return 0


def index_of_the_log_is_nonsense(folder):
    (folder / "a.db-shm").write_bytes(b"\xff" * 32768)
    return COUNT


@pytest.mark.parametrize(
    "damage",
    [log_cut, log_scribbled_at_its_end, log_gone, index_of_the_log_is_nonsense],
    ids=lambda damage: damage.__name__,
)
def test_of_a_damaged_log_everything_before_the_damage_is_kept(tmp_path, damage):
    store = Store(f"sqlite:///{tmp_path}/a.db", damping_seconds=0.0)
    for number in range(COUNT):
        store.incidents.record(black(number), "opened")
    # As a power cut leaves it: the log is not yet in the file.
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("a.db*"):
        shutil.copy(file, left)
    store.close()
    least = damage(left)
    began = time.monotonic()
    again = Store(f"sqlite:///{left}/a.db", damping_seconds=0.0)
    assert time.monotonic() - began < 5
    assert again.set_aside is None
    assert len(again.incidents.list(limit=500).items) >= least
    again.incidents.record(black(1000), "opened")
    again.close()


def test_a_file_that_may_not_be_read_is_not_taken_for_damaged(tmp_path):
    (tmp_path / "a.db").mkdir()
    with pytest.raises(StoreError, match="cannot open database"):
        Store(f"sqlite:///{tmp_path}/a.db")
    assert (tmp_path / "a.db").is_dir()
