"""What the benchmark of the network makes of what was said: alarms, finds, and the point at which it may judge."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import network, network_streams
from benchmarks.network import (
    TILES,
    Told,
    alarms_in,
    at_rate,
    chosen,
    chosen_second,
    finds,
    points,
    said_at,
    second_points,
    shares_of,
    summed,
)
from benchmarks.network_streams import refuse_twins
from models.artifact_net import ArtifactNet
from models.artifact_weights import OperatingPoint, RatedPoints, SecondPoint, load_artifact
from models.synthesis.planted import Planted
from models.weight_files import digest_of, write_weights

PLANTED = Planted("video.corruption", 2.0, 4.0, 0.1, {})


def told(probabilities, planted=None, blocks=(), name="clip", how="", second=(), with_looks=None):
    """Five looks a second from 0.2 s on, each of 100 tiles, of which three are as probable as given.

    `second`: of second looks, when, how many tiles, and how probable these are. `with_looks`: what is told with them,
    the same as without unless given.
    """
    shares = np.array([shares_of(np.array([p] * 3 + [0.01] * 97, np.float32)) for p in probabilities])
    times = 0.2 * np.arange(1, len(shares) + 1)
    counts = [[number * (np.float32(p) >= np.float32(tile)) for tile in TILES] for _, number, p in second]
    looks = np.array([at for at, _, _ in second]), np.array(counts, np.float64).reshape(len(second), len(TILES))
    return Told(name, how, 0.2 * len(shares), list(blocks), planted, times, shares, *looks,
                with_looks=list(blocks if with_looks is None else with_looks))  # fmt: skip


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
    damaged = [told([0.1] * 10 + [0.97] * 20, PLANTED), told([0.1] * 10 + [0.92] * 20, PLANTED, blocks=[(2.1, 3.0)])]
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
    damaged = [told([0.1] * 10 + [0.97] * 4, PLANTED, blocks=[(2.1, 3.0)])] * 3 + [told([0.1] * 10 + [0.992], PLANTED)]
    few = told([0.1] * 20)
    few.shares[5, : TILES.index(0.95) + 1] = 0.03  # of one look
    assert chosen(points([few], damaged), 5.0) == OperatingPoint(0.99, 0.02, 1)
    few.shares[5, : TILES.index(0.99) + 1] = 0.03
    assert chosen(points([few], damaged), 5.0) == OperatingPoint(0.95, 0.02, 2)


def test_the_figures_name_what_was_raised_with_second_looks_and_without_and_count_hours():
    raised = [(3.0, 3.5), (4.0, 5.0), (9.0, 9.5)]
    clean = [told([0.1] * 50, name="a"), told([0.1] * 50, blocks=raised, name="b", with_looks=[(3.0, 3.5), (9.0, 9.5)])]
    figures = summed(clean, [told([0.97] * 20, PLANTED, blocks=[(2.1, 3.0)], name="c")])
    at_most = {"of_torn_blocks_per_hour_at_most": None, "with_second_looks_per_hour_at_most": None}
    assert figures["clean"] | at_most == {
        "clips": ["a", "b"], "streams": 2, "hours": 0.0056, "hours_as_they_are": 0.0, "looks": 100,
        "false_alarms_of_torn_blocks": 1, "raised_by_torn_blocks": {"b, ": [3.0, 4.0, 9.0]},
        "false_alarms_with_second_looks": 2, "raised_with_second_looks": {"b, ": [3.0, 9.0]}, **at_most,
    }  # fmt: skip
    of_group = {"streams": 1, "found_by_torn_blocks": 1, "found_with_second_looks": 1}
    assert figures["damaged"] == {
        "clips": ["c"], "streams": 1, "found_by_torn_blocks": 1, "by_group": {"as_sent": of_group}
    }  # fmt: skip
    assert (figures["chosen"]["5"]["found"], figures["chosen"]["5"]["false_alarms"]) == (1, 0)


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ([(4.5, 4.6)], True),
        # A decoder tells of the first picture that misses something; that it misses is seen later.
        ([(2.0, 4.5)], True),
        ([(2.0, 3.0)], False),
        ([(0.5, 4.5)], False),
        ([(7.5, 8.0)], False),
        ([], False),
    ],
)
def test_damage_is_found_by_an_incident_that_is_open_while_it_is_seen(blocks, found):
    assert told([0.1], Planted("video.corruption", 4.0, 5.0, 0.1, {}), blocks=blocks).found is found


def test_second_looks_have_a_point_that_raises_nothing_nor_would_a_little_less():
    clean = [told([0.1] * 50, second=[(3.0, 3, 0.93), (3.5, 4, 0.93), (9.0, 2, 0.97)])]
    damaged = [
        told(
            [0.1] * 50,
            PLANTED,
            how="h264 cut, then H.264 of its size",
            second=[(2.2, 12, 0.96)],
            with_looks=[(2.2, 2.7)],
        ),
        told([0.1] * 50, PLANTED, how="h264 cut, then H.264 of three quarters", second=[(1.0, 16, 0.999)]),
        told([0.1] * 50, PLANTED, how="h264 cut", blocks=[(2.1, 3.0)], second=[(2.2, 6, 0.999)]),
    ]
    rows = second_points(clean, damaged)
    by = {(row["tile"], row["tiles"], row["looks"]): row for row in rows}
    assert [by[0.9, 2, looks]["false_alarms"] for looks in (1, 2)] == [2, 1]
    assert (by[0.9, 3, 1]["false_alarms"], by[0.95, 3, 1]["false_alarms"]) == (1, 0)
    assert (by[0.9, 6, 1]["found"], by[0.9, 6, 1]["found_beyond_torn_blocks"]) == (2, 1)
    # The sternest of those that find as much.
    assert chosen_second(rows) == SecondPoint(0.95, 12, 1)
    assert summed(clean, damaged)["second_chosen"] == {"tile": 0.95, "tiles": 12, "looks": 1}
    assert summed(clean, damaged)["damaged"]["by_group"] == {
        "as_sent": {"streams": 1, "found_by_torn_blocks": 1, "found_with_second_looks": 1},
        "anew_same_size": {"streams": 1, "found_by_torn_blocks": 0, "found_with_second_looks": 1},
        "anew_another_size": {"streams": 1, "found_by_torn_blocks": 0, "found_with_second_looks": 0},
    }
    # Looks that agree may be told where each of them is not: damage lasts.
    clean = [told([0.1] * 50, second=[(3.0, 16, 0.96), (4.2, 16, 0.96)])]
    twice = told([0.1] * 50, PLANTED, how="mpeg2 cut, then HEVC of its size", second=[(2.2, 12, 0.96), (2.5, 13, 0.96)])
    assert chosen_second(second_points(clean, [twice])) == SecondPoint(0.95, 12, 2)
    # Looks that saw the same are one.
    same = replace(twice, second_counts=twice.second_counts[[0, 0]])
    assert chosen_second(second_points(clean, [same])) is None
    # Nothing is found beyond the torn blocks where clean streams are told as soon.
    assert chosen_second(second_points([told([0.1] * 50, second=[(3.0, 12, 0.96)])], damaged)) is None


def test_what_was_said_is_found_again(tmp_path):
    second = [(2.4, 5, 0.96), (2.8, 1, 0.6)]
    one = told([0.3, 0.97], PLANTED, blocks=[(2.1, 3.0)], second=second, with_looks=[(2.1, 3.0), (3.5, 4.0)])
    for stream in (one, told([], name="empty.mp4")):
        network.kept(stream, tmp_path)
        again = network.found(tmp_path, stream.name, stream.how)
        assert (again.name, again.seconds, again.blocks) == (stream.name, stream.seconds, stream.blocks)
        assert again.with_looks == stream.with_looks
        assert (again.planted is None) == (stream.planted is None)
        np.testing.assert_array_equal(again.times, stream.times)
        np.testing.assert_array_equal(again.shares, stream.shares)
        np.testing.assert_array_equal(again.second_times, stream.second_times)
        np.testing.assert_array_equal(again.second_counts, stream.second_counts)
    assert network.found(tmp_path, "clip", "otherwise") is None


@pytest.mark.parametrize("since", ["second", "with_looks"])
def test_what_was_kept_before_it_had_all_that_is_kept_now_is_judged_again(tmp_path, since):
    network.kept(told([0.3, 0.97]), tmp_path)
    path = network_streams.place_of(tmp_path, "clip", "")
    with np.load(path) as file:
        rest = {key: file[key] for key in file.files if not key.startswith((since, "with_looks"))}
    np.savez(path, **rest)
    assert network.found(tmp_path, "clip", "") is None


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
    first, then = ((1.0, OperatingPoint(0.95, 0.04, 2)),), ((5.0, OperatingPoint(0.9, 0.02, 1)),)
    for kept_points, second in ((first, SecondPoint(0.9, 4, 2)), (then, None), (then, SecondPoint(0.8, 2))):
        network.keep_points(path, RatedPoints(kept_points), second)
        read = load_artifact(path)
        assert (read.points.by_rate, read.second, read.version) == (kept_points, second, "9")
    # The numbers are the same, and so what was made with them is still theirs.
    assert digest_of(path) == digest
