import numpy as np
import pytest
import torch
from interpreter import interpreted
from made_sound import music_like, speech_like

from kernels.sound_features import FEATURES, Feature, FeatureState, sound_features
from kernels.sound_trends import COLUMNS, TrendState, cpu, reference, sound_trends
from models.synthesis import sound

# All arithmetic is float64; sums of at most 600 terms in another order, and logarithms of them.
RELATIVE_BOUND = 1e-9
ABSOLUTE_BOUND = 1e-9


def features_of(signal, lengths):
    """(blocks, FEATURES) of a programme that arrives in blocks."""
    state, rows, begin = FeatureState.allocate(1), [], 0
    for length in lengths:
        samples = np.zeros((1, 8, 4800), np.float32)
        samples[0, : signal.shape[0], :length] = signal[:, begin : begin + length]
        counts = (torch.tensor([n]) for n in (signal.shape[0], length, 0))
        rows.append(sound_features(state, torch.from_numpy(samples), *counts)[0].numpy())
        begin += length
    return np.array(rows)


def programme():
    """Twelve seconds in which all of it happens, with a hole at 9.1 s."""
    stereo = music_like(12.0)
    for plant, *times in (
        (sound.plant_hum, 0.5, 8.0),
        (sound.plant_clicks, 1.0, 2.0),
        (sound.plant_dropout, 3.05),
        (sound.plant_opposite_phase, 5.0, 8.0),
        (sound.plant_offset, 4.0, 6.0),
    ):
        stereo, _ = plant(stereo, *times)
    stereo[:, 160_000:163_000] *= 1e-5
    stereo[:, 460_000:] *= 1e-4
    stereo[:, 370_000:] *= 0.05  # long after the level has been known for 4 s
    return sound.plant_tone(stereo, 8.4, 8.9)[0]


LENGTHS = [4800] * 90 + [3700, 48] + [4800] * 27


def rows_of(kind):
    """Features, lengths, weights and momentary loudness of a stream of each kind."""
    signal, lengths = programme(), LENGTHS
    if kind == "mono":
        signal = signal[:1]
    if kind == "surround":
        lengths = [4800] * 120
        rear = music_like(12.0, seed=8)
        rear[1, 11 * 48_000 :] = 0.0
        signal = np.concatenate([signal, rear])
    weights = np.zeros((len(lengths), 8))
    weights[:, : signal.shape[0]] = 1.0
    if kind == "swapped":
        lengths = [4800] * 60 + [3700, 48] + [4800] * 58
        signal = sound.surround_of(speech_like(12.0))
        signal[3] += 0.1 * np.sin(2 * np.pi * 40 * np.arange(signal.shape[1]) / 48_000)
        signal = sound.plant_channel_order(signal, 0.3, 11.2)[0]
        signal[4, 5 * 48_000 :] *= 0.1
        weights = np.tile([1.0, 1.0, 1.0, 0.0, 1.41, 1.41, 0.0, 0.0], (len(lengths), 1))
    return features_of(signal, lengths), lengths, weights, np.full(len(lengths), -23.5)


def fresh_state(slots, longest=2.0):
    state = TrendState.allocate(max(slots) + 1)
    for slot in slots:
        state.reset(slot, longest, -24.0)
    return state


def run(streams, slots, follow=None, longest=2.0, state=None):
    """(streams, blocks, COLUMNS) of streams side by side; what is in `out` before does not matter."""
    state = state or fresh_state(slots, longest)
    result = []
    for block in range(len(streams[0][1])):
        wide = torch.full((len(streams), len(COLUMNS) + 3), 7.0, dtype=torch.float64)
        args = (
            torch.from_numpy(np.stack([s[0][block] for s in streams])),
            torch.tensor([s[1][block] for s in streams]),
            torch.from_numpy(np.stack([s[2][block] for s in streams])),
            torch.tensor([[s[3][block], 0.0] for s in streams], dtype=torch.float64)[:, 0],
            torch.tensor(slots),
        )
        if follow is None:
            sound_trends(state, *args, wide[:, 2:-1])
        else:
            follow(*args, state.values, wide[:, 2:-1])
        assert (wide[:, [0, 1, -1]] == 7.0).all()
        result.append(wide[:, 2:-1].numpy())
    return np.stack(result, axis=1)


def expected(stream, longest=2.0):
    return reference.follow(*stream, longest, -24.0)


def assert_agree(actual, wanted):
    for column, name in enumerate(COLUMNS):
        np.testing.assert_allclose(
            actual[:, column], wanted[:, column], rtol=RELATIVE_BOUND, atol=ABSOLUTE_BOUND, err_msg=name
        )


def assert_triton_agrees_in(windows, stream, wanted, slot):
    """Over some blocks of a stream, whose others the CPU follows: interpreted, a block takes a quarter of a second."""
    state, done = fresh_state([slot]), 0
    with interpreted("kernels.sound_trends.gpu") as gpu:
        for begin, end in windows:
            if begin > done:
                run([tuple(part[done:begin] for part in stream)], [slot], state=state)
            blocks = tuple(part[begin:end] for part in stream)
            assert_agree(run([blocks], [slot], gpu.sound_trends, state=state)[0], wanted[begin:end])
            done = end
    assert_agree(run([tuple(part[done:] for part in stream)], [slot], state=state)[0], wanted[done:])


def test_cpu_agrees_with_the_reference_on_channels_in_another_order():
    stream = rows_of("swapped")
    wanted = expected(stream)
    assert_agree(run([stream], [1])[0], wanted)
    at = {name: wanted[:, column] for column, name in enumerate(COLUMNS)}
    assert np.nanmax(at["swapped_seconds"]) == pytest.approx(11.2, abs=0.3)
    assert at["swapped_seconds"][-1] == 0.0
    assert np.nanmax(at["surround_imbalance"]) > 12


@pytest.mark.parametrize("kind", ["stereo", "mono", "surround"])
def test_cpu_agrees_with_the_reference(kind):
    stream = rows_of(kind)
    wanted = expected(stream)
    assert_agree(run([stream], [2])[0], wanted)
    at = {name: wanted[:, column] for column, name in enumerate(COLUMNS)}
    assert kind == "surround" or np.nanmax(at["dropout"]) == pytest.approx(0.08, abs=0.002)
    assert np.nanmax(at["hum"]) > -50
    assert np.nanmax(at["click"]) > 50
    assert kind == "surround" or np.nanmax(at["tone"]) > 0.99
    assert kind != "stereo" or (at["correlation"] == 0.0).sum() == 1  # after 2 s of silence
    assert kind == "mono" or np.nanmin(at["polarity"]) < -0.3
    assert (np.nanmax(at["surround_lost"]) == 1.0) if kind == "surround" else np.isnan(at["surround_lost"]).all()


# From the sixth second on: its first blocks, where it is turned down, the tone and the hole, and the end.
@pytest.mark.parametrize(
    ("kind", "windows", "slot"),
    [("stereo", [(0, 2), (16, 19), (23, 37), (55, 58)], 3), ("mono", [(0, 2), (16, 18), (24, 33)], 0)],
)
def test_triton_agrees_with_the_reference(kind, windows, slot):
    stream = tuple(part[60:119] for part in rows_of(kind))
    assert_triton_agrees_in(windows, stream, expected(stream), slot)


BURSTS = (9_630, 24_000, 45_000, 62_450, 67_190, 72_030, 90_001)  # some across the border of two blocks


def bursts():
    """Bursts of noise that are over in 2 ms, as a coder leaves them of clicks; low ones; and one that rings on."""
    rng = np.random.default_rng(6)
    signal = 0.02 * music_like(2.5)
    for k, place in enumerate(BURSTS):
        noise = rng.uniform(-1, 1, 96)
        noise[30] = 1.0
        signal[:, place : place + 96] += (0.3 + 0.05 * k) * noise * np.hanning(96)
    for place, hertz in ((33_333, 400.0), (52_800, 900.0)):
        time = np.arange(96) / 48_000
        signal[:, place : place + 96] += 0.6 * np.hanning(96) * np.sin(2 * np.pi * hertz * time)
    signal[:, 105_000:] += 0.5 * np.exp(-np.arange(15_000) / 900) * rng.uniform(-1, 1, 15_000)
    lengths = [4800] * 25
    weights = np.zeros((len(lengths), 8))
    weights[:, :2] = 1.0
    return features_of(signal.astype(np.float32), lengths), lengths, weights, np.full(len(lengths), -23.5)


def test_bursts_as_a_coder_leaves_them_of_clicks_are_clicks():
    stream = bursts()
    wanted = expected(stream)
    assert_agree(run([stream], [1])[0], wanted)
    at = {name: wanted[:, column] for column, name in enumerate(COLUMNS)}
    told = np.flatnonzero(at["click"] >= 30)
    begins = sorted({round(4800 * block + at["click_from"][block]) for block in told})
    assert len(begins) == len(BURSTS)
    assert all(place - 48 <= begin <= place + 96 for begin, place in zip(begins, BURSTS, strict=True))
    with interpreted("kernels.sound_trends.gpu") as gpu:
        assert_agree(run([stream], [1], gpu.sound_trends)[0], wanted)


# Times what is around it, decibels of high frequencies over those around it, and their share of the peak's square.
BURSTS_ON_EDGE = [
    (5.0, 23.0, 0.1, True), (5.0, 21.0, 0.1, False), (5.0, 23.0, 0.03, False),
    (12.0, 19.0, 0.1, True), (12.0, 17.0, 0.1, False), (12.0, 23.0, 0.02, True), (12.0, 23.0, 0.01, False),
    (2.0, 30.0, 0.3, True), (2.0, 28.0, 0.3, False), (2.0, 30.0, 0.2, False), (1.6, 40.0, 0.3, False),
]  # fmt: skip


def burst_of(ratio, decibels, share):
    """Two blocks of even sound with one peak."""
    rows = np.zeros((2, FEATURES))
    power = share * 0.6**2 / 480
    rows[:, 37:47], rows[:, 47:147] = power / 10 ** (decibels / 10), 0.6 / ratio
    rows[1, 39], rows[1, 47 + 25] = power, 0.6
    weights = np.zeros((2, 8))
    weights[:, :2] = 1.0
    return rows, [4800] * 2, weights, np.full(2, -23.5)


def test_a_burst_needs_the_more_high_frequencies_the_less_it_stands_out():
    streams = [burst_of(*case[:3]) for case in BURSTS_ON_EDGE]
    slots = list(range(len(streams)))
    found = run(streams, slots)
    with interpreted("kernels.sound_trends.gpu") as gpu:
        there = run(streams, slots, gpu.sound_trends)
    for one, other, stream, (ratio, *_, told) in zip(found, there, streams, BURSTS_ON_EDGE, strict=True):
        wanted = expected(stream)
        assert_agree(one, wanted)
        assert_agree(other, wanted)
        assert wanted[1, COLUMNS.index("click")] == pytest.approx(10 * max(ratio, 3.0) if told else 0.0)


def two_channels():
    """Two channels that are the same but for a coder, that lean, and that differ, in turn."""
    rng = np.random.default_rng(11)
    blocks, hole = 120, 71
    rows = np.zeros((blocks, FEATURES))
    part = np.arange(blocks) // 24 % 3
    distance = np.where(part == 0, 10 ** rng.uniform(-7, -3.5, blocks), 10 ** rng.uniform(-3, 0, blocks))
    power = 10 ** rng.uniform(-4, -2, blocks)
    rows[:, 0], rows[:, 1] = power, power * 10 ** (-np.where(part == 1, rng.uniform(0.3, 2.0, blocks), 0.05))
    rows[:, Feature.SIDE], rows[:, Feature.MID] = power * distance / 2, power * (1 - distance / 2)
    rows[30:33, :2] = 1e-9  # a pause
    rows[:, Feature.ENVELOPE :] = 0.02
    lengths = [4800] * blocks
    lengths[hole] = 1000
    return rows, lengths, np.tile([1.0, 1.0] + [0.0] * 6, (blocks, 1)), np.full(blocks, -23.0)


def test_channels_that_are_the_same_or_lean_are_so_by_most_of_two_seconds():
    stream = two_channels()
    wanted = expected(stream)
    assert_agree(run([stream], [0])[0], wanted)
    at = {name: wanted[:, column] for column, name in enumerate(COLUMNS)}
    assert at["mono"][23] >= 1 - 1e-5 > at["mono"][24]
    assert at["mono_tail"][23] == 20 * 4800
    assert at["imbalance"][47] > 8
    assert at["imbalance"][23] == 0.0
    assert_triton_agrees_in([(0, 3), (19, 27), (44, 51)], stream, wanted, 1)


def lost_band(mono=False):
    """Broad sound for 13 s, narrow with a pause and single blocks that are not, broad again, with a hole."""
    rng = np.random.default_rng(7)
    blocks = 300
    rows = np.zeros((blocks, FEATURES))
    rows[:, 0] = rows[:, 1] = 10 ** rng.uniform(-3, -2, blocks)
    rows[:, Feature.SIDE], rows[:, Feature.MID] = 1e-4, rows[:, 0]
    rows[:, Feature.ENVELOPE :] = 0.02
    rows[:, Feature.HISS : Feature.HISS + 10] = 10 ** rng.uniform(-8, -6, (blocks, 10))
    hertz = np.where(rng.random(blocks) < 0.8, rng.uniform(8200, 14_000, blocks), rng.uniform(3000, 7900, blocks))
    narrow = slice(130, 240)
    hertz[narrow] = rng.uniform(1500, 4900, 110)
    hertz[[160, 225]] = 9000
    rows[210:216, :2] = rows[210:216, Feature.MID] = 1e-6
    if mono:
        rows[:, 1] = 0.0
        rows[:, Feature.PHASE : Feature.PURITY] = np.nan
    third = 20 * rows[:, Feature.HISS : Feature.HISS + 10].mean(axis=1)
    rows[:, Feature.FOURTH] = third * (2 * np.sin(np.pi * hertz / 48_000)) ** 2
    lengths = [4800] * blocks
    lengths[270] = 1000
    return rows, lengths, np.tile([1.0, 0.0 if mono else 1.0] + [0.0] * 6, (blocks, 1)), np.full(blocks, -23.0)


@pytest.mark.parametrize("mono", [False, True])
def test_a_band_that_is_lost_is_known_for_how_long_until_it_is_back(mono):
    stream = lost_band(mono)
    wanted = expected(stream)
    assert_agree(run([stream], [1])[0], wanted)
    lost = wanted[:, COLUMNS.index("narrow_seconds")]
    assert lost[:130].max() == 0.0
    assert lost[239] == pytest.approx(11.0)
    assert np.flatnonzero(lost)[0] < 200
    assert lost[246:270].max() == 0.0
    assert np.isnan(lost[270])
    never = tuple(part[130:240] for part in stream)
    assert expected(never)[:, COLUMNS.index("narrow_seconds")].max() == 0.0
    # What mono has of its own is where its power comes from.
    windows = [(128, 133), (158, 162), (209, 218), (237, 247), (269, 272)]
    assert_triton_agrees_in(windows[::2] if mono else windows, stream, wanted, 0)


def gaps_and_pauses(blocks=96, seed=3):
    """Gaps of all lengths: cut out, faded into and out of, between short sounds, filled, and after a coder's tail."""
    rng = np.random.default_rng(seed)
    envelope = 0.2 * 10 ** rng.uniform(-0.15, 0.0, 100 * blocks)
    place = 4150  # a programme first, so that a pause of it can be told
    for number in range(100):
        length = int(rng.choice([11, 16, 30, 64, 150, 320]))
        if place + length + 700 > len(envelope):
            break
        kind = number % 4
        fade = np.geomspace(0.02, 1.0, 40)
        if kind == 1:
            envelope[place - 40 : place] *= fade[::-1]
        if kind in (1, 2):
            envelope[place + length : place + length + 40] *= fade
        envelope[place : place + length] = rng.choice([0.0, 2e-4, 1e-3])
        if kind == 3 and length >= 64:
            envelope[place : place + 15] = 0.015
        place += length + int(rng.choice([40, 120, 600]))
    rows = np.zeros((blocks, FEATURES))
    rows[:, :2] = 0.01
    rows[:, Feature.SIDE], rows[:, Feature.MID] = 1e-3, 9e-3
    rows[:, Feature.ENVELOPE : Feature.SLOPE] = envelope.reshape(blocks, 100)
    lengths = [4800] * blocks
    lengths[45] = 1000
    return rows, lengths, np.tile([1.0, 1.0] + [0.0] * 6, (blocks, 1)), np.full(blocks, -23.0)


def test_gaps_and_pauses_are_told_apart_as_the_reference_tells_them():
    told = 0
    for seed in range(12):
        stream = gaps_and_pauses(seed=seed)
        wanted = expected(stream)
        assert_agree(run([stream], [0])[0], wanted)
        told += int((wanted[:, COLUMNS.index("dropout")] > 0).sum())
    assert 12 < told < 120  # of 25 or so in each


@pytest.mark.slow
def test_triton_tells_gaps_and_pauses_apart_as_the_reference_does():
    streams = [gaps_and_pauses(seed=seed) for seed in range(3)]
    with interpreted("kernels.sound_trends.gpu") as gpu:
        for one, stream in zip(run(streams, [0, 2, 1], gpu.sound_trends), streams, strict=True):
            assert_agree(one, expected(stream))


@pytest.mark.slow
def test_triton_agrees_with_the_reference_on_channels_in_another_order():
    stream = rows_of("swapped")
    with interpreted("kernels.sound_trends.gpu") as gpu:
        assert_agree(run([stream], [0], gpu.sound_trends)[0], expected(stream))


@pytest.mark.slow
def test_triton_agrees_with_the_reference_over_rings_that_wrap():
    """A level jump needs 8 s, the minute 60: Triton goes on from where the CPU has been for most of them."""
    rng = np.random.default_rng(5)
    blocks, by_cpu = 612, 595
    rows = np.zeros((blocks, FEATURES))
    rows[:, :2] = 10 ** rng.uniform(-5, -3, (blocks, 2))
    rows[562:, :2] *= 0.02
    rows[:, Feature.SIDE], rows[:, Feature.MID] = 1e-4, 3e-4
    rows[:, Feature.ENVELOPE : Feature.SLOPE] = 0.02
    rows[:, Feature.SLOPE : Feature.SLOPE + 2] = 0.05 * rows[:, :2]
    rows[:, Feature.LOW_SIDE], rows[:, Feature.LOW_MID] = 0.1 * rows[:, 0], 0.2 * rows[:, 1]
    stream = (rows, [4800] * blocks, np.tile([1.0, 1.0] + [0.0] * 6, (blocks, 1)), rng.uniform(-40, -18, blocks))
    wanted = expected(stream)
    assert np.nanmax(wanted[:, COLUMNS.index("minute_error")]) > 0
    assert np.nanmax(wanted[by_cpu:, COLUMNS.index("level_jump")]) > 10
    assert_agree(run([stream], [0])[0], wanted)
    calls = iter(range(blocks))
    with interpreted("kernels.sound_trends.gpu") as gpu:
        assert_agree(
            run([stream], [0], lambda *args: (cpu if next(calls) < by_cpu else gpu).sound_trends(*args))[0], wanted
        )


def test_rows_are_the_same_to_the_last_bit_in_any_batch_and_slot():
    streams = [rows_of("stereo"), rows_of("mono")]
    together, swapped = run(streams, [1, 4]), run(streams[::-1], [0, 2])
    assert together.tobytes() == swapped[::-1].tobytes()
    assert together[1].tobytes() == run(streams[1:], [7])[0].tobytes()


def test_a_gap_longer_than_the_slot_allows_is_none():
    signal, _ = sound.plant_dropout(speech_like(3.0), 1.02, 0.5)
    stream = (features_of(signal, [4800] * 30), [4800] * 30, np.ones((30, 8)), np.full(30, np.nan))
    dropout = COLUMNS.index("dropout")
    assert run([stream], [0], longest=0.4)[0][:, dropout].max() == 0
    assert run([stream], [0], longest=0.6)[0][:, dropout].max() == pytest.approx(0.5, abs=0.02)


def test_reset_slot_measures_like_a_new_one():
    stream = rows_of("stereo")
    state = TrendState.allocate(1)
    results = []
    for _ in range(2):
        state.reset(0)
        out = torch.zeros((1, len(COLUMNS)), dtype=torch.float64)
        for block in range(50):
            features, weights = (torch.from_numpy(stream[k][block : block + 1].copy()) for k in (0, 2))
            loudness = torch.tensor([-20.0], dtype=torch.float64)
            sound_trends(state, features, torch.tensor([4800]), weights, loudness, torch.tensor([0]), out)
        results.append(out.numpy().tobytes())
    assert results[0] == results[1]


def test_empty_batch_and_wrong_shapes():
    state = TrendState.allocate(1)
    nothing = torch.zeros(0, dtype=torch.float64)
    whole = torch.zeros(0, dtype=torch.int64)
    wide = torch.zeros((0, 8), dtype=torch.float64)
    none = torch.zeros((0, FEATURES), dtype=torch.float64), whole, wide, nothing, whole
    sound_trends(state, *none, torch.zeros((0, len(COLUMNS)), dtype=torch.float64))
    with interpreted("kernels.sound_trends.gpu") as gpu:
        gpu.sound_trends(*none, state.values, torch.zeros((0, len(COLUMNS)), dtype=torch.float64))
    with pytest.raises(ValueError, match=r"\(0, 5\)"):
        sound_trends(state, *none, torch.zeros((0, 5), dtype=torch.float64))


def test_opcheck():
    state = TrendState.allocate(2)
    state.reset(1)
    features, _, weights, _ = rows_of("stereo")
    args = (
        torch.from_numpy(features[:1].copy()), torch.tensor([4800]), torch.from_numpy(weights[:1].copy()),
        torch.tensor([-23.0], dtype=torch.float64), torch.tensor([1]), state.values,
    )  # fmt: skip
    out = torch.zeros((1, len(COLUMNS)), dtype=torch.float64)
    torch.library.opcheck(torch.ops.avjury.sound_trends, (*args, out))
