"""Which black bars are a defect: those that a stream did not have, and a picture in the middle of black."""

import numpy as np
import pytest
import torch
from frames import make_frame
from on_tensors import OnTensors
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


def letterbox(pictures, arithmetic=None):
    """The measure of pictures a second apart."""
    measure, batcher = Measure(CPU, 1, arithmetic), Batcher(CPU, 1, 0.0)
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


def text(lines, columns=(40, 120)):
    """Lines on black, of a height of one in ten of their distance."""
    luma = np.full((HEIGHT, WIDTH), 16)
    luma[slice(*lines, 10), slice(*columns)] = 200
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128)
    return make_frame(luma, chroma, chroma)


def test_text_on_black_says_nothing_of_the_shape_and_a_small_picture_does():
    found = letterbox([picture(1), text((20, 81)), text((20, 81)), picture(2, 20, 20, 40, 40), picture(3)])
    assert np.isnan(found[1:3]).all()
    assert found[0] == found[4] == 0
    assert found[3] == pytest.approx(0.5)


def test_text_where_there_were_bars_says_that_they_are_gone():
    """One line fills what is inside its margins, more lines do not."""
    bars = [picture(n, 12, 12) for n in (2, 3)]
    found = letterbox([picture(1), text((48, 49)), bars[0], text((20, 81)), text((2, 98)), bars[1]])
    assert np.isnan(found[1])
    assert found[2] == found[5] == pytest.approx(0.24)
    assert np.isnan(found[3])
    assert found[4] == pytest.approx(0.0)


def subtitled(seed, bar):
    luma = np.full((HEIGHT, WIDTH), 16)
    luma[bar : HEIGHT - bar] = np.random.default_rng(seed).integers(60, 200, (HEIGHT - 2 * bar, WIDTH))
    luma[HEIGHT - 8 : HEIGHT - 4, 40:120] = 200
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128)
    return make_frame(luma, chroma, chroma)


@pytest.mark.parametrize("when", [(3, 4, 7), (0, 1, 5)])
def test_subtitles_in_the_bars_of_a_film_change_nothing(when):
    assert set(letterbox(subtitled(n, 12) if n in when else picture(n, 12, 12) for n in range(10))) == {0.0}


def test_subtitles_in_bars_that_came_do_not_end_them():
    found = letterbox([picture(1), picture(2, 12, 12), subtitled(3, 12), picture(4, 12, 12), picture(5)])
    assert found == [0.0, 0.24, 0.24, 0.24, 0.0]


def test_tensors_say_the_same_of_any_order_of_shapes():
    rng = np.random.default_rng(3)
    black = picture(0, HEIGHT // 2, HEIGHT // 2)
    kinds = [
        lambda n: picture(n), lambda n: picture(n, 12, 12), lambda n: picture(n, 5, 5), lambda n: subtitled(n, 12),
        lambda n: picture(n, 10, 10, 32, 32), lambda n: picture(n, 20), lambda n: text((20, 81)),
        lambda n: text((48, 49)), lambda n: text((2, 98), (2, 150)), lambda n: black,
    ]  # fmt: skip
    # Each shape for a while, so that some are adopted.
    order = [kind for kind in rng.integers(0, len(kinds), 120) for _ in range(rng.choice([1, 2, 5, 70]))][:600]
    shown = [kinds[kind](n) for n, kind in enumerate(order)]
    host, tensors = letterbox(shown), letterbox(shown, OnTensors())
    np.testing.assert_allclose(host, tensors, rtol=1e-12, atol=1e-12)
    assert len({round(value, 3) for value in host if value > 0}) >= 4
