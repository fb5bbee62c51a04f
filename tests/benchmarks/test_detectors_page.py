"""docs/detectors.md is what its command makes of the declarations and of the result that it names."""

import json
import re

from benchmarks.detectors_page import PAGE, dominance, page
from benchmarks.harness import RESULTS
from engine.detectors import DETECTORS

AGAIN = "run `avjury bench detectors-page` again"


def recorded(text):
    """The result that a page was made from."""
    name = re.search(r"Figures: (detectors-\S+\.json)", text)[1]
    return {**json.loads((RESULTS / name).read_text(encoding="utf-8")), "file": name}


def test_the_page_says_what_the_detectors_declare():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(DETECTORS, recorded(text)), AGAIN


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
