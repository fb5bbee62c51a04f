"""Whether a listener can notice a defect where it is to be planted: from the sound alone, by no detector's measure.

As models/synthesis/visible.py is for pictures. Every function takes (channels, n) float samples at 48 kHz as they were
before anything was planted, and seconds from the first of them (docs/decisions/0147-where-it-is-heard.md).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from models.synthesis.sound import SAMPLE_RATE, Samples, low_level

BLOCK: Final = 4800
# What is so much quieter than the loudest tenth of a second is a pause.
PAUSE_DB: Final = 15.0
# On both sides of a change there is sound, or there is no level that changes.
SOUNDING_DB: Final = -55.0
# Of a gain; where the programme changes by more itself, as from one piece to the next, nobody can tell them apart. Its
# low and its high frequencies alone may do so by more: what is said and played on both sides differs in them.
OWN_SHARE: Final = 1 / 3
BAND_SHARE: Final = 1 / 2
LOW_HZ: Final = 450.0
AROUND_SECONDS: Final = 4.0
# Two channels that have so much in common lose 6.6 dB when they are mixed to mono with one of them inverted: that is
# 130 degrees.
IN_COMMON: Final = -math.cos(math.radians(130.0))
FIRST_SECONDS: Final = 4
# By so much a tone has to stand out of noise in its own band.
HUM_OVER_DB: Final = 3.0


def _part(samples: Samples, start: float, end: float) -> Samples:
    return samples[:, max(0, round(start * SAMPLE_RATE)) : round(end * SAMPLE_RATE)]


def _level(part: npt.NDArray[np.floating]) -> float:
    """Mean level of what sounds, dBFS, in blocks of 100 ms."""
    blocks = part[:, : part.shape[1] // BLOCK * BLOCK].reshape(len(part), -1, BLOCK).astype(np.float64)
    levels = 10 * np.log10((blocks**2).mean(axis=(0, 2)) + 1e-12)
    return float(levels[levels >= levels.max() - PAUSE_DB].mean())


def _bands(part: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What is below 450 Hz, and the differences from sample to sample, in which high frequencies weigh most."""
    spectrum = np.fft.rfft(part.astype(np.float64), axis=1)
    frequency = np.fft.rfftfreq(part.shape[1], 1 / SAMPLE_RATE)
    low = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / LOW_HZ) ** 4), part.shape[1], axis=1)
    return low, np.diff(part, axis=1, append=part[:, -1:])


def goes_on(samples: Samples, at: float, decibels: float) -> bool:
    """Whether the programme itself stays as it is around a gain, over a second on either side and over four."""
    sides = [[_part(samples, at - long, at), _part(samples, at, at + long)] for long in (1.0, AROUND_SECONDS)]
    for before, after in sides:
        quieter, louder = sorted((_level(before), _level(after)))
        if quieter < SOUNDING_DB or louder - quieter > OWN_SHARE * abs(decibels):
            return False
    moved = [abs(_level(after) - _level(before)) for before, after in zip(*map(_bands, sides[-1]), strict=True)]
    return max(moved) <= BAND_SHARE * abs(decibels)


def have_in_common(samples: Samples, start: float, end: float) -> bool:
    """Whether the first two channels would cancel if one of them was inverted.

    Over the whole stretch, and in each of its first seconds: what cancels in one loud moment is not heard to be hollow.
    """
    for begin, until in ((start, end), *((start + k, start + k + 1) for k in range(FIRST_SECONDS))):
        left, right = _part(samples, begin, until)[:2].astype(np.float64)
        power = float((left**2).sum() + (right**2).sum())
        if 2 * float(left @ right) < IN_COMMON * power or not power:
            return False
    return True


def hum_is_heard(samples: Samples, start: float, level_db: float) -> bool:
    """Whether hum stands out of the sound within its first second, by what covers a tone in noise of its own band."""
    return low_level(_part(samples, start, start + 1.0)) <= level_db - HUM_OVER_DB
