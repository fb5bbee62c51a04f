"""The artifact network in the engine: which pictures and places it sees, what it says of them, and the map."""

import io
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
from PIL import Image
from surfaces import surface

from benchmarks.gpu_kernels import on_a_side_stream
from engine.batch import Batcher
from engine.errors import ConfigError
from engine.evidence.jpeg import encode
from engine.evidence.overlay import painted, painted_there
from engine.evidence.recorder import EvidenceSettings
from engine.listener import Silent
from engine.measure import Measure
from engine.measure.columns import VIDEO_COLUMNS, place
from engine.measure.network import NetworkUse
from engine.measure.places import places_by_chance, places_of_change
from engine.overload import Overload, OverloadSettings
from engine.pipeline import check
from engine.report import write_report
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from kernels.tile_stats import TILE_COLUMNS, TILE_ROWS, TILES
from models.artifact_weights import NEVER, OperatingPoint, RatedPoints, load_artifact
from models.synthesis.coded_damage import plant_damage
from models.synthesis.picture import moving_pattern
from models.weight_files import write_weights

CPU = torch.device("cpu")
NETWORK, CORRUPTION = place("network_corruption"), place("corruption")
WIDTH, HEIGHT = 320, 208


def picture(level=60, block=None, stream="s", pts=0.0, interlaced=False, size=(HEIGHT, WIDTH)):
    """Grey, with a brighter tile of 16x16 at (row, column) of tiles."""
    luma = np.full(size, level)
    if block is not None:
        row, column = block
        luma[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 100
    chroma = np.full((size[0] // 2, size[1] // 2), 128)
    made = surface(make_frame(luma, chroma, chroma), pts, False, interlaced)
    return replace(made, stream=stream)


def measure_with(artifact, *, rate=1.0, judges=False, slots=2, arithmetic=None, wanted=("corruption",)):
    measure = Measure(CPU, slots, arithmetic, network=NetworkUse(artifact, rate, judges))
    for slot in range(slots):
        measure.open_slot(slot, {}, set(wanted))
    return measure


def rows_of(measure, *batches):
    """The rows of (slot, surface) batches; a slot's pictures one after the other."""
    batcher = Batcher(CPU, 8, 0.0)
    return [measure.frames(batcher.assemble(batch, {0: 0.1, 1: 0.1})).values.clone() for batch in batches]


def test_one_picture_of_each_step_of_the_rate_is_looked_at_and_never_the_first():
    measure = measure_with(changing_artifact(), rate=2.0)
    rows = rows_of(measure, *([(0, picture(pts=n / 10))] for n in range(1, 31)))
    assert [n / 10 for n, row in enumerate(rows, 1) if not row[0, NETWORK].isnan()] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_lowered_under_load_and_back():
    measure = measure_with(changing_artifact())
    batches = [[(0, picture(pts=n / 2))] for n in range(13)]
    looked = []
    for n, batch in enumerate(batches):
        measure.network.share = 0.0 if 4 <= n < 9 else 1.0
        [row] = rows_of(measure, batch)
        looked.append(not row[0, NETWORK].isnan())
    assert [n for n, seen in enumerate(looked) if seen] == [2, 9, 10, 12]


def test_interlaced_pictures_and_streams_that_do_not_ask_are_not_looked_at():
    measure = measure_with(changing_artifact())
    measure.open_slot(1, {}, {"black_ratio"})
    rows = rows_of(measure, *([(0, picture(pts=n, interlaced=True)), (1, picture(pts=n))] for n in range(4)))
    assert all(row[:, NETWORK].isnan().all() for row in rows)


GRID = torch.tensor([TILE_ROWS, TILE_COLUMNS])


def test_it_looks_where_the_picture_changed_most():
    change = torch.zeros((1, TILES), dtype=torch.float64)
    change[0, 4 * TILE_COLUMNS + 8] = 0.2
    change[0, 4 * TILE_COLUMNS + 9] = 0.1  # within the same piece
    change[0, 0] = 0.01
    found = places_of_change(change, torch.tensor([[540, 960]]), GRID, 2)[0].tolist()
    assert found == [[208, 448], [0, 0]]
    still = places_of_change(change * 0, torch.tensor([[90, 90]]), GRID, 2)
    assert (still == 0).all()  # smaller than a piece: there is one place only


def test_places_by_chance_come_from_the_stream_and_its_time_alone_and_cover_the_picture():
    big = picture(pts=3.5, size=(720, 1280))
    assert places_by_chance(big, 4) == places_by_chance(picture(level=9, pts=3.5, size=(720, 1280)), 4)
    assert places_by_chance(big, 4) != places_by_chance(replace(big, stream="other"), 4)
    corners = {corner for n in range(4000) for corner in places_by_chance(replace(big, pts=n / 25), 2)}
    assert {top for top, _ in corners} == set(range(0, 625, 16))
    assert {left for _, left in corners} == set(range(0, 1185, 16))


def test_what_it_says_of_a_stream_does_not_depend_on_the_others_or_on_the_arithmetic():
    artifact = load_artifact()
    rng = np.random.default_rng(4)

    def noisy(stream, seed, pts, size):
        luma = np.clip(rng.normal(120, 40, size).round(), 0, 255).astype(int)
        luma[: size[0] // 2] = np.linspace(20, 220, size[1]).astype(int)
        chroma = rng.integers(90, 160, (size[0] // 2, size[1] // 2))
        return replace(surface(make_frame(luma, chroma, chroma), pts, False, False), stream=stream)

    one = [noisy("one", n, n, (144, 176)) for n in range(4)]
    two = [noisy("two", n, n, (HEIGHT, WIDTH)) for n in range(4)]
    points = RatedPoints(((1.0, replace(artifact.points.at(1.0), tile=1e-3)),))
    artifact = replace(artifact, points=points)
    alone = rows_of(measure_with(artifact), *([(0, s)] for s in one))
    beside = rows_of(measure_with(artifact), *([(1, b), (0, a)] for a, b in zip(one, two, strict=True)))
    on_tensors = rows_of(measure_with(artifact, arithmetic=OnTensors()), *([(0, s)] for s in one))
    expected = torch.stack([row[0, NETWORK] for row in alone])
    assert (expected[1:] > 0).any()
    torch.testing.assert_close(
        torch.stack([row[1, NETWORK] for row in beside]), expected, rtol=0, atol=0, equal_nan=True
    )
    torch.testing.assert_close(torch.stack([row[0, NETWORK] for row in on_tensors]), expected, rtol=0, atol=0,
                               equal_nan=True)  # fmt: skip


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_it_judges_only_where_it_is_told_to_and_once_it_is_sure(arithmetic):
    def told(judges):
        measure = measure_with(changing_artifact(area=1 / 144), judges=judges, slots=1, arithmetic=arithmetic)
        # Another tile of the grey picture lights up at each look from 2 s on, for four looks.
        batches = [[(0, picture(pts=n / 4, block=(6, 4 + n // 4) if 8 <= n < 24 else None))] for n in range(40)]
        return [float(row[0, CORRUPTION]) for row in rows_of(measure, *batches)]

    assert not any(told(judges=False))
    found = [n / 4 for n, share in enumerate(told(judges=True)) if share > 0]
    # At 2 s and at 3 s it sees damage: sure at the second of them, and until it has looked and seen none, at 6 s.
    assert found == [n / 4 for n in range(12, 24)]


@pytest.mark.parametrize("arithmetic", [None, OnTensors()])
def test_a_stream_is_looked_at_and_judged_as_its_own_parameters_say(arithmetic):
    """Three streams with the same damage from 2 s on: as the engine has it, three looks a second that judge, none."""
    often = OperatingPoint(0.5, 1 / 144, 4)
    artifact = replace(changing_artifact(), points=RatedPoints(((1.0, OperatingPoint(0.5, 1.0, 1)), (3.0, often))))
    own = ({}, {"network_looks": 3.0, "network_judges": 1.0}, {"network_looks": 0.0, "network_judges": 1.0})
    measure = Measure(CPU, 3, arithmetic, network=NetworkUse(artifact, 1.0))
    for slot, parameters in enumerate(own):
        measure.open_slot(slot, {"video.corruption": parameters}, {"corruption"})
    batcher, looks, told = Batcher(CPU, 8, 0.0), [0, 0, 0], [[], [], []]
    for n in range(60):
        # Another tile lights up at every picture from 2 s on.
        made = [picture(pts=n / 12, block=(6, n % 12) if n >= 24 else None, stream=f"s{slot}") for slot in range(3)]
        values = measure.frames(batcher.assemble(list(enumerate(made)), dict.fromkeys(range(3), 1 / 12))).values
        for slot, row in enumerate(values):
            looks[slot] += not torch.isnan(row[NETWORK])
            if row[CORRUPTION] > 0:
                told[slot].append(n / 12)
    assert looks == [4, 14, 0]
    # At 2 s, and a third, two thirds and a whole second later: the fourth in a row is sure.
    assert [times[:1] for times in told] == [[], [3.0], []]
    # Another stream moves in, with the engine's own.
    measure.open_slot(1, {}, {"corruption"})
    again = [measure.frames(batcher.assemble([(1, picture(pts=n / 12, block=(6, n % 12)))], {1: 1 / 12})).values[0]
             for n in range(36)]  # fmt: skip
    assert sum(not torch.isnan(row[NETWORK]) for row in again) == 2
    assert not any(row[CORRUPTION] > 0 for row in again)


def test_the_map_is_of_the_whole_picture_and_has_the_damage_in_its_place():
    network = measure_with(changing_artifact()).network
    batcher = Batcher(CPU, 8, 0.0)
    for size, block in (((1080, 1920), (66, 119)), ((HEIGHT, WIDTH), (0, 0)), ((64, 80), (3, 4))):
        now, before = picture(block=block, size=size), picture(size=size)
        batch = batcher.assemble([(0, now)], {0: 0.1})
        reference = torch.tensor([[*before.addresses, before.luma_pitch, before.chroma_pitch]])
        found = network.map_of(now, batch.frames, reference)
        assert found.shape == (size[0] // 16, size[1] // 16)
        assert [tuple(at) for at in np.argwhere(found > 0.5)] == [block]


def test_the_map_is_painted_over_its_tiles_and_nowhere_else():
    grey = torch.full((3, 90, 160), 100, dtype=torch.uint8)
    damage = np.zeros((67, 120), np.float32)
    damage[30:34, 60:64] = 0.9
    shown = painted(grey, torch.from_numpy(damage), (1080, 1920), 0.5)
    changed = (shown != grey).any(dim=0)
    rows, columns = (torch.nonzero(changed.any(dim=k)).flatten().tolist() for k in (1, 0))
    assert rows[0] in (39, 40)
    assert rows[-1] in (45, 46)
    assert columns[0] in (79, 80)
    assert columns[-1] in (85, 86)
    assert shown[0, 42, 82] > shown[1, 42, 82]
    assert torch.equal(painted(grey, torch.from_numpy(damage * 0), (1080, 1920), 0.5), grey)


def test_on_a_gpu_the_map_is_of_the_next_picture_and_painted_there():
    given, batcher = [], Batcher(DEVICE, 8, 0.0)

    def there(pts, block):
        return replace(picture(pts=pts, block=block), device="cuda:0")

    def take(shown, damage):
        given.append((shown.pts, damage, painted_there(shown, damage, 0.5)))

    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure = Measure(DEVICE, 2, network=NetworkUse(changing_artifact(), 0.0))
        measure.open_slot(0, {}, {"network_corruption"})
        gpu.on_default_stream.clear()
        for number, block in enumerate((None, (3, 5), (6, 12), (1, 1))):
            if number == 2:
                measure.map_next(0, take)
                measure.map_next(1, take)  # nobody is there
            measure.frames(batcher.assemble([(0, there(number / 25, block))], {0: 0.1}))
        [(pts, damage, shown)] = given
        assert pts == 2 / 25
        assert shown.is_cuda
        coded = encode(shown)
    assert [tuple(at) for at in np.argwhere(damage.cpu().numpy() > 0.5)] == [(6, 12)]
    assert Image.open(io.BytesIO(coded)).size == (WIDTH, HEIGHT)
    assert gpu.on_default_stream == []


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Four seconds of H.264, of which parts are lost from 2 s to 3 s."""
    clip = tmp_path_factory.mktemp("network") / "clip.ts"
    pictures = list(islice(moving_pattern(384, 208), 100))
    planted = plant_damage(clip, "h264", "cut", pictures, rate=Fraction(25), start=2.0, end=3.0, strength=0.4, seed=1)
    assert planted is not None
    return clip


def judged(clip, parameters=None, **settings):
    seconds, pieces = [], {}

    class Seconds(Silent):
        def on_second(self, second):
            seconds.append(second)

    def take(_, kind, content):
        pieces[kind] = content

    spec = StreamSpec("s", str(clip), {"video.corruption": parameters or {}})
    [outcome] = check([spec], EngineSettings(device="cpu", **settings), Seconds(), None, take)
    return outcome, seconds, pieces


def test_from_a_file_to_coverage_overlay_and_report(damaged, tmp_path):
    outcome, seconds, pieces = judged(
        damaged, thumbnails=True, trace=True, evidence=EvidenceSettings(patient=True), network=NetworkSettings(2.0)
    )
    assert [second.frames_seen_by_network for second in seconds] == [1, 2, 2, 2]
    seen = outcome.trace["video"].values[:, VIDEO_COLUMNS.index("network_corruption")]
    assert np.count_nonzero(~np.isnan(seen)) == 7
    _, more, _ = judged(damaged, {"network_looks": 2}, network=NetworkSettings(2.0))
    assert [second.frames_seen_by_network for second in more] == [3, 4, 4, 4]
    [incident] = outcome.incidents
    for jpeg in (pieces["overlay"], outcome.overlays[incident.id]):
        assert Image.open(io.BytesIO(jpeg)).size == (384, 208)
    write_report(tmp_path / "page.html", [outcome])
    assert "where the network sees damage" in (tmp_path / "page.html").read_text()


def test_without_the_network_nothing_of_it_is_there(damaged):
    outcome, seconds, pieces = judged(damaged, thumbnails=True, network=NetworkSettings(pictures_per_second=0))
    assert [incident.detector for incident in outcome.incidents] == ["video.corruption"]
    assert not any(second.frames_seen_by_network for second in seconds)
    assert "thumbnail" in pieces
    assert "overlay" not in pieces
    assert not outcome.overlays


def test_weights_that_cannot_be_used_are_an_error_with_a_remedy(damaged, tmp_path):
    path = tmp_path / "mine.safetensors"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ConfigError, match="pickle"):
        judged(damaged, network=NetworkSettings(weights=path))
    write_weights(path, {"head.weight": torch.zeros(3)}, {"network": "artifact"})
    with pytest.raises(ConfigError, match="another shape"):
        judged(damaged, network=NetworkSettings(weights=path))


def test_own_weights_judge_at_their_own_point(damaged, tmp_path):
    path = tmp_path / "mine.safetensors"
    artifact = changing_artifact(area=0.25, pictures=3)
    about = {"network": "artifact", "version": "mine"} | artifact.points.as_text()
    write_weights(path, artifact.net.state_dict(), about)
    read = load_artifact(path)
    assert (read.points, read.version) == (artifact.points, "mine")
    # Without a point they never judge, whatever they say.
    write_weights(path, artifact.net.state_dict(), {"network": "artifact"})
    assert load_artifact(path).points.at(5.0) == NEVER
    for points, why in (
        ('[{"pictures_per_second": 1, "tile": 0.5, "area": 2, "pictures": 1}]', "cannot be"),
        ('[{"pictures_per_second": 1, "tile": 0.5, "area": "much", "pictures": 1}]', "is no number"),
        ('[{"tile": 0.5, "area": 0.1, "pictures": 1}]', "cannot be read"),
        ("[{", "cannot be read"),
        ('[{"pictures_per_second": 0, "tile": 0.5, "area": 0.1, "pictures": 1}]', "rates that cannot be"),
    ):
        write_weights(path, artifact.net.state_dict(), about | {"points": points})
        with pytest.raises(ConfigError, match=why):
            judged(damaged, network=NetworkSettings(weights=path))


def test_under_load_the_network_goes_before_any_picture_and_comes_back_last():
    overload, now, seen = Overload(OverloadSettings(), network=True), 100.0, []
    for lag, load in [(2.5, 1.0)] * 12 + [(0.0, 0.2)] * 200:
        now += 1.0
        if overload.decide(now, lag, load, {"a": 1, "b": 2}):
            seen.append((overload.network_share, overload.rate, len(overload.shed)))
    assert seen[:2] == [(0.0, None, 0), (0.0, 25.0, 0)]
    assert seen[-2:] == [(0.0, None, 0), (1.0, None, 0)]
