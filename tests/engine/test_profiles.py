"""Ready-made profiles name detectors and parameters that exist, and do what their kind of stream needs."""

import json
import wave

import numpy as np
import pytest
from made_clips import make

from engine.cli import run
from engine.config import Config, select
from engine.detectors import DETECTORS, resolve
from engine.errors import ConfigError
from engine.profiles import BUILT_IN

NAMES = [declared.name for declared in DETECTORS]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_profile_is_made_of_what_exists(name):
    for entry in BUILT_IN[name]:
        assert entry in NAMES or any(known.startswith(entry.removesuffix("*")) for known in NAMES)
    resolve(select(NAMES, [BUILT_IN[name]]))


def test_the_default_profile_is_the_defaults():
    assert select(NAMES, [BUILT_IN["live-ott"]]) == {name: {} for name in NAMES}


def test_a_camera_without_sound_has_no_missing_sound():
    chosen = select(NAMES, [BUILT_IN["surveillance"]])
    assert "stream.missing_audio" not in chosen
    assert not any(name.startswith("audio.") for name in chosen)


def test_a_configurations_own_profile_hides_the_built_in_one():
    config = Config.model_validate({"profiles": {"broadcast": {"detectors": {"video.*": False}}}})
    assert config.profile("broadcast") == {"video.*": False}
    assert config.profile("file-qc") == BUILT_IN["file-qc"]


def test_an_unknown_profile_names_those_that_there_are():
    with pytest.raises(
        ConfigError, match=r"close names are broadcast|broadcast, broadcast-us, file-qc, live-ott, surveillance"
    ):
        Config().profile("brodcast")


def test_check_takes_a_profile(capsys):
    clip = make("silent-camera.mp4", audio=None, seconds=6.0)
    assert run(["check", str(clip), "--format", "jsonl"]) == 0
    assert "missing_audio" in capsys.readouterr().out
    assert run(["check", str(clip), "--format", "jsonl", "--profile", "surveillance"]) == 0
    assert "missing_audio" not in capsys.readouterr().out
    assert run(["check", str(clip), "--profile", "none-such"]) == 2


def tone(path, *parts):
    """EBU Tech 3341's kind of signal: a stereo sine of 1 kHz whose loudness in LUFS is its level; (level, seconds)."""
    levels = np.concatenate([np.full(round(48_000 * seconds), 10 ** (level / 20)) for level, seconds in parts])
    sine = np.round(32_767 * levels * np.sin(2 * np.pi * 1000 * np.arange(len(levels)) / 48_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(np.repeat(sine[:, None], 2, axis=1).tobytes())
    return path


@pytest.mark.parametrize(
    ("profile", "parts", "told"),
    [
        # EBU Tech 3341, cases 1 to 3: -23, -33, and -23 gated out of quieter parts. R 128 s1: -18 LUFS short-term.
        ("broadcast", [(-23.0, 20.0)], []),
        ("broadcast", [(-33.0, 20.0)], ["audio.programme_loudness"]),
        ("broadcast", [(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], []),
        ("broadcast", [(-24.5, 20.0)], ["audio.programme_loudness"]),
        ("broadcast", [(-24.0, 30.0), (-17.0, 4.0)], ["audio.loudness"]),
        ("file-qc", [(-24.5, 20.0)], ["audio.programme_loudness"]),
        # ATSC A/85: -24 LKFS within 2 dB.
        ("broadcast-us", [(-24.0, 20.0)], []),
        ("broadcast-us", [(-25.5, 20.0)], []),
        ("broadcast-us", [(-26.5, 20.0)], ["audio.programme_loudness"]),
        ("broadcast-us", [(-21.5, 20.0)], ["audio.programme_loudness"]),
        # What nobody has agreed to is not judged.
        ("live-ott", [(-33.0, 20.0)], []),
        ("live-ott", [(-14.0, 20.0)], []),
    ],
)
def test_loudness_is_judged_by_the_profiles_standard(tmp_path, capsys, profile, parts, told):
    path = tone(tmp_path / "tone.wav", *parts)
    run(["check", str(path), "--profile", profile, "--detectors", "-audio.tone,-audio.mono", "--format", "jsonl"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [r["detector"] for r in records if r["type"] == "incident" and r["detector"].startswith("audio.")]
    assert [name for name in found if name != "audio.level_jump"] == told


def test_a_selection_comes_after_the_profile(capsys):
    clip = make("silent-camera.mp4", audio=None, seconds=6.0)
    chosen = ["--detectors", "stream.*,-stream.gop", "--profile", "surveillance"]
    assert run(["check", str(clip), "--format", "jsonl", *chosen]) == 0
    assert "missing_audio" in capsys.readouterr().out
