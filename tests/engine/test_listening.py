"""The audio network in the engine: which windows it hears, what it says of them, and for how long that holds."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from audio_blocks import SAMPLE_RATE
from cuda_on_cpu import DEVICE, cuda_on_cpu, launches_counted
from hearing_net import SPEECH, TONE, hearing_net
from sixteen_bits import logit_bounds

from benchmarks.gpu_kernels import on_a_side_stream
from engine.batch import Batcher
from engine.detectors import DETECTORS
from engine.errors import ConfigError
from engine.judge import Judge
from engine.measure import Measure, listening
from engine.measure.columns import AUDIO_COLUMNS
from engine.measure.graphs import record_on
from engine.measure.listening import AudioNetworkUse, Listening
from engine.measure.listening_table import WindowInputs, stage_windows
from engine.media import AudioBlock
from engine.networks import audio_network_of
from engine.pipeline import check
from engine.spec import AudioNetworkSettings, EngineSettings, StreamSpec
from engine.speech import Speech
from engine.warm_up import warm_up
from models.audio_labels import DEFECTS
from models.synthesis.sound_clip import write_sound
from models.weight_files import write_weights

CPU = torch.device("cpu")
FIRST = AUDIO_COLUMNS.index("network_hum")
SOUND = AUDIO_COLUMNS.index("network_sound")


@pytest.fixture(scope="module")
def audio():
    return hearing_net()


@dataclass
class Stream:
    """Blocks of sound of one slot."""

    slot: int
    sound: np.ndarray

    def block(self, number, pts=None):
        part = self.sound[:, 4800 * number : 4800 * (number + 1)]
        samples = np.zeros((len(self.sound), 4800), np.float32)
        samples[:, : part.shape[1]] = part
        return AudioBlock(str(self.slot), number / 10 if pts is None else pts, samples, part.shape[1],
                          (1.0,) * len(self.sound), 1.0)  # fmt: skip


def tone(hertz, seconds, channels=2, level=0.5):
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def measure_with(audio, rate=1.0, slots=2, wanted=("hum",)):
    measure = Measure(CPU, slots, audio_network=AudioNetworkUse(audio, rate))
    for slot in range(slots):
        measure.open_slot(slot, {}, set(wanted))
    return measure


@dataclass
class One:
    """A queue of one block."""

    block: AudioBlock | None

    def take(self):
        block, self.block = self.block, None
        return block


def rows_of(measure, *batches):
    """Values of batches of (slot, block), in the order of the slots."""
    batcher = Batcher(CPU, 8, 0.0)
    return [measure.sound(batcher.sound({slot: One(block) for slot, block in batch})).values.clone()
            for batch in batches]  # fmt: skip


def heard_at(rows, row=0):
    return [n for n, values in enumerate(rows) if not bool(values[row, FIRST].isnan())]


def test_nothing_is_said_before_two_seconds_and_then_it_holds(audio):
    stream = Stream(0, tone(50, 5.0))
    rows = rows_of(measure_with(audio), *([(0, stream.block(n))] for n in range(50)))
    assert heard_at(rows) == list(range(19, 50))
    said = rows[19][0, FIRST:]
    assert float(said[TONE]) > 0.9
    assert float(said[SPEECH]) < 0.1
    assert float(rows[19][0, SOUND]) == float(said[: len(DEFECTS)].max())


def test_what_it_says_is_of_the_last_two_seconds(audio):
    sound = np.concatenate([tone(50, 3.0), tone(640, 4.0)], axis=1)
    rows = rows_of(measure_with(audio), *([(0, Stream(0, sound).block(n))] for n in range(70)))
    hums = [float(values[0, FIRST + TONE]) > 0.5 for values in rows]
    assert hums[19]
    assert not hums[49]  # 3.0 to 5.0 s
    assert float(rows[49][0, FIRST + SPEECH]) > 0.5


def test_a_window_is_the_last_two_seconds_wherever_they_lie(audio, monkeypatch):
    windows = []
    said_of = Listening.said_of

    def watched(self, given):
        windows.append(given.clone())
        return said_of(self, given)

    monkeypatch.setattr(Listening, "said_of", watched)
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 14_400 * 10)).astype(np.float32)
    rows_of(measure_with(audio, rate=10.0), *([(0, Stream(0, noise).block(n))] for n in range(27)))
    assert len(windows) == 8
    for n, window in enumerate(windows):
        assert np.array_equal(window[0].numpy(), noise[:, 4800 * n : 4800 * (n + 20)])


def test_what_is_staged_for_a_gpu_is_the_windows_in_their_order():
    ring = np.random.default_rng(2).normal(0, 0.1, (3, 2, 20, 4800)).astype(np.float32)
    orders = [[(place + k) % 20 for k in range(20)] for place in (7, 0)]
    inputs = WindowInputs(4, CPU)
    inputs.fill(stage_windows(ring, (2, 0), orders, 4, 9, pinned=False))
    assert inputs.slots.tolist() == [2, 0, 9, 9]
    assert np.array_equal(inputs.windows[0].numpy(), np.roll(ring[2], -7, axis=1).reshape(2, -1))
    assert np.array_equal(inputs.windows[1].numpy(), ring[0].reshape(2, -1))
    assert not inputs.windows[2:].any()
    assert inputs.windows.data_ptr() % 16 == inputs.table.data_ptr() % 16


def test_an_engine_that_warms_up_has_listened_once(audio, monkeypatch):
    heard, said_of = [], Listening.said_of
    monkeypatch.setattr(Listening, "said_of", lambda self, given: heard.append(len(given)) or said_of(self, given))
    measure = Measure(CPU, 2, audio_network=AudioNetworkUse(audio, 0.1))
    warm_up(measure, Judge(DETECTORS, "cpu", 2), Batcher(CPU, 8, 0.0), None, 1, 2.0)
    assert heard == [1]
    assert not measure.listening.runs


def test_it_does_not_hear_across_a_gap(audio):
    stream = Stream(0, tone(50, 4.0))
    times = [n / 10 if n < 15 else n / 10 + 1.0 for n in range(40)]
    rows = rows_of(measure_with(audio), *([(0, stream.block(n, times[n]))] for n in range(40)))
    assert heard_at(rows)[0] == 15 + 19


def test_at_a_lower_rate_and_without_time_it_says_nothing_new(audio):
    stream = Stream(0, tone(50, 12.0))
    measure = measure_with(audio, rate=0.5)
    before = rows_of(measure, *([(0, stream.block(n))] for n in range(30)))
    measure.listening.share = 0.0
    after = rows_of(measure, *([(0, stream.block(n))] for n in range(30, 90)))
    assert heard_at(before)[0] == 19
    # What was said at 2 s (the step at 2 s) holds for one and a half intervals of 2 s, then nothing is known.
    assert heard_at(after)[-1] + 30 <= 59
    measure.listening.share = 1.0
    assert heard_at(rows_of(measure, *([(0, stream.block(n))] for n in range(90, 120))))


def test_what_is_said_does_not_depend_on_other_streams(audio):
    one, other = Stream(0, tone(50, 3.0)), Stream(1, tone(640, 3.0, channels=1))
    alone = rows_of(measure_with(audio), *([(0, one.block(n))] for n in range(30)))
    beside = rows_of(measure_with(audio), *([(1, other.block(n)), (0, one.block(n))] for n in range(30)))
    for a, b in zip(alone, beside, strict=True):
        torch.testing.assert_close(b[0, FIRST:], a[0, FIRST:], rtol=0, atol=0, equal_nan=True)
    assert float(beside[29][1, FIRST + TONE]) < 0.5


def test_on_a_gpu_it_says_the_same_beside_what_is_played_back_and_waits_for_nothing(audio, monkeypatch):
    monkeypatch.setattr(listening, "CUDA_BATCH", 2)  # a CPU takes long for sixteen
    monkeypatch.setattr(listening, "network_dtype", lambda device: torch.float32)  # as on the host
    one, other = Stream(0, tone(50, 3.0)), Stream(1, tone(640, 3.0, channels=1))
    batches = [[(0, one.block(n)), (1, other.block(n))] for n in range(30)]
    on_host = rows_of(measure_with(audio), *batches)
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure = Measure(DEVICE, 2, audio_network=AudioNetworkUse(audio, 1.0), record=record_on(DEVICE))
        for slot in (0, 1):
            measure.open_slot(slot, {}, {"hum"})
        batcher, there = Batcher(DEVICE, 8, 0.0), []
        for batch in batches:
            sound = batcher.sound({slot: One(block) for slot, block in batch})
            gpu.waiting.clear()
            values = measure.sound(sound).values
            # What is compiled and recorded with the first batch may wait.
            assert gpu.waiting == [] or not there, gpu.waiting
            there.append(values.cpu().clone())
    assert gpu.pageable == gpu.on_default_stream == []
    assert measure.sound_replays == 29
    assert measure.listening.replays == 1  # the window at 3 s; that at 2 s was recorded
    assert measure.graph_problem == ""
    for a, b in zip(there, on_host, strict=True):
        torch.testing.assert_close(a[:, FIRST:], b[:, FIRST:], rtol=0, atol=1e-5, equal_nan=True)
    assert heard_at(there) == list(range(19, 30))


def test_windows_of_many_streams_are_heard_together_and_take_two_launches_each_few(audio, monkeypatch):
    monkeypatch.setattr(listening, "CUDA_BATCH", 2)
    monkeypatch.setattr(listening, "CUDA_BATCHES", 2)
    monkeypatch.setattr(listening, "network_dtype", lambda device: torch.float32)  # as on the host
    parts = [(50, 640), (640, 50), (50, 50), (640, 640), (90, 320)]
    sounds = [np.concatenate([tone(one, 2.2), tone(other, 1.0)], axis=1) for one, other in parts]
    streams = [Stream(slot, sound) for slot, sound in enumerate(sounds)]
    # The fifth comes later: three, four and five windows at once.
    batches = [[(s.slot, s.block(n)) for s in streams if s.slot < 4 or n >= 5] for n in range(32)]
    on_host = rows_of(measure_with(audio, rate=2.0, slots=5), *batches)
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure = Measure(DEVICE, 5, audio_network=AudioNetworkUse(audio, 2.0), record=record_on(DEVICE))
        for slot in range(5):
            measure.open_slot(slot, {}, {"hum"})
        batcher, there, launches = Batcher(DEVICE, 8, 0.0), [], []
        for batch in batches:
            sound = batcher.sound({slot: One(block) for slot, block in batch})
            with launches_counted() as counted:
                there.append(measure.sound(sound).values)
            launches.append(len(counted))
    assert gpu.pageable == gpu.on_default_stream == []
    for a, b in zip(there, on_host, strict=True):
        torch.testing.assert_close(a[:, FIRST:].cpu(), b[:, FIRST:], rtol=0, atol=1e-5, equal_nan=True)
    # Four windows at 2.0 s, which were recorded; five at 2.5 s, of which the last by itself was; five at 3.0 s.
    assert measure.listening.replays == 1 + 2
    assert measure.graph_problem == ""
    without = launches[28]
    assert launches[29] == without + 2 * 2


def test_on_a_gpu_convolutions_are_in_16_bits_and_say_so_little_else(audio):
    windows = torch.from_numpy(np.stack([tone(hertz, 2.0) for hertz in (50, 640)] * 8))
    use = AudioNetworkUse(audio, 1.0)
    own = Listening(CPU, 1, use).said_of(windows).logit()
    with torch.inference_mode():
        bounds = logit_bounds(audio.net, audio.hearing(windows))
    with cuda_on_cpu(), on_a_side_stream(DEVICE):
        said = Listening(DEVICE, 1, use).said_of(windows.to(DEVICE)).cpu().logit()
    apart = (said - own).abs()
    # Beside that, what float32 leaves of a logit on the way to a probability near 0 or 1 and back.
    assert bool((apart <= bounds + 1e-3).all()), float((apart - bounds).max())
    assert float(apart.max()) > 1e-3


def shares(speech):
    return [speech.share(at, at) for at in (1.0, 2.0, 3.0)]


def test_who_asks_for_speech_is_told_what_was_heard_of_it_when(audio):
    """Of two seconds, dated by their middle; no other detector has to want the stream heard."""
    sound = np.concatenate([tone(50, 2.0), tone(640, 2.0)], axis=1)
    measure, speech = measure_with(audio, wanted=("sync_error",)), Speech()
    assert not measure.listening.runs
    measure.listening.keep(0, speech)
    rows_of(measure, *([(0, Stream(0, sound).block(n)), (1, Stream(1, sound).block(n))] for n in range(40)))
    assert shares(speech) == [0.0, 1.0, 1.0]
    assert speech.share(0.0, 3.0) == pytest.approx(2 / 3)
    # As the stream begins anew in its slot, it is still asked for; not of the next stream there.
    measure.open_slot(0, {}, {"sync_error"})
    assert measure.listening.runs
    measure.listening.keep(0, None)
    assert not measure.listening.runs
    measure.listening.keep(0, speech)
    measure.close_slot(0)
    assert not measure.listening.runs


def test_on_a_gpu_what_was_heard_of_speech_crosses_without_waiting(audio, monkeypatch):
    monkeypatch.setattr(listening, "CUDA_BATCH", 2)
    monkeypatch.setattr(listening, "network_dtype", lambda device: torch.float32)  # as on the host
    stream = Stream(0, np.concatenate([tone(50, 2.0), tone(640, 2.0)], axis=1))
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        measure, speech = (
            Measure(DEVICE, 2, audio_network=AudioNetworkUse(audio, 1.0), record=record_on(DEVICE)),
            Speech(),
        )
        measure.open_slot(0, {}, {"sync_error"})
        measure.listening.keep(0, speech)
        batcher = Batcher(DEVICE, 8, 0.0)
        for n in range(40):
            gpu.waiting.clear()
            measure.sound(batcher.sound({0: One(stream.block(n))}))
            assert gpu.waiting == [] or not n, gpu.waiting
        # Three windows, the last two of which were played back: each told what itself had said.
        assert shares(speech) == [0.0, 1.0, 1.0]
    assert gpu.pageable == gpu.on_default_stream == []
    assert measure.listening.replays == 2
    assert measure.listening.device_to_host_bytes == 3 * 8


def test_a_stream_that_does_not_ask_is_not_heard(audio):
    measure = measure_with(audio, wanted=("quiet",))
    assert not measure.listening.runs
    stream = Stream(0, tone(50, 3.0))
    rows = rows_of(measure, *([(0, stream.block(n))] for n in range(30)))
    assert heard_at(rows) == []


def test_a_slot_begins_anew_with_its_next_stream(audio):
    measure, stream = measure_with(audio), Stream(0, tone(50, 3.0))
    rows_of(measure, *([(0, stream.block(n))] for n in range(25)))
    measure.close_slot(0)
    measure.open_slot(0, {}, {"hum"})
    rows = rows_of(measure, *([(0, stream.block(n))] for n in range(25)))
    assert heard_at(rows)[0] == 19


def test_from_a_file_to_the_measures(audio, tmp_path):
    weights = tmp_path / "mine.safetensors"
    write_weights(weights, audio.net.state_dict(), {"network": "audio", "version": "mine"})
    clip = tmp_path / "hum.flac"
    write_sound(clip, tone(50, 6.0))
    settings = EngineSettings(device="cpu", trace=True, audio_network=AudioNetworkSettings(0.5, weights))
    [outcome] = check([StreamSpec("s", str(clip), {"audio.hum": {}})], settings)
    said = outcome.trace["audio"].values[:, FIRST + TONE]
    assert np.count_nonzero(~np.isnan(said)) >= 40
    assert np.nanmin(said) > 0.9
    [outcome] = check([StreamSpec("s", str(clip), {"audio.hum": {}})], EngineSettings(device="cpu", trace=True))
    assert np.isnan(outcome.trace["audio"].values[:, FIRST:]).all()


def test_weights_that_cannot_be_used_are_an_error_with_a_remedy(tmp_path):
    path = tmp_path / "mine.safetensors"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ConfigError, match="pickle"):
        audio_network_of(AudioNetworkSettings(0.5, path))
    assert audio_network_of(AudioNetworkSettings(windows_per_second=0)) is None
    assert audio_network_of(None) is None
