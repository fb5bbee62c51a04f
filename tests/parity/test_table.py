"""Every comparison of `avjury bench parity` keeps its tolerance."""

import json
import re

import pytest
from media import media_dir

from benchmarks.harness import RESULTS
from benchmarks.parity import PAGE, Compared, compare, comparisons, page, table

# FFmpeg's filters that measure what avjury measures.
FILTERS = {
    "idet", "cropdetect", "signalstats", "scdet", "astats", "aphasemeter", "photosensitivity", "siti", "vfrdet",
    "freezedetect", "blackdetect", "silencedetect", "ebur128", "blockdetect", "blurdetect",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", comparisons())
def test_a_quantity_is_that_of_ffmpegs_filter(name):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    found = compare(name, folder)
    assert found
    for one in found:
        assert one.held, one


def test_a_tolerance_that_is_exceeded_is_told():
    kept = Compared("scdet", "score", "scene_score", "largest difference", 0.001, 0.01, 10)
    assert kept.held is True
    assert Compared("scdet", "score", "scene_score", "largest difference", 0.02, 0.01, 10).held is False
    assert (
        Compared("scdet", "score", "scene_score", "largest difference", 0.0, 0.01, 0).held is False
    )  # nothing compared
    lines = list(table([{**{name: getattr(kept, name) for name in kept.__slots__}, "held": False}]))
    assert lines[-1] == "| `scdet` | score | `scene_score` | largest difference: 0.001 | 0.01 | 10 | **no** |"


def test_the_page_says_what_its_record_says_and_every_tolerance_was_kept():
    text = PAGE.read_text(encoding="utf-8")
    name = re.search(r"from (parity-\S+\.json)", text)[1]
    record = {**json.loads((RESULTS / name).read_text(encoding="utf-8")), "file": name}
    assert text == page(record), "run `avjury bench parity --media FOLDER` again"
    compared = record["figures"]["compared"]
    assert {one["filter"] for one in compared} == FILTERS
    for one in compared:
        assert Compared(**{key: value for key, value in one.items() if key != "held"}).held, one
