"""The CPU benchmark counts what it says it counts, on a small clip."""

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest
from made_clips import make

from benchmarks.cpu import compare_clip
from benchmarks.cpu_seconds import compare as compare_trees
from benchmarks.cpu_sides import decode_only, judged
from benchmarks.looped import loop_clip


@pytest.fixture(scope="module")
def looped(tmp_path_factory):
    clip = make("bench_second.mp4", seconds=1.0)
    return loop_clip(clip, tmp_path_factory.mktemp("looped") / "looped.mkv", 3.0)


def test_a_looped_clip_decodes_without_error_and_times_rise(looped):
    with av.open(str(looped)) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    assert len(times) == 75
    assert times == sorted(set(times))


def test_both_sides_see_every_picture(looped):
    assert decode_only(looped, 2)["frames"] == 150
    assert judged(looped, 2)["frames"] == 150


def test_figures_are_ratios_of_sides_in_one_turn(looped):
    figure = compare_clip(looped, repeats=2, program=None)
    assert figure["frames"] == 75
    assert figure["judged_over_decode_only"]["p50"] > 0
    assert figure["judged_with_networks_over_decode_only"]["p50"] > 0
    assert 0 < figure["decode_only_cpu_over_judged_cpu"]["p50"] < 1
    assert "speed_over_ffmpeg" not in figure


def test_memory_is_taken_above_the_imports(looped):
    child = [sys.executable, "-m", "benchmarks.cpu_memory", str(looped)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=240, check=True)
    found = json.loads(done.stdout)
    assert found["media_seconds"] == pytest.approx(3.0, abs=0.25)  # sound outlasts the pictures of a round
    assert found["imports_mb"] > 50
    assert found["largest_mb_above_imports"] > 0


@pytest.mark.slow
def test_two_trees_are_compared_by_what_each_side_takes_of_a_core(looped):
    root = Path(__file__).parents[2]
    found = compare_trees({"other": root, "this": root}, [looped], 1)
    rows = found["clips"][looped.stem]
    assert found["turns"] == 1
    for name in ("other", "this"):
        assert rows[name]["judged"]["p50"] > rows[name]["decode_only"]["p50"] > 0
        assert 0 < rows[name]["decode_only_over_judged_every_core"]["p50"] < 1
