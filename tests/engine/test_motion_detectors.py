"""What goes wrong from picture to picture, planted at known times in encoded clips and judged from end to end."""

from fractions import Fraction

import av
import numpy as np
import pytest

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

RATE = 25
WIDTH, HEIGHT = 320, 180
DETECTORS = (
    "video.black",
    "video.freeze",
    "video.uniform",
    "video.flash",
    "video.flicker",
    "video.stutter",
    "video.partial_freeze",
)


def scenery(index):
    """(HEIGHT * 3 / 2, WIDTH) uint8, planar 4:2:0: a texture that moves by three samples a picture."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x = x + 3 * index
    luma = 120 + 40 * np.sin(x / 11) * np.cos(y / 7) + 25 * np.sin((x + 2 * y) / 5)
    chroma = np.full((HEIGHT // 2, WIDTH), 128.0)
    return np.concatenate([luma, chroma]).astype(np.uint8)


def film(path, seconds, plant, codec="libx264", times=None, coded=None):
    """A clip whose picture number n is `plant(n, scenery)`; `times` are the pictures' numbers on the clock."""
    container = av.open(str(path), "w")
    stream = container.add_stream(codec, rate=RATE, options=coded or {"crf": "16", "preset": "ultrafast"})
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for index in range(round(seconds * RATE)):
        frame = av.VideoFrame.from_ndarray(plant(index), format="yuv420p")
        frame.pts, frame.time_base = (index if times is None else times[index]), Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    container.close()
    return path


def incidents(path, detectors=DETECTORS):
    (outcome,) = check(
        [StreamSpec(id="clip", url=str(path), detectors={name: {} for name in detectors})],
        EngineSettings(device="cpu"),
    )
    assert outcome.error is None
    return [(incident.detector, incident.start, incident.end) for incident in outcome.incidents]


def only(path):
    (found,) = incidents(path)
    return found


def test_moving_scenery_raises_nothing(tmp_path):
    assert incidents(film(tmp_path / "clean.mp4", 6, scenery)) == []


# The last is what a decoder shows that has nothing: all planes at 0, which is bright green and not black.
@pytest.mark.parametrize("colour", [(80, 90, 60), (200, 128, 128), (60, 220, 90), (0, 0, 0)])
def test_one_colour_is_uniform_and_not_also_frozen(tmp_path, colour):
    def plant(index):
        picture = scenery(index)
        if 75 <= index < 150:
            picture[:HEIGHT] = colour[0]
            picture[HEIGHT : HEIGHT * 5 // 4], picture[HEIGHT * 5 // 4 :] = colour[1], colour[2]
        return picture

    assert only(film(tmp_path / "green.mp4", 8, plant)) == ("video.uniform", 3.0, 6.0)


@pytest.mark.parametrize("goes_on", [150, 160])
def test_a_freeze_goes_on_where_a_coder_draws_the_picture_anew(tmp_path, goes_on):
    # Coarsely coded grain that stands: each key picture differs from the one before it by several times the noise level
    # of freezedetect. Motion goes on with a key picture, and with another.
    grain = np.random.default_rng(1).normal(0, 12, (HEIGHT, WIDTH))

    def plant(index):
        picture = scenery(75 if 75 <= index < goes_on else index)
        picture[:HEIGHT] = np.clip(picture[:HEIGHT] + grain, 16, 235)
        return picture

    coded = {"crf": "30", "preset": "veryfast", "x264-params": "keyint=25:min-keyint=25:scenecut=0"}
    path = film(tmp_path / "still.mp4", 8, plant, coded=coded)
    assert only(path) == ("video.freeze", 3.0, pytest.approx(goes_on / RATE, abs=1 / RATE + 1e-6))


def test_black_is_neither_uniform_nor_frozen_and_grey_after_it_is_uniform(tmp_path):
    def plant(index):
        picture = scenery(index)
        if 50 <= index < 150:
            picture[:HEIGHT] = 16 if index < 100 else 126
            picture[HEIGHT:] = 128
        return picture

    found = incidents(film(tmp_path / "black.mp4", 8, plant))
    assert found == [("video.black", 2.0, 4.0), ("video.uniform", 4.0, 6.0)]


def test_five_flashes_a_second_are_an_alarm_that_begins_with_the_first(tmp_path):
    def plant(index):
        picture = scenery(index)
        if 75 <= index < 125 and index % 5 < 2:
            picture[:HEIGHT, :200] = np.minimum(picture[:HEIGHT, :200].astype(int) + 60, 235)
        return picture

    name, start, end = only(film(tmp_path / "flash.mp4", 8, plant))
    assert name == "video.flash"
    assert 3.0 <= start <= 3.08  # its first change against another one: up or down
    assert end == pytest.approx(122 / RATE)


@pytest.mark.parametrize("codes", [9, 3])
def test_pumping_brightness_is_flicker(tmp_path, codes):
    def plant(index):
        picture = scenery(index).astype(int)
        if 75 <= index < 175:
            picture[:HEIGHT] += round(codes * np.sin(2 * np.pi * index / 5))
        return picture.astype(np.uint8)

    name, start, end = only(film(tmp_path / "flicker.mp4", 10, plant))
    assert name == "video.flicker"
    assert 3.0 <= start <= 3.2
    assert 6.95 <= end <= 7.1


def test_repeated_pictures_are_stutter(tmp_path):
    repeats = {80, 87, 98, 102, 115, 121, 132, 135, 148}

    def plant(index):
        return scenery(index - sum(1 for repeat in repeats if repeat <= index))

    name, start, end = only(film(tmp_path / "stutter.mp4", 10, plant))
    assert name == "video.stutter"
    assert 3.2 <= start <= 3.24 + 1e-6  # motion goes on after the first hiccup
    assert end == pytest.approx(136 / RATE)  # and after the last one: 148 is as far from 135 as 115 from 102


def test_pictures_that_are_held_again_and_again_are_stutter_however_regularly(tmp_path):
    def plant(index):
        held = 75 <= index < 150 and index % 12 >= 7
        return scenery(index - index % 12 + 7 if held else index)  # five pictures as one, twice a second

    name, start, end = only(film(tmp_path / "held.mp4", 8, plant))
    assert name == "video.stutter"
    assert 3.0 <= start <= 4.0
    assert 5.5 <= end <= 6.5


@pytest.mark.parametrize("pictures", [1, 20])
def test_green_of_nothing_between_pictures_that_move_is_damage(tmp_path, pictures):
    def plant(index):
        return np.zeros_like(scenery(index)) if 75 <= index < 75 + pictures else scenery(4 * index)

    path = film(tmp_path / "green.mp4", 6, plant)
    ((name, start, end),) = incidents(path, ("video.black", "video.uniform", "video.corruption"))
    assert name == "video.corruption"
    assert start == pytest.approx(3.0 + pictures / RATE)  # when the scene goes on
    assert end == pytest.approx(start + 1 / RATE)


def test_pictures_left_out_are_stutter(tmp_path):
    lost = {80, 91, 102, 118, 127, 139}
    times = [index + sum(1 for hole in lost if hole <= index) for index in range(240)]
    path = film(tmp_path / "lost.mkv", 9.6, lambda index: scenery(times[index]), times=times)
    name, start, _ = only(path)
    assert name == "video.stutter"
    assert 3.2 <= start <= 3.28 + 1e-6


def test_the_lower_half_that_stops_is_a_partial_freeze(tmp_path):
    def plant(index):
        picture = scenery(index)
        if 75 <= index < 200:
            picture[HEIGHT // 2 : HEIGHT] = scenery(75)[HEIGHT // 2 : HEIGHT]
        return picture

    name, start, end = only(film(tmp_path / "stuck.mp4", 10, plant))
    assert name == "video.partial_freeze"
    assert 3.0 <= start <= 3.3  # an encoder takes some pictures to settle
    assert end == pytest.approx(8.0, abs=0.05)


def test_the_lower_half_that_stops_half_a_second_after_a_cut_is_a_partial_freeze(tmp_path):
    def plant(index):
        # Another texture before: brighter, and hardly moving.
        before = np.clip(scenery(index // 4).astype(int) // 3 + 150, 0, 255).astype(np.uint8)
        picture = before if index < 62 else scenery(index)
        if 75 <= index < 200:
            picture[HEIGHT // 2 : HEIGHT] = scenery(75)[HEIGHT // 2 : HEIGHT]
        return picture

    name, start, end = only(film(tmp_path / "stuck.mp4", 10, plant))
    assert name == "video.partial_freeze"
    assert 3.0 <= start <= 3.3
    assert end == pytest.approx(8.0, abs=0.05)


def test_a_freeze_of_all_is_not_also_partial_or_stutter(tmp_path):
    def plant(index):
        return scenery(min(index, 75) if index < 175 else index)

    (found,) = incidents(film(tmp_path / "freeze.mp4", 9, plant))
    assert found[0] == "video.freeze"
