"""Black bars: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from kernels.active_area import active_area, reference

NOTHING = np.zeros((0, 0), np.int64)


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.active_area.gpu") as module:
        yield module


def boxed(width, height, top, bottom, left, right, *, black=16, depth=8, **options):
    luma = np.full((height, width), black << (depth - 8))
    luma[top : height - bottom, left : width - right] = 130 << (depth - 8)
    return make_frame(luma, NOTHING, NOTHING, bit_depth=depth, **options)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_bars_are_counted_in_lines():
    picture = boxed(100, 80, 8, 12, 20, 5)
    assert active_area(frame_table([picture]))[0].tolist() == [0.1, 0.15, 0.2, 0.05]


@pytest.mark.parametrize(("level", "expected"), [(24, 1.0), (25, 0.0)])
def test_a_line_at_the_limit_is_black(level, expected):
    picture = make_frame(np.full((20, 30), level), NOTHING, NOTHING)
    assert active_area(frame_table([picture]))[0].tolist() == [expected] * 4


def test_the_mean_of_a_line_is_rounded_down_as_cropdetect_does():
    picture = np.full((20, 30), 24)
    picture[:, ::2] = 25  # rows of 24.5
    assert active_area(frame_table([make_frame(picture, NOTHING, NOTHING)]))[0].tolist()[:2] == [1.0, 1.0]


def test_all_versions_agree_on_a_mixed_batch(gpu):
    pictures = [
        boxed(61, 43, 5, 0, 0, 0, padding=7),
        None,
        boxed(33, 21, 0, 3, 17, 1, depth=10, shift=6),
        boxed(40, 30, 4, 4, 20, 0, depth=10, padding=3),
        boxed(1, 1, 0, 0, 0, 0),
        make_frame(np.full((9, 14), 16), NOTHING, NOTHING),
        random_frame(50, 37, seed=4),
        boxed(1100, 6, 1, 2, 3, 4),
    ]
    frames = frame_table(pictures)
    expected = reference.active_area(frames)
    assert_same(active_area(frames), expected)
    assert_same(gpu.active_area(frames), expected)
    assert expected[5].tolist() == [1.0] * 4


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 50), st.data())
def test_any_bars(width, height, data):
    top, bottom = (data.draw(st.integers(0, height)) for _ in range(2))
    left, right = (data.draw(st.integers(0, width)) for _ in range(2))
    picture = boxed(width, height, top, bottom, left, right, depth=data.draw(st.sampled_from([8, 10])))
    frames = frame_table([picture])
    assert_same(active_area(frames), reference.active_area(frames))


def test_wrong_tables_are_refused_and_an_empty_one_is_not():
    assert active_area(frame_table([])).shape == (0, 4)
    with pytest.raises(ValueError, match="active_area: wanted"):
        active_area(torch.zeros((1, 3), dtype=torch.int64))


def test_the_op_is_well_formed():
    picture = boxed(33, 21, 2, 3, 4, 5)
    torch.library.opcheck(torch.ops.avjury.active_area, (frame_table([picture]),))
