import math

import numpy as np
import pytest
import torch
from audio_blocks import CLIP_LEVEL_16_BIT, block_batch, measure_signal, tone
from interpreter import interpreted
from properties import given, settings, st
from torch.testing import assert_close

from kernels.audio_stats import COLUMNS, AudioState, loudness_summary, measure_audio, reference
from kernels.audio_stats.filters import INTERPOLATOR, INTERPOLATOR_GAIN

# The interpolator adds 32 float32 products: at most 32 roundings of 2**-24, times sum|taps| = 2.4, times the peak.
TRUE_PEAK_BOUND = 32 * 2**-24 * INTERPOLATOR_GAIN
# All else is float64, summed in another order: n roundings of 2**-53 of at most 4800 * 8 terms, and for loudness the
# memory of the high-pass, which amplifies by its gain of 200 at most: 38400 * 200 * 1.1e-16 = 8.5e-10 relative.
FLOAT64_BOUND = 1e-9
EXACT = ("sample_peak", "quiet_lead", "quiet_tail", "clipped", "full_scale", "quiet")


def assert_rows_agree(actual, expected, peak):
    """Compare (blocks, columns) arrays, column by column."""
    levels = 20 * np.log10(np.maximum(actual[:, 1], 1e-10))
    np.testing.assert_allclose(actual[:, COLUMNS.index("true_peak_db")], levels, rtol=FLOAT64_BOUND)
    for index, name in enumerate(COLUMNS[:-1]):
        bound = 0.0 if name in EXACT else TRUE_PEAK_BOUND * peak if name == "true_peak" else FLOAT64_BOUND
        np.testing.assert_allclose(
            actual[:, index], expected[:, index], rtol=FLOAT64_BOUND if bound else 0, atol=bound, err_msg=name
        )


def programme(seed, channels, samples):
    """Noise whose level wanders from far below the gates to beyond full scale, clipped at full scale."""
    rng = np.random.default_rng(seed)
    level = np.interp(np.arange(samples), np.linspace(0, samples, 9), 10 ** (rng.uniform(-5, 0.3, 9)))
    return np.clip(level * rng.standard_normal((channels, samples)), -1, 1 - 2**-15).astype(np.float32)


def run_blocks(measure, state, signals, lengths, weights, slots, **options):
    """(rows, blocks, columns) of programmes that arrive side by side in blocks of the given lengths."""
    results = []
    begin = 0
    for length in lengths:
        parts = [signal[:, begin : begin + length] for signal in signals]
        results.append(measure(state, *block_batch(parts, weights, slots=slots, **options)).numpy())
        begin += length
    return np.stack(results, axis=1)


def test_cpu_agrees_with_the_reference_over_whole_windows_partial_blocks_and_channel_counts():
    lengths = [4800] * 12 + [1, 479, 481, 4799, 4800, 960, 7] + [4800] * 20
    signals = [programme(seed, channels, sum(lengths)) for seed, channels in ((11, 1), (12, 2), (13, 5))]
    weights = {2: [1.0, 1.0, 1.0, 1.41, 0.0]}
    state = AudioState.allocate(7)
    slots = [6, 0, 3]
    rows = run_blocks(measure_audio, state, signals, lengths, weights, slots, silence_threshold=0.01, beyond=0.9)
    for row, signal in enumerate(signals):
        expected = reference.measure_programme(
            signal, lengths, weights.get(row, [1.0] * len(signal)), CLIP_LEVEL_16_BIT, 0.01
        )
        assert_rows_agree(rows[row], expected.rows, 1.0)
        loudness = loudness_summary(state, slots[row])
        momentary, short_term = expected.gating_powers
        # Half a histogram bin for every block, and one bin of blocks between the gate and its bin's lower edge.
        assert loudness.integrated == pytest.approx(reference.programme_loudness(momentary), abs=0.01)
        assert loudness.range is None or loudness.range == pytest.approx(reference.loudness_range(short_term), abs=0.02)
        assert loudness.max_momentary == pytest.approx(np.nanmax(expected.rows[:, 5]), abs=FLOAT64_BOUND)
        assert loudness.max_short_term == pytest.approx(np.nanmax(expected.rows[:, 7]), abs=FLOAT64_BOUND)
        assert loudness.true_peak == pytest.approx(20 * math.log10(expected.rows[:, 1].max()), abs=1e-4)


def test_triton_agrees_with_the_reference():
    lengths = [4800, 3001, 4800, 100, 479, 4800]
    signals = [programme(7, 2, sum(lengths)), programme(8, 1, sum(lengths))]
    weights = {0: [1.0, 1.41]}
    state = AudioState.allocate(3)
    with interpreted("kernels.audio_stats.gpu") as gpu:
        rows = run_blocks(
            lambda state, *args: gpu.audio_stats(*args, state.tensors()),
            state, signals, lengths, weights, [2, 0], silence_threshold=0.01, beyond=0.9,
        )  # fmt: skip
    for row, signal in enumerate(signals):
        expected = reference.measure_programme(signal, lengths, weights.get(row, [1.0]), CLIP_LEVEL_16_BIT, 0.01)
        assert_rows_agree(rows[row], expected.rows, 1.0)


def test_triton_fills_short_term_windows_and_histograms_as_the_reference_does():
    """3.4 s at ten times the speed: slots whose windows were filled on the CPU go on in Triton."""
    lengths = [4800] * 33
    signal = programme(9, 1, sum(lengths))
    expected = reference.measure_programme(signal, lengths, [1.0], CLIP_LEVEL_16_BIT, 1e-3)
    state = AudioState.allocate(2)
    run_blocks(measure_audio, state, [signal], lengths[:29], {}, [1])
    with interpreted("kernels.audio_stats.gpu") as gpu:
        rows = run_blocks(
            lambda state, *args: gpu.audio_stats(*args, state.tensors()),
            state, [signal[:, 29 * 4800 :]], lengths[29:], {}, [1],
        )  # fmt: skip
    assert_rows_agree(rows[0], expected.rows[29:], 1.0)
    for which, powers in enumerate(expected.gating_powers):
        loudness = [-0.691 + 10 * math.log10(power) for power in powers if power > 0]
        audible = [value for value in loudness if value >= -70]
        counts = state.histograms[1, which]
        assert int(counts.sum()) == len(audible)
        assert all(counts[int((value + 70) * 100)] for value in audible)
    assert not state.histograms[0].any()


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 4800), min_size=1, max_size=6),
    channels=st.integers(1, 8),
    seed=st.integers(0, 2**31),
    gain=st.sampled_from([0.0, 1e-6, 0.1, 1.0, 30.0]),
)
def test_any_blocks_agree_with_the_reference(lengths, channels, seed, gain):
    signal = (gain * programme(seed, channels, sum(lengths))).astype(np.float32)
    rows = run_blocks(measure_audio, AudioState.allocate(1), [signal], lengths, {}, [0])
    expected = reference.measure_programme(signal, lengths, [1.0] * channels, CLIP_LEVEL_16_BIT, 1e-3)
    assert_rows_agree(rows[0], expected.rows, max(gain, 1.0))


def test_rows_are_the_same_to_the_last_bit_in_any_batch_and_slot():
    signals = [programme(seed, 1 + seed % 8, 9600) for seed in range(9)]
    together = AudioState.allocate(9)
    rows = run_blocks(measure_audio, together, signals, [4800, 4800], {}, list(range(9)))
    backwards = AudioState.allocate(12)
    mirrored = run_blocks(measure_audio, backwards, signals[::-1], [4800, 4800], {}, list(range(11, 2, -1)))
    alone = run_blocks(measure_audio, AudioState.allocate(1), signals[4:5], [4800, 4800], {}, [0])
    assert rows.tobytes() == mirrored[::-1].tobytes()
    assert rows[4].tobytes() == alone[0].tobytes()
    for one, other in zip(together.tensors(), backwards.tensors(), strict=True):
        assert torch.equal(one, other[3:12])


def test_triton_row_does_not_depend_on_the_batch():
    signals = [programme(1, 2, 4800), programme(2, 1, 4800)]
    with interpreted("kernels.audio_stats.gpu") as gpu:

        def measure(state, *args):
            return gpu.audio_stats(*args, state.tensors())

        both = run_blocks(measure, AudioState.allocate(2), signals, [4800], {}, [0, 1])
        alone = run_blocks(measure, AudioState.allocate(1), signals[1:], [4800], {}, [0])
    assert both[1].tobytes() == alone[0].tobytes()


def test_empty_batch_has_no_rows():
    state = AudioState.allocate(1)
    assert measure_audio(state, *block_batch([])).shape == (0, len(COLUMNS))
    with interpreted("kernels.audio_stats.gpu") as gpu:
        assert gpu.audio_stats(*block_batch([]), state.tensors()).shape == (0, len(COLUMNS))


def test_opcheck():
    state = AudioState.allocate(3)
    for _ in range(31):  # no column is NaN any more: opcheck holds no NaN equal to another
        measure_audio(state, *block_batch([programme(3, 2, 4800), programme(4, 1, 4800)], slots=[2, 0]))
    args = block_batch([programme(3, 2, 4800), programme(4, 1, 17)], slots=[2, 0])
    torch.library.opcheck(torch.ops.avjury.audio_stats, (*args, *state.tensors()))


def test_wrong_shape_and_dtype_are_refused_with_what_was_received():
    args = block_batch([programme(3, 2, 4800)])
    with pytest.raises(ValueError, match=r"\(1, 8, 4799\)"):
        measure_audio(AudioState.allocate(1), args[0][..., :4799], *args[1:])
    with pytest.raises(ValueError, match=r"torch\.int32"):
        measure_audio(AudioState.allocate(1), args[0], args[1].int(), *args[2:])


def test_reset_slot_measures_like_a_new_one_and_leaves_its_neighbours():
    signal = programme(5, 3, 4800 * 35)
    state = AudioState.allocate(3)
    for slot in (0, 1):
        run_blocks(measure_audio, state, [signal], [4800] * 35, {}, [slot])
    before = loudness_summary(state, 0)
    state.reset(1)
    assert loudness_summary(state, 1) == (None, None, None, None, None)
    assert loudness_summary(state, 0) == before
    again = run_blocks(measure_audio, state, [signal], [4800] * 35, {}, [1])
    fresh = run_blocks(measure_audio, AudioState.allocate(1), [signal], [4800] * 35, {}, [0])
    assert again.tobytes() == fresh.tobytes()


def test_values_that_are_no_sound_do_not_outlive_their_block():
    signal = tone([(-20, 1.0)])
    broken = signal.copy()
    broken[0, 5000] = np.nan
    broken[1, 5001] = np.inf
    broken[1, 5002] = -1e38
    columns, loudness = measure_signal(broken)
    clean, _ = measure_signal(signal)
    assert np.isfinite(columns["true_peak"]).all()
    assert columns["sample_peak"][1] == 1e4
    # 0.8 s after the blow of +80 dBFS, 400 ms windows hold the tone again.
    assert columns["momentary"][-1] == pytest.approx(clean["momentary"][-1], abs=0.01)
    assert columns["rms"][-1] == clean["rms"][-1]
    assert loudness.max_momentary > 0


def test_quiet_runs_are_counted_in_samples_over_all_channels():
    block = np.zeros((2, 4800), np.float32)
    block[0, 1000] = 0.001
    block[1, 3000] = -0.001
    exact = float(np.float32(0.001))
    columns, _ = measure_signal(block, silence_threshold=exact)
    assert columns["quiet_lead"][0] == 1000  # a sample at the threshold is loud
    assert columns["quiet_tail"][0] == 1799
    columns, _ = measure_signal(block, silence_threshold=exact * (1 + 1e-12))
    assert columns["quiet_lead"][0] == columns["quiet_tail"][0] == 4800
    columns, _ = measure_signal(block[:, :2000], silence_threshold=exact)
    assert columns["quiet_tail"][0] == 999


def test_windows_have_no_value_before_they_are_full():
    columns, loudness = measure_signal(tone([(-20, 3.1)]))
    assert np.flatnonzero(np.isfinite(columns["momentary"]))[0] == 3
    assert np.flatnonzero(np.isfinite(columns["short_term"]))[0] == 29
    assert loudness.range is None  # two short-term values make no range
    columns, loudness = measure_signal(tone([(-20, 0.3)]))
    assert loudness.integrated is None
    assert loudness.max_momentary is None
    assert loudness.true_peak == pytest.approx(-20, abs=0.01)


def test_digital_silence_has_a_floor_and_no_programme_loudness():
    columns, loudness = measure_signal(np.zeros((2, 4800 * 31), np.float32))
    assert columns["momentary"][-1] == pytest.approx(-120.691, abs=1e-3)
    assert columns["rms"][-1] == 0.0
    assert loudness.integrated is None
    assert loudness.range is None
    assert loudness.true_peak is None


def test_dc_is_the_largest_mean_of_a_channel():
    block = np.stack([np.full(4800, 0.25), np.full(4800, -0.5)]).astype(np.float32)
    columns, _ = measure_signal(block)
    assert columns["dc"][0] == 0.5
    assert columns["rms"][0] == pytest.approx(math.sqrt((0.25**2 + 0.5**2) / 2))


def test_skipping_quiet_segments_does_not_change_the_true_peak():
    """One loud burst in a quiet block: the segments around it are skipped, the reference computes them all."""
    rng = np.random.default_rng(11)
    for position in (0, 90, 95, 96, 97, 2400, 4790):
        signal = (rng.standard_normal((1, 9600)) * 1e-3).astype(np.float32)
        signal[0, position : position + 12] = 0.9 * np.sin(np.arange(12) * 2.1)
        rows = run_blocks(measure_audio, AudioState.allocate(1), [signal], [4800, 4800], {}, [0])
        expected = reference.measure_programme(signal, [4800, 4800], [1.0], CLIP_LEVEL_16_BIT, 1e-3)
        assert_rows_agree(rows[0], expected.rows, 1.0)


def test_interpolator_is_flat_to_20_khz_and_keeps_images_out():
    prototype = np.zeros(4 * 32)
    for phase in range(3):
        prototype[phase + 1 :: 4] = INTERPOLATOR[phase, ::-1]
    prototype[64] = 1.0  # phase 0 is the sample itself, 16 samples late
    response = np.abs(np.fft.rfft(prototype, 19200)) / 4  # 10 Hz apart at 192 kHz
    decibels = 20 * np.log10(np.maximum(response, 1e-9))
    assert np.abs(decibels[:2001]).max() < 0.05
    assert decibels[2800:].max() < -55


@pytest.mark.parametrize("gain_db", [6, 12])
def test_hard_clipping_shows_and_the_same_sound_without_it_does_not(gain_db):
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(48_000)
    smooth = np.convolve(noise, np.hanning(40), mode="same")
    smooth *= 1 / np.abs(smooth).max()
    unclipped, _ = measure_signal(smooth[None])
    clipped, _ = measure_signal(np.clip(smooth * 10 ** (gain_db / 20), -1, 1 - 2**-15)[None])
    assert unclipped["clipped"].max() == 0
    assert np.median(clipped["clipped"]) > {6: 0.005, 12: 0.1}[gain_db]
    assert clipped["full_scale"].max() > 0


@pytest.mark.parametrize("frequency", [23, 40, 100, 440, 480, 997, 1000, 1600, 2400, 3000, 6000, 7000])
@pytest.mark.parametrize("peak", [0.891, 1 - 2**-15, 1.03, 1.1, 1.2])
def test_unclipped_sine_of_any_level_is_not_clipped(frequency, peak):
    """Also where its frequency divides the sample rate, so that it has few different samples, and with coding noise."""
    noise = 1e-4 * np.random.default_rng(1).standard_normal(9600)
    for phase in (0.0, 0.1, 0.3, 0.5, 0.7):
        wave = peak * np.sin(2 * np.pi * frequency / 48_000 * np.arange(9600) + phase)
        columns, _ = measure_signal(np.stack([wave, wave + noise]))
        assert columns["clipped"].max() < 0.02  # where audio.clipping enters


def test_hump_that_lossy_coding_makes_of_flat_tops_is_clipped():
    """Clipped at +12 dB, then band-limited and blurred by noise as a codec would: nothing is flat any more."""
    rng = np.random.default_rng(2)
    smooth = np.convolve(rng.standard_normal(48_000), np.hanning(40), mode="same")
    clipped = np.clip(smooth * 4 / np.abs(smooth).max(), -1, 1)
    coded = clipped + 0.04 * rng.standard_normal(48_000)
    assert np.median(measure_signal(coded[None])[0]["clipped"]) > 0.02
    assert (
        measure_signal((smooth / np.abs(smooth).max() + 0.04 * rng.standard_normal(48_000))[None])[0]["clipped"].max()
        == 0
    )


def test_half_a_second_of_state_is_exactly_kept_in_place():
    state = AudioState.allocate(2)
    kept = [tensor.data_ptr() for tensor in state.tensors()]
    run_blocks(measure_audio, state, [programme(1, 2, 24_000)], [4800] * 5, {}, [1])
    assert kept == [tensor.data_ptr() for tensor in state.tensors()]
    assert state.progress[1].tolist() == [50, 0]
    assert_close(state.history[1, 0], torch.from_numpy(programme(1, 2, 24_000)[0, -31:]), rtol=0, atol=0)
