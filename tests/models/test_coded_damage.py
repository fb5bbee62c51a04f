"""Damage of coded pictures: what is taken or changed, and that the truth about it is the decoder's."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from models.synthesis.coded_damage import (
    CODECS,
    VISIBLE_SHARE,
    compare,
    damage,
    damage_stream,
    decoded,
    encode,
    plant_damage,
    tile_errors,
    units,
)
from models.synthesis.picture import moving_pattern

RATE = Fraction(25)
SLICES = {"h264": 4, "mpeg2": 12, "hevc": 3}


def pattern(pictures, size=(320, 192)):
    return list(islice(moving_pattern(*size), pictures))


@pytest.mark.parametrize("codec", CODECS)
def test_slices_are_found_and_can_be_taken_out(codec):
    coded = bytes(encode(pattern(6), codec, RATE)[0])
    found = units(coded, codec)
    assert len(found) == SLICES[codec]
    rng = np.random.default_rng(1)
    left = damage(coded, codec, "slice", 0.34, rng)
    assert len(units(left, codec)) == len(found) - round(0.34 * len(found))
    assert damage(coded, codec, "lost", 1.0, rng) is None
    flipped, cut = damage(coded, codec, "flip", 0.5, rng), damage(coded, codec, "cut", 0.5, rng)
    assert len(flipped) == len(coded)
    assert 0 < sum(a != b for a, b in zip(flipped, coded, strict=True)) <= 20
    inside = found[-1][1] - found[0][0] - 12  # without the first slice's header
    assert len(coded) - len(cut) == round(0.5 * inside)


@pytest.mark.parametrize("codec", CODECS)
def test_only_the_damaged_stream_differs_and_only_from_the_damage_on(codec):
    pictures = pattern(60)
    whole, spoilt = damage_stream(pictures, codec, "cut", rate=RATE, start=1.0, end=1.4, strength=0.5, seed=3)
    assert len(list(decoded(whole))) == 60
    nothing = compare(whole, whole)
    assert nothing.share.max() == 0
    assert not nothing.flagged.any()
    truth = compare(whole, spoilt)
    # A picture that is shown earlier may refer to the damaged one: two B pictures at most.
    assert truth.share[truth.times < 0.85].max() == 0
    assert truth.share.max() >= VISIBLE_SHARE
    assert [float(tiles.mean()) for tiles in truth.tiles] == pytest.approx(truth.share.tolist())


def test_the_same_seed_gives_the_same_damage(tmp_path):
    pictures = pattern(40)
    planted = [
        plant_damage(tmp_path / name, "h264", "flip", pictures, rate=RATE, start=0.5, end=1.2, strength=0.5, seed=7)
        for name in ("a.ts", "b.ts")
    ]
    assert planted[0] == planted[1] is not None
    assert (tmp_path / "a.ts").read_bytes() == (tmp_path / "b.ts").read_bytes()
    assert planted[0].detector == "video.corruption"
    assert 0.4 <= planted[0].start < planted[0].end <= 1.6
    assert planted[0].strength == planted[0].parameters["share"]


def test_damage_after_the_end_is_none(tmp_path):
    assert plant_damage(tmp_path / "a.ts", "mpeg2", "cut", pattern(20), rate=RATE, start=5, end=6, strength=1) is None


def test_errors_are_means_of_whole_tiles():
    a = np.zeros((40, 33), np.uint8)
    b = a.copy()
    b[16:32, 0:8] = 20
    b[39, 32] = 255  # beyond the last whole tile
    assert tile_errors(a, b).tolist() == [[0.0, 0.0], [10.0, 0.0]]
