"""Whole pictures of streams at most of which the network looks: judged by what it said before."""

from dataclasses import replace

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
from engine.errors import ConfigError
from engine.measure import Measure
from engine.measure.columns import place
from engine.measure.network import NetworkUse
from engine.networks import network_of
from engine.spec import NetworkSettings
from models.artifact_history import ArtifactHistory, HistoryNet, load_history
from models.artifact_net import MIRRORED_TOO
from models.artifact_weights import OperatingPoint, RatedPoints, load_artifact
from models.map_series import logits_of, seen_with
from models.weight_files import write_weights

CPU = torch.device("cpu")
NETWORK, CORRUPTION = place("network_corruption"), place("corruption")
SIZE = 112, 176
# A tile more or less, of 7 times 11.
ONE = 1 / 77


def planes_of(seed, size=SIZE):
    """Noise below a ramp: the network says something else of each tile."""
    rng = np.random.default_rng(seed)
    luma = np.clip(rng.normal(120, 40, size).round(), 0, 255).astype(np.uint8)
    luma[: size[0] // 2] = np.linspace(20, 220, size[1]).astype(np.uint8)
    return luma, *rng.integers(90, 160, (2, size[0] // 2, size[1] // 2)).astype(np.uint8)


def picture(seed, pts, size=SIZE, stream="s"):
    return replace(surface(make_frame(*planes_of(seed, size)), pts, False, False), stream=stream)


@pytest.fixture(scope="module")
def history():
    torch.manual_seed(4)
    net = HistoryNet().eval().requires_grad_(False)
    for member in net.members:
        member.told.weight.normal_(0, 0.5)
    return ArtifactHistory(net, "", "made")


def told_of_noise(net, history, looked):
    """(looks, rows, columns): how probable damage is, by the plain maps of these pictures and of those before."""
    maps = np.stack([logits_of(net, planes_of(n - 1), planes_of(n), MIRRORED_TOO) for n in looked])
    seen = [torch.from_numpy(seen_with(maps[: count + 1]))[None] for count in range(len(looked))]
    return np.stack([history.net(each).sigmoid()[0].numpy() for each in seen])


@pytest.fixture(scope="module")
def artifact(history):
    """The package's weights, with the probability of a tile by which the noise differs most from picture to picture.

    Whatever the weights: they have been trained anew five times, and each says something else of noise.
    """
    found = load_artifact()
    point = found.points.at(25.0)
    every, third = (told_of_noise(found.net, history, looked) for looked in (range(1, 12), range(3, 12, 3)))

    def differs(tile):
        shares = [(told >= tile).mean(axis=(1, 2)) for told in (every, third)]
        return min(np.ptp(of) for of in shares) if shares[0].min() > point.area else 0.0

    tile = max(np.arange(0.02, 1.0, 0.03), key=differs)
    return replace(found, points=RatedPoints(((25.0, replace(point, tile=tile)),)))


def shares(use, *batches, arithmetic=None, slots=2):
    """What is said of (slot, surface) batches, one after the other: by slot of each."""
    measure, batcher, found = Measure(CPU, slots, arithmetic, network=use), Batcher(CPU, 8, 0.0), []
    for slot in range(slots):
        measure.open_slot(slot, {}, {"corruption"})
    for batch in batches:
        values = measure.frames(batcher.assemble(batch, {0: 0.04, 1: 0.04})).values
        found.append({slot: float(row[NETWORK]) for (slot, _), row in zip(batch, values, strict=True)})
    return found


def of_slot(found, slot=0):
    return [row[slot] for row in found]


@pytest.mark.parametrize("step", [1, 3])
def test_what_is_said_is_that_of_the_plain_maps_and_what_was_seen_before(artifact, history, step):
    count = 12
    found = of_slot(
        shares(NetworkUse(artifact, 25.0 / step, False, history), *([(0, picture(n, n / 25))] for n in range(count)))
    )
    maps = np.stack([logits_of(artifact.net, planes_of(n - 1), planes_of(n), MIRRORED_TOO) for n in range(1, count)])
    looked = [n for n in range(count) if not np.isnan(found[n])]
    assert looked == [n for n in range(1, count) if n % step == 0]
    differs, tile = False, artifact.points.at(25.0).tile
    for index, n in enumerate(looked):
        seen = torch.from_numpy(seen_with(maps[[k - 1 for k in looked[: index + 1]]]))[None]
        told = history.net(seen).sigmoid()[0]
        # No tile may be so near that the order of sums decides.
        assert (told - tile).abs().min() > 1e-5
        assert found[n] == float((told >= tile).double().mean())
        differs |= found[n] != float((torch.from_numpy(maps[n - 1]).sigmoid() >= tile).double().mean())
    assert differs
    assert np.nanmax(found) - np.nanmin(found) > 5 * ONE


def test_what_is_said_of_a_stream_does_not_depend_on_the_others_or_on_the_arithmetic(artifact, history):
    use = NetworkUse(artifact, 25.0, False, history)
    one = [picture(n, n / 25) for n in range(6)]
    two = [picture(50 + n, n / 25, (96, 128), "other") for n in range(6)]
    alone = of_slot(shares(use, *([(0, s)] for s in one)))
    beside = of_slot(shares(use, *([(1, b), (0, a)] for a, b in zip(one, two, strict=True))))
    there = of_slot(shares(use, *([(0, s)] for s in one), arithmetic=OnTensors()))
    assert np.nanmax(alone) - np.nanmin(alone) > 5 * ONE
    np.testing.assert_array_equal(beside, alone)
    np.testing.assert_array_equal(of_slot(shares(use, *([(0, s)] for s in one))), alone)
    np.testing.assert_array_equal(there, alone)


def test_behind_a_gap_and_with_another_size_nothing_is_left_of_before(artifact, history):
    use = NetworkUse(artifact, 25.0, False, history)
    before = [picture(n, n / 25) for n in range(6)]
    # The map of the first picture behind a gap is of it and the last one before.
    fresh = of_slot(shares(use, *([(0, picture(5 + n, 9 + n / 25))] for n in range(6))))[1:]
    behind = of_slot(shares(use, *([(0, s)] for s in before), *([(0, picture(6 + n, 9 + n / 25))] for n in range(5))))
    np.testing.assert_array_equal(behind[6:], fresh)
    other = [picture(n, 1 + n / 25, (96, 128)) for n in range(5)]
    after = of_slot(shares(use, *([(0, s)] for s in before), *([(0, s)] for s in other)))
    # Of the first one of another size nothing is there to compare it with: it is as a stream's first.
    np.testing.assert_array_equal(after[6:], of_slot(shares(use, *([(0, s)] for s in other))))


def test_another_stream_in_the_slot_begins_anew(artifact, history):
    use = NetworkUse(artifact, 25.0, False, history)
    measure, batcher = Measure(CPU, 1, network=use), Batcher(CPU, 8, 0.0)
    found = []
    for first in (0, 30):
        measure.open_slot(0, {}, {"corruption"})
        for n in range(first, first + 5):
            batch = batcher.assemble([(0, picture(n, n / 25))], {0: 0.04})
            found.append(float(measure.frames(batch).values[0, NETWORK]))
    np.testing.assert_array_equal(
        found[5:], of_slot(shares(use, *([(0, picture(n, n / 25))] for n in range(30, 35)), slots=1))
    )


def test_of_a_stream_that_has_left_nothing_is_kept(artifact, history):
    measure, batcher = Measure(CPU, 2, network=NetworkUse(artifact, 25.0, False, history)), Batcher(CPU, 8, 0.0)
    for slot in range(2):
        measure.open_slot(slot, {}, {"corruption"})
    for n in range(3):
        measure.frames(batcher.assemble([(0, picture(n, n / 25)), (1, picture(n, n / 25))], {0: 0.04, 1: 0.04}))
    assert measure.network._whole.kept == {0, 1}
    measure.close_slot(0)
    assert measure.network._whole.kept == {1}


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_whole_pictures_judge_at_their_own_point_and_never_without_one(artifact, history, arithmetic):
    def told(point, judges=True):
        use = NetworkUse(artifact, 25.0, judges, replace(history, point=point))
        measure, batcher, found = Measure(CPU, 1, arithmetic, network=use), Batcher(CPU, 8, 0.0), []
        measure.open_slot(0, {}, {"corruption"})
        for n in range(8):
            values = measure.frames(batcher.assemble([(0, picture(n, n / 25))], {0: 0.04})).values
            found.append((float(values[0, CORRUPTION]), float(values[0, NETWORK])))
        return np.array(found).T

    pieces = artifact.points.at(25.0)
    blocks, said = told(None)
    at_least = float(np.nanmin(said))
    sure, again = told(OperatingPoint(pieces.tile, at_least, 3))
    np.testing.assert_array_equal(again, said)
    # The first is not looked at, and three in a row are sure; then the least of those counts.
    np.testing.assert_array_equal(sure[:3], blocks[:3])
    least = np.minimum.accumulate(said[1:])[2:]
    assert (least > blocks[3:]).any()
    np.testing.assert_array_equal(sure[3:], np.maximum(least, blocks[3:]))
    # That of the pieces would have told.
    assert at_least > pieces.area
    np.testing.assert_array_equal(blocks, told(OperatingPoint(pieces.tile, at_least, 3), judges=False)[0])
    np.testing.assert_array_equal(told(OperatingPoint(pieces.tile, 1.0, 1))[0], blocks)


def test_whole_pictures_are_looked_at_where_they_are_asked_for():
    assert network_of(NetworkSettings(25.0)).history is None
    assert network_of(NetworkSettings(25.0, judges=True)).history is None
    assert network_of(NetworkSettings(8.0, whole_pictures=True)).history is not None
    # The package's weights hold the point that `bench whole-streams` measured.
    assert network_of(NetworkSettings(8.0, judges=True, whole_pictures=True)).history.point == load_history().point
    assert load_history().point is not None


def test_whole_pictures_are_refused_where_nothing_can_be_told_by_them(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"cannot look at whole pictures: .*; set pictures_per_second to 8 or more"):
        network_of(NetworkSettings(7.9, whole_pictures=True))
    with monkeypatch.context() as without:
        without.setattr("engine.networks.load_history", lambda: replace(load_history(), point=None))
        with pytest.raises(ConfigError, match=r"nobody has measured .*; leave out judges, or whole_pictures"):
            network_of(NetworkSettings(25.0, judges=True, whole_pictures=True))
    own = tmp_path / "own.safetensors"
    write_weights(own, changing_artifact().net.state_dict(), {"network": "artifact"})
    with pytest.raises(ConfigError, match=r"trained on other weights .*; leave out weights, or whole_pictures"):
        network_of(NetworkSettings(25.0, weights=own, whole_pictures=True))


def test_without_being_asked_for_nothing_is_kept(artifact):
    pictures = [[(0, picture(n, n / 25))] for n in range(6)]
    measure = Measure(CPU, 1, network=NetworkUse(artifact, 25.0))
    measure.open_slot(0, {}, {"corruption"})
    for batch in pictures:
        measure.frames(Batcher(CPU, 8, 0.0).assemble(batch, {0: 0.04}))
    assert measure.network._whole is None


def test_looks_that_are_far_apart_see_pieces(history):
    # Of 50 pictures a second every fifth; a piece is some tiles of the picture, of which one lights up.
    use = NetworkUse(changing_artifact(), 10.0, False, history)
    far, plain = (
        of_slot(shares(of, *([(0, picture(n, n / 50, (320, 480)))] for n in range(21))))
        for of in (use, replace(use, history=None))
    )
    np.testing.assert_array_equal(far, plain)
    assert np.count_nonzero(~np.isnan(far)) == 4


def test_when_load_thins_out_looks_they_go_on_with_pieces(artifact, history):
    use = NetworkUse(artifact, 25.0, False, history)
    measure, batcher = Measure(CPU, 1, network=use), Batcher(CPU, 8, 0.0)
    measure.open_slot(0, {}, {"corruption"})
    kept = []
    for n in range(30):
        measure.network.share = 0.1 if 10 <= n < 25 else 1.0
        measure.frames(batcher.assemble([(0, picture(n, n / 25))], {0: 0.04}))
        if measure.network.looked:
            kept.append((n, len(measure.network._whole.kept)))
    # 2.5 a second: of 15 pictures the 10th, 20th.
    assert [n for n, _ in kept] == [*range(1, 10), *[n for n, _ in kept if 10 <= n < 25], *range(25, 30)]
    assert [count for n, count in kept if 10 < n < 25] == [0]
    assert kept[-1][1] == 1


def test_on_a_gpu_it_says_what_it_says_on_the_cpu_and_launches_on_its_own_stream(artifact, history):
    use = NetworkUse(artifact, 25.0, False, history)
    own = of_slot(shares(use, *([(0, picture(n, n / 25))] for n in range(12))))
    batcher, found = Batcher(DEVICE, 8, 0.0), []
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure = Measure(DEVICE, 2, network=use)
        measure.open_slot(0, {}, {"corruption"})
        gpu.on_default_stream.clear()
        for n in range(12):
            there = replace(picture(n, n / 25), device="cuda:0")
            values = measure.frames(batcher.assemble([(0, there)], {0: 0.04})).values
            found.append(float(values.cpu()[0, NETWORK]))
        assert gpu.on_default_stream == []
        assert list(measure.network._whole.kept) == [0]
    assert np.nanmax(own) - np.nanmin(own) > 10 * ONE
    # 16 bits: an eighth of a logit, which may carry six of the tiles over the threshold.
    np.testing.assert_allclose(found, own, rtol=0, atol=6 * ONE)
