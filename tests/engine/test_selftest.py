"""`avjury selftest`: a sound installation finds what is planted, and one that is not is told so."""

import json
import subprocess
import sys

import pytest

from engine.detectors import detector
from engine.selftest.cases import Case, cases
from engine.selftest.command import Result, result_of, run_cases, untried
from engine.verdicts import Incident, Severity
from models.synthesis.planted import Planted


def selftest(*arguments):
    command = [sys.executable, "-m", "engine.cli", "selftest", "--device", "cpu", "--format", "jsonl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_of_the_short_self_test_is_found_and_clean_clips_are_clean(tmp_path):
    done = selftest("--keep", str(tmp_path))
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in results if not one["found"]] == []
    assert done.returncode == 0, done.stderr
    known = {one["detector"]: one for one in results if one["detector"]}
    assert {"video.black", "video.freeze", "audio.silence", "stream.continuity"} <= set(known)
    black = known["video.black"]
    assert black["detect_seconds"] == pytest.approx(black["set_seconds"], abs=0.1)
    assert len(list(tmp_path.iterdir())) == len(results)
    assert "not tried" in done.stderr


def test_a_defect_that_is_not_found_is_missed_and_known_by_its_name(tmp_path):
    def unspoilt(material, path):
        from models.synthesis.sound_clip import write_sound

        write_sound(path, material.heard[:, : 6 * 48_000])
        return Planted("audio.silence", 1.0, 4.0, 3.0)

    [missed] = run_cases([Case("silence that is none", "audio.silence", ".flac", unspoilt)], tmp_path, "cpu")
    assert (missed.found, missed.detect_seconds) == (False, None)


def test_an_incident_of_another_time_or_detector_does_not_count():
    case = Case("black", "video.black", ".mp4", lambda *_: None)
    planted = Planted("video.black", 4.0, 8.0, 1.0)

    def incident(name, start, end):
        return Incident("x", "s", name, Severity.CRITICAL, start, 0.0, end=end, decided_at=start + 2)

    assert not result_of(case, planted, [incident("video.black", 0.0, 3.0), incident("video.freeze", 4.0, 8.0)]).found
    found = result_of(case, planted, [incident("video.black", 4.04, 8.0), incident("video.freeze", 4.0, 8.0)])
    assert (found.found, found.detect_seconds, found.besides) == (True, 2.04, ("video.freeze",))
    assert not result_of(case, None, [incident("video.black", 0.0, 3.0)]).found


def test_every_case_has_a_detector_that_exists_and_a_name_of_its_own():
    all_of_them = cases()
    assert len({case.name for case in all_of_them}) == len(all_of_them)
    for case in all_of_them:
        if case.detector:
            assert detector(case.detector).name == case.detector
    results = [Result(case.name, case.detector, 0.0, 1.0, True, 1.0, 1.0, ()) for case in all_of_them]
    # What has no case yet is told, not passed over.
    assert set(untried(results)) >= {"stream.stall", "av.sync"}
    assert "video.black" not in untried(results)
