"""Costs per channel are those of the steps that held, and the filters of FFmpeg see every picture."""

import pytest
from made_clips import make

from benchmarks.ffmpeg import SCALED, filtered
from benchmarks.scale import per_channel


def step(channels, cores_busy, resident_mb):
    return {"channels": channels, "cores_busy": cores_busy, "resident_mb": resident_mb}


def test_what_a_channel_costs_is_told_of_each_step_that_held():
    steps = [step(0, 0.0, 500.0), step(2, 0.2, 600.0), step(4, 0.5, 720.0), step(6, 1.9, 900.0)]
    found = per_channel({"channels": 4, "ended_by": "late", "steps": steps}, hour=0.2, vcpus=4, cores=2)
    assert [row["channels"] for row in found["rows"]] == [2, 4]
    assert [row["cores_per_channel"] for row in found["rows"]] == [0.1, 0.125]
    assert [row["mb_per_channel"] for row in found["rows"]] == [50.0, 55.0]
    assert found["cores_per_channel_last_over_first"] == 1.25
    # Half an instance of 0.20 an hour for four channels.
    assert found["dollars_per_stream_hour_of_the_instance"] == pytest.approx(0.025)


def test_nothing_is_told_of_channels_that_never_held():
    found = per_channel({"channels": 0, "ended_by": "late", "steps": [step(0, 0.0, 500.0)]}, 0.2, 4, 2)
    assert found == {"rows": [], "channels": 0, "ended_by": "late"}


def test_the_scaled_chain_of_filters_sees_every_picture():
    found = filtered(make("ffmpeg_bench.mp4", seconds=1.0), SCALED)
    assert found["frames"] == 25
    assert found["cpu_seconds"] > 0
