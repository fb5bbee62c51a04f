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
# On both sides of a gain there is sound, also where it was turned down by 18 dB: or there is no level that changes.
SOUNDING_DB: Final = -50.0
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


def _levels(part: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """dBFS of each 100 ms."""
    blocks = part[:, : part.shape[1] // BLOCK * BLOCK].reshape(len(part), -1, BLOCK).astype(np.float64)
    levels: npt.NDArray[np.float64] = 10 * np.log10((blocks**2).mean(axis=(0, 2)) + 1e-12)
    return levels


def _bands(part: Samples) -> npt.NDArray[np.float64]:
    """Mean level of what sounds, dBFS: of all, of what is below 450 Hz, and of the steps from sample to sample."""
    spectrum = np.fft.rfft(part.astype(np.float64), axis=1)
    frequency = np.fft.rfftfreq(part.shape[1], 1 / SAMPLE_RATE)
    low = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / LOW_HZ) ** 4), part.shape[1], axis=1)
    whole = _levels(part)
    sounds = whole >= whole.max() - PAUSE_DB
    return np.array([levels[sounds].mean() for levels in (whole, _levels(low), _levels(np.diff(part, append=0.0)))])


def goes_on(samples: Samples, at: float, decibels: float) -> bool:
    """Whether the programme itself stays as it is around a gain, over a second on either side and over four."""
    for seconds in (1.0, AROUND_SECONDS):
        before, after = _bands(_part(samples, at - seconds, at)), _bands(_part(samples, at, at + seconds))
        moved = np.abs(after - before)
        if min(before[0], after[0]) < SOUNDING_DB or moved[0] > OWN_SHARE * abs(decibels):
            return False
    return bool(moved.max() <= BAND_SHARE * abs(decibels))


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
