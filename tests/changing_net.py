"""A network that calls a tile damaged where its first sample is brighter than in the picture before."""

import torch

from models.artifact_net import LABELS, ArtifactNet
from models.artifact_weights import Artifact, OperatingPoint, RatedPoints


def changing_net() -> ArtifactNet:
    """It has the shape of the real one, and weights that nobody had to train."""
    net = ArtifactNet().folded()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        inputs = net.layers[0][0]
        inputs.weight[0, 4, 1, 1] = 1.0
        for index in (1, 3, 6):
            net.layers[index][0].weight[0, 0, 1, 1] = 1.0
        net.head.weight[LABELS.index("corruption"), 0] = 20.0
        net.head.bias.fill_(-10.0)
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def changing_artifact(tile: float = 0.5, area: float = 0.02, pictures: int = 2) -> Artifact:
    """The same with a point at which it judges, however often it looks."""
    return Artifact(changing_net(), RatedPoints(((1000.0, OperatingPoint(tile, area, pictures)),)), "test")
