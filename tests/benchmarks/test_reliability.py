"""The table of faults names tests that are there, and what they record is held to its limits."""

import ast

import pytest

from benchmarks.reliability import TESTS, outside, read_report
from benchmarks.reliability_page import page
from benchmarks.reliability_table import ROWS, Row

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="passes"><properties><property name="s" value="4.5"/></properties></testcase>
<testcase name="too"><properties><property name="s" value="6.5"/>
<property name="how" value="cut"/></properties></testcase>
<testcase name="fails"><failure message="no"/></testcase>
<testcase name="elsewhere"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""


def row(**limits):
    return Row("faults", "a", "b", "c", ("x.py",), **limits)


@pytest.mark.parametrize("test", sorted({test for row in ROWS for test in row.tests}))
def test_a_test_of_the_table_is_there(test):
    file, _, name = test.partition("[")[0].partition("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in names if name else any(name.startswith("test_") for name in names)


def test_faults_are_named_once():
    assert len({row.fault for row in ROWS}) == len(ROWS)


def test_a_report_is_read(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    said = read_report(tmp_path / "report.xml")
    assert (said["passed"], said["failed"], said["skipped"]) == (2, ["fails"], 1)
    assert said["figures"] == {"s": [4.5, 6.5], "how": ["cut"]}


def test_figures_outside_of_the_limits_and_missing_ones_do_not_hold():
    assert outside(row(most={"s": 6.0}), {"s": [4.5, 5.0]}) == []
    assert outside(row(most={"s": 6.0}), {"s": [4.5, 6.5]}) == ["s: 6.5, at most 6"]
    assert outside(row(least={"s": 6.0}), {"s": [4.5, 6.5]}) == ["s: 4.5, at least 6"]
    assert outside(row(most={"s": 6.0}), {}) == ["s: not measured"]


def test_the_page_says_what_was_not_run(tmp_path):
    text = page(tmp_path)
    assert text.count("| not run |") == len(ROWS)
    assert "No record has it." in text
