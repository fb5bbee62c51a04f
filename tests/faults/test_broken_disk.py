"""A disk that fails every write: the service judges on, says so, and has lost nothing when the disk is well again."""

import time
from itertools import pairwise

import pytest
from faults.broken_disk import BrokenDisk
from running_service import wait_until
from service_process import SECRET, Process, black

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BROKEN_SECONDS = 14  # two black pictures begin and end


def metric(service, name):
    lines = [line for line in service.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_disk_that_fails_every_write_is_told_and_costs_no_incident(tmp_path, record_property):
    clip = black(tmp_path / "black.mp4", 6)  # black from its second second to its end, over and over
    disk = BrokenDisk(tmp_path, tmp_path / "data")
    config = f"""
auth: {{token: {SECRET}}}
service: {{log_format: json, damping_seconds: 0}}
storage: {{flush_seconds: 1}}
processes: {{reader_folders: [{tmp_path}]}}
detectors: {{"*": false, video.black: {{black_min_duration: 1}}, stream.stall: true}}
streams: [{{id: dark, url: {clip}, loop: true}}]
"""
    service = Process(tmp_path, config, real=True, environment=disk.environment)
    try:
        service.start()
        wait_until(lambda: service.incidents(state="closed"), 240)
        assert service.get("/readyz").status_code == 200
        disk.break_it()
        began = time.monotonic()
        wait_until(lambda: service.get("/readyz").status_code == 503, 20)
        record_property("seconds until it is told", round(time.monotonic() - began, 1))
        wait_until(lambda: "database" in service.get("/readyz").json()["parts"], 30)
        assert service.get("/healthz").status_code == 200  # a restart would help nobody
        before = metric(service, "avjury_frames_measured_total")
        time.sleep(BROKEN_SECONDS)
        assert metric(service, "avjury_frames_measured_total") > before
        assert service.get("/api/v1/streams/dark/status").json()["state"] == "running"
        disk.mend_it()
        began = time.monotonic()
        wait_until(lambda: service.get("/readyz").status_code == 200, 30)
        record_property("seconds until it is well", round(time.monotonic() - began, 1))
        wait_until(lambda: metric(service, "avjury_recorder_backlog") == 0, 15)
        wait_until(lambda: service.incidents()[0]["state"] == "closed", 20)
        opened = sorted(one["start"] for one in service.incidents(limit=500))
    finally:
        service.end()
    gaps = [round(later - sooner, 1) for sooner, later in pairwise(opened)]
    assert len(opened) >= 4
    assert set(gaps) == {6.0}, "a black picture is missing, or is there twice"
    assert list((tmp_path / "data").glob("*.damaged-*")) == []
