"""The artifact network: what is wrong with a picture, tile by tile, from it and the one before it.

A small residual network over pieces of 96x96 luma samples at the picture's own resolution: what coders and cables
leave is gone once a picture is made smaller. Its map has one logit per label and tile of 16x16 samples; pieces begin on
multiples of 16, so that its four halvings lie on the coding grid. It sees the luma, the chroma, and how both differ
from the earlier picture, so that what a decoder conceals shows where it smears.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.to_network.layout import INPUTS, PIECE

__all__ = ["INPUTS", "LABELS", "PIECE", "TILE", "TILES", "ArtifactNet", "network_input", "told_over", "turned_over"]

LABELS: Final = (
    "corruption", "blockiness", "blur", "banding", "noise", "combing", "colour", "tearing", "ringing", "dropout",
)  # fmt: skip
TILE: Final = 16
TILES: Final = PIECE // TILE
_WIDTHS: Final = (24, 32, 48, 48)
# Ways of turning a picture over: not at all, and left and right.
AS_IT_IS: Final[Sequence[tuple[int, ...]]] = ((),)
MIRRORED_TOO: Final[Sequence[tuple[int, ...]]] = ((), (-1,))
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


def turned_over(inputs: Tensor, axes: Sequence[int]) -> Tensor:
    """What `network_input` makes of pictures that are turned over, from what it makes of them as they are.

    Args:
        inputs: (N, INPUTS, height / 2, width / 2).
        axes: of -1, left and right change places; of -2, above and below.
    """
    if not axes:
        return inputs
    # Of each 2x2, four samples row by row, and so of how they differ.
    other = [(place ^ (-1 in axes)) ^ (2 * (-2 in axes)) for place in range(4)]
    order = [*other, *(4 + place for place in other), *range(8, INPUTS)]
    return inputs[:, order].flip(tuple(axes)).contiguous(memory_format=torch.channels_last)


def told_over(net: ArtifactNet, inputs: Tensor, label: int, turns: Sequence[tuple[int, ...]]) -> Tensor:
    """(N, height / 16, width / 16) float32: the mean of what the network says of pictures that are turned over.

    Args:
        net: for use.
        inputs: (N, INPUTS, height / 2, width / 2), as `network_input` makes them.
        label: of LABELS, by number.
        turns: axes over which they are turned.
    """
    # Added one by one, in the same order everywhere.
    total: Tensor | None = None
    for axes in turns:
        told = net(turned_over(inputs, axes))[:, label].float()
        told = told.flip(axes) if axes else told
        total = told if total is None else total + told
    assert total is not None
    return total / len(turns)
