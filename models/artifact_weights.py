"""The artifact network with its weights, ready for use, and the point at which it may judge."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from models.artifact_net import ArtifactNet
from models.weight_files import SHIPPED, WeightsError, put_into, read_weights

SHIPPED_WEIGHTS: Final = SHIPPED / "artifact.safetensors"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """From where on what the network says counts as damage. Found on clips that it was not trained on.

    Args:
        tile: least probability of a damaged tile.
        area: least share of such tiles, of those that were looked at.
        pictures: so many of the pictures looked at in a row.
    """

    tile: float
    area: float
    pictures: int

    @classmethod
    def of(cls, about: Mapping[str, str]) -> "OperatingPoint":
        """What a file of weights says of itself; one that says nothing is never sure enough.

        Raises: WeightsError if it says what cannot be.
        """
        try:
            point = cls(float(about.get("tile", 1.0)), float(about.get("area", 1.0)), int(about.get("pictures", 2)))
        except ValueError as error:
            raise WeightsError(f"the operating point of these weights is no number: {error}") from error
        if not (0 < point.tile <= 1 and 0 < point.area <= 1 and 1 <= point.pictures <= 100):
            raise WeightsError(f"these weights have an operating point that cannot be: {point}")
        return point

    def as_text(self) -> dict[str, str]:
        """As it is kept in a file of weights."""
        return {"tile": f"{self.tile:.6g}", "area": f"{self.area:.6g}", "pictures": str(self.pictures)}


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """The network for use.

    Args:
        net: folded, channels last, float32 on the CPU; called on one thread.
        point: at which it may judge.
        version: of the weights, as their file says.
    """

    net: ArtifactNet
    point: OperatingPoint
    version: str


def load_artifact(path: Path | None = None) -> Artifact:
    """The network with the weights of a file; those of the package unless told.

    Raises: WeightsError if the file is not what it should be.
    """
    tensors, about = read_weights(path or SHIPPED_WEIGHTS, "artifact")
    net = ArtifactNet().folded()
    put_into(net, tensors, path)
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Artifact(net, OperatingPoint.of(about), about.get("version", ""))
