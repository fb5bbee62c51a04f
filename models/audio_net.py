"""The audio network: what is wrong with two seconds of sound, and what kind of sound it is.

It is given what models/audio_hearing.py makes of sound. Convolutions see both spectrograms and a third map that says
how high each row is, as nothing else in a convolution does; halfway the shape of the wave joins in, so that a sudden
sound and a sample that stands alone can be told apart. A label holds for all of the two seconds, or for an event in
them: so the head is given means and peaks over time, the floor of each band, and the lines of the mains.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.audio_hearing import BANDS, SHAPES, SPECTROGRAMS, STEPS, TONES, Heard
from models.audio_labels import LABELS

# Log-mel values are divided by this many dB.
_SCALE_DB: Final = 25.0
_MIDDLE_DB: Final = -60.0
_WIDTHS: Final = (16, 32, 48, 64)
_SHAPE_WIDTHS: Final = (32, 48)
_HIDDEN: Final = 128
# The floor of a band: what it has in the quietest tenth of the steps.
_FLOOR_RANK: Final = STEPS // 10


class _Residual(nn.Module):
    """Two convolutions and what went into them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = _convolution(width, width, 1), _convolution(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.two(functional.relu(self.one(x))))


def _convolution(into: int, out: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))


def _over_time(into: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, (1, 5), (1, stride), (0, 2), bias=False), nn.BatchNorm2d(out))


class AudioNet(nn.Module):
    """What is heard of sound -> a logit per label."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        e, f = _SHAPE_WIDTHS
        self.layers = nn.ModuleList(
            [
                _convolution(SPECTROGRAMS + 1, a, 2),
                _convolution(a, b, 2),
                _Residual(b),
                _convolution(b, c, 2),
                _Residual(c),
                _convolution(c, d, (2, 1)),
                _Residual(d),
            ]
        )
        self.joins = 4  # the layer before which the shape of the wave is added
        self.shape = nn.ModuleList([_over_time(len(SHAPES), e, 2), _over_time(e, f, 2), _over_time(f, c, 2)])
        # Steady over time, and once: each at its own height.
        told = 2 * d * (BANDS // 16) + 2 * c + BANDS + TONES
        self.hidden = nn.Linear(told, _HIDDEN)
        self.head = nn.Linear(told + _HIDDEN, len(LABELS))
        self.drop = nn.Dropout(0.5)
        self.register_buffer("height", torch.linspace(-1, 1, BANDS)[None, None, :, None], persistent=False)

    def forward(self, sound: Heard) -> Tensor:
        """The logits.

        Args:
            sound: of N windows; its shapes and units are `Heard`'s.
        Returns: (N, len(LABELS)) float32.
        """
        assert isinstance(self.height, Tensor)
        x = (sound.mel - _MIDDLE_DB) / _SCALE_DB
        floor = x[:, 0].kthvalue(_FLOOR_RANK, dim=2).values
        x = torch.cat([x, self.height.to(x.dtype).expand(x.shape[0], 1, BANDS, x.shape[3])], dim=1)
        weights = next(self.layers.parameters())
        x = x.to(weights.dtype, memory_format=torch.channels_last)
        wave = sound.shape[:, :, None].to(weights.dtype, memory_format=torch.channels_last)
        for layer in self.shape:
            wave = functional.relu(layer(wave))
        for index, layer in enumerate(self.layers):
            if index == self.joins:
                x = x + wave
            x = layer(x) if isinstance(layer, _Residual) else functional.relu(layer(x))
        x, wave = x.float(), wave.float()
        told = torch.cat(
            [x.mean(dim=3).flatten(1), x.amax(dim=3).flatten(1), wave.mean(dim=3).flatten(1),
             wave.amax(dim=3).flatten(1), floor, sound.tones / _SCALE_DB],
            dim=1,
        )  # fmt: skip
        told = self.drop(told)
        logits: Tensor = self.head(torch.cat([told, functional.relu(self.hidden(told))], dim=1))
        return logits

    def convolutions_to(self, dtype: torch.dtype) -> "AudioNet":
        """Itself, with convolutions in numbers of `dtype`; what is before and after them stays float32.

        Where they begin are decibels and shares that training already rounds so. Sums over time, the floor of each
        band and the two layers behind are a hundredth of the work, and would lose what they are there to tell.
        """
        self.layers.to(dtype)
        self.shape.to(dtype)
        return self

    def folded(self) -> "AudioNet":
        """The same network for use: each normalisation is part of the convolution before it."""
        other = AudioNet()
        other.load_state_dict(self.state_dict())
        other.eval()
        for sequence in [m for m in other.modules() if isinstance(m, nn.Sequential)]:
            convolution, norm = sequence[0], sequence[1]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            sequence[0] = torch.nn.utils.fuse_conv_bn_eval(convolution, norm)
            sequence[1] = nn.Identity()
        return other
