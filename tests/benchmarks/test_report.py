"""The page of results shows what was recorded, says what was not, and its charts are to scale."""

import xml.etree.ElementTree as ElementTree
from html import escape

import pytest

from benchmarks.charts import bars, lines_over
from benchmarks.records import newest
from benchmarks.report import SECTIONS, page

SVG = "{http://www.w3.org/2000/svg}"


def test_every_recorded_result_that_has_a_section_is_on_the_page():
    text = page()
    for name, (title, needs, _) in SECTIONS.items():
        assert f">{escape(title)}<" in text
        try:
            assert newest(name, needs)["file"] in text
        except FileNotFoundError:
            assert f"avjury bench {name}" in text
    assert "None of these was run here" in text


def test_a_page_without_results_says_so(tmp_path):
    text = page(tmp_path)
    assert text.count("Not recorded yet") == len(SECTIONS)


def test_bars_are_as_long_as_their_numbers():
    drawn = ElementTree.fromstring(bars("t", [("a", {"x": 1.0, "y": 3.0}), ("b & c", {"x": 2.0})], "s"))
    widths = [float(rect.get("width")) for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "20"]
    assert widths[1] == pytest.approx(3 * widths[0])
    assert widths[2] == pytest.approx(2 * widths[0])
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"b & c", "4 s", "2 s"} <= set(texts)


def test_lines_begin_at_zero_and_rise_with_their_numbers():
    drawn = ElementTree.fromstring(lines_over("t", {"s": [(1.0, 10.0), (2.0, 20.0)]}, "n", "MB"))
    (line,) = drawn.iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert x2 > x1
    assert y2 < y1
    bars("nothing", [], "s")
    lines_over("nothing", {}, "n", "MB")
