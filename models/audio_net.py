"""The audio network: what is wrong with two seconds of sound, and what kind of sound it is.

It sees a log-mel spectrogram twice, over windows of 43 ms, which tell hum from a bass, and of 11 ms, in which a click
stands alone; and a third map that says how high each row is, as nothing else in a convolution does. A label holds for
all of the two seconds, or for an event in them.
"""

import warnings
from typing import Final

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from models.audio_labels import LABELS

SAMPLE_RATE: Final = 48_000
WINDOW_SECONDS: Final = 2.0
WINDOW_SAMPLES: Final = round(WINDOW_SECONDS * SAMPLE_RATE)
BANDS: Final = 96
STEP_SAMPLES: Final = 480
_SPAN: Final = 2048
_SPANS: Final = (2048, 512)
SPECTROGRAMS: Final = len(_SPANS)
STEPS: Final = (WINDOW_SAMPLES - _SPAN) // STEP_SAMPLES + 1
# What is below is silence, in dB of full scale; log-mel values are divided by this many dB.
FLOOR_DB: Final = -110.0
_SCALE_DB: Final = 25.0
_MIDDLE_DB: Final = -60.0
_WIDTHS: Final = (16, 32, 48, 64)


class LogMel(nn.Module):
    """Sound -> log-mel spectrograms, in dB."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # The lowest bands are as narrow as a line of the spectrum; which ones hold none is known and harmless.
            warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
            self.spectra = nn.ModuleList(
                torchaudio.transforms.MelSpectrogram(
                    SAMPLE_RATE, n_fft=_SPAN, win_length=span, hop_length=STEP_SAMPLES, f_min=20.0, n_mels=BANDS,
                    power=2.0, center=False, norm=None,
                )
                for span in _SPANS
            )  # fmt: skip
        # A sine of full scale has 0 dB.
        self.scales = tuple(4.0 / span**2 for span in _SPANS)

    def forward(self, samples: Tensor) -> Tensor:
        """The spectrograms.

        Args:
            samples: (N, WINDOW_SAMPLES) float32, full scale 1.0.
        Returns: (N, SPECTROGRAMS, BANDS, STEPS) float32, dB, FLOOR_DB and more.
        """
        parts = [scale * spectrum(samples) for spectrum, scale in zip(self.spectra, self.scales, strict=True)]
        return (10.0 * torch.log10(torch.stack(parts, dim=1) + 1e-12)).clamp(min=FLOOR_DB)


def heard(samples: Tensor) -> Tensor:
    """What the network hears of channels: the mean of the first two, or half of their difference where that is louder.

    Args:
        samples: (N, C, n) float32, C at least 1.
    Returns: (N, n) float32.
    """
    left, right = samples[:, 0], samples[:, min(1, samples.shape[1] - 1)]
    middle, side = (left + right) / 2, (left - right) / 2
    louder = side.square().sum(dim=1, keepdim=True) > middle.square().sum(dim=1, keepdim=True)
    return torch.where(louder, side, middle)


class _Residual(nn.Module):
    """Two convolutions and what went into them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = _convolution(width, width, 1), _convolution(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.two(functional.relu(self.one(x))))


def _convolution(into: int, out: int, stride: int | tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))


class AudioNet(nn.Module):
    """Spectrograms -> a logit per label."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
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
        # Steady over time, and once: each at its own height.
        self.head = nn.Linear(2 * d * (BANDS // 16), len(LABELS))
        self.drop = nn.Dropout(0.3)
        self.register_buffer("height", torch.linspace(-1, 1, BANDS)[None, None, :, None], persistent=False)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """The logits.

        Args:
            spectrograms: (N, SPECTROGRAMS, BANDS, STEPS) float32, as `LogMel` makes them.
        Returns: (N, len(LABELS)) float32.
        """
        x = (spectrograms - _MIDDLE_DB) / _SCALE_DB
        assert isinstance(self.height, Tensor)
        x = torch.cat([x, self.height.to(x.dtype).expand(x.shape[0], 1, BANDS, x.shape[3])], dim=1)
        for layer in self.layers:
            x = layer(x) if isinstance(layer, _Residual) else functional.relu(layer(x))
        steady, once = x.mean(dim=3), x.amax(dim=3)
        logits: Tensor = self.head(self.drop(torch.cat([steady, once], dim=1).flatten(1)))
        return logits

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
