"""A second opinion on blocks that are torn a little: when the network is asked, where it looks, and what counts."""

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch
from changing_net import changing_artifact
from cuda_on_cpu import DEVICE, cuda_on_cpu
from frames import make_frame
from on_tensors import OnTensors
from surfaces import surface

from benchmarks.gpu_kernels import on_a_side_stream
from engine.batch import Batcher
from engine.listener import Silent
from engine.measure import Measure
from engine.measure.columns import place
from engine.measure.network import NetworkUse
from engine.pipeline import check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.artifact_weights import SecondPoint
from models.synthesis.coded_damage import plant_damage
from models.synthesis.picture import moving_pattern

CPU = torch.device("cpu")
CORRUPTION = place("corruption")
WIDTH, HEIGHT, RATE = 320, 208, 25
SURE = replace(changing_artifact(), second=SecondPoint(0.5, 4))


def picture(n, square=None, pieces=0, *, stream="s", size=(HEIGHT, WIDTH), pts=None, interlaced=False):
    """Grey, with a square of two by two blocks, whose (row, column) is given, in which so many tiles are brighter.

    Four blocks of such a square have a torn corner, which is a little and not enough.
    """
    luma = np.full(size, 60)
    if square is not None:
        top, left = (16 * at for at in square)
        luma[top : top + 32, left : left + 32] += 40
        for tile in range(pieces):
            luma[top + 16 * (tile // 2) :, left + 16 * (tile % 2) :][:16, :16] += 30
    chroma = np.full((size[0] // 2, size[1] // 2), 128)
    made = surface(make_frame(luma, chroma, chroma), n / RATE if pts is None else pts, False, interlaced)
    return replace(made, stream=stream)


def asking(count=60, at=30, tiles=4, **options):
    """Pictures, grey but for a square from one on, of which so many tiles are brighter from the next one on."""
    return [
        picture(n, None if n < at else (4, 6), 0 if n <= at else tiles, **(options if n >= at else {}))
        for n in range(count)
    ]


def measuring(artifact=SURE, *, slots=1, arithmetic=None, rate=0.01, parameters=None, **use):
    measure = Measure(CPU, slots, arithmetic, network=NetworkUse(artifact, rate, **use))
    for slot in range(slots):
        measure.open_slot(slot, parameters or {}, {"corruption"})
    return measure


def told_of(measure, pictures, slot=0):
    """(pictures,): `corruption` of each."""
    batcher = Batcher(CPU, 8, 0.0)
    return [float(measure.frames(batcher.assemble([(slot, one)], {slot: 0.1})).values[0, CORRUPTION])
            for one in pictures]  # fmt: skip


def looks_of(measure, pictures):
    """Which of the pictures were looked at."""
    found = []
    measure.network.second.take = lambda slot, pts, said: found.append(round(pts * RATE))
    told_of(measure, pictures)
    return found


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_torn_blocks_that_are_too_few_are_told_where_the_network_is_sure_of_the_next_picture(arithmetic):
    told = told_of(measuring(arithmetic=arithmetic), asking())
    # From the picture behind the one that asks on, for half a second.
    assert [n for n, share in enumerate(told) if share > 0] == list(range(31, 44))
    assert told[31] == pytest.approx(4 * 256 / (WIDTH * HEIGHT))
    for unsure in (
        told_of(measuring(arithmetic=arithmetic), asking(tiles=3)),
        told_of(measuring(arithmetic=arithmetic, confirms=False), asking()),
        told_of(measuring(changing_artifact(), arithmetic=arithmetic), asking()),  # nobody has measured a point
        told_of(measuring(arithmetic=arithmetic, parameters={"video.corruption": {"network_looks": 0.0}}), asking()),
    ):
        assert not any(unsure)


def test_it_looks_around_what_changed_in_the_picture_that_asked():
    said = []
    measure = measuring()
    measure.network.second.take = lambda slot, pts, tiles: said.append(tiles)
    told_of(measure, asking(32))
    [tiles] = said
    # Four pieces of six by six tiles, of which one at least has all of the square.
    assert tiles.shape == (4, 6, 6)
    assert (tiles > 0.5).sum(dim=(1, 2)).max() == 4


def test_a_stream_that_asks_all_the_time_is_looked_at_four_times_in_a_row_and_then_every_second():
    measure, still = measuring(), [picture(n) for n in range(20 * RATE)]
    measure._torn.doubt = np.full(2, 0.5)
    looks = looks_of(measure, still)
    assert looks[:4] == [1, 6, 11, 16]  # of the first picture nothing before it asks
    assert len(looks) <= 4 + 20
    assert np.diff(looks[8:]).tolist() == [RATE] * (len(looks) - 9)
    # Another stream of the slot has all its looks again.
    measure.close_slot(0)
    measure.open_slot(0, {}, {"corruption"})
    assert looks_of(measure, [replace(one, stream="other") for one in still[:20]]) == [1, 6, 11, 16]


def test_what_is_not_its_next_picture_is_not_looked_at():
    # It asks as long as the evidence lasts.
    assert looks_of(measuring(), asking()) == [31, 36, 41, 46]
    behind_a_gap = [*asking(31), *(replace(one, pts=one.pts + 2.0) for one in asking(40)[31:])]
    another_size = [*asking(31), *(picture(n, size=(160, 256)) for n in range(31, 40))]
    interlaced = [*asking(31), *(replace(one, interlaced=True) for one in asking(40)[31:])]
    for pictures in (behind_a_gap, another_size, interlaced):
        assert 31 not in looks_of(measuring(), pictures)
    under_load = measuring()
    under_load.network.share = 0.0
    assert looks_of(under_load, asking(40)) == []


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_is_told_of_a_stream_does_not_depend_on_the_others(arithmetic):
    alone = told_of(measuring(slots=3, arithmetic=arithmetic), asking())
    measure, batcher, beside, looked = measuring(slots=3, arithmetic=arithmetic), Batcher(CPU, 8, 0.0), [], []
    for n, one in enumerate(asking()):
        others = [(2, picture(n, (2, 3), 4 * (n % 2), stream="b")), (1, picture(n, (4, 6), stream="c"))]
        values = measure.frames(batcher.assemble([*others[: n % 3], (0, one)], dict.fromkeys(range(3), 0.1))).values
        beside.append(float(values[-1, CORRUPTION]))
        looked.append(len(values) - 1 in measure.network.looked)
    assert beside == alone
    assert [n for n, seen in enumerate(looked) if seen] == [31, 36, 41, 46]  # which is counted, as every look


def test_on_a_gpu_who_asks_comes_to_the_host_behind_the_batch():
    batcher, told = Batcher(DEVICE, 8, 0.0), []
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure = Measure(DEVICE, 1, network=NetworkUse(SURE, 0.01))
        measure.open_slot(0, {}, {"corruption"})
        gpu.on_default_stream.clear()
        for one in asking():
            rows = measure.frames(batcher.assemble([(0, replace(one, device="cuda:0"))], {0: 0.1}))
            told.append(float(rows.values[0, CORRUPTION].cpu()))
        assert gpu.on_default_stream == []
        assert gpu.pageable == []
    assert told == told_of(measuring(), asking())
    # One byte for each picture.
    assert measure.device_to_host_bytes == len(told)
    with cuda_on_cpu(), on_a_side_stream(DEVICE):
        unasked = Measure(DEVICE, 1, network=NetworkUse(changing_artifact(), 0.01))
        unasked.open_slot(0, {}, {"corruption"})
        unasked.frames(batcher.assemble([(0, replace(picture(0), device="cuda:0"))], {0: 0.1}))
    assert unasked.device_to_host_bytes == 0


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    clip = tmp_path_factory.mktemp("second") / "clip.ts"
    pictures = list(islice(moving_pattern(384, 208), 100))
    planted = plant_damage(clip, "h264", "cut", pictures, rate=Fraction(25), start=2.0, end=3.0, strength=0.4, seed=1)
    assert planted is not None
    return clip


def test_with_the_weights_of_the_package_an_engine_has_second_looks_unless_told_otherwise(damaged):
    def told(**network):
        [outcome] = check(
            [StreamSpec("s", str(damaged), {"video.corruption": {}})],
            EngineSettings(device="cpu", network=NetworkSettings(**network)), Silent(),
        )  # fmt: skip
        assert outcome.error is None
        return [(one.detector, round(one.start, 1)) for one in outcome.incidents]

    assert told() == told(confirms=False) != []
