"""The report page: hostile names stay text, and a plot shows the threshold that was used."""

import json
import re

import numpy as np

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
    return text[text.index("<body>") :]


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
