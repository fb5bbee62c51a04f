"""The artifact network on a GPU: its input equals the plain one's, and what it says is what it says on the CPU."""

import numpy as np
import pytest
import torch
from frames import random_frame
from frames_on_gpu import on_device

from engine.measure.arithmetic import Arithmetic
from engine.measure.network import CUDA_BATCH, Network, NetworkUse
from kernels.coded_pieces import coded_pieces
from kernels.coded_pieces import reference as plain_coded
from kernels.to_network import reference as plain
from kernels.to_network import to_network
from kernels.to_network.layout import TYPES
from models.artifact_net import ArtifactNet
from models.artifact_weights import Artifact, OperatingPoint, RatedPoints


def pairs():
    shapes = (
        {"width": 320, "height": 208},
        {"width": 131, "height": 99, "bit_depth": 10, "shift": 6, "interleaved": True, "padding": 3},
        {"width": 61, "height": 43, "chroma": "grey"},
    )
    return [tuple(random_frame(**shape, seed=seed, smooth=True) for seed in (2, 3)) for shape in shapes]


CROPS = torch.tensor([[0, 0, 0, 0], [0, 112, 224, 1], [1, 0, 16, 1], [2, 0, 0, 0], [-1, 0, 0, 0]])


@pytest.mark.gpu
def test_the_networks_input_on_a_gpu_equals_the_plain_one():
    tables, moved, _kept = on_device(pairs())
    for dtype in TYPES:
        found = to_network(*moved, CROPS.cuda(), dtype)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.cpu(), plain.to_network(*tables, CROPS, dtype), rtol=0, atol=0)


@pytest.mark.gpu
def test_pieces_at_their_coded_size_on_a_gpu_equal_the_plain_ones():
    crops = [[0, 0, 0, 480, 312], [0, 220, 400, 480, 312], [1, 0, 16, 98, 66], [2, 0, 0, 61, 43], [-1, 0, 0, 480, 312]]
    tables, moved, _kept = on_device(pairs())
    found = coded_pieces(*moved, torch.tensor(crops).cuda())
    torch.testing.assert_close(found.cpu(), plain_coded.coded_pieces(*tables, torch.tensor(crops)), rtol=0, atol=0)


@pytest.mark.gpu
def test_what_the_network_says_on_a_gpu_is_what_it_says_on_the_cpu_whatever_the_batch():
    torch.manual_seed(1)
    net = ArtifactNet()
    net.train()
    for _ in range(3):
        net(torch.randn(8, 12, 48, 48))  # so that its means are those of something
    use = NetworkUse(Artifact(net.folded(), RatedPoints(((1.0, OperatingPoint(0.5, 0.1, 1)),)), ""), 1.0)
    tables, moved, _kept = on_device(pairs())
    own = Network(Arithmetic(torch.device("cpu")), 1, use)._said(*tables, CROPS)
    device = torch.device("cuda", torch.cuda.current_device())
    network = Network(Arithmetic(device), 1, use)
    with torch.no_grad():
        said = network._said(*moved, CROPS.cuda())
        many = network._said(*moved, CROPS.cuda().repeat(CUDA_BATCH // 2, 1))
    # bfloat16 keeps 8 bits of each of seven layers' values: an eighth of a logit, a thirtieth of a probability.
    np.testing.assert_allclose(said.cpu().numpy(), own.numpy(), atol=1 / 30)
    assert torch.equal(many.reshape(-1, *said.shape), said.expand(CUDA_BATCH // 2, *said.shape))
