"""The artifact network: what is wrong with a picture, tile by tile, from it and the one before it.

A small residual network over pieces of 96x96 luma samples at the picture's own resolution: what coders and cables
leave is gone once a picture is made smaller. Its map has one logit per label and tile of 16x16 samples; pieces begin on
multiples of 16, so that its four halvings lie on the coding grid. It sees the luma, the chroma, and how both differ
from the earlier picture, so that what a decoder conceals shows where it smears.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.to_network.layout import INPUTS, PIECE

__all__ = ["INPUTS", "LABELS", "PIECE", "TILE", "TILES", "ArtifactNet", "network_input"]

LABELS: Final = (
    "corruption", "blockiness", "blur", "banding", "noise", "combing", "colour", "tearing", "ringing", "dropout",
)  # fmt: skip
TILE: Final = 16
TILES: Final = PIECE // TILE
_WIDTHS: Final = (24, 32, 48, 48)
# Of the blocks on the map itself, which see far for little: their number and inner width.
_FAR, _FAR_WIDTH = 2, 96


class Residual(nn.Module):
    """Two convolutions and what went into them."""

    def __init__(self, width: int, inner: int | None = None) -> None:
        super().__init__()
        self.one, self.two = _convolution(width, inner or width, 1), _convolution(inner or width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.two(functional.relu(self.one(x))))


def _convolution(into: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))


class ArtifactNet(nn.Module):
    """Pieces of pictures -> a map of logits."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        self.layers = nn.ModuleList(
            [
                _convolution(INPUTS, a, 1),
                _convolution(a, b, 2),
                Residual(b),
                _convolution(b, c, 2),
                Residual(c),
                Residual(c),
                _convolution(c, d, 2),
                Residual(d),
                *(Residual(d, _FAR_WIDTH) for _ in range(_FAR)),
            ]
        )
        self.head = nn.Conv2d(d, len(LABELS), 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """The map.

        Args:
            inputs: (N, INPUTS, height / 2, width / 2) float32, as `network_input` makes them.
        Returns: (N, len(LABELS), height / 16, width / 16) float32 logits.
        """
        x = inputs
        for layer in self.layers:
            x = layer(x) if isinstance(layer, Residual) else functional.relu(layer(x))
        logits: Tensor = self.head(x)
        return logits

    def folded(self) -> "ArtifactNet":
        """The same network for use: each normalisation is part of the convolution before it."""
        other = ArtifactNet()
        other.load_state_dict(self.state_dict())
        other.eval()
        for sequence in [m for m in other.modules() if isinstance(m, nn.Sequential)]:
            convolution, norm = sequence[0], sequence[1]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            sequence[0] = torch.nn.utils.fuse_conv_bn_eval(convolution, norm)
            sequence[1] = nn.Identity()
        return other


def network_input(luma: Tensor, chroma: Tensor) -> Tensor:
    """What the network sees of pieces.

    Args:
        luma: (N, 2, H, W) uint8: the earlier picture and the picture; H and W multiples of 16.
        chroma: (N, 2, 2, H / 2, W / 2) uint8: U and V of both.
    Returns: (N, INPUTS, H / 2, W / 2) float32: four luma samples of each 2x2, how they differ from the earlier
        picture's, chroma, and how it differs. Differences beyond 128 codes count as 128.
    """
    earlier, now = luma[:, 0:1].float(), luma[:, 1:2].float()
    own = functional.pixel_unshuffle(now, 2)
    change = functional.pixel_unshuffle((now - earlier).clamp(-128, 128), 2)
    colour, colour_before = chroma[:, 1].float(), chroma[:, 0].float()
    colour_change = (colour - colour_before).clamp(-128, 128)
    return torch.cat([(own - 128) / 64, change / 32, (colour - 128) / 32, colour_change / 32], dim=1)
