"""A service with ten thousand incidents starts soon; so does one whose database was damaged in any of seven ways."""

import sqlite3
import time

import pytest
from faults.damage import CORRUPTIONS, damage
from faults.draws import seed
from service_process import SECRET, Process

from engine.detectors.base import Severity
from engine.incidents import incident_id
from engine.store.sql import Store
from engine.verdicts import Incident

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
INCIDENTS = 10_000
OPEN = 100
CONFIG = f"auth: {{token: {SECRET}}}\nservice: {{log_format: json}}\n"


def filled(data):
    """A database with ten thousand incidents, a hundred of them open: one is recorded, the others are like it."""
    data.mkdir(exist_ok=True)
    path = data / "avjury.db"
    store = Store(f"sqlite:///{path}")
    name = incident_id("one", "video.black", 1.0)
    store.incidents.record(Incident(name, "one", "video.black", Severity.CRITICAL, 1.0, 0.5), "opened")
    store.close()
    database = sqlite3.connect(path)
    columns = [row[1] for row in database.execute("PRAGMA table_info(incidents)")]
    put = {"id": "printf('%016x', n)", "subject": "'s' || (n % 300)", "stream": "'s' || (n % 300)",
           "opened_at": "opened_at - n", "updated_at": "updated_at - n",
           "state": f"CASE WHEN n < {OPEN} THEN 'open' ELSE 'closed' END",
           "closed_at": f"CASE WHEN n < {OPEN} THEN NULL ELSE opened_at - n + 5 END", "end": "start + 5"}  # fmt: skip
    named = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(put.get(column, f'"{column}"') for column in columns)
    numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {INCIDENTS - 1})"
    database.execute(f"{numbers} INSERT INTO incidents ({named}) SELECT {values} FROM incidents, numbers")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    count = database.execute("SELECT count(*) FROM incidents").fetchone()[0]
    database.close()
    assert count == INCIDENTS
    return path


def started(folder):
    service = Process(folder, CONFIG, real=False)
    began = time.monotonic()
    service.start()
    return service, time.monotonic() - began


def test_ten_thousand_incidents_are_there_soon_after_the_start(tmp_path, record_property):
    filled(tmp_path / "data")
    service, seconds = started(tmp_path)
    try:
        record_property("seconds to start", round(seconds, 2))
        assert len(service.incidents(limit=500, state="closed")) == 500
        assert service.get("/readyz").status_code == 200
    finally:
        service.end()


@pytest.mark.parametrize("how", sorted(CORRUPTIONS))
def test_a_damaged_database_of_that_size_is_set_aside_and_the_service_starts(tmp_path, how, record_property):
    path = filled(tmp_path / "data")
    damage(path, how, seed())
    service, seconds = started(tmp_path)
    try:
        record_property("seconds to start", round(seconds, 2))
        assert service.get("/readyz").status_code == 200
        assert service.get("/api/v1/incidents").status_code == 200
    finally:
        service.end()
    damaged = list((tmp_path / "data").glob("avjury.db.damaged-*"))
    record_property("set aside", bool(damaged))
    # An empty file is a new database; a flipped bit may lie where nothing is kept.
    assert damaged or how in ("emptied", "a flipped bit"), service.lines()
    assert not damaged or str(damaged[0].name) in service.lines()
