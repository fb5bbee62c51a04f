"""The report page: hostile names stay text, and a plot shows the threshold that was used."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from engine.detectors import all_detectors
from engine.outcome import Outcome, Trace
from engine.report import Background, write_report
from engine.verdicts import Incident, Severity, Summary


def outcome(name="clip", threshold=0.5):
    times = np.arange(10) / 10
    made = Outcome(name, thresholds={"video.black": threshold})
    made.trace["video"] = Trace(("black_ratio",), times, np.linspace(0, 1, 10)[:, None])
    made.incidents = [
        Incident("i1", name, "video.black", Severity.CRITICAL, 0.5, 1.0, end=1.0, closed_by="end_of_stream")
    ]
    return made


def page(tmp_path, *outcomes):
    write_report(tmp_path / "r.html", outcomes)
    text = (tmp_path / "r.html").read_text()
    return text[text.index("<body>") : text.index("<script>")]


def plots(body):
    """Each plot's (bounds, heights of its threshold, points) in values."""
    found = []
    for low, high, inside in re.findall(r'data-low="(\S+)" data-high="(\S+)">(.*?)</svg>', body):
        height = 90 if found else 64  # an incident's own, then the timelines

        def value(y, low=float(low), high=float(high), height=height):
            return high - float(y) * (high - low) / height

        threshold = [value(y) for y in re.findall(r'class="threshold" d="M0 ([\d.]+)H', inside)]
        points = [value(y) for y in re.findall(r"[ML][-\d.]+ ([-\d.]+)", inside[inside.index('class="line"') :])]
        found.append((threshold, points))
    return found


def test_a_name_with_markup_stays_text(tmp_path):
    body = page(tmp_path, outcome("<script>alert(1)</script>"))
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body


def test_the_plots_show_the_values_and_the_threshold_that_the_stream_was_judged_by(tmp_path):
    around, timeline = plots(page(tmp_path, outcome(threshold=0.125)))
    for threshold, points in (around, timeline):
        assert threshold == pytest.approx([0.125], abs=0.01)
        assert points == pytest.approx(np.linspace(0, 1, 10).tolist(), abs=0.01)


def test_times_of_incidents_are_told_with_what_a_viewer_notices(tmp_path):
    body = page(tmp_path, outcome())
    assert "0.500 to 1.000, for 0.500 s; it lasted to the end of the stream" in body
    assert "A viewer" in body
    assert "<b>video.black</b><br>black_ratio" in body


def test_what_ended_before_the_stream_did_is_not_told_to_have_lasted(tmp_path):
    result = outcome()
    result.incidents = [replace(one, end=0.75) for one in result.incidents]
    body = page(tmp_path, result)
    assert "0.500 to 0.750, for 0.250 s; the stream ended before it had been good again for long" in body


@pytest.mark.parametrize(("severity", "says"), [
    (Severity.CRITICAL, "Failed"), (Severity.WARNING, "Passed with warnings"), (None, "Passed<"),
])  # fmt: skip
def test_the_verdict_stands_first(tmp_path, severity, says):
    result = outcome()
    result.summary = Summary("clip", 25, 25, 1.0, 0, 1.0, 1.0, 1.0, "software", "cpu", None)
    result.incidents = [replace(one, severity=severity) for one in result.incidents if severity]
    body = page(tmp_path, result)
    assert 0 < body.index(says) < body.index("Measures over time")
    write_report(tmp_path / "r.json", [result])
    [told] = json.loads((tmp_path / "r.json").read_text())
    assert told["verdict"] == {"Failed": "failed", "Passed<": "passed"}.get(says, "warned")


def test_several_inputs_begin_with_a_table_of_them(tmp_path):
    body = page(tmp_path, outcome("a & b"), outcome("c"))
    assert body.index('href="#input-1">c</a>') < body.index('id="input-0"')
    assert "a &amp; b" in body


def test_a_stretch_without_values_is_a_hole(tmp_path):
    result = outcome()
    times = np.concatenate([np.arange(10) / 10, 5 + np.arange(10) / 10])
    result.trace["video"] = Trace(("black_ratio",), times, np.zeros((20, 1)))
    line = re.findall(r'class="line" d="([^"]*)"', page(tmp_path, result))[-1]
    assert line.count("M") == 2


def test_the_page_asks_for_nothing_from_elsewhere_and_its_script_tells_values(tmp_path, browser):
    write_report(tmp_path / "r.html", [outcome()])
    said = []
    tab = browser.new_page(viewport={"width": 1100, "height": 1600})
    tab.on("console", lambda one: said.append(one.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else 0)
    tab.goto((tmp_path / "r.html").as_uri())
    box = tab.locator(".timeline .plot svg").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    told = tab.locator(".timeline output").inner_text()
    tab.close()
    assert said == []
    value, at = re.fullmatch(r"([\d.]+) at ([\d.]+) s", told).groups()
    assert float(value) == pytest.approx(float(at) / 0.9, abs=0.12)


def test_an_input_that_failed_says_why(tmp_path):
    from engine.errors import SourceError

    failed = Outcome("gone.mp4", error=SourceError("cannot open input", stream="gone.mp4", why="x < y", remedy="look"))
    assert "x &lt; y; look" in page(tmp_path, failed)


def test_detectors_with_incidents_come_first(tmp_path):
    result = outcome()
    result.thresholds["video.freeze"] = 0.001
    both = np.repeat(result.trace["video"].values, 2, axis=1)
    result.trace["video"] = Trace(("black_ratio", "mafd"), result.trace["video"].times, both)

    def shown(name):
        return page(tmp_path, result).index(f"<b>{name}</b>")

    assert shown("video.black") < shown("video.freeze")
    result.incidents = [Incident("i2", "clip", "video.freeze", Severity.CRITICAL, 0.5, 0.0, end=1.0)]
    assert shown("video.freeze") < shown("video.black")


def test_the_json_has_what_the_page_has(tmp_path):
    result = outcome()
    result.thresholds["audio.silence"] = 0.001
    result.thumbnails["i1"] = b"jpeg"
    write_report(tmp_path / "r.json", [result])
    [told] = json.loads((tmp_path / "r.json").read_text())
    assert told["incidents"][0]["detector"] == "video.black"
    assert base64.b64decode(told["incidents"][0]["thumbnail"]) == b"jpeg"
    assert {one["detector"]: one["verdict"] for one in told["verdicts"]} == {
        "video.black": "failed", "audio.silence": "not measured"
    }  # fmt: skip
    [line] = told["timelines"]
    assert (line["threshold"], len(line["seconds"]), line["values"][-1]) == (0.5, 10, 1.0)
    assert told["incidents"][0]["around"]["values"] == [float(f"{n / 9:.4g}") for n in range(10)]
    assert told["incidents"][0]["viewer"] in page(tmp_path, result)
    row = '">failed</td><td class="n">0.5</td><td class="n">1</td><td class="n">0.500</td>'
    assert row in page(tmp_path, result)


def test_what_was_judged_against_and_the_evidence_beside_it_are_named(tmp_path):
    told = Background({"clip": "ott"}, {"i1": {"clip": "proof/a clip.mp4"}})
    write_report(tmp_path / "r.html", [outcome()], told)
    text = (tmp_path / "r.html").read_text()
    assert "<dt>Profile</dt><dd>ott</dd>" in text
    assert '<a href="proof/a%20clip.mp4">clip</a>' in text
    write_report(tmp_path / "r.json", [outcome()], told)
    [data] = json.loads((tmp_path / "r.json").read_text())
    assert (data["profile"], data["incidents"][0]["evidence"]) == ("ott", {"clip": "proof/a clip.mp4"})


@pytest.mark.slow
@pytest.mark.parametrize("incidents", [240, 4000])
def test_the_report_of_an_hour_is_below_five_megabytes(tmp_path, incidents):
    """Every detector's measure, and incidents each with a picture of six kilobytes; the last one is of another kind."""
    hour = Outcome("hour", thresholds={one.name: one.rule().enter for one in all_detectors()})
    draw = np.random.default_rng(1)
    for track, step in (("video", 0.04), ("audio", 0.1), ("stream", 1.0)):
        columns = tuple(dict.fromkeys(one.column for one in all_detectors() if one.track == track))
        times = np.arange(0, 3600, step)
        hour.trace[track] = Trace(columns, times, draw.random((len(times), len(columns))))
    apart = 3600 / incidents
    for number in range(incidents):
        name = "video.black" if number < incidents - 1 else "audio.silence"
        at = apart * number
        one = Incident(f"i{number}", "hour", name, Severity.CRITICAL, at, 1.0, end=at + apart / 5)
        hour.incidents.append(one)
        hour.thumbnails[one.id] = draw.bytes(6_000)
    for name in ("r.html", "r.json"):
        write_report(tmp_path / name, [hour])
        assert (tmp_path / name).stat().st_size < 5_000_000
    [told] = json.loads((tmp_path / "r.json").read_text())
    assert len(told["incidents"]) == incidents
    assert told["incidents"][-1]["thumbnail"]
    text = (tmp_path / "r.html").read_text()
    shown = text.count('<div class="incident ')
    assert shown == sum("thumbnail" in one for one in told["incidents"]) > 100
    assert (f"{incidents - shown} more, without picture" in text) == (shown < incidents)
