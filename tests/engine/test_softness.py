"""Blur and blocks are found in clips, and what is soft by nature is not blur."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch

from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import VIDEO_COLUMNS, place
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import plant_clip, starve, write_pictures

RATE = Fraction(25)
NAMES = ("video.blur", "video.blockiness")


def judge(path):
    [outcome] = check([StreamSpec("clip", str(path), {name: {} for name in NAMES})], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome.incidents


def pattern(seconds, size=(320, 192)):
    return list(islice(moving_pattern(*size), round(seconds * RATE)))


def test_a_blur_is_known_two_seconds_after_its_first_picture(tmp_path):
    plant_clip(
        tmp_path / "blur.mp4", "blur", source=None, seconds=7.0, start=2.0, end=6.0, strength=8.0, size=(320, 192)
    )
    [found] = judge(tmp_path / "blur.mp4")
    assert found.detector == "video.blur"
    assert 2.0 - 1e-6 <= found.start <= 2.12
    assert found.decided_at == pytest.approx(found.start + 2.0, abs=0.04 + 1e-6)  # the first picture that may say so
    assert found.end == pytest.approx(6.0, abs=0.5)


def test_what_never_had_an_edge_has_lost_none_and_what_had_has(tmp_path):
    y, x = np.mgrid[0:180, 0:320]
    grey = np.full((90, 160), 128, np.uint8)
    smooth = [((np.clip(40 + 0.5 * x + 0.2 * y + k / 4, 16, 235)).astype(np.uint8), grey, grey) for k in range(75)]
    write_pictures(tmp_path / "smooth.mp4", iter(smooth), rate=RATE)
    assert judge(tmp_path / "smooth.mp4") == []
    write_pictures(tmp_path / "lost.mp4", iter([*pattern(1.0, (320, 180)), *smooth]), rate=RATE)
    assert [found.detector for found in judge(tmp_path / "lost.mp4")] == ["video.blur"]


def scaled(picture, times):
    """Each plane's samples joined by straight lines, as an upscaler does."""

    def stretch(plane):
        for axis in (0, 1):
            size = plane.shape[axis]
            places = (np.arange(size * times) + 0.5) / times - 0.5
            plane = np.apply_along_axis(
                lambda line, places=places, size=size: np.interp(places, np.arange(size), line), axis, plane
            )
        return np.rint(plane).astype(np.uint8)

    return tuple(stretch(plane) for plane in picture)


def test_a_stream_that_was_scaled_up_is_soft_and_not_blurred(tmp_path):
    small = pattern(3.4, (160, 96))
    write_pictures(tmp_path / "soft.mp4", (scaled(picture, 2) for picture in small), rate=RATE)
    assert judge(tmp_path / "soft.mp4") == []


def test_a_starved_encoder_is_blockiness_also_between_its_key_frames(tmp_path):
    pictures = pattern(7)
    starved = starve(pictures[50:150], RATE, 31)
    write_pictures(tmp_path / "starved.mp4", iter([*pictures[:50], *starved, *pictures[150:]]), rate=RATE)
    [found] = [incident for incident in judge(tmp_path / "starved.mp4") if incident.detector == "video.blockiness"]
    # The last bit of a sine decides on some samples, and the clip's coder makes more of it: one of two looks tells it.
    assert 2.0 - 1e-6 <= found.start <= 3.1
    assert 5.0 <= found.end <= 7.0


def rows_of(values, column):
    view = np.full((len(values), len(VIDEO_COLUMNS)), np.nan)
    view[:, place(column)] = values
    return view


def test_what_is_bad_is_looked_at_again_when_its_detector_may_open():
    aim = Aim(Arithmetic(torch.device("cpu")), 2, ("video.noise", "video.bars"), ("noise", "bars"), 1.0)
    aim.open_slot(1, {"video.noise": {"threshold": 6.0, "duration": 2.2}})
    slots, due = np.array([1]), np.array([True])

    def after(value, at):
        return float(aim.interval(rows_of([value], "noise"), slots, np.array([at]), due)[0])

    assert after(3.0, 0.0) == 1.0  # good
    assert after(9.0, 1.0) == 1.0  # bad, for 2.2 s more
    assert after(9.0, 2.0) == 1.0
    assert after(9.0, 3.0) == pytest.approx(0.2, abs=1e-3)
    assert after(9.0, 3.2) == 1.0  # it is open
    assert after(3.0, 4.2) == 1.0
    assert after(9.0, 5.2) == 1.0  # anew


def test_a_stream_without_the_detector_is_looked_at_at_the_usual_times():
    aim = Aim(Arithmetic(torch.device("cpu")), 2, ("video.noise",), ("noise",), 1.0)
    aim.open_slot(0, {})
    view = rows_of([99.0], "noise")
    assert aim.interval(view, np.array([0]), np.array([0.0]), np.array([True])).tolist() == [1.0]
