"""Which black bars are a defect: those that a stream did not have, and a picture in the middle of black."""

import numpy as np
import pytest
import torch
from frames import make_frame
from surfaces import surface

from engine.batch import Batcher
from engine.measure import Measure
from engine.measure.area import ADOPT_SECONDS

CPU = torch.device("cpu")
WIDTH, HEIGHT = 160, 100


def picture(seed, top=0, bottom=0, left=0, right=0):
    rng = np.random.default_rng(seed)
    luma = np.full((HEIGHT, WIDTH), 16)
    inner = luma[top : HEIGHT - bottom, left : WIDTH - right]
    inner[...] = rng.integers(60, 200, inner.shape)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128)
    return make_frame(luma, chroma, chroma)


def letterbox(pictures):
    """The measure of pictures a second apart."""
    measure, batcher = Measure(CPU, 1), Batcher(CPU, 1, 0.0)
    measure.open_slot(0, {}, {"letterbox"})
    found = []
    for second, frame in enumerate(pictures):
        batch = batcher.assemble([(0, surface(frame, float(second), False, False))], {0: 0.1})
        values = measure.frames(batch)
        found.append(float(values.values[0, values.columns.index("letterbox")]))
    return found


def test_bars_that_come_are_measured_and_are_gone_when_they_go():
    bars = [picture(n, *((12, 12) if 3 <= n < 7 else (0, 0))) for n in range(10)]
    assert letterbox(bars) == [0, 0, 0, 0.24, 0.24, 0.24, 0.24, 0, 0, 0]


def test_a_film_with_bars_from_its_beginning_has_none_that_are_new():
    assert set(letterbox(picture(n, 12, 12) for n in range(8))) == {0.0}


def test_a_shape_that_is_kept_becomes_the_streams_own():
    kept = round(ADOPT_SECONDS)
    found = letterbox(picture(n, *((12, 12) if n >= 2 else (0, 0))) for n in range(kept + 10))
    assert found[2 + kept - 1] == 0.24
    assert set(found[2 + kept :]) == {0.0}


def test_dark_on_one_side_is_a_scene():
    assert set(letterbox(picture(n, 20 if n > 3 else 0) for n in range(8))) == {0.0}


def test_a_picture_in_the_middle_of_black_is_one_from_the_beginning():
    assert set(letterbox(picture(n, 10, 10, 32, 32) for n in range(4))) == {0.2}


def test_black_pictures_say_nothing_of_the_shape():
    black = picture(0, HEIGHT // 2, HEIGHT // 2)
    found = letterbox([picture(1), black, black, picture(2)])
    assert found[0] == found[3] == 0
    assert np.isnan(found[1:3]).all()


def test_text_on_black_says_nothing_of_the_shape_and_a_small_picture_does():
    credits = np.full((HEIGHT, WIDTH), 16)
    credits[20:80:10, 40:120] = 200  # lines of a height of one in ten, in the middle
    small = credits.copy()
    small[20:80, 40:120] = np.random.default_rng(1).integers(60, 200, (60, 80))
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128)
    text, shown = (make_frame(luma, chroma, chroma) for luma in (credits, small))
    found = letterbox([picture(1), text, text, shown, picture(2)])
    assert np.isnan(found[1:3]).all()
    assert found[0] == found[4] == 0
    assert found[3] == pytest.approx(0.5)
