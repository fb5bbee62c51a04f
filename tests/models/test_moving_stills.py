"""Photographs that move, to train on; and clips that nobody can read, which stop no training."""

import subprocess
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np
import pytest
from media import ffmpeg_exe
from ogg_pages import rewritten, with_an_empty_packet
from still_images import written

from models.synthesis import patches
from models.synthesis.moving_stills import moving_windows
from models.synthesis.picture_windows import HEIGHT, LEAD, LONG, WIDTH, led_windows, windows
from models.train import TURN_WINDOWS, TrainSettings, make_shards, sources, sources_of_turn

SIZE = (64, 96)


@pytest.fixture
def photograph(tmp_path):
    """Soft clouds: no two places alike, no two neighbours far apart."""
    y, x = np.mgrid[0:300, 0:420]
    return written(tmp_path / "clouds.png", 128 + 60 * np.sin(x / 17 + y / 41) + 50 * np.sin(y / 13 - x / 57))


@pytest.fixture
def two_cases(monkeypatch):
    """Of each window the first two cases alone; whoever asks what becomes of files needs no more."""
    every = patches.cases_to_train_on
    monkeypatch.setattr(patches, "cases_to_train_on", lambda *given: islice(every(*given), 2))


def films(path, count, seed=3, size=SIZE):
    return list(moving_windows(path, np.random.default_rng(seed), count, size, 4, 10, screens=0.0))


def test_a_photograph_gives_windows_with_what_was_before_them(photograph):
    for lead, window, rate in films(photograph, 5):
        assert (len(lead), len(window), rate) == (4, 10, Fraction(25))
        for luma, u, v in [*lead, *window]:
            assert luma.shape == SIZE
            assert u.shape == v.shape == (SIZE[0] // 2, SIZE[1] // 2)
            assert luma.dtype == u.dtype == v.dtype == np.uint8
            # Grey of limited range, with a sensor's noise at most.
            assert abs(np.concatenate([u, v]).mean() - 128) < 0.5
            assert np.quantile(luma, 0.02) >= 12
            assert np.quantile(luma, 0.98) <= 239


def test_it_moves_on_from_picture_to_picture_and_never_jumps(photograph):
    """Of places alike to their neighbours the next picture is moved by little; the whole way is not."""

    def near(picture, what):
        """The least or most within 7 samples of each place; of rows first, and of columns of what they gave."""
        rows = what(np.lib.stride_tricks.sliding_window_view(picture, 15, axis=0), axis=-1)
        return what(np.lib.stride_tricks.sliding_window_view(rows, 15, axis=1), axis=-1)

    def moved(one, other):
        """How much of a picture could not be told from other places: beyond 7 samples in any direction."""
        middle = other[7:-7, 7:-7]
        return np.mean((middle < near(one, np.min) - 8) | (middle > near(one, np.max) + 8))

    steps, ways = [], []
    for lead, window, _ in films(photograph, 30):
        pictures = [luma.astype(int) for luma, _, _ in [*lead, *window]]
        steps.append(max(moved(a, b) for a, b in pairwise(pictures)))
        ways.append(moved(pictures[0], pictures[-1]))
    assert max(steps) < 0.15
    assert np.quantile(ways, 0.8) > 0.3


def test_the_same_numbers_give_the_same_film_and_others_another(photograph):
    one, two, other = (films(photograph, 2, seed) for seed in (1, 1, 2))
    for a, b, c in zip(one, two, other, strict=True):
        same = [np.array_equal(x[0], y[0]) for x, y in zip(a[1], b[1], strict=True)]
        assert all(same)
        assert not all(np.array_equal(x[0], y[0]) for x, y in zip(a[1], c[1], strict=True))


@pytest.mark.parametrize("shape", [(63, 96), (64, 95)])
def test_a_photograph_smaller_than_a_picture_gives_none(tmp_path, shape):
    assert not films(written(tmp_path / "small.png", np.full(shape, 90)), 2)


def test_one_of_just_a_pictures_size_stands_still_and_is_not_stretched(tmp_path):
    flat = np.full(SIZE, 40)
    flat[20:40, 30:60] = 200
    for _, window, _ in films(written(tmp_path / "just.png", flat), 3):
        assert all(luma.shape == SIZE for luma, _, _ in window)


def test_windows_of_photographs_come_as_those_of_clips_do(tmp_path):
    path = written(tmp_path / "wide.png", np.random.default_rng(1).integers(0, 255, (HEIGHT + 40, WIDTH + 60)))
    (part, rate), = windows(path, np.random.default_rng(2), 1)  # fmt: skip
    (lead, window, led_rate), = led_windows(path, np.random.default_rng(2), 1)  # fmt: skip
    assert rate == led_rate
    assert (len(part), len(lead), len(window)) == (LONG, LEAD, LONG)


def test_photographs_are_trained_on_and_never_tried(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    trained, tried = (sources(tmp_path, (), held_out) for held_out in (False, True))
    assert sum(not isinstance(source, int) for source in trained) == 30
    assert all(isinstance(source, int) for source in tried)


@pytest.mark.parametrize("windows_of_each", [1, 4])
def test_a_folder_of_more_than_fits_gives_others_at_each_turn(tmp_path, windows_of_each):
    for number in range(700):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    settings = TrainSettings(tmp_path, tmp_path / "work", tmp_path / "w", windows=windows_of_each)
    turns = [sources_of_turn(settings, turn) for turn in range(8)]
    every = sources(tmp_path, (), held_out=False)
    for taken in turns:
        assert len(taken) * windows_of_each == TURN_WINDOWS
        assert len(set(map(str, taken))) == len(taken)
    assert turns == [sources_of_turn(settings, turn) for turn in range(8)]
    assert turns[0] != turns[1]
    # What one turn leaves another has.
    assert len({str(source) for taken in turns for source in taken}) > 0.6 * len(every)


def test_a_folder_of_few_is_trained_on_whole_at_each_turn(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    settings = TrainSettings(tmp_path, tmp_path / "work", tmp_path / "w")
    assert sources_of_turn(settings, 0) == sources_of_turn(settings, 3) == sources(tmp_path, (), held_out=False)


@pytest.mark.usefixtures("two_cases")
def test_what_cannot_be_read_is_left_out_by_name_and_the_rest_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("models.train.GRAPHICS", 1)
    media, said = tmp_path / "media", []
    media.mkdir()
    (media / "broken.mp4").write_bytes(b"no film" * 100)
    (media / "empty.jpg").write_bytes(b"")
    paths = make_shards(TrainSettings(media, tmp_path / "work", tmp_path / "w", windows=1), False, said.append)
    assert [path.name for path in paths] == ["graphics-0.npz"]
    for name in ("broken.mp4", "empty.jpg"):
        assert any(name in line and "left out" in line for line in said)


@pytest.mark.usefixtures("two_cases")
def test_photographs_of_one_name_in_two_folders_are_two(tmp_path, monkeypatch):
    monkeypatch.setattr("models.train.GRAPHICS", 0)
    media, said = tmp_path / "media", []
    for number, folder in enumerate(("one", "other")):
        (media / folder).mkdir(parents=True)
        written(media / folder / "1.png", np.random.default_rng(number).integers(0, 255, (HEIGHT + 8, WIDTH + 8)))
    paths = make_shards(TrainSettings(media, tmp_path / "work", tmp_path / "w", windows=1), False, said.append)
    assert len({path.read_bytes() for path in paths}) == 2


def test_packets_of_theora_without_a_byte_stop_no_training(tmp_path):
    """They say that nothing changed, as recorders of screens write them, and libav's decoder refuses them."""
    whole = tmp_path / "whole.ogv"
    size = "testsrc2=size=256x256:rate=25:duration=4"
    subprocess.run([ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", size, "-c:v", "libtheora", whole], check=True)
    path = rewritten(whole, tmp_path / "still.ogv", lambda n, _, page: with_an_empty_packet(page) if n > 3 else page)
    with av.open(str(path)) as file:
        assert sum(packet.size == 0 and packet.pts is not None for packet in file.demux(video=0)) > 3
    (part, _), = windows(path, np.random.default_rng(2), 1)  # fmt: skip
    assert len(part) == LONG
