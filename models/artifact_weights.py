"""The artifact network with its weights, ready for use, and the points at which it may judge."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

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
    def of(cls, about: Mapping[str, Any]) -> "OperatingPoint":
        """What a file of weights says of itself.

        Raises: WeightsError if it says what cannot be.
        """
        try:
            point = cls(float(about["tile"]), float(about["area"]), int(about["pictures"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the operating point of these weights is no number: {error}") from error
        if not (0 < point.tile <= 1 and 0 < point.area <= 1 and 1 <= point.pictures <= 100):
            raise WeightsError(f"these weights have an operating point that cannot be: {point}")
        return point

    def as_text(self) -> dict[str, str]:
        """As it is kept in a file of weights."""
        return {"tile": f"{self.tile:.6g}", "area": f"{self.area:.6g}", "pictures": str(self.pictures)}


# Of weights whose points nobody has measured: no picture is ever damaged enough.
NEVER: Final = OperatingPoint(1.0, 2.0, 1)


@dataclass(frozen=True, slots=True)
class RatedPoints:
    """Operating points by how often the network looked where they were found: who looks more often errs more often.

    Args:
        by_rate: pictures looked at per second, and the point; ascending, no rate twice. Empty: nobody has measured one.
    """

    by_rate: tuple[tuple[float, OperatingPoint], ...] = ()

    def at(self, rate: float) -> OperatingPoint:
        """The point for so many looks a second; `NEVER` where there is none.

        It is that of the highest rate measured that is not higher, else of the lowest one. Where more is looked at than
        at the rate of the point, as many more pictures in a row are asked for: at a multiple of that rate its own looks
        are among them, and in a row too, so that nothing is raised that it would not raise.
        """
        if not self.by_rate:
            return NEVER
        measured, point = max((of for of in self.by_rate if of[0] <= rate), default=self.by_rate[0])
        pictures = max(point.pictures, math.ceil(point.pictures * rate / measured - 1e-9))
        return OperatingPoint(point.tile, point.area, pictures)

    @classmethod
    def of(cls, about: Mapping[str, str]) -> "RatedPoints":
        """What a file of weights says of itself.

        Raises: WeightsError if it says what cannot be.
        """
        try:
            rows = [(float(row["pictures_per_second"]), row) for row in json.loads(about.get("points", "[]"))]
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the operating points of these weights cannot be read: {error!r}") from error
        rates = [rate for rate, _ in rows]
        if rates != sorted(set(rates)) or not all(0 < rate <= 1000 for rate in rates):
            raise WeightsError(f"these weights have operating points at rates that cannot be: {rates}")
        return cls(tuple((rate, OperatingPoint.of(row)) for rate, row in rows))

    def as_text(self) -> dict[str, str]:
        """As they are kept in a file of weights."""
        return {"points": json.dumps([{"pictures_per_second": rate} | asdict(point) for rate, point in self.by_rate])}


@dataclass(frozen=True, slots=True)
class SecondPoint:
    """From where on what the network says counts where blocks are torn a little. Found as an `OperatingPoint` is.

    Args:
        tile: least probability of a damaged tile.
        tiles: least number of such tiles, of those of all pieces that were looked at.
        looks: so many looks that say so, each within a second of the one before.
    """

    tile: float
    tiles: int
    looks: int = 1

    @classmethod
    def of(cls, about: Mapping[str, str]) -> "SecondPoint | None":
        """What a file of weights says of itself; None where it says nothing.

        Raises: WeightsError if it says what cannot be.
        """
        if "second" not in about:
            return None
        try:
            said = json.loads(about["second"])
            point = cls(float(said["tile"]), int(said["tiles"]), int(said["looks"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the point of second looks of these weights cannot be read: {error!r}") from error
        if not (0 < point.tile <= 1 and 1 <= point.tiles <= 1000 and 1 <= point.looks <= 100):
            raise WeightsError(f"these weights have a point of second looks that cannot be: {point}")
        return point

    def as_text(self) -> dict[str, str]:
        """As it is kept in a file of weights."""
        return {"second": json.dumps(asdict(self))}


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """The network for use.

    Args:
        net: folded, channels last, float32 on the CPU; called on one thread.
        points: at which it may judge.
        version: of the weights, as their file says.
        second: from where on it is sure where blocks are torn a little; None: nobody has measured it.
    """

    net: ArtifactNet
    points: RatedPoints
    version: str
    second: SecondPoint | None = None


def load_artifact(path: Path | None = None) -> Artifact:
    """The network with the weights of a file; those of the package unless told.

    Raises: WeightsError if the file is not what it should be.
    """
    tensors, about = read_weights(path or SHIPPED_WEIGHTS, "artifact")
    net = ArtifactNet().folded()
    put_into(net, tensors, path)
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Artifact(net, RatedPoints.of(about), about.get("version", ""), SecondPoint.of(about))
