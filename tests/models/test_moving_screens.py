"""Images as a screen shows them: what pops up and scrolls, to train on."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from still_images import written

from models.synthesis.moving_screens import screen_film
from models.synthesis.moving_stills import moving_windows

SIZE = (64, 96)


@pytest.fixture(scope="module")
def image():
    """(1, 3, rows, columns): every place of another level than its neighbours, colours that follow the columns."""
    y, x = np.mgrid[0:160, 0:240]
    planes = np.stack([16 + (37 * y + 101 * x) % 220, 60 + x / 2, 200 - x / 2])
    return torch.from_numpy(planes.astype(np.float32))[None]


def films(image, count):
    return [list(screen_film(image, np.random.default_rng(seed), SIZE, 20)) for seed in range(count)]


@pytest.fixture(scope="module")
def many(image):
    """40 films of 20 pictures, each by other numbers."""
    return films(image, 40)


def test_a_screen_gives_whole_pictures_of_8_bit_4_2_0(many):
    for film in many:
        assert len(film) == 20
        for luma, u, v in film:
            assert luma.shape == SIZE
            assert u.shape == v.shape == (SIZE[0] // 2, SIZE[1] // 2)
            assert luma.dtype == u.dtype == v.dtype == np.uint8
            assert luma.min() >= 16
            assert luma.max() <= 235


def test_what_changes_changes_in_a_rectangle_and_the_rest_stands_still(many):
    """Most pictures are the one before it to the last sample, but for what popped up."""
    same, apart = 0, []
    for film in many:
        for (before, _, _), (now, _, _) in pairwise(film):
            changed = before != now
            if not changed.any():
                same += 1
            else:
                apart.append(changed.mean())
    assert same > 100
    # Small things and whole screens.
    assert np.quantile(apart, 0.1) < 0.1
    assert max(apart) > 0.9


def test_what_comes_up_on_a_still_screen_mostly_stays_as_it_is(many):
    """Pops up and is still there in the next picture: nothing flickers; some fade, scroll or are dragged."""
    stays = []
    for film in many:
        for a, b, c, d in zip(film, film[1:], film[2:], film[3:], strict=False):
            if np.array_equal(a[0], b[0]) and not np.array_equal(b[0], c[0]):
                stays.append(np.array_equal(c[0], d[0]))
    assert len(stays) > 30
    assert 0.3 < np.mean(stays) < 0.95


def test_the_same_numbers_give_the_same_screen(image):
    for one, two in zip(films(image, 3), films(image, 3), strict=True):
        assert all(np.array_equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in range(3))


def test_an_image_of_just_a_pictures_size_is_enough(image):
    for film in films(image[..., : SIZE[0], : SIZE[1]], 10):
        assert all(luma.shape == SIZE for luma, _, _ in film)


@pytest.mark.parametrize("screens", [0.0, 1.0])
def test_drawings_can_be_shown_either_way(tmp_path, screens):
    """Scanned by a camera nothing stands still; on a screen something always does."""
    path = written(tmp_path / "drawn.png", np.random.default_rng(4).integers(20, 230, (200, 300)))
    parts = moving_windows(path, np.random.default_rng(5), 12, SIZE, 0, 10, screens=screens)
    still = [np.mean([(a[0] == b[0]).mean() > 0.05 for a, b in pairwise(film)]) for _, film, _ in parts]
    assert (np.mean(still) > 0.6) == (screens == 1.0)
