"""Figures of speed and cost that pages quote are those of a record, and none is quoted without one."""

import json
from pathlib import Path

import pytest

from benchmarks import measured_page
from benchmarks.measured_chain import chain
from benchmarks.measured_page import PAGE, PARTS, load, wrapped
from benchmarks.quoted import problem, quoted, unmarked

ROOT = Path(__file__).parents[2]
WRITTEN = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    # What a command makes has its own test, that it is what the command makes of the records that it names.
    if "ade by `" not in page.read_text(encoding="utf-8")[:1000]
]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_every_figure_of_speed_or_cost_is_that_of_a_record(page):
    wrong = [problem(figure) for figure in quoted(page) if figure.recorded]
    assert [found for found in wrong if found] == []
    assert unmarked(page) == []


def test_the_page_of_measurements_is_what_its_command_makes_of_the_records_that_it_names():
    text = PAGE.read_text(encoding="utf-8")
    named = dict(
        line.removeprefix("- ").split(": ")
        for line in text.partition("Records:\n\n")[2].partition("\n\n")[0].splitlines()
    )
    assert list(named) == list(PARTS)
    files = {key: None if file == "none" else file for key, file in named.items()}
    assert text == measured_page.page(load(files)), "run `avjury bench measured-page` again"


def test_a_goal_that_a_record_misses_is_called_missed():
    record = load()["chain"]
    assert record is not None
    ratio = f"{record['figures']['cost_ratio']:.2%}"
    text = " ".join(chain(record))
    assert f"it is {ratio}" in text
    assert "as the original did: reached" in text
    worse = {**record, "figures": {**record["figures"], "cost_ratio": 0.0501}}
    assert "as the original did: missed" in " ".join(chain(worse))


def test_prose_is_wrapped_and_tables_are_not():
    row = "| " + "cell " * 40 + "|"
    lines = list(wrapped([row, "", "- " + "word " * 40, "  - deeper  text"]))
    assert lines[:2] == [row, ""]
    assert lines[2].startswith("- word")
    assert lines[3].startswith("  word")
    assert lines[-1] == "  - deeper text"
    assert max(len(line) for line in lines[1:]) <= 118


@pytest.fixture
def folder(tmp_path):
    figures = {"clips": [{"clip": "a.mp4", "ms": {"p50": 1.2345}}], "share": 0.0912, "rows": 12345, "held": True}
    (tmp_path / "made-1.json").write_text(json.dumps({"figures": figures}))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "takes 1.23 ms<!-- record: made-1 clips/a.mp4/ms/p50 --> of a core",
        "1.2345<!-- record: made-1 clips/0/ms/p50 -->",
        "from 3 to 9.1 %<!-- record: made-1 share x100 --> of the CPU time",
        "12,345<!-- record: made-1 rows --> rows",
    ],
)
def test_a_figure_is_what_the_record_says_rounded_as_it_is_shown(folder, text):
    page = folder / "page.md"
    page.write_text(text)
    (figure,) = quoted(page)
    assert figure.recorded
    assert problem(figure, folder) is None
    assert unmarked(page) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.24 ms<!-- record: made-1 clips/a.mp4/ms/p50 -->", "the record says 1.2345"),
        ("1 ms<!-- record: made-2 share -->", "no record made-2"),
        ("1 ms<!-- record: made-1 clips/b.mp4/ms -->", "has no clips/b.mp4/ms"),
        ("1 ms<!-- record: made-1 clips/0/ms -->", "no number"),
        ("1<!-- record: made-1 held -->", "no number"),
        ("1<!-- record: made-1 -->", "a record, a way"),
        ("1<!-- record: made-1 share 100 -->", "a record, a way"),
    ],
)
def test_a_figure_that_is_not_the_record_s_is_named(folder, text, said):
    page = folder / "page.md"
    page.write_text(text)
    (figure,) = quoted(page)
    assert said in problem(figure, folder)


def test_a_mark_without_a_number_is_an_error(folder):
    page = folder / "page.md"
    page.write_text("much<!-- record: made-1 share -->")
    with pytest.raises(ValueError, match=r"page\.md, line 1"):
        list(quoted(page))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It takes 9 % of the CPU time.", True),
        ("A window costs 10 ms of one core.", True),
        ("0.8 s of CPU for each", True),
        ("It costs 0.01 $ per stream-hour.", True),
        ("It is 12 times faster than that.", True),
        ("About 45 MB for an hour.", True),
        ("It took 51 bytes a row.", True),
        ("Streams of 25 pictures a second; a file up to 256 MB is checked; a statement may take 30 s.", False),
        ("```\n9 % of the CPU time\n```", False),
        ("About 45 MB<!-- reckoned: 60 measures of 8 bytes --> for an hour.", False),
    ],
)
def test_what_tells_of_speed_or_cost_is_seen(folder, text, found):
    page = folder / "page.md"
    page.write_text(text)
    assert bool(unmarked(page)) == found
