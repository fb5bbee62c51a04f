"""A profile that is tried beside the live one: judged on the same measures, compared, and told to nobody."""

import json
import subprocess
import sys
import time

import pytest
from live_kit import encode, live, wait
from running_service import running, wait_until

from engine.live import Order, policy_of
from engine.service.contract import StreamPlan
from engine.service.shadow import MOST_RECORDS, Seen, ShadowBook, compared, not_tried, read_book
from engine.spec import StreamSpec
from engine.verdicts import Incident, Severity

CONFIG = """
profiles:
  stricter: {detectors: {video.black: {black_min_duration: 0.5}, audio.silence: false}}
shadow: {profile: stricter, streams: ["news*"]}
streams:
  - {id: news, url: news.ts}
  - {id: films, url: films.ts}
"""


def seen(side, start, end, detector="video.black", stream="news", session="s"):
    return Seen(side, stream, session, detector, "critical", start, end, 1000.0 + start)


def incident(start, end=None, detector="video.black", stream="news"):
    return Incident(f"{stream}-{detector}-{start}", stream, detector, Severity.CRITICAL, start, 1.0, end=end)


def test_incidents_go_together_where_they_overlap_in_one_session_of_a_stream():
    found = compared([
        seen("live", 10.0, 20.0), seen("shadow", 12.0, 18.0), seen("shadow", 30.0, 31.0), seen("live", 40.0, 44.0),
        seen("live", 50.0, None), seen("shadow", 55.0, None), seen("shadow", 41.0, 42.0, session="another"),
    ])  # fmt: skip
    assert [one["start"] for one in found["both"]] == [50.0, 10.0]
    assert found["both"][1]["shadow_start"] == 12.0
    assert [one["start"] for one in found["only_live"]] == [40.0]
    assert [one["start"] for one in found["only_shadow"]] == [41.0, 30.0]


def test_the_book_is_there_after_a_restart_and_begun_anew_for_another_profile(tmp_path):
    book = ShadowBook(tmp_path, "stricter")
    book.take("live", incident(10.0), "opened", "s", 1000.0)
    book.take("live", incident(10.0, 14.0), "closed", "s", 1004.0)
    book.take("shadow", incident(10.0), "updated", "s", 1001.0)
    with (tmp_path / "shadow.jsonl").open("a") as file:
        file.write('{"side": "li')  # a crash in the middle of a line
    [one] = ShadowBook(tmp_path, "stricter").seen()
    assert (one.side, one.start, one.end, one.opened_at) == ("live", 10.0, 14.0, 1000.0)
    assert ShadowBook(tmp_path, "other").seen() == []
    assert read_book(tmp_path / "shadow.jsonl")[0]["profile"] == "other"
    assert read_book(tmp_path / "none") is None


def test_the_book_keeps_the_latest_and_its_file_does_not_grow_for_ever(tmp_path):
    book = ShadowBook(tmp_path, "stricter")
    for number in range(MOST_RECORDS + 1):
        book.take("live", incident(float(number)), "opened", "s", 1000.0 + number)
    kept = book.seen()
    assert len(kept) <= MOST_RECORDS
    assert kept[-1].start == float(MOST_RECORDS)
    assert len((tmp_path / "shadow.jsonl").read_text().splitlines()) == len(kept) + 1


def test_what_changes_the_measure_is_said_not_to_be_tried():
    plan = StreamPlan("s", "x", {"video.black": {}, "video.blur": {}},
                      shadow={"video.black": {"pixel_black_th": 0.2, "black_min_duration": 1.0},
                              "video.blur": {"threshold": 4.0}})  # fmt: skip
    assert not_tried([plan]) == ["video.black.pixel_black_th"]


@pytest.fixture
def service(tmp_path):
    with running(tmp_path, CONFIG) as service:
        yield service


def test_the_service_tries_a_profile_compares_and_tells_nobody(service, tmp_path):
    plans = service.fleet.plans
    assert plans["films"].shadow is None
    assert plans["news"].shadow["video.black"] == {"black_min_duration": 0.5}
    assert "audio.silence" not in plans["news"].shadow
    listener = service.fleet.listener
    listener.on_incident(incident(5.0), "opened", "s", time.time())
    listener.on_incident(incident(5.0, 9.0), "closed", "s", time.time())
    listener.on_shadow(incident(5.0), "opened", "s", time.time())
    listener.on_shadow(incident(20.0), "opened", "s", time.time())
    listener.on_shadow(incident(20.0, 21.0), "closed", "s", time.time())
    listener.on_incident(incident(30.0, detector="audio.silence"), "opened", "s", time.time())
    listener.on_incident(incident(5.0, stream="films"), "opened", "s", time.time())
    with service.client() as client:
        told = client.get("/api/v1/shadow").json()
        assert (told["profile"], told["streams"], told["not_tried"]) == ("stricter", 1, [])
        assert told["counts"] == [
            {"detector": "audio.silence", "only_live": 1, "only_shadow": 0, "both": 0},
            {"detector": "video.black", "only_live": 0, "only_shadow": 1, "both": 1},
        ]
        items = wait_until(lambda: (found := client.get("/api/v1/incidents").json()["items"])[2:] and found)
        assert sorted((one["stream"], one["detector"]) for one in items) == [
            ("films", "video.black"), ("news", "audio.silence"), ("news", "video.black")
        ]  # fmt: skip
    command = [sys.executable, "-m", "engine.cli", "shadow", "--data", str(service.data), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == told["counts"]
    service.path.write_text(CONFIG.replace("profile: stricter", "profile: null"))
    with service.client() as client:
        assert client.post("/api/v1/reload").json()["changed"] == ["news"]
        assert client.get("/api/v1/shadow").json()["profile"] is None
    assert service.fleet.plans["news"].shadow is None


def test_a_profile_that_is_not_there_is_told_with_its_line(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("shadow: {profile: strickter}\nprofiles: {stricter: {detectors: {}}}\n")
    command = [sys.executable, "-m", "engine.cli", "shadow", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "stricter" in done.stderr
    assert "line 1" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_engine_judges_other_rules_on_the_same_measures(tmp_path):
    """Black for a second: too short for the stream's own rule, long enough for the one beside."""
    clip = encode(tmp_path / "clip.ts", 8, "-af", "volume=0.5")
    dark = tmp_path / "dark.ts"
    from media import ffmpeg_exe

    subprocess.run([ffmpeg_exe(), "-y", "-v", "error", "-i", str(clip), "-vf",
                    "drawbox=t=fill:color=black:enable='between(t,3,4)'", "-c:v", "libx264", "-g", "25", "-bf", "0",
                    "-c:a", "copy", str(dark)], check=True, timeout=120)  # fmt: skip
    with live() as kit:
        shadows = []
        kit.heard.on_shadow = lambda found, change: shadows.append((found.detector, change, found.start, found.end))
        spec = StreamSpec("news", str(dark), {"video.black": {}}, policy_of(True),
                          shadow={"video.black": {"black_min_duration": 0.5}})  # fmt: skip
        kit.engine.order(lambda: kit.engine.take(Order(spec, "reader", "s")))
        wait(lambda: "news" in kit.heard.ended, 120, lambda: shadows)
        assert [(name, change) for name, change, _, _ in shadows if change != "updated"] == [
            ("video.black", "opened"), ("video.black", "closed")
        ]  # fmt: skip
        _, _, start, end = shadows[-1]
        assert start == pytest.approx(3.0, abs=0.05)
        assert end == pytest.approx(4.0, abs=0.1)
        assert not [one for one in kit.heard.incidents if one[2] == "video.black"]
