"""The audio network: what it sees, its training data and their truth, and that training goes on where it ended."""

import copy
import json

import numpy as np
import pytest
import torch
from sixteen_bits import logit_bounds

from models.audio_hearing import (
    BANDS,
    MAINS_LINES,
    SHAPES,
    SPECTROGRAMS,
    STEPS,
    TONES,
    WINDOW_SAMPLES,
    Heard,
    Hearing,
    LogMel,
    heard,
    wave_shape,
)
from models.audio_labels import CONTENT, DEFECTS, LABELS
from models.audio_net import AudioNet
from models.audio_weights import load_audio
from models.evaluate_audio import evaluate_audio
from models.synthesis.coded_sound import CODERS, concealed_by_opus, concealed_by_repeating, decode, encode
from models.synthesis.made_sound import music, other
from models.synthesis.sound_cases import (
    UNKNOWN,
    SoundSource,
    case_of,
    made_source,
    make_sound_shard,
    packed,
    unpacked,
)
from models.synthesis.sound_damage import SPOILERS, _gap_shows, harmless, heard_apart
from models.train_audio import AudioTrainSettings, content_of, make_sound_shards, sound_sources, train_audio
from models.weight_files import WeightsError

INSIDE = slice(14_400, 14_400 + WINDOW_SAMPLES)


@pytest.fixture(scope="module")
def tune():
    return music(3.0, np.random.default_rng(7))[:, : WINDOW_SAMPLES + 28_800]


def test_a_sine_is_loudest_in_its_own_band_and_a_click_in_its_own_step():
    time = torch.arange(WINDOW_SAMPLES) / 48_000
    levels = LogMel()((0.5 * torch.sin(2 * torch.pi * 1000 * time))[None])[0]
    assert levels.shape == (SPECTROGRAMS, BANDS, STEPS)
    # A sine of 0.5 has -6 dB; it lies between two bands, of which each takes its share.
    assert -13 < float(levels[0].max()) < -5
    assert len(set(levels[0].argmax(dim=0).tolist())) == 1
    click = torch.zeros((1, WINDOW_SAMPLES))
    click[0, 48_000] = 0.5
    steps = LogMel()(click)[0].amax(dim=1)
    assert [int((part > -100).sum()) for part in steps] == [4, 1]  # windows of 43 and 11 ms, a step each 10 ms


def test_what_is_heard_of_two_channels_is_never_what_cancels_out():
    sound = torch.randn((1, WINDOW_SAMPLES), generator=torch.Generator().manual_seed(1))
    both = torch.stack([sound, sound], dim=1)
    assert torch.equal(heard(both), sound)
    both[:, 1] *= -1
    assert torch.equal(heard(both), sound)
    assert torch.equal(heard(sound[:, None]), sound)


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(0)
    net = AudioNet()
    mel, shape = torch.rand((4, SPECTROGRAMS, BANDS, STEPS)) * -80, torch.rand((4, len(SHAPES), STEPS))
    inputs = Heard(mel, shape, torch.rand((4, TONES)) * 20)
    net.train()
    for _ in range(3):
        net(Heard(mel + torch.randn_like(mel), shape, inputs.tones))
    net.eval()
    with torch.inference_mode():
        # float32 sums of at most 1,128 products in another order, on logits of order 1.
        torch.testing.assert_close(net.folded()(inputs), net(inputs), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in net.parameters()) < 350_000


def shape_of(samples, name):
    """One row of the shape of a wave, (STEPS,)."""
    return wave_shape(samples[None])[0, SHAPES.index(name)]


def test_cut_tops_and_lone_samples_show_in_the_shape_of_the_wave():
    time = torch.arange(WINDOW_SAMPLES) / 48_000
    sine = 0.5 * torch.sin(2 * torch.pi * 220 * time).repeat(2, 1)
    cut = sine.clone()
    cut[1] = cut[1].clamp(-0.2, 0.2)  # in one of two channels
    assert float(shape_of(cut, "flat").min()) > float(shape_of(sine, "flat").max())
    assert float(shape_of(cut, "held").min()) > 0.5 > float(shape_of(sine, "held").max())
    clicked = sine.clone()
    clicked[0, 480 * 60 + 5] += 0.3
    alone = shape_of(clicked, "alone")
    assert int(alone.argmax()) == 60 - 2  # the step whose middle lies in that block
    assert float(alone.max()) > float(shape_of(sine, "alone").max()) + 0.5


def test_the_shape_of_the_wave_does_not_depend_on_how_loud_it_is(tune):
    sound = torch.from_numpy(np.ascontiguousarray(tune[:, :WINDOW_SAMPLES]))
    # A half and a quarter are exact in float32; what is close to silence is told apart from it.
    torch.testing.assert_close(wave_shape(0.5 * sound[None]), wave_shape(sound[None]), rtol=0, atol=0.02)


def test_a_hum_stands_out_at_its_own_lines_and_a_note_between_them_at_none():
    time = torch.arange(WINDOW_SAMPLES) / 48_000
    noise = 0.001 * torch.randn(WINDOW_SAMPLES, generator=torch.Generator().manual_seed(3))
    lines = Hearing().lines
    hum = lines((noise + 0.01 * torch.sin(2 * torch.pi * 100 * time))[None])[0]
    note = lines((noise + 0.01 * torch.sin(2 * torch.pi * 110 * time))[None])[0]
    assert int(hum[: len(MAINS_LINES)].argmax()) == MAINS_LINES.index(100)
    assert float(hum[MAINS_LINES.index(100)]) > 20
    assert float(note[: len(MAINS_LINES)].max()) < 15
    assert -42 < float(hum[len(MAINS_LINES) + MAINS_LINES.index(100)]) < -38  # a sine of 0.01


def test_what_is_heard_of_a_window_does_not_depend_on_those_beside_it(tune):
    hearing, net = Hearing(), AudioNet().eval().folded()
    one = torch.from_numpy(np.ascontiguousarray(tune[:, :WINDOW_SAMPLES]))
    many = torch.stack([one, torch.zeros_like(one), 0.9 * one.flip(1)])
    with torch.inference_mode():
        alone, among = net(hearing(one[None])), net(hearing(many))
    # float32 convolutions over other batch sizes, on logits of order 1.
    torch.testing.assert_close(among[:1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(CODERS))
def test_coders_keep_the_time_and_plenty_of_bits_keep_the_sound(tune, name):
    coder = CODERS[name]
    coded = encode(tune, coder, rate=coder.rates[0], bits_per_second=256_000)
    shown = decode(coded)
    assert shown.shape == tune.shape
    a, b = tune[0, 30_000:60_000].astype(float), shown[0, 30_000:60_000].astype(float)
    spectrum = np.fft.rfft(a, 1 << 17) * np.conj(np.fft.rfft(b, 1 << 17))
    late = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(late, (1 << 17) - late) < 1200  # an encoder's own delay at most
    assert heard_apart(tune, shown) < 2.0


def test_a_lost_packet_is_heard_where_it_was_and_nowhere_else(tune):
    coder = CODERS["opus"]
    coded = encode(tune, coder, rate=48_000, bits_per_second=128_000)
    whole, holed = decode(coded), decode(coded, lambda n, data: None if 60 <= n < 63 else data)
    differs = np.flatnonzero(np.abs(whole - holed).max(axis=0) > 1e-3)
    at = coded.packets[60][0]
    assert at - 960 <= differs[0] <= at + 960
    assert differs[-1] < at + 12 * 960  # its predictions have died away
    concealed = concealed_by_opus(coded, frozenset((60, 61, 62)))
    if concealed is not None:
        gap = slice(at + 200, at + 900)
        assert float(np.abs(concealed[:, gap]).max()) > 10 * float(np.abs(holed[:, gap]).max())


def test_repeating_fills_a_gap_with_what_was_before_it(tune):
    made = concealed_by_repeating(tune, [(48_000, 49_920)], 0.5)
    assert np.array_equal(made[:, :48_000], tune[:, :48_000])
    assert np.array_equal(made[:, 49_920:], tune[:, 49_920:])
    assert np.allclose(made[:, 48_000:48_960], 0.5 * tune[:, 47_040:48_000])
    assert np.allclose(made[:, 48_960:49_920], 0.25 * tune[:, 47_040:48_000])


@pytest.mark.parametrize("name", sorted(SPOILERS))
def test_spoilers_spoil_and_say_so(tune, name):
    told = []
    for seed in range(12):
        spoilt, there = SPOILERS[name](tune, INSIDE, np.random.default_rng(seed))
        assert spoilt.shape == tune.shape
        assert np.isfinite(spoilt).all()
        told.append(there)
        if there:
            assert not np.array_equal(spoilt[:, INSIDE], tune[:, INSIDE])
    assert told.count(True) >= 3


def test_what_is_harmless_stays_within_full_scale(tune):
    for seed in range(20):
        made = harmless(tune, np.random.default_rng(seed))
        assert made.shape == tune.shape
        assert float(np.abs(made).max()) <= 1.0


def test_truth_says_what_was_done_and_what_nobody_knows(tune):
    source = SoundSource("tune", np.tile(tune, 3), ("music",), frozenset({"hum"}))
    rng, seen = np.random.default_rng(3), {label: set() for label in LABELS}
    for _ in range(30):
        samples, truth, kind = case_of(source, rng)
        assert samples.shape == (2, WINDOW_SAMPLES)
        for index, label in enumerate(LABELS):
            seen[label].add(int(truth[index]))
        undone = [d for d in DEFECTS if d not in kind.split("+")]
        assert not any(truth[LABELS.index(d)] == 1 for d in undone)
    assert seen["hum"] <= {1, UNKNOWN}  # it may have hummed before
    assert 1 in seen["music"]
    assert 1 not in seen["speech"]


def test_two_sources_at_once_have_the_content_of_both(tune):
    source = SoundSource("tune", np.tile(tune, 3), ("music",))
    noises = SoundSource("noises", other(6.0, np.random.default_rng(4)), ("other",))
    unknown = SoundSource("noises", noises.samples, None)
    rng, music_, other_ = np.random.default_rng(5), LABELS.index("music"), LABELS.index("other")
    truths = [case_of(source, rng, noises)[1] for _ in range(40)]
    assert {int(truth[music_]) for truth in truths} == {1}
    assert 2 <= sum(int(truth[other_]) for truth in truths) <= 20  # of some of them, heard along with it
    assert UNKNOWN in {int(case_of(source, rng, unknown)[1][other_]) for _ in range(40)}


def test_what_a_starved_coder_leaves_of_other_defects_nobody_knows(tune):
    source, rng = SoundSource("tune", np.tile(tune, 3), ("music",)), np.random.default_rng(8)
    cases = [case_of(source, rng) for _ in range(150)]
    both = [truth for _, truth, kind in cases if "codec" in kind and "+" in kind and truth[LABELS.index("codec")] == 1]
    assert len(both) >= 3
    assert all(truth[LABELS.index(name)] != 1 for truth in both for name in ("hum", "noise", "distortion", "click"))


def test_a_gap_that_was_well_guessed_is_no_known_gap(tune):
    gap = slice(48_000, 48_960)
    guessed, muted = tune.copy(), tune.copy()
    guessed[:, gap] *= np.float32(0.6)  # the wave is another, what is heard hardly
    muted[:, gap] = 0
    assert _gap_shows(tune, guessed, INSIDE) is None
    assert _gap_shows(tune, muted, INSIDE) is True
    assert _gap_shows(tune, tune, INSIDE) is False


def test_the_same_seed_makes_the_same_windows(tune):
    source = SoundSource("tune", np.tile(tune, 2), None)
    one, again, another = (make_sound_shard(source, seed, 6) for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["mel"], another["mel"])
    assert (one["truth"][:, [LABELS.index(c) for c in CONTENT]] == UNKNOWN).all()


def test_kept_spectrograms_are_within_a_quarter_of_a_decibel():
    levels = torch.linspace(-110, 15, 997)
    assert float((unpacked(torch.from_numpy(packed(levels))) - levels).abs().max()) <= 0.25


def test_content_is_what_the_folder_says_and_nothing_else_is_taken(tmp_path):
    assert content_of(tmp_path) == {}
    (tmp_path / "content.json").write_text(json.dumps({"a.wav": ["speech", "music"]}))
    assert content_of(tmp_path) == {"a.wav": ("speech", "music")}
    (tmp_path / "content.json").write_text(json.dumps({"a.wav": ["noise"]}))
    with pytest.raises(ValueError, match=r"a\.wav is \['noise'\]"):
        content_of(tmp_path)


def test_no_source_is_both_trained_on_and_held_out(tmp_path):
    for index in range(20):
        (tmp_path / f"clip{index}.wav").touch()
    settings = AudioTrainSettings(tmp_path, tmp_path, tmp_path / "w.safetensors")
    trained, held = (set(map(str, sound_sources(settings, held_out))) for held_out in (False, True))
    assert trained
    assert held
    assert not trained & held


def test_other_noises_are_neither_silent_nor_too_loud():
    made = other(2.0, np.random.default_rng(2))
    assert 0.01 < float(np.abs(made).max()) <= 0.5 + 1e-6


@pytest.mark.slow
def test_training_goes_on_where_it_ended_and_its_weights_can_be_tried(tmp_path):
    (tmp_path / "media").mkdir()
    said: list[str] = []

    def run(minutes):
        return train_audio(settings(minutes), said.append)

    def settings(minutes):
        weights = tmp_path / "net.safetensors"
        return AudioTrainSettings(tmp_path / "media", tmp_path / "work", weights, minutes, windows=20, made=9)

    threads = torch.get_num_threads()
    try:
        path = run(0.02)
        first = [line for line in said if "step" in line][-1]
        said.clear()
        run(0.04)
        paths = make_sound_shards(settings(1), held_out=True, say=said.append)
    finally:
        torch.set_num_threads(threads)
    steps = [int(line.split("step ")[1].split(",")[0]) for line in (first, [s for s in said if "step" in s][-1])]
    assert steps[1] > steps[0] > 0
    figures = evaluate_audio(load_audio(path).net, paths)
    assert set(figures["labels"]) == set(LABELS)
    assert figures["windows"] == 20 * len(paths) > 0
    assert [json.loads(line)["step"] for line in (tmp_path / "work" / "curve.jsonl").read_text().splitlines()]


def test_weights_of_another_network_are_refused(tmp_path):
    from models.artifact_net import ArtifactNet
    from models.weight_files import write_weights

    path = tmp_path / "net.safetensors"
    write_weights(path, ArtifactNet().folded().state_dict(), {"network": "artifact"})
    with pytest.raises(WeightsError, match="not of 'audio'"):
        load_audio(path)
    write_weights(path, AudioNet().state_dict(), {"network": "audio"})  # not folded
    with pytest.raises(WeightsError, match="another shape"):
        load_audio(path)


def test_the_shipped_weights_hear_hum_and_noise_that_they_were_not_shown():
    audio = load_audio()
    time = np.arange(WINDOW_SAMPLES) / 48_000
    rng = np.random.default_rng(11)
    tune_ = music(2.0, rng)[:, :WINDOW_SAMPLES]
    hum = 0.1 * tune_ + 0.05 * sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5)).astype(np.float32)
    quiet = 0.05 * tune_ + 0.02 * rng.standard_normal((2, WINDOW_SAMPLES)).astype(np.float32)
    said = []
    for samples in (tune_, hum, quiet):
        with torch.inference_mode():
            logits = audio.net(audio.hearing(torch.from_numpy(samples.astype(np.float32))[None]))
        said.append(torch.sigmoid(logits)[0])
    assert said[1][LABELS.index("hum")] > 0.5 > said[0][LABELS.index("hum")]
    assert said[2][LABELS.index("noise")] > 0.5 > said[0][LABELS.index("noise")]


@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 8), (torch.float16, 11)])
def test_convolutions_in_16_bits_say_what_those_in_32_say_within_what_rounding_allows(dtype, bits):
    audio, rng = load_audio(), np.random.default_rng(17)
    short = copy.deepcopy(audio.net).convolutions_to(dtype)
    # Half of them spoilt; music and other noises, as speech needs a program.
    sources = [made_source(number, 1, seconds=5.0) for number in (7, 8, 16, 17)]
    windows = np.stack([case_of(source, rng)[0] for source in sources for _ in range(4)])
    with torch.inference_mode():
        sound = audio.hearing(torch.from_numpy(windows))
        exact, said, bounds = audio.net(sound), short(sound), logit_bounds(audio.net, sound)
    apart, bounds = (said - exact).abs(), bounds * 2.0 ** (8 - bits)
    assert said.dtype is torch.float32
    assert bool((apart <= bounds).all()), float((apart / bounds).max())
    # No bound that allows anything: it is a fraction of a logit, and the numbers are rounded indeed.
    assert float(bounds.median()) < 0.5
    assert float((apart / bounds).max()) > 0.02
    kinds = {name.split(".")[0]: parameter.dtype for name, parameter in short.named_parameters()}
    assert kinds == {"layers": dtype, "shape": dtype, "hidden": torch.float32, "head": torch.float32}
