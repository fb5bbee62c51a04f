"""The whole service as a process of its own: started, killed, drained, told to read again; the slow ones judge."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import av
import httpx
import psutil
import pytest
from receivers import Receiver
from running_service import wait_until
from service_process import ENVIRONMENT, ROOT, SECRET, Process, black

from engine.ffmpeg_release import ffmpeg_warning


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def service(tmp_path, request, receiver):
    clip = black(tmp_path / "black.mp4", 60)
    config = f"""
auth: {{token: {SECRET}}}
service: {{log_format: json}}
detectors: {{"*": false, video.black: true, stream.stall: true}}
notify:
  sinks: {{hook: {{type: webhook, url: "{receiver.url}"}}}}
  routes: [{{sinks: [hook], detectors: [video.black]}}]
streams: [{{id: dark, url: {clip}, loop: true}}]
"""
    process = Process(tmp_path, config, real=request.node.get_closest_marker("slow") is not None)
    yield process
    process.end()


@pytest.mark.slow
def test_a_killed_service_comes_back_with_the_same_open_incident(service, receiver):
    service.start()
    [before] = wait_until(lambda: service.incidents(state="open"), 240)  # the kernels may have to be compiled
    assert before["detector"] == "video.black"
    receiver.wait_for(1)
    children = service.children()
    assert len(children) >= 2
    assert service.kill(signal.SIGKILL)[0] == -signal.SIGKILL
    assert psutil.wait_procs(children, 15)[1] == []  # nobody is left behind
    service.start()
    [after] = service.incidents(state="open")
    assert (after["id"], after["opened_at"]) == (before["id"], before["opened_at"])
    # The black picture is told anew by the new session: it is the same incident, and the old report of it is over.
    wait_until(lambda: service.incidents()[0]["revision"] > after["revision"], 120)
    assert len(service.incidents()) == 1
    code, seconds = service.kill(signal.SIGTERM)
    assert (code, seconds < 10) == (0, True), service.lines()
    service.start()
    assert [one["id"] for one in service.incidents(state="open")] == [before["id"]]
    assert {(body["change"], body["id"]) for body in receiver.bodies} == {("opened", before["id"])}


def test_one_data_folder_has_one_service(service):
    service.start()
    other = subprocess.run(
        service.command("127.0.0.1:0"), capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=60,
    )  # fmt: skip
    assert other.returncode != 0
    assert f"process {service.process.pid}" in other.stderr
    assert service.get("/readyz").status_code == 200


def test_sighup_reads_the_configuration_again(service):
    service.start()
    text = service.config.read_text()
    service.config.write_text(text + "nonsense: 1\n")
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "avjury_config_reload_failures_total 1.0" in service.get("/metrics").text, 10)
    assert "line 9" in service.lines()
    service.config.write_text(text.replace("streams: [", f"streams: [{{id: more, url: {service.folder}/black.mp4}}, "))
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.get("/api/v1/streams/more").status_code == 200, 10)
    assert service.process.poll() is None


def test_a_watcher_does_not_keep_the_service_from_ending(service):
    service.start()
    headers = {"Authorization": f"Bearer {SECRET}"}
    with httpx.stream("GET", f"{service.url}/api/v1/events", headers=headers, timeout=20) as events:
        assert events.status_code == 200
        code, seconds = service.kill(signal.SIGTERM)
    assert (code, seconds < 10) == (0, True), service.lines()


def test_a_signal_that_comes_twice_at_once_is_one_wish(service):
    """As `timeout` sends it: to the process, and to its group."""
    service.start()
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    code, _ = service.kill(signal.SIGTERM)
    assert code == 0, service.lines()
    assert "second signal" not in service.lines()


@pytest.mark.slow
def test_log_lines_are_json_with_streams_and_without_secrets(service):
    service.config.write_text(
        service.config.read_text().replace(
            "streams: [",
            "streams: [{id: lost, url: 'http://user:hunter2@127.0.0.1:9/x.m3u8?token=0123456789abcdef'}, ",
        )
    )
    service.start()
    wait_until(lambda: '"lost"' in service.lines() and "refused" in service.lines(), 240)
    trouble = ffmpeg_warning(av.ffmpeg_version_info)
    assert trouble is None or trouble in service.lines()
    shown = service.get("/api/v1/streams").text + service.get("/metrics").text + service.get("/api/v1/incidents").text
    service.kill(signal.SIGTERM)
    lines = [json.loads(line) for line in service.lines().splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    assert any(line.get("stream") == "lost" for line in lines)
    command = Path(f"/proc/{os.getpid()}/cmdline").read_text()
    for secret in ("hunter2", "0123456789abcdef", SECRET):
        assert secret not in service.lines() + shown + command
