"""Sharpness: the CPU version and the Triton version (interpreted) against the plain one."""

import math

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS
from kernels.sharpness import COLUMNS, reference, sharpness

# The first two columns are one float64 operation on equal integers; the deviation is a difference of two integer sums
# here and a two-pass mean there: n roundings of 2**-53, n < 2**17 cells in these tests.
BOUND = 2**17 * 2**-53
NO_CHROMA = np.zeros((0, 0), np.int64)
SPAN, SHARE, DEVIATION = range(3)
SHAPES = {
    "1 pixel": {"width": 1, "height": 1},
    "as long as an edge": {"width": 8, "height": 3},
    "one shorter": {"width": 7, "height": 8},
    "odd": {"width": 33, "height": 21},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "10 bit": {"width": 40, "height": 30, "bit_depth": 10},
    "10 bit, P016": {"width": 37, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3},
    "12 bit": {"width": 41, "height": 31, "bit_depth": 12},
}


def grey(luma, **options):
    return make_frame(np.asarray(luma, np.int64), NO_CHROMA, NO_CHROMA, **options)


def soft(luma, sigma):
    """Blurred by a Gaussian, in both directions."""
    reach = max(1, math.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        luma = np.apply_along_axis(
            lambda line: np.convolve(np.pad(line, reach, mode="edge"), weights / weights.sum(), "valid"), axis, luma
        )
    return luma


def fields(width=160, height=120, seed=3):
    """Fields of several greys, each of 20x20."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(20, 230, (height // 20, width // 20)), np.ones((20, 20)))


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=BOUND, atol=BOUND, equal_nan=True)


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.sharpness.gpu") as module:
        yield module


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_version_equals_the_plain_one(shape, smooth):
    picture = random_frame(chroma="grey", seed=7, smooth=smooth, **SHAPES[shape])
    frames = frame_table([picture])
    assert_same(sharpness(frames), reference.sharpness(frames))


@pytest.mark.parametrize("size", [(722, 721), (1201, 1200), (2401, 1683)], ids=str)
def test_cells_of_several_samples(size):
    picture = random_frame(*size, chroma="grey", seed=2, padding=3, smooth=True)
    luma = picture.luma
    step = reference.at.cell_size(*size)
    cells = reference.cells_of(luma)
    assert step > 1
    assert cells[3, 5] == luma[3 * step : 4 * step, 5 * step : 6 * step].sum() // step**2
    small, large = grey(cells), picture
    assert_same(sharpness(frame_table([large])), sharpness(frame_table([small])))


def test_triton_version_equals_the_plain_one(gpu):
    pictures = [
        random_frame(1, 1, chroma="grey"),
        None,
        random_frame(33, 21, chroma="grey", seed=1),
        random_frame(67, 45, chroma="grey", seed=2, padding=5, smooth=True),  # more blocks than programs
        random_frame(37, 29, chroma="grey", seed=3, bit_depth=10, shift=6, padding=3),
        random_frame(41, 23, chroma="grey", seed=5, bit_depth=12),
        grey(fields(60, 40)),
        grey(np.round(soft(fields(60, 40), 1.5))),
        grey(np.full((9, 11), 16)),
    ]
    frames = frame_table(pictures)
    assert len(pictures) > gpu.GROUP
    assert_same(gpu.sharpness(frames, 67 * 45, programs=2), reference.sharpness(frames))


def test_triton_version_of_cells_of_several_samples(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "BLOCK", 1 << 15)  # the interpreter takes as long for a small block as for a large one
    picture = random_frame(724, 721, chroma="grey", seed=2, smooth=True)
    frames = frame_table([picture])
    assert_same(gpu.sharpness(frames, 724 * 721, programs=8), sharpness(frames))


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    padding=st.integers(0, 9),
    depth=st.sampled_from([(8, 0), (10, 0), (10, 6), (12, 4)]),
    smooth=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_cpu_version_equals_the_plain_one_on_any_picture(width, height, padding, depth, smooth, seed):
    picture = random_frame(
        width, height, chroma="grey", bit_depth=depth[0], shift=depth[1], padding=padding, smooth=smooth, seed=seed
    )
    frames = frame_table([picture])
    assert_same(sharpness(frames), reference.sharpness(frames))


@pytest.mark.parametrize(("sigma", "least", "most"), [(0.01, 1.0, 1.0), (0.8, 1.7, 2.2), (1.2, 2.5, 3.2)])
def test_a_span_is_two_and_a_half_times_the_blur(sigma, least, most):
    picture = grey(np.round(soft(fields(), sigma)))
    assert least <= sharpness(frame_table([picture]))[0, SPAN] <= most


def test_edges_of_little_contrast_count_where_there_are_no_others():
    faint = 100 + fields() // 8
    sharp, soft_ones = (grey(np.round(soft(faint, sigma))) for sigma in (0.01, 1.2))
    values = sharpness(frame_table([sharp, soft_ones]))
    assert values[0, SPAN] == 1.0
    assert values[1, SPAN] > 2.0


def test_a_flat_picture_and_a_slope_have_no_edges():
    flat, slope = grey(np.full((40, 60), 99)), grey(np.tile(np.linspace(20, 230, 1000), (30, 1)))
    values = sharpness(frame_table([flat, slope]))
    assert values[:, SPAN].isnan().all()
    assert values[:, SHARE].tolist() == [0, 0]
    assert values[0, DEVIATION] == 0
    assert values[1, DEVIATION] > 12


def test_an_empty_batch_and_a_wrong_table(gpu):
    frames = torch.empty((0, FRAME_FIELDS), dtype=torch.int64)
    assert sharpness(frames).shape == (0, len(COLUMNS))
    assert gpu.sharpness(frames, 0).shape == (0, len(COLUMNS))
    with pytest.raises(ValueError, match="sharpness takes"):
        sharpness(torch.zeros((3, 4), dtype=torch.int64))


def test_opcheck():
    picture = grey(fields(80, 60))
    torch.library.opcheck(torch.ops.avjury.sharpness, (frame_table([picture]), 0))
