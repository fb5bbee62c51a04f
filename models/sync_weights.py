"""The sync network with its weights, ready for use, and how sure it has to be."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.sync_net import SyncNet
from models.weight_files import SHIPPED, WeightsError, put_into, read_weights

SHIPPED_SYNC: Final = SHIPPED / "sync.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Sync:
    """The network for use.

    Args:
        net: float32.
        margin: least margin at which it says something; infinite in weights that nobody has tried.
        slope, bias: of the logistic curve that makes a probability of being within 40 ms out of a margin.
        version: of the weights, as their file says.
    """

    net: SyncNet
    margin: float
    slope: float
    bias: float
    version: str

    def confidence(self, margin: float) -> float:
        """How probable it is that an offset with this margin is within 40 ms."""
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, self.slope * margin + self.bias))))


def load_sync(path: Path | None = None) -> Sync:
    """The network with the weights of a file; those of the package unless told.

    Raises: WeightsError if the file is not what it should be.
    """
    tensors, about = read_weights(path or SHIPPED_SYNC, "sync")
    net = SyncNet()
    put_into(net, tensors, path)
    try:
        margin, slope, bias = (float(about.get(name, default)) for name, default in
                               (("margin", "inf"), ("slope", "0"), ("bias", "0")))  # fmt: skip
    except ValueError as error:
        raise WeightsError(f"{path}: how sure it has to be is no number: {error}") from error
    if math.isnan(margin + slope + bias):
        raise WeightsError(f"{path}: how sure it has to be is no number")
    return Sync(net.eval().requires_grad_(False), margin, slope, bias, about.get("version", ""))
