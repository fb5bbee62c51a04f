"""The wall clock is set forward and back by an hour under a running service: no stream is told to have stalled."""

import time

import pytest
from faults.clock import MovedClock
from running_service import wait_until
from service_process import SECRET, Process, black

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def measured(service):
    lines = service.get("/metrics").text.splitlines()
    return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith("avjury_frames_measured_total"))


def test_an_hour_forward_and_back_is_no_stall_and_loses_no_stream(tmp_path, record_property):
    clip = black(tmp_path / "black.mp4", 6)
    clock = MovedClock(tmp_path)
    config = f"""
auth: {{token: {SECRET}}}
service: {{log_format: json, damping_seconds: 0}}
processes: {{reader_folders: [{tmp_path}]}}
detectors: {{"*": false, video.black: {{black_min_duration: 1}}, stream.stall: true, stream.timestamps: true}}
streams: [{{id: dark, url: {clip}, loop: true}}]
"""
    service = Process(tmp_path, config, real=True, environment=clock.environment)
    try:
        service.start()
        wait_until(lambda: service.incidents(state="closed"), 240)
        for hours in (1, 0, -1, 0):
            clock.move(3600 * hours)
            before = measured(service)
            began = time.monotonic()
            wait_until(lambda before=before: measured(service) > before + 200, 60)
            record_property(f"200 pictures at {hours:+d} h after s", round(time.monotonic() - began, 1))
            assert service.get("/readyz").status_code == 200
            assert service.get("/api/v1/streams/dark/status").json()["state"] == "running"
        incidents = service.incidents(limit=500)
        restarts = [line for line in service.lines().splitlines() if "started again" in line or "says nothing" in line]
    # Its end is not looked at: libfaketime has threads wait by the wall clock that it moves.
    finally:
        service.end()
    others = [one for one in incidents if one["detector"] != "video.black"]
    record_property("false stalls", len([one for one in others if one["detector"] == "stream.stall"]))
    assert (others, restarts) == ([], [])
