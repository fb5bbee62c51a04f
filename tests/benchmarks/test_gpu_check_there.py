"""Every part of the GPU check as on a GPU, over stand-ins of the driver and of torch's CUDA: no branch waits for the
first real device to be run. What it says of speed means nothing.
"""

import json

import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

SCRIPT = """
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import torch.profiler
from cuda_on_cpu import cuda_on_cpu

import kernels.frame_stats.gpu, kernels.scaled_blocks.gpu, kernels.tile_stats.gpu, kernels.to_network.gpu
import kernels.torn_blocks.gpu
from benchmarks import gpu_check
from benchmarks.progress import Progress
from engine.measure import network
from kernels.to_network.layout import TYPES

network.CUDA_BATCH = 4  # 64 pieces at a time take a CPU long
clip = Path("tests/clips/h264_320x180_8bit.h264")


def of_the_cpu(name):
    return lambda *tables, blocks: getattr(torch.ops.avjury, name)(*tables)


# Triton launches nothing on the CPU; the operators do, by way of torch.
for name in ("frame_stats", "tile_stats", "torn_blocks", "scaled_blocks"):
    setattr(getattr(kernels, name).gpu, name, of_the_cpu(name))
kernels.to_network.gpu.to_network = lambda f, r, c, dtype, blocks: torch.ops.avjury.to_network(
    f, r, c, TYPES.index(dtype)
)
# torch's own sees nothing without a GPU.
seen = {"cudaGraphLaunch": 12, "cudaMemcpyAsync": 24, "aten::add": 99}
averages = [SimpleNamespace(key=key, count=count) for key, count in seen.items()]
torch.profiler.profile = lambda activities: nullcontext(SimpleNamespace(key_averages=lambda: averages))
found, told = {}, []
with cuda_on_cpu() as gpu:
    for name in %r:
        found[name] = gpu_check.PARTS[name]("cuda:0", True, clip, Progress(300, told.append))
print(json.dumps([found, len(told), [name for name, _ in gpu.on_default_stream]]))
"""


def run(over, *parts):
    done = over(SCRIPT % (parts,), seconds=1100)
    assert done.returncode == 0, done.stderr[-3000:]
    found, told, on_default = json.loads(done.stdout.splitlines()[-1])
    assert on_default == []
    return found, told


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kernels_and_blocks_run_as_on_a_gpu(over_fake_driver):  # noqa: F811
    found, told = run(over_fake_driver, "machine", "kernels", "blocks")
    assert found["machine"]["devices"][0]["nvdec"]["h264 8 bit"] == 7
    # A kernel whose numbers are not the CPU's has an error here.
    assert [part["error"] for part in found["kernels"].values() if "error" in part] == []
    assert found["kernels"]["frame_stats"]["over_copy"]["p50"] > 0
    assert set(found["blocks"]) == {"frame_stats", "tile_stats", "torn_blocks", "scaled_blocks", "to_network"}
    for part in found["blocks"].values():
        assert part["table"] in part["seconds"]
        assert part["best"] in part["seconds"]
        assert part["table_over_best"] >= 1
    assert told >= 17


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_way_after_decoding_runs_as_on_a_gpu(over_fake_driver):  # noqa: F811
    found, told = run(over_fake_driver, "path")
    path = found["path"]
    for name in ("recorded", "with_network"):
        assert path[name]["recording_problem"] == ""
        assert path[name]["batches_played_back"] == 59  # all but the first
        assert path[name]["batches_of_sound_played_back"] == 19
    assert path["one_by_one"]["batches_played_back"] == 0
    assert 0 < path["recorded"]["device_to_host_bytes_per_stream_second"] <= 512
    assert path["reader"]["us_per_picture"]["p50"] > 0
    assert path["uploads"]["streams"] == 1
    assert path["launches_per_batch"] == {"2": 3.0, "4": 3.0}  # of twelve batches
    assert told == 7


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_decoding_and_paced_streams_run_as_on_a_gpu(over_fake_driver):  # noqa: F811
    found, told = run(over_fake_driver, "decode", "streams")
    decode, streams = found["decode"], found["streams"]
    assert decode["waiting_threads"] == "block"
    assert decode["counts"][0]["pipeline_over_decode"] > 0
    # The stand-in has the pictures of one clip only: the others are told as what this device does not decode.
    assert all("problem" in other for other in decode["others"].values())
    assert streams["latency_goal_ms"] == 85.0  # two pictures of 25 per second, and 5 ms
    assert streams["memory"]["streams"] == 2
    assert streams["beside_a_damaged_and_a_silent_one"]["healthy"] == 2
    assert streams["in_real_time"][0]["streams"] == 2
    assert "error" not in streams
    assert told >= 6
