"""The part of `avjury bench detectors` that plants defects of the picture, on one small clip."""

import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from itertools import islice

from benchmarks.detectors import STRENGTHS, judge
from benchmarks.detectors_chart import chart
from benchmarks.planted_pictures import CODED, Defect, Window, bench_pictures
from benchmarks.tallies import figures
from models.synthesis.picture import PLANTERS, moving_pattern, plant, plant_at, repeats_at
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


def test_a_defect_is_timed_from_when_it_is_one_by_its_definition():
    pictures = list(islice(moving_pattern(64, 48), 250))
    window = Window("clip", 0.0, pictures, Fraction(25), 8)
    flash, green, still = (Defect(what, 1.0, 2.0, 8.0, 1).waits(window) for what in ("flash", "colour_flash", "freeze"))
    # Two pictures are light and four are not: the seventh transition is the eighteenth picture's.
    luma = [float(plant_at(pictures, n, "flash", rate=Fraction(25), start=2.0, end=8.0, strength=1.0)[0].mean())
            for n in range(50, 80)]  # fmt: skip
    turns = [n for n, (a, b) in enumerate(zip([pictures[49][0].mean(), *luma], luma, strict=False)) if abs(a - b) > 40]
    assert turns[6] == 18
    assert (flash, green, still) == (18 / 25, 1 / 25, 0.0)


def test_stutter_is_timed_from_its_third_hiccup_on():
    pictures = list(islice(moving_pattern(64, 48), 250))
    window = Window("clip", 0.0, pictures, Fraction(25), 8)
    stutter = Defect("stutter", 0.15, 2.0, 8.0, 1)
    spoilt = list(plant(iter(pictures), "stutter", rate=Fraction(25), start=2.0, end=8.0, strength=0.15, seed=1))
    same = [bool((spoilt[n][0] == pictures[n - 1][0]).all()) for n in range(50, 200)]
    ends = [n for n in range(1, len(same)) if same[n - 1] and not same[n]]
    third = next(c for a, c in zip(ends, ends[2:], strict=False) if c - a < 50)
    assert stutter.waits(window) == third / 25


def test_three_hiccups_at_equal_distances_are_a_rhythm_and_no_stutter_yet():
    pictures = list(islice(moving_pattern(64, 48), 250))
    window = Window("clip", 0.0, pictures, Fraction(25), 8)
    # By the seed pictures 1, 3, 5 and 19 of the defect repeat: the first three say nothing, the fourth does.
    stutter = Defect("stutter", 0.15, 56 / 25, 206 / 25, 1)
    repeats = [n for n in range(25) if repeats_at(56 + n, 0.15, 1)]
    assert repeats == [1, 3, 5, 19]
    assert stutter.waits(window) == 20 / 25


def test_every_strength_is_of_a_planter_that_exists():
    assert set(STRENGTHS) <= set(PLANTERS) | set(CODED)
    assert all(list(steps) == sorted(steps) for steps in STRENGTHS.values())
