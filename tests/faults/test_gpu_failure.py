"""A GPU that fails for good (CUDA's errors 700 and 719): the engine ends, and another one judges its streams on.

Raised on the CPU, in a real engine process of a real service: each call of that process fails from then on.
"""

import os
import time
from pathlib import Path

import psutil
import pytest
from running_service import wait_until
from service_process import ENVIRONMENT, SECRET, Process, black

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STREAMS = ("one", "two")


def engines(service):
    return [p.pid for p in service.children() if "engine.child" in p.cmdline()]


def measured(service):
    name = "avjury_frames_measured_total"
    lines = [line for line in service.get("/metrics").text.splitlines() if line.startswith(name)]
    return {stream: sum(float(x.rpartition(" ")[2]) for x in lines if f'"{stream}"' in x) for stream in STREAMS}


def test_an_engine_whose_gpu_fails_ends_at_once_and_its_streams_are_judged_by_another(tmp_path, record_property):
    clip = black(tmp_path / "black.mp4", 6)
    file = tmp_path / "error"
    config = f"""
auth: {{token: {SECRET}}}
service: {{log_format: json, damping_seconds: 0}}
processes: {{reader_folders: [{tmp_path}]}}
detectors: {{"*": false, video.black: {{black_min_duration: 1}}, stream.stall: true}}
streams: [{", ".join(f"{{id: {name}, url: {clip}, loop: true}}" for name in STREAMS)}]
"""
    place = Path(__file__).with_name("in_engines")
    environment = {"STICKY_ERROR_FILE": str(file), "PYTHONPATH": f"{place}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    service = Process(tmp_path, config, real=True, environment=environment)
    try:
        service.start()
        wait_until(lambda: all(count > 0 for count in measured(service).values()), 240)
        [failed] = engines(service)
        file.touch()
        wait_until(lambda: file.read_text(), 30)
        began = time.monotonic()
        wait_until(lambda: not psutil.pid_exists(failed) or psutil.Process(failed).status() == "zombie", 30)
        record_property("seconds until it ended", round(time.monotonic() - began, 1))
        answer = wait_until(lambda: (found := service.get("/readyz")).status_code == 503 and found, 10)
        before = measured(service)
        wait_until(lambda: all(measured(service)[name] > before[name] for name in STREAMS), 120)
        record_property("seconds until judged again", round(time.monotonic() - began, 1))
        wait_until(lambda: service.get("/readyz").status_code == 200, 30)
        [after] = engines(service)
        lines = service.lines()
    finally:
        service.end()
    assert after != failed
    assert "engine" in str(answer.json()["parts"])
    assert file.read_text().split() == [str(failed)], "it was tried again in the same process"
    assert "the GPU failed" in lines
    assert "illegal memory access" in lines
