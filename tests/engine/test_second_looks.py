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
from told_pictures import CORRUPTION, RATE, SURE, tell, told_of

from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import JudgedPath
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
WIDTH, HEIGHT = 320, 208
SINCE = place("broken_since")


def picture(
    n, square=None, pieces=0, *, by=30, blocks=(), stream="s", size=(HEIGHT, WIDTH), pts=None, interlaced=False
):
    """Grey, with a square of two by two blocks, whose (row, column) is given, in which so many tiles are brighter `by`.

    Four blocks of such a square have a torn corner, which is a little and not enough. Single blocks are added.
    """
    luma = np.full(size, 60)
    for row, column in blocks:
        luma[16 * row :, 16 * column :][:16, :16] += 40
    if square is not None:
        top, left = (16 * at for at in square)
        luma[top : top + 32, left : left + 32] += 40
        for tile in range(pieces):
            luma[top + 16 * (tile // 2) :, left + 16 * (tile % 2) :][:16, :16] += by
    chroma = np.full((size[0] // 2, size[1] // 2), 128)
    made = surface(make_frame(luma, chroma, chroma), n / RATE if pts is None else pts, False, interlaced)
    return replace(made, stream=stream)


def asking(count=60, at=30, tiles=4):
    """Pictures, grey but for a square from one on, of which so many tiles are brighter from the second after it on."""
    return [picture(n, None if n < at else (4, 6), 0 if n <= at + 1 else tiles) for n in range(count)]


def enough(count=60, at=30, tiles=1, blocks=((8, 10),), **more):
    """As `asking`, with blocks that make it enough."""
    return [
        picture(n, None if n < at else (4, 6), 0 if n <= at + 1 else tiles, blocks=() if n < at else blocks, **more)
        for n in range(count)
    ]


def measuring(artifact=SURE, *, slots=1, arithmetic=None, rate=0.01, parameters=None, **use):
    measure = Measure(CPU, slots, arithmetic, network=NetworkUse(artifact, rate, **use))
    for slot in range(slots):
        measure.open_slot(slot, parameters or {}, {"corruption"})
    return measure


def looks_of(measure, pictures):
    """Which of the pictures were looked at."""
    found = []
    measure.network.second.take = lambda slot, pts, said: found.append(round(pts * RATE))
    told_of(measure, pictures)
    return found


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_torn_blocks_that_are_too_few_are_told_where_the_network_is_sure_of_the_next_picture(arithmetic):
    told = told_of(measuring(arithmetic=arithmetic), asking())
    # From the second picture behind the one that asks on, for half a second.
    assert [n for n, share in enumerate(told) if share > 0] == list(range(32, 45))
    assert told[32] == pytest.approx(4 * 256 / (WIDTH * HEIGHT))
    for unsure in (
        told_of(measuring(arithmetic=arithmetic), asking(tiles=3)),
        told_of(measuring(arithmetic=arithmetic, confirms=False), asking()),
        told_of(measuring(changing_artifact(), arithmetic=arithmetic), asking()),  # nobody has measured a point
        told_of(measuring(arithmetic=arithmetic, parameters={"video.corruption": {"network_looks": 0.0}}), asking()),
    ):
        assert not any(unsure)


def shares_told(measure, pictures):
    return {n: share for n, share in enumerate(told_of(measure, pictures)) if share > 0}


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_torn_blocks_that_are_hardly_enough_are_told_where_the_network_sees_one_damaged_tile(arithmetic):
    at_once = shares_told(measuring(arithmetic=arithmetic, confirms=False), enough())
    assert list(at_once) == [30, 31]
    assert not shares_told(measuring(arithmetic=arithmetic), enough(tiles=0))
    waited = shares_told(measuring(arithmetic=arithmetic), enough())
    # From the second picture behind them on, for half a second; as much as was torn.
    assert list(waited) == list(range(32, 45))
    assert waited[32] == pytest.approx(at_once[30])


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_waited_began_when_blocks_were_torn(arithmetic):
    measure, since = measuring(arithmetic=arithmetic), []
    batcher, heard = Batcher(CPU, 8, 0.0), None
    for one in enough(36):
        rows = measure.frames(batcher.assemble([(0, one)], {0: 0.1}))
        since.append(round(float(rows.values[0, SINCE]) * RATE))
        heard = tell(measure, rows, heard)
    assert since == [2 * (n == 32) for n in range(36)]


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_nobody_waits_for_a_look_that_does_not_come(arithmetic):
    def loaded():
        measure = measuring(arithmetic=arithmetic)
        measure.network.share = 0.0
        return measure

    at_once = shares_told(measuring(arithmetic=arithmetic, confirms=False), enough(tiles=0))
    for measure in (
        measuring(changing_artifact(), arithmetic=arithmetic),  # nobody has measured a point
        measuring(arithmetic=arithmetic, parameters={"video.corruption": {"network_looks": 0.0}}),
        loaded(),
    ):
        assert shares_told(measure, enough(tiles=0)) == at_once != {}
    of_fields = shares_told(measuring(arithmetic=arithmetic, confirms=False), enough(tiles=0, interlaced=True))
    assert shares_told(measuring(arithmetic=arithmetic), enough(tiles=0, interlaced=True)) == of_fields != {}
    # Two pictures a second are too few: the second one after a torn one comes a second later.
    seldom = [replace(one, pts=one.pts * RATE / 2) for one in enough(tiles=0)]
    of_them = shares_told(measuring(arithmetic=arithmetic, confirms=False), seldom)
    assert shares_told(measuring(arithmetic=arithmetic), seldom) == of_them != {}
    # It looks again once there is less load.
    measure = loaded()
    told_of(measure, [picture(n) for n in range(5)])
    measure.network.share = 1.0
    assert not shares_told(measure, [replace(one, pts=one.pts + 5 / RATE) for one in enough(tiles=0)])


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_of_many_torn_blocks_a_doubt_of_the_network_is_enough(arithmetic):
    torn = tuple((row, column) for row in (0, 2, 8, 10) for column in (1, 4, 12, 15, 18))

    def told(**more):
        return shares_told(measuring(arithmetic=arithmetic), enough(**more))

    # By 14 a tile is 0.22 of damaged, by 12 it is 0.08.
    assert not told(by=14)
    assert not told(by=12, blocks=torn)
    doubted = told(by=14, blocks=torn)
    at_once = shares_told(measuring(arithmetic=arithmetic, confirms=False), enough(tiles=0, blocks=torn))
    assert (min(doubted), min(at_once)) == (32, 30)
    # For as long as there is evidence, though that fades to what would have to wait.
    assert max(doubted) >= max(at_once) > 42


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_the_decoder_says_needs_no_consent(arithmetic):
    # Its word is less than torn blocks need.
    said = [replace(picture(n), corrupt=n == 30) for n in range(40)]
    at_once = shares_told(measuring(arithmetic=arithmetic, confirms=False), said)
    assert shares_told(measuring(arithmetic=arithmetic), said) == at_once != {}


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_damage_that_the_network_does_not_know_is_told_once_it_has_lasted(arithmetic):
    # Six more blocks of each picture become darker, which it takes for sound.
    places, luma, chroma = np.random.default_rng(1).permutation(260), np.full((416, 640), 220), np.full((208, 320), 128)
    pictures = [
        replace(surface(make_frame(luma, chroma, chroma), n / RATE, False, False), stream="s") for n in range(30)
    ]
    for n in range(30, 70):
        luma = luma.copy()
        for at in places[6 * (n - 30) :][:6]:
            luma[32 * (at // 20) :, 32 * (at % 20) :][:16, :16] -= 30
        pictures.append(replace(surface(make_frame(luma, chroma, chroma), n / RATE, False, False), stream="s"))
    assert min(shares_told(measuring(arithmetic=arithmetic, confirms=False), pictures)) == 30
    assert min(shares_told(measuring(arithmetic=arithmetic), pictures)) == 30 + RATE


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_it_saw_shortly_before_is_consent_too(arithmetic):
    # A little is torn first, and looked at two pictures later; three more blocks after that.
    pictures = [
        picture(n, None if n < 30 else (4, 6), int(n > 31), blocks=() if n < 36 else ((8, 10), (10, 3), (10, 14)))
        for n in range(60)
    ]
    assert min(shares_told(measuring(arithmetic=arithmetic), pictures)) == 36


def test_a_look_that_is_waited_for_needs_no_credit():
    measure = measuring()
    told_of(measure, [picture(n) for n in range(30)])
    measure.network.second._credit[0], measure.network.second._credited[0] = 0.0, 29 / RATE
    assert list(shares_told(measure, enough()[30:])) == list(range(2, 15))


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_was_told_is_over_where_time_goes_back(arithmetic):
    pictures = [replace(one, pts=one.pts + 3600.0) for one in asking(36)]
    told = told_of(measuring(arithmetic=arithmetic), [*pictures, *(picture(n) for n in range(20))])
    assert [n for n, share in enumerate(told) if share > 0] == [32, 33, 34, 35]


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_looks_have_to_agree_within_a_second_where_the_point_says_so(arithmetic):
    """A stream that always asks is looked at at its pictures 2, 8, 14, 20, and then once a second."""

    def shown(*bright):
        """Grey, but for a square before each of these pictures, in which tiles are brighter then, ever more."""
        pieces = {n: 4 + turn for turn, n in enumerate(bright)}
        return [picture(n, (4, 6) if {n, n + 1} & {*bright} else None, pieces.get(n, 0)) for n in range(80)]

    def told(looks, *bright):
        measure = measuring(replace(SURE, second=SecondPoint(0.5, 4, looks)), arithmetic=arithmetic)
        measure._torn.said.doubt = measure._torn.said.doubt * 0 + 1.0
        return [n for n, share in enumerate(told_of(measure, shown(*bright))) if share > 0][:1]

    assert told(1, 8) == [8]
    assert told(2, 8) == []
    assert told(2, 8, 14) == [14]
    assert told(2, 8, 20) == [20]  # within a second, too
    assert told(3, 8, 14, 20) == [20]
    # Looks that saw the same are one.
    again = [picture(n, (4, 6) if n in (7, 8, 13, 14) else None, 4 * (n in (8, 14))) for n in range(40)]
    measure = measuring(replace(SURE, second=SecondPoint(0.5, 4, 2)), arithmetic=arithmetic)
    measure._torn.said.doubt = measure._torn.said.doubt * 0 + 1.0
    assert not any(told_of(measure, again))
    # The one at 2 and a look more than a second later.
    later = looks_of(measuring_always(arithmetic), shown())[4]
    assert later > 2 + RATE
    assert told(2, 2, later) == []


def measuring_always(arithmetic=None):
    """Of a stream that always asks."""
    measure = measuring(arithmetic=arithmetic)
    measure._torn.said.doubt = measure._torn.said.doubt * 0 + 1.0
    return measure


def test_it_looks_around_what_changed_in_the_picture_that_asked():
    said = []
    measure = measuring()
    measure.network.second.take = lambda slot, pts, tiles: said.append(tiles)
    told_of(measure, asking(33))
    [tiles] = said
    # Four pieces of six by six tiles, of which one at least has all of the square.
    assert tiles.shape == (4, 6, 6)
    assert (tiles > 0.5).sum(dim=(1, 2)).max() == 4


def test_a_stream_that_asks_all_the_time_is_looked_at_four_times_in_a_row_and_then_every_second():
    measure, still = measuring(), [picture(n) for n in range(20 * RATE)]
    measure._torn.said.doubt = np.full(2, 0.5)
    looks = looks_of(measure, still)
    # The second one after the first, and where that would be too soon the second after it again.
    assert looks[:4] == [2, 8, 14, 20]
    assert len(looks) <= 4 + 20
    assert set(np.diff(looks[8:]).tolist()) <= {RATE - 1, RATE, RATE + 1}
    # Another stream of the slot has all its looks again.
    measure.close_slot(0)
    measure.open_slot(0, {}, {"corruption"})
    assert looks_of(measure, [replace(one, stream="other") for one in still[:21]]) == [2, 8, 14, 20]


def test_what_is_not_its_next_picture_is_not_looked_at():
    # It asks as long as the evidence lasts.
    assert looks_of(measuring(), asking()) == [32, 38, 44, 50]
    behind_a_gap = [*asking(32), *(replace(one, pts=one.pts + 2.0) for one in asking(40)[32:])]
    another_size = [*asking(31), *(picture(n, size=(160, 256)) for n in range(31, 40))]
    interlaced = [*asking(31), *(replace(one, interlaced=True) for one in asking(40)[31:])]
    for pictures, later in ((behind_a_gap, 50), (another_size, 0), (interlaced, 0)):
        assert 32 + later not in looks_of(measuring(), pictures)
    under_load = measuring()
    under_load.network.share = 0.0
    assert looks_of(under_load, asking(40)) == []


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_what_is_told_of_a_stream_does_not_depend_on_the_others(arithmetic):
    alone = told_of(measuring(slots=3, arithmetic=arithmetic), asking())
    measure, batcher, beside, looked, heard = (
        measuring(slots=3, arithmetic=arithmetic),
        Batcher(CPU, 8, 0.0),
        [],
        [],
        None,
    )
    for n, one in enumerate(asking()):
        others = [(2, picture(n, (2, 3), 4 * (n % 2), stream="b")), (1, picture(n, (4, 6), stream="c"))]
        rows = measure.frames(batcher.assemble([*others[: n % 3], (0, one)], dict.fromkeys(range(3), 0.1)))
        beside.append(float(rows.values[-1, CORRUPTION]))
        looked.append(len(rows.values) - 1 in measure.network.looked)
        heard = tell(measure, rows, heard)
    assert beside == alone
    assert [n for n, seen in enumerate(looked) if seen] == [32, 38, 44, 50]  # which is counted, as every look


@pytest.mark.parametrize("pictures_per_second", [RATE, 4])
@pytest.mark.parametrize("made", [asking, enough])
def test_on_a_gpu_the_same_pictures_are_looked_at_as_on_the_cpu(made, pictures_per_second):
    """Who asks crosses with the judge's counts, and is heard while the next batch is under way."""
    pictures = [replace(one, pts=one.pts * RATE / pictures_per_second) for one in made()]
    looks, batcher = [], Batcher(DEVICE, 8, 0.0)
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        path = JudgedPath(DEVICE, 1, network=NetworkUse(SURE, 0.01))
        path.measure.network.second.take = lambda slot, pts, said: looks.append(round(pts * pictures_per_second))
        gpu.on_default_stream.clear()
        for one in pictures:
            path.frames(batcher.assemble([(0, replace(one, device="cuda:0"))], {0: 0.1}))
        path.settle(0)
        assert gpu.on_default_stream == []
        assert gpu.pageable == []
    on_cpu = []
    measure = measuring()
    measure.network.second.take = lambda slot, pts, said: on_cpu.append(round(pts * pictures_per_second))
    told_of(measure, pictures)
    assert looks == on_cpu != []


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
