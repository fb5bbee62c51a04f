"""Ready-made profiles name detectors and parameters that exist, and do what their kind of stream needs."""

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
