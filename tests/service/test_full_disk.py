"""The service while its disk is full: it goes on judging, says so, and has lost nothing when there is room again."""

import contextlib
import json
import signal
import time
from itertools import pairwise

import pytest
from faults.full_disk import fill, small_disk
from receivers import Receiver
from running_service import wait_until
from service_process import SECRET, Process, black

from engine.store.sql import Store


@pytest.fixture
def disk(tmp_path):
    """A file system of 48 MB."""
    with small_disk(tmp_path / "data", 48) as folder:
        yield folder


def metric(service, name):
    lines = [line for line in service.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_no_incident_and_no_second(tmp_path, disk, record_property):
    clip = black(tmp_path / "black.mp4", 6)  # black from its second second to its end, over and over
    with Receiver() as receiver:
        config = f"""
auth: {{token: {SECRET}}}
service: {{log_format: json, min_free_bytes: 3000000, damping_seconds: 0, history_hours: 1}}
storage: {{flush_seconds: 1}}
detectors: {{"*": false, video.black: {{black_min_duration: 1}}, stream.stall: true}}
notify:
  sinks: {{hook: {{type: webhook, url: "{receiver.url}"}}}}
  routes: [{{sinks: [hook], closed_hold_seconds: 0}}]
streams: [{{id: dark, url: {clip}, loop: true}}]
"""
        service = Process(tmp_path, config, real=True)
        try:
            service.start()
            wait_until(lambda: service.incidents(state="closed"), 240)
            assert service.get("/readyz").status_code == 200
            fill(disk)
            began = time.monotonic()
            wait_until(lambda: service.get("/readyz").status_code == 503, 10)
            record_property("seconds until it is told", round(time.monotonic() - began, 1))
            parts = wait_until(
                lambda: (p := service.get("/readyz").json()["parts"]).keys() >= {"disk", "verdicts"} and p
            )
            assert "free" in parts["disk"]
            assert "space" in parts["verdicts"]
            wait_until(lambda: "database" in service.get("/readyz").json()["parts"], 30)
            assert service.get("/healthz").status_code == 200  # a restart would help nobody
            before = metric(service, "avjury_frames_measured_total")
            kept = len(service.incidents())
            time.sleep(14)  # two black pictures begin and end
            assert metric(service, "avjury_frames_measured_total") > before
            assert metric(service, "avjury_recorder_backlog") > 0
            assert len(service.incidents()) <= kept + 1
            assert service.get("/api/v1/streams/dark/status").json()["state"] == "running"
            (disk / "hog").unlink()
            wait_until(lambda: service.get("/readyz").status_code == 200, 30)
            wait_until(lambda: metric(service, "avjury_recorder_backlog") == 0, 10)
            wait_until(lambda: service.incidents()[0]["state"] == "closed", 20)
            incidents = service.incidents(limit=500)
            wait_until(lambda: {b["id"] for b in receiver.bodies if b["change"] == "closed"}
                       >= {one["id"] for one in incidents if one["state"] == "closed"}, 30)  # fmt: skip
            assert metric(service, "avjury_recorder_dropped_total") == metric(
                service, 'avjury_recorder_dropped_total{why="disk"}'
            )
            seconds = service.get("/api/v1/streams/dark/seconds", limit=1000).json()["items"]
            code, _ = service.kill(signal.SIGTERM)
            lines = [json.loads(line) for line in service.lines().splitlines()]
            assert code == 0, lines
            fill(disk)
            service.start()  # it comes up all the same
            assert "the reserve is used up" in service.lines()
            wait_until(lambda: "disk" in service.get("/readyz").json()["parts"], 10)
            assert {one["id"] for one in incidents} <= {one["id"] for one in service.incidents(limit=500)}
            wait_until(lambda: service.get("/api/v1/streams/dark/status").json()["state"] == "running", 240)
            (disk / "hog").unlink()
            wait_until(lambda: service.get("/readyz").status_code == 200, 30)
            assert wait_until(lambda: (disk / "reserve").exists(), 30)
            newest = incidents[0]["opened_at"]
            wait_until(lambda: service.incidents()[0]["opened_at"] > newest, 30)
        finally:
            service.end()
        opened = sorted(one["start"] for one in incidents)
        gaps = [round(later - sooner, 1) for sooner, later in pairwise(opened)]
        assert len(opened) >= 4
        assert set(gaps) == {6.0}, "a black picture is missing, or is there twice"
        numbers = [row["second"] for row in seconds]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        told = [line for line in lines if line["level"] in ("error", "warning") and "opened" not in line["message"]]
        assert any("database cannot be written" in line["message"] for line in told)
        assert len(told) < 60, "the log says it once, not with every picture"
    with contextlib.closing(Store(f"sqlite:///{disk}/avjury.db")) as store:
        assert len(store.incidents.list(limit=500).items) >= len(incidents)
