"""How much is launched on a GPU per batch: a constant, whatever the number of streams; over a stand-in of the GPU."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from changing_net import changing_artifact
from cuda_on_cpu import DEVICE, cuda_on_cpu, launches_counted

from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import JudgedPath
from benchmarks.made_surfaces import make_surface
from engine.measure import network
from engine.measure.network import NetworkUse
from engine.media import AudioBlock, StreamTick
from engine.queues import Bell, BoundedQueue
from models.artifact_weights import SecondPoint

RATE = 30


def counted(streams, pictures, first):
    """Launches per batch of pictures and of sound, and per tick, from picture `first` on; and what was played back."""
    # Second looks are on, and cost nothing where nobody asks.
    use = NetworkUse(replace(changing_artifact(area=0.01, pictures=1), second=SecondPoint(0.5, 1)), 5.0)
    path = JudgedPath(DEVICE, streams, network=use)
    shown = [[make_surface(f"s{i}", DEVICE, 64, 48, seed=2 * i + k) for k in range(2)] for i in range(streams)]
    noise = (np.random.default_rng(0).random((2, 4800)) - 0.5).astype(np.float32)
    found = {"pictures": Counter(), "sound": Counter(), "ticks": Counter()}
    for n in range(pictures):
        pts = n / RATE
        batch = path.batcher.assemble([(i, replace(shown[i][n % 2], pts=pts)) for i in range(streams)], path.black)
        with launches_counted() as launches:
            path.frames(batch)
        found["pictures"][len(launches)] += n >= first
        if n % 3 == 0:
            audio = {i: BoundedQueue(1, Bell()) for i in range(streams)}
            for queue in audio.values():
                queue.put(AudioBlock("", pts, noise, 4800, (1.0, 1.0), 0.9999), lambda: False)
            with launches_counted() as launches:
                path.sound(audio)
            found["sound"][len(launches)] += n >= first
        if n % RATE == 0:
            path.settle(0)
            with launches_counted() as launches:
                path.ticks([(i, StreamTick(pts, pts + 1.0, 0, 0.0, 0.0)) for i in range(streams)])
            found["ticks"][len(launches)] += 1
    path.settle(0)
    assert path.measure.graph_problem == ""
    return found, path.measure


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_launches_per_batch_are_few_and_do_not_grow_with_streams(monkeypatch):
    monkeypatch.setattr(network, "CUDA_BATCH", 4)  # a network of 64 pieces takes a CPU long
    with cuda_on_cpu() as gpu, on_a_side_stream(DEVICE):
        few, measure = counted(1, 70, 36)
        many, _ = counted(4, 70, 36)
    assert gpu.on_default_stream == []
    assert gpu.pageable == []
    assert measure.replays == 69
    assert measure.sound_replays == 23
    assert measure.network.replays >= 8
    for found in (few, many):
        # An upload, a playback, a copy of its result, the judge, its counts to the host.
        assert found["pictures"].most_common(1)[0][0] == found["sound"].most_common(1)[0][0] == 5
        # Two more where the network looks, three where a second ends. What an event takes of its own stands beside it:
        # a copy of each row whose verdict changed, and there is one in these few seconds.
        assert {5, 7, 10} <= {launches for launches, count in found["pictures"].items() if count}
        assert sum(count for launches, count in found["pictures"].items() if launches > 10) <= 1
        assert set(found["ticks"]) == {0}
