"""Torn blocks: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.torn_blocks import reference, torn_blocks

NOTHING = np.zeros((0, 0), np.int64)
SHAPES = {
    "one pixel": {"width": 1, "height": 1},
    "smaller than a block": {"width": 15, "height": 40},
    "one block": {"width": 16, "height": 16},
    "odd, pitch > width": {"width": 61, "height": 53, "padding": 5},
    "10 bit": {"width": 70, "height": 50, "bit_depth": 10},
    "p010": {"width": 67, "height": 49, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "12 bit": {"width": 41, "height": 51, "bit_depth": 12, "chroma": "422"},
    "16 bit": {"width": 49, "height": 33, "bit_depth": 16, "chroma": "grey"},
    "wider than a group": {"width": 560, "height": 34, "chroma": "grey"},
    "more rows of blocks than are looked at": {"width": 35, "height": 661, "chroma": "grey"},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.torn_blocks.gpu") as module:
        yield module


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def scene(index, width=96, height=80):
    """(height, width) codes: waves that move, without a sharp edge."""
    y, x = np.mgrid[0:height, 0:width]
    return (120 + 50 * np.sin((x + 3 * index) / 13) * np.cos(y / 11)).astype(np.int64)


def framed(luma, depth=8, **options):
    return make_frame(luma << (depth - 8), NOTHING, NOTHING, bit_depth=depth, **options)


def with_blocks(luma, places, size=16, level=235):
    """A copy in which squares at (y, x) have one level."""
    luma = luma.copy()
    for y, x in places:
        luma[y : y + size, x : x + size] = level
    return luma


def measure(this, earlier, version=torn_blocks):
    return version(frame_table([this]), reference_table([earlier]))


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    this, earlier = (random_frame(**SHAPES[shape], seed=seed, smooth=True) for seed in (3, 4))
    expected = measure(this, earlier, reference.torn_blocks)
    assert_same(measure(this, earlier), expected)
    assert_same(measure(this, earlier, gpu.torn_blocks), expected)


@pytest.mark.parametrize("options", [{}, {"depth": 10}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
def test_blocks_on_the_grid_are_counted_and_others_are_the_scene(options, gpu):
    earlier = framed(scene(0), **options)
    on_grid = framed(with_blocks(scene(1), [(32, 16), (32, 64)]), **options)
    found = measure(on_grid, earlier)
    # The block itself has four torn borders; its neighbours have one each, and those have no corner.
    assert found.tolist() == [[2.0, 0.0, 2.0, 0.0, 0.0]]
    off_grid = framed(with_blocks(scene(1), [(36, 20)]), **options)
    assert measure(off_grid, earlier).tolist() == [[0.0, 0.0, 0.0, 0.0, 0.0]]
    both = framed(with_blocks(scene(1), [(16, 16), (40, 56)]), **options)
    assert measure(both, earlier).tolist() == [[1.0, 1.0, 1.0, 1.0, 0.0]]
    for picture in (on_grid, off_grid, both):
        assert_same(measure(picture, earlier, gpu.torn_blocks), measure(picture, earlier))
        assert_same(measure(picture, earlier, reference.torn_blocks), measure(picture, earlier))


def test_what_was_there_before_is_not_torn_again():
    block = [(32, 16)]
    picture = framed(with_blocks(scene(1), block))
    assert measure(picture, framed(with_blocks(scene(0), block))).sum() == 0


def woven_of(now, earlier, width=None):
    """A picture whose odd rows are another's, over so much of the width."""
    luma = now.copy()
    luma[1::2, :width] = earlier[1::2, :width]
    return luma


@pytest.mark.parametrize("options", [{}, {"depth": 10}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
def test_rows_of_two_moments_are_counted_by_the_block(options, gpu):
    bright, dark = np.full((80, 96), 120), np.full((80, 96), 100)
    earlier = framed(dark, **options)
    woven = framed(woven_of(bright, dark, 36), **options)  # two blocks, and four samples of a third
    found = measure(woven, earlier)
    assert found[0, 4] == (2 * 4 - 2) / (4 * 6)  # less the two that count for nothing
    assert measure(framed(bright, **options), earlier)[0, 4] == 0.0
    assert_same(measure(woven, earlier, gpu.torn_blocks), found)
    assert_same(measure(woven, earlier, reference.torn_blocks), found)


@pytest.mark.parametrize("height", [32, 320, 656, 960])
def test_the_share_is_of_the_borders_that_are_looked_at(height, gpu):
    bright, dark = np.full((height, 32), 120), np.full((height, 32), 100)
    this = framed(woven_of(bright, dark)), framed(dark)
    # Of two columns; of 40 rows of blocks and more every second, of 60 every third.
    looked_at = {32: 2, 320: 38, 656: 40, 960: 40}[height]
    found = measure(*this)
    assert found[0, 4] == (looked_at - 2) / looked_at
    assert_same(measure(*this, gpu.torn_blocks), found)
    assert_same(measure(*this, reference.torn_blocks), found)


def test_an_edge_is_not_woven_however_steep_it_is(gpu):
    edge = np.full((80, 96), 40)
    edge[32:], edge[50:] = 200, 90
    found = measure(framed(edge), framed(edge))
    assert found[0, 4] == 0.0
    assert_same(measure(framed(edge), framed(edge), gpu.torn_blocks), found)


def test_mixed_batch_with_skipped_rows_and_missing_references(gpu):
    damaged, before = framed(with_blocks(scene(1), [(16, 32)])), framed(scene(0))
    deep = framed(with_blocks(scene(1, 65, 61), [(16, 32)]), depth=10), framed(scene(0, 65, 61), depth=10)
    pairs = [(damaged, before), (damaged, None), (None, None), deep, (before, before)]
    tables = frame_table([a for a, _ in pairs]), reference_table([b for _, b in pairs])
    expected = reference.torn_blocks(*tables)
    assert_same(torn_blocks(*tables), expected)
    assert_same(gpu.torn_blocks(*tables), expected)
    assert expected[:, 0].isnan().tolist() == [False, True, True, False, False]
    assert expected[[0, 3, 4], 2].tolist() == [1.0, 1.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
def test_any_size_and_any_blocks(width, height, seed):
    rng = np.random.default_rng(seed)
    places = [(16 * int(y), 16 * int(x)) for y, x in rng.integers(0, 5, (4, 2))]
    places += [(int(y), int(x)) for y, x in rng.integers(0, 80, (3, 2))]
    this = framed(with_blocks(scene(1, width, height), places, level=int(rng.integers(0, 256))))
    earlier = framed(scene(0, width, height))
    assert_same(measure(this, earlier), measure(this, earlier, reference.torn_blocks))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
def test_any_size_and_any_rows_of_two_moments(width, height, seed):
    rng = np.random.default_rng(seed)
    now, earlier = rng.integers(100, 100 + int(rng.integers(1, 20)), (2, height, width))
    this = framed(woven_of(now + int(rng.integers(0, 12)), earlier, int(rng.integers(0, width + 1))))
    found = measure(this, framed(earlier))
    assert_same(found, measure(this, framed(earlier), reference.torn_blocks))


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    none = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    assert torn_blocks(empty, none).shape == (0, 5)
    with pytest.raises(ValueError, match="torn_blocks takes"):
        torn_blocks(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64))


def test_the_op_is_well_formed():
    this, earlier = framed(scene(1)), framed(scene(0))
    torch.library.opcheck(torch.ops.avjury.torn_blocks, (frame_table([this]), reference_table([earlier])))
