"""Pictures that came worn before they were sent: still the same film, and no damage to learn."""

from fractions import Fraction

import numpy as np
import pytest

from models.artifact_net import LABELS
from models.synthesis import patches
from models.synthesis import worn as wearing
from models.synthesis.coded_pictures import evenly_coded
from models.synthesis.picture_windows import coded_rate
from models.synthesis.tile_truth import UNKNOWN
from models.synthesis.worn import DOUBTFUL, worn

RATE = Fraction(25)


@pytest.fixture
def film():
    """12 pictures of soft clouds with an edge, that travel."""
    y, x = np.mgrid[0:128, 0:176]
    pictures = []
    for k in range(12):
        luma = 120 + 50 * np.sin((x + 3 * k) / 11 + y / 23) + 30 * np.sin(y / 5) + 20 * ((x + 3 * k) % 60 < 20)
        chroma = (128 + 20 * np.sin(x / 31))[::2, ::2].astype(np.uint8)
        pictures.append((luma.astype(np.uint8), chroma, chroma.copy()))
    return pictures


WAYS = (wearing._by_a_camera, wearing._enlarged, wearing._of_film)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(6))
def test_worn_pictures_are_the_same_film_but_not_as_it_was(film, way, seed):
    shown = way(film, RATE, np.random.default_rng(seed))
    assert len(shown) == len(film)
    for before, after in zip(film, shown, strict=True):
        assert [plane.shape for plane in after] == [plane.shape for plane in before]
        assert all(plane.dtype == np.uint8 for plane in after)
        assert not np.array_equal(before[0], after[0])
        assert np.corrcoef(before[0].ravel(), after[0].ravel())[0, 1] > 0.7


@pytest.mark.parametrize("codec", sorted(wearing._CODERS))
@pytest.mark.parametrize("rate", [24.3, 29.9667, 12.5, 59.94, 120.0])
def test_every_coder_takes_clips_of_whatever_rate(film, codec, rate):
    pixels, (finest, _) = wearing._CODERS[codec]
    known = coded_rate(Fraction(rate).limit_denominator(100_000))
    assert len(evenly_coded(film, known, codec, pixels, finest, 12)) == len(film)


def test_the_same_numbers_wear_alike(film):
    one, two = (worn(film, RATE, np.random.default_rng(8)) for _ in range(2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, two, strict=True))


def test_nothing_is_said_of_what_was_worn_but_damage_is(monkeypatch):
    """Of worn windows the labels that nobody can tell are unknown, and corruption stays as known as it was."""
    monkeypatch.setattr(patches, "_WORN", 1.0)
    shard = patches.make_shard(0, seed=3, count=1, side=patches.WIDE)
    for label in DOUBTFUL:
        assert (shard["truth"][..., LABELS.index(label)] == UNKNOWN).all()
    corruption = shard["truth"][..., LABELS.index("corruption")]
    assert (corruption == 0).any()
    assert (corruption == 1).any()
