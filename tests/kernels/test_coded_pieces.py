"""Pieces at the size that pictures were coded in: the CPU and Triton versions (interpreted) against the plain one."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame, reference_table
from interpreter import interpreted
from properties import given, settings, st

from kernels.coded_pieces import CROP_FIELDS, SAMPLES, coded_pieces, reference
from kernels.coded_pieces.taps import taps_of
from kernels.layout import FRAME_FIELDS, Field
from kernels.to_network.layout import CELLS, PIECE

SHAPES = {
    "one sample": {"width": 1, "height": 1},
    "smaller than a piece": {"width": 61, "height": 43, "padding": 5},
    "planar 4:2:0": {"width": 131, "height": 99, "padding": 3},
    "nv12": {"width": 128, "height": 98, "interleaved": True, "padding": 6},
    "p010": {"width": 101, "height": 113, "bit_depth": 10, "shift": 6, "padding": 3, "interleaved": True},
    "12 bit 4:2:2": {"width": 97, "height": 103, "bit_depth": 12, "chroma": "422"},
    "16 bit 4:4:4": {"width": 109, "height": 89, "bit_depth": 16, "chroma": "444"},
    "grey": {"width": 112, "height": 107, "chroma": "grey"},
}
# Times the coded width and height.
SCALES = {
    "1/3": (1 / 3, 1 / 3), "1/2": (1 / 2, 1 / 2), "2/3": (2 / 3, 2 / 3), "3/4": (3 / 4, 3 / 4), "1": (1, 1),
    "4/3": (4 / 3, 4 / 3), "3/2": (3 / 2, 3 / 2), "2": (2, 2), "across alone": (4 / 3, 1), "both ways": (2 / 3, 3 / 2),
}  # fmt: skip
# Of a program: more of them are slow to interpret.
BLOCK = 4096


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.coded_pieces.gpu") as module:
        yield module


def coded_size(shape, scale):
    """Width and height."""
    return [round(SHAPES[shape][side] / SCALES[scale][k]) or 1 for k, side in enumerate(("width", "height"))]


def pair(shape, seed=3):
    return random_frame(**SHAPES[shape], seed=seed), random_frame(**SHAPES[shape], seed=seed + 50)


def planes(pieces):
    """Luma, U and V of pieces (..., SAMPLES)."""
    luma, u, v = pieces.split((PIECE * PIECE, CELLS * CELLS, CELLS * CELLS), -1)
    return (
        luma.unflatten(-1, (PIECE, PIECE)),
        u.unflatten(-1, (CELLS, CELLS)),
        v.unflatten(-1, (CELLS, CELLS)),
    )


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_the_cpu_equals_the_plain_one(scale):
    shapes = list(SHAPES)[list(SCALES).index(scale) % 2 :: 2]
    pairs = [pair(shape) for shape in shapes]
    tables = frame_table([p for p, _ in pairs]), reference_table([e for _, e in pairs])
    # Every second piece begins at the corner; the others go over an edge.
    crops = torch.tensor([[n, n % 2 * 46, n % 2 * 62, *coded_size(shape, scale)] for n, shape in enumerate(shapes)])
    assert_same(coded_pieces(*tables, crops), reference.coded_pieces(*tables, crops))


@pytest.mark.parametrize(
    ("shape", "scale", "with_reference"),
    [
        ("smaller than a piece", "1/2", True),
        ("p010", "2/3", True),
        ("12 bit 4:2:2", "across alone", False),
        ("16 bit 4:4:4", "1", False),
        ("grey", "2", False),
    ],
)
def test_triton_equals_the_plain_one(shape, scale, with_reference, gpu):
    picture, earlier = pair(shape)
    tables = frame_table([picture]), reference_table([earlier if with_reference else None])
    crops = torch.tensor([[0, 30, 16, *coded_size(shape, scale)]])
    assert_same(gpu.coded_pieces(*tables, crops, block=BLOCK), reference.coded_pieces(*tables, crops))


def test_a_batch_of_mixed_pictures_with_empty_pieces_and_missing_references(gpu):
    pairs = [pair(shape, seed) for seed, shape in enumerate(SHAPES)]
    frames = frame_table([p for p, _ in pairs] + [None])
    references = reference_table([None if n % 3 == 0 else e for n, (_, e) in enumerate(pairs)] + [None])
    of_61, of_128 = coded_size("smaller than a piece", "2/3"), coded_size("nv12", "3/4")
    crops = torch.tensor(
        [[3, 0, 16, *of_128], [-1, 0, 0, *of_128], [1, 2, 0, *of_61], [len(pairs), 0, 0, 128, 98], [3, 90, 0, *of_128]]
    )
    expected = reference.coded_pieces(frames, references, crops)
    assert_same(coded_pieces(frames, references, crops), expected)
    assert expected.any(dim=2).tolist() == [
        [True, False], [False, False], [True, True], [False, False], [True, False]
    ]  # fmt: skip
    for m in range(len(crops)):
        assert_same(coded_pieces(frames, references, crops[m : m + 1]), expected[m : m + 1])
    assert_same(gpu.coded_pieces(frames, references, crops[1:4], block=BLOCK // 2), expected[1:4])


def test_pictures_of_scales_beyond_a_third_and_three_times_are_empty_pieces(gpu):
    picture, earlier = random_frame(60, 30, seed=1), random_frame(60, 30, seed=2)
    tables = frame_table([picture]), reference_table([earlier])
    seen = [[20, 10], [180, 90], [20, 90], [180, 10]]
    beyond = [[19, 10], [20, 9], [181, 90], [180, 91], [0, 30], [60, 0], [-60, 30], [60, -30]]
    crops = torch.tensor([[0, 0, 0, *size] for size in seen + beyond])
    found = coded_pieces(*tables, crops)
    assert found.any(dim=2).tolist() == [[True, True]] * len(seen) + [[False, False]] * len(beyond)
    assert_same(found, reference.coded_pieces(*tables, crops))
    assert not gpu.coded_pieces(*tables, crops[len(seen) :], block=BLOCK).any()


def test_a_scale_of_one_gives_the_codes_themselves():
    for shape, bits in (("nv12", 4), ("p010", 2), ("12 bit 4:2:2", 0)):
        picture, earlier = pair(shape)
        tables = frame_table([picture]), reference_table([earlier])
        crops = torch.tensor([[0, 2, 0, *coded_size(shape, "1")]])
        for time, own in enumerate((picture, earlier)):
            luma, u, v = planes(coded_pieces(*tables, crops)[0, time])
            assert_same(luma.long(), torch.from_numpy(own.luma[2 : 2 + PIECE, :PIECE] << bits))
            if shape == "nv12":
                for found, codes in ((u, own.u), (v, own.v)):
                    assert_same(found.long(), torch.from_numpy(codes[1 : 1 + CELLS, :CELLS] << bits))


def test_more_than_12_bits_are_rounded_half_up_and_held_within_12():
    codes = np.resize([7, 8, 23, 24, 0xFFF7, 0xFFF8, 0xFFFF], (PIECE, PIECE))
    picture = make_frame(codes, codes[:0, :0], codes[:0, :0], bit_depth=16)
    tables = frame_table([picture]), reference_table([None])
    luma, u, v = planes(coded_pieces(*tables, torch.tensor([[0, 0, 0, PIECE, PIECE]]))[0, 0])
    assert luma[0, :7].tolist() == [0, 1, 1, 2, 4095, 4095, 4095]
    assert (torch.cat((u, v)) == 2048).all()


@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_picture_stays_what_it_was(scale):
    picture = make_frame(*(np.full(size, code) for size, code in (((90, 120), 77), ((45, 60), 200), ((45, 60), 31))))
    tables = frame_table([picture]), reference_table([None])
    across, down = SCALES[scale]
    crops = torch.tensor([[0, 0, 0, round(120 / across), round(90 / down)]])
    for plane, code in zip(planes(coded_pieces(*tables, crops)[0, 0]), (77, 200, 31), strict=True):
        assert (plane == code << 4).all()


def test_coded_lines_beyond_the_last_one_are_that_one():
    picture, _ = pair("planar 4:2:0")
    tables = frame_table([picture]), reference_table([None])
    width, height = coded_size("planar 4:2:0", "3/2")
    crops = torch.tensor([[0, 0, 0, width, height], [0, 40, 60, width, height], [0, 400, 600, width, height]])
    whole, over, beyond = (planes(piece) for piece in coded_pieces(*tables, crops)[:, 0])
    assert (width, height) == (87, 66)
    assert_same(over[0][:26, :27], whole[0][40:66, 60:87])
    assert_same(over[1][:13, :14], whole[1][20:33, 30:44])
    for plane, rows, columns in zip(over, (26, 13, 13), (27, 14, 14), strict=True):
        assert (plane[rows:] == plane[rows - 1]).all()
        assert (plane[:, columns:] == plane[:, columns - 1 : columns]).all()
    for plane, own in zip(beyond, over, strict=True):
        assert (plane == own[-1, -1]).all()


def row_of(width, chroma_width, bit_depth=8):
    """Of a picture that lies nowhere."""
    row = torch.zeros((1, FRAME_FIELDS), dtype=torch.int64)
    fields = {
        Field.LUMA_ADDRESS: 1, Field.WIDTH: width, Field.HEIGHT: width, Field.CHROMA_WIDTH: chroma_width,
        Field.CHROMA_HEIGHT: chroma_width, Field.BIT_DEPTH: bit_depth,
    }  # fmt: skip
    for field, value in fields.items():
        row[0, field] = value
    return row


def weights_at(taps, line):
    """{line of the plane: weight} of a coded line of the first piece."""
    first = int(taps.first[0, line])
    return {first + k: weight for k, weight in enumerate(taps.weights[0, line].tolist()) if weight}


def test_the_weights_are_those_of_the_cubic():
    # Coded in half as many lines: the middle of line 10 lies between 20 and 21, and the kernel reaches four to each
    # side. Chroma with a sample for each of luma is read as of half as many lines once more.
    enlarged = taps_of(row_of(400, 200), torch.tensor([[0, 0, 0, 200, 200]]))
    expected = {17: -3, 18: -9, 19: 29, 20: 111, 21: 111, 22: 29, 23: -9, 24: -3}
    assert weights_at(enlarged, 10) == weights_at(enlarged, 2 * PIECE + 10) == expected
    assert enlarged.counts.tolist() == [[8, 8, 8, 8]]
    assert taps_of(row_of(400, 400), torch.tensor([[0, 0, 0, 200, 200]])).counts.tolist() == [[8, 8, 16, 16]]
    # In twice as many: the middle of line 20 lies a quarter before that of line 10.
    reduced = taps_of(row_of(200, 0), torch.tensor([[0, 0, 0, 400, 400]]))
    assert weights_at(reduced, 20) == {8: -6, 9: 58, 10: 222, 11: -18}
    assert reduced.counts.tolist() == [[4, 4, 0, 0]]


@pytest.mark.parametrize(("size", "coded"), [(32_768, 10_923), (10_923, 32_768), (32_768, 32_768), (32_767, 10_925)])
def test_the_largest_pictures_fit_64_bits(size, coded):
    taps = taps_of(row_of(size, size), torch.tensor([[0, coded - 50, coded - 40, coded, coded]]))
    assert (taps.weights.sum(-1) == 256).all()
    for line in (0, 49, PIECE + 20, 2 * PIECE, 2 * PIECE + CELLS + 10):
        luma = line < 2 * PIECE
        own = coded if luma else (coded + 1) // 2
        corner, within = (coded - 50, coded - 40), line if luma else line - 2 * PIECE
        axis, k = divmod(within, PIECE if luma else CELLS)
        first, weights = reference.weights_of(corner[axis] // (1 if luma else 2) + k, size, own)
        assert weights_at(taps, line) == {first + i: weight for i, weight in enumerate(weights) if weight}


@pytest.mark.parametrize("scale", ["1/2", "2/3", "3/4", "4/3", "3/2", "2"])
def test_a_smooth_picture_that_was_scaled_comes_back(scale):
    """Scaled by torch's own cubic, which is Keys' too, and looked at where no line is beyond the picture's edge."""
    y, x = np.mgrid[0:144, 0:192]
    coded = 16 * (128 + 80 * np.sin(x / 6) * np.cos(y / 7))
    size = [round(lines * factor) for lines, factor in zip((144, 192), SCALES[scale][::-1], strict=True)]
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(coded)[None, None], size, mode="bicubic", antialias=True, align_corners=False
    )
    codes = scaled[0, 0].round().to(torch.int64).numpy()
    picture = make_frame(codes, codes[:0, :0], codes[:0, :0], bit_depth=12)
    tables = frame_table([picture]), reference_table([None])
    luma = planes(coded_pieces(*tables, torch.tensor([[0, 24, 48, 192, 144]])))[0][0, 0]
    # The codes were rounded by at most 1/2, which weights whose sizes sum to at most 1.25 along each axis make 0.8, and
    # the result by 1/2. The rest is what two cubics make of this wave, which is 2560 high: measured, with these, 4.9 at
    # the most, at 3/4. Half a line aside would be 107.
    error = np.abs(luma.numpy() - coded[24 : 24 + PIECE, 48 : 48 + PIECE])
    assert error.max() < 6


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 150), st.integers(1, 150), st.floats(1 / 3, 3), st.floats(1 / 3, 3),
    st.sampled_from(["420", "422", "444", "grey"]), st.sampled_from([(8, 0), (10, 6), (12, 0)]), st.integers(0, 99),
    st.integers(0, 80), st.integers(0, 80),
)  # fmt: skip
def test_any_size_scale_and_place(width, height, across, down, chroma, depth, seed, half_top, half_left):
    picture, earlier = (
        random_frame(width, height, chroma=chroma, bit_depth=depth[0], shift=depth[1], seed=seed + k) for k in (0, 1)
    )
    tables = frame_table([picture]), reference_table([earlier if seed % 4 else None])
    crops = torch.tensor([[0, 2 * half_top, 2 * half_left, round(width / across), round(height / down)]])
    assert_same(coded_pieces(*tables, crops), reference.coded_pieces(*tables, crops))


def test_no_pieces_no_pictures_and_wrong_tables():
    picture, earlier = pair("nv12")
    frames, references = frame_table([picture]), reference_table([earlier])
    empty = torch.zeros((0, CROP_FIELDS), dtype=torch.int64)
    assert coded_pieces(frames, references, empty).shape == (0, 2, SAMPLES)
    assert coded_pieces(frames[:0], references[:0], empty).shape == (0, 2, SAMPLES)
    assert not coded_pieces(frames[:0], references[:0], torch.tensor([[-1, 0, 0, 128, 98]])).any()
    crops = torch.tensor([[0, 0, 0, 128, 98]])
    for wrong in (crops[:, :4].clone(), crops.to(torch.int32), crops.repeat(2, 2)[:, ::2], crops[0]):
        with pytest.raises(ValueError, match="coded_pieces takes a contiguous int64 table"):
            coded_pieces(frames, references, wrong)
    with pytest.raises(ValueError, match="coded_pieces takes"):
        coded_pieces(frames, references[:0], crops)


def test_the_op_is_well_formed():
    picture, earlier = pair("nv12")
    tables = frame_table([picture]), reference_table([earlier])
    crops = torch.tensor([[0, 0, 16, *coded_size("nv12", "2/3")]])
    torch.library.opcheck(torch.ops.avjury.coded_pieces, (*tables, crops))
