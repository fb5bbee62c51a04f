"""Sound that is uploaded in one piece and played back from recordings is the sound that is measured on the host."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from on_tensors import OnTensors
from recorded_ops import RecordedOps, keep_state, states_of

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.evidence.series import MeasureRing
from engine.levels import Levels
from engine.measure import AUDIO_COLUMNS, Measure
from engine.measure.sound_table import SoundInputs, stage_sound
from engine.media import AudioBlock
from engine.queues import Bell, BoundedQueue

CPU = torch.device("cpu")
SLOTS = 5
COLUMNS = {d.column for d in DETECTORS}
CHANNELS = (2, 1, 6, 2, 2)


def block(channels, valid, pts, seed=0):
    draw = np.random.default_rng(seed)
    level = 0.3 * draw.random()
    samples = (level * draw.standard_normal((channels, 4800))).astype(np.float32)
    samples[:, valid:] = 0
    return AudioBlock("", pts, samples, valid, tuple(1.0 + k / 8 for k in range(channels)), 0.99)


def queued(blocks):
    """Queues that hold one block each, by slot."""
    queues = {}
    for slot, made in blocks.items():
        queues[slot] = BoundedQueue(1, Bell())
        queues[slot].put(made, lambda: False)
    return queues


def batches(count=45):
    """One to five blocks; some are short, one stream ends and its slot is taken by another."""
    batcher = Batcher(CPU, SLOTS, 0.0)
    for n in range(count):
        blocks = {
            slot: block(channels, 700 if (n, slot) == (17, 3) else 4800, n / 10, 100 * slot + n)
            for slot, channels in enumerate(CHANNELS)
            if (n + slot) % 7 and not (slot == 2 and n < 9)
        }
        yield batcher.sound(queued(blocks))


def opened(measure):
    _, parameters = resolve(None)
    for slot in range(SLOTS):
        measure.open_slot(slot, parameters, COLUMNS)
    return measure


def recorder(holders):
    def record(work):
        ops = RecordedOps()

        def watched():
            with ops:
                return work()

        return ops, keep_state(states_of(holders), watched)

    return record


def test_sound_that_is_played_back_gives_the_rows_of_the_host_and_followers_keep_them():
    there = Levels(SLOTS, CPU, host=False), MeasureRing(SLOTS, CPU, 16, host=False)
    here = Levels(SLOTS, CPU), MeasureRing(SLOTS, CPU, 16)
    there[1].bind(AUDIO_COLUMNS)
    holders = [*there]
    played = Measure(
        CPU, SLOTS, OnTensors(), record=lambda work: recorder(holders)(work),
        sound_followers=(there[0].follower("audio", AUDIO_COLUMNS), there[1]),
    )  # fmt: skip
    holders.append(played)
    opened(played)
    host = opened(Measure(CPU, SLOTS))
    _, parameters = resolve(None)
    for slot in range(SLOTS):
        for keeper in (*there, *here):
            keeper.open_slot(slot)
    for n, batch in enumerate(batches()):
        if n == 30:
            for measure in (played, host):
                measure.close_slot(1)
                measure.open_slot(1, parameters, COLUMNS)
        one, other = played.sound(batch), host.sound(batch)
        torch.testing.assert_close(one.values, other.values, rtol=0, atol=0, equal_nan=True)
        slots, start, until = one.device_rows
        assert torch.equal(slots, other.slots)
        assert torch.equal(start, other.start)
        assert torch.equal(until, other.known_until)
        assert one.kept
        assert not other.kept
        for keeper in here:
            keeper.add(other)
    assert played.graph_problem == ""
    # The kinds: up to two channels and up to six, of one, two, four and eight rows.
    assert played.sound_replays >= 45 - 8
    for slot in range(SLOTS):
        assert played.loudness(slot) == host.loudness(slot)
        for second in range(5):
            assert there[0].take(slot, second) == here[0].take(slot, second)
        one, other = (rows.read(slot, "momentary", 0.0) for rows in (there[1], here[1]))
        assert len(one.times) == 16
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.values, other.values)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 4800)), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(0, 8),
)
def test_what_is_staged_is_the_batch(kinds, more_rows, more_channels):
    slots = [3 * place for place in range(len(kinds))]
    blocks = {
        slot: block(channels, valid, 0.1 * slot, slot) for slot, (channels, valid) in zip(slots, kinds, strict=True)
    }
    batch = Batcher(CPU, 8, 0.0).sound(queued(blocks))
    count, rows = len(kinds), len(kinds) + more_rows
    channels = min(8, batch.samples.shape[1] + more_channels)
    inputs = SoundInputs(rows, channels, CPU)
    inputs.fill(stage_sound(batch, rows, channels, 100, pinned=False))
    for name in ("slots", "pts", "channels", "valid", "weights", "clip_level"):
        torch.testing.assert_close(getattr(inputs, name)[:count], getattr(batch, name), rtol=0, atol=0)
    assert torch.equal(inputs.until[:count], batch.pts + batch.seconds)
    assert inputs.followed.tolist() == slots + [100] * more_rows
    assert inputs.slots.tolist() == slots + [100 + k for k in range(more_rows)]
    # Triton compiles once for addresses that are multiples of 16, and once for others.
    for name in ("slots", "pts", "until", "channels", "valid", "followed", "weights", "clip_level", "samples"):
        assert getattr(inputs, name).data_ptr() % 16 == inputs.table.data_ptr() % 16, name
    for row, made in enumerate(blocks.values()):
        assert torch.equal(inputs.samples[row, : len(made.samples)], torch.from_numpy(made.samples))
