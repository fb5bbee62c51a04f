"""The batcher: one picture per slot, bounded, fair, and rows that say where the planes are."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.batch import Batcher, black_level
from engine.media import AudioBlock, Surface
from engine.queues import Bell, BoundedQueue
from kernels.layout import Field

CPU = torch.device("cpu")


def surface(pts=0.0, *, depth=8, full_range=False):
    planes = np.zeros(64 * 48 * 2, np.uint8)
    return Surface(
        stream="s", pts=pts, duration=0.04, addresses=(planes.ctypes.data,) * 3, luma_pitch=128, chroma_pitch=64,
        chroma_step=1, width=64, height=48, chroma_width=32, chroma_height=24, bit_depth=depth, shift=0,
        full_range=full_range, matrix=1, interlaced=False, corrupt=False, device="cpu", owner=planes,
    )  # fmt: skip


def queues(bell, counts):
    made = {}
    for slot, count in counts.items():
        made[slot] = BoundedQueue(8, bell)
        for index in range(count):
            made[slot].put(surface(index / 25), lambda: False)
    return made


@pytest.mark.parametrize(
    ("depth", "full_range", "threshold", "level"),
    # 16 + 0.1 * 219 = 37.9, full range 0.1 * 255 = 25.5; in ten bits four times as much, the range 0..1023
    [(8, False, 0.1, 37), (8, True, 0.1, 25), (10, False, 0.1, 151), (10, True, 0.1, 102), (8, False, 0.0, 16)],
)
def test_the_black_level_is_blackdetects(depth, full_range, threshold, level):
    assert black_level(surface(depth=depth, full_range=full_range), threshold) == level


def test_a_batch_holds_at_most_one_picture_per_slot_in_order_of_time():
    batcher, bell = Batcher(CPU, 8, 0.0), Bell()
    video = queues(bell, {0: 2, 3: 1})
    black = {0: 0.1, 3: 0.1}
    first, second = batcher.frames(video, black), batcher.frames(video, black)
    assert first.slots.tolist() == [0, 3]
    assert second.slots.tolist() == [0]
    assert second.pts.tolist() == [1 / 25]
    assert batcher.frames(video, black) is None


def test_a_full_batch_leaves_the_rest_first_in_line():
    batcher, bell = Batcher(CPU, 2, 0.0), Bell()
    video = queues(bell, {0: 3, 1: 3, 2: 3})
    black = dict.fromkeys(video, 0.1)
    taken = [batcher.frames(video, black).slots.tolist() for _ in range(3)]
    assert taken == [[0, 1], [2, 0], [1, 2]]


def test_rows_describe_the_surface():
    batcher, bell = Batcher(CPU, 2, 0.0), Bell()
    video = queues(bell, {0: 1})
    batch = batcher.frames(video, {0: 0.1})
    row, planes = batch.frames[0].tolist(), batch.surfaces[0]
    assert row[Field.LUMA_ADDRESS] == planes.addresses[0]
    assert (row[Field.WIDTH], row[Field.HEIGHT], row[Field.LUMA_PITCH]) == (64, 48, 128)
    assert (row[Field.CHROMA_WIDTH], row[Field.CHROMA_HEIGHT], row[Field.BLACK_LEVEL]) == (32, 24, 37)


def test_a_slow_stream_holds_the_batch_no_longer_than_max_wait():
    batcher, bell = Batcher(CPU, 8, 0.1), Bell()
    video = queues(bell, {0: 1, 1: 0})
    began = time.monotonic()
    batcher.wait_until_ready(bell, video, [], 30.0)
    assert time.monotonic() - began < 10.0
    assert batcher.frames(video, {0: 0.1, 1: 0.1}).slots.tolist() == [0]


def test_the_batch_waits_for_a_stream_that_comes_in_time():
    batcher, bell = Batcher(CPU, 8, 20.0), Bell()
    video = queues(bell, {0: 1, 1: 0})
    thread = threading.Timer(0.05, lambda: video[1].put(surface(), lambda: False))
    thread.start()
    batcher.wait_until_ready(bell, video, [], 30.0)
    thread.join()
    assert batcher.frames(video, {0: 0.1, 1: 0.1}).slots.tolist() == [0, 1]


def test_an_ended_stream_is_not_waited_for():
    batcher, bell = Batcher(CPU, 8, 60.0), Bell()
    video = queues(bell, {0: 1, 1: 0})
    video[1].close()
    began = time.monotonic()
    batcher.wait_until_ready(bell, video, [], 30.0)
    assert time.monotonic() - began < 20.0


def test_sound_has_the_channels_of_the_widest_stream_and_the_others_weigh_nothing():
    bell = Bell()
    audio = {5: BoundedQueue(2, bell)}
    samples = np.full((2, 4800), 0.5, np.float32)
    audio[5].put(AudioBlock("s", 1.5, samples, 2400, (1.0, 1.41), 0.99), lambda: False)
    audio[7] = BoundedQueue(2, bell)
    six = np.full((6, 4800), 0.25, np.float32)
    audio[7].put(AudioBlock("t", 1.6, six, 4800, (1.0,) * 6, 1.0), lambda: False)
    batch = Batcher(CPU, 4, 0.0).sound(audio)
    assert tuple(batch.samples.shape) == (2, 6, 4800)
    assert batch.samples[0, :2].eq(0.5).all()
    assert batch.samples[1].eq(0.25).all()
    assert batch.weights[0].tolist() == [1.0, 1.41, 0, 0, 0, 0, 0, 0]
    assert (batch.channels.tolist(), batch.valid.tolist(), batch.seconds.tolist()) == (
        [2, 6],
        [2400, 4800],
        [0.05, 0.1],
    )
    assert (batch.slots.tolist(), batch.pts.tolist(), batch.clip_level.tolist()) == ([5, 7], [1.5, 1.6], [0.99, 1.0])


def test_sound_of_one_stream_is_not_copied():
    bell = Bell()
    queue = BoundedQueue(2, bell)
    samples = np.full((2, 4800), 0.5, np.float32)
    queue.put(AudioBlock("s", 1.5, samples, 2400, (1.0, 1.0), 0.99), lambda: False)
    batch = Batcher(CPU, 4, 0.0).sound({5: queue})
    assert tuple(batch.samples.shape) == (1, 2, 4800)
    assert batch.samples.data_ptr() == samples.ctypes.data


def test_pictures_wait_for_others_from_when_they_were_decoded():
    batcher, bell = Batcher(CPU, 8, 30.0), Bell()
    video = queues(bell, {0: 0, 1: 0})
    late = replace(surface(), decoded_at=time.monotonic() - 31.0)  # the loop was busy with others
    video[0].put(late, lambda: False)
    began = time.monotonic()
    batcher.wait_until_ready(bell, video, [], 30.0)
    assert time.monotonic() - began < 10.0


def test_sound_waits_for_pictures_that_are_due():
    batcher, bell = Batcher(CPU, 8, 0.2), Bell()
    video, sound = queues(bell, {0: 0, 1: 0}), BoundedQueue(2, bell)
    block = AudioBlock("s", 0.0, np.zeros((2, 4800), np.float32), 4800, (1.0, 1.0), 0.99)
    sound.put(block, lambda: False)
    batcher.wait_until_ready(bell, video, [sound], 30.0)  # nothing came before it that it would be batched with
    came = threading.Timer(0.05, lambda: [video[slot].put(surface(), lambda: False) for slot in (0, 1)])
    came.start()
    batcher.wait_until_ready(bell, video, [sound], 30.0)
    came.join()
    assert batcher.frames(video, {0: 0.1, 1: 0.1}).slots.tolist() == [0, 1]


def test_a_ring_with_nothing_to_batch_ends_the_wait():
    batcher, bell = Batcher(CPU, 8, 30.0), Bell()
    video = queues(bell, {0: 0})
    rung = threading.Timer(0.05, bell.ring)
    rung.start()
    began = time.monotonic()
    batcher.wait_until_ready(bell, video, [], 30.0)
    rung.join()
    assert time.monotonic() - began < 10.0
