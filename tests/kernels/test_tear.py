"""Torn rows: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.tear import reference, tear

NOTHING = np.zeros((0, 0), np.int64)
SHAPES = {
    "too narrow": {"width": 15, "height": 9},
    "one row": {"width": 16, "height": 1},
    "one sample a strip": {"width": 17, "height": 20, "padding": 3},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "full strips": {"width": 530, "height": 12},
    "10 bit": {"width": 70, "height": 30, "bit_depth": 10},
    "p010": {"width": 67, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "12 bit": {"width": 41, "height": 31, "bit_depth": 12, "chroma": "422"},
    "grey": {"width": 44, "height": 25, "chroma": "grey"},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.tear.gpu") as module:
        yield module


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def moment(index, width=160, height=48, depth=8, row=None, **options):
    """A texture that moves by four samples a picture; from `row` on as it was a picture before."""
    y, x = np.mgrid[0:height, 0:width]
    moved = x + 4 * (np.full_like(x, index) if row is None else np.where(y < row, index, index - 1))
    luma = 120 + 60 * np.sin(moved / 6) * np.cos(y / 30)
    return make_frame(luma.astype(np.int64) << (depth - 8), NOTHING, NOTHING, bit_depth=depth, **options)


def measure(this, earlier, version=tear):
    return version(frame_table([this]), reference_table([earlier]), 512)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    this, earlier = (random_frame(**SHAPES[shape], seed=seed, smooth=True) for seed in (3, 4))
    tables = frame_table([this]), reference_table([earlier])
    expected = reference.tear(*tables)
    assert_same(tear(*tables, 43), expected)
    assert_same(gpu.tear(*tables, 43), expected)


@pytest.mark.parametrize("options", [{}, {"depth": 10}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
def test_a_torn_row_is_seen_and_motion_is_not(options, gpu):
    whole = moment(1, **options), moment(0, **options)
    assert measure(*whole)[0, 0].item() < 1
    torn = moment(2, row=20, **options), moment(1, row=20, **options)
    expected = measure(*torn, lambda frames, references, _: reference.tear(frames, references))
    assert expected[0, 0].item() > 1.5
    assert expected[0, 1].item() == 20 / 48
    assert_same(measure(*torn), expected)
    assert_same(measure(*torn, gpu.tear), expected)


def test_a_caption_that_stands_is_no_tear():
    captioned = []
    for index in (0, 1):
        luma = moment(index).luma
        luma[24:40] = 230
        captioned.append(make_frame(luma, NOTHING, NOTHING))
    assert measure(captioned[1], captioned[0])[0, 0].item() < 1


def test_mixed_batch_with_skipped_rows_and_missing_references(gpu):
    torn = moment(2, row=9, width=96, height=30), moment(1, row=9, width=96, height=30)
    pairs = [
        torn,
        (torn[0], None),
        (None, None),
        (random_frame(40, 21, seed=1), random_frame(40, 21, seed=2)),
        (random_frame(9, 9, seed=1), random_frame(9, 9, seed=2)),
    ]
    tables = frame_table([a for a, _ in pairs]), reference_table([b for _, b in pairs])
    expected = reference.tear(*tables)
    assert_same(tear(*tables, 30), expected)
    assert_same(gpu.tear(*tables, 30), expected)
    assert expected[:, 0].isnan().tolist() == [False, True, True, False, True]


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 90), st.integers(1, 70), st.integers(0, 69), st.integers(0, 99))
def test_any_size_torn_anywhere(width, height, row, seed):
    rng = np.random.default_rng(seed)
    frames = [
        make_frame(moment(index, width, height, row=row).luma + rng.integers(0, 4, (height, width)), NOTHING, NOTHING)
        for index in (1, 0)
    ]
    tables = frame_table(frames[:1]), reference_table(frames[1:])
    assert_same(tear(*tables, height), reference.tear(*tables))


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    none = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    assert tear(empty, none, 0).shape == (0, 2)
    with pytest.raises(ValueError, match="tear takes"):
        tear(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="no picture is -1 rows high"):
        tear(empty, none, -1)


def test_the_op_is_well_formed():
    this, earlier = moment(1), moment(0)
    torch.library.opcheck(torch.ops.avjury.tear, (frame_table([this]), reference_table([earlier]), 48))
