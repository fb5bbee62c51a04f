"""Where the sound of a stream sets in, to the sample: the beeps of a test pattern among them."""

import math
from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.media import AudioBlock

SAMPLE_RATE: Final = 48_000
# Sound sets in where a millisecond is five times as loud as all of the 150 that ended 30 before it, and louder than
# -34 dBFS. What lies between does not count: coders smear a beep over that time before it, ever louder.
_STEP: Final = 48
_QUIET_STEPS: Final = 150
_SMEARED_STEPS: Final = 30
_RISE: Final = 5.0
_LEAST_LEVEL: Final = 0.02
# As engine/onset_loops.py takes them, in the precision of samples.
_LEAST: Final = np.float32(_LEAST_LEVEL)
_RISE_32: Final = np.float32(_RISE)
# Its first moment is the first sample of this share of its peak; what is smeared before it is softer.
_ONSET_SHARE: Final = 0.4
_PEAK_STEPS: Final = _SMEARED_STEPS + 6
# A beep that is faded in passes these shares of its peak one after the other at equal distances: then it began where
# the line through them meets silence. A fade is longer than the first of these and shorter than the second.
_RAMP_SHARES: Final = np.arange(2, 9) / 10.0
_RAMP_MIDDLE: Final = float(_RAMP_SHARES.mean())
_RAMP_SPREAD: Final = (_RAMP_SHARES - _RAMP_MIDDLE) / float(((_RAMP_SHARES - _RAMP_MIDDLE) ** 2).sum())
_RAMP_SECONDS: Final = (0.0008, 0.03)
# So far off the line its points may be, as a share of the fade, and in seconds: a wave passes zero on the way.
_OFF_LINE_SHARE: Final = 0.04
_OFF_LINE_SECONDS: Final = 0.0005
_MOST_KEPT: Final = 4096

Loudness = npt.NDArray[np.float32]


class SoundOnsets:
    """Where the sound of one stream sets in. `take` from the reader's thread; the rest from the engine's loop."""

    def __init__(self) -> None:
        from engine.onset_loops import loudness_of, rising_steps  # numba loads in a second: only where it is needed

        self._loudness_of: Any = loudness_of
        self._rising_steps: Any = rising_steps
        self.found: deque[float] = deque(maxlen=_MOST_KEPT)
        self.began = math.inf
        """Media second of the first sample."""
        self.until = 0.0
        """Media second up to which every onset was found."""
        self.ended = -math.inf
        """Media second of the end of the last sample."""
        self._waiting: Loudness | None = None
        self._start = 0.0
        self._before = np.zeros(_QUIET_STEPS + _SMEARED_STEPS, np.float32)
        self._tail = np.zeros(0, np.float32)  # of the samples before those that wait
        self._last = -math.inf

    def take(self, block: AudioBlock) -> None:
        """The next block; the one before it is looked at, which may go on into this one."""
        self.began, self.ended = min(self.began, block.pts), block.pts + block.valid / SAMPLE_RATE
        loudness = np.empty(block.samples.shape[1], np.float32)
        self._loudness_of(block.samples, loudness)
        waiting, end = self._waiting, self._start + (0 if self._waiting is None else len(self._waiting)) / SAMPLE_RATE
        if waiting is not None:
            follows = abs(block.pts - end) < 0.002
            self._look(waiting, loudness if follows else loudness[:0])
            self._tail = waiting[-_SMEARED_STEPS * _STEP :] if follows else waiting[:0]
        self._waiting, self._start = loudness[: block.valid], block.pts

    def finish(self) -> None:
        """No more comes."""
        if self._waiting is not None:
            self._look(self._waiting, self._waiting[:0])
            self._waiting = None
        self.until = math.inf

    def _look(self, now: Loudness, later: Loudness) -> None:
        steps = len(now) // _STEP
        if not steps:
            return
        held = len(self._before)
        both, rising = np.empty(held + steps, np.float32), np.empty(steps, np.int64)
        both[:held] = self._before
        count = self._rising_steps(now, _STEP, both, _QUIET_STEPS, _SMEARED_STEPS, _LEAST, _RISE_32, rising)
        for step in rising[:count].tolist():
            at = self._start + step * _STEP / SAMPLE_RATE
            if at - self._last < _QUIET_STEPS * _STEP / SAMPLE_RATE:
                continue  # the same sound goes on
            around = np.concatenate([self._tail, now, later])
            place = len(self._tail) + step * _STEP
            first = max(0, place - _SMEARED_STEPS * _STEP)
            part = around[first : place + _PEAK_STEPS * _STEP]
            self._last = self._start + (first - len(self._tail) + onset_in(part)) / SAMPLE_RATE
            self.found.append(self._last)
        self._before = both[steps:]
        self.until = self._start + len(now) / SAMPLE_RATE


def onset_in(part: Loudness) -> float:
    """Sample at which a sound begins.

    Args:
        part: (n,) magnitudes from before it to its loudest.
    """
    peak = float(part.max())
    sharp = int(np.argmax(part >= _ONSET_SHARE * peak))
    reached = np.maximum.accumulate(part[: sharp + _SMEARED_STEPS * _STEP])
    passed = np.searchsorted(reached, _RAMP_SHARES * peak)
    # Least squares by hand: numpy's takes as long as all else that is done with a block.
    slope = float(_RAMP_SPREAD @ passed)
    foot = float(passed.mean()) - slope * _RAMP_MIDDLE
    off = float(np.sqrt(np.mean((passed - foot - slope * _RAMP_SHARES) ** 2)))
    low, high = (SAMPLE_RATE * seconds for seconds in _RAMP_SECONDS)
    if low <= slope <= high and off <= SAMPLE_RATE * _OFF_LINE_SECONDS + _OFF_LINE_SHARE * slope:
        return max(0.0, foot)
    return float(sharp)
