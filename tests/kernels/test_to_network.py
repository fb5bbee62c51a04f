"""Pieces for the network: the CPU and Triton versions (interpreted) against the plain one, to the last bit."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.to_network import CROP_FIELDS, INPUTS, PIECE, reference, to_network
from models.artifact_net import network_input

SHAPES = {
    "one sample": {"width": 1, "height": 1},
    "smaller than a piece": {"width": 61, "height": 43, "padding": 5},
    "planar 4:2:0": {"width": 130, "height": 99, "padding": 3},
    "nv12": {"width": 128, "height": 98, "interleaved": True, "padding": 6},
    "p010": {"width": 101, "height": 113, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "12 bit 4:2:2": {"width": 97, "height": 103, "bit_depth": 12, "chroma": "422"},
    "16 bit 4:4:4": {"width": 109, "height": 97, "bit_depth": 16, "chroma": "444"},
    "grey": {"width": 112, "height": 107, "chroma": "grey"},
    # Pieces within these are read 16 bytes at a time.
    "aligned nv12": {"width": 128, "height": 98, "interleaved": True},
    "aligned p010": {"width": 128, "height": 98, "bit_depth": 10, "shift": 6, "interleaved": True},
}


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.to_network.gpu") as module:
        yield module


def pair(shape, seed=3):
    return random_frame(**SHAPES[shape], seed=seed), random_frame(**SHAPES[shape], seed=seed + 50)


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    picture, earlier = pair(shape)
    tables = frame_table([picture]), reference_table([earlier])
    crops = torch.tensor([[0, 0, 0, 0], [0, 16, 32, 1]])
    expected = reference.to_network(*tables, crops)
    assert_same(to_network(*tables, crops), expected)
    assert_same(gpu.to_network(*tables, crops, torch.float32), expected)


def test_limited_range_at_8_bit_is_what_the_network_is_trained_on():
    picture, earlier = pair("planar 4:2:0")
    tables = frame_table([picture]), reference_table([earlier])
    luma = np.stack([f.luma[2 : 2 + PIECE, 16 : 16 + PIECE] for f in (earlier, picture)])
    half = PIECE // 2
    chroma = np.stack([[p[1 : 1 + half, 8 : 8 + half] for p in (f.u, f.v)] for f in (earlier, picture)])
    trained = network_input(*(torch.from_numpy(a.astype(np.uint8))[None] for a in (luma, chroma)))
    torch.testing.assert_close(to_network(*tables, torch.tensor([[0, 2, 16, 0]])), trained, rtol=0, atol=0)


def test_full_range_white_black_and_colour_come_out_as_in_limited_range():
    full = make_frame(np.array([[0, 255], [0, 255]]), np.array([[255]]), np.array([[128]]))
    frames, references = frame_table([full]), reference_table([None])
    said = to_network(frames, references, torch.tensor([[0, 0, 0, 1]]))[0, :, 0, 0]
    white, black, blue = (235 - 128) / 64, (16 - 128) / 64, 127 * 224 / 255 / 32
    expected = torch.tensor([black, white, black, white, 0, 0, 0, 0, blue, 0, 0, 0])
    torch.testing.assert_close(said, expected, rtol=2**-23, atol=0)  # one rounding to float32


def test_a_batch_of_mixed_pictures_with_empty_pieces_and_missing_references(gpu):
    pairs = [pair(shape, seed) for seed, shape in enumerate(SHAPES)]
    frames = frame_table([p for p, _ in pairs] + [None])
    references = reference_table([None if n % 3 == 0 else e for n, (_, e) in enumerate(pairs)] + [None])
    crops = torch.tensor([[2, 0, 16, 1], [-1, 0, 0, 0], [4, 16, 0, 0], [len(pairs), 0, 0, 0], [2, 0, 0, 0]])
    expected = reference.to_network(frames, references, crops)
    assert_same(to_network(frames, references, crops), expected)
    assert_same(gpu.to_network(frames, references, crops, torch.float32), expected)
    assert not expected[[1, 3]].any()
    for m in range(len(crops)):
        assert_same(to_network(frames, references, crops[m : m + 1]), expected[m : m + 1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_rounded_one(gpu, dtype):
    picture, earlier = pair("p010")
    tables = frame_table([picture]), reference_table([earlier])
    crops = torch.tensor([[0, 16, 0, 1]])
    expected = reference.to_network(*tables, crops).to(dtype)
    assert_same(to_network(*tables, crops, dtype), expected)
    assert_same(gpu.to_network(*tables, crops, dtype), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 200), st.integers(1, 200), st.sampled_from(["420", "422", "444", "grey"]), st.integers(0, 99),
    st.integers(0, 7), st.integers(0, 7), st.booleans(),
)  # fmt: skip
def test_any_size_and_place(width, height, chroma, seed, down, right, full_range):
    picture, earlier = (random_frame(width, height, chroma=chroma, seed=seed + k) for k in (0, 1))
    tables = frame_table([picture]), reference_table([earlier])
    crops = torch.tensor([[0, 16 * down, 16 * right, int(full_range)]])
    assert_same(to_network(*tables, crops), reference.to_network(*tables, crops))


def test_no_pieces_and_wrong_tables():
    picture, earlier = pair("nv12")
    frames, references = frame_table([picture]), reference_table([earlier])
    assert to_network(frames, references, torch.zeros((0, CROP_FIELDS), dtype=torch.int64)).shape[:2] == (0, INPUTS)
    with pytest.raises(ValueError, match="to_network takes"):
        to_network(frames, references, torch.zeros((1, 3), dtype=torch.int64))
    with pytest.raises(ValueError, match="to_network takes"):
        to_network(frames, references[:0], torch.zeros((1, CROP_FIELDS), dtype=torch.int64))


def test_the_op_is_well_formed():
    picture, earlier = pair("nv12")
    tables = frame_table([picture]), reference_table([earlier])
    torch.library.opcheck(torch.ops.avjury.to_network, (*tables, torch.tensor([[0, 0, 16, 0]]), False))
