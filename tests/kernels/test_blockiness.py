"""blockiness: the CPU and the Triton version against the plain reference, to the last bit; what counts as blocks."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from engine.detectors.video import BLOCKINESS_THRESHOLD
from kernels.blockiness import COLUMNS, blockiness, reference
from kernels.layout import FRAME_FIELDS

NO_CHROMA = np.zeros((0, 0), np.int64)
KINDS = ({}, {"bit_depth": 10}, {"bit_depth": 10, "shift": 6, "interleaved": True}, {"bit_depth": 16})
SHAPES = ((1, 1), (2, 9), (8, 8), (19, 13), (7, 150), (150, 7), (61, 43), (149, 141))


def blocky(width, height, size=8, contrast=25, seed=1, **kind):
    """Flat blocks with a little noise; `contrast` is the deviation of their levels."""
    rng = np.random.default_rng(seed)
    levels = np.clip(rng.normal(120, contrast, (-(-height // size), -(-width // size))), 20, 230)
    luma = np.kron(levels, np.ones((size, size)))[:height, :width] + rng.integers(0, 2, (height, width))
    return make_frame((luma * (1 << (kind.get("bit_depth", 8) - 8))).astype(np.int64), NO_CHROMA, NO_CHROMA, **kind)


def scene(width, height, seed=2):
    """Soft waves with grain: no grid anywhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = 120 + 50 * np.sin(x / 31 + 1) * np.cos(y / 23) + rng.normal(0, 1.5, (height, width))
    return np.clip(waves, 16, 235).astype(np.int64)


def measure(picture):
    frame = picture if not isinstance(picture, np.ndarray) else make_frame(picture, NO_CHROMA, NO_CHROMA)
    return dict(zip(COLUMNS, blockiness(frame_table([frame]))[0].tolist(), strict=True))


def assert_as_the_plain_one(run, *pictures):
    frames = frame_table(list(pictures))
    # Exact: each column is made of equal integers by the same float64 operations.
    torch.testing.assert_close(run(frames), reference.blockiness(frames), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cpu_version_equals_the_plain_one(kind, shape):
    pictures = [random_frame(*shape, padding=3, seed=5, smooth=smooth, **kind) for smooth in (False, True)]
    assert_as_the_plain_one(blockiness, *pictures, blocky(*shape, padding=5, **kind))


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    size=st.integers(2, 26),
    depth=st.sampled_from([(8, 0), (10, 0), (10, 6), (12, 4)]),
    padding=st.integers(0, 9),
    contrast=st.sampled_from([2, 25]),
    seed=st.integers(0, 1 << 16),
)
def test_cpu_version_equals_the_plain_one_whatever_the_grid(width, height, size, depth, padding, contrast, seed):
    kind = {"bit_depth": depth[0], "shift": depth[1], "padding": padding}
    assert_as_the_plain_one(blockiness, blocky(width, height, size, contrast, seed, **kind))


def test_sums_of_many_lines_do_not_run_over():
    # Every step has all of its surroundings' contrast: the largest quotients there are, over 5,000 of them a line.
    stripes = np.zeros((5000, 24), np.int64)
    stripes[:, 12:] = 255
    assert_as_the_plain_one(blockiness, make_frame(stripes, NO_CHROMA, NO_CHROMA))
    assert_as_the_plain_one(blockiness, make_frame(stripes.T.copy(), NO_CHROMA, NO_CHROMA))


@pytest.fixture(scope="module")
def run():
    """The Triton launcher with few programs and small tiles: the interpreter takes milliseconds for each."""
    with interpreted("kernels.blockiness.gpu") as module:
        yield lambda frames: module.blockiness(frames, 160, programs=3, tile=(16, 32), block=128)


def mixed_batch():
    noise = random_frame(61, 43, smooth=True, bit_depth=10, shift=6, interleaved=True)
    return [noise, None, blocky(139, 137, 8), random_frame(1, 1), blocky(100, 44, 4, bit_depth=10, padding=7)]


def test_triton_version_equals_the_plain_one(run):
    assert_as_the_plain_one(run, *mixed_batch())


def test_a_row_does_not_depend_on_its_batch():
    pictures = mixed_batch()
    values = blockiness(frame_table(pictures))
    for index, picture in enumerate(pictures):
        assert bool(values[index].isnan().all()) == (picture is None)
        alone = blockiness(frame_table([picture]))
        torch.testing.assert_close(alone[0], values[index], rtol=0, atol=0, equal_nan=True)


def test_empty_batch(run):
    frames = torch.empty((0, FRAME_FIELDS), dtype=torch.int64)
    assert blockiness(frames).shape == (0, len(COLUMNS))
    assert run(frames).shape == (0, len(COLUMNS))


@pytest.mark.parametrize("size", [4, 8, 12, 16, 24])
def test_blocks_of_any_size_stand_out(size):
    found = measure(blocky(720, 480, size))
    assert found["blockiness"] > 5
    assert found["block_edges"] > 3 * BLOCKINESS_THRESHOLD


def test_a_scene_and_a_flat_picture_have_none():
    found = measure(scene(480, 320))
    assert found["blockiness"] < 1.5
    assert found["block_edges"] < 0.01
    assert measure(np.full((64, 64), 90)) == {"blockiness": 0, "block_edges": 0}


def test_blocks_in_a_quarter_of_the_picture_are_enough():
    picture = scene(640, 360)
    picture[180:, 320:] = blocky(320, 180).luma
    assert measure(picture)["block_edges"] > BLOCKINESS_THRESHOLD


def test_the_edges_of_bars_lie_on_a_grid_and_are_no_blocks():
    picture = scene(640, 360)
    picture[:48] = picture[312:] = 16  # letterbox, on the grid of 8
    boxed = picture.copy()
    boxed[:, :80] = boxed[:, 560:] = 16
    assert measure(picture)["block_edges"] < BLOCKINESS_THRESHOLD / 4
    assert measure(boxed)["block_edges"] < BLOCKINESS_THRESHOLD / 4


def test_stripes_and_tables_have_edges_in_one_direction_and_are_no_blocks():
    stripes = np.tile(np.repeat(np.array([60, 180]), 8), (360, 40))
    assert measure(stripes)["blockiness"] > 5
    assert measure(stripes)["block_edges"] == 0


def test_flat_graphics_with_straight_edges_are_no_blocks():
    rng = np.random.default_rng(4)
    picture = np.full((360, 640), 200)
    for _ in range(40):
        y, x = rng.integers(0, 330), rng.integers(0, 600)
        picture[y : y + rng.integers(10, 90), x : x + rng.integers(10, 200)] = rng.integers(30, 220)
    assert measure(picture)["block_edges"] < BLOCKINESS_THRESHOLD / 2


def test_the_table_is_checked():
    with pytest.raises(ValueError, match="wanted"):
        blockiness(torch.zeros((2, 3), dtype=torch.int64))


def test_opcheck():
    picture = random_frame(33, 21)  # no skipped row: opcheck takes NaN for a difference
    torch.library.opcheck(torch.ops.avjury.blockiness, (frame_table([picture, picture]), 33))
