"""texture: the CPU version and the Triton version (interpreted) against the plain one, and what the measures mean."""

import numpy as np
import pytest
import torch
from frames import frame_table, make_frame, random_frame
from interpreter import interpreted
from properties import given, settings, st

from kernels.layout import FRAME_FIELDS
from kernels.texture import COLUMNS, reference, texture

KINDS = (
    {},
    {"chroma": "422"},
    {"chroma": "444", "bit_depth": 10},
    {"chroma": "grey"},
    {"interleaved": True},
    {"bit_depth": 10},
    {"bit_depth": 10, "shift": 6, "interleaved": True},
    {"bit_depth": 12},
    {"bit_depth": 16},
)
SHAPES = ((1, 1), (2, 9), (19, 13), (61, 43), (18, 12), (131, 37))


def assert_as_the_plain_one(run, *pictures):
    frames = frame_table(list(pictures))
    # Exact: each column is one float64 operation on equal integers.
    torch.testing.assert_close(run(frames), reference.texture(frames), rtol=0, atol=0, equal_nan=True)


@pytest.fixture(scope="module")
def run():
    """The Triton launcher with few programs and small tiles: the interpreter takes milliseconds for each."""
    with interpreted("kernels.texture.gpu") as module:
        yield lambda frames: module.texture(frames, programs=2, tile=(8, 32), blocks_at_once=2)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("smooth", [False, True])
def test_cpu_version_equals_the_plain_one(kind, shape, smooth):
    assert_as_the_plain_one(texture, random_frame(*shape, padding=3, seed=5, smooth=smooth, **kind))


def mixed_batch():
    noisy = [random_frame(*shape, seed=n, **kind) for n, (shape, kind) in enumerate(zip(SHAPES, KINDS, strict=False))]
    waves = [random_frame(53, 41, seed=n, smooth=True, padding=n, **kind) for n, kind in enumerate(KINDS)]
    return [noisy[0], None, *noisy[1:], None, *waves]


def test_mixed_sizes_and_skipped_rows_in_one_batch():
    pictures = mixed_batch()
    values = texture(frame_table(pictures))
    assert_as_the_plain_one(texture, *pictures)
    for index, picture in enumerate(pictures):
        assert bool(values[index].isnan().all()) == (picture is None)
        alone = texture(frame_table([picture]))
        torch.testing.assert_close(alone[0], values[index], rtol=0, atol=0, equal_nan=True)


def test_triton_version_equals_the_plain_one(run):
    assert_as_the_plain_one(run, *mixed_batch())


def test_empty_batch(run):
    frames = torch.empty((0, FRAME_FIELDS), dtype=torch.int64)
    assert texture(frames).shape == (0, len(COLUMNS))
    assert run(frames).shape == (0, len(COLUMNS))


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    padding=st.integers(0, 9),
    depth=st.sampled_from([(8, 0), (10, 0), (10, 6), (12, 4)]),
    smooth=st.booleans(),
    interleaved=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_cpu_version_equals_the_plain_one_on_any_picture(width, height, padding, depth, smooth, interleaved, seed):
    picture = random_frame(
        width, height, bit_depth=depth[0], shift=depth[1], padding=padding, smooth=smooth, interleaved=interleaved,
        seed=seed,
    )  # fmt: skip
    assert_as_the_plain_one(texture, picture)


def test_a_picture_of_many_bands_is_sampled_alike(run):
    rng = np.random.default_rng(2)
    luma = np.clip(rng.normal(120, 9, (650, 37)), 0, 255).astype(np.int64)  # 80 bands: every second one
    luma[::2, 20:] += 40
    chroma = np.full((325, 19), 128)
    assert_as_the_plain_one(texture, make_frame(luma, chroma, chroma))
    assert_as_the_plain_one(run, make_frame(luma, chroma, chroma))


def page(height, width, *, ground, ink, size=12):
    """A page full of letters."""
    pytest.importorskip("PIL")
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (width, height), ground)
    words = "Only verdicts leave the device, and one who reads them at night knows what broke. " * 20
    lines = [words[k : k + 2 * width // size] for k in range(0, len(words), 2 * width // size)]
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).multiline_text((3, 1), "\n".join(lines), fill=ink, font=font, spacing=3)
    return np.asarray(image).astype(np.int64)


def measure(luma, u=None, v=None, **options):
    """The measures of one picture by name; grey where no chroma is given."""
    luma = np.asarray(luma, np.int64)
    middle = 128 << (options.get("bit_depth", 8) - 8)
    half = -(-luma.shape[0] // 2), -(-luma.shape[1] // 2)
    u, v = (np.full(half, middle) if plane is None else np.asarray(plane, np.int64) for plane in (u, v))
    picture = make_frame(luma, u, v, **options)
    return dict(zip(COLUMNS, texture(frame_table([picture]))[0].tolist(), strict=True))


@pytest.mark.parametrize("deviation", [2.0, 5.0, 10.0, 20.0])
def test_noise_is_its_standard_deviation(deviation):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:180, 0:320]
    luma = np.clip(
        np.round(110 + 20 * np.sin(x / 40) + 15 * np.cos(y / 30) + rng.normal(0, deviation, y.shape)), 0, 255
    )
    assert measure(luma)["noise"] == pytest.approx(deviation, rel=0.12)
    assert measure(luma)["grain"] > 0.9
    deep = np.clip(np.round(4 * luma), 0, 1023)
    assert measure(deep, bit_depth=10)["noise"] == pytest.approx(deviation, rel=0.12)


@pytest.mark.parametrize(("rows", "tells"), [(32, False), (64, True)])
@pytest.mark.parametrize("ground", [2, 235, 255])
def test_what_a_caption_has_of_detail_is_no_noise_of_a_black_or_white_page(rows, tells, ground):
    rng = np.random.default_rng(1)
    luma = np.full((180, 320), ground)
    luma[:rows] = np.clip(rng.normal(110, 10, (rows, 320)), 0, 255)
    assert (measure(luma)["noise"] > 5) == tells


@pytest.mark.parametrize(("ground", "ink"), [(200, 40), (60, 180)])
@pytest.mark.parametrize("size", [10, 12])
def test_letters_have_no_grain_though_they_have_noise(ground, ink, size):
    found = measure(page(180, 320, ground=ground, ink=ink, size=size))
    assert found["noise"] > 5.5
    assert found["grain"] < 0.1


@pytest.mark.parametrize("kind", [{}, {"bit_depth": 10}], ids=str)
def test_triton_version_equals_the_plain_one_on_letters_and_noise(run, kind):
    rng = np.random.default_rng(4)
    luma = page(61, 83, ground=180, ink=60) << (kind.get("bit_depth", 8) - 8)
    luma[:, 40:] += rng.normal(0, 7, (61, 43)).astype(np.int64)
    chroma = np.full((31, 42), 128 << (kind.get("bit_depth", 8) - 8))
    assert_as_the_plain_one(texture, make_frame(luma, chroma, chroma, **kind))
    assert_as_the_plain_one(run, make_frame(luma, chroma, chroma, **kind))


@pytest.mark.parametrize("highest", [235, 255])
def test_noise_of_a_white_page_is_seen_although_it_is_clipped(highest):
    rng = np.random.default_rng(1)
    luma = np.clip(np.full((180, 320), 235) + rng.normal(0, 10, (180, 320)), 0, highest)
    luma[:32] = np.clip(rng.normal(110, 10, (32, 320)), 0, 255)
    assert measure(luma)["noise"] > 5


def test_two_fields_of_a_moving_picture_are_combed_and_one_is_not():
    y, x = np.mgrid[0:180, 0:320]
    picture = [np.round(120 + 80 * np.sign(np.sin((x + 8 * t) / 11 + y / 50))) for t in (0, 1)]
    woven = picture[0].copy()
    woven[1::2] = picture[1][1::2]
    assert measure(picture[0])["combing"] == 0
    assert measure(woven)["combing"] > 0.2


def test_a_gradient_with_few_steps_is_banded_and_one_with_noise_is_not():
    y, x = np.mgrid[0:180, 0:320]
    ramp = 40 + x / 8 + y / 20
    coarse = np.floor(ramp / 5) * 5
    rng = np.random.default_rng(0)
    assert measure(coarse)["banding"] > 0.2
    assert measure(np.floor(ramp / 3) * 3)["banding"] == 0  # every low bit rate leaves such steps
    assert measure(np.round(ramp + rng.normal(0, 1, ramp.shape)))["banding"] == 0
    assert measure(np.round(4 * ramp), bit_depth=10)["banding"] == 0
    assert measure(np.full(ramp.shape, 90))["banding"] == 0


def test_a_gradient_of_few_levels_is_banded_however_large_its_steps_are():
    y, x = np.mgrid[0:180, 0:320]
    ramp = 30 + x / 2 + y / 3
    for step in (16, 32):
        assert measure(np.floor(ramp / step) * step)["banding"] > 0.04  # the detector's threshold
    assert measure(np.floor(ramp / 64) * 64)["banding"] == 0  # flat colours beside each other, as in a drawing


def test_shares_of_pixels_out_of_range():
    luma = np.full((40, 64), 100)
    luma[:10] = 10  # out of range, tolerated
    luma[10:12] = 3
    u = np.full((20, 32), 128)
    u[19] = 250  # rows 38 and 39
    found = measure(luma, u)
    assert found["out_of_range"] == pytest.approx(14 / 40)
    assert found["out_of_tolerance"] == pytest.approx(2 / 40)
    assert measure(4 * luma, 4 * u, bit_depth=10)["out_of_range"] == pytest.approx(14 / 40)


def test_saturation_is_the_length_of_the_colour_vector():
    found = measure(np.full((8, 8), 90), np.full((4, 4), 128 + 3), np.full((4, 4), 128 - 4))
    assert found["saturation"] == 5 / 256
    assert (found["u_mean"], found["v_mean"]) == (131 / 256, 124 / 256)
    assert found["u_gradient"] == found["v_gradient"] == 0


def test_the_table_is_checked():
    with pytest.raises(ValueError, match="wanted"):
        texture(torch.zeros((2, 3), dtype=torch.int64))


def test_opcheck():
    picture = random_frame(33, 21)  # no skipped row: opcheck takes NaN for a difference
    torch.library.opcheck(torch.ops.avjury.texture, (frame_table([picture, picture]),))
