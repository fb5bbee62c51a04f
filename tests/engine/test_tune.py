"""`avjury tune`: what it proposes follows from the recordings, and nothing is proposed that they do not prove."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

from engine.demo_channels import Channel
from engine.demo_channels import sound as voices
from engine.detectors import detector
from engine.outcome import Trace
from engine.tune.planted import Window, windows
from engine.tune.replay import alarms, first_allowed, knobs
from models.synthesis import sound
from models.synthesis.sound_clip import write_sound


def trace(values, column="loud", step=0.1):
    times = np.arange(len(values)) * step
    return Trace((column,), times, np.asarray(values, np.float64)[:, None], times + step)


def tune(*arguments):
    command = [sys.executable, "-m", "engine.cli", "tune", "--device", "cpu", "--format", "jsonl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def test_the_judge_run_again_counts_openings_at_each_threshold():
    declared = detector("audio.surround_imbalance")
    values = [0.0] * 50 + [14.0] * 50 + [0.0] * 50 + [20.0] * 50 + [0.0] * 50 + [30.0] * 10 + [0.0] * 50
    rows = trace(values, declared.column)
    counted = [
        alarms(rows, declared, declared.rule({"threshold": at, "duration": 3.0}), {}) for at in (12.0, 15.0, 21.0)
    ]
    assert counted == [2, 1, 0]
    assert alarms(rows, declared, declared.rule({"duration": 0.5}), {}) == 3


def test_a_dominating_detector_holds_back_the_other_one_in_the_replay_too():
    freeze, black = detector("video.freeze"), detector("video.black")
    times = np.arange(200) / 25
    values = np.column_stack([np.zeros(200), np.ones(200)])
    rows = Trace((freeze.column, black.column), times, values, times)
    alone = alarms(rows, freeze, freeze.rule(), {})
    beside_black = alarms(rows, freeze, freeze.rule(), {"video.black": black.rule()})
    assert (alone, beside_black) == (1, 0)


def test_steps_go_from_the_present_value_to_ever_less_sensitive_ones():
    imbalance, freeze = detector("audio.imbalance"), detector("video.freeze")
    [threshold, duration] = knobs(imbalance, imbalance.settle())
    assert (threshold.parameter, threshold.kind, threshold.values[0]) == ("threshold", "threshold", 10.0)
    assert list(threshold.values) == sorted(threshold.values)
    assert (duration.parameter, duration.kind) == ("duration", "duration")
    [stiller] = [knob for knob in knobs(freeze, freeze.settle()) if knob.kind == "threshold"]
    assert list(stiller.values) == sorted(stiller.values, reverse=True), "a picture stands at or below its threshold"


def test_a_step_counts_only_where_all_less_sensitive_ones_keep_the_target_too():
    assert first_allowed([5, 3, 1, 0], 1) == 2
    assert first_allowed([0, 2, 0], 0) == 2
    assert first_allowed([5, 3], 1) is None


def test_windows_lie_evenly_over_the_recordings(tmp_path):
    long, short, brief = (tmp_path / name for name in ("long", "short", "brief"))
    found = windows({long: 114.0, short: 64.0, brief: 5.0}, 3)
    assert found == [Window(long, 25.0), Window(long, 75.0), Window(short, 25.0)]
    assert windows({brief: 5.0}, 3) == []


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Twenty seconds of sound whose right channel is often 14 dB down: what this channel is like."""
    path = tmp_path_factory.mktemp("tune") / "good.flac"
    samples = voices(Channel("tune", 20, 0.0, 1.0))
    for start in (3.0, 12.0):
        samples, _ = sound.plant_imbalance(samples, start, start + 5.0, decibels=14.0)
    write_sound(path, samples)
    return path


def test_too_short_a_recording_proves_nothing_and_says_how_long_it_has_to_be(recording):
    done = tune(str(recording), "--detectors", "audio.imbalance", "--false-per-day", "1")
    head, finding = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert (head["enough"], finding["verdict"], finding["parameters"]) == (False, "unproven", {})
    assert finding["alarms"] == 2
    assert head["hours_needed"] == pytest.approx(71.9, abs=0.1)  # 2.996 / (1 a day)
    assert "nothing is proposed" in done.stderr


@pytest.mark.slow
def test_a_proposal_keeps_the_target_and_still_finds_what_is_planted(recording, tmp_path):
    written = tmp_path / "proposal.yaml"
    # Twenty seconds without an alarm prove 12,900 a day; with two, 27,200.
    done = tune(str(recording), "--detectors", "audio.imbalance,audio.silence", "--false-per-day", "15000",
                "--planted", "1", "--output", str(written))  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, silence, imbalance = (json.loads(line) for line in done.stdout.splitlines())
    assert silence["verdict"] == "holds"
    assert (imbalance["verdict"], imbalance["alarms"], imbalance["confirmed_alarms"]) == ("proposed", 2, 0)
    proposed = yaml.safe_load(written.read_text())["detectors"]["audio.imbalance"]["threshold"]
    assert 13.0 < proposed < 20.0
    assert (imbalance["planted"], imbalance["found_now"], imbalance["found_proposed"]) == (1, 1, 1)
