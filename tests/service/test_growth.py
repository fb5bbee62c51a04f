"""Streams that come and go leave nothing behind."""

import gc
import os
from pathlib import Path

import psutil
import pytest
from running_service import running, wait_until


@pytest.mark.slow
def test_hundreds_of_streams_that_come_and_go_leave_nothing(tmp_path):
    process = psutil.Process()
    with running(tmp_path, "service: {api_private_addresses: true, event_backlog: 64}") as service:
        fleet = service.fleet

        def cycle(number):
            name = f"stream-{number}"
            body = {"id": name, "url": "http://127.0.0.1:9/x.ts"}
            assert client.post("/api/v1/streams", json=body).status_code == 201
            for change in ("opened", "closed"):
                fleet.report(name, change)
            fleet.second(name, 1)
            assert client.delete(f"/api/v1/streams/{name}").status_code == 204
            fleet.sessions.pop(name)
            if number % 50 == 0:
                fleet.log.clear()
                service.verdicts.rows.clear()
                wait_until(lambda: service.parts.open_incidents.by_stream().total() == 0)
                assert client.get("/metrics").status_code == 200

        with service.client() as client:
            for number in range(200):
                cycle(number)
            gc.collect()
            before = process.memory_info().rss, len(os.listdir("/proc/self/fd")), process.num_threads()
            for number in range(200, 600):
                cycle(number)
            wait_until(lambda: len(service.service._listener._states) == 0)
            gc.collect()
            after = process.memory_info().rss, len(os.listdir("/proc/self/fd")), process.num_threads()
    assert after[0] - before[0] < 2 << 20, "more than 5 kB for each stream that came and went"
    assert after[1] - before[1] <= 4
    assert after[2] - before[2] <= 4
    assert Path(tmp_path / "data" / "avjury.db").stat().st_size < 4 << 20
