"""The test signals of EBU Tech 3341 v4 (loudness meters) and Tech 3342 v4 (loudness range), made from their tables.

Tolerances are the documents' own: 0.1 LU for loudness, 1 LU for range, +0.2/-0.4 dB for true peak. Cases 7 and 8 of
3341 and 5 and 6 of 3342 are recordings; they are measured where their files are.
"""

import av
import numpy as np
import pytest
from audio_blocks import SAMPLE_RATE, measure_signal, tone


def silence_and(level, before, sounding, after):
    return tone([(None, before), (level, sounding), (None, after)])


@pytest.mark.parametrize(
    ("case", "steps", "expected"),
    [
        (1, [(-23, 20)], -23.0),
        (2, [(-33, 20)], -33.0),
        (3, [(-36, 10), (-23, 60), (-36, 10)], -23.0),
        (4, [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        (5, [(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_3341_integrated_loudness_of_stereo_tones(case, steps, expected):
    columns, loudness = measure_signal(tone(steps))
    assert loudness.integrated == pytest.approx(expected, abs=0.1)
    if case <= 2:
        assert columns["momentary"][3:] == pytest.approx(expected, abs=0.1)
        assert columns["short_term"][29:] == pytest.approx(expected, abs=0.1)


def test_3341_case_6_weighs_surround_channels():
    left, center, surround = (tone([(level, 20)], channels=1) for level in (-28, -24, -30))
    signal = np.concatenate([left, left, center, surround, surround])
    _, loudness = measure_signal(signal, weights=[1.0, 1.0, 1.0, 1.41, 1.41])
    assert loudness.integrated == pytest.approx(-23.0, abs=0.1)


def test_3341_case_9_short_term_is_constant_after_3_s():
    columns, _ = measure_signal(tone([(-20, 1.34), (-30, 1.66)] * 5))
    assert columns["short_term"][29:] == pytest.approx(-23.0, abs=0.1)
    assert columns["short_term_max"][30:] == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("step", range(20))
def test_3341_case_10_maximum_short_term_of_a_file(step):
    _, loudness = measure_signal(silence_and(-23, 0.15 * step, 3.0, 1.0))
    assert loudness.max_short_term == pytest.approx(-23.0, abs=0.1)


def test_3341_case_11_maximum_short_term_live():
    steps = [silence_and(-38 + i, 0.15 * i, 3.0, 3 - 0.15 * i) for i in range(20)]
    columns, _ = measure_signal(np.concatenate(steps, axis=1))
    for i, maxima in enumerate(columns["short_term_max"].reshape(20, 60)):
        assert np.nanmax(maxima) == pytest.approx(-38 + i, abs=0.1)


def test_3341_case_12_momentary_is_constant_after_1_s():
    columns, _ = measure_signal(tone([(-20, 0.18), (-30, 0.22)] * 25))
    assert columns["momentary"][10:] == pytest.approx(-23.0, abs=0.1)
    assert columns["momentary_max"][10:] == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("step", range(20))
def test_3341_case_13_maximum_momentary_of_a_file(step):
    _, loudness = measure_signal(silence_and(-23, 0.02 * step, 0.4, 1.0))
    assert loudness.max_momentary == pytest.approx(-23.0, abs=0.1)


def test_3341_case_14_maximum_momentary_live():
    steps = [silence_and(-38 + i, 0.02 * i, 0.4, 0.4 - 0.02 * i) for i in range(20)]
    columns, _ = measure_signal(np.concatenate(steps, axis=1))
    for i, maxima in enumerate(columns["momentary_max"].reshape(20, 8)):
        assert np.nanmax(maxima) == pytest.approx(-38 + i, abs=0.1)


@pytest.mark.parametrize(
    ("case", "divisor", "amplitude", "degrees", "expected"),
    [
        (15, 4, 0.5, 0, -6.0),
        (16, 4, 0.5, 45, -6.0),
        (17, 6, 0.5, 60, -6.0),
        (18, 8, 0.5, 67.5, -6.0),
        (19, 4, 1.41, 45, 3.0),
    ],
)
def test_3341_true_peak_of_tones_between_samples(case, divisor, amplitude, degrees, expected):
    samples = np.arange(2 * SAMPLE_RATE)
    fade = np.minimum(1, np.minimum(samples, samples[::-1]) / 4800)  # a hard start would ring above the tone
    wave = amplitude * fade * np.sin(2 * np.pi * samples / divisor + np.radians(degrees))
    _, loudness = measure_signal(np.stack([wave, wave]))
    assert expected - 0.4 <= loudness.true_peak <= expected + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_3341_cases_20_to_23_true_peak_of_one_period_between_samples(offset):
    """A tone at fs/6 of half amplitude with one period of fs/4 at full scale, made at 4 fs and decimated."""
    period = 24  # of fs/6 at 4 fs
    around = np.tile(0.5 * np.sin(2 * np.pi * np.arange(period) / period), 2000)
    burst = np.sin(2 * np.pi * np.arange(16) / 16)
    fast = np.concatenate([around, burst, around])
    reach = np.arange(-400, 401)
    low_pass = np.sinc(reach / 4) * np.kaiser(801, 9) / 4
    slow = np.convolve(fast, low_pass, mode="same")[offset::4]
    fade = np.minimum(1, np.minimum(np.arange(len(slow)), np.arange(len(slow))[::-1]) / 2400)
    _, loudness = measure_signal(np.stack([slow * fade, slow * fade]))
    assert -0.4 <= loudness.true_peak <= 0.2


@pytest.mark.parametrize(
    ("case", "steps", "expected"),
    [
        (1, [(-20, 20), (-30, 20)], 10.0),
        (2, [(-20, 20), (-15, 20)], 5.0),
        (3, [(-40, 20), (-20, 20)], 20.0),
        (4, [(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15.0),
    ],
)
def test_3342_loudness_range(case, steps, expected):
    _, loudness = measure_signal(tone(steps))
    assert loudness.range == pytest.approx(expected, abs=1.0)


def read(path):
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        parts = [
            part.to_ndarray() for frame in (*container.decode(audio=0), None) for part in resampler.resample(frame)
        ]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize(
    ("name", "quantity", "expected", "below", "above"),
    [
        ("ebu3341-1", "integrated", -23.0, 0.1, 0.1),
        ("ebu3341-3", "integrated", -23.0, 0.1, 0.1),
        ("ebu3341-4", "integrated", -23.0, 0.1, 0.1),
        ("ebu3341-5", "integrated", -23.0, 0.1, 0.1),
        ("ebu3341-7_3342-5", "integrated", -23.0, 0.1, 0.1),
        ("ebu3341-7_3342-5", "range", 5.0, 1.0, 1.0),
        ("ebu_1kHz_-40LUFS", "integrated", -40.0, 0.1, 0.1),
        ("ebu3342-1", "range", 10.0, 1.0, 1.0),
        ("ebu3342-3", "range", 20.0, 1.0, 1.0),
        ("ebu3341-10-1", "max_short_term", -23.0, 0.1, 0.1),
        ("ebu3341-10-20", "max_short_term", -23.0, 0.1, 0.1),
        ("ebu3341-12", "max_momentary", -23.0, 0.1, 0.1),
        ("ebu3341-13-7", "max_momentary", -23.0, 0.1, 0.1),
        ("ebu3341-13-20", "max_momentary", -23.0, 0.1, 0.1),
        ("ebu3341-16_truepeak", "true_peak", -6.0, 0.4, 0.2),
        ("ebu3341-17_truepeak", "true_peak", -6.0, 0.4, 0.2),
        ("ebu3341-20_truepeak", "true_peak", 0.0, 0.4, 0.2),
        ("ebu3341-21_truepeak", "true_peak", 0.0, 0.4, 0.2),
        ("ebu3341-22_truepeak", "true_peak", 0.0, 0.4, 0.2),
    ],
)
def test_published_files(media, name, quantity, expected, below, above):
    path = media / "loudness" / f"{name}.flac"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    _, loudness = measure_signal(read(path))
    assert expected - below <= getattr(loudness, quantity) <= expected + above
