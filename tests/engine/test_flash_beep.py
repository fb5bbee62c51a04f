"""Lip sync by flashes and beeps, over real files."""

import numpy as np
import pytest
from made_pattern import write_pattern

from engine.flash_beep import FlashBeep
from engine.media import AudioBlock
from engine.pipeline import EngineSettings, StreamSpec, check
from engine.sound_onsets import SoundOnsets

RATE = 25


def judged(path):
    outcome = check([StreamSpec("pattern", str(path), {"av.sync": {}})], EngineSettings(device="cpu"))[0]
    assert outcome.error is None
    return outcome.incidents, outcome.summary.av_sync


@pytest.mark.parametrize(
    ("offset", "name", "codec", "area"),
    [
        (0.0, "zero.mp4", "aac", 1.0),
        (0.2, "late.ts", "mp2", 1.0),
        (-0.09, "early.mkv", "pcm_s16le", 1.0),
        (0.04, "part.mp4", "aac", 0.15),
    ],
)
def test_the_offset_is_found_within_two_milliseconds(tmp_path, offset, name, codec, area):
    incidents, found = judged(write_pattern(tmp_path / name, offset, codec=codec, area=area))
    assert found["offset_ms"] == pytest.approx(1000 * offset, abs=2.0)
    assert found["confidence"] >= 0.8
    out = not -0.045 <= offset <= 0.125
    assert found["verdict"] == ("out_of_sync" if out else "in_sync")
    assert [incident.detector for incident in incidents] == (["av.sync"] if out else [])
    if out:
        assert f"{abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'}" in incidents[0].cause


def test_flashes_without_beeps_are_no_verdict(tmp_path):
    incidents, found = judged(write_pattern(tmp_path / "mute.mp4", 0.0, beeps=False))
    assert found == {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
    assert incidents == []


def test_a_sound_that_sets_in_is_found_to_the_sample():
    onsets = SoundOnsets()
    samples = np.zeros(48000, np.float32)
    samples[12345:14000] = 0.3
    for at in range(0, 48000, 4800):
        onsets.take(AudioBlock("", at / 48000, samples[None, at : at + 4800], 4800, (1.0,), 1.0))
    onsets.finish()
    assert list(onsets.found) == [pytest.approx(12345 / 48000, abs=1e-9)]


def test_beeps_at_random_are_no_verdict():
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(20):
        onsets = SoundOnsets()
        onsets.found.extend(sorted(rng.uniform(0, 12, 12)))
        onsets.until = 60.0
        pattern = FlashBeep(onsets)
        for index in range(300):
            pattern.picture(index / 25, 0.8 if index % 25 == 12 else 0.1)
        told += bool(pattern.settled(last=True))
    assert told == 0


def test_a_cut_to_a_brighter_scene_is_no_flash():
    onsets = SoundOnsets()
    onsets.found.extend([1.0, 2.0, 3.0, 4.0, 5.0])
    onsets.until = 60.0
    pattern = FlashBeep(onsets)
    for index in range(150):
        pattern.picture(index / 25, 0.1 + 0.15 * (index // 25))
    assert pattern.settled(last=True) == []
    assert pattern.verdict(0.125, 0.045)["verdict"] == "unknown"


def patterned(offsets, period=1.0):
    """What a flash every `period` says, with the sound of each so much later."""
    onsets = SoundOnsets()
    flashes = [0.48 + period * k for k in range(len(offsets))]
    onsets.found.extend(at + offset for at, offset in zip(flashes, offsets, strict=True))
    onsets.until = 600.0
    pattern = FlashBeep(onsets)
    for index in range(round(25 * (flashes[-1] + 1))):
        pattern.picture(index / 25, 0.8 if any(abs(index / 25 - at) < 0.01 for at in flashes) else 0.1)
    return pattern, pattern.settled(last=True)


def test_a_change_is_told_at_the_first_flash_after_it():
    _, pairs = patterned([0.0] * 10 + [0.2] * 10)
    assert [pair.at for pair in pairs] == [pytest.approx(0.48 + k) for k in range(20)]
    assert [pair.offset for pair in pairs] == [pytest.approx(0.0)] * 10 + [pytest.approx(0.2)] * 10


def test_a_programme_in_a_loop_is_no_pattern():
    # A bright moment with a note a third of a second before it, every 20 s; patterns flash every ten at most.
    assert patterned([-0.32] * 8, period=20.0)[1] == []
    assert len(patterned([-0.32] * 8, period=10.0)[1]) == 8


def test_a_beep_that_is_faded_in_begins_where_the_fade_does():
    samples = np.zeros(48000, np.float32)
    t = np.arange(9600) / 48000
    samples[20000:29600] = 0.2 * np.sin(2 * np.pi * 1000 * t) * np.minimum(t / 0.02, 1)
    onsets = SoundOnsets()
    for at in range(0, 48000, 4800):
        onsets.take(AudioBlock("", at / 48000, samples[None, at : at + 4800], 4800, (1.0,), 1.0))
    onsets.finish()
    assert list(onsets.found) == [pytest.approx(20000 / 48000, abs=0.001)]


def test_a_softer_sound_before_a_beep_is_no_part_of_it():
    samples = np.zeros(48000, np.float32)
    samples[20000:21000] = 0.1  # as of a coder that smears
    samples[21000:24000] = 0.5
    onsets = SoundOnsets()
    for at in range(0, 48000, 4800):
        onsets.take(AudioBlock("", at / 48000, samples[None, at : at + 4800], 4800, (1.0,), 1.0))
    onsets.finish()
    assert list(onsets.found) == [pytest.approx(21000 / 48000, abs=1e-4)]


def flashing(bright_seconds, level, *, dark=0.1, period=1.0, late=0.08, count=10, sound_from=0.0):
    """What is said of flashes of `level` that last so long, each with a beep after it."""
    onsets = SoundOnsets()
    flashes = [0.48 + period * k for k in range(count)]
    onsets.found.extend(at + late for at in flashes)
    onsets.began, onsets.until, onsets.ended = sound_from, 600.0, 600.0
    pattern = FlashBeep(onsets)
    for index in range(round(25 * (flashes[-1] + period))):
        on = any(-0.01 < index / 25 - at < bright_seconds - 0.01 for at in flashes)
        pattern.picture(index / 25, level if on else dark)
    pattern.settled(last=True)
    return pattern.verdict(0.125, 0.045)["offset_ms"]


def test_a_flash_of_a_fiftieth_of_the_picture_is_found():
    assert flashing(0.04, 0.1 + 0.9 / 50) == pytest.approx(80)


def test_a_white_picture_that_goes_dark_for_a_moment_is_a_flash():
    assert flashing(0.12, 0.05, dark=0.9) == pytest.approx(80)


def test_what_is_bright_for_longer_than_it_is_dark_is_no_flash():
    # As bright for 0.64 s and dark for 0.36 s: the beep may be the dark part's.
    assert flashing(0.64, 0.9) is None


def test_smaller_flashes_between_do_not_matter():
    onsets = SoundOnsets()
    flashes = [0.48 + k for k in range(10)]
    onsets.found.extend(at + 0.08 for at in flashes)
    onsets.until = 600.0
    pattern = FlashBeep(onsets)
    for index in range(275):
        small = index % 25 in (3, 4, 19, 20)
        pattern.picture(index / 25, 0.8 if index % 25 == 12 else 0.15 if small else 0.1)
    pattern.settled(last=True)
    assert pattern.verdict(0.125, 0.045)["offset_ms"] == pytest.approx(80)


def test_the_first_flash_without_a_beep_tells_more_than_half_a_period():
    # Sound was there from the beginning, and silent where the nearest beep of the first flash would have been.
    assert flashing(0.04, 0.8, late=0.7) == pytest.approx(700)
    assert flashing(0.04, 0.8, late=0.7, sound_from=0.4) == pytest.approx(-300)


def test_sound_beyond_the_range_is_no_guess():
    assert flashing(0.04, 0.8, late=2.0) is None


def test_beyond_half_a_period_the_nearest_beep_is_taken():
    assert patterned([0.6] * 12)[0].verdict(0.125, 0.045)["offset_ms"] == pytest.approx(-400)
    assert patterned([0.6] * 12, period=2.0)[0].verdict(0.125, 0.045)["offset_ms"] == pytest.approx(600)


def test_three_pairs_are_not_enough():
    assert patterned([0.0] * 3)[1] == []
