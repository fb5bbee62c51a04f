"""The canary: planted defects are found by real engines, counted apart, and seen by nobody else."""

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.canary_source import DEFECTS
from engine.config import Stream
from engine.service.canary import CANARY, RECENT, CanaryBook, CanaryListener, Planting
from engine.settings.canary import PLANTABLE
from engine.verdicts import Incident, Severity


def planting(name="video.black", at=100.0, besides=()):
    return Planting(name, at, at + 6.0, tuple(besides))


def test_what_is_told_of_a_planted_defect_is_found_once_and_timed():
    book = CanaryBook(10.0)
    book.planted(planting())
    book.told("video.black", 102.1)
    book.told("video.black", 103.0)
    score = book.scores()["video.black"]
    assert (score.planted, score.found, score.missed, score.recall) == (1, 1, 0, 1.0)
    assert score.latency_sum == pytest.approx(2.1)
    assert book.unexpected == {}
    book.settle(1000.0, running=True)
    assert book.scores()["video.black"].missed == 0


def test_what_is_not_told_in_time_is_missed_and_lowers_recall():
    book = CanaryBook(10.0)
    for at in (100.0, 200.0):
        book.planted(planting(at=at))
    book.told("video.black", 102.0)
    book.settle(215.9, running=True)
    assert book.scores()["video.black"].missed == 0, "ten seconds after its end are not over"
    book.settle(216.1, running=True)
    score = book.scores()["video.black"]
    assert (score.found, score.missed, score.recall) == (1, 1, 0.5)
    book.told("video.black", 230.0)
    assert book.unexpected == {"video.black": 1}, "so late it is of nothing that was planted"


def test_nothing_is_missed_while_the_channel_is_not_judged():
    book = CanaryBook(1.0)
    book.planted(planting())
    book.settle(200.0, running=False)
    book.planted(planting(at=300.0))
    book.interrupted()
    book.settle(400.0, running=True)
    score = book.scores()["video.black"]
    assert (score.missed, score.recall) == (0, None)


def test_effects_of_what_was_planted_are_expected_and_others_are_not():
    book = CanaryBook(10.0)
    book.planted(planting("audio.clipping", besides=("audio.true_peak",)))
    book.told("audio.true_peak", 101.0)
    book.told("video.freeze", 101.0)
    assert book.unexpected == {"video.freeze": 1}


def test_recall_is_of_the_last_ones():
    book = CanaryBook(1.0)
    for number in range(3 * RECENT):
        book.planted(planting(at=100.0 * number))
        if number >= 2 * RECENT:
            book.told("video.black", 100.0 * number + 2)
        book.settle(100.0 * number + 50, running=True)
    assert book.scores()["video.black"].recall == 1.0
    assert book.scores()["video.black"].missed == 2 * RECENT


def test_everything_of_the_canary_stops_at_its_listener(tmp_path):
    heard = []

    class Beyond:
        def on_incident(self, incident, change, session, at):
            heard.append(incident.stream)

        def on_second(self, second, session, at):
            heard.append(second.stream)

        def on_status(self, status):
            heard.append(status.id)

        def on_evidence(self, incident_id, session, kind, content):
            heard.append(incident_id)

    listener = CanaryListener(CanaryBook(1.0), Beyond())
    clip = tmp_path / "clip.ts"
    for stream, number in ((CANARY, "mine"), ("news", "other")):
        incident = Incident(number, stream, "video.black", Severity.CRITICAL, 1.0, 1.0)
        listener.on_incident(incident, "opened", "s", 100.0)
        clip.write_bytes(b"x")
        listener.on_evidence(number, "s", "clip", clip)
    assert heard == ["news", "other"]
    assert clip.exists(), "the other stream's clip is its taker's"


def test_nobody_else_may_have_its_id_and_settings_name_what_there_is():
    with pytest.raises(ValueError, match="own channel"):
        Stream(id=CANARY, url="x.ts")
    assert tuple(one.detector for one in DEFECTS) == PLANTABLE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_service_finds_what_its_canary_plants_and_shows_it_nowhere_else(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "canary: {enabled: true, every_seconds: 32, detectors: [video.black, stream.stall]}\n"
        "engine: {device: cpu}\nservice: {log_format: text}\n"
    )
    log = (tmp_path / "log").open("w+")
    port = _free_port()
    command = [sys.executable, "-m", "engine.cli", "serve", "--config", str(config), "--data", str(tmp_path / "data"),
               "--listen", f"127.0.0.1:{port}"]  # fmt: skip
    process = subprocess.Popen(command, stderr=log, env=os.environ)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            deadline = time.monotonic() + 600
            while True:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(1)
                try:
                    shown = client.get("/api/v1/canary").json()
                except httpx.HTTPError:
                    continue
                if sum(one["found"] for one in shown["detectors"]) >= 2:
                    break
            found = {one["detector"]: one for one in shown["detectors"]}
            assert found["video.black"]["recall"] == 1.0
            assert found["video.black"]["mean_seconds"] >= 2.0, "it has to last for two seconds"
            assert found["stream.stall"]["recall"] == 1.0
            assert client.get("/api/v1/streams").json()["items"] == []
            assert client.get("/api/v1/incidents").json()["items"] == []
            samples = {
                (sample.name, sample.labels.get("detector")): sample.value
                for family in text_string_to_metric_families(client.get("/metrics").text)
                for sample in family.samples
                if sample.name != "avjury_canary_detect_seconds_bucket"
            }
            assert samples["avjury_canary_found_total", "video.black"] >= 1
            assert samples["avjury_canary_up", None] == 1
            assert ("avjury_incidents_total", "video.black") not in samples
            assert samples["avjury_streams", None] == 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()
    assert process.returncode == 0


def _free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
