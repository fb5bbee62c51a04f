"""The table of faults names tests that are there, and what they record is held to its limits."""

import ast
import json

import pytest

from benchmarks.reliability import TESTS, outside, read_report
from benchmarks.reliability_page import page
from benchmarks.reliability_table import ROWS, Row

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="passes"><properties><property name="s" value="4.5"/></properties></testcase>
<testcase name="too"><properties><property name="s" value="6.5"/>
<property name="how" value="cut"/></properties></testcase>
<testcase name="fails"><failure message="E: /tmp/pytest-of-root/x is not there&#10;more"/></testcase>
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
    assert said["said"] == ["E: ... is not there"]
    assert said["figures"] == {"s": [4.5, 6.5], "how": ["cut"]}


def test_figures_outside_of_the_limits_and_missing_ones_do_not_hold():
    assert outside(row(most={"s": 6.0}), {"s": [4.5, 5.0]}) == []
    assert outside(row(most={"s": 6.0}), {"s": [4.5, 6.5]}) == ["s: 6.5, at most 6"]
    assert outside(row(least={"s": 6.0}), {"s": [4.5, 6.5]}) == ["s: 4.5, at least 6"]
    assert outside(row(most={"s": 6.0}), {}) == ["s: not measured"]


def test_the_page_says_what_was_not_run(tmp_path):
    text = page(tmp_path)
    assert text.count("| not run |") == len(ROWS)
    assert text.count("No record has it.") == 6


def kept(folder, name, **figures):
    (folder / f"{name}.json").write_text(json.dumps({"figures": figures}))


def test_the_page_adds_up_damaged_clips_of_different_seeds_and_shows_each_record_of_kills(tmp_path):
    none = {"deaths": [], "hangs": [], "unexpected": [], "growth": None, "clips": 80}
    kept(tmp_path, "mutations-20260101T000000", seed=1, decoded=1000, judged=2, **none)
    kept(tmp_path, "mutations-20260102T000000", seed=1, decoded=2000, judged=3, **none)  # the same clips, and more
    kept(tmp_path, "mutations-20260103T000000", seed=2, decoded=500, judged=1, **none)
    ready = {"p50": 7.4}
    kept(tmp_path, "kills-20260101T000000", kills=10, incidents=5, lost=0, doubled=0, seconds_to_ready=ready)
    kept(tmp_path, "kills-20260102T000000", kills=20, incidents=6, lost=1, doubled=0, seconds_to_ready=ready,
         problems=["a black picture is in no incident"])  # fmt: skip
    text = page(tmp_path)
    assert "2,500 were decoded and 4 judged, by 2 seeds" in text
    assert "| kills-20260101T000000 | 10 | 0 | 5 | 0 | 0 | 7 | none |" in text
    assert "| kills-20260102T000000 | 20 | 0 | 6 | 1 | 0 | 7 | a black picture is in no incident |" in text


def test_the_page_has_the_course_of_too_much_load(tmp_path):
    def looked(second, usual, low, sampling, lag=0.0):
        states = {"low": {low: 28}, "usual": usual, "high": {"running": 28}}
        return {
            "second": second, "states": states, "lag_seconds": lag,
            "sampling": {"low": 0.0 if low == "shed" else sampling, "usual": sampling, "high": sampling},
        }  # fmt: skip

    rows = [
        looked(2.1, {"running": 14, "starting": 14}, "running", 0.5),
        looked(8.1, {"running": 28}, "running", 0.04),
        looked(13.2, {"running": 28}, "shed", 0.04, 1.5),
        *(looked(20.0 + n, {"running": 3, "shed": 25}, "shed", 1.0, 0.1 * n) for n in range(2)),
    ]
    kept(
        tmp_path, "overload_drill-20261129T071333", channels=84, rows=rows, pictures_a_second_at_the_end=700.4,
        of_what_is_sustained=1.0006,
    )  # fmt: skip
    text = page(tmp_path)
    assert "84 channels, a third of them of each priority (overload_drill-20261129T071333)." in text
    assert "Fewer pictures: from 8 s on. Shed: low priority from 13 s on, usual priority from 20 s on, high" in text
    assert "high priority never." in text
    assert "0 of low priority, 3 of usual priority, 28 of high priority." in text
    assert "at most 0.10 s late" in text
    assert "700 pictures a second were judged at the end: 100% of those" in text
    assert "](images/overload.svg)" in text
    assert text.count("No record has it.") == 5


def test_the_page_holds_each_lost_machine_to_its_promise_by_the_newest_record(tmp_path):
    counted = {"seconds_kept": 1426, "kept_twice": 0, "incidents": 183, "lost": 0, "doubled": 0}
    late = {"judged_again_seconds": 21.0, "longest_gap_seconds": 20.0}
    soon = {"judged_again_seconds": 8.0, "longest_gap_seconds": 7.0}
    kept(tmp_path, "cluster_failures-20260101T000000", outcomes={"node_lost": late, "node_hangs": late}, **counted)
    kept(tmp_path, "cluster_failures-20260102T000000", outcomes={"node_lost": soon}, **counted)
    kept(tmp_path, "cluster_failures-20260103T000000", engines=2, **counted)  # of an update: no scenarios
    text = page(tmp_path)
    assert "within 15 s | holds; judged again seconds: 8 | cluster_failures-20260102T000000 |" in text
    assert (
        "**does not hold** (judged_again_seconds); judged again seconds: 21 | cluster_failures-20260101T000000" in text
    )
    assert text.count("Of 1,426 seconds 0 were kept twice; of 183 incidents 0 were lost and 0 doubled") == 2


def test_the_page_says_of_a_soak_what_it_was_and_what_it_was_not(tmp_path):
    rows = [
        {"minutes": float(n), "handles": 70.0 + n, "threads": 61.0, "load": 2.0 + n, "resident_mb": 900.0}
        for n in range(5)
    ]
    soak = {
        "seconds": 240.0, "healthy": 8, "faulty": {"refused": "refused", "silent": "timeout"}, "rows": rows,
        "mb_per_hour_second_half": 55.8, "least_healthy_running": 7, "least_judged_share": 0.91123, "black_found": 95,
        "black_sent_about": 96,
    }  # fmt: skip
    kept(tmp_path, "service-20260101T000000", soak=soak)
    kept(tmp_path, "service-20260102T000000", soak=soak | {"most_zombies": 0.0, "mb_per_hour_second_half": 0.4,
                                                            "handles_per_hour_second_half": 1.75})  # fmt: skip
    kept(tmp_path, "service-20260103T000000", cycles={})
    text = page(tmp_path)
    cells = "7 of 8 | 91.1% | 95, 96 | 2 to 6 |"
    assert f"| service-20260101T000000 | 4 | 8, 2 | +55.8, +60.0, +0.0 | not counted | {cells}" in text
    assert f"| service-20260102T000000 | 4 | 8, 2 | +0.4, +1.8, +0.0 | 0 | {cells}" in text
    assert "0.1 hours in all, the longest 4 minutes: no run of 8 hours was made." in text
    assert "0.4 MB an hour in its second half, within the goal." in text
