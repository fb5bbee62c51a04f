"""Damage that was there before pictures were scaled: found on the grid that they were coded on, where that is known."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch
from cuda_on_cpu import DEVICE, cuda_on_cpu
from frames import make_frame
from media import ffmpeg_exe
from on_tensors import OnTensors
from surfaces import surface
from told_pictures import CORRUPTION, RATE, SURE, told_of

from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import JudgedPath
from engine.batch import Batcher
from engine.listener import Silent
from engine.measure import Measure
from engine.measure.columns import place
from engine.measure.network import NetworkUse
from engine.measure.scaled_blocks import coded_size
from engine.pipeline import check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.artifact_weights import SecondPoint
from models.synthesis.coded_damage import plant_damage
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import write_pictures

CPU = torch.device("cpu")
WIDTH, HEIGHT = 320, 208
CORNERS = place("scaled_corners")
SCALES = {"of three quarters": 0.75, "of one and a half": 1.5}


def scaled(plane, scale):
    """As a scaler makes it: bicubic, filtered where it becomes smaller."""
    size = tuple(round(side * scale) for side in plane.shape)
    given = torch.from_numpy(plane.astype(np.float64))[None, None]
    made = torch.nn.functional.interpolate(given, size, mode="bicubic", antialias=True)[0, 0]
    return made.round().clamp(0, 255).numpy().astype(np.int64)


def picture(n, scale, square=None, tiles=0, *, stream="s"):
    """Grey, scaled; with a square of two by two blocks of the coded picture, in which so many are brighter."""
    luma = np.full((HEIGHT, WIDTH), 60)
    if square is not None:
        top, left = (16 * at for at in square)
        luma[top : top + 32, left : left + 32] += 60
        for tile in range(tiles):
            luma[top + 16 * (tile // 2) :, left + 16 * (tile % 2) :][:16, :16] += 30
    luma = scaled(luma, scale)
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128)
    return replace(surface(make_frame(luma, chroma, chroma), n / RATE, False, False), stream=stream)


def asking(scale, tiles=4):
    """As of test_second_looks, scaled."""
    return [picture(n, scale, None if n < 30 else (3, 5), 0 if n <= 31 else tiles) for n in range(60)]


def measuring(arithmetic=None, *, slots=1, artifact=SURE, **own):
    measure = Measure(CPU, slots, arithmetic, network=NetworkUse(artifact, 0.01))
    parameters = {"video.corruption": {"source_height": float(HEIGHT), **own}}
    for slot in range(slots):
        measure.open_slot(slot, parameters, {"corruption"})
    return measure


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_torn_blocks_of_the_coded_grid_ask_and_the_network_sees_them_scaled_back(scale, arithmetic):
    told = told_of(measuring(arithmetic), asking(scale))
    # From the second picture behind the one that asks on, for half a second, as of pictures that nobody scaled.
    assert [n for n, share in enumerate(told) if share > 0] == list(range(32, 45))
    # The share of the picture that was coded: four tiles, or what more of their borders is brighter.
    assert 4 * 256 / (WIDTH * HEIGHT) <= told[32] <= 9 * 256 / (WIDTH * HEIGHT)
    for unsure in (
        told_of(measuring(arithmetic, source_height=0.0), asking(scale)),
        told_of(measuring(arithmetic), asking(scale, tiles=0)),
        told_of(measuring(arithmetic, network_looks=0.0), asking(scale)),
    ):
        assert not any(unsure)


def test_they_tell_nothing_by_themselves_however_many_they_are():
    many = [picture(n, 0.75) for n in range(30)]
    luma = np.full((HEIGHT, WIDTH), 60)
    luma[::1] += 100 * ((np.arange(HEIGHT)[:, None] // 16 + np.arange(WIDTH) // 16) % 2)
    luma = scaled(luma, 0.75)
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128)
    many += [surface(make_frame(luma, chroma, chroma), n / RATE, False, False) for n in range(30, 40)]
    measure, batcher = measuring(artifact=replace(SURE, second=None)), Batcher(CPU, 1, 0.0)
    rows = [measure.frames(batcher.assemble([(0, one)], {0: 0.1})).values[0] for one in many]
    assert rows[30][CORNERS] > 100
    assert not any(row[CORRUPTION] for row in rows)


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_a_picture_that_is_looked_at_both_ways_is_one_look(arithmetic):
    """Of a stream that asks for pieces as they are, and for pieces scaled back, in which something gets brighter."""

    def told(looks, *bright):
        measure, seen = measuring(arithmetic, artifact=replace(SURE, second=SecondPoint(0.5, 4, looks))), []
        for part in (measure._torn, measure._scaled):
            part.said.doubt = part.said.doubt * 0 + 1.0
        measure.network.second.take = lambda slot, pts, said: seen.append(round(pts * RATE))
        tiles = {n: 4 * (n in bright) for n in range(28)}
        shown = [picture(n, 0.75, (3, 5) if {n, n + 1} & {*bright} else None, tiles[n]) for n in range(28)]
        found = [n for n, share in enumerate(told_of(measure, shown)) if share > 0][:1]
        assert seen == [2, 2, 8, 8, 14, 14, 20, 20]
        return found

    assert told(1, 8) == [8]
    assert told(2, 8) == []
    assert told(2, 8, 14) == [14]


def test_nothing_is_looked_for_where_nobody_would_look():
    batcher = Batcher(CPU, 1, 0.0)
    for network in (None, NetworkUse(SURE, 0.01, confirms=False)):
        measure = Measure(CPU, 1, network=network)
        measure.open_slot(0, {"video.corruption": {"source_height": float(HEIGHT)}}, {"corruption"})
        for n in (29, 30):
            shown = picture(n, 0.75, None if n < 30 else (3, 5))
            values = measure.frames(batcher.assemble([(0, shown)], {0: 0.1})).values
        assert values[0, CORNERS].isnan()
        assert not values[0, CORRUPTION].isnan()


def test_streams_of_one_batch_have_their_own_sizes():
    """One that was scaled, one that nobody said it of, and one that was not."""
    measure, batcher = Measure(CPU, 3, network=NetworkUse(SURE, 0.01)), Batcher(CPU, 3, 0.0)
    for slot, height in enumerate((HEIGHT, 0.0, HEIGHT * 0.75)):
        measure.open_slot(slot, {"video.corruption": {"source_height": float(height)}}, {"corruption"})
    found = []
    for n in (29, 30):
        square = None if n < 30 else (3, 5)
        taken = [(slot, picture(n, 0.75, square, stream=str(slot))) for slot in range(3)]
        found = measure.frames(batcher.assemble(taken, dict.fromkeys(range(3), 0.1))).values[:, CORNERS]
    assert found[0] == 4
    assert found[1:].isnan().all()


def test_on_a_gpu_the_same_is_told_as_on_the_cpu():
    pictures, looks, told = asking(0.75), [], []
    chosen = {"video.corruption": {"source_height": HEIGHT}}
    batcher = Batcher(DEVICE, 8, 0.0)
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        path = JudgedPath(DEVICE, 1, network=NetworkUse(SURE, 0.01), chosen=chosen)
        path.measure.network.second.take = lambda slot, pts, said: looks.append((round(pts * RATE), said.clone()))
        gpu.on_default_stream.clear()
        for one in pictures:
            path.frames(batcher.assemble([(0, replace(one, device="cuda:0"))], {0: 0.1}))
        path.settle(0)
        assert gpu.on_default_stream == []
        assert gpu.pageable == []
    measure = measuring()
    measure.network.second.take = lambda slot, pts, said: told.append((round(pts * RATE), said.clone()))
    told_of(measure, pictures)
    assert [at for at, _ in looks] == [at for at, _ in told] == [32, 38, 44, 50]
    for (_, there), (_, here) in zip(looks, told, strict=True):
        torch.testing.assert_close(there, here, atol=0.02, rtol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("width", "height", "source", "coded"),
    [
        (1280, 720, (0, 1080), (1920, 1080)),
        (854, 480, (0, 1080), (1920, 1080)),  # 1921.5 in proportion
        (638, 360, (0, 240), (426, 240)),
        (1024, 576, (720, 576), (720, 576)),  # anamorphic
        (1280, 720, (0, 0), (0, 0)),
        (1280, 720, (1280, 0), (0, 0)),
        (1280, 720, (0, 720), (0, 0)),
    ],
)
def test_the_coded_size_is_told_or_keeps_the_shape(width, height, source, coded):
    for xp, made in ((np, np.array), (torch, torch.tensor)):
        numbers = (made([float(n)], dtype=xp.float64) for n in (width, height, *source))
        assert tuple(side.item() for side in coded_size(xp, *numbers)) == coded


@pytest.fixture(scope="module")
def contribution(tmp_path_factory):
    """A stream whose packets were lost, three quarters of its size and coded anew; and where it is damaged."""
    folder = tmp_path_factory.mktemp("scaled")
    pictures = list(islice(moving_pattern(640, 368), 125))
    planted = plant_damage(
        folder / "sent.ts", "hevc", "flip", pictures, rate=Fraction(25), start=2.0, end=4.0, strength=0.3, seed=1
    )
    assert planted is not None
    again = ["-vf", "scale=480:276", "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
    command = [ffmpeg_exe(), "-v", "fatal", "-i", str(folder / "sent.ts"), *again, str(folder / "rendition.mp4")]
    subprocess.run(command, check=True, timeout=120)
    return folder / "rendition.mp4", planted


def told_of_clip(clip, **own):
    settings = EngineSettings(device="cpu", network=NetworkSettings())
    [outcome] = check([StreamSpec("s", str(clip), {"video.corruption": own})], settings, Silent())
    assert outcome.error is None
    return [(one.start, one.end) for one in outcome.incidents]


def test_a_rendition_of_a_contribution_that_broke_is_told_where_its_size_is_known(contribution):
    clip, planted = contribution
    # Nothing is said of what is told without it: what libav shows of slices that HEVC lost differs from run to run.
    (start, end), *_ = told_of_clip(clip, source_height=368)
    assert planted.start <= start <= planted.end
    assert end <= planted.end + 2.0


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"source_height": 1080}, "source_height of video.corruption is 1080, and its pictures have 96 lines"),
        (
            {"source_height": 240, "source_width": 40},
            "source_width of video.corruption is 40, and its pictures have 160",
        ),
        ({"source_height": 288}, None),
        ({"source_width": 4000}, None),  # without a height nothing is told
        ({}, None),
    ],
)
def test_a_size_out_of_range_is_told_in_the_log(tmp_path, caplog, own, said):
    clip = tmp_path / "small.mp4"
    write_pictures(clip, islice(moving_pattern(160, 96), 10), rate=Fraction(25))
    [outcome] = check(
        [StreamSpec("small", str(clip), {"video.corruption": own})], EngineSettings(device="cpu"), Silent()
    )
    assert outcome.error is None
    told = [record.getMessage() for record in caplog.records if "source_" in record.getMessage()]
    assert len(told) == (said is not None)
    for one in told:
        assert one.startswith(f"small: {said}")
        assert "from 1/3 to 3 times the size" in one
