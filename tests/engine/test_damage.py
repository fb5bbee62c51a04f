"""Damaged and torn pictures, planted into coded streams and clips and judged from end to end."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.coded_damage import plant_damage
from models.synthesis.picture import moving_pattern, plant
from models.synthesis.picture_clip import read_pictures, write_pictures

RATE = Fraction(25)
DETECTORS = ("video.corruption", "video.tearing", "video.freeze", "video.partial_freeze", "video.uniform")


def judge(path, detectors=DETECTORS):
    spec = StreamSpec("clip", str(path), {name: {} for name in detectors})
    (outcome,) = check([spec], EngineSettings(device="cpu"))
    assert outcome.error is None
    return [(incident.detector, incident.start, incident.end) for incident in outcome.incidents]


def pattern(seconds, width=640, height=368):
    return list(islice(moving_pattern(width, height), round(seconds * RATE)))


@pytest.mark.parametrize("codec", ["h264", "mpeg2", "hevc"])
def test_lost_bytes_are_corruption_from_the_first_damaged_picture_on(tmp_path, codec):
    clip = tmp_path / "clip.ts"
    planted = plant_damage(clip, codec, "cut", pattern(5), rate=RATE, start=2.0, end=3.0, strength=0.4, seed=1)
    assert planted is not None
    found = judge(clip)
    assert [name for name, _, _ in found] == ["video.corruption"]
    assert found[0][1] == pytest.approx(planted.start, abs=0.12)
    assert planted.start < found[0][2] <= planted.end + 1.5


def test_a_lost_reference_is_corruption_though_the_decoder_says_nothing(tmp_path):
    clip = tmp_path / "clip.ts"
    planted = plant_damage(clip, "mpeg2", "lost", pattern(5), rate=RATE, start=2.0, end=3.0, strength=1.0, seed=1)
    assert planted is not None
    assert "video.corruption" in [name for name, _, _ in judge(clip)]


@pytest.mark.parametrize("codec", ["h264", "mpeg2", "hevc"])
def test_an_undamaged_stream_of_the_same_encoder_raises_nothing(tmp_path, codec):
    clip = tmp_path / "clip.ts"
    assert plant_damage(clip, codec, "cut", pattern(4), rate=RATE, start=9.0, end=9.5, strength=0.4) is None
    assert judge(clip) == []


def test_damage_that_goes_on_ends_with_the_first_good_picture(tmp_path):
    rng, pictures = np.random.default_rng(2), pattern(6)
    for index in range(50, 100):  # twenty macroblocks of each picture have a colour of their own
        luma, *chroma = (plane.copy() for plane in pictures[index])
        for row, column in zip(rng.integers(0, 23, 20) * 16, rng.integers(0, 40, 20) * 16, strict=True):
            luma[row : row + 16, column : column + 16] = rng.integers(16, 236)
        pictures[index] = (luma, *chroma)
    clip = tmp_path / "blocks.mp4"
    write_pictures(clip, iter(pictures), rate=RATE)
    assert judge(clip) == [("video.corruption", 2.0, 4.0)]


def torn(tmp_path, pictures, rate, start, end):
    clip = tmp_path / "torn.mp4"
    write_pictures(clip, plant(iter(pictures), "tearing", rate=rate, start=start, end=end, strength=0.4), rate=rate)
    return clip


def test_torn_pictures_are_tearing_and_not_corruption(tmp_path):
    found = judge(torn(tmp_path, pattern(7), RATE, 2.0, 5.0))
    assert [name for name, _, _ in found] == ["video.tearing"]
    _, start, end = found[0]
    assert 2.0 <= start <= 3.0
    assert 5.0 <= end <= 6.0


def test_a_few_green_pictures_and_a_part_without_data_are_corruption(tmp_path):
    for what, strength, first in (("colour_flash", 6.0, 2.24), ("no_data", 0.25, 2.0)):
        clip = tmp_path / f"{what}.mp4"
        spoilt = plant(
            islice(moving_pattern(320, 192, speed=1.0), 100), what, rate=RATE, start=2.0, end=3.0, strength=strength
        )
        write_pictures(clip, spoilt, rate=RATE)
        found = [(name, start) for name, start, _ in judge(clip)]
        assert found == [("video.corruption", pytest.approx(first, abs=1e-6))], what


@pytest.mark.parametrize(
    ("what", "strength"),
    [("negative", 1.0), ("chroma_inverted", 1.0), ("planes_swapped", 1.0), ("row_smear", 0.4), ("column_smear", 0.4)],
)
def test_what_is_told_after_a_while_begins_with_its_first_picture_and_ends_with_its_last(tmp_path, what, strength):
    clip, width, height = tmp_path / "clip.mp4", 320, 192
    spoilt = plant(iter(pattern(5, width, height)), what, rate=RATE, start=2.0, end=3.0, strength=strength)
    write_pictures(clip, spoilt, rate=RATE)
    assert judge(clip) == [("video.corruption", 2.0, 3.0)]


def jittered(tmp_path, start, end):
    clip = tmp_path / "clip.mp4"
    spoilt = plant(iter(pattern(4, 320, 192)), "line_jitter", rate=RATE, start=start, end=end, strength=0.02)
    write_pictures(clip, spoilt, rate=RATE)
    return judge(clip, (*DETECTORS, "video.line_jitter"))


@pytest.mark.parametrize("start", [1.48, 1.6])
def test_rows_that_jitter_are_told_from_their_first_picture_on_and_as_nothing_else(tmp_path, start):
    [(name, began, ended)] = jittered(tmp_path, start, 2.8)
    assert (name, began) == ("video.line_jitter", pytest.approx(start, abs=1e-6))
    assert 2.8 <= ended <= 3.0 + 1e-6


def test_rows_that_jitter_for_an_effect_are_none(tmp_path):
    assert jittered(tmp_path, 1.48, 1.8) == []


def test_one_torn_picture_is_no_incident(tmp_path):
    assert judge(torn(tmp_path, pattern(4), RATE, 2.0, 2.04)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["media3_internal_emulator_720p29.97.mp4", "mdn_crystal_480p30.mp4"])
def test_real_pictures_torn(media, tmp_path, name):
    pictures, rate, _ = read_pictures(media / "real_av" / name, 4.5)
    assert [found[0] for found in judge(torn(tmp_path, pictures, rate, 1.5, 4.5))] == ["video.tearing"]


def test_blocks_that_go_on_dropping_out_are_one_incident_to_their_end(tmp_path):
    clip = tmp_path / "clip.mp4"
    pictures = plant(iter(pattern(6)), "block_dropout", rate=RATE, start=1.6, end=5.2, strength=0.05)
    write_pictures(clip, pictures, rate=RATE)
    ((name, start, end),) = judge(clip)
    assert name == "video.corruption"
    assert start == pytest.approx(1.6, abs=0.01)
    assert 5.2 <= end <= 6.0
