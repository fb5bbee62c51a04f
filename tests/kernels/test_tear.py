"""Torn rows: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.tear import reference, tear
from kernels.tear.layout import block_step

NOTHING = np.zeros((0, 0), np.int64)
SHAPES = {
    "too narrow": {"width": 15, "height": 9},
    "one row": {"width": 16, "height": 1},
    "one block": {"width": 17, "height": 20, "padding": 3},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "many blocks": {"width": 530, "height": 12},
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


def share(found, row):
    """Of the blocks of a row that move: those that seem torn."""
    newer_above, newer_below, _, moving = found[0, :, row].tolist()
    return (newer_above + newer_below) / max(moving, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    this, earlier = (random_frame(**SHAPES[shape], seed=seed, smooth=True) for seed in (3, 4))
    tables = frame_table([this]), reference_table([earlier])
    expected = reference.tear(*tables, 43)
    assert_same(tear(*tables, 43), expected)
    assert_same(gpu.tear(*tables, 43), expected)
    assert bool(expected[0, 3].any()) == (shape not in ("too narrow", "one row"))


@pytest.mark.parametrize("options", [{}, {"depth": 10}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
def test_a_torn_row_is_seen_and_motion_is_not(options, gpu):
    whole = moment(1, **options), moment(0, **options)
    assert not measure(*whole)[0, :2].any()
    torn = moment(2, row=20, **options), moment(1, row=20, **options)
    expected = measure(*torn, reference.tear)
    assert share(expected, 20) > 0.5
    assert expected[0, 0, 20] > 0  # what is below is older
    assert not expected[0, 1].any()
    assert (expected[0, :2].sum(dim=0) > 0).nonzero().flatten().tolist() == [20]
    assert_same(measure(*torn), expected)
    assert_same(measure(*torn, gpu.tear), expected)


def test_a_lower_part_that_is_ahead_is_told_from_one_that_is_late():
    this, earlier = moment(1, row=20), moment(0, row=20)
    ahead = [make_frame(np.concatenate([early.luma[:20], late.luma[20:]]), NOTHING, NOTHING)
             for early, late in ((moment(1), moment(2)), (moment(0), moment(1)))]  # fmt: skip
    late = measure(this, earlier)
    found = measure(*ahead)
    assert late[0, 0, 20] > 0 == late[0, 1, 20]
    assert found[0, 1, 20] > 0 == found[0, 0, 20]


def test_a_caption_that_stands_is_no_tear():
    captioned = []
    for index in (0, 1):
        luma = moment(index).luma
        luma[24:40] = 230
        captioned.append(make_frame(luma, NOTHING, NOTHING))
    assert not measure(captioned[1], captioned[0])[0, :2].any()


def test_a_fade_beside_a_letterbox_is_no_tear():
    # Lighter now than before, so that the edge fits the earlier picture better; but only one side of it has changed.
    faded = []
    for level in (60, 120):
        luma = np.full((48, 160), 16, np.int64)
        luma[20:] = level + np.arange(160) % 7
        luma[18:20] += level // 12  # ringing of the edge
        faded.append(make_frame(luma, NOTHING, NOTHING))
    assert not measure(faded[1], faded[0])[0, :2].any()


def test_squares_that_move_along_are_no_tear():
    y, x = np.mgrid[0:48, 0:160]
    squares = []
    for moved in (0, 10):
        luma = 120 + 40 * np.sign(np.sin((x + moved + 0.5) / 8) * np.sin((y + 0.5) / 7))
        squares.append(make_frame(luma.astype(np.int64), NOTHING, NOTHING))
    assert not measure(squares[1], squares[0])[0, :2].any()


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
    expected = reference.tear(*tables, 30)
    assert_same(tear(*tables, 30), expected)
    assert_same(gpu.tear(*tables, 30), expected)
    assert expected[:, 3].any(dim=1).tolist() == [True, False, False, True, False]
    assert not expected[3, :, 21:].any()


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 90), st.integers(1, 70), st.integers(0, 69), st.integers(0, 99))
def test_any_size_torn_anywhere(width, height, row, seed):
    rng = np.random.default_rng(seed)
    frames = [
        make_frame(moment(index, width, height, row=row).luma + rng.integers(0, 4, (height, width)), NOTHING, NOTHING)
        for index in (1, 0)
    ]
    tables = frame_table(frames[:1]), reference_table(frames[1:])
    assert_same(tear(*tables, height), reference.tear(*tables, height))


def test_wide_pictures_are_looked_at_in_part():
    assert [block_step(width) for width in (16, 854, 1280, 1536, 1920, 3840)] == [1, 1, 1, 2, 2, 5]
    this, earlier = (random_frame(1920, 12, seed=seed) for seed in (3, 4))
    tables = frame_table([this]), reference_table([earlier])
    assert_same(tear(*tables, 12), reference.tear(*tables, 12))
    assert tear(*tables, 12)[0, 3].max() == 60


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    none = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    assert tear(empty, none, 0).shape == (0, 4, 0)
    with pytest.raises(ValueError, match="tear takes"):
        tear(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="no picture is -1 rows high"):
        tear(empty, none, -1)


def test_the_op_is_well_formed():
    this, earlier = moment(1), moment(0)
    torch.library.opcheck(torch.ops.avjury.tear, (frame_table([this]), reference_table([earlier]), 48))
