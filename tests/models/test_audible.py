"""What a listener notices of what is planted into sound: at some places, and not at others."""

import numpy as np
import pytest
from made_sound import music_like

from models.synthesis import audible, sound

SECONDS = 12.0


def noise(seconds, seed=0):
    """Two channels with nothing in common, at -20 dBFS."""
    return 0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * 48_000))).astype(np.float32)


def gained(samples, at, decibels):
    made = samples.copy()
    made[:, round(at * 48_000) :] *= np.float32(10 ** (decibels / 20))
    return made


def test_a_gain_is_noticed_where_the_programme_goes_on():
    steady = noise(SECONDS)
    assert audible.goes_on(steady, 6.0, 18.0)
    assert audible.goes_on(gained(steady, 6.0, 5.0), 6.0, 18.0)


@pytest.mark.parametrize("own", [-7.0, 7.0])
def test_a_gain_is_not_noticed_where_the_programme_changes_as_much(own):
    assert not audible.goes_on(gained(noise(SECONDS), 6.0, own), 6.0, 18.0)


def test_a_pause_on_one_side_is_no_change_of_the_programme_and_silence_has_no_level():
    spoken = noise(SECONDS)
    spoken[:, 4 * 48_000 : 5 * 48_000] = 0.0
    assert audible.goes_on(spoken, 6.0, -18.0)
    spoken[:, : 6 * 48_000] *= np.float32(1e-3)
    assert not audible.goes_on(spoken, 6.0, -18.0)


@pytest.mark.parametrize(("share", "heard"), [(1.0, True), (0.7, True), (0.5, False)])
def test_an_inverted_channel_is_noticed_where_both_have_most_in_common(share, heard):
    """Two sources, of which `share` of the power is in both channels."""
    both, apart = noise(SECONDS, seed=1), noise(SECONDS, seed=2)
    samples = np.float32(np.sqrt(share)) * np.repeat(both[:1], 2, axis=0) + np.float32(np.sqrt(1 - share)) * apart
    assert audible.have_in_common(samples, 2.0, 10.0) == heard


def test_channels_that_have_nothing_in_common_at_first_are_not_noticed_from_there_on():
    samples = np.repeat(noise(SECONDS)[:1], 2, axis=0)
    samples[1, 2 * 48_000 : 3 * 48_000] = noise(1.0, seed=3)[0]
    assert not audible.have_in_common(samples, 2.0, 10.0)
    assert audible.have_in_common(samples, 4.0, 10.0)


def test_hum_is_noticed_where_nothing_low_is_louder():
    low = 0.05 * np.sin(2 * np.pi * 110 * np.arange(round(SECONDS * 48_000)) / 48_000)
    samples = np.tile(low.astype(np.float32), (2, 1))  # -26 dBFS
    samples[:, 6 * 48_000 :] *= np.float32(0.1)
    assert not audible.hum_is_heard(samples, 2.0, -26.0)
    assert audible.hum_is_heard(samples, 2.0, -22.5)
    assert audible.hum_is_heard(samples, 7.0, -26.0)
    assert sound.low_level(samples[:, : 6 * 48_000]) == pytest.approx(-26.0, abs=0.1)


def test_what_is_clipped_begins_with_the_first_sample_that_is_cut_off():
    samples = 0.2 * music_like(8.0)
    samples[:, : 4 * 48_000] *= np.float32(0.01)
    made, [planted] = sound.plant_clipping(samples, 2.0, 7.0, ceiling=0.25)
    assert planted.start == pytest.approx(4.0, abs=0.05)
    assert np.array_equal(made[:, : round(planted.start * 48_000)], samples[:, : round(planted.start * 48_000)])
    inside = made[:, round((planted.start + 0.01) * 48_000) : 6 * 48_000]
    assert np.abs(inside).max() == pytest.approx(0.25, abs=1e-3)
    assert (np.abs(inside) > 0.2499).mean() > 0.05


def test_what_is_too_loud_is_so_from_its_first_three_seconds_on_and_nothing_of_it_is_cut_off():
    samples = 0.05 * music_like(14.0)
    made, [planted] = sound.plant_loudness(samples, 2.0, 12.0)
    assert planted.start == 2.0
    assert np.abs(made).max() <= 10 ** (-2 / 20) + 1e-6
    inside = made[:, 3 * 48_000 : 11 * 48_000]
    assert 10 * np.log10((inside.astype(np.float64) ** 2).mean(axis=1).sum()) > -12.0
    # No two samples beside each other are the same, as they are in a top that is cut off.
    tops = np.abs(inside) > 0.97 * np.abs(inside).max()
    assert not (tops[:, 1:] & tops[:, :-1] & (np.diff(inside) == 0)).any()
    samples[:, : 6 * 48_000] = 0.0
    _, [planted] = sound.plant_loudness(samples, 2.0, 12.0)
    assert planted.start == pytest.approx(5.5, abs=0.7)


def test_a_gain_is_not_noticed_where_other_sound_begins_at_the_same_level():
    """A rumble gives way to a hiss, neither louder nor quieter."""
    rumble = 0.1 * np.sin(2 * np.pi * 90 * np.arange(round(SECONDS * 48_000)) / 48_000)
    samples = np.tile(rumble.astype(np.float32), (2, 1)) + 1e-3 * noise(SECONDS)
    assert audible.goes_on(samples, 6.0, 18.0)
    samples[:, 6 * 48_000 :] = 0.7 * noise(6.0)
    assert not audible.goes_on(samples, 6.0, 18.0)
