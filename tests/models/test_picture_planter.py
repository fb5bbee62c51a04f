"""The planter: what it changes, when, and what it leaves alone."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from models.synthesis.picture import PLANTERS, moving_pattern, plant
from models.synthesis.picture_clip import plant_clip, read_pictures, starve

STRENGTHS = {"noise": 8.0, "banding": 6.0, "plane_loss": 0.0, "tearing": 0.5, "letterbox": 0.3, "partial_freeze": 0.4,
             "block_dropout": 0.2, "blur": 20.0, "colour_flash": 50.0, "rolling": 0.1, "line_jitter": 0.1,
             "row_smear": 0.5,
             "column_smear": 0.5, "chroma_noise": 20.0}  # fmt: skip
RATE = Fraction(25)


def pattern(pictures=12, depth=8, size=(64, 48)):
    return list(islice(moving_pattern(*size, depth=depth), pictures))


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("what", PLANTERS)
def test_only_the_pictures_of_the_interval_change_and_the_given_ones_never(what, depth):
    clean = pattern(depth=depth)
    kept = [tuple(plane.copy() for plane in picture) for picture in clean]

    def run():
        return list(
            plant(iter(clean), what, rate=RATE, start=0.16, end=0.36, strength=STRENGTHS.get(what, 1.0), depth=depth)
        )

    spoilt, again = run(), run()
    changed = []
    for index, (before, after) in enumerate(zip(kept, spoilt, strict=True)):
        assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(before, after, strict=True))
        assert all(int(plane.max()) < 1 << depth for plane in after)
        if any((a != b).any() for a, b in zip(before, after, strict=True)):
            changed.append(index)
    assert set(changed) <= {4, 5, 6, 7, 8}
    assert len(changed) >= 2
    for picture, original in zip(clean, kept, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(picture, original, strict=True))
    for one, other in zip(spoilt, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_rolling_picture_comes_back_from_below():
    clean = pattern(4)
    rolled = list(plant(iter(clean), "rolling", rate=RATE, start=0.04, end=0.2, strength=0.25))
    for index, rows in ((1, 12), (2, 24), (3, 36)):
        assert np.array_equal(rolled[index][0], np.roll(clean[index][0], -rows, axis=0))
        assert np.array_equal(rolled[index][1], np.roll(clean[index][1], -rows // 2, axis=0))


def test_rows_jitter_each_by_itself_and_lose_nothing():
    clean = pattern(3)
    jittered = list(plant(iter(clean), "line_jitter", rate=RATE, start=0.04, end=0.2, strength=0.1))
    shifts = []
    for picture, before in zip(jittered[1:], clean[1:], strict=True):
        for row, own in zip(picture[0], before[0], strict=True):
            [shift, *_] = [k for k in range(64) if np.array_equal(np.roll(own, k), row)]
            shifts.append(shift)
    assert len(set(shifts)) > 20
    assert shifts[:48] != shifts[48:]


def test_rows_and_columns_that_smear_repeat_the_last_good_one():
    clean = pattern(2)
    [_, (y, u, _)] = plant(iter(clean), "row_smear", rate=RATE, start=0.04, end=0.2, strength=0.5)
    assert np.array_equal(y[:24], clean[1][0][:24])
    assert (y[24:] == clean[1][0][23]).all()
    assert (u[12:] == clean[1][1][11]).all()
    [_, (y, _, _)] = plant(iter(clean), "column_smear", rate=RATE, start=0.04, end=0.2, strength=0.25)
    assert np.array_equal(y[:, :48], clean[1][0][:, :48])
    assert (y[:, 48:] == clean[1][0][:, 47:48]).all()


@pytest.mark.parametrize("depth", [8, 10])
def test_what_runs_the_other_way_adds_up_to_white(depth):
    clean, most = pattern(2, depth=depth), (1 << depth) - 1
    given = {"rate": RATE, "start": 0.04, "end": 0.2, "depth": depth}
    [_, (y, u, v)] = plant(iter(clean), "negative", strength=2.0, **given)
    assert all((a + b == most).all() for a, b in zip((y, u, v), clean[1], strict=True))
    [_, (y, u, v)] = plant(iter(clean), "chroma_inverted", strength=1.0, **given)
    assert (y == clean[1][0]).all()
    assert (u + clean[1][1] == most).all()


def test_woven_fields_come_from_two_pictures():
    clean = pattern(4)
    woven = list(plant(iter(clean), "combing", rate=RATE, start=0.08, end=0.12, strength=1.0))[2]
    assert np.array_equal(woven[0][::2], clean[2][0][::2])
    assert np.array_equal(woven[0][1::2], clean[1][0][1::2])


def test_a_planted_clip_says_what_was_planted_and_shows_it(tmp_path):
    target = tmp_path / "black.mp4"
    planted = plant_clip(target, "black", source=None, seconds=1.0, start=0.41, end=0.7, strength=1.0, size=(64, 48))
    assert (planted.detector, planted.start, planted.end) == ("video.black", 0.44, 0.72)
    pictures, rate, depth = read_pictures(target, 10.0)
    assert (len(pictures), rate, depth) == (25, 25, 8)
    dark = [index for index, picture in enumerate(pictures) if picture[0].max() < 24]
    assert dark == [11, 12, 13, 14, 15, 16, 17]


def test_an_interval_without_a_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no picture of the pattern from 5 to 6 s"):
        plant_clip(tmp_path / "x.mp4", "black", source=None, seconds=1.0, start=5, end=6, strength=1.0, size=(64, 48))


@pytest.mark.parametrize("rate", [Fraction(272000000, 11333333), Fraction(243090000, 8111111), Fraction(60000, 1001)])
def test_a_coder_is_starved_at_whatever_rate_a_clip_says_it_has(rate):
    pictures = pattern(4)
    starved = starve(pictures, rate, 31)
    assert [picture[0].shape for picture in starved] == [picture[0].shape for picture in pictures]
    # Coarse, and still the picture.
    apart = np.abs(starved[-1][0].astype(int) - pictures[-1][0]).mean()
    assert 1 < apart < 30
