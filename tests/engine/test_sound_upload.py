"""Sound that is uploaded in two pieces is the sound that stays on the host."""

import numpy as np
import torch

from engine.batch import Batcher
from engine.media import AudioBlock
from engine.queues import Bell, BoundedQueue

CPU = torch.device("cpu")


def block(channels, valid, pts):
    samples = np.random.default_rng(channels).standard_normal((channels, 4800)).astype(np.float32)
    return AudioBlock("", pts, samples, valid, tuple(1.0 + k / 8 for k in range(channels)), 0.99)


def test_both_ways_give_the_same_batch():
    blocks = [block(2, 4800, 1.5), block(6, 100, 0.25), block(1, 4800, 7.125)]
    queues = {}
    for slot, made in zip((4, 0, 9), blocks, strict=True):
        queues[slot] = BoundedQueue(1, Bell())
        queues[slot].put(made, lambda: False)
    host = Batcher(CPU, 8, 0.0).sound(queues)
    there = Batcher(CPU, 8, 0.0)._upload_sound([0, 4, 9], [blocks[1], blocks[0], blocks[2]])
    for name in ("slots", "pts", "seconds", "channels", "valid", "weights", "clip_level"):
        torch.testing.assert_close(getattr(there, name), getattr(host, name), rtol=0, atol=0)
    for row, made in enumerate((blocks[1], blocks[0], blocks[2])):
        assert torch.equal(there.samples[row, : len(made.samples)], torch.from_numpy(made.samples))
    slots, start, until = there.device_rows
    assert slots.tolist() == [0, 4, 9]
    assert start.tolist() == host.pts.tolist()
    assert until.tolist() == (host.pts + host.seconds).tolist()
