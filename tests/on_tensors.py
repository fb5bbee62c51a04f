"""The small arithmetic around the kernels as a GPU runs it: on tensors."""

import torch

from engine.measure.arithmetic import Arithmetic


class OnTensors(Arithmetic):
    """As on a GPU: no numpy view of anything."""

    def __init__(self):
        super().__init__(torch.device("cpu"))
        self.on_host = False
        self.xp = torch
