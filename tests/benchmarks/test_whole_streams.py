"""What the benchmark of whole streams makes of maps: what is said of them, alarms, finds, and the point."""

import numpy as np
import pytest
import torch

from benchmarks.network import TILES
from benchmarks.network_streams import place_of
from benchmarks.whole_streams import Said, Seen, chosen, found, keep_point, kept, points, said_at, said_of, summed
from models.artifact_history import HistoryNet, load_history
from models.artifact_weights import OperatingPoint
from models.map_series import seen_with
from models.synthesis.planted import Planted
from models.weight_files import write_weights

PLANTED = Planted("video.corruption", 2.0, 4.0, 0.1)


def said(probabilities, planted=None, blocks=()):
    """25 pictures a second, of 100 tiles each, of which five are as probable as given."""
    times = np.arange(1, len(probabilities) + 1) / 25
    shares = np.array([[0.05 * (p >= tile) for tile in TILES] for p in probabilities])
    looks = {1: (times, shares), 3: (times[::3], shares[::3])}
    return Said("clip", "", len(probabilities) / 25, list(blocks), planted, looks)


def test_what_is_said_is_that_of_the_maps_before_and_begins_anew_behind_a_gap():
    torch.manual_seed(4)
    net = HistoryNet().eval().requires_grad_(False)
    for member in net.members:
        member.told.weight.normal_(0, 0.5)
    maps = np.random.default_rng(3).normal(0, 3, (12, 4, 5)).astype(np.float32)
    times = np.array([n / 25 + 2.0 * (n >= 7) for n in range(12)])
    looks = said_of(net, Seen("clip", "", 0.5, [], None, times, list(maps))).looks

    def shares(part, step):
        told = net(torch.from_numpy(seen_with(part, step))[None]).sigmoid()[0]
        return [float((told >= tile).double().mean()) for tile in TILES]

    assert looks[1][1][6].tolist() == pytest.approx(shares(maps[:7], 1))
    assert looks[1][1][11].tolist() == pytest.approx(shares(maps[7:], 1))
    assert looks[1][1][11].tolist() != pytest.approx(shares(maps, 1))
    np.testing.assert_array_equal(looks[3][0], times[::3])
    assert looks[3][1][2].tolist() == pytest.approx(shares(maps[[0, 3, 6]], 1))
    assert looks[3][1][3].tolist() == pytest.approx(shares(maps[9:10], 1))


def test_damage_is_said_from_so_many_looks_in_a_row_on():
    stream = said([0.1, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9])
    assert said_at(stream, 1, 0.8, 0.04, 2) == pytest.approx([0.12, 0.24, 0.28])
    assert said_at(stream, 1, 0.8, 0.06, 2) == []
    assert said_at(stream, 3, 0.8, 0.04, 2) == []
    assert said_at(stream, 3, 0.8, 0.04, 1) == pytest.approx([0.28])


def test_the_point_raises_nothing_at_any_step_nor_would_a_little_less_of_anything():
    clean = [said([0.1] * 20 + [0.85] * 20 + [0.1] * 20), said([0.1] * 20 + [0.996] * 3 + [0.1] * 20)]
    damaged = [said([0.1] * 50 + [0.97] * 50, PLANTED), said([0.1] * 50 + [0.92] * 50, PLANTED, blocks=[(2.1, 3.0)])]
    rows = points(clean, damaged)
    by = {(row["step"], row["tile"], row["area"], row["pictures"]): row for row in rows}
    assert by[1, 0.8, 0.02, 3]["false_alarms"] == 2
    assert by[3, 0.8, 0.02, 3]["false_alarms"] == 1
    assert (by[3, 0.9, 0.02, 4]["found"], by[3, 0.9, 0.02, 4]["false_alarms"]) == (2, 0)
    assert by[1, 0.9, 0.02, 4]["found_beyond_torn_blocks"] == 1
    # 0.9 would be too near to what raises at 0.8, and 4 looks to 3 of them.
    point = chosen(rows)
    assert point is not None
    assert (point.tile, point.pictures) == (0.95, 12)
    assert by[1, point.tile, point.area, point.pictures]["found"] == 1
    assert chosen(points([said([0.999] * 60)], damaged)) is None
    assert summed(clean, damaged)["damaged"] == {"streams": 2, "found_by_torn_blocks": 1}


def test_maps_are_found_again(tmp_path):
    maps = [np.full((2, 3), 1.5, np.float32), np.full((4, 3), -2.0, np.float32)]
    seen = Seen("clip.ts", "h264 lost", 4.0, [(2.5, 3.0)], PLANTED, np.array([0.0, 0.04]), maps)
    kept(seen, tmp_path)
    again = found(tmp_path, "clip.ts", "h264 lost")
    assert again is not None
    assert again.planted is not None
    assert (again.seconds, again.blocks, again.planted.start, again.planted.end) == (4.0, [(2.5, 3.0)], 2.0, 4.0)
    np.testing.assert_array_equal(again.times, seen.times)
    for one, other in zip(again.maps, maps, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found(tmp_path, "clip.ts", "h264 cut") is None
    # Kept when of an incident nothing but its beginning was.
    path = place_of(tmp_path, "clip.ts", "h264 lost")
    with np.load(path) as file:
        rest = {key: file[key] for key in file.files}
    np.savez(path, **rest | {"blocks": np.array([2.5])})
    assert found(tmp_path, "clip.ts", "h264 lost") is None


def test_the_point_is_kept_in_the_weights(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, HistoryNet().state_dict(), {"network": "artifact_history", "version": "9", "artifact": "x"})
    keep_point(path, OperatingPoint(0.95, 0.04, 3))
    history = load_history(path)
    assert (history.point, history.version, history.artifact) == (OperatingPoint(0.95, 0.04, 3), "9", "x")
