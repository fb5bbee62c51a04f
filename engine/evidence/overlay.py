"""A picture with the network's map of damage over it."""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.evidence.jpeg import encode, small_picture, small_picture_there, stream_beside
from engine.media import Surface

WIDTH: Final = 480
TILE: Final = 16
# A magenta: apart from grass, sky and skin, and for those who do not tell red from green.
_COLOUR: Final = torch.tensor([214.0, 0.0, 147.0])[:, None, None]
# How strong it is where damage is as good as certain; less probable tiles are fainter.
_STRONGEST: Final = 0.6
_LEAST: Final = 0.25


def overlay(surface: Surface, damage: npt.NDArray[np.float32], point: float) -> bytes:
    """A JPEG of a surface that is not yet released, the map over it.

    Args:
        surface: the picture.
        damage: (rows, columns): how probable damage is in each tile of TILE samples.
        point: tiles from this probability on count as damaged, and have a border.
    """
    size = surface.height, surface.width
    return encode(painted(small_picture(surface, WIDTH), torch.from_numpy(damage), size, point))


def painted_there(surface: Surface, damage: Tensor, point: float) -> Tensor:
    """A small picture of a GPU's surface with the map over it, on the GPU and complete.

    Args:
        surface: the picture, not yet released.
        damage: (rows, columns) float32 on the surface's device, as for `overlay`, of the current stream.
        point: see `overlay`.
    """
    beside = stream_beside(surface.device)
    beside.wait_stream(torch.cuda.current_stream(damage.device))
    picture = small_picture_there(surface, WIDTH)
    with torch.cuda.stream(beside):
        found = painted(picture, damage, (surface.height, surface.width), point)
    beside.synchronize()
    return found


def painted(picture: Tensor, damage: Tensor, size: tuple[int, int], point: float) -> Tensor:
    """The picture with the map over it.

    Args:
        picture: (3, H, W) uint8.
        damage: as for `overlay`, on the device of `picture`.
        size: height and width that the tiles are of.
        point: see `overlay`.
    Returns: as `picture`.
    """
    colour = _COLOUR.to(picture.device)
    rows, columns = (
        (torch.arange(small, device=picture.device) * whole // small // TILE).clamp(max=tiles - 1)
        for small, whole, tiles in zip(picture.shape[1:], size, damage.shape, strict=True)
    )
    spread = damage[rows][:, columns]
    strength = (((spread - _LEAST) / (1 - _LEAST)).clamp(min=0) * _STRONGEST)[None]
    told = spread >= point
    # The last row and column of a tile that is told, where its neighbour is not; and the first ones.
    edge = torch.zeros_like(told)
    edge[:-1] |= told[:-1] != told[1:]
    edge[:, :-1] |= told[:, :-1] != told[:, 1:]
    mixed = picture.float() * (1 - strength) + colour * strength
    return torch.where(edge[None], colour, mixed).round().to(torch.uint8)
