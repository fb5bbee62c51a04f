"""Inputs that are whole, and yet not what one expects: packed, encrypted, piped, cut by an edit list."""

import bz2
import gzip
import os
import threading
import wave

import pytest
from made_clips import make

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

TRANSPORT = {"stream.av_offset": {}, "stream.timestamps": {}, "stream.continuity": {}, "stream.decode_errors": {}}


def judge(path, detectors=TRANSPORT):
    [outcome] = check([StreamSpec("clip", str(path), detectors)], EngineSettings(device="cpu"))
    return outcome


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2")])
def test_what_is_packed_is_told_to_be_unpacked(tmp_path, pack, name):
    path = tmp_path / "clip.mp4"
    path.write_bytes(pack(make("av.mp4").read_bytes()))
    error = judge(path).error
    assert f"packed with {name}" in error.line()
    assert error.exit_code == 3


def test_a_wave_file_without_samples_is_told_to_hold_nothing(tmp_path):
    path = tmp_path / "empty.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
    assert "holds nothing" in judge(path).error.line()


def test_encrypted_media_is_told_so_and_not_taken_for_damage():
    key, name = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
    scheme = ("encryption_scheme", "cenc-aes-ctr")
    clip = make("locked.mp4", video="libx264", options=(scheme, ("encryption_key", key), ("encryption_kid", name)))
    outcome = judge(clip)
    assert "encrypted" in outcome.error.line()
    assert outcome.incidents == []


def test_a_transport_stream_from_a_pipe_loses_nothing(tmp_path):
    clip, pipe = make("piped.ts", video="libx264"), tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(clip.read_bytes(),), daemon=True)
    writing.start()
    outcome = judge(pipe)
    writing.join(10)
    assert (outcome.summary.frames_measured, outcome.summary.decode_errors) == (50, 0)
    assert outcome.incidents == []


def test_what_an_edit_list_leaves_out_has_no_times():
    outcome = judge(make("edited.mp4", video="libx264", start=-1.2))
    assert outcome.summary.frames_measured == 20
    assert outcome.incidents == []


def test_a_file_whose_name_has_a_line_break_is_judged(tmp_path):
    path = tmp_path / "two\nlines.mp4"
    path.write_bytes(make("av.mp4").read_bytes())
    assert judge(path).summary.frames_measured == 50


def test_pictures_that_nothing_decodes_are_told_beside_sound_that_is_judged(tmp_path, caplog):
    path = tmp_path / "unknown.mp4"
    whole = make("known.mp4", video="libx264", seconds=6.0, size=(64, 48)).read_bytes()
    path.write_bytes(whole.replace(b"avc1", b"zzq9"))
    outcome = judge(path, {"stream.missing_video": {}})
    [incident] = outcome.incidents
    assert (incident.severity, outcome.summary.audio_seconds) == ("critical", 6.0)
    assert "cannot be decoded" in incident.cause
    assert "clip: video track 0 cannot be decoded" in caplog.text
