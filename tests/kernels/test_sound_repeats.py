import numpy as np
import pytest
import torch
from interpreter import interpreted
from made_sound import music_like, noise_like, speech_like

from kernels.sound_repeats import COLUMNS, RepeatState, reference, sound_repeats
from models.synthesis import sound

# Points are float32, of sums in another order: two of them differ by at most 2**-23 of their size, and differences of
# a block by as much of its power. The CPU multiplies in float32, 200 terms, where only the choice of a period and the
# mean of the contrast come of it.
BOUND = 1e-6


def stuck(carrier, seconds, period, start=1.2, end=None):
    """A carrier that is stuck from `start` on."""
    clean = carrier(seconds)
    return sound.plant_stutter(clean, start, end or seconds, period)[0]


def run(measure, state, signals, lengths, slots):
    """(rows, blocks, columns) of programmes that arrive side by side; what is in `out` before does not matter."""
    rows, begin = [], 0
    for length in lengths:
        samples = np.full((len(signals), 8, 4800), 0.9, np.float32)
        for row, signal in enumerate(signals):
            samples[row, : signal.shape[0], :length] = signal[:, begin : begin + length]
        counts = (
            torch.tensor(numbers)
            for numbers in ([s.shape[0] for s in signals], [length] * len(signals), slots)
        )  # fmt: skip
        wide = torch.full((len(signals), len(COLUMNS) + 2), 7.0, dtype=torch.float64)
        measure(state, torch.from_numpy(samples), *counts, wide[:, 1:-1])
        assert (wide[:, [0, -1]] == 7.0).all()
        rows.append(wide[:, 1:-1].numpy())
        begin += length
    return np.stack(rows, axis=1)


def with_pause():
    """A piece of 150 ms, the last 110 of them silent."""
    signal = stuck(speech_like, 3.0, 0.15)
    at = np.arange(signal.shape[1])
    begin = round((1.2 - 0.15) * 48_000)
    signal[:, (at >= begin) & ((at - begin) % 7200 >= 1920)] *= 1e-5
    return signal


def not_numbers():
    signal = stuck(noise_like, 3.0, 0.31)[:1]
    signal[0, 50], signal[0, 100_000] = np.nan, np.inf
    return signal


def a_note(seconds):
    """A plucked string, its higher waves the shorter."""
    time = np.arange(round(seconds * 48_000)) / 48_000
    waves = (0.2 / k * np.sin(2 * np.pi * 220 * k * time + k) * np.exp(-0.8 * k * time) for k in range(1, 6))
    return np.tile(sum(waves), (2, 1)).astype(np.float32)


SIGNALS = {
    "speech": lambda: stuck(speech_like, 3.0, 0.0637),
    "music that goes on": lambda: stuck(music_like, 3.0, 0.2113, end=2.3),
    "pause": with_pause,
    "surround": lambda: np.concatenate([stuck(speech_like, 3.0, 0.49), stuck(music_like, 3.0, 0.49)]),
    "not numbers": not_numbers,
    "a tone": lambda: (0.2 * np.sin(2 * np.pi * 50 * np.arange(144_000) / 48_000))[None].astype(np.float32),
    "a chord": lambda: sum(0.1 * np.sin(2 * np.pi * f * np.arange(144_000) / 48_000) for f in (440.0, 554.4, 659.3))[
        None
    ].astype(np.float32),
    "then silence": lambda: stuck(speech_like, 3.0, 0.03) * (np.arange(144_000) < 96_000).astype(np.float32),
}
LENGTHS = [4800] * 24 + [3700, 1] + [4800] * 4


def assert_agree(actual, signal, lengths):
    np.testing.assert_allclose(actual, reference.follow(signal, lengths), rtol=BOUND, atol=BOUND)


def test_cpu_agrees_with_the_reference():
    signals = [make() for make in SIGNALS.values()]
    rows = run(sound_repeats, RepeatState.allocate(9), signals, LENGTHS, [8, 0, 3, 1, 7, 2, 4, 5])
    for row, signal in zip(rows, signals, strict=True):
        assert_agree(row, signal, LENGTHS)
    assert [round(float(np.nanmax(row[:, 0])), 1) for row in rows] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_triton_agrees_with_the_reference():
    signals = [SIGNALS[name]() for name in ("speech", "pause", "then silence")]
    signals = [signal[:, 24_000:] for signal in signals]
    lengths = [4800] * 12 + [100] + [4800]
    with interpreted("kernels.sound_repeats.gpu") as gpu:
        rows = run(
            lambda state, *args: gpu.sound_repeats(*args[:4], state.ring, state.coarse, state.scalars, args[4]),
            RepeatState.allocate(4), signals, lengths, [3, 0, 1],
        )  # fmt: skip
    for row, signal in zip(rows, signals, strict=True):
        assert_agree(row, signal, lengths)
    assert np.nanmax(rows[:, :, 0], axis=1) == pytest.approx(1.0, abs=0.05)


def test_a_note_that_is_stuck_is_known_after_two_and_a_half_seconds():
    signal, lengths = stuck(a_note, 4.2, 0.0573), [4800] * 42
    rows = run(sound_repeats, RepeatState.allocate(1), [signal], lengths, [0])[0]
    assert_agree(rows, signal, lengths)
    assert (rows[:36, 0] == 0.0).all()
    assert (rows[36:, 0] > 0.99).all()
    assert rows[36, 2] == 25 * 4800


def test_triton_knows_a_note_that_is_stuck_too():
    signal = stuck(a_note, 3.8, 0.0573)
    state = RepeatState.allocate(1)
    run(sound_repeats, state, [signal], [4800] * 35, [0])
    with interpreted("kernels.sound_repeats.gpu") as gpu:
        rows = run(
            lambda state, *args: gpu.sound_repeats(*args[:4], state.ring, state.coarse, state.scalars, args[4]),
            state, [signal[:, 35 * 4800 :]], [4800] * 3, [0],
        )[0]  # fmt: skip
    expected = reference.follow(signal, [4800] * 38)[35:]
    np.testing.assert_allclose(rows, expected, rtol=BOUND, atol=BOUND)
    assert [value > 0.99 for value in rows[:, 0]] == [False, True, True]


@pytest.mark.parametrize("period", [0.0213, 0.05, 0.128, 0.333, 0.4987])
def test_a_period_between_two_points_is_known_from_its_first_whole_block_on(period):
    rows = run(sound_repeats, RepeatState.allocate(1), [stuck(noise_like, 3.0, period, 1.25)], [4800] * 30, [0])[0]
    assert (rows[:13, 0] == 0.0).all()
    assert (rows[14:, 0] > 0.95).all()
    assert rows[29, 2] in (16 * 4800, 17 * 4800)


@pytest.mark.parametrize("carrier", [speech_like, music_like, noise_like])
def test_nothing_repeats_in_what_goes_on(carrier):
    rows = run(sound_repeats, RepeatState.allocate(1), [carrier(6.0)], [4800] * 60, [0])[0]
    assert (rows[:, 0] == 0.0).all()


def test_rows_are_the_same_to_the_last_bit_in_any_batch_and_slot():
    signals = [SIGNALS[name]() for name in ("speech", "surround", "pause")]
    lengths = [4800] * 16
    together, backwards = RepeatState.allocate(3), RepeatState.allocate(5)
    rows = run(sound_repeats, together, signals, lengths, [0, 1, 2])
    mirrored = run(sound_repeats, backwards, signals[::-1], lengths, [4, 3, 2])
    assert rows.tobytes() == mirrored[::-1].tobytes()
    backwards.reset(4)
    again = run(sound_repeats, backwards, signals[2:], lengths, [4])
    assert again.tobytes() == rows[2:].tobytes()


def test_an_empty_batch_is_nothing_and_wrong_shapes_are_refused():
    state = RepeatState.allocate(1)
    none = torch.zeros((0, 8, 4800)), *(torch.zeros(0, dtype=torch.int64) for _ in range(3))
    sound_repeats(state, *none, torch.zeros((0, len(COLUMNS)), dtype=torch.float64))
    with interpreted("kernels.sound_repeats.gpu") as gpu:
        gpu.sound_repeats(
            *none, state.ring, state.coarse, state.scalars, torch.zeros((0, len(COLUMNS)), dtype=torch.float64)
        )
    with pytest.raises(ValueError, match=r"\(0, 5\)"):
        sound_repeats(state, *none, torch.zeros((0, 5), dtype=torch.float64))


def test_opcheck():
    state = RepeatState.allocate(3)
    samples = torch.from_numpy(np.stack([speech_like(0.1), music_like(0.1)]))
    counts = torch.tensor([2, 1]), torch.tensor([4800, 4800]), torch.tensor([2, 0])
    out = torch.zeros((2, len(COLUMNS)), dtype=torch.float64)
    torch.library.opcheck(
        torch.ops.avjury.sound_repeats, (samples, *counts, state.ring, state.coarse, state.scalars, out)
    )
