"""What the benchmark of the network makes of what was said: alarms, finds, and the point at which it may judge."""

import numpy as np
import pytest

from benchmarks import network
from benchmarks.network import TILES, Told, alarms_in, at_rate, chosen, finds, points, said_at, shares_of, summed
from benchmarks.network_streams import refuse_twins
from models.artifact_net import ArtifactNet
from models.artifact_weights import OperatingPoint, RatedPoints, load_artifact
from models.synthesis.planted import Planted
from models.weight_files import digest_of, write_weights

PLANTED = Planted("video.corruption", 2.0, 4.0, 0.1, {})


def told(probabilities, planted=None, blocks=(), name="clip"):
    """Five looks a second from 0.2 s on, each of 100 tiles, of which three are as probable as given."""
    shares = np.array([shares_of(np.array([p] * 3 + [0.01] * 97, np.float32)) for p in probabilities])
    times = 0.2 * np.arange(1, len(shares) + 1)
    return Told(name, "", 0.2 * len(shares), list(blocks), planted, times, shares)


def test_damage_is_said_from_so_many_pictures_in_a_row_on():
    stream = told([0.1, 0.9, 0.9, 0.1, 0.9])
    assert np.allclose(said_at(stream, 5.0, 0.8, 0.02, 1), [0.4, 0.6, 1.0])
    assert np.allclose(said_at(stream, 5.0, 0.8, 0.02, 2), [0.6])
    assert said_at(stream, 5.0, 0.8, 0.04, 1) == []  # three tiles of a hundred are less
    # A stream's first picture is never looked at: at one a second the first is that at 1 s.
    assert at_rate(told([0.1] * 11), 1.0).tolist() == [4, 9]
    assert at_rate(told([0.1] * 11), 2.0).tolist() == [2, 4, 7, 9]
    assert at_rate(told([]), 2.0).tolist() == []


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
    assert [chosen(rows, rate) for rate in (1.0, 5.0)] == 2 * [OperatingPoint(0.95, 0.02, 1)]
    assert chosen(points([told([0.999] * 20)], damaged), 5.0) is None
    # Who looks once a second does not see what one look of five a second saw.
    clean = [told([0.1] * 11 + [0.999] + [0.1] * 10)]
    assert chosen(points(clean, damaged), 1.0) == OperatingPoint(0.9, 0.02, 1)
    assert chosen(points(clean, damaged), 5.0) == OperatingPoint(0.9, 0.02, 2)
    # What the torn blocks miss comes first: they judge beside it.
    damaged = [told([0.1] * 10 + [0.97] * 4, PLANTED, blocks=[2.1])] * 3 + [told([0.1] * 10 + [0.992], PLANTED)]
    few = told([0.1] * 20)
    few.shares[5, : TILES.index(0.95) + 1] = 0.03  # of one look
    assert chosen(points([few], damaged), 5.0) == OperatingPoint(0.99, 0.02, 1)
    few.shares[5, : TILES.index(0.99) + 1] = 0.03
    assert chosen(points([few], damaged), 5.0) == OperatingPoint(0.95, 0.02, 2)


def test_the_figures_name_what_the_torn_blocks_raised_and_count_hours():
    clean = [told([0.1] * 50, name="a"), told([0.1] * 50, blocks=[3.0, 4.0, 9.0], name="b")]
    figures = summed(clean, [told([0.97] * 20, PLANTED, blocks=[2.1], name="c")])
    assert figures["clean"] | {"of_torn_blocks_per_hour_at_most": None} == {
        "clips": ["a", "b"], "streams": 2, "hours": 0.0056, "hours_as_they_are": 0.0, "looks": 100,
        "false_alarms_of_torn_blocks": 1, "raised_by_torn_blocks": {"b, ": [3.0, 4.0, 9.0]},
        "of_torn_blocks_per_hour_at_most": None,
    }  # fmt: skip
    assert figures["damaged"] == {"clips": ["c"], "streams": 1, "found_by_torn_blocks": 1}
    assert (figures["chosen"]["5"]["found"], figures["chosen"]["5"]["false_alarms"]) == (1, 0)


def test_what_was_said_is_found_again(tmp_path):
    for stream in (told([0.3, 0.97], PLANTED, blocks=[2.1]), told([], name="empty.mp4")):
        network.kept(stream, tmp_path)
        again = network.found(tmp_path, stream.name, stream.how)
        assert (again.name, again.seconds, again.blocks) == (stream.name, stream.seconds, stream.blocks)
        assert (again.planted is None) == (stream.planted is None)
        np.testing.assert_array_equal(again.times, stream.times)
        np.testing.assert_array_equal(again.shares, stream.shares)
    assert network.found(tmp_path, "clip", "otherwise") is None


def test_what_a_dying_process_left_is_not_taken_for_what_was_said(tmp_path, monkeypatch):
    stream = told([0.3, 0.97])

    def dies(file, **_):
        file.write(b"PK half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", dies)
    with pytest.raises(KeyboardInterrupt):
        network.kept(stream, tmp_path)
    monkeypatch.undo()
    assert network.found(tmp_path, stream.name, stream.how) is None
    network.kept(stream, tmp_path)
    assert network.found(tmp_path, stream.name, stream.how).seconds == stream.seconds


def test_two_clips_of_one_name_are_refused_by_both_paths(tmp_path):
    clips = [tmp_path / "a" / "x.mp4", tmp_path / "y.mp4", tmp_path / "b" / "x.mp4"]
    refuse_twins(clips[:2])
    with pytest.raises(ValueError, match=r"b/x.mp4 and .*a/x.mp4 have the same name; rename"):
        refuse_twins(clips)


def test_each_clip_is_in_one_part():
    clips = list("abcde")
    assert [network.part_of(clips, part) for part in ("1/2", "2/2", "1/1")] == [["a", "c", "e"], ["b", "d"], clips]
    for wrong in ("0/2", "3/2"):
        with pytest.raises(ValueError, match="no part"):
            network.part_of(clips, wrong)


def test_the_points_are_kept_in_the_weights_in_place_of_those_before(tmp_path):
    path = tmp_path / "mine.safetensors"
    write_weights(path, ArtifactNet().folded().state_dict(), {"network": "artifact", "version": "9"})
    digest = digest_of(path)
    for kept_points in (((1.0, OperatingPoint(0.95, 0.04, 2)),), ((5.0, OperatingPoint(0.9, 0.02, 1)),)):
        network.keep_points(path, RatedPoints(kept_points))
        read = load_artifact(path)
        assert (read.points.by_rate, read.version) == (kept_points, "9")
    # The numbers are the same, and so what was made with them is still theirs.
    assert digest_of(path) == digest
