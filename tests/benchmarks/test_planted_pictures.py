"""The part of `avjury bench detectors` that plants defects of the picture, on one small clip."""

import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from itertools import islice

from benchmarks.detectors import STRENGTHS, judge
from benchmarks.detectors_chart import chart
from benchmarks.planted_pictures import CODED, bench_pictures
from benchmarks.tallies import figures
from models.synthesis.picture import PLANTERS, moving_pattern
from models.synthesis.picture_clip import write_pictures


def test_what_has_room_is_planted_and_found_and_the_rest_is_named(tmp_path):
    clip = tmp_path / "clip.mp4"
    grey = ((y, u * 0 + 128, v * 0 + 128) for y, u, v in islice(moving_pattern(320, 192), 250))
    write_pictures(clip, grey, rate=Fraction(25))
    strengths = {"black": (1.0,), "chroma_loss": (1.0,)}
    said = []
    tallies = bench_pictures(tmp_path, [clip], strengths, judge, 1, lambda what, counted: said.append(what))
    found = figures(tallies)
    assert said == ["black", "chroma_loss"]
    assert (found["black"]["planted"], found["black"]["found"], found["black"]["known_in_time"]) == (1, 1, 1)
    assert abs(found["black"]["onset_error_seconds"]["p50"]) < 0.05
    assert (found["chroma_loss"]["planted"], found["chroma_loss"]["no_room"]) == (0, ["clip.mp4"])
    drawn = ElementTree.fromstring(chart({"picture": found}, "a title <with> signs"))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "1/1" in texts
    assert "a title <with> signs" in texts


def test_every_strength_is_of_a_planter_that_exists():
    assert set(STRENGTHS) <= set(PLANTERS) | set(CODED)
    assert all(list(steps) == sorted(steps) for steps in STRENGTHS.values())
