"""Tile means: the CPU version and the Triton version (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.tile_stats import TILE_COLUMNS, TILES, reference, tile_stats

LUMA, DIFFERENCE, U, V = range(4)
SHAPES = {
    "smallest": {"width": 16, "height": 9},
    "too small": {"width": 15, "height": 9},
    "odd": {"width": 33, "height": 21, "chroma": "444"},
    "prime, pitch > width": {"width": 61, "height": 43, "padding": 5},
    "planar 4:2:0 with tiled chroma": {"width": 70, "height": 37},
    "nv12": {"width": 70, "height": 37, "interleaved": True, "padding": 3},
    "10 bit": {"width": 40, "height": 30, "bit_depth": 10},
    "p010": {"width": 37, "height": 29, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "12 bit": {"width": 41, "height": 31, "bit_depth": 12, "chroma": "422"},
    "16 bit": {"width": 23, "height": 19, "bit_depth": 16, "chroma": "444"},
    "grey": {"width": 44, "height": 25, "chroma": "grey"},
    "rows are sampled": {"width": 17, "height": 250, "chroma": "444"},
    "wider than a block": {"width": 2200, "height": 9, "chroma": "grey"},
    # What is loaded 16 bytes at a time: tiles of 18 samples begin anywhere between two such boundaries.
    "aligned nv12": {"width": 288, "height": 18, "interleaved": True},
    "aligned p010": {"width": 288, "height": 9, "bit_depth": 10, "shift": 6, "interleaved": True},
    "aligned planar": {"width": 288, "height": 18},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.tile_stats.gpu") as module:
        yield module


def tables(*pairs):
    frames = [pair[0] for pair in pairs]
    return frame_table(frames), reference_table([pair[1] for pair in pairs])


def pair(shape, seed=3, **options):
    return random_frame(**SHAPES[shape], seed=seed, **options), random_frame(**SHAPES[shape], seed=seed + 50)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    picture, earlier = pair(shape)
    frames, references = tables((picture, earlier))
    expected = reference.tile_stats(frames, references)
    assert_same(tile_stats(frames, references), expected)
    assert_same(gpu.tile_stats(frames, references), expected)


def test_mixed_batch_with_skipped_rows_and_missing_references(gpu):
    pairs = [pair(shape, seed) for seed, shape in enumerate(SHAPES)]
    pairs = [(p, None if n % 3 == 0 else r) for n, (p, r) in enumerate(pairs)] + [(None, None)]
    frames, references = tables(*pairs)
    expected = reference.tile_stats(frames, references)
    assert_same(tile_stats(frames, references), expected)
    few = [0, 1, 5, len(pairs) - 1]  # the interpreter takes seconds per picture
    assert_same(gpu.tile_stats(frames[few], references[few]), expected[few])
    assert expected[-1].isnan().all()
    assert expected[0, DIFFERENCE].isnan().all()


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 90), st.integers(9, 90), st.sampled_from(["420", "422", "444", "grey"]), st.integers(0, 99))
def test_any_size(width, height, chroma, seed):
    picture, earlier = (random_frame(width, height, chroma=chroma, seed=seed + k) for k in (0, 1))
    frames, references = tables((picture, earlier))
    assert_same(tile_stats(frames, references), reference.tile_stats(frames, references))


def test_a_tile_that_changes_is_the_tile_that_says_so():
    still = np.full((90, 160), 100)
    changed = still.copy()
    changed[20:30, 30:40] = 108  # tile (2, 3) of 10 x 10 samples
    nothing = np.zeros((0, 0), np.int64)
    picture, earlier = make_frame(changed, nothing, nothing), make_frame(still, nothing, nothing)
    frames, references = tables((picture, earlier))  # they have to outlive the tables
    difference = tile_stats(frames, references)[0, DIFFERENCE]
    assert difference[2 * TILE_COLUMNS + 3] == 8 / 256
    assert (difference != 0).sum() == 1


def test_an_empty_batch_and_wrong_tables():
    empty = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    none = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    assert tile_stats(empty, none).shape == (0, 4, TILES)
    with pytest.raises(ValueError, match="tile_stats takes"):
        tile_stats(empty, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64))


def test_the_op_is_well_formed():
    picture, earlier = pair("odd")
    torch.library.opcheck(torch.ops.avjury.tile_stats, tables((picture, earlier)))
