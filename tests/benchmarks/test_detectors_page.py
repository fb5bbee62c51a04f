"""docs/detectors.md is what its command makes of the declarations and of the result that it names."""

import json
import re

from benchmarks.detectors_chart import chart
from benchmarks.detectors_page import CHART, PAGE, dominance, newest, page, read_result, together
from benchmarks.harness import RESULTS
from engine.detectors import DETECTORS

AGAIN = "run `avjury bench detectors-page` again"


def recorded(text):
    """The results that a page was made from."""
    [names] = re.findall(r"^Figures: (.*);", text, re.MULTILINE)
    return [read_result(RESULTS / name) for name in names.split(", ")]


def test_the_page_says_what_the_detectors_declare():
    text = PAGE.read_text(encoding="utf-8")
    costs = read_result(RESULTS / re.search(r"^Costs: (kernels-cpu-\S+\.json)", text, re.MULTILINE)[1])
    assert text == page(DETECTORS, recorded(text), costs), AGAIN
    assert CHART.read_text(encoding="utf-8") == chart(together(recorded(text)), "detectors"), AGAIN


def test_the_graph_has_every_dominance_and_no_other():
    text = PAGE.read_text(encoding="utf-8")
    drawn = set(re.findall(r"^  (\S+) --> (\S+)$", text, re.MULTILINE))
    assert drawn == {(master, d.name) for d in DETECTORS for master in d.dominated_by}, AGAIN
    known = {d.name for d in DETECTORS}
    assert all(master in known for master, _ in drawn)


def test_nobody_speaks_for_itself_through_others():
    masters = {d.name: d.dominated_by for d in DETECTORS}

    def above(name, seen=()):
        assert name not in seen, f"{name} dominates itself: {seen}"
        for master in masters[name]:
            above(master, (*seen, name))

    for name in masters:
        above(name)
    assert next(iter(dominance(DETECTORS))) == "```mermaid"


def test_of_each_part_the_newest_result_counts(tmp_path):
    for name, figures in (
        ("1", {"seed": 1, "sound": {"old": 1}, "picture": {"p": 1}}),
        ("2", {"seed": 1, "clean": {"hours": 1}, "detectors": ["video.black"]}),
        ("3", {"seed": 1, "sound": {"new": 2}}),
        ("4", {"seed": 1, "own_clips": True, "sound": {"somebody's": 3}}),
    ):
        (tmp_path / f"detectors-2{name}.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    results = newest(tmp_path)
    assert [result["file"] for result in results] == ["detectors-21.json", "detectors-22.json", "detectors-23.json"]
    figures = together(results)
    assert (figures["sound"], figures["picture"]) == ({"new": 2}, {"p": 1})
    assert "video.black" not in figures["unknown"]
    assert "video.freeze" in figures["unknown"]


def test_a_result_of_some_defects_leaves_the_others_as_they_were(tmp_path):
    for name, figures in (
        ("1", {"seed": 1, "picture": {"gone": 0}, "damage": {"gone": 0}}),
        ("2", {"seed": 1, "picture": {"a": 1, "b": 1}, "damage": {"c": 1}, "sound": {"s": 1}}),
        ("3", {"seed": 1, "picture": {"b": 2}, "only": ["b"]}),
        ("4", {"seed": 1, "damage": {"c": 3}, "only": ["c"]}),
    ):
        (tmp_path / f"detectors-2{name}.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    results = newest(tmp_path)
    assert [result["file"] for result in results] == [f"detectors-2{name}.json" for name in "234"]
    figures = together(results)
    assert (figures["picture"], figures["damage"], figures["sound"]) == ({"a": 1, "b": 2}, {"c": 3}, {"s": 1})
