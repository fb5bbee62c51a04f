"""Fields of two pictures: the CPU and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.fields import COLUMNS, fields, reference
from kernels.fields.layout import SAMPLED_PAIRS, pair_step, pairs
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS

NOTHING = np.zeros((0, 0), np.int64)
SHAPES = {
    "too low": {"width": 15, "height": 5},
    "one pair": {"width": 1, "height": 6},
    "odd, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "10 bit": {"width": 70, "height": 30, "bit_depth": 10},
    "p010": {"width": 67, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "16 bit": {"width": 41, "height": 31, "bit_depth": 16, "chroma": "422"},
    "every second pair": {"width": 3, "height": 4 * SAMPLED_PAIRS + 7},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.fields.gpu") as module:
        yield module


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def woven(index, top_first, width=96, height=48, speed=3, **options):
    """A texture that moves by `speed` samples a field, in a picture of two fields."""
    y, x = np.mgrid[0:height, 0:width]
    field = y % 2 if top_first else 1 - y % 2
    luma = 120 + 60 * np.sin((x + speed * (2 * index + field)) / 4) * np.cos(y / 9)
    return make_frame(luma.astype(np.int64), NOTHING, NOTHING, **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    this, earlier = (random_frame(**SHAPES[shape], seed=seed) for seed in (3, 4))
    tables = frame_table([this]), reference_table([earlier])
    expected = reference.fields(*tables)
    assert expected.isnan().all().item() == (shape == "too low")
    assert_same(fields(*tables), expected)
    assert_same(gpu.fields(*tables), expected)


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_that_follow_each_other_are_nearer(top_first):
    this, earlier = woven(1, top_first), woven(0, top_first)
    tables = frame_table([this]), reference_table([earlier])
    found = dict(zip(COLUMNS, fields(*tables)[0].tolist(), strict=True))
    if_top = found["earlier_top"] + found["later_bottom"]
    if_bottom = found["earlier_bottom"] + found["later_top"]
    assert (if_top > 1.3 * if_bottom) if top_first else (if_bottom > 1.3 * if_top)


def test_what_stands_has_no_order():
    this, earlier = woven(1, True, speed=0), woven(0, True, speed=0)
    tables = frame_table([this]), reference_table([earlier])
    earlier_top, earlier_bottom, later_top, later_bottom, within = fields(*tables)[0].tolist()
    assert earlier_top + later_bottom == pytest.approx(earlier_bottom + later_top)
    assert within == pytest.approx((earlier_top + earlier_bottom) / 2)


def test_mixed_batch_with_skipped_rows_and_missing_references(gpu):
    pairs_of = [
        (woven(1, True), woven(0, True)),
        (woven(1, True), None),
        (None, None),
        (random_frame(40, 21, seed=1), random_frame(40, 21, seed=2)),
        (random_frame(9, 5, seed=1), random_frame(9, 5, seed=2)),
    ]
    tables = frame_table([a for a, _ in pairs_of]), reference_table([b for _, b in pairs_of])
    expected = reference.fields(*tables)
    assert_same(fields(*tables), expected)
    assert_same(gpu.fields(*tables), expected)
    assert expected[:, 0].isnan().tolist() == [False, True, True, False, True]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 70), st.integers(0, 99))
def test_any_size(width, height, seed):
    frames = [random_frame(width, height, seed=seed + 100 * k) for k in (0, 1)]
    tables = frame_table(frames[:1]), reference_table(frames[1:])
    assert_same(fields(*tables), reference.fields(*tables))


def test_every_line_of_standard_definition_is_looked_at():
    for height in (480, 486, 576):
        assert pair_step(height) == 1
        assert pairs(height) == (height - 4) // 2


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    none = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    assert fields(empty, none).shape == (0, len(COLUMNS))
    with pytest.raises(ValueError, match="fields takes"):
        fields(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64))


def test_pictures_of_one_moment_that_move_are_nearer_within():
    this, earlier = random_frame(64, 64, seed=1, smooth=True), random_frame(64, 64, seed=2)
    tables = frame_table([this]), reference_table([earlier])
    found = dict(zip(COLUMNS, fields(*tables)[0].tolist(), strict=True))
    assert found["within"] < 0.5 * min(found["earlier_top"], found["later_top"])


def test_the_op_is_well_formed():
    this, earlier = woven(1, True), woven(0, True)
    tables = frame_table([this]), reference_table([earlier])
    torch.library.opcheck(torch.ops.avjury.fields, tables)
