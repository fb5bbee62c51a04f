"""What the audio network is given of two seconds of sound: spectrograms, the shape of the wave, and lines of the mains.

A log-mel spectrogram twice, over windows of 43 ms, which tell hum from a bass, and of 11 ms, in which a click stands
alone. Spectrograms keep nothing of how a wave runs, though: that its tops are cut off, that one sample stands alone, or
that it jumps. Each step of 10 ms therefore has a few numbers of the wave itself, of whichever channel has more of it.
And for the multiples of 50 and 60 Hz there is how far each stands out of what is beside it, all along.

Torch alone, each window for itself, on any device.
"""

import math
import warnings
from typing import Final, NamedTuple

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE: Final = 48_000
WINDOW_SECONDS: Final = 2.0
WINDOW_SAMPLES: Final = round(WINDOW_SECONDS * SAMPLE_RATE)
BANDS: Final = 96
STEP_SAMPLES: Final = 480
_SPAN: Final = 2048
_SPANS: Final = (2048, 512)
SPECTROGRAMS: Final = len(_SPANS)
STEPS: Final = (WINDOW_SAMPLES - _SPAN) // STEP_SAMPLES + 1
# What is below is silence, in dB of full scale.
FLOOR_DB: Final = -110.0
# The middle of a spectrogram's step lies in this block of STEP_SAMPLES, counted from its own number.
_FIRST_BLOCK: Final = _SPAN // 2 // STEP_SAMPLES
SHAPES: Final = (
    "near the peak",  # samples within 2 % of the window's highest or lowest
    "by the peak",  # within 10 %
    "below the peak",  # within 30 %
    "flat",  # samples within 2 % of the block's own highest or lowest
    "held",  # samples that are the one before
    "alone",  # largest second difference over the mean one around
    "rough",  # mean second difference over the peak
    "jump",  # largest step between two samples over all that there is between highest and lowest
    "level",  # peak of the block over that of the window
    "dense",  # root mean square of the block over its peak
    "hole",  # quietest 1.25 ms over the block
    "nothing",  # samples that are zero
)
_PARTS: Final = 8
MAINS_LINES: Final = (*range(50, 501, 50), *range(60, 601, 60))
TONES: Final = 2 * len(MAINS_LINES)
_QUIET: Final = 1e-4
# A channel that is so much softer than the other tells nothing of its own.
_SOFT: Final = 0.05


class Heard(NamedTuple):
    """Windows of sound as the network is given them.

    Args:
        mel: (N, SPECTROGRAMS, BANDS, STEPS) float32, dB, FLOOR_DB and more.
        shape: (N, len(SHAPES), STEPS) float32, about 0 to 2; the same however loud the sound is.
        tones: (N, TONES) float32, dB: how far each of MAINS_LINES stands out, and then how loud it is.
    """

    mel: Tensor
    shape: Tensor
    tones: Tensor

    def to(self, device: torch.device) -> "Heard":
        return Heard(self.mel.to(device), self.shape.to(device), self.tones.to(device))


def heard(samples: Tensor) -> Tensor:
    """What is heard of channels: the mean of the first two, or half of their difference where that is louder.

    Args:
        samples: (N, C, n) float32, C at least 1.
    Returns: (N, n) float32.
    """
    left, right = samples[:, 0], samples[:, min(1, samples.shape[1] - 1)]
    middle, side = (left + right) / 2, (left - right) / 2
    louder = side.square().sum(dim=1, keepdim=True) > middle.square().sum(dim=1, keepdim=True)
    return torch.where(louder, side, middle)


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


def wave_shape(samples: Tensor) -> Tensor:
    """How the wave runs, in each step of the spectrograms.

    Args:
        samples: (N, C, WINDOW_SAMPLES) float32, C at least 1; two channels are looked at.
    Returns: (N, len(SHAPES), STEPS) float32, see SHAPES; of the channel that has more of it, or less level.
    """
    # Not by a list of Python's: that would be uploaded, which no recording of launches allows.
    x = torch.stack([samples[:, 0], samples[:, min(1, samples.shape[1] - 1)]], dim=1)
    peak = x.abs().amax(dim=2, keepdim=True)
    x = torch.where(peak < _SOFT * peak.flip(1), x.flip(1), x)
    peak = x.abs().amax(dim=2, keepdim=True).clamp(min=_QUIET)
    # Upwards and downwards each for itself: (N, 4, n).
    both = torch.cat([x, -x], dim=1)
    limit = both.amax(dim=2, keepdim=True).clamp(min=_QUIET)[..., None]
    blocks, sides = _blocks(x), _blocks(both)
    top = sides.amax(dim=3, keepdim=True)
    own = blocks.abs().amax(dim=3)
    power = blocks.square()
    parts = power.reshape(*power.shape[:3], _PARTS, -1).mean(dim=4)
    mean = parts.mean(dim=3)
    step = functional.pad(x[..., 1:] - x[..., :-1], (1, 0))
    bend = functional.pad(x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2], (1, 1)).abs()
    bends = _blocks(bend)
    rough = bends.mean(dim=3)
    around = functional.avg_pool1d(rough, 5, 1, 2, count_include_pad=False)
    held = (step == 0) & (x.abs() > _SOFT * peak)
    of_four = [
        _count(sides >= 0.98 * limit),
        _count(sides >= 0.9 * limit),
        _count(sides >= 0.7 * limit),
        _count((sides >= 0.98 * top) & (top > _SOFT * limit)),
    ]
    of_two = [
        _count(_blocks(held)),
        torch.log10(bends.amax(dim=3) / (around + 1e-5) + 0.1) / 1.5,
        (torch.log10(rough / peak + 1e-5) + 2.0) / 1.5,
        _blocks(step.abs()).amax(dim=3) / peak,
        torch.log10(own / peak + 1e-3) / 1.5,
        torch.log10(mean.sqrt() / (own + 1e-6) + 0.01) * 1.5,
        torch.log10((parts.amin(dim=3) + 1e-10) / (mean + 1e-10)) / 4.0,
        _count(blocks == 0),
    ]
    return torch.stack([f.amax(dim=1) for f in of_four] + [f.amax(dim=1) for f in of_two], dim=1)


def _blocks(x: Tensor) -> Tensor:
    """(N, C, STEPS, STEP_SAMPLES): the blocks in which the steps of the spectrograms have their middle."""
    return x.reshape(*x.shape[:2], -1, STEP_SAMPLES)[:, :, _FIRST_BLOCK : _FIRST_BLOCK + STEPS]


def _count(there: Tensor) -> Tensor:
    """How many of a block, as a logarithm: 0 of none, about 2 of all."""
    return torch.log2(1.0 + there.sum(dim=3)) / math.log2(1.0 + STEP_SAMPLES) * 2.0


class MainsLines(nn.Module):
    """Sound -> how far the multiples of 50 and 60 Hz stand out, and how loud they are."""

    def __init__(self) -> None:
        super().__init__()
        lines = torch.tensor(MAINS_LINES)
        beside = torch.tensor([*range(-12, -4), *range(5, 13)])
        self.register_buffer("at", lines[:, None] + torch.arange(-1, 2), persistent=False)
        self.register_buffer("beside", lines[:, None] + beside, persistent=False)
        self.register_buffer("window", torch.hann_window(SAMPLE_RATE), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """The lines, of three seconds that overlap by half: hum is there in each of them.

        Args:
            samples: (N, WINDOW_SAMPLES) float32.
        Returns: (N, TONES) float32, dB.
        """
        assert isinstance(self.at, Tensor)
        assert isinstance(self.beside, Tensor)
        assert isinstance(self.window, Tensor)
        seconds = samples.unfold(1, SAMPLE_RATE, SAMPLE_RATE // 2) * self.window
        spectrum = torch.fft.rfft(seconds)[..., : MAINS_LINES[-1] + 16]  # lines of one hertz
        power = (spectrum.real.square() + spectrum.imag.square()) * (4.0 / SAMPLE_RATE) ** 2
        line = power[..., self.at].amax(dim=3) + 1e-12
        floor = power[..., self.beside].median(dim=3).values + 1e-12
        out = (10.0 * torch.log10(line / floor)).amin(dim=1)
        level = (10.0 * torch.log10(line)).amin(dim=1)
        return torch.cat([out, level], dim=1)


class Hearing(nn.Module):
    """Sound -> what the network is given of it."""

    def __init__(self) -> None:
        super().__init__()
        self.mel, self.lines = LogMel(), MainsLines()

    def forward(self, samples: Tensor) -> Heard:
        """All of it.

        Args:
            samples: (N, C, WINDOW_SAMPLES) float32, full scale 1.0.
        """
        mono = heard(samples)
        return Heard(self.mel(mono), wave_shape(samples), self.lines(mono))
