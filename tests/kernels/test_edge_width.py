"""Edge widths: the CPU version and the Triton version (interpreted) against the plain one."""

import math

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from kernels.edge_width import COLUMNS, edge_width, reference
from kernels.layout import FRAME_FIELDS

# One or two float64 operations on equal integers.
BOUND = 2 * 2**-53
NO_CHROMA = np.zeros((0, 0), np.int64)
EDGE, SHARE = range(2)

SHAPES = {
    "1 pixel": {"width": 1, "height": 1},
    "1 row": {"width": 9, "height": 1},
    "2 columns": {"width": 2, "height": 9},
    "3x3": {"width": 3, "height": 3},
    "4x5": {"width": 4, "height": 5},
    "odd": {"width": 33, "height": 21},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "10 bit": {"width": 40, "height": 30, "bit_depth": 10},
    "10 bit, P016": {"width": 37, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3},
    "12 bit": {"width": 41, "height": 31, "bit_depth": 12},
    "16 bit": {"width": 23, "height": 19, "bit_depth": 16},
    "wider than tall": {"width": 131, "height": 17},
    "taller than wide": {"width": 17, "height": 131},
}


def grey(luma, **options):
    return make_frame(np.asarray(luma, np.int64), NO_CHROMA, NO_CHROMA, **options)


def ramp_between(dark, bright, ramp, width=96, height=64):
    """A vertical edge: dark, `ramp` columns of transition, bright."""
    row = np.clip(np.round(np.linspace(0, 1, ramp + 2) * (bright - dark) + dark), 0, 255)
    row = np.concatenate([np.full((width - ramp) // 2, dark), row[1:-1], np.full(width, bright)])[:width]
    return np.tile(row.astype(np.int64), (height, 1))


def measure(*pictures):
    """The CPU version's rows; the pictures live until they are measured."""
    return edge_width(frame_table(list(pictures)))


def assert_as_the_plain_one(*pictures):
    frames = frame_table(list(pictures))
    torch.testing.assert_close(edge_width(frames), reference.edge_width(frames), rtol=BOUND, atol=BOUND, equal_nan=True)


def mixed_batch():
    noisy = [random_frame(chroma="grey", seed=seed, **shape) for seed, shape in enumerate(SHAPES.values())]
    waves = [random_frame(chroma="grey", seed=seed, smooth=True, **shape) for seed, shape in enumerate(SHAPES.values())]
    return [noisy[0], None, *noisy[1:], None, None, *waves]


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.edge_width.gpu") as module:
        yield module


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_version_equals_the_plain_one(shape, smooth):
    assert_as_the_plain_one(random_frame(chroma="grey", seed=7, smooth=smooth, **SHAPES[shape]))


def test_mixed_sizes_and_skipped_rows_in_one_batch():
    pictures = mixed_batch()
    frames = frame_table(pictures)
    values = edge_width(frames)
    torch.testing.assert_close(values, reference.edge_width(frames), rtol=BOUND, atol=BOUND, equal_nan=True)
    for index, picture in enumerate(pictures):
        assert bool(values[index].isnan().all()) == (picture is None)
        alone = measure(picture)
        torch.testing.assert_close(alone[0], values[index], rtol=0, atol=0, equal_nan=True)


def test_triton_version_equals_the_plain_one(gpu):
    pictures = [
        random_frame(1, 1, chroma="grey"),
        None,
        random_frame(2, 3, chroma="grey"),
        random_frame(33, 21, chroma="grey", seed=1),
        random_frame(67, 45, chroma="grey", seed=2, padding=5, smooth=True),  # more blocks than programs
        random_frame(37, 29, chroma="grey", seed=3, bit_depth=10, shift=6, padding=3),
        random_frame(40, 30, chroma="grey", seed=4, bit_depth=10, smooth=True),
        random_frame(41, 23, chroma="grey", seed=5, bit_depth=12),
        grey(ramp_between(16, 235, 9, 61, 13)),
        grey(np.full((9, 11), 16)),
    ]
    frames = frame_table(pictures)
    assert len(pictures) > gpu.GROUP
    values = gpu.edge_width(frames, 67 * 45, programs=2)
    torch.testing.assert_close(values, reference.edge_width(frames), rtol=BOUND, atol=BOUND, equal_nan=True)


def test_empty_batch(gpu):
    frames = torch.empty((0, FRAME_FIELDS), dtype=torch.int64)
    assert edge_width(frames).shape == (0, len(COLUMNS))
    assert gpu.edge_width(frames, 0).shape == (0, len(COLUMNS))


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
    assert_as_the_plain_one(picture)


def test_rows_wider_than_one_chunk():
    rng = np.random.default_rng(0)
    luma = np.cumsum(rng.integers(-9, 10, (7, 4200)), axis=1) % 256
    assert_as_the_plain_one(grey(luma))


def test_a_search_counts_no_more_than_its_radius():
    # 220 steps of one code each: smoothed it rises all along, and each side of an edge's search ends after 50 steps.
    # A steep row of the same columns in between makes the pixels edges.
    luma = np.tile(np.clip(np.arange(300) - 40, 0, 220), (40, 1))
    luma[20:] = np.clip(3 * (np.arange(300) - 120), 0, 255)
    assert_as_the_plain_one(grey(luma))


def test_a_longer_ramp_is_a_wider_edge():
    """How much wider is FFmpeg's to say: tests/parity/test_blurdetect.py."""
    widths = [measure(grey(ramp_between(40, 200, ramp)))[0][EDGE].item() for ramp in (1, 4, 9)]
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_a_flat_picture_has_no_edges(level):
    values = measure(grey(np.full((40, 60), level)))[0]
    assert math.isnan(values[EDGE])
    assert values[SHARE] == 0


def test_10_bit_is_measured_in_8():
    eight = random_frame(64, 48, chroma="grey", smooth=True, seed=9)
    ten = grey(eight.luma * 4 + np.random.default_rng(1).integers(0, 4, eight.luma.shape), bit_depth=10, shift=6)
    both = measure(eight, ten)
    assert torch.equal(both[0], both[1])


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="wanted"):
        edge_width(torch.zeros((3, 4), dtype=torch.int64))


def test_opcheck():
    # No skipped row: opcheck takes NaN for a difference. The pictures have to outlive the call.
    pictures = [random_frame(64, 48, chroma="grey"), random_frame(80, 64, chroma="grey")]
    frames = frame_table(pictures)
    torch.library.opcheck(torch.ops.avjury.edge_width, (frames, 0))
