"""`avjury bench scaled-damage`: what counts as found, and that clean clips go the whole way."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import psutil
import pytest

from benchmarks.network_streams import Streamed
from benchmarks.scaled_damage import Judged, clean, summed
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import write_pictures
from models.synthesis.planted import Planted

ROOT = Path(__file__).parents[2]
WAITS = "import time; from benchmarks.side_by_side import each; each(time.sleep, [60, 60], 2)"
DAMAGE = Planted("video.corruption", 2.0, 5.0, 0.3)


def stream(name, how, without, told, planted=None):
    return Judged(Streamed(name, how, 7.0, without, planted), told)


def test_figures_are_by_way_and_name_what_was_raised():
    damaged = [
        stream("a", "h264 cut, then H.264 of a half", [], [(2.1, 3.0)], DAMAGE),
        stream("a", "h264 lost, then H.264 of a half", [(4.0, 4.5)], [(4.0, 4.5)], DAMAGE),
        stream("b", "hevc flip, then MPEG-2 of one and a half", [(1.0, 1.2)], [(1.0, 1.2)], DAMAGE),  # before it
    ]
    spotless = [
        stream("c", "H.264, then H.264 of a half", [(1.0, 2.0)], [(1.0, 2.0), (5.0, 5.5)]),
        stream("d", "MPEG-2, then H.264 of two thirds", [], []),
    ]
    figures = summed(spotless, damaged)
    assert figures["damaged"] == {
        "clips": ["a", "b"], "streams": 3, "found_without_source_height": 1, "found": 2
    }  # fmt: skip
    assert figures["by_way"] == [
        {"way": "H.264 of a half", "streams": 2, "without": 1, "found": 2},
        {"way": "MPEG-2 of one and a half", "streams": 1, "without": 0, "found": 0},
    ]
    assert figures["clean"] | {"per_hour_at_most": None} == {
        "clips": ["c", "d"], "streams": 2, "hours": 0.0039, "false_alarms": 2, "false_alarms_without_source_height": 1,
        "per_hour_at_most": None, "raised": {"c, H.264, then H.264 of a half": [1.0, 5.0]},
    }  # fmt: skip


def test_a_clean_clip_is_coded_scaled_and_raises_nothing(tmp_path):
    clip = tmp_path / "clip.mp4"
    write_pictures(clip, islice(moving_pattern(320, 192), 75), rate=Fraction(25))
    [judged] = clean(clip)
    assert judged.without.seconds == pytest.approx(3.0, abs=0.1)
    assert judged.told == judged.without.blocks == []
    assert ", then " in judged.without.how


def test_what_is_no_film_is_named_and_left_out(tmp_path, capfd):
    clip = tmp_path / "notes.mp4"
    clip.write_text("no film")
    assert clean(clip) == []
    assert "notes.mp4: left out" in capfd.readouterr().out


def test_workers_end_with_a_benchmark_that_is_killed():
    bench = subprocess.Popen([sys.executable, "-c", WAITS], env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    # Beside them multiprocessing has a process that keeps watch over what they share.
    mine = psutil.Process(bench.pid)
    while len(workers := [one for one in mine.children() if "spawn_main" in str(one.cmdline())]) < 2:
        assert time.monotonic() < deadline, "no workers were started"
        time.sleep(0.05)
    bench.send_signal(signal.SIGTERM)
    bench.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
