"""Whole pictures of streams on a GPU: what is said of them is what is said on the CPU, and the same again."""

import copy
from types import SimpleNamespace

import pytest
import torch
from frames import random_frame
from frames_on_gpu import on_device

from engine.measure.whole_looks import WholeLooks
from models.artifact_history import ArtifactHistory, HistoryNet
from models.artifact_net import ArtifactNet

TILES = 208 // 16 * (320 // 16)
# Some four in five of the tiles are beyond.
TILE = 0.5


def looks(tables, net, history, device, dtype):
    """Shares of three pictures of a stream, one after the other; beside another stream's."""
    whole = WholeLooks(copy.deepcopy(net).to(device, dtype), history, TILE, device, dtype)
    found = []
    for n in range(3):
        surface = SimpleNamespace(height=208, width=320, full_range=False, pts=n / 25)
        frame, reference = (table[n : n + 1] for table in tables)
        found.append(whole.look(0, surface, frame, reference))
        whole.look(1, surface, *(table[2 - n : 3 - n] for table in tables))
    return torch.stack(found).cpu()


@pytest.mark.gpu
def test_whole_pictures_on_a_gpu_are_judged_as_on_the_cpu_and_twice_alike():
    torch.manual_seed(1)
    net = ArtifactNet()
    net.train()
    for _ in range(3):
        net(torch.randn(8, 12, 48, 48))  # so that its means are those of something
    torch.manual_seed(7)
    history_net = HistoryNet().eval().requires_grad_(False)
    for member in history_net.members:
        member.told.weight.normal_(0, 0.1)
    history = ArtifactHistory(history_net, "", "made")
    shown = [random_frame(width=320, height=208, seed=seed, smooth=True) for seed in range(4)]
    tables, moved, _kept = on_device([(shown[n + 1], shown[n]) for n in range(3)])
    net = net.folded().requires_grad_(False)
    own = looks(tables, net, history, torch.device("cpu"), torch.float32)
    device = torch.device("cuda", torch.cuda.current_device())
    there = looks(moved, net, history, device, torch.float32)
    assert own.min() > 0
    assert own.max() < 1
    # Sums in another order, and TF32 where torch takes it: a few tiles may be on the other side.
    torch.testing.assert_close(there, own, rtol=0, atol=4 / TILES)
    half = [looks(moved, net, history, device, torch.bfloat16) for _ in range(2)]
    assert torch.equal(*half)
    # An eighth of a logit (test_network_gpu.py) at the place where the most tiles lie: a tenth of them.
    torch.testing.assert_close(half[0], own, rtol=0, atol=0.1)
