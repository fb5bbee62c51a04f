"""Declarations, their parameters and how they are found."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from engine.detectors import DETECTORS, Rule, all_detectors, detector, gather, motion, resolve
from engine.detectors.base import Detector, Parameter
from engine.detectors.video import BLACK, FREEZE
from engine.errors import ConfigError
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule
from kernels.temporal import layout

MINE = Detector(
    name="video.mine",
    track="video",
    column="luma_mean",
    severity=Severity.INFO,
    summary="A detector of another package.",
    parameters=(Parameter("threshold", 3.0, "", 0.0, 9.0, "where it begins"),),
    make_rule=lambda p: Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=0.0),
)
PAIR = (MINE,)
NOT_A_DETECTOR = 7


def test_names_are_unique_and_defaults_make_rules():
    assert len({d.name for d in DETECTORS}) == len(DETECTORS)
    for declared in DETECTORS:
        assert declared.name.startswith(("av.", "stream.") if declared.track == "stream" else declared.track)
        assert declared.rule().enter == declared.rule({}).enter
        for parameter in declared.parameters:
            assert parameter.parse(parameter.default, declared.name) == parameter.default
        for master in declared.dominated_by:
            assert detector(master).track == declared.track


def test_ffmpeg_defaults():
    # libavfilter: vf_freezedetect.c, vf_blackdetect.c, af_silencedetect.c
    assert detector("video.freeze").settle() == {"noise": 0.001, "duration": 2.0}
    assert detector("video.black").settle() == {
        "black_min_duration": 2.0,
        "picture_black_ratio_th": 0.98,
        "pixel_black_th": 0.1,
    }
    assert detector("audio.silence").settle() == {"noise": 0.001, "duration": 2.0}
    assert FREEZE.rule() == Rule(0.001, 0.001, below=True, set_seconds=2.0, clear_seconds=0.0)
    assert BLACK.rule({"black_min_duration": 0.5}) == Rule(0.98, 0.98, below=False, set_seconds=0.5, clear_seconds=0.0)
    assert FREEZE.onset is OnsetRule.SINCE_PREVIOUS


@pytest.mark.parametrize(
    ("value", "number"),
    [("-60dB", 0.001), ("-20 dB", 0.1), (0.25, 0.25), ("0.25", 0.25), (1, 1.0), ("1e-3", 0.001), ("0dB", 1.0)],
)
def test_noise_is_a_level_or_decibels(value, number):
    assert detector("audio.silence").settle({"noise": value})["noise"] == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "seconds"), [(3, 3.0), ("1.5", 1.5), ("500ms", 0.5), ("2s", 2.0), ("00:01:30", 90.0), ("1:02.5", 62.5)]
)
def test_durations(value, seconds):
    assert FREEZE.settle({"duration": value})["duration"] == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("value", [-1, 0, "two", "5dB", None, True, float("nan"), "nan", [2], 1e9, "1.2.3"])
def test_a_wrong_duration_is_refused(value):
    with pytest.raises(ConfigError, match=r"video\.freeze: wrong value for duration.*0\.01 to 86400 s.*default is 2"):
        FREEZE.settle({"duration": value})


def test_a_wrong_level_is_refused():
    with pytest.raises(ConfigError, match=r'from 0 to 1 \(or decibels like "-60dB"\)'):
        FREEZE.settle({"noise": "6dB"})


def test_an_unknown_parameter_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"video\.freeze has no parameter 'nois': it has noise, duration"):
        FREEZE.rule({"nois": 1})


@pytest.mark.parametrize(("wrong", "near"), [("video.frezee", "video.freeze"), ("blck", "video.black")])
def test_an_unknown_detector_names_close_ones(wrong, near):
    with pytest.raises(ConfigError, match=rf"no detector is called '{wrong}': close names are {near}"):
        detector(wrong)


def test_an_unknown_detector_far_from_all_names_all():
    named = r"there are audio\.bandwidth, audio\.channel_lost, .*video\.freeze.*; `avjury detectors`"
    with pytest.raises(ConfigError, match=named):
        detector("zzzz")


def test_resolve():
    everything, parameters = resolve(None)
    assert everything == tuple(d for d in all_detectors() if not d.optional)
    assert set(parameters) == {d.name for d in everything}
    some, parameters = resolve({"video.black": {"black_min_duration": "250ms"}, "audio.silence": {}})
    assert [d.name for d in some] == ["video.black", "audio.silence"]
    assert parameters["video.black"]["black_min_duration"] == 0.25
    with pytest.raises(ConfigError, match="wrong value for black_min_duration"):
        resolve({"video.black": {"black_min_duration": "soon"}})


def test_a_rule_that_contradicts_itself_is_refused():
    with pytest.raises(ConfigError, match="enter 1, exit 2"):
        Rule(1.0, 2.0, below=False, set_seconds=0.0, clear_seconds=0.0)
    with pytest.raises(ConfigError, match="no time is negative"):
        Rule(1.0, 1.0, below=False, set_seconds=-1.0, clear_seconds=0.0)


def test_other_packages_bring_detectors():
    def point(name):
        return EntryPoint("x", f"{__name__}:{name}", "avjury.detectors")

    sys.modules.setdefault(__name__, sys.modules[test_resolve.__module__])
    assert gather([point("MINE")]) == (*DETECTORS, MINE)
    assert gather([point("PAIR")]) == (*DETECTORS, MINE)
    with pytest.raises(ConfigError, match=r"video\.mine exists already"):
        gather([point("MINE"), point("PAIR")])
    with pytest.raises(ConfigError, match="it is a int"):
        gather([point("NOT_A_DETECTOR")])
    with pytest.raises(ConfigError, match="cannot load the detectors of 'no_such_package:D': ModuleNotFoundError"):
        gather([EntryPoint("x", "no_such_package:D", "avjury.detectors")])


def test_declarations_load_no_torch():
    code = "import sys, engine.detectors, engine.incidents; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_keeps_flashes_going_on_is_what_the_kernel_says():
    assert (motion.FLICKER_PERCENT, motion.KEPT_FLASH_RATE) == (layout.FLICKERS, layout.KEPT_FLASH_RATE)
    flash = detector("video.flash")
    assert (flash.rule().enter, flash.rule().exit) == (layout.MANY_FLASHES, layout.KEPT_FLASH_RATE)
    assert flash.rule({"flashes": 1}).exit == 1.5


def test_every_detector_says_what_a_viewer_notices():
    for declared in all_detectors():
        assert re.fullmatch(r"[a-z].*[.]", declared.viewer), declared.name
