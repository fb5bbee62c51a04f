"""Costs per channel are those of the steps that held, and the filters of FFmpeg see every picture."""

import itertools

import pytest
from made_clips import make

from benchmarks.cpu_sides import ffmpeg_chain
from benchmarks.ffmpeg import SCALED
from benchmarks.ffmpeg_filters import ffmpeg
from benchmarks.looped import loop_clip
from benchmarks.scale import STEPS, find_sustained, per_channel, steps_of


def step(channels, cores_busy, resident_mb):
    return {"channels": channels, "cores_busy": cores_busy, "resident_mb": resident_mb}


def test_what_a_channel_costs_is_told_of_each_step_that_held():
    steps = [step(0, 0.1, 500.0), step(2, 0.2, 600.0), step(4, 0.5, 720.0), step(6, 1.9, 900.0)]
    found = per_channel({"channels": 4, "ended_by": "late", "steps": steps}, hour=0.2, vcpus=4, cores=2)
    assert [row["channels"] for row in found["rows"]] == [2, 4]
    assert [row["cores_per_channel"] for row in found["rows"]] == [0.1, 0.125]
    assert [row["cores_per_channel_above_idle"] for row in found["rows"]] == [0.05, 0.1]
    assert [row["mb_per_channel"] for row in found["rows"]] == [300.0, 180.0]
    assert [row["mb_for_each_more"] for row in found["rows"]] == [None, 60.0]
    assert [row["dollars_per_stream_hour_of_used_cores"] for row in found["rows"]] == [0.005, 0.00625]
    assert found["cores_per_channel_last_over_first"] == 1.25
    # Half an instance of 0.20 an hour for four channels, or for two.
    assert found["dollars_per_stream_hour_of_the_instance"] == pytest.approx(0.025)
    assert found["rows"][0]["dollars_per_stream_hour_if_the_instance_held_no_more"] == pytest.approx(0.05)


def test_nothing_is_told_of_channels_that_never_held():
    found = per_channel({"channels": 0, "ended_by": "late", "steps": [step(0, 0.0, 500.0)]}, 0.2, 4, 2)
    assert found["rows"] == []
    assert not [name for name in found if "dollars" in name or "over_first" in name]


@pytest.mark.parametrize("size", STEPS)
def test_channels_are_looked_at_from_one_on_and_past_sixteen(size):
    counts = list(itertools.islice(steps_of(size), 12))
    assert counts[:2] == [1, 2]
    assert counts == sorted(set(counts))
    assert counts[-1] > 16


def test_the_scaled_chain_of_filters_sees_every_picture():
    found = ffmpeg_chain(make("ffmpeg_bench.mp4", seconds=1.0), ffmpeg(), SCALED)
    assert found["frames"] == 25
    assert found["cpu_seconds"] > 0


@pytest.mark.slow  # starts the service, with a sender and a receiver
def test_channels_are_added_to_the_real_service_and_looked_at(tmp_path):
    clip = loop_clip(make("scale_bench.ts", seconds=2.0), tmp_path / "channel.ts", 60.0)
    found = find_sustained(tmp_path, clip, [1, 2], watch_seconds=2.0)
    assert [row["channels"] for row in found["steps"]][:2] == [0, 1]
    # How many are sustained is the machine's; what was seen of them is there.
    for row in found["steps"][1:]:
        assert row["cores_busy"] > 0
        assert row["resident_mb"] > 0
        assert row["judged_share"] > 0
    assert per_channel(found, 0.17, 4, 2)["channels"] == found["channels"] <= 2
