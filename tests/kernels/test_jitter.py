"""Rows that jitter: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from kernels.jitter import jitter, reference
from kernels.jitter.layout import ROWS, row_of, samples_to_column
from kernels.layout import FRAME_FIELDS

NOTHING = np.zeros((0, 0), np.int64)


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.jitter.gpu") as module:
        yield module


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def texture(width, height, seed=0, down=8):
    """Smooth noise, of which rows are alike."""
    across = max(3, width // 80)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 230, (height // down + 2, width // across + 2))
    y, x = np.arange(height) / down, np.arange(width) / across
    top, left = y.astype(int), x.astype(int)
    part_y, part_x = (y - top)[:, None], (x - left)[None, :]
    upper = coarse[top][:, left] * (1 - part_x) + coarse[top][:, left + 1] * part_x
    lower = coarse[top + 1][:, left] * (1 - part_x) + coarse[top + 1][:, left + 1] * part_x
    return (upper * (1 - part_y) + lower * part_y).astype(np.int64)


def shifted(luma, steps):
    """Each row moved along by its own number of samples, what leaves it coming back."""
    return np.stack([np.roll(row, step) for row, step in zip(luma, steps, strict=True)])


def jittered(width=200, height=120, seed=0, strength=0.01):
    steps = np.rint(np.random.default_rng(seed).normal(0, strength * width, height)).astype(int)
    return shifted(texture(width, height, seed), steps)


def framed(luma, depth=8, **options):
    return make_frame(luma << (depth - 8), NOTHING, NOTHING, bit_depth=depth, **options)


def counted(luma, **options):
    """Rows that are displaced, and rows with detail."""
    frame = framed(luma, **options)
    return jitter(frame_table([frame]))[0].tolist()


@pytest.mark.parametrize(
    "options", [{}, {"padding": 5}, {"depth": 10}, {"depth": 10, "shift": 6, "padding": 7}, {"depth": 12}], ids=str
)
@pytest.mark.parametrize("size", [(96, 96), (200, 120), (301, 97)], ids=str)
def test_cpu_and_triton_equal_the_plain_one_and_see_rows_that_jitter(options, size, gpu):
    frames = framed(jittered(*size, strength=0.015), **options), framed(texture(*size), **options)
    table = frame_table(frames)
    expected = reference.jitter(table)
    assert_same(jitter(table), expected)
    if size[0] == 96 or not options:  # the interpreter takes its time
        assert_same(gpu.jitter(table), expected)
    assert expected[:, 1].min() > ROWS // 2
    assert expected[0, 0] > ROWS // 10
    assert expected[1, 0] == 0


def test_of_wide_pictures_samples_are_added_up():
    frames = framed(jittered(1930, 100)), framed(jittered(3843, 97), depth=10, shift=6)
    table = frame_table(frames)
    assert_same(jitter(table), reference.jitter(table))
    assert jitter(table)[:, 0].min() > ROWS // 10


@pytest.mark.slow
def test_triton_adds_them_up_too(gpu):
    frame = framed(jittered(1930, 100), padding=3)
    table = frame_table([frame])
    assert_same(gpu.jitter(table), reference.jitter(table))


def test_slanted_edges_are_no_jitter():
    luma = texture(240, 120)
    assert counted(shifted(np.repeat(luma[:1], 120, axis=0), 3 * np.arange(120)))[0] == 0


def test_two_fields_of_a_pan_are_no_jitter():
    luma = texture(240, 120)
    woven = shifted(luma, 6 * (np.arange(120) % 2))
    assert counted(woven)[0] == 0


def test_parts_that_are_moved_as_one_are_no_jitter():
    # As of an effect that imitates a fault: bands of rows, each elsewhere.
    steps = np.random.default_rng(1).integers(-12, 12, 15).repeat(8)
    assert counted(shifted(texture(240, 120), steps))[0] <= 1


def test_waves_are_no_jitter():
    steps = np.rint(5 * np.sin(np.arange(120) / 4)).astype(int)
    assert counted(shifted(texture(240, 120), steps))[0] == 0


def test_noise_and_stripes_are_no_jitter():
    noise = np.random.default_rng(3).integers(0, 255, (120, 240))
    assert counted(noise) == [0, ROWS]
    stripes = np.broadcast_to(np.where(np.arange(240) % 8 < 4, 40, 200), (120, 240))
    assert counted(np.where(np.arange(120)[:, None] % 2, stripes, np.roll(stripes, 4, axis=1)))[0] == 0


def test_what_is_flat_or_small_says_nothing():
    assert counted(np.full((120, 240), 90)) == [0, 0]
    assert counted(jittered(95, 120)) == [0, 0]
    assert counted(jittered(200, 95)) == [0, 0]


def test_mixed_batch_with_skipped_rows(gpu):
    frames = [framed(jittered()), None, random_frame(40, 21, seed=1), framed(jittered(seed=2), depth=10)]
    table = frame_table(frames)
    expected = reference.jitter(table)
    assert_same(jitter(table), expected)
    assert_same(gpu.jitter(table), expected)
    assert expected.any(dim=1).tolist() == [True, False, False, True]


@settings(max_examples=15, deadline=None)
@given(st.integers(90, 180), st.integers(90, 140), st.floats(0, 0.05), st.integers(0, 99))
def test_any_size_and_strength(width, height, strength, seed):
    frame = framed(jittered(width, height, seed, strength))
    table = frame_table([frame])
    assert_same(jitter(table), reference.jitter(table))


def test_rows_lie_within_the_picture_and_columns_are_few():
    assert [row_of(index, 96) for index in (0, ROWS - 1)] == [1, 94]
    assert [samples_to_column(width) for width in (1, 960, 961, 1920, 3840, 32768)] == [1, 1, 2, 2, 4, 35]


def test_an_empty_batch_and_a_wrong_table():
    assert jitter(torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)).shape == (0, 2)
    with pytest.raises(ValueError, match="jitter: wanted"):
        jitter(torch.zeros((1, FRAME_FIELDS), dtype=torch.int32))


def test_the_op_is_well_formed():
    frame = framed(jittered())
    torch.library.opcheck(torch.ops.avjury.jitter, (frame_table([frame]),))
