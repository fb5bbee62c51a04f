"""The page of results shows what was recorded, says what was not, and its charts are to scale."""

import re
import xml.etree.ElementTree as ElementTree
from html import escape

import pytest

from benchmarks.charts import bars, lines_over
from benchmarks.measured_page import PARTS, load
from benchmarks.report import PAGE, page
from benchmarks.report_parts import SECTIONS

SVG = "{http://www.w3.org/2000/svg}"


def test_every_recorded_result_is_on_the_page():
    text, records = page(load()), load()
    assert list(SECTIONS) == list(PARTS)
    for key, part in PARTS.items():
        assert f">{escape(part.title)}<" in text
        record = records[key]
        assert (part.command if record is None else record["file"]) in text
    assert "None of these was run here" in text


def test_a_page_without_results_says_so(tmp_path):
    text = page(load(folder=tmp_path))
    assert text.count("Not recorded yet") == len(SECTIONS)


def test_the_page_that_is_kept_is_whole_and_takes_nothing_from_elsewhere():
    text = PAGE.read_text(encoding="utf-8")
    records = load()
    shown = [record["file"] for record in records.values() if record is not None and record["file"] in text]
    assert shown
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", text)
    assert "@import" not in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


def test_bars_are_as_long_as_their_numbers():
    drawn = ElementTree.fromstring(bars("t", [("a", {"x": 1.0, "y": 3.0}), ("b & c", {"x": 2.0})], "s"))
    widths = [float(rect.get("width")) for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "20"]
    assert widths[1] == pytest.approx(3 * widths[0])
    assert widths[2] == pytest.approx(2 * widths[0])
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"b & c", "4 s", "2 s"} <= set(texts)


def test_a_goal_is_a_line_and_a_part_keeps_its_colour():
    drawn = ElementTree.fromstring(bars("t", [("a", {"x": 1.0, "y": 1.0})], "s", goal=4.0, colours={"y": "#123456"}))
    fills = [rect.get("fill") for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "20"]
    assert fills[1] == "#123456"
    (line,) = drawn.iter(f"{SVG}path")
    (width, _) = [float(rect.get("width")) for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "20"]
    start = next(float(rect.get("x")) for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "20")
    assert float(line.get("d").split()[0].removeprefix("M")) == pytest.approx(start + 4 * width, abs=0.2)


def test_lines_begin_at_zero_and_rise_with_their_numbers():
    drawn = ElementTree.fromstring(lines_over("t", {"s": [(1.0, 10.0), (2.0, 20.0)]}, "n", "MB"))
    (line,) = drawn.iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert x2 > x1
    assert y2 < y1
    texts = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"0", "20 MB", "2", "n", "s"} <= texts
    bars("nothing", [], "s")
    lines_over("nothing", {}, "n", "MB")
