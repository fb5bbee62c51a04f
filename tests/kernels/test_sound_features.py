import numpy as np
import pytest
import torch
from interpreter import interpreted

from kernels.sound_features import FEATURES, Feature, FeatureState, reference, sound_features

# All arithmetic is float64, summed in another order: at most 4800 * 8 roundings of 2**-53 of what is added up, and
# purity and click ratio divide by sums that are at least 1e-4 of it in these signals.
RELATIVE_BOUND = 1e-8
# Hum, means and pairs add terms of both signs: relative to the loudest sample, which is +80 dBFS here.
ABSOLUTE_BOUND = 1e-12
LIMIT = 1e4


def batch(parts, slots):
    """Arguments of `sound_features` after the state; what lies beyond a part must not be read."""
    samples = np.full((len(parts), 8, 4800), 0.9, np.float32)
    for row, part in enumerate(parts):
        samples[row, : part.shape[0], : part.shape[1]] = part
    return (
        torch.from_numpy(samples),
        torch.tensor([part.shape[0] for part in parts], dtype=torch.int64),
        torch.tensor([part.shape[1] for part in parts], dtype=torch.int64),
        torch.tensor(slots, dtype=torch.int64),
    )


def run_blocks(measure, state, signals, lengths, slots):
    """(rows, blocks, FEATURES) of programmes that arrive side by side."""
    rows, begin = [], 0
    for length in lengths:
        rows.append(measure(state, *batch([s[:, begin : begin + length] for s in signals], slots)).numpy())
        begin += length
    return np.stack(rows, axis=1)


def programme(seed, channels, samples):
    """Music-like: noise that falls by frequency, with clicks, a tone, a silence and samples that are no numbers."""
    rng = np.random.default_rng(seed)
    length = max(samples, 19_200)
    signal = np.cumsum(rng.standard_normal((channels, length)), axis=1)
    signal -= np.cumsum(signal, axis=1) / np.arange(1, length + 1)
    signal *= 0.2 / np.abs(signal).max()
    signal[:, 3000:4000] = 0
    signal[0, 7000] += 0.5
    signal[:, 9599] += 0.4
    signal[:, 4800 * 3 : 4800 * 4] = 0.3 * np.sin(0.131 * np.arange(4800))
    signal[-1, 50], signal[0, 60] = np.nan, np.inf
    return signal[:, :samples].astype(np.float32)


def assert_agree(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=RELATIVE_BOUND, atol=ABSOLUTE_BOUND * LIMIT)


LENGTHS = [4800, 4800, 4800, 4800, 4799, 4800, 48, 47, 1, 4800]


def test_cpu_agrees_with_the_reference_over_partial_blocks_and_channel_counts():
    signals = [programme(seed, channels, sum(LENGTHS)) for seed, channels in ((1, 1), (2, 2), (3, 6), (4, 8))]
    rows = run_blocks(sound_features, FeatureState.allocate(7), signals, LENGTHS, [5, 0, 6, 2])
    for row, signal in zip(rows, signals, strict=True):
        assert_agree(row, reference.measure_programme(signal, LENGTHS))


def test_triton_agrees_with_the_reference():
    lengths = [4800, 4800, 100, 4800, 4800]
    signals = [programme(5, 2, sum(lengths)), programme(6, 1, sum(lengths)), programme(7, 3, sum(lengths))]
    with interpreted("kernels.sound_features.gpu") as gpu:
        rows = run_blocks(
            lambda state, *args: gpu.sound_features(*args, state.history, state.known),
            FeatureState.allocate(4), signals, lengths, [3, 0, 1],
        )  # fmt: skip
    for row, signal in zip(rows, signals, strict=True):
        assert_agree(row, reference.measure_programme(signal, lengths))


def test_rows_are_the_same_to_the_last_bit_in_any_batch_and_slot():
    signals = [programme(seed, 1 + seed % 8, 9600) for seed in range(5)]
    together, backwards, single = FeatureState.allocate(5), FeatureState.allocate(9), FeatureState.allocate(1)
    rows = run_blocks(sound_features, together, signals, [4800, 4800], list(range(5)))
    mirrored = run_blocks(sound_features, backwards, signals[::-1], [4800, 4800], list(range(8, 3, -1)))
    alone = run_blocks(sound_features, single, signals[3:4], [4800, 4800], [0])
    assert rows.tobytes() == mirrored[::-1].tobytes()
    assert rows[3].tobytes() == alone[0].tobytes()
    assert torch.equal(together.history, backwards.history[4:])


def test_empty_batch_has_no_rows_and_wrong_shapes_are_refused():
    state = FeatureState.allocate(1)
    assert sound_features(state, *batch([], [])).shape == (0, FEATURES)
    with interpreted("kernels.sound_features.gpu") as gpu:
        assert gpu.sound_features(*batch([], []), state.history, state.known).shape == (0, FEATURES)
    args = batch([programme(1, 1, 4800)], [0])
    with pytest.raises(ValueError, match=r"\(1, 8, 4799\)"):
        sound_features(state, args[0][..., :4799], *args[1:])


def test_opcheck():
    state = FeatureState.allocate(3)
    args = batch([programme(3, 2, 4800), programme(4, 2, 4800)], [2, 0])  # no NaN: it is not equal to itself
    torch.library.opcheck(torch.ops.avjury.sound_features, (*args, state.history, state.known))


def test_reset_slot_measures_like_a_new_one():
    signal = programme(5, 2, 9600)
    state = FeatureState.allocate(2)
    first = run_blocks(sound_features, state, [signal], [4800, 4800], [1])
    state.reset(1)
    assert run_blocks(sound_features, state, [signal], [4800, 4800], [1]).tobytes() == first.tobytes()


@pytest.mark.parametrize("frequency", [40, 50, 440, 997, 1000, 3000, 4000, 8000])
def test_a_sine_is_pure_under_noise_and_two_are_not(frequency):
    time = np.arange(4800) / 48_000
    noise = 1e-3 * np.random.default_rng(1).standard_normal(4800)
    tone = 0.1 * np.sin(2 * np.pi * frequency * time + 0.3)
    other = 0.1 * np.sin(2 * np.pi * 1.5 * frequency * time)
    parts = [(tone + noise)[None].astype(np.float32), (tone + other)[None].astype(np.float32)]
    rows = sound_features(FeatureState.allocate(2), *batch(parts, [0, 1])).numpy()
    assert rows[0, Feature.PURITY] > 0.99
    if frequency >= 440:
        assert rows[1, Feature.PURITY] < 0.95


def pulses():
    """Pulses of 3 to 44 samples, those of a second channel upside down, in a little noise."""
    signal = 1e-3 * np.random.default_rng(9).standard_normal((2, 5 * 4800))
    for k, samples in enumerate((3, 7, 10, 16, 24, 29, 36, 44)):
        signal[:, 2000 + 2600 * k : 2000 + 2600 * k + samples] += 0.3 - 0.05 * k
    return signal.astype(np.float32)


def test_all_versions_agree_on_pulses_of_two_edges():
    lengths = [4800] * 5
    expected = reference.measure_programme(pulses(), lengths)
    assert (expected[:, Feature.CLICK] > 30).all()
    assert_agree(run_blocks(sound_features, FeatureState.allocate(1), [pulses()], lengths, [0])[0], expected)
    with interpreted("kernels.sound_features.gpu") as gpu:
        rows = run_blocks(
            lambda state, *args: gpu.sound_features(*args, state.history, state.known),
            FeatureState.allocate(1), [pulses()], lengths, [0],
        )  # fmt: skip
    assert_agree(rows[0], expected)


@pytest.mark.parametrize("samples", [1, 4, 8, 10, 16, 24, 30, 36, 44, 48, 96, 150, 190, 240])
def test_a_click_of_up_to_five_milliseconds_stands_out_at_its_edge(samples):
    noise = 1e-3 * np.random.default_rng(samples).standard_normal((2, 4 * 4800))
    noise[:, 7000 : 7000 + samples] += 0.3
    lengths = [4800] * 4
    [rows] = run_blocks(sound_features, FeatureState.allocate(1), [noise.astype(np.float32)], lengths, [0])
    block = int(rows[:, Feature.CLICK].argmax())
    assert rows[block, Feature.CLICK] > 26
    assert min(abs(4800 * block + rows[block, Feature.CLICK_AT] - at) for at in (7000, 7000 + samples)) <= 24
    assert (np.delete(rows[:, Feature.CLICK], block) < 16).all()
