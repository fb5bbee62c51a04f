"""On a real GPU: sound is measured as on the CPU."""

import numpy as np
import pytest
import torch

from engine.batch import Batcher
from engine.detectors import DETECTORS, resolve
from engine.measure import Measure
from engine.media import AudioBlock
from engine.queues import Bell, BoundedQueue

STREAMS = ((1, 0.2), (2, 0.05), (6, 0.4))


def batches(device, seconds=4):
    """Tones with hum and a little noise, one to six channels, with a click and a gap on the way."""
    batcher, rng = Batcher(device, len(STREAMS), 0.0), np.random.default_rng(3)
    at = np.arange(4800) / 48000
    for n in range(10 * seconds):
        queues = {}
        for slot, (channels, level) in enumerate(STREAMS):
            tone = level * np.sin(2 * np.pi * (300 + 110 * slot) * (n / 10 + at)) + 0.01 * np.sin(
                2 * np.pi * 50 * (n / 10 + at)
            )
            samples = np.tile(tone, (channels, 1)) + 1e-3 * rng.standard_normal((channels, 4800))
            if n == 12:
                samples[:, 700] = 0.9
            if n == 20:
                samples[:, :2400] = 0
            block = AudioBlock("", n / 10, samples.astype(np.float32), 4800, (1.0,) * channels, 0.9999)
            queues[slot] = BoundedQueue(1, Bell())
            queues[slot].put(block, lambda: False)
        yield batcher.sound(queues)


@pytest.mark.gpu
def test_sound_on_a_gpu_is_measured_as_on_the_cpu():
    devices = torch.device("cpu"), torch.device("cuda:0")
    _, parameters = resolve(None)
    measures = [Measure(device, len(STREAMS)) for device in devices]
    for measure in measures:
        for slot in range(len(STREAMS)):
            measure.open_slot(slot, parameters, {d.column for d in DETECTORS})
    own = torch.cuda.Stream(devices[1])
    own.wait_stream(torch.cuda.current_stream(devices[1]))
    with torch.cuda.stream(own):
        for one, other in zip(batches(devices[0]), batches(devices[1]), strict=True):
            expected, got = measures[0].sound(one).values, measures[1].sound(other).values.cpu()
            # Levels pass through float32 sums; the bounds of each kernel stand in tests/kernels.
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3, equal_nan=True)
