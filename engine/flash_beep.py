"""Lip sync by a test pattern: flashes of the picture beside beeps of the sound, of one stream.

The reader's thread finds where sound sets in (`SoundOnsets`); the engine's loop finds flashes in the brightness of
pictures, and pairs both (`FlashBeep`) in the order of the flashes, by media time alone, so that the same input gives
the same pairs on every run. Where they do not agree with each other, nothing is said.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.media import AudioBlock

SAMPLE_RATE: Final = 48_000
# Sound sets in where a millisecond is ten times as loud as all of the 150 that ended 30 before it, and louder than
# -34 dBFS. What lies between does not count: coders smear a beep over that time before it, ever louder.
_STEP: Final = 48
_QUIET_STEPS: Final = 150
_SMEARED_STEPS: Final = 30
_RISE: Final = 10.0
_LEAST_LEVEL: Final = 0.02
# As engine/onset_loops.py takes them, in the precision of samples.
_LEAST: Final = np.float32(_LEAST_LEVEL)
_RISE_32: Final = np.float32(_RISE)
# Its first moment is the first sample of this share of its peak; what is smeared before it is softer.
_ONSET_SHARE: Final = 0.4
_PEAK_STEPS: Final = _SMEARED_STEPS + 6
# A flash is brighter by this share of full scale than the picture before it, and is gone again soon.
_FLASH_RISE: Final = 0.05
_FLASH_FALL: Final = 0.6
_FLASH_SECONDS: Final = 0.5
# A beep further away than this, or than half the time between two flashes, belongs to another flash.
RANGE_SECONDS: Final = 1.0
# So many flashes in a row have to agree with each other, within one picture; of the last eight, four in five.
LEAST_PAIRS: Final = 4
LAST_PAIRS: Final = 8
_AGREEING_SHARE: Final = 0.8
_ONE_PICTURE: Final = 0.045
# The summary speaks of so many of the last flashes, and only if half of them told.
_SUMMED_FLASHES: Final = 600
_LEAST_CONFIDENCE: Final = 0.5
_MOST_KEPT: Final = 4096


class SoundOnsets:
    """Where the sound of one stream sets in. `take` from the reader's thread; the rest from the engine's loop."""

    def __init__(self) -> None:
        from engine.onset_loops import loudness_of, rising_steps  # numba loads in a second: only where it is needed

        self._loudness_of: Any = loudness_of
        self._rising_steps: Any = rising_steps
        self.found: deque[float] = deque(maxlen=_MOST_KEPT)
        self.until = 0.0
        """Media second up to which every onset was found."""
        self._waiting: npt.NDArray[np.float32] | None = None
        self._start = 0.0
        self._before = np.zeros(_QUIET_STEPS + _SMEARED_STEPS, np.float32)
        self._last = -math.inf

    def take(self, block: AudioBlock) -> None:
        """The next block; the one before it is looked at, which may go on into this one."""
        loudness = np.empty(block.samples.shape[1], np.float32)
        self._loudness_of(block.samples, loudness)
        waiting, end = self._waiting, self._start + (0 if self._waiting is None else len(self._waiting)) / SAMPLE_RATE
        if waiting is not None:
            follows = abs(block.pts - end) < 0.002
            self._look(waiting, loudness if follows else loudness[:0])
        self._waiting, self._start = loudness[: block.valid], block.pts

    def finish(self) -> None:
        """No more comes."""
        if self._waiting is not None:
            self._look(self._waiting, self._waiting[:0])
            self._waiting = None
        self.until = math.inf

    def _look(self, now: npt.NDArray[np.float32], later: npt.NDArray[np.float32]) -> None:
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
            begin = max(0, step - 1) * _STEP
            part = np.concatenate([now[begin:], later])[: (_PEAK_STEPS + 1) * _STEP]
            first = int(np.argmax(part >= _ONSET_SHARE * part.max()))
            self._last = self._start + (begin + first) / SAMPLE_RATE
            self.found.append(self._last)
        self._before = both[steps:]
        self.until = self._start + len(now) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Pair:
    """A flash with what is known of the offset after it.

    Args:
        at: media second of the flash.
        offset: seconds by which sound is late, of the last pairs together.
    """

    at: float
    offset: float


@dataclass(slots=True, eq=False)
class _Flash:
    """A flash and the beep beside it.

    Args:
        at: media second.
        offset: seconds from it to the only beep near it; None where there is none, or several.
        told: whether it was one of those that agreed.
    """

    at: float
    offset: float | None
    told: bool = False


class FlashBeep:
    """The flashes of one stream and their pairs.

    Args:
        onsets: of the stream's sound.
    """

    def __init__(self, onsets: SoundOnsets) -> None:
        self._onsets = onsets
        self._level = math.nan
        self._pictures_until = -math.inf
        self._risen: tuple[float, float, float] | None = None  # when, from which level, to which
        self._flashes: deque[float] = deque(maxlen=_MOST_KEPT)
        self._flash_before = math.nan
        self._beeps: deque[float] = deque(maxlen=_MOST_KEPT)
        self._last: deque[_Flash] = deque(maxlen=LAST_PAIRS)
        self._all: deque[_Flash] = deque(maxlen=_SUMMED_FLASHES)
        self._told_until = -math.inf

    def picture(self, pts: float, level: float) -> None:
        """A picture, in order.

        Args:
            pts: media second.
            level: mean luma, 0 to 1.
        """
        if self._risen is not None:
            at, low, high = self._risen
            if pts - at > _FLASH_SECONDS:
                self._risen = None
            elif level <= high - _FLASH_FALL * (high - low):
                self._flashes.append(at)
                self._risen = None
            else:
                self._risen = at, low, max(high, level)
        elif level - self._level >= _FLASH_RISE:  # NaN, where nothing was before, is no rise
            self._risen = pts, self._level, level
        self._level, self._pictures_until = level, pts

    def settled(self, *, last: bool = False) -> list[Pair]:
        """The pairs that have become known since the last call, as far as they agree.

        Args:
            last: no more pictures and no more sound come.
        """
        # Sound first: what has been found by then is complete up to then.
        until = math.inf if last else self._onsets.until
        if not self._flashes or self._flashes[0] + RANGE_SECONDS >= until:
            return []
        while self._onsets.found:
            self._beeps.append(self._onsets.found.popleft())
        pictures_until = math.inf if last else self._pictures_until
        found: list[Pair] = []
        while self._flashes and self._flashes[0] + RANGE_SECONDS < until:
            at = self._flashes[0]
            following = self._flashes[1] if len(self._flashes) > 1 else math.inf
            if following == math.inf and pictures_until <= at + 2 * RANGE_SECONDS + _FLASH_SECONDS:
                break  # a flash may yet come that the beep is nearer to
            self._flashes.popleft()
            found += self._pairs(at, self._flash_before, following)
            self._flash_before = at
        return found

    def _pairs(self, at: float, before: float, following: float) -> list[Pair]:
        """What the flash at a media second, between two others, makes known."""
        while self._beeps and self._beeps[0] < at - RANGE_SECONDS:
            self._beeps.popleft()
        spaces = [space for space in (at - before, following - at) if space > 0]  # NaN before the first
        reach = min([RANGE_SECONDS, *(space / 2 for space in spaces)])
        near = [beep - at for beep in self._beeps if abs(beep - at) <= reach]
        # Two beeps beside one flash tell nothing.
        flash = _Flash(at, near[0] if len(near) == 1 else None)
        self._last.append(flash)
        self._all.append(flash)
        agreeing = self._agreeing()
        if not agreeing:
            return []
        offset = float(np.mean([one.offset for one in agreeing if one.offset is not None]))
        new = [one for one in agreeing if not one.told and one.at > self._told_until]
        for one in new:
            one.told = True
            self._told_until = one.at
        return [Pair(one.at, offset) for one in new]

    def _agreeing(self) -> list[_Flash]:
        """Those of the last flashes that agree; none where too few do. After a change the latest decide."""
        for flashes in (list(self._last), list(self._last)[-LEAST_PAIRS:]):
            offsets = sorted(one.offset for one in flashes if one.offset is not None)
            if len(offsets) < LEAST_PAIRS or not _regular([one.at for one in flashes]):
                continue
            middle = offsets[len(offsets) // 2]
            agreeing = [f for f in flashes if f.offset is not None and abs(f.offset - middle) <= _ONE_PICTURE / 2]
            if len(agreeing) >= max(LEAST_PAIRS, _AGREEING_SHARE * len(flashes)):
                if len(flashes) < len(self._last):
                    self._last = deque(flashes, LAST_PAIRS)
                return agreeing
        return []

    def verdict(self, late: float, early: float) -> dict[str, object]:
        """What the summary says.

        Args:
            late, early: seconds by which sound may be late or early.
        Returns: offset_ms, None where the verdict is "unknown"; confidence, the share of flashes that told; verdict.
        """
        offsets = sorted(one.offset for one in self._all if one.told and one.offset is not None)
        confidence = len(offsets) / max(1, len(self._all))
        if confidence < _LEAST_CONFIDENCE:
            return {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        # Of those near the middle one: where the offset changed on the way, a mean of all was true at no time.
        middle = offsets[len(offsets) // 2]
        offset = float(np.mean([one for one in offsets if abs(one - middle) <= _ONE_PICTURE / 2]))
        return {
            "offset_ms": round(1000 * offset, 1),
            "confidence": round(confidence, 3),
            "verdict": "in_sync" if -early <= offset <= late else "out_of_sync",
        }


def _regular(times: list[float]) -> bool:
    """Whether flashes come at equal distances, but for one picture."""
    spaces = np.diff(times)
    return bool(np.ptp(spaces) <= _ONE_PICTURE)


def sync_error(offset: float, late: float, early: float) -> float:
    """An offset in seconds over the tolerance on its side; above 1 it is too much."""
    return offset / late if offset > 0 else -offset / early


def words(offset: float) -> str:
    """An offset for people."""
    return f"sound is {abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'} (flashes and beeps)"
