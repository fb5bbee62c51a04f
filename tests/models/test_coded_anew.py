"""Damage that was there before the last coder: the pictures, their sizes, and what is true of their tiles."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.artifact_net import LABELS, PIECE, TILE
from models.evaluate_frames import frames_coded_anew
from models.synthesis.coded_anew import Anew, coded_anew, scaled, some_way, truth_behind
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.picture import moving_pattern
from models.synthesis.tile_truth import UNKNOWN, apart, clean_truth

RATE = Fraction(25)
SIZE = (192, 256)


def way(size, codec="libx264"):
    options = {"qmin": "2", "qmax": "2"} if codec == "mpeg2video" else {"crf": "18", "preset": "ultrafast"}
    return Anew(size, "BICUBIC", codec, options | ({"x265-params": "log-level=none"} if codec == "libx265" else {}), 12)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
@pytest.mark.parametrize("size", [SIZE, (144, 192), (288, 384)])
def test_a_transcoder_shows_as_many_pictures_of_its_size(codec, size):
    pictures = list(islice(moving_pattern(SIZE[1], SIZE[0]), 12))
    chosen = way(size, codec)
    shown = coded_anew(pictures, RATE, chosen)
    assert [one[0].shape for one in shown] == [size] * 12
    for before, behind in zip(pictures, shown, strict=True):
        assert apart(scaled(before, chosen)[0], behind[0]).mean() < 6


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 60), st.integers(6, 60), st.sampled_from((TILE, PIECE, 2 * PIECE)))
def test_sizes_are_even_and_never_smaller_than_asked_for(seed, rows, columns, least):
    size = rows * TILE, columns * TILE
    found = some_way(size, least, np.random.default_rng(seed))
    assert all(n % 2 == 0 for n in found.size)
    assert min(found.size) >= min(least, *size)
    # The picture keeps its shape, but for what is even.
    assert found.size[0] / size[0] == pytest.approx(found.size[1] / size[1], abs=2 / min(size))


def test_what_is_true_of_tiles_is_true_of_them_behind_the_scaler():
    truth = np.zeros((12, 16, len(LABELS)), np.uint8)
    truth[4:6, 6:8, 0] = 1
    truth[0, 0, 0] = UNKNOWN
    assert truth_behind(truth, SIZE, way(SIZE)) is truth
    half = truth_behind(truth, SIZE, way((96, 128)))[..., 0]
    assert np.argwhere(half == 1).tolist() == [[2, 3]]
    assert np.argwhere(half == UNKNOWN).tolist() == [[0, 0]]
    double = truth_behind(truth, SIZE, way((384, 512)))[..., 0]
    assert np.argwhere(double == 1).tolist() == [[r, c] for r in range(8, 12) for c in range(12, 16)]
    # Of a tile a third of which is damaged nobody can tell, and it is two thirds as large.
    less = truth_behind(truth, SIZE, way((128, 170)))[..., 0]
    assert less[3, 4] in (1, UNKNOWN)
    assert set(np.unique(less)) == {0, 1, UNKNOWN}


@given(st.integers(48, 400), st.integers(48, 400), st.sampled_from((0, 1, UNKNOWN)))
def test_where_all_tiles_are_alike_so_are_those_behind_but_at_the_edges(rows, columns, value):
    size, new = (160, 224), (rows // 2 * 2, columns // 2 * 2)
    truth = np.full((10, 14, len(LABELS)), value, np.uint8)
    found = truth_behind(truth, size, way(new))
    assert found.shape == (new[0] // TILE, new[1] // TILE, len(LABELS))
    assert (found == value).all()


def cases(seed, **options):
    pictures = list(islice(moving_pattern(SIZE[1], SIZE[0]), 36))
    return list(damaged_cases(pictures, RATE, "h264", "slice", np.random.default_rng(seed), 6, 3, **options))


def test_damage_is_still_seen_behind_the_transcoder_where_it_is_said_to_be():
    found = [case for seed in range(4) for case in cases(seed, anew=1.0, least=PIECE)]
    assert len({case.now[0].shape for case in found}) > 1
    damaged = [case for case in found if (case.truth[..., 0] == 1).any()]
    assert damaged
    rougher = []
    for case in damaged:
        assert case.truth.shape[:2] == tuple(n // TILE for n in case.now[0].shape)
        assert case.earlier[0].shape == case.now[0].shape
        # Nobody can tell what else a coarse transcoder did.
        assert (case.truth[..., 1:] == UNKNOWN).all()
        rough = apart(case.now[0], np.roll(case.now[0], 1, 0)) + apart(case.now[0], np.roll(case.now[0], 1, 1))
        if (case.truth[..., 0] == 0).any():
            rougher.append(rough[case.truth[..., 0] == 1].mean() / rough[case.truth[..., 0] == 0].mean())
    # The pattern is smooth: tiles that are damaged are rougher than those that are not.
    assert np.mean(rougher) > 1.5


def test_nothing_is_coded_anew_unless_it_is_asked_for():
    for one, other in zip(cases(5), cases(5, anew=0.0), strict=True):
        assert one.now[0].shape == SIZE
        np.testing.assert_array_equal(one.now[0], other.now[0])
    before = list(islice(moving_pattern(SIZE[1], SIZE[0]), 5))
    for case in cases(5, anew=1.0, lead=before):
        assert len(case.before) >= 5
        assert {one[0].shape for one in (*case.before, case.earlier)} == {case.now[0].shape}


def test_held_out_pictures_are_coded_anew_too():
    found = list(frames_coded_anew(4, seed=1, count=1))
    assert {same for _, same in found} == {True, False}
    assert any((case.truth[..., 0] == 1).any() for case, _ in found)
    assert any(np.array_equal(case.truth[..., 0], clean_truth(case.now)[..., 0]) for case, _ in found)
