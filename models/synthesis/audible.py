"""Whether a listener can notice a defect where it is to be planted: from the sound alone, by no detector's measure.

As models/synthesis/visible.py is for pictures. Every function takes (channels, n) float samples at 48 kHz as they were
before anything was planted, and seconds from the first of them (docs/decisions/0147-planting-what-is-heard.md).
"""

import math
from typing import Final

import numpy as np

from models.synthesis.sound import SAMPLE_RATE, Samples, low_level

BLOCK: Final = 4800
# What is so much quieter than the loudest tenth of a second is a pause.
PAUSE_DB: Final = 15.0
# On both sides of a change there is sound, or there is no level that changes.
SOUNDING_DB: Final = -55.0
# Of a gain; where the programme changes by more itself, as from one piece to the next, nobody can tell them apart.
OWN_SHARE: Final = 1 / 3
AROUND_SECONDS: Final = 4.0
# Two channels that have so much in common lose 6.6 dB when they are mixed to mono with one of them inverted: that is
# 130 degrees.
IN_COMMON: Final = -math.cos(math.radians(130.0))
FIRST_SECONDS: Final = 2.0
# By so much a tone has to stand out of noise in its own band.
HUM_OVER_DB: Final = 3.0


def _part(samples: Samples, start: float, end: float) -> Samples:
    return samples[:, max(0, round(start * SAMPLE_RATE)) : round(end * SAMPLE_RATE)]


def _level(part: Samples) -> float:
    """Mean level of what sounds, dBFS, in blocks of 100 ms."""
    blocks = part[:, : part.shape[1] // BLOCK * BLOCK].reshape(len(part), -1, BLOCK).astype(np.float64)
    levels = 10 * np.log10((blocks**2).mean(axis=(0, 2)) + 1e-12)
    return float(levels[levels >= levels.max() - PAUSE_DB].mean())


def goes_on(samples: Samples, at: float, decibels: float) -> bool:
    """Whether the programme's own level stays as it is around a gain: four seconds on either side, and one."""
    for seconds in (AROUND_SECONDS, 1.0):
        before, after = _level(_part(samples, at - seconds, at)), _level(_part(samples, at, at + seconds))
        if min(before, after) < SOUNDING_DB or abs(after - before) > OWN_SHARE * abs(decibels):
            return False
    return True


def have_in_common(samples: Samples, start: float, end: float) -> bool:
    """Whether the first two channels would cancel if one of them was inverted: from the first two seconds on."""
    for until in (start + FIRST_SECONDS, end):
        left, right = _part(samples, start, until)[:2].astype(np.float64)
        power = float((left**2).sum() + (right**2).sum())
        if 2 * float(left @ right) < IN_COMMON * power or not power:
            return False
    return True


def hum_is_heard(samples: Samples, start: float, level_db: float) -> bool:
    """Whether hum stands out of the sound within its first second, by what covers a tone in noise of its own band."""
    return low_level(_part(samples, start, start + 1.0)) <= level_db - HUM_OVER_DB
