"""What a viewer sees of a planted defect: there is room for it in some pictures and not in others."""

from fractions import Fraction
from functools import cache
from itertools import islice

import numpy as np
import pytest

from models.synthesis.picture import moving_pattern, plant, plant_at
from models.synthesis.picture_clip import starve
from models.synthesis.visible import is_visible, ramps, samples

RATE = Fraction(25)
SIZE = (320, 192)
BEGIN, END = 25, 60


@cache
def moving():
    return list(islice(moving_pattern(*SIZE), END + 5))


def still():
    return [next(moving_pattern(*SIZE))] * (END + 5)


def grey():
    return [(y, np.full_like(u, 128), np.full_like(v, 128)) for y, u, v in moving()]


def visible(what, pictures, strength=1.0):
    given = {"rate": RATE, "start": BEGIN / 25, "end": END / 25, "strength": strength}
    spoilt = {index: plant_at(pictures, index, what, **given) for index in samples(BEGIN, END)}
    return is_visible(what, pictures, spoilt, BEGIN, 25.0)


@pytest.mark.parametrize(("what", "strength"), [
    ("combing", 1.0), ("stutter", 0.5), ("freeze", 1.0), ("partial_freeze", 0.5), ("chroma_loss", 1.0),
    ("plane_loss", 0.0), ("banding", 6.0), ("blur", 4.0), ("flash", 0.6), ("noise", 14.0), ("letterbox", 0.25),
    ("rolling", 0.02), ("line_jitter", 0.01), ("row_smear", 0.4), ("column_smear", 0.4), ("chroma_inverted", 1.0),
    ("planes_swapped", 1.0), ("negative", 1.0),
])  # fmt: skip
def test_a_moving_coloured_scene_has_room(what, strength):
    assert visible(what, moving(), strength)


@pytest.mark.parametrize("what", ["combing", "stutter", "freeze", "partial_freeze"])
def test_a_picture_that_stands_can_neither_stop_nor_comb(what):
    assert not visible(what, still())


def test_grey_cannot_lose_its_colour():
    assert not visible("chroma_loss", grey())
    assert not visible("plane_loss", grey(), 0.0)
    assert not visible("planes_swapped", grey())
    assert not visible("chroma_inverted", grey())


def test_levels_have_to_cost_shades():
    middle = [(np.clip(y, 100, 150), u, v) for y, u, v in moving()]
    assert not visible("levels", middle, 1.0)
    assert visible("levels", moving(), 4.0)
    white = [(np.full_like(y, 235), u, v) for y, u, v in moving()]  # white that is clipped stays white
    assert not visible("levels", white, 4.0)


@pytest.mark.parametrize("what", ["row_smear", "column_smear"])
def test_a_smear_of_one_brightness_shows_nothing_that_a_wall_does_not(what):
    flat = [(np.full_like(y, 90), u, v) for y, u, v in moving()]
    for y, _, _ in flat:
        y[150:170, 260:300] = 200  # what stood before the wall is gone, and that is all
    assert not visible(what, flat, 0.4)


@pytest.mark.parametrize(("what", "strength"), [("row_smear", 0.4), ("column_smear", 0.4), ("flicker", 0.12)])
def test_what_begins_on_a_white_page_is_not_seen_to_begin(what, strength):
    white = [(np.full_like(y, 235), u, v) for y, u, v in moving()]
    assert not visible(what, [*white[: BEGIN + 20], *moving()[BEGIN + 20 :]], strength)
    assert visible(what, [*white[: BEGIN + 5], *moving()[BEGIN + 5 :]], strength)


def test_a_tear_is_seen_where_its_row_has_a_step_that_neither_moment_has():
    assert visible("tearing", moving(), 0.4)
    rng = np.random.default_rng(0)
    grain = [(np.clip(y + rng.normal(0, 3, y.shape), 0, 255).astype(np.uint8), u, v) for y, u, v in still()]
    assert not visible("tearing", grain, 0.4)


def test_flat_areas_and_texture_have_no_ramps():
    x = np.tile(np.arange(160), (96, 1))
    rng = np.random.default_rng(0)
    assert ramps((60 + x * 0.3).astype(np.uint8)) > 0.5
    assert ramps(np.full((96, 160), 90, np.uint8)) == 0
    assert ramps(rng.integers(0, 255, (96, 160)).astype(np.uint8)) < 0.01


@pytest.mark.parametrize("what", ["combing", "stutter", "banding", "blur", "chroma_loss", "partial_freeze"])
def test_one_picture_alone_is_that_of_the_whole(what):
    pictures = moving()
    given = {"rate": RATE, "start": BEGIN / 25, "end": END / 25, "strength": 0.5, "seed": 3}
    whole = list(plant(iter(pictures), what, **given))
    for index in (BEGIN, BEGIN + 7, END - 1):
        alone = plant_at(pictures, index, what, **given)
        assert all(np.array_equal(a, b) for a, b in zip(alone, whole[index], strict=True))


def test_starved_pictures_are_as_many_and_blocky():
    pictures = moving()[:20]
    starved = starve(pictures, RATE, 31)
    assert len(starved) == 20
    assert all(a[0].shape == b[0].shape for a, b in zip(pictures, starved, strict=True))
    steps = np.abs(np.diff(starved[0][0].astype(int), axis=1)).mean(axis=0)  # a key frame: motion moves the grid
    assert steps[7::8].mean() > 1.5 * np.delete(steps, np.s_[7::8]).mean()  # edges lie on the grid of 8


def test_a_picture_that_is_torn_from_its_very_top_has_no_seam():
    pictures = moving()
    spoilt = {index: pictures[index - 1] for index in samples(BEGIN, END)}
    assert not is_visible("tearing", pictures, spoilt, BEGIN, 25.0)
