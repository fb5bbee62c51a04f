"""Reports are kept in their order; what a database that is away costs, beyond a bound, is counted."""

import contextlib
import sqlite3
import time

import pytest
from running_service import running, scraped, wait_until

CONFIG = "service: {recorder_backlog: 100, min_free_bytes: 0}\nstreams: [{id: a, url: a.ts}]"


@contextlib.contextmanager
def away(service):
    """The database cannot be written to: somebody else holds it."""
    holder = sqlite3.connect(service.data / "avjury.db", timeout=10, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.rollback()
        holder.close()


@pytest.fixture
def impatient(monkeypatch):
    """A busy database is one that is away at once."""
    monkeypatch.setattr("engine.store.database.BUSY_SECONDS", 0.1)


def test_what_was_reported_while_the_database_was_away_is_kept_when_it_is_back(tmp_path, impatient):
    with running(tmp_path, CONFIG) as service, service.client() as client:
        with away(service):
            for number in range(20):
                for change in ("opened", "closed"):
                    service.fleet.report(
                        "a", change, detector="av.sync", start=100.0 * number, at=1000.0 * (number + 1)
                    )
            wait_until(lambda: client.get("/readyz").status_code == 503)
            assert "database" in client.get("/readyz").json()["parts"]
            assert client.get("/healthz").status_code == 200
            assert client.post("/api/v1/incidents/none/acknowledge").status_code == 503
            samples = scraped(service)
            assert samples["avjury_part_ready", "part=database"] == 0
            assert samples[("avjury_recorder_backlog",)] > 30
        wait_until(lambda: client.get("/readyz").status_code == 200)
        wait_until(lambda: service.parts.store.incidents.open_parts() == ()
                   and scraped(service)[("avjury_recorder_backlog",)] == 0)  # fmt: skip
        items = client.get("/api/v1/incidents", params={"limit": 100}).json()["items"]
        assert [item["start"] for item in items] == [100.0 * number for number in reversed(range(20))]
        assert {item["state"] for item in items} == {"closed"}
        assert items[0]["opened_at"] == "1970-01-01T05:33:20.000Z"  # when it was reported, not when it was kept
        dropped = {key: value for key, value in scraped(service).items() if key[0] == "avjury_recorder_dropped_total"}
        assert set(dropped.values()) == {0}


def test_beyond_the_bound_updates_go_first_and_every_loss_is_counted(tmp_path, impatient):
    with running(tmp_path, CONFIG) as service, service.client():
        service.fleet.report("a", "opened", start=1.0)
        wait_until(lambda: service.parts.store.incidents.open_parts())
        with away(service):
            for number in range(50):
                service.fleet.report("a", "opened", detector="av.sync", start=100.0 * number)
            for _ in range(100):
                service.fleet.report("a", "updated", start=1.0)
            service.fleet.report("a", "closed", start=1.0)  # still has its place
            for number in range(100):
                service.fleet.report("a", "opened", detector="video.blur", start=100.0 * number)
            lost = scraped(service)["avjury_recorder_dropped_total", "why=full"]
            assert 130 <= lost <= 160
        wait_until(lambda: scraped(service)[("avjury_recorder_backlog",)] == 0)
        with service.client() as client:
            [black] = client.get("/api/v1/incidents", params={"detector": "video.black"}).json()["items"]
            assert black["state"] == "closed"
        assert scraped(service)["avjury_recorder_dropped_total", "why=full"] == lost


def test_a_report_that_cannot_be_kept_does_not_stop_the_others(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client() as client:
        service.fleet.report("a", "opened", measures={"x": object()})  # nothing that JSON knows
        service.fleet.report("a", "opened", detector="video.freeze")
        wait_until(lambda: client.get("/api/v1/incidents", params={"detector": "video.freeze"}).json()["items"])
        assert scraped(service)["avjury_recorder_dropped_total", "why=rejected"] == 1
        assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_no_readiness(tmp_path):
    with running(tmp_path, f"service: {{min_free_bytes: {1 << 60}}}") as service, service.client() as client:
        assert "MB are free" in client.get("/readyz").json()["parts"]["disk"]
        service.path.write_text("service: {min_free_bytes: 0}")
        client.post("/api/v1/reload")
        wait_until(lambda: client.get("/readyz").status_code == 200)
        service.fleet.not_ready = "engine cpu does not answer"
        wait_until(lambda: client.get("/readyz").json().get("parts") == {"fleet": "engine cpu does not answer"})


def test_a_service_that_lost_a_thread_is_not_healthy(tmp_path):
    with running(tmp_path) as service, service.client() as client:
        service.service._housekeeper.stop(5)
        assert client.get("/healthz").status_code == 503
        assert "housekeeper" in client.get("/healthz").json()["parts"]


def test_what_waits_is_written_before_the_end(tmp_path):
    began = time.monotonic()
    with running(tmp_path, CONFIG) as service:
        for number in range(40):
            service.fleet.report("a", "opened", detector="av.sync", start=100.0 * number, at=1000.0 * number)
        service.fleet.report("a", "updated", detector="av.sync", start=3900.0, measures={"n": 5.0})
    assert service.fleet.stopped
    assert time.monotonic() - began < 20
    with running(tmp_path, CONFIG) as service:
        parts = service.parts.store.incidents.open_parts()
        assert len(parts) == 40
        assert service.parts.store.incidents.open_incidents()[-1].measures == {"n": 5.0}


def test_evidence_that_cannot_be_written_holds_up_no_incident(tmp_path):
    with running(tmp_path, CONFIG) as service, service.client() as client:
        (service.data / "evidence").write_text("a file where a folder should be")
        name, session = service.fleet.report("a", "opened")
        service.fleet.listener.on_evidence(name, session, "thumbnail", b"\xff\xd8")
        service.fleet.report("a", "opened", detector="video.freeze")
        wait_until(lambda: client.get("/api/v1/incidents", params={"detector": "video.freeze"}).json()["items"])
        assert scraped(service)["avjury_recorder_dropped_total", "why=disk"] == 1
        assert client.get("/readyz").status_code == 200
