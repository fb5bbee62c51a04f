"""Lip sync by a test pattern: flashes of the picture beside beeps of the sound, of one stream.

The reader's thread finds where sound sets in (`SoundOnsets`); the engine's loop finds flashes in the brightness of
pictures, and pairs both (`FlashBeep`) in the order of the flashes, by media time alone, so that the same input gives
the same pairs on every run. Where they do not agree with each other, nothing is said.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.media import AudioBlock

SAMPLE_RATE: Final = 48_000
# Sound sets in where a millisecond is ten times as loud as all of the 150 before it, and louder than -34 dBFS.
_STEP: Final = 48
_QUIET_STEPS: Final = 150
_RISE: Final = 10.0
_LEAST_LEVEL: Final = 0.02
# Its first moment is the first sample of this share of its peak within some milliseconds: coders smear less before it.
_ONSET_SHARE: Final = 0.15
_PEAK_STEPS: Final = 6
# A flash is brighter by this share of full scale than the picture before it, and is gone again soon.
_FLASH_RISE: Final = 0.05
_FLASH_FALL: Final = 0.6
_FLASH_SECONDS: Final = 0.5
# A beep further away than this, or than half the time between two flashes, belongs to another flash.
RANGE_SECONDS: Final = 1.0
# So many of the last pairs have to agree with each other, within one picture.
LEAST_PAIRS: Final = 3
LAST_PAIRS: Final = 8
_AGREEING_SHARE: Final = 0.8
_ONE_PICTURE: Final = 0.045
_PRE_ECHO_SECONDS: Final = 0.05
_MOST_KEPT: Final = 4096


class SoundOnsets:
    """Where the sound of one stream sets in. `take` from the reader's thread; the rest from the engine's loop."""

    def __init__(self) -> None:
        self.found: deque[float] = deque(maxlen=_MOST_KEPT)
        self.until = 0.0
        """Media second up to which every onset was found."""
        self._waiting: npt.NDArray[np.float32] | None = None
        self._start = 0.0
        self._before = np.zeros(_QUIET_STEPS, np.float32)

    def take(self, block: AudioBlock) -> None:
        """The next block; the one before it is looked at, which may go on into this one."""
        loudness = np.abs(block.samples).max(axis=0)
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
        levels = now[: steps * _STEP].reshape(steps, _STEP).max(axis=1)
        both = np.concatenate([self._before, levels])
        if levels.max() >= _LEAST_LEVEL:
            quiet = np.lib.stride_tricks.sliding_window_view(both[:-1], _QUIET_STEPS).max(axis=1)
            sets_in = (levels >= _LEAST_LEVEL) & (levels >= _RISE * quiet)
            last = -_PEAK_STEPS
            for step in np.flatnonzero(sets_in):
                if step - last < _PEAK_STEPS:
                    continue
                last = int(step)
                begin = max(0, last - 1) * _STEP
                part = np.concatenate([now[begin:], later])[: (_PEAK_STEPS + 1) * _STEP]
                first = int(np.argmax(part >= _ONSET_SHARE * part.max()))
                self.found.append(self._start + (begin + first) / SAMPLE_RATE)
        self._before = both[-_QUIET_STEPS:]
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


class FlashBeep:
    """The flashes of one stream and their pairs.

    Args:
        onsets: of the stream's sound.
    """

    def __init__(self, onsets: SoundOnsets) -> None:
        self._onsets = onsets
        self._level = math.nan
        self._risen: tuple[float, float, float] | None = None  # when, from which level, to which
        self._flashes: deque[float] = deque(maxlen=_MOST_KEPT)
        self._flash_before = math.nan
        self._beeps: deque[float] = deque(maxlen=_MOST_KEPT)
        self._last: deque[float | None] = deque(maxlen=LAST_PAIRS)
        self._offsets: list[float] = []
        self._flashes_judged = 0

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
        self._level = level

    def settled(self, *, last: bool = False) -> list[Pair]:
        """The pairs that have become known since the last call, as far as they agree.

        Args:
            last: no more pictures and no more sound come.
        """
        until = math.inf if last else self._onsets.until
        found = []
        while self._flashes and self._flashes[0] + RANGE_SECONDS < until:
            at = self._flashes.popleft()
            while self._onsets.found:
                beep = self._onsets.found.popleft()
                if self._beeps and beep - self._beeps[-1] < _PRE_ECHO_SECONDS:
                    self._beeps.pop()  # what a coder smears before a beep sets in too
                self._beeps.append(beep)
            while self._beeps and self._beeps[0] < at - RANGE_SECONDS - _FLASH_SECONDS:
                self._beeps.popleft()
            since, self._flash_before = at - self._flash_before, at
            self._flashes_judged += 1
            reach = min(RANGE_SECONDS, since / 2) if since > 0 else RANGE_SECONDS
            near = [beep - at for beep in self._beeps if abs(beep - at) <= reach]
            # Two beeps beside one flash tell nothing.
            self._last.append(near[0] if len(near) == 1 else None)
            offset = self._agreed()
            if offset is not None:
                self._offsets.append(offset)
                found.append(Pair(at, offset))
        return found

    def _agreed(self) -> float | None:
        """The offset, in the middle of those of the last flashes; None where they do not agree."""
        known = sorted(offset for offset in self._last if offset is not None)
        if len(known) < LEAST_PAIRS:
            return None
        middle = known[len(known) // 2] if len(known) % 2 else (known[len(known) // 2 - 1] + known[len(known) // 2]) / 2
        agreeing = sum(abs(offset - middle) <= _ONE_PICTURE / 2 for offset in known)
        return middle if agreeing >= max(LEAST_PAIRS, _AGREEING_SHARE * len(self._last)) else None

    def verdict(self, late: float, early: float) -> dict[str, object]:
        """What the summary says.

        Args:
            late, early: seconds by which sound may be late or early.
        Returns: offset_ms, None where the verdict is "unknown"; confidence, the share of flashes that told; verdict.
        """
        if not self._offsets:
            return {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        offset = float(np.median(self._offsets))
        # The first flashes cannot tell: there are not enough of them yet.
        could = max(1, self._flashes_judged - LEAST_PAIRS + 1)
        in_sync = -early <= offset <= late
        return {
            "offset_ms": round(1000 * offset, 1),
            "confidence": round(min(1.0, len(self._offsets) / could), 3),
            "verdict": "in_sync" if in_sync else "out_of_sync",
        }


def sync_error(offset: float, late: float, early: float) -> float:
    """An offset in seconds over the tolerance on its side; above 1 it is too much."""
    return offset / late if offset > 0 else -offset / early


def words(offset: float) -> str:
    """An offset for people."""
    return f"sound is {abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'} (flashes and beeps)"
