"""Slates: their hashes, and what is told of them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.config import load
from engine.errors import ConfigError
from engine.pipeline import check
from engine.slate_images import configured, read_slate
from engine.slates import SIZE, Slate, distances
from engine.spec import EngineSettings, StreamSpec

RATE, WIDTH, HEIGHT = 25, 320, 180


def slate_picture(width=WIDTH, height=HEIGHT):
    """(height, width, 3) uint8 RGB: a blue board with a white panel and an orange stripe."""
    picture = np.full((height, width, 3), (20, 40, 120), np.uint8)
    picture[height // 4 : height // 2, width // 5 : 4 * width // 5] = 235
    picture[2 * height // 3 : 3 * height // 4] = (240, 130, 20)
    return picture


def save(path, picture):
    av.VideoFrame.from_ndarray(picture, format="rgb24").save(str(path))
    return path


def film(path, slate_from, slate_to, seconds=8, crf="23", size=(WIDTH, HEIGHT)):
    """Moving texture, and the slate from and to a second."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    slate = slate_picture(*size)
    with av.open(str(path), "w") as container:
        # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
        coded = {"crf": crf, "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=RATE, options=coded)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(seconds * RATE):
            luma = 120 + 50 * np.sin((x + 4 * index) / 9) * np.cos(y / 11)
            moving = np.repeat(luma.astype(np.uint8)[..., None], 3, axis=2)
            picture = slate if slate_from <= index / RATE < slate_to else moving
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def judge(path, slates):
    (outcome,) = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu", slates=tuple(slates)))
    assert outcome.error is None
    return [(i.detector, i.start, i.end) for i in outcome.incidents if i.cause != "absent_track"]


@pytest.mark.parametrize(("crf", "size"), [("23", (WIDTH, HEIGHT)), ("38", (640, 270))])
def test_a_slate_is_told_from_its_first_picture_to_its_last_and_not_also_as_a_freeze(tmp_path, crf, size):
    slate = read_slate("board", save(tmp_path / "board.png", slate_picture(1280, 720)))
    clip = film(tmp_path / "clip.mp4", 2, 6, seconds=7, crf=crf, size=size)  # two soft seconds after it are a blur
    assert judge(clip, [slate]) == [("video.slate", 2.0, 6.0)]


def test_another_slate_is_not_told(tmp_path):
    mirrored = read_slate("other", save(tmp_path / "other.png", slate_picture()[::-1].copy()))
    found = judge(film(tmp_path / "clip.mp4", 2, 6), [mirrored])
    names = [name for name, _, _ in found]
    assert "video.freeze" in names
    assert "video.slate" not in names


def test_a_hash_survives_text_and_an_image_in_a_configuration(tmp_path):
    image = save(tmp_path / "board.png", slate_picture())
    printed = CliRunner().invoke(app, ["slate", str(image)])
    assert printed.exit_code == 0
    config = tmp_path / "config.yaml"
    config.write_text(printed.output + f"  twin:\n    image: {image}\n")
    board, twin = configured(load(config, {}, lambda name, values: None, {}))
    assert (board.name, twin.name) == ("board", "twin")
    assert board.levels.tolist() == twin.levels.tolist()


def test_distance_is_of_luma_or_of_colour_whichever_is_larger():
    pictures, slates = np.zeros((1, SIZE)), np.zeros((2, SIZE))
    slates[0, :144], slates[1, 144:] = 3.0, 5.0
    assert distances(pictures, slates).tolist() == [[3.0, 5.0]]


def test_what_is_no_slate_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nearly one colour"):
        read_slate("black", save(tmp_path / "black.png", np.zeros((90, 160, 3), np.uint8)))
    with pytest.raises(ConfigError, match="cannot read a slate"):
        read_slate("nothing", tmp_path / "nothing.png")
    with pytest.raises(ConfigError, match="9 pixels"):
        read_slate("tiny", save(tmp_path / "tiny.png", slate_picture(12, 9)))
    for text in ("", "s1:", "s1:AAAA", "s2:" + "A" * 224, "s1:" + "*" * 224):
        with pytest.raises(ConfigError, match="not a slate's hash"):
            Slate.parse("board", text)


@pytest.mark.parametrize("entry", ["{}", "{image: a.png, hash: 's1:'}", "{hsah: x}"])
def test_a_wrong_entry_names_its_key(tmp_path, entry):
    config = tmp_path / "config.yaml"
    config.write_text(f"slates:\n  board: {entry}\n")
    with pytest.raises(ConfigError, match=r"slates\.board"):
        load(config, {}, lambda name, values: None, {})
