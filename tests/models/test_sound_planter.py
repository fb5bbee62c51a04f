"""What the planter plants, where, and that it is the same every time."""

import math

import numpy as np
import pytest
from made_sound import music_like, speech_like

from models.synthesis import sound
from models.synthesis.planted import Planted

EVENTS = {
    "audio.click": lambda x: sound.plant_clicks(x, 1.0, 3.0, count=3, seed=5),
    "audio.dropout": lambda x: sound.plant_dropout(x, 1.0, 0.08),
    "audio.stutter": lambda x: sound.plant_stutter(x, 1.0, 3.0),
    "audio.level_jump": lambda x: sound.plant_level_jump(x, 1.0),
    "audio.bandwidth": lambda x: sound.plant_narrow_band(x, 1.0, 3.0),
}
ALL = {**{name: lambda x, plant=plant: plant(x, 1.0, 3.0) for name, plant in sound.LASTING.items()}, **EVENTS}


def test_a_pulse_has_its_height_and_length_and_stays_within_full_scale():
    clean = speech_like(4.0)
    made, [planted] = sound.plant_pulse(clean, 1.0, 0.0005, size=0.5)
    moved = np.abs(made - clean)
    assert (planted.start, planted.end) == (1.0, pytest.approx(1.0005))
    assert np.flatnonzero(moved.max(axis=0)).tolist() == list(range(48_000, 48_024))
    assert moved[:, 48_000:48_024] == pytest.approx(0.5, abs=1e-6)
    assert np.abs(made).max() <= 1.0


@pytest.mark.parametrize("name", ALL)
def test_planting_changes_only_what_it_says_and_is_repeatable(name):
    clean = speech_like(4.0)
    before = clean.copy()
    made, planted = ALL[name](clean)
    again, planted_again = ALL[name](clean)
    assert clean.tobytes() == before.tobytes()
    assert made.tobytes() == again.tobytes()
    assert planted == planted_again
    assert made.shape == clean.shape
    assert made.dtype == np.float32
    assert {defect.detector for defect in planted} == {name}
    changed = np.flatnonzero((made != clean).any(axis=0))
    assert changed[0] >= round(planted[0].start * 48_000)
    if name != "audio.level_jump":  # which goes on
        assert changed[-1] < round(planted[-1].end * 48_000)
    assert changed[-1] - changed[0] > 0
    assert np.isfinite(made).all()


def test_surround_is_planted_into_as_it_says():
    clean = sound.surround_of(speech_like(4.0))
    assert clean.shape == (6, 4 * 48_000)
    steps = (np.diff(clean, axis=1) ** 2).sum(axis=1) / (clean**2).sum(axis=1)
    assert steps[sound.LFE] < 0.25 * np.delete(steps, sound.LFE).min()
    made, [planted] = sound.plant_channel_order(clean, 1.0, 3.0)
    assert (planted.detector, planted.start, planted.end) == ("audio.channel_swap", 1.0, 3.0)
    assert np.array_equal(made[:, 96_000], clean[[0, 2, 1, 4, 5, 3], 96_000])
    assert np.array_equal(made[:, :48_000], clean[:, :48_000])
    made, [planted] = sound.plant_lost_channel(clean, 1.0, 3.0, channel=4)
    assert planted.detector == "audio.surround_lost"
    assert not made[4, 50_000:140_000].any()
    with pytest.raises(ValueError, match="six channels"):
        sound.plant_channel_order(clean[:2], 1.0, 3.0)


def test_edges_of_a_lasting_defect_are_no_clicks():
    made, _ = sound.plant_offset(np.zeros((2, 48_000), np.float32), 0.2, 0.8, offset=0.5)
    assert np.abs(np.diff(made)).max() < 0.003
    assert made[0, 24_000] == 0.5
    assert not made[1].any()


def test_clicks_are_planted_one_by_one():
    made, planted = sound.plant_clicks(music_like(2.0), 0.5, 1.5, size=0.3, count=4, seed=9)
    assert [round(p.duration * 48_000) in (1, 2, 3, 4) for p in planted] == [True] * 4
    assert all(0.5 <= p.start < 1.5 for p in planted)
    assert np.abs(made).max() <= 1.0


def test_a_narrow_band_has_what_is_below_and_nothing_above():
    clean = speech_like(4.0)
    made, [planted] = sound.plant_narrow_band(clean, 1.0, 3.0, 4000.0)
    assert planted.parameters["hertz"] == 4000.0
    frequency = np.fft.rfftfreq(48_000, 1 / 48_000)
    before, after = (np.abs(np.fft.rfft(x[0, 72_000:120_000] * np.hanning(48_000))) for x in (clean, made))
    assert after[frequency > 4100].max() < 1e-4 * before[frequency > 4100].max()
    low = (frequency > 50) & (frequency < 3500)
    assert after[low] == pytest.approx(before[low], abs=1e-3 * before[low].max())


def test_a_jump_of_the_level_lasts_from_the_last_sound_before_it_until_sound_was_heard_again():
    clean = music_like(6.0)
    _, [planted] = sound.plant_level_jump(clean, 1.0)
    assert (planted.start, planted.end) == (1.0, pytest.approx(1.4))
    clean[:, 43_200:67_200] *= 0.01  # a pause from 0.9 to 1.4 s
    _, [planted] = sound.plant_level_jump(clean, 1.0)
    assert (planted.start, planted.end) == (pytest.approx(0.9), pytest.approx(1.8))
    _, [planted] = sound.plant_level_jump(np.zeros_like(clean), 1.0)
    assert (planted.start, planted.end) == (1.0, pytest.approx(1.4))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 48000\)"):
        sound.plant_silence(np.zeros((2, 48_000), np.float32), 0.5, 1.5)
    with pytest.raises(ValueError, match="one channel"):
        sound.plant_mono(np.zeros((1, 48_000), np.float32), 0.0, 1.0)
    for start, end in ((1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, math.inf), (math.nan, 1.0)):
        with pytest.raises(ValueError, match=r"video\.black"):
            Planted("video.black", start, end, 1.0)
    assert Planted("video.black", 1.0, 3.0, 1.0).duration == 2.0
