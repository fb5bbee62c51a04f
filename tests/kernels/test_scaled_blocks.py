"""Torn blocks of scaled pictures: the CPU and Triton versions (interpreted) against the plain one, to the last bit."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
import torch
import triton.language as tl
from frames import frame_table, reference_table
from interpreter import interpreted
from properties import given, settings, st
from test_torn_blocks import framed, scene, with_blocks
from triton.runtime.interpreter import TensorHandle

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.scaled_blocks import reference, scaled_blocks
from kernels.scaled_blocks.layout import BLOCK, MOST_SCALE, PHASES, border, first_sample, is_looked_at
from kernels.torn_blocks import torn_blocks

# Width and height, and those that the picture was coded in.
SHAPES = {
    "one pixel": (1, 1, 1, 1, {}),
    "smaller than a block": (19, 40, 15, 30, {}),
    "one block": (24, 24, 16, 16, {}),
    "odd, pitch > width": (61, 53, 81, 71, {"padding": 5}),
    "10 bit": (70, 50, 47, 34, {"depth": 10}),
    "p010": (67, 49, 101, 74, {"depth": 10, "shift": 6, "padding": 3}),
    "12 bit": (41, 51, 55, 68, {"depth": 12}),
    "16 bit, wider than it was and less high": (75, 33, 50, 49, {"depth": 16}),
    "a third": (23, 19, 69, 57, {}),
    "three times": (144, 99, 48, 33, {}),
    "wider than a group": (220, 34, 331, 48, {}),
}
SCALES = [Fraction(3, 4), Fraction(2, 3), Fraction(3, 2), Fraction(4, 3)]


@pytest.fixture(scope="module")
def gpu():
    with interpreted("kernels.scaled_blocks.gpu") as module:
        module.PROGRAMS = 2  # each takes a while; they change no number
        yield module


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def measure(this, earlier, coded, version=scaled_blocks):
    return version(frame_table([this]), reference_table([earlier]), torch.tensor([coded]))


def with_coded_blocks(luma, coded, places, level):
    """A copy in which squares of 16x16 at (y, x) of the coded picture have one level, as sharp as they were."""
    luma, (height, width) = luma.copy(), luma.shape
    for y, x in places:
        rows = slice(first_sample(y, height, coded[1]), first_sample(y + BLOCK, height, coded[1]))
        columns = slice(first_sample(x, width, coded[0]), first_sample(x + BLOCK, width, coded[0]))
        luma[rows, columns] = level
    return luma


def damaged(width, height, coded, seed, **options):
    """A picture with noise and blocks on the grid and off it, and the one before it."""
    rng = np.random.default_rng(seed)
    places = [(16 * int(y), 16 * int(x)) for y, x in rng.integers(0, 5, (4, 2))]
    places += [(int(y), int(x)) for y, x in rng.integers(0, 80, (3, 2))]
    noise = rng.integers(0, 1 + int(rng.integers(0, 25)), (2, height, width))
    this = with_coded_blocks(scene(1, width, height), coded, places, int(rng.integers(20, 230))) + noise[0]
    return framed(this, **options), framed(scene(0, width, height) + noise[1], **options)


def scaled(luma, scale):
    """What a scaler makes of a picture that was coded and decoded."""
    size = [int(lines * scale) for lines in luma.shape]
    picture = torch.from_numpy(luma)[None, None].double()
    found = torch.nn.functional.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False)
    return found[0, 0].round().clamp(0, 255).long().numpy()


@pytest.mark.parametrize("shape", SHAPES)
def test_cpu_and_triton_equal_the_plain_one(shape, gpu):
    width, height, *coded, options = SHAPES[shape]
    for seed in range(2):
        this, earlier = damaged(width, height, coded, seed, **options)
        expected = measure(this, earlier, coded, reference.scaled_blocks)
        assert expected.isfinite().all()
        assert_same(measure(this, earlier, coded), expected)
    assert_same(measure(this, earlier, coded, gpu.scaled_blocks), expected)


def test_lines_of_borders_and_blocks_lie_within_the_picture():
    for coded in (31, 32, 33, 47, 64, 97, 180):
        for size in range(ceil(coded / MOST_SCALE), MOST_SCALE * coded + 1):
            for phase in PHASES:
                places = range(phase, coded - BLOCK + 1, BLOCK)
                edges = [first_sample(place, size, coded) for place in (*places, places[-1] + BLOCK)]
                assert 0 <= edges[0] <= edges[-1] <= size
                counts = [b - a for a, b in pairwise(edges)]
                assert BLOCK // MOST_SCALE <= min(counts) <= max(counts) <= BLOCK * MOST_SCALE
                for place in places[1:]:
                    two_before, before, behind, two_behind = border(place, size, coded)
                    assert 0 <= two_before < before < behind < two_behind < size


def test_triton_finds_the_same_lines_though_it_divides_otherwise(gpu):
    """Its // rounds towards zero: from the first border of each scale on nothing that is divided may be below it."""

    def vector(values):
        return tl.tensor(TensorHandle(np.array(values, np.int64), tl.int64), tl.block_type(tl.int64, [len(values)]))

    assert (vector([-7]) // vector([2])).handle.data.tolist() == [-3]
    sizes = ((11, 33), (720, 2160), (48, 72), (720, 960), (97, 97), (1440, 1080), (32767, 21845), (32768, 10923))
    places = [(place, *size) for size in sizes for place in (16, 20, 24, 28, size[1] - 16, size[1] - 17, 31, 17)]
    columns = [vector(values) for values in zip(*places, strict=True)]
    found = zip(*(lines.handle.data.tolist() for lines in gpu._border(*columns)), strict=True)
    assert list(found) == [border(*place) for place in places]
    places = [(place if place > 16 else 0, size, coded) for place, size, coded in places]
    columns = [vector(values) for values in zip(*places, strict=True)]
    assert gpu._first_sample(*columns).handle.data.tolist() == [first_sample(*place) for place in places]


@pytest.mark.parametrize("options", [{}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
def test_at_a_scale_of_one_it_counts_what_torn_blocks_counts(options):
    earlier = framed(scene(0), **options)
    for places in ([(32, 16), (32, 64)], [(36, 20)], [(16, 16), (40, 56)]):
        this = framed(with_blocks(scene(1), places), **options)
        own = torn_blocks(frame_table([this]), reference_table([earlier]))
        assert_same(measure(this, earlier, (96, 80)), own[:, :4])
        assert_same(measure(this, earlier, (96, 80), reference.scaled_blocks), own[:, :4])


@pytest.mark.parametrize("options", [{}, {"depth": 10, "shift": 6, "padding": 7}], ids=str)
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_blocks_are_counted_on_the_grid_that_they_were_coded_on(scale, options, gpu):
    coded = (96, 96)
    before = scene(0, *coded)

    def found(places):
        this = framed(scaled(with_blocks(scene(1, *coded), places), scale), **options)
        earlier = framed(scaled(before, scale), **options)
        counts = measure(this, earlier, coded)
        assert_same(measure(this, earlier, coded, reference.scaled_blocks), counts)
        return this, earlier, counts

    # The block itself has four torn borders; its neighbours have one each, and those have no corner.
    assert found([(32, 16), (32, 64)])[2].tolist() == [[2.0, 0.0, 2.0, 0.0]]
    assert found([(36, 20)])[2].tolist() == [[0.0, 0.0, 0.0, 0.0]]
    this, earlier, both = found([(16, 16), (40, 56)])
    assert both.tolist() == [[1.0, 1.0, 1.0, 1.0]]
    if not options:
        assert_same(measure(this, earlier, coded, gpu.scaled_blocks), both)


def test_what_was_there_before_is_not_torn_again():
    block = [(32, 16)]
    this, before = (framed(scaled(with_blocks(scene(k), block), Fraction(3, 2))) for k in (1, 0))
    assert measure(this, before, (96, 80)).tolist() == [[0.0, 0.0, 0.0, 0.0]]


def test_mixed_batch_with_skipped_rows_and_missing_references(gpu):
    this, before = damaged(72, 60, (48, 40), 1)
    deep = damaged(65, 49, (87, 65), 2, depth=10)
    rows = [
        (this, before, (48, 40)), (this, None, (48, 40)), (None, None, (48, 40)), (this, before, (0, 40)),
        (this, before, (48, 0)), (this, before, (-48, -40)), (*deep, (87, 65)), (before, before, (48, 40)),
        (this, before, (108, 90)),
    ]  # fmt: skip
    tables = frame_table([a for a, _, _ in rows]), reference_table([b for _, b, _ in rows])
    coded = torch.tensor([size for _, _, size in rows])
    expected = reference.scaled_blocks(*tables, coded)
    assert_same(scaled_blocks(*tables, coded), expected)
    assert_same(gpu.scaled_blocks(*tables, coded), expected)
    skipped = [False, True, True, True, True, True, False, False, False]
    assert expected.isnan().all(dim=1).tolist() == expected.isnan().any(dim=1).tolist() == skipped
    assert expected[0, 0] > 0
    assert expected[6, 0] > 0
    assert expected[7].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_scales_beyond_a_third_and_three_times_are_not_looked_at(gpu):
    this, before = damaged(30, 21, (30, 21), 1)
    sizes = {
        (10, 7): True, (90, 63): True, (10, 63): True, (9, 7): False, (10, 6): False, (91, 63): False,
        (90, 64): False, (2**62, 2**62): False, (2**63 - 1, 21): False, (-(2**63), 21): False,
    }  # fmt: skip
    tables = frame_table([this] * len(sizes)), reference_table([before] * len(sizes))
    coded = torch.tensor(list(sizes))
    for version in (scaled_blocks, reference.scaled_blocks, gpu.scaled_blocks):
        found = version(*tables, coded)
        assert found.isfinite().all(dim=1).tolist() == found.isfinite().any(dim=1).tolist() == list(sizes.values())
    assert [is_looked_at(30, width) and is_looked_at(21, height) for width, height in sizes] == list(sizes.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 99))
def test_any_size_and_scale_and_any_blocks(width, height, across, down, seed):
    coded = [
        least + (MOST_SCALE * size - least) * part // 1000
        for size, part in ((width, across), (height, down))
        for least in (ceil(size / MOST_SCALE),)
    ]
    this, earlier = damaged(width, height, coded, seed)
    expected = measure(this, earlier, coded, reference.scaled_blocks)
    assert expected.isfinite().all()
    assert_same(measure(this, earlier, coded), expected)


def test_an_empty_batch_and_wrong_tables():
    frames = torch.zeros((0, FRAME_FIELDS), dtype=torch.int64)
    references = torch.zeros((0, REFERENCE_FIELDS), dtype=torch.int64)
    coded = torch.zeros((0, 2), dtype=torch.int64)
    assert scaled_blocks(frames, references, coded).shape == (0, 4)
    with pytest.raises(ValueError, match=r"scaled_blocks takes .* got .*\(1, 5\)"):
        scaled_blocks(frames, torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64), coded)
    with pytest.raises(ValueError, match=r"scaled_blocks takes .*\(0, 2\) of coded sizes on cpu; got .*\(1, 2\)"):
        scaled_blocks(frames, references, torch.zeros((1, 2), dtype=torch.int64))
    with pytest.raises(ValueError, match=r"got torch\.float64 \(0, 2\)"):
        scaled_blocks(frames, references, coded.double())
    with pytest.raises(ValueError, match=r"got torch\.int64 \(0, 3\)"):
        scaled_blocks(frames, references, torch.zeros((0, 3), dtype=torch.int64))
    with pytest.raises(ValueError, match=r"of coded sizes on cpu; got .* on meta"):
        scaled_blocks(frames, references, coded.to("meta"))
    many = torch.zeros((4, FRAME_FIELDS), dtype=torch.int64), torch.zeros((4, REFERENCE_FIELDS), dtype=torch.int64)
    with pytest.raises(ValueError, match=r"\(4, 2\) stride \(1, 4\)"):
        scaled_blocks(*many, torch.zeros((2, 4), dtype=torch.int64).T)


def test_the_op_is_well_formed():
    this, earlier = framed(scene(1, 72, 60)), framed(scene(0, 72, 60))
    tables = frame_table([this]), reference_table([earlier]), torch.tensor([(48, 40)])
    torch.library.opcheck(torch.ops.avjury.scaled_blocks, tables)
