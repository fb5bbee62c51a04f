"""What the benchmark of the network makes of what was said: alarms, finds, and the point at which it may judge."""

import numpy as np

from benchmarks.network import Told, alarms_in, at_rate, chosen, finds, keep_point, points, said_at
from models.artifact_net import ArtifactNet
from models.artifact_weights import OperatingPoint, load_artifact
from models.synthesis.planted import Planted
from models.weight_files import write_weights

PLANTED = Planted("video.corruption", 2.0, 4.0, 0.1, {})


def told(probabilities, planted=None, blocks=()):
    """Five looks a second from 0.2 s on, each of 100 tiles, of which three are as probable as given."""
    tiles = [np.array([p] * 3 + [0.01] * 97, np.float32) for p in probabilities]
    times = 0.2 * np.arange(1, len(tiles) + 1)
    return Told("clip", "", 0.2 * len(tiles), list(blocks), planted, times, tiles)


def test_damage_is_said_from_so_many_pictures_in_a_row_on():
    stream = told([0.1, 0.9, 0.9, 0.1, 0.9])
    assert np.allclose(said_at(stream, 5.0, 0.8, 0.02, 1), [0.4, 0.6, 1.0])
    assert np.allclose(said_at(stream, 5.0, 0.8, 0.02, 2), [0.6])
    assert said_at(stream, 5.0, 0.8, 0.04, 1) == []  # three tiles of a hundred are less
    assert at_rate(told([0.1] * 11), 1.0) == [0, 4, 9]


def test_an_alarm_is_what_no_damage_explains_and_those_close_together_are_one():
    assert alarms_in([1.0, 1.2, 9.0], None) == 2
    assert alarms_in([1.0, 2.5, 5.9, 30.0], PLANTED) == 2
    assert finds([5.9], PLANTED)
    assert not finds([1.0, 6.5], PLANTED)


def test_the_point_raises_nothing_on_clean_streams_nor_would_the_next_lower_probability():
    clean = [told([0.1] * 10 + [0.85] * 20)]
    damaged = [told([0.1] * 10 + [0.97] * 20, PLANTED), told([0.1] * 10 + [0.92] * 20, PLANTED, blocks=[2.1])]
    rows = points(clean, damaged)
    by = {(row["pictures_per_second"], row["tile"], row["area"], row["pictures"]): row for row in rows}
    assert by[1.0, 0.8, 0.02, 2]["false_alarms"] == 1
    assert (by[1.0, 0.9, 0.02, 2]["found"], by[1.0, 0.9, 0.02, 2]["false_alarms"]) == (2, 0)
    assert by[1.0, 0.9, 0.02, 2]["found_beyond_torn_blocks"] == 1
    assert chosen(rows) == OperatingPoint(0.95, 0.02, 2)
    assert chosen(points([told([0.999] * 20)], damaged)) is None


def test_the_point_is_kept_in_the_weights(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, ArtifactNet().folded().state_dict(), {"network": "artifact", "version": "9"})
    keep_point(path, OperatingPoint(0.95, 0.04, 2))
    assert (load_artifact(path).point, load_artifact(path).version) == (OperatingPoint(0.95, 0.04, 2), "9")
