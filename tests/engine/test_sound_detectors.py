"""Defects planted into clean sound come out as themselves, at their times, and as nothing else."""

import av
import numpy as np
import pytest
import torch
from made_sound import CARRIERS, music_like, noise_like, speech_like
from media import media_dir

from engine.detectors import DETECTORS
from engine.judge import Judge
from engine.measure import Measure
from engine.media import AudioBatch
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis import sound

SOUND = tuple(d for d in DETECTORS if d.track == "audio")
# Over-loud sound is what several plantings are as well.
LEVELS = ("audio.loudness", "audio.true_peak")
WANTED = {d.column for d in SOUND}
# Of 5.1: LFE is not measured, what is behind counts for more.
WEIGHTS = {6: [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]}


def blocks(signal, rows=1):
    """The batches of a programme, the same in every row."""
    for begin in range(0, signal.shape[1], 4800):
        part = signal[:, begin : begin + 4800]
        samples = np.zeros((rows, 8, 4800), np.float32)
        samples[:, : part.shape[0], : part.shape[1]] = part
        weights = np.zeros((rows, 8))
        weights[:, : part.shape[0]] = WEIGHTS.get(part.shape[0], [1.0] * part.shape[0])
        yield AudioBatch(
            torch.arange(rows),
            torch.full((rows,), begin / 48_000, dtype=torch.float64),
            torch.full((rows,), part.shape[1] / 48_000, dtype=torch.float64),
            torch.from_numpy(samples),
            torch.full((rows,), part.shape[0]),
            torch.full((rows,), part.shape[1]),
            torch.from_numpy(weights),
            torch.ones(rows, dtype=torch.float64),
        )


def judged(signal, chosen=None):
    """(detector, start, end) of all that is found in (channels, n) samples; `chosen`: parameters that differ."""
    device = torch.device("cpu")
    measure, judge = Measure(device, 1), Judge(SOUND, device, 1)
    chosen = {d.name: {} for d in SOUND} | (chosen or {})
    measure.open_slot(0, {d.name: d.settle(chosen[d.name]) for d in SOUND}, WANTED)
    judge.open_slot(0, {d.name: d.rule(chosen[d.name]) for d in SOUND})
    transitions = [t for batch in blocks(signal) for t in judge.judge(measure.sound(batch))]
    transitions += judge.close_slot(0, signal.shape[1] / 48_000)
    found, opened = [], {}
    for t in transitions:
        if t.kind == "opened":
            opened[t.detector] = t.at
        elif t.kind == "closed":
            found.append((t.detector, opened.pop(t.detector), t.at))
    return found


def others(found, *expected):
    return [f for f in found if f[0] not in (*expected, *LEVELS)]


@pytest.fixture(scope="module")
def carriers():
    return {name: make(16.0) for name, make in CARRIERS.items()}


@pytest.mark.parametrize("name", CARRIERS)
def test_clean_sound_is_clean(carriers, name):
    assert judged(carriers[name]) == []


LASTING = [
    # detector, planting, carriers that it is plain in
    ("audio.silence", sound.plant_silence, CARRIERS),
    ("audio.channel_lost", sound.plant_lost_channel, CARRIERS),
    ("audio.phase", sound.plant_opposite_phase, ["speech"]),
    ("audio.mono", sound.plant_mono, CARRIERS),
    ("audio.imbalance", sound.plant_imbalance, CARRIERS),
    ("audio.dc", sound.plant_offset, ["speech", "music", "noise"]),
    ("audio.hum", sound.plant_hum, ["speech", "music"]),
    ("audio.hum", lambda x, a, b: sound.plant_hum(x, a, b, mains=60.0), ["speech", "music"]),
    ("audio.hum", lambda x, a, b: sound.plant_hum(x, a, b, level_db=-24.0), ["noise"]),
    ("audio.hum", lambda x, a, b: sound.plant_hum(x, a, b, mains=49.95), ["speech", "music"]),
    ("audio.noise", sound.plant_noise, CARRIERS),
    ("audio.tone", sound.plant_tone, CARRIERS),
    ("audio.tone", lambda x, a, b: sound.plant_tone(x, a, b, frequency=440.0), ["music"]),
    ("audio.stutter", lambda x, a, b: sound.plant_stutter(x, a, b, 0.1273), ["speech", "noise"]),
    ("audio.stutter", lambda x, a, b: sound.plant_stutter(x, a, b, 0.4987), ["music", "noise"]),
]


@pytest.mark.parametrize(
    ("detector", "plant", "name"), [(d, plant, name) for d, plant, names in LASTING for name in names]
)
def test_what_lasts_is_found_at_its_time_and_told_once(carriers, detector, plant, name):
    made, [planted] = plant(carriers[name], 2.03, 14.53)
    found = judged(made)
    assert others(found, detector) == []
    [(_, start, end)] = [f for f in found if f[0] == detector]
    # A hum or a noise comes out of a window of three seconds.
    tolerance = 0.35 if detector in ("audio.hum", "audio.noise") else 0.1
    assert start == pytest.approx(planted.start, abs=tolerance)
    assert end == pytest.approx(planted.end, abs=tolerance)


@pytest.mark.parametrize("name", CARRIERS)
def test_clicks_are_found_to_the_millisecond(carriers, name):
    made, planted = sound.plant_clicks(carriers[name], 1.0, 15.0, size=0.6, count=5, seed=4)
    found = judged(made, {"audio.click": {"hold": 0.0}})
    assert others(found, "audio.click") == []
    spans = [(start - 0.001, end + 0.001) for detector, start, end in found if detector == "audio.click"]
    for click in planted:
        assert any(start <= click.start <= end for start, end in spans)
    for span in spans:  # two in neighbouring blocks are one incident
        assert any(span[0] <= click.start <= span[1] for click in planted)


@pytest.mark.parametrize("samples", [9, 14, 24, 33, 42, 48, 100, 180])
@pytest.mark.parametrize("name", CARRIERS)
def test_a_click_of_some_milliseconds_is_found_at_its_edge(carriers, name, samples):
    made = carriers[name][:, : 8 * 48_000].copy()
    places = (100_000, 203_333, 301_111)
    for place in places:
        made[:, place : place + samples] += 0.5
    starts = [start for detector, start, _ in judged(made, {"audio.click": {"hold": 0.0}}) if detector == "audio.click"]
    for place in places:
        assert any(-0.001 <= start - place / 48_000 <= samples / 48_000 + 0.001 for start in starts)


def _muted(part):
    return part * np.float32([[1], [0]])


def _inverted(part):
    return part * np.float32([[1], [-1]])


def _offset(part):
    return part + np.float32(0.08)


@pytest.mark.parametrize(
    ("change", "detector"), [(_muted, "audio.channel_lost"), (_inverted, "audio.phase"), (_offset, "audio.dc")]
)
@pytest.mark.parametrize("place", [200_003, 201_590, 206_399])
def test_where_a_defect_begins_or_ends_between_two_samples_is_no_click(change, detector, place):
    made = music_like(14.0)
    end = place + 6 * 48_000
    made[:, place:end] = change(made[:, place:end])
    [(found, start, stop)] = judged(made)
    assert found == detector
    assert start == pytest.approx(place / 48_000, abs=0.15)
    assert stop == pytest.approx(end / 48_000, abs=0.15)


def test_a_click_across_the_border_of_two_blocks_is_found():
    for place in (4790, 4799, 4800, 4801, 4810):
        signal = noise_like(1.0)
        signal[:, place] += 0.6
        [(detector, start, _)] = judged(signal)
        assert detector == "audio.click"
        assert start == pytest.approx(place / 48_000, abs=0.001)


@pytest.mark.parametrize("seconds", [0.01, 0.012, 0.05, 0.1, 0.45, 1.7])
@pytest.mark.parametrize("name", ["music", "noise"])
def test_a_gap_is_found_to_the_millisecond_and_is_no_click(carriers, name, seconds):
    made, [planted] = sound.plant_dropout(carriers[name], 5.237, seconds)
    [(detector, start, end)] = judged(made)
    assert detector == "audio.dropout"
    assert start == pytest.approx(planted.start, abs=0.002)
    assert end == pytest.approx(planted.end, abs=0.002)


def test_a_gap_as_long_as_a_silence_is_told_as_one_of_them():
    made, _ = sound.plant_dropout(noise_like(10.0), 3.0, 2.5)
    assert [f[0] for f in judged(made)] == ["audio.silence"]
    assert [f[0] for f in judged(made, {"audio.silence": {"duration": 3.0}})] == ["audio.dropout"]


@pytest.mark.parametrize(
    ("tail", "silent", "told"),
    [(0.0, 1.9965, "audio.silence"), (0.018, 1.985, "audio.dropout"), (0.018, 1.9965, "audio.silence")],
)
def test_two_seconds_of_silence_are_told_though_a_coder_lets_sound_into_their_edges(tail, silent, told):
    """Behind MP3 or Opus they begin with up to 24 ms that die away, and end some milliseconds early."""
    made = 0.3 * music_like(16.0)
    begin, dies, end = 5 * 48_000, round(5 * 48_000 + 48_000 * tail), round(48_000 * (5 + tail + silent))
    made[:, begin:dies] *= np.float32(0.003 / np.abs(made[:, begin:dies]).max(initial=0.003))
    made[:, dies:end] = 0.0
    assert [f[0] for f in judged(made)] == [told]


def test_a_pause_that_fades_is_no_gap():
    signal = speech_like(6.0)
    fade = np.ones(signal.shape[1], np.float32)
    fade[96_000:98_400] = np.linspace(1, 0, 2400) ** 2
    fade[98_400:110_000] = 0
    fade[110_000:112_400] = np.linspace(0, 1, 2400) ** 2
    assert judged(signal * fade) == []


def loud_music(seconds=8.0):
    music = music_like(seconds)
    return music * np.float32(0.5 / np.abs(music).max())


@pytest.mark.parametrize("seconds", [0.02, 0.4, 1.5])
def test_a_gap_that_is_filled_with_noise_is_found_and_is_no_click(seconds):
    made = loud_music()
    span = slice(250_000, 250_000 + round(seconds * 48_000))
    noise = np.random.default_rng(1).standard_normal((2, span.stop - span.start))
    made[:, span] = (10 ** (-70 / 20) * noise).astype(np.float32)
    [(detector, start, end)] = judged(made)
    assert detector == "audio.dropout"
    assert start == pytest.approx(span.start / 48_000, abs=0.002)
    assert end == pytest.approx(span.stop / 48_000, abs=0.002)


@pytest.mark.parametrize("tail_ms", [5, 12, 20])
def test_a_gap_that_dies_away_as_a_lossy_coder_leaves_it_begins_where_the_sound_fell(tail_ms):
    made = loud_music()
    span = slice(250_000, 275_000)
    tail = np.geomspace(0.1, 1e-3, tail_ms * 48) * made[:, span.start : span.start + tail_ms * 48]
    made[:, span] = 0.0
    made[:, span.start : span.start + tail_ms * 48] = tail
    [(detector, start, end)] = judged(made)
    assert detector == "audio.dropout"
    assert start == pytest.approx(span.start / 48_000, abs=0.01)
    assert end == pytest.approx(span.stop / 48_000, abs=0.002)


@pytest.mark.parametrize("drive", [4.0, 12.0])
@pytest.mark.parametrize("turned_down", [0.0, 3.0, 20.0])
def test_clipped_sound_is_found_however_far_it_was_turned_down(drive, turned_down):
    made, [planted] = sound.plant_clipping(music_like(10.0), 2.0, 8.0, drive)
    made = np.rint(made * 10 ** (-turned_down / 20) * 2**15).astype(np.float32) / 2**15
    found = [f for f in judged(made) if f[0] == "audio.clipping"]
    assert found
    assert planted.start - 0.1 <= found[0][1]
    assert found[-1][2] <= planted.end + 0.1


def sine(frequency, level, seconds=4.0):
    wave = level * np.sin(2 * np.pi * frequency * np.arange(round(48_000 * seconds)) / 48_000)
    return np.tile(wave.astype(np.float32), (2, 1))


@pytest.mark.parametrize("frequency", [20.0, 50.0, 1000.0, 6000.0, 8000.0, 12_000.0])
@pytest.mark.parametrize("level", [0.05, 0.3, 0.8])
def test_a_tone_has_no_flat_tops(frequency, level):
    coded = np.rint(sine(frequency, level) * 2**15).astype(np.float32) / 2**15
    assert "audio.clipping" not in {f[0] for f in judged(coded)}


def test_square_waves_few_bits_and_repeated_samples_have_no_flat_tops():
    square = 0.3 * np.sign(sine(440.0, 1.0) + np.float32(1e-4))
    few_bits = np.rint(0.5 * loud_music(4.0) * 2**7).astype(np.float32) / 2**7
    repeated = np.repeat(loud_music(4.0)[:, ::6], 6, axis=1)
    for made in (square.astype(np.float32), few_bits, repeated):
        assert "audio.clipping" not in {f[0] for f in judged(made)}


def test_a_line_up_tone_goes_on_through_the_breaks_that_tell_its_channels():
    time = np.arange(12 * 48_000) / 48_000
    glits, ident = sine(1000.0, 0.125, 12.0), sine(1000.0, 0.125, 12.0)
    cycle = time % 4
    glits[0, cycle < 0.25] = 0.0
    glits[1, ((cycle >= 0.5) & (cycle < 0.75)) | ((cycle >= 1.0) & (cycle < 1.25))] = 0.0
    ident[0, (time + 1.5) % 3 < 0.25] = 0.0
    for made in (glits, ident):
        before, after = music_like(4.0), music_like(4.0, seed=7)
        tones = [f for f in judged(np.concatenate([before, made, after], axis=1)) if f[0] == "audio.tone"]
        [(_, start, end)] = tones
        assert 3.9 <= start <= 5.5  # GLITS begins with its breaks, before which no tone has lasted
        assert end == pytest.approx(16.0, abs=0.1)


@pytest.mark.parametrize(("on", "off"), [(0.1, 0.1), (0.1, 0.9), (0.5, 0.5), (0.04, 0.96), (1.0, 1.0)])
def test_pauses_between_beeps_are_no_gaps(on, off):
    beep = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(round(on * 48_000)) / 48_000)
    beeps = np.tile(np.concatenate([np.zeros(round(off * 48_000)), beep]), 8).astype(np.float32)
    assert "audio.dropout" not in {f[0] for f in judged(np.stack([beeps, beeps]))}


def test_empty_pauses_of_words_that_die_away_are_no_gaps_and_one_that_is_cut_is():
    signal, time = music_like(24.0), np.arange(14_400) / 48_000
    word = np.minimum(1.0, np.minimum(time / 0.03, (0.3 - time) / 0.05)).astype(np.float32)
    spoken = signal.copy()
    for begin in range(0, spoken.shape[1] - 19_200 + 1, 19_200):
        spoken[:, begin : begin + 14_400] *= word
        spoken[:, begin + 14_400 : begin + 19_200] = 0.0
    assert "audio.dropout" not in {f[0] for f in judged(spoken)}
    cut, _ = sound.plant_dropout(signal, 12.03, 0.1)
    assert [f[0] for f in judged(cut)].count("audio.dropout") == 1


def test_an_offset_of_one_percent_is_found():
    signal, _ = sound.plant_offset(0.3 * speech_like(16.0), 4.0, 14.0, 0.01)
    assert "audio.dc" in {f[0] for f in judged(signal)}


def test_an_offset_of_two_percent_is_found():
    made, [planted] = sound.plant_offset(speech_like(14.0), 3.0, 12.0, 0.02)
    [(detector, start, end)] = judged(made)
    assert detector == "audio.dc"
    assert (start, end) == (pytest.approx(planted.start, abs=0.1), pytest.approx(planted.end, abs=0.1))


@pytest.mark.parametrize("decibels", [-18.0, 18.0])
@pytest.mark.parametrize("name", CARRIERS)
def test_a_jump_of_the_level_is_found_and_one_that_fades_is_not(carriers, name, decibels):
    quiet = carriers[name] * np.float32(0.2 if decibels > 0 else 1.0)
    made, [planted] = sound.plant_level_jump(quiet, 8.03, decibels)
    found = judged(made)
    assert [f[0] for f in found if f[0] not in LEVELS] == ["audio.level_jump"]
    assert found[0][1] == pytest.approx(planted.start, abs=0.15)
    slow = np.interp(np.arange(quiet.shape[1]), [4 * 48_000, 12 * 48_000], [0.0, decibels / 20])
    assert others(judged(quiet * 10 ** slow.astype(np.float32))) == []


def test_a_gain_beside_a_pause_is_dated_to_where_it_is_heard():
    """Seven tenths of a second that are as quiet as what follows, and two that are as loud as before."""
    made = noise_like(18.0)
    made[:, 7 * 48_000 : round(7.7 * 48_000)] *= np.float32(0.1)
    made, [planted] = sound.plant_level_jump(made, 7.93, -18.0)
    found = [f for f in judged(made) if f[0] == "audio.level_jump"]
    assert [f[1] for f in found] == [pytest.approx(planted.start, abs=0.15)]


@pytest.mark.parametrize("name", ["music", "speech"])
def test_sound_that_is_too_loud_from_a_moment_on_is_no_jump_of_the_level_beside_it(carriers, name):
    made, _ = sound.plant_loudness(0.1 * carriers[name], 5.03, 10.53)
    assert "audio.level_jump" not in {f[0] for f in judged(made)}
    assert [f[0] for f in judged(made, {"audio.loudness": {"max_short_term": 10.0}})].count("audio.level_jump") > 0


def test_a_quiet_piece_that_repeats_is_no_jump_of_the_level_beside_it():
    made = noise_like(18.0)
    made[:, 5 * 48_000 : 6 * 48_000] *= np.float32(0.1)
    made, _ = sound.plant_stutter(made, 6.0, 12.0, 0.3)
    assert [f[0] for f in judged(made)] == ["audio.stutter"]
    quiet = noise_like(18.0)
    quiet[:, 6 * 48_000 : 12 * 48_000] *= np.float32(0.1)
    assert [f[0] for f in judged(quiet)] == ["audio.level_jump"] * 2


def test_a_note_that_is_stuck_is_told_after_two_and_a_half_seconds_and_one_that_goes_on_never():
    time = np.arange(8 * 48_000) / 48_000
    waves = (0.2 / k * np.sin(2 * np.pi * 220 * k * time + k) * np.exp(-0.8 * k * time) for k in range(1, 6))
    note = np.tile(sum(waves), (2, 1)).astype(np.float32)
    chord = sum(0.1 * np.sin(2 * np.pi * f * time) for f in (440.0, 554.4, 659.3))
    for clean in (note, np.tile(chord, (2, 1)).astype(np.float32)):
        assert "audio.stutter" not in {f[0] for f in judged(clean)}
    made, _ = sound.plant_stutter(note, 2.03, 7.03, 0.0573)
    assert [f[1:] for f in judged(made) if f[0] == "audio.stutter"] == [pytest.approx((2.03, 7.03), abs=0.1)]
    short, _ = sound.plant_stutter(note, 2.03, 4.33, 0.0573)
    assert "audio.stutter" not in {f[0] for f in judged(short)}


@pytest.mark.parametrize("make", [speech_like, music_like])
@pytest.mark.parametrize("hertz", [3400.0, 4000.0])
def test_high_frequencies_that_are_gone_are_told_once_and_not_where_none_have_been(make, hertz):
    clean = make(45.0)
    made, [planted] = sound.plant_narrow_band(clean, 12.03, 40.0, hertz)
    [(detector, start, end)] = judged(made)
    assert detector == planted.detector == "audio.bandwidth"
    assert start == pytest.approx(planted.start, abs=0.3)
    assert end == pytest.approx(planted.end, abs=1.5)
    assert judged(clean) == []
    narrow, _ = sound.plant_narrow_band(clean, 0.0, 45.0, hertz)
    assert judged(narrow) == []


@pytest.mark.parametrize("leaves", [False, True])
def test_a_bass_that_comes_in_or_leaves_is_no_jump_of_the_level(leaves):
    """Both are louder or quieter by 15 dB at once, and for good; but only the low notes are."""
    quiet = music_like(20.0) * np.float32(0.1)
    time = np.arange(quiet.shape[1]) / 48_000
    plays = (time < 8.0) if leaves else (time >= 8.0)
    notes = 55.0 * 2 ** (np.random.default_rng(4).integers(0, 8, 80)[(time / 0.25).astype(int)] / 12)
    bass = 0.15 * plays * np.sin(2 * np.pi * np.cumsum(notes) / 48_000) * (1 - 0.5 * (time % 0.25) / 0.25)
    both = (quiet + bass).astype(np.float32)
    before, after = (
        float((both[:, part] ** 2).mean()) for part in (slice(4 * 48_000, 384_000), slice(384_000, 576_000))
    )
    assert abs(10 * np.log10(after / before)) > 12
    assert [f for f in judged(both) if f[0] == "audio.level_jump"] == []


def test_a_bass_beside_the_mains_frequency_is_no_hum():
    time = np.arange(10 * 48_000) / 48_000
    for frequency in (49.0, 51.0, 55.0, 61.74, 98.0, 123.47):  # G1, A1, B1, G2, B2
        bass = 0.2 * np.sin(2 * np.pi * frequency * time) + 1e-3 * np.random.default_rng(1).standard_normal(len(time))
        assert "audio.hum" not in [f[0] for f in judged(np.stack([bass, 0.9 * bass]).astype(np.float32))]


def test_a_chord_a_sweep_and_vibrato_are_no_line_up_tone():
    time = np.arange(8 * 48_000) / 48_000
    chord = sum(0.1 * np.sin(2 * np.pi * f * time) for f in (440.0, 554.4, 659.3))
    sweep = 0.2 * np.sin(2 * np.pi * 200 * time * (1 + time))
    vibrato = 0.2 * np.sin(2 * np.pi * 880 * time + 8 * np.sin(2 * np.pi * 5 * time))
    for wave in (chord, sweep, vibrato):
        assert others(judged(np.stack([wave, 0.8 * wave]).astype(np.float32))) == []


def test_a_track_of_one_channel_has_no_stereo_defects():
    assert judged(speech_like(13.0)[:1]) == []


def test_surround_is_judged_by_its_front():
    surround = np.concatenate([music_like(13.0), np.zeros((4, 13 * 48_000), np.float32)])
    assert judged(surround) == []
    made, _ = sound.plant_lost_channel(surround, 4.0, 9.0, channel=0)
    assert [f[0] for f in judged(made)] == ["audio.channel_lost"]


def test_nothing_is_told_across_a_hole():
    """A block that is cut short comes before one: what is on both sides of it is not compared."""
    signal = noise_like(3.0)
    measure, judge = Measure(torch.device("cpu"), 1), Judge(SOUND, "cpu", 1)
    measure.open_slot(0, {d.name: d.settle() for d in SOUND}, WANTED)
    judge.open_slot(0, {d.name: d.rule() for d in SOUND})
    parts = list(blocks(signal[:, :50_000])) + list(blocks(-signal[:, 60_000:]))
    assert [t for part in parts for t in judge.judge(measure.sound(part))] == []


def test_measures_of_a_slot_do_not_depend_on_its_neighbours():
    signal = sound.plant_dropout(music_like(8.0), 3.05, 0.08)[0]
    alone, beside = Measure(torch.device("cpu"), 1), Measure(torch.device("cpu"), 3)
    parameters = {d.name: d.settle() for d in SOUND}
    alone.open_slot(0, parameters, WANTED)
    for slot in range(3):
        beside.open_slot(slot, parameters, WANTED)
    for one, three in zip(blocks(signal), blocks(signal, 3), strict=True):
        three.samples[0] = 0
        three.samples[2] *= -0.3
        assert alone.sound(one).values[0].numpy().tobytes() == beside.sound(three).values[1].numpy().tobytes()


def test_what_nobody_judges_is_not_measured():
    measure = Measure(torch.device("cpu"), 1)
    measure.open_slot(0, {"audio.silence": {"noise": 0.001, "duration": 2.0}}, {"quiet"})
    row = measure.sound(next(blocks(noise_like(0.1))))
    assert torch.isnan(row.values[0, row.columns.index("click")])
    assert row.values[0, row.columns.index("rms")] > 0


def write(path, signal, codec):
    """A file of (2, n) float samples."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="stereo")
        samples = np.clip(np.round(signal * 32768), -32768, 32767).astype(np.int16)
        for begin in range(0, samples.shape[1], 4096):
            part = np.ascontiguousarray(samples[:, begin : begin + 4096].T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("suffix", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_files_are_checked_from_end_to_end(tmp_path, suffix, codec):
    signal = music_like(40.0)
    truth = []
    for plant, *times in (
        (sound.plant_hum, 1.0, 6.0),
        (sound.plant_lost_channel, 9.0, 12.0),
        (sound.plant_dropout, 14.0),
        (sound.plant_tone, 16.0, 23.0),
        (sound.plant_clicks, 24.0, 24.5),
        (sound.plant_imbalance, 26.0, 31.0),
        (sound.plant_offset, 32.0, 39.0),
    ):
        signal, planted = plant(signal, *times)
        truth += planted
    path = tmp_path / f"planted.{suffix}"
    write(path, signal, codec)
    [outcome] = check([StreamSpec("s", str(path), {d.name: {} for d in SOUND})], EngineSettings(device="cpu"))
    assert outcome.error is None
    assert [i.detector for i in outcome.incidents] == [p.detector for p in truth]
    for incident, planted in zip(outcome.incidents, truth, strict=True):
        tolerance = 0.01 if planted.detector in ("audio.click", "audio.dropout") else 0.1
        tolerance = 0.35 if planted.detector == "audio.hum" else tolerance
        assert incident.start == pytest.approx(planted.start, abs=tolerance)
        assert incident.end == pytest.approx(planted.end, abs=tolerance)


REAL = {  # clean clips -> defects that they really have
    "known_answer/essentia_long_voice.flac": [],
    "known_answer/essentia_flamenco.flac": [],
    "known_answer/fate_inside.tta": [],
    "loudness/ebu3341-7_3342-5.flac": ["audio.click"],  # one sample, at 8.698 s
    "real_av/latentsync_demo2_1080x1920_hevc.mp4": [],
    "real_av/shaka_mp3-h264_seg1-8_promo_720p29.97.ts": [],
    "real_av/mdn_crystal_480p30.mp4": [],
    "real_av/fate_PVA_talk_544x576i25_mpeg2.pva": ["audio.phase"],
    "real_av/lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4": ["audio.mono"],
    "loudness/ebu3342-3.flac": ["audio.tone"],
}


@pytest.mark.parametrize("clip", REAL)
def test_real_clips_have_the_defects_that_they_have(clip):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    chosen = {d.name: {} for d in SOUND if d.name not in (*LEVELS, "audio.clipping", "audio.silence")}
    [outcome] = check([StreamSpec("s", str(folder / clip), chosen)], EngineSettings(device="cpu"))
    assert [i.detector for i in outcome.incidents] == REAL[clip]


def test_sound_before_and_after_a_silence_is_no_longer_mono_for_it():
    """Three seconds on either side are not ten, whatever the silence between them."""
    mono = np.repeat(speech_like(14.0)[:1], 2, axis=0)
    mono[1] += 1e-2 * noise_like(14.0)[0]
    made, _ = sound.plant_mono(mono, 0.5, 4.0)
    made, _ = sound.plant_mono(made, 11.0, 13.5)
    made, _ = sound.plant_silence(made, 4.0, 11.0)
    assert [f[0] for f in judged(made)] == ["audio.silence"]


def test_an_inverted_wide_recording_is_known_by_its_low_frequencies():
    """High frequencies have nothing in common, as before two distant microphones; low ones are the same."""
    rng = np.random.default_rng(3)
    n = 14 * 48_000
    low = np.cumsum(rng.standard_normal(n))
    low -= np.convolve(low, np.ones(4001) / 4001, mode="same")
    low *= 0.05 / low.std()
    high = np.diff(rng.standard_normal((2, n + 1)), axis=1) * 0.06
    wide = (low + high).astype(np.float32)
    assert others(judged(wide), "audio.noise") == []
    made, [planted] = sound.plant_opposite_phase(wide, 3.03, 10.03)
    assert planted.strength < 0.6
    [(detector, start, end)] = others(judged(made), "audio.noise")
    assert detector == "audio.phase"
    assert start == pytest.approx(planted.start, abs=0.15)
    assert end == pytest.approx(planted.end, abs=0.15)


def test_a_gap_of_nothing_is_one_out_of_quiet_sound_too():
    quiet = np.float32(0.05) * noise_like(4.0)
    made, [planted] = sound.plant_dropout(quiet, 2.017, 0.06)
    [(detector, start, end)] = judged(made)
    assert detector == "audio.dropout"
    assert start == pytest.approx(planted.start, abs=0.002)
    assert end == pytest.approx(planted.end, abs=0.002)
    assert judged(quiet) == []


@pytest.mark.parametrize("name", CARRIERS)
def test_the_first_beat_of_something_that_rings_on_is_no_click(carriers, name):
    signal = carriers[name][:, : 4 * 48_000].copy()
    ring = np.exp(-np.arange(4800) / 200) * np.sin(2 * np.pi * 3000 * np.arange(4800) / 48_000)
    for place in range(20_000, 180_000, 17_321):
        signal[:, place : place + 4800] += (0.3 * ring).astype(np.float32)
    assert "audio.click" not in [f[0] for f in judged(signal)]


def test_a_surround_channel_that_was_used_and_has_nothing_any_more_is_told():
    rear = np.concatenate([noise_like(70.0, seed=5), np.zeros((1, 70 * 48_000), np.float32)])
    surround = np.concatenate([music_like(70.0), rear])
    surround[2, 20 * 48_000 :] = 0.0  # used for 20 s
    surround[3, 5 * 48_000 :] = 0.0  # for 5 s: an effect
    short = {"audio.surround_lost": {"duration": 40.0}}
    [(detector, start, end)] = others(judged(surround, short), "audio.click")  # where they are cut off
    assert detector == "audio.surround_lost"
    assert start == pytest.approx(20.0, abs=0.1)
    assert end == pytest.approx(70.0, abs=0.1)
    assert others(judged(surround[:, : 59 * 48_000], short), "audio.click") == []


def surround(seconds):
    """5.1 of speech with an effect in LFE from time to time."""
    made = sound.surround_of(speech_like(seconds))
    time = np.arange(made.shape[1]) / 48_000
    swell = np.maximum(0.0, np.sin(2 * np.pi * 0.2 * time) - 0.3)
    made[sound.LFE] += (0.2 * swell * np.sin(2 * np.pi * 45 * time)).astype(np.float32)
    return made


def test_surround_channels_in_another_order_are_told_from_where_they_are():
    clean = surround(40.0)
    assert others(judged(clean)) == []
    made, [planted] = sound.plant_channel_order(clean, 5.0, 32.0)
    [(detector, start, end)] = others(judged(made))
    assert detector == planted.detector
    assert start == pytest.approx(planted.start, abs=1.0)
    assert planted.end - 0.1 <= end < planted.end + 6.0  # until LFE, or the other channel, sounds as it should


def test_what_a_low_pass_leaves_of_a_voice_in_lfe_does_not_hide_the_order():
    """Half of the time it has nothing else, and then its mean frequency is that of neither LFE nor a full channel."""
    clean = surround(40.0)
    time = np.arange(clean.shape[1]) / 48_000
    clean[sound.LFE] += np.where(time % 0.8 < 0.4, 0.03 * np.sin(2 * np.pi * 205 * time), 0.0).astype(np.float32)
    assert others(judged(clean)) == []
    made, [planted] = sound.plant_channel_order(clean, 5.0, 32.0)
    [(detector, start, _)] = others(judged(made))
    assert (detector, start) == (planted.detector, pytest.approx(planted.start, abs=1.0))


def test_an_lfe_that_carries_everything_is_no_other_order():
    """Some mixers send the whole sound there, and receivers take its low notes."""
    made = surround(20.0)
    made[sound.LFE] = made[2]
    assert "audio.channel_swap" not in [f[0] for f in judged(made)]


def test_a_surround_channel_that_is_quieter_all_the_time_is_told():
    short = {"audio.surround_imbalance": {"duration": 10.0}}
    made, [planted] = sound.plant_surround_imbalance(surround(30.0), 6.0, 24.0, channel=4)
    [(detector, start, end)] = [f for f in judged(made, short) if f[0].startswith("audio.surround")]
    assert detector == planted.detector
    # The level of the last second or two is 12 dB down some three seconds after a channel is 20 dB down.
    assert planted.start < start < planted.start + 4.0
    assert end == pytest.approx(planted.end, abs=1.0)


def test_a_lost_surround_channel_is_not_also_out_of_balance():
    short = {"audio.surround_imbalance": {"duration": 10.0}, "audio.surround_lost": {"duration": 10.0}}
    made, [planted] = sound.plant_lost_channel(surround(34.0), 14.0, 30.0, channel=5)
    found = [f for f in judged(made, short) if f[0].startswith(("audio.surround", "audio.channel", "audio.imbalance"))]
    assert [f[0] for f in found] == [planted.detector] == ["audio.surround_lost"]
    assert found[0][1] == pytest.approx(planted.start, abs=0.1)


def tone_of(level_db, seconds):
    """A stereo sine whose loudness is its level (-0.69 LUFS and +0.69 dB of K-weighting at 997 Hz cancel)."""
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * np.arange(round(seconds * 48_000)) / 48_000)
    return np.stack([wave, wave]).astype(np.float32)


def test_a_minute_that_is_too_quiet_is_told_from_its_beginning_on():
    signal = np.concatenate([tone_of(-23.0, 62.0), tone_of(-35.0, 75.0)], axis=1)
    chosen = {"audio.minute_loudness": {"target": -23.0, "tolerance": 6.0, "duration": 60.0}}
    found = [f for f in judged(signal, chosen) if f[0] == "audio.minute_loudness"]
    # A minute of which a fifth is at -23 and the rest 12 LU below it is 6 LU below: 48 s after it became quiet.
    [(_, start, end)] = found
    assert start == pytest.approx(62.0 + 48.0 - 60.0, abs=1.5)
    assert end == pytest.approx(137.0, abs=0.1)
    assert [f for f in judged(signal) if f[0] == "audio.minute_loudness"] == []


@pytest.mark.parametrize(("level", "told"), [(-23.0, False), (-26.0, True), (-22.4, False), (-20.0, True)])
def test_a_file_is_told_when_it_was_not_at_its_target(tmp_path, level, told):
    path = tmp_path / "programme.wav"
    write(path, tone_of(level, 5.0), "pcm_s16le")
    chosen = {"audio.programme_loudness": {"target": -23.0, "tolerance": 1.0}}
    [outcome] = check([StreamSpec("s", str(path), chosen)], EngineSettings(device="cpu"))
    found = [(i.detector, i.start, i.end, i.closed_by) for i in outcome.incidents]
    assert found == ([("audio.programme_loudness", 0.0, 5.0, "end_of_stream")] if told else [])
