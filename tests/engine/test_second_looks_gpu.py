"""Second looks on a GPU: the same pictures are looked at as on the CPU, and the same is told of them."""

from dataclasses import replace

import pytest
import torch
from changing_net import changing_artifact

from benchmarks.gpu_kernels import on_a_side_stream
from benchmarks.judged_path import JudgedPath
from benchmarks.made_surfaces import copy_to_host, make_surface
from engine.measure.network import NetworkUse
from models.artifact_weights import SecondPoint

SURE = NetworkUse(replace(changing_artifact(), second=SecondPoint(0.5, 4, 1)), 0.01)
RATE = 25
# What is told of a square of two by two blocks that asks; and of a block beside it, with which it waits for consent.
TOLD = {False: 4 * 256 / (320 * 208), True: 0.481}


def picture(device, n, waits=False, at=30):
    """Grey; from `at` on with a square of two by two blocks, which is brighter from the second picture after it on."""
    shown = make_surface("s", device, 320, 208, pts=n / RATE)
    planes = shown.owner
    planes[:208] = 60
    planes[208:] = 128
    if n >= at:
        planes[64:96, 96:128] = 100 if n < at + 2 else 130
        if waits:
            planes[128:144, 160:176] = 100
    return shown


def told_on(device, pictures):
    """Which pictures were looked at, and what was told after each."""
    looks, told = [], []
    path = JudgedPath(device, 1, network=SURE)
    second = path.measure.network.second
    second.take = lambda slot, pts, said: looks.append(round(pts * RATE))
    for shown in pictures:
        path.frames(path.batcher.assemble([(0, shown)], path.black))
        path.settle(1)
        told.append(float(second._told[0]))
    path.settle(0)
    assert path.measure.graph_problem == ""
    return looks, told


@pytest.mark.gpu
@pytest.mark.parametrize("waits", TOLD)
def test_a_gpu_looks_at_the_same_pictures_again_and_tells_the_same(waits):
    device = torch.device("cuda", torch.cuda.current_device())
    with on_a_side_stream(device):
        pictures = [picture(device, n, waits) for n in range(60)]
        torch.cuda.current_stream(device).synchronize()
        found = told_on(device, pictures)
    assert found == told_on(torch.device("cpu"), [copy_to_host(shown) for shown in pictures])
    assert found[0] == [32, 38, 44, 50]
    assert found[1][31:33] == [0.0, pytest.approx(TOLD[waits], abs=0.001)]


@pytest.mark.parametrize("waits", TOLD)
def test_the_same_pictures_on_the_cpu_are_looked_at_so(waits):
    device = torch.device("cpu")
    looks, told = told_on(device, [picture(device, n, waits) for n in range(60)])
    assert looks == [32, 38, 44, 50]
    assert told[31:33] == [0.0, pytest.approx(TOLD[waits], abs=0.001)]
