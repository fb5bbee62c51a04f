"""Spatial and temporal information: the CPU and the Triton version (interpreted) against the plain one."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.siti import reference, siti

NOTHING = np.zeros((0, 0), np.int64)
SHAPES = {
    "one pixel": {"width": 1, "height": 1},
    "one inside": {"width": 3, "height": 3},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "10 bit": {"width": 40, "height": 30, "bit_depth": 10},
    "p010": {"width": 37, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "16 bit": {"width": 23, "height": 19, "bit_depth": 16, "chroma": "444"},
    "wider than a block": {"width": 530, "height": 5, "chroma": "grey"},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.siti.gpu") as module:
        yield module


def assert_same(found, expected):
    # The sums are the same integers; a float64 square root and a few operations may be rounded differently by torch
    # and by Python's math: 1e-12 is thousands of such roundings.
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    this, earlier = (random_frame(**SHAPES[shape], seed=seed) for seed in (3, 4))
    tables = frame_table([this]), reference_table([earlier])
    assert_same(siti(*tables), reference.siti(*tables))
    assert torch.equal(siti(*tables).nan_to_num(-1), gpu.siti(*tables).nan_to_num(-1))


def test_flat_pictures_have_none_and_a_step_has_its_own():
    flat = make_frame(np.full((20, 30), 90), NOTHING, NOTHING)
    brighter = make_frame(np.full((20, 30), 99), NOTHING, NOTHING)
    assert siti(frame_table([brighter]), reference_table([flat])).tolist() == [[0.0, 0.0]]
    step = make_frame(np.where(np.arange(10)[None] < 5, 50, 60).repeat(6, axis=0), NOTHING, NOTHING)
    # Two of eight columns inside have a gradient of 4 x 10.
    found = siti(frame_table([step]), reference_table([None]))
    assert found[0, 0] == pytest.approx(np.std([0, 0, 0, 40, 40, 0, 0, 0]))
    assert found[0, 1].isnan()


def test_mixed_batch(gpu):
    pairs = [
        (random_frame(40, 21, seed=1), random_frame(40, 21, seed=2)),
        (None, None),
        (random_frame(20, 9, seed=1, bit_depth=10), None),
        (random_frame(2, 9, seed=1), random_frame(2, 9, seed=2)),
    ]
    tables = frame_table([a for a, _ in pairs]), reference_table([b for _, b in pairs])
    expected = reference.siti(*tables)
    assert_same(siti(*tables), expected)
    assert_same(gpu.siti(*tables), expected)
    assert expected.isnan().tolist() == [[False, False], [True, True], [False, True], [True, False]]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([8, 10, 12]), st.integers(0, 99))
def test_any_size(width, height, depth, seed):
    this, earlier = (random_frame(width, height, bit_depth=depth, seed=seed + k) for k in (0, 1))
    tables = frame_table([this]), reference_table([earlier])
    assert_same(siti(*tables), reference.siti(*tables))


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    assert siti(empty, torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)).shape == (0, 2)
    with pytest.raises(ValueError, match="siti takes"):
        siti(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64))


def test_the_op_is_well_formed():
    this, earlier = random_frame(20, 9, seed=1), random_frame(20, 9, seed=2)
    torch.library.opcheck(torch.ops.avjury.siti, (frame_table([this]), reference_table([earlier])))
