"""The network over the maps of the pictures before: what it is trained and tried on."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from models.artifact_history import load_history, surest
from models.artifact_net import AS_IT_IS, PIECE
from models.artifact_weights import SHIPPED_WEIGHTS, load_artifact
from models.evaluate_frames import evaluate_frames
from models.map_series import MapSeries, logits_of, seen_with
from models.synthesis.clean_cases import Leads, clean_cases
from models.synthesis.damaged_cases import damaged_cases
from models.synthesis.picture_windows import LEAD, LONG, graphics, led_windows, windows
from models.synthesis.tile_truth import Case, clean_truth
from models.train import TrainSettings
from models.train_history import Example, seen_at, sure, train_history, train_member
from models.weight_files import digest_of

RATE = Fraction(25)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_windows_come_with_what_the_clip_shows_before_them(tmp_path):
    path = tmp_path / "counted.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = PIECE, PIECE, "yuv420p"
        for number in range(100):
            level = np.full((PIECE * 3 // 2, PIECE), 16 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(level, "yuv420p")))
        container.mux(stream.encode(None))
    plain = list(windows(path, np.random.default_rng(2), 6))
    led = list(led_windows(path, np.random.default_rng(2), 6))
    assert len(plain) == len(led) == 6
    for (part, rate), (lead, window, led_rate) in zip(plain, led, strict=True):
        assert rate == led_rate
        assert all(same(a, b) for a, b in zip(part, window, strict=True))
        shown = [(int(picture[0][0, 0]) - 16) // 2 for picture in [*lead, *window]]
        first = shown[len(lead)]
        assert shown == list(range(max(0, first - LEAD), first + LONG))
    assert {len(lead) for lead, _, _ in led} >= {LEAD}


def test_the_pictures_are_the_same_with_what_was_before_them():
    window, other = (graphics(np.random.default_rng(seed)) for seed in (4, 5))
    lead, lead_of_other = (graphics(np.random.default_rng(seed))[:LEAD] for seed in (6, 7))
    kinds = set()
    for seed in range(4):
        plain, led = (
            list(clean_cases(window, other, RATE, np.random.default_rng(seed), 18, leads))
            for leads in (None, Leads(lead, lead_of_other))
        )
        assert len(plain) == len(led) == 18
        for one, two in zip(plain, led, strict=True):
            assert not one.before
            assert one.kind == two.kind
            assert same(one.earlier, two.earlier)
            assert same(one.now, two.now)
            assert np.array_equal(one.truth, two.truth)
            assert all(a[0].shape == two.now[0].shape for a in two.before)
            kinds.add(two.kind)
            if two.kind == "clean":
                assert same(two.before[0], lead[0])
                assert len(two.before) >= LEAD
            if two.kind == "cut":
                assert same(two.before[0], lead_of_other[0])
    assert {"clean", "cut"} < kinds
    plain, led = (
        list(damaged_cases(window, RATE, "mpeg2", "slice", np.random.default_rng(1), 4, lead=before))
        for before in (None, lead)
    )
    assert [same(a.now, b.now) for a, b in zip(plain, led, strict=True)] == [True] * 4
    assert all(same(case.before[0], lead[0]) and len(case.before) >= LEAD for case in led)
    # Of one stream: what was before one picture is the beginning of what was before a later one.
    short, long = sorted((led[0].before, led[1].before), key=len)
    assert all(same(a, b) for a, b in zip(short, long[: len(short)], strict=True))


def test_an_effect_looked_so_before_and_a_glitch_did_not_for_long():
    window, other = (graphics(np.random.default_rng(seed)) for seed in (4, 5))
    found = {}
    for seed in range(12):
        for case in clean_cases(window, other, RATE, np.random.default_rng(seed), 18, Leads(window[:LEAD], ())):
            found.setdefault(case.kind, []).append(case)
    # A mosaic is as coarse before as it is now: its cells are even there.
    mosaic = next(case for case in found["mosaic"] if len(case.before) > LEAD)
    assert not any(same(shown, clean) for shown, clean in zip(mosaic.before, window[:LEAD], strict=False))
    assert all(same(case.before[0], window[0]) for case in found["glitch"])


def test_each_map_is_made_once_and_is_of_a_picture_and_the_one_before():
    net = load_artifact().net
    pictures = graphics(np.random.default_rng(1))[:5]
    made = []

    class Counted(MapSeries):
        def _map(self, earlier, now):
            made.append(len(self._made))
            return super()._map(earlier, now)

    series = Counted(net, AS_IT_IS)
    case = Case(pictures[3], pictures[4], clean_truth(pictures[4]), "clean", pictures[:3])
    maps = series.of(case)
    assert maps.shape == (4, 16, 24)
    for number in range(4):
        assert np.array_equal(maps[number], logits_of(net, pictures[number], pictures[number + 1]))
    earlier = Case(pictures[2], pictures[3], clean_truth(pictures[3]), "clean", pictures[:2])
    assert np.array_equal(series.of(earlier), maps[:3])
    assert made == [0, 1, 2, 3, 4, 4, 4]  # the last three were there


def test_of_every_third_picture_the_last_is_always_among_them():
    maps = np.random.default_rng(1).normal(-5, 2, (8, 2, 3)).astype(np.float32)
    assert np.array_equal(seen_with(maps, 3), seen_with(maps[[1, 4, 7]]))
    assert np.array_equal(4 * seen_with(maps, 3)[0], maps[7])


def test_a_picture_of_which_nobody_can_tell_is_none():
    truth = np.zeros((10, 20), np.uint8)
    assert sure(truth) is False
    truth[0, 0] = 1
    assert sure(truth) is None
    truth[0, 1] = 1
    assert sure(truth) is True
    assert sure(np.where(truth == 1, 255, truth).astype(np.uint8)) is None


def examples_of(seed, count):
    """Damage is what came up now; letters have looked suspicious all along, and no less."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        maps = rng.normal(-6, 0.5, (int(rng.integers(8, 20)), 6, 8)).astype(np.float32)
        truth = np.zeros((6, 8), np.uint8)
        row, column = int(rng.integers(6)), int(rng.integers(8))
        damaged = number % 2 == 0
        maps[-2 if damaged else 0 :, row, column] = 2.0 + rng.normal(0, 0.5)
        truth[row, column] = damaged
        found.append(Example(maps, truth, damaged, "made", "made"))
    return found


def test_training_comes_out_the_same_for_the_same_seed(monkeypatch):
    monkeypatch.setattr("models.train_history.EPOCHS", 1)
    examples = examples_of(1, 60)
    one, two, other = (train_member(examples, seen_at(examples), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_it_learns_that_damage_is_new():
    examples = examples_of(1, 240)
    one = train_member(examples, seen_at(examples), 1)
    tried = examples_of(2, 100)
    with torch.no_grad():
        told = [float(surest(one(torch.from_numpy(seen_with(example.maps))[None]))[0]) for example in tried]
    now = [float(example.maps[-1].max()) for example in tried]
    right = [(logit > 0) == example.damaged for logit, example in zip(told, tried, strict=True)]
    assert np.mean([(logit > 0) == example.damaged for logit, example in zip(now, tried, strict=True)]) < 0.6
    assert np.mean(right) > 0.95


@pytest.mark.slow
@pytest.mark.timeout(900)  # five minutes beside others
def test_it_is_trained_from_clips_and_tried_on_the_same_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr("models.train.GRAPHICS", 1)
    said = []
    (tmp_path / "media").mkdir()
    settings = TrainSettings(tmp_path / "media", tmp_path / "work", tmp_path / "h.safetensors", windows=1)
    threads = torch.get_num_threads()
    try:
        path = train_history(settings, said.append)
        assert [line for line in said if line.startswith("graphics-0: ")]
        said.clear()
        train_history(settings, said.append)
        assert not [line for line in said if line.startswith("graphics-0: ")]  # its maps were there already
    finally:
        torch.set_num_threads(threads)
    history = load_history(path)
    assert history.artifact == digest_of(SHIPPED_WEIGHTS)
    net = load_artifact().net
    plain, with_it = (evaluate_frames(net, [2], seed=1, count=1, history=of) for of in (None, history.net))
    assert not [name for name in plain if name.startswith("with_")]
    for name in ("with_every_picture_before", "with_every_third_before"):
        assert with_it[name]["known"] == with_it["network"]["known"] == with_it["pictures"]
        assert 0 < with_it[name]["average_precision"] <= 1
