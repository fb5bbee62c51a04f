"""The report page: hostile names stay text, and a plot shows the threshold that was used."""

import base64
import gzip
import json
import re

import numpy as np
import pytest

from engine.detectors import all_detectors
from engine.outcome import Outcome, Trace
from engine.report import write_report
from engine.verdicts import Incident, Severity


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
    return text[text.index("<body>") : text.index('<script type="text/plain" id="plotly">')] + figures(text)


def figures(text):
    """What is plotted, unpacked as the page does."""
    packed = re.search(r'id="figures">([^<]*)<', text)[1]
    return json.dumps(json.loads(gzip.decompress(base64.b64decode(packed))), separators=(",", ":"))


def test_a_name_with_markup_stays_text(tmp_path):
    body = page(tmp_path, outcome("<script>alert(1)</script>"))
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body


def test_the_plot_shows_the_threshold_that_the_stream_was_judged_by(tmp_path):
    body = page(tmp_path, outcome(threshold=0.125))
    lines = [float(y) for y in re.findall(r'"y0":([\d.]+),"y1":[\d.]+', body)]
    assert 0.125 in lines


def test_times_of_incidents_are_in_the_table(tmp_path):
    body = page(tmp_path, outcome())
    assert "<td>0.500</td><td>1.000</td>" in body
    assert json.dumps("video.black: black_ratio") in body


def test_an_input_that_failed_says_why(tmp_path):
    from engine.errors import SourceError

    failed = Outcome("gone.mp4", error=SourceError("cannot open input", stream="gone.mp4", why="x < y", remedy="look"))
    assert "x &lt; y; look" in page(tmp_path, failed)


def test_detectors_with_incidents_come_first(tmp_path):
    result = outcome()
    result.thresholds["video.freeze"] = 0.001
    both = np.repeat(result.trace["video"].values, 2, axis=1)
    result.trace["video"] = Trace(("black_ratio", "mafd"), result.trace["video"].times, both)
    assert page(tmp_path, result).index("video.black: ") < page(tmp_path, result).index("video.freeze: ")
    result.incidents = [Incident("i2", "clip", "video.freeze", Severity.CRITICAL, 0.5, 0.0, end=1.0)]
    assert page(tmp_path, result).index("video.freeze: ") < page(tmp_path, result).index("video.black: ")


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
    assert "failed</td><td>0.5</td><td>1</td><td>0.500</td>" in page(tmp_path, result)


@pytest.mark.slow
def test_the_page_of_an_hour_is_below_five_megabytes(tmp_path):
    """Every detector's measure, an incident each fifteen seconds with a picture of six kilobytes."""
    hour = Outcome("hour", thresholds={one.name: one.rule().enter for one in all_detectors()})
    draw = np.random.default_rng(1)
    for track, step in (("video", 0.04), ("audio", 0.1), ("stream", 1.0)):
        columns = tuple(dict.fromkeys(one.column for one in all_detectors() if one.track == track))
        times = np.arange(0, 3600, step)
        hour.trace[track] = Trace(columns, times, draw.random((len(times), len(columns))))
    for number in range(240):
        one = Incident(
            f"i{number}", "hour", "video.black", Severity.CRITICAL, 15.0 * number, 1.0, end=15.0 * number + 3
        )
        hour.incidents.append(one)
        hour.thumbnails[one.id] = draw.bytes(6_000)
    write_report(tmp_path / "r.html", [hour])
    assert (tmp_path / "r.html").stat().st_size < 5_000_000
