"""Lip sync by a test pattern: flashes of the picture beside beeps of the sound, of one stream.

The reader's thread finds where sound sets in (sound_onsets.py); the engine's loop finds flashes in the brightness of
pictures (flashes.py), and pairs both (`FlashBeep`) in the order of the flashes, by media time alone, so that the same
input gives the same pairs on every run. Where they do not agree with each other, nothing is said.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.flashes import LONGEST_SECONDS, Flash, Flashes
from engine.sound_onsets import SoundOnsets

# A flash is brighter by this share of full scale than the picture before it, and is gone again soon. Other events are
# this small too, but do not come four times at equal distances with a beep beside each.
_BRIGHT_RISE: Final = 0.012
# Of pictures that go dark for a moment the rise is the other way round.
_DARK_RISE: Final = 0.05
# A flash lasts no longer than this share of the time to the next one; else it is not known which of both is the flash.
_BRIGHT_SHARE: Final = 0.5
_DARK_SHARE: Final = 0.25
# A beep further away than this, or than half the time between two flashes, belongs to another flash.
RANGE_SECONDS: Final = 1.0
# So many flashes in a row have to agree with each other, within one picture; of the last eight, four in five.
LEAST_PAIRS: Final = 4
LAST_PAIRS: Final = 8
_AGREEING_SHARE: Final = 0.8
_ONE_PICTURE: Final = 0.045
# Patterns flash every second to every ten. What comes back more seldom is a programme that is played in a loop: any
# bright moment of it has the same sound beside it each time.
_LONGEST_PERIOD: Final = 10.5
# What lies this close to where a track begins or ends may have been cut off.
_EDGE_SECONDS: Final = 0.1
# The summary speaks of so many of the last flashes, and only if half of them told.
_SUMMED_FLASHES: Final = 600
_LEAST_CONFIDENCE: Final = 0.5
_MOST_KEPT: Final = 4096


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
        self._pictures_began, self._pictures_until = math.inf, -math.inf
        self._bright = _Train(Flashes(_BRIGHT_RISE), _BRIGHT_SHARE)
        self._dark = _Train(Flashes(_DARK_RISE, dark=True), _DARK_SHARE)

    def picture(self, pts: float, level: float) -> None:
        """A picture, in order.

        Args:
            pts: media second.
            level: mean luma, 0 to 1.
        """
        self._pictures_began, self._pictures_until = min(self._pictures_began, pts), pts
        self._bright.flashes.picture(pts, level)
        self._dark.flashes.picture(pts, level)

    def settled(self, *, last: bool = False) -> list[Pair]:
        """The pairs that have become known since the last call, as far as they agree.

        Args:
            last: no more pictures and no more sound come.
        """
        # Sound first: what has been found by then is complete up to then.
        until = math.inf if last else self._onsets.until
        while self._onsets.found:
            beep = self._onsets.found.popleft()
            self._bright.beep(beep)
            self._dark.beep(beep)
        edges = self._pictures_began + _EDGE_SECONDS, self._onsets.began + _EDGE_SECONDS
        pictures_until = math.inf if last else self._pictures_until
        bright, dark = (train.settled(until, pictures_until, edges) for train in (self._bright, self._dark))
        return dark if self._dark.told > self._bright.told else bright

    def verdict(self, late: float, early: float) -> dict[str, object]:
        """What the summary says.

        Args:
            late, early: seconds by which sound may be late or early.
        Returns: offset_ms, None where the verdict is "unknown"; confidence, the share of flashes that told; verdict.
        """
        train = self._dark if self._dark.told > self._bright.told else self._bright
        offset, confidence = train.offset(self._pictures_until - LONGEST_SECONDS, self._onsets.ended - _EDGE_SECONDS)
        if offset is None:
            return {"offset_ms": None, "confidence": 0.0, "verdict": "unknown"}
        return {
            "offset_ms": round(1000 * offset, 1),
            "confidence": round(confidence, 3),
            "verdict": "in_sync" if -early <= offset <= late else "out_of_sync",
        }


class _Train:
    """Flashes of one kind, each with the beep beside it.

    Args:
        flashes: where they come from.
        share: of the time between two of them that one may last.
    """

    def __init__(self, flashes: Flashes, share: float) -> None:
        self.flashes, self._share = flashes, share
        self.told = 0
        """Flashes of which an offset was told."""
        self._flash_before = math.nan
        self._beeps: deque[float] = deque(maxlen=_MOST_KEPT)
        self._last: deque[_Flash] = deque(maxlen=LAST_PAIRS)
        self._all: deque[_Flash] = deque(maxlen=_SUMMED_FLASHES)
        self._told_until = -math.inf
        self._first_flashes: list[float] = []
        self._first_beeps: list[float] = []
        self._latest_beeps: deque[float] = deque(maxlen=LAST_PAIRS)
        self._turns: float | None = None  # see `_turns_of`; None until it is known

    def beep(self, at: float) -> None:
        """Sound that sets in at a media second."""
        self._beeps.append(at)
        self._latest_beeps.append(at)
        if len(self._first_beeps) < LAST_PAIRS:
            self._first_beeps.append(at)

    def settled(self, until: float, pictures_until: float, edges: tuple[float, float]) -> list[Pair]:
        """As `FlashBeep.settled`.

        Args:
            until, pictures_until: media seconds up to which sound and pictures are known.
            edges: from when on a flash, and a beep, cannot have been cut off.
        """
        found: list[Pair] = []
        flashes = self.flashes.found
        while flashes and flashes[0].at + RANGE_SECONDS < until:
            flash = flashes[0]
            following = flashes[1].at if len(flashes) > 1 else math.inf
            if following == math.inf and pictures_until <= flash.at + 2 * RANGE_SECONDS + LONGEST_SECONDS:
                break  # a flash may yet come that the beep is nearer to
            flashes.popleft()
            found += self._pairs(flash, self._flash_before, following, edges)
            self._flash_before = flash.at
        return found

    def _pairs(self, flash: Flash, before: float, following: float, edges: tuple[float, float]) -> list[Pair]:
        """What a flash between two others makes known."""
        at = flash.at
        while self._beeps and self._beeps[0] < at - RANGE_SECONDS:
            self._beeps.popleft()
        spaces = [space for space in (at - before, following - at) if space > 0]  # NaN before the first
        reach = min([RANGE_SECONDS, *(space / 2 for space in spaces)])
        near = [beep - at for beep in self._beeps if abs(beep - at) <= reach]
        # Two beeps beside one flash tell nothing; nor does what is on for longer than off.
        clear = len(near) == 1 and flash.seconds <= self._share * min(spaces, default=math.inf) + 0.001
        one = _Flash(at, near[0] if clear else None)
        self._last.append(one)
        self._all.append(one)
        if len(self._first_flashes) < LAST_PAIRS:
            self._first_flashes.append(at)
        agreeing = self._agreeing()
        if not agreeing:
            return []
        offset = float(np.mean([one.offset for one in agreeing if one.offset is not None]))
        if self._turns is None:
            self._turns = self._turns_of(offset, edges)
        offset += self._turns
        if math.isnan(offset) or abs(offset) > RANGE_SECONDS + _ONE_PICTURE:
            return []
        new = [one for one in agreeing if not one.told and one.at > self._told_until]
        for one in new:
            one.told = True
            self._told_until = one.at
        self.told += len(new)
        return [Pair(one.at, offset) for one in new]

    def _turns_of(self, offset: float, edges: tuple[float, float]) -> float:
        """Seconds between two flashes, as many times as the sound is later than the nearest beep says.

        Equal flashes cannot be told apart, but the first one can: where it has no beep, though sound was there, or
        where a beep comes before it though pictures were there, the nearest beep is not its own.

        Args:
            offset: from a flash to the nearest beep.
            edges: from when on a flash, and a beep, cannot have been cut off.
        Returns: NaN where the sound is further away than the range.
        """
        flashes = self._first_flashes
        if len(flashes) < LEAST_PAIRS or not _regular(flashes[:LEAST_PAIRS]):
            return 0.0
        first, space = flashes[0], (flashes[LEAST_PAIRS - 1] - flashes[0]) / (LEAST_PAIRS - 1)
        in_step = [
            beep for beep in self._first_beeps
            if abs((beep - first - offset + space / 2) % space - space / 2) <= _ONE_PICTURE / 2
        ]  # fmt: skip
        if not in_step:
            return 0.0
        turns = round((in_step[0] - first - offset) / space)
        without_beep = turns > 0 and first + offset > edges[1]
        without_flash = turns < 0 and in_step[0] - offset > edges[0]
        if not (without_beep or without_flash):
            return 0.0
        return turns * space if abs(offset + turns * space) <= RANGE_SECONDS + _ONE_PICTURE else math.nan

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

    def offset(self, flashes_until: float, beeps_until: float) -> tuple[float | None, float]:
        """The offset of most flashes, and the share of them that told; None where too few did.

        Args:
            flashes_until, beeps_until: from when on a flash, and a beep, may have been cut off.
        """
        turns = self._turns or 0.0
        told = sorted(one.offset + turns for one in self._all if one.told and one.offset is not None)
        confidence = len(told) / max(1, len(self._all))
        if confidence < _LEAST_CONFIDENCE or not told:
            return None, 0.0
        # Of those near the middle one: where the offset changed on the way, a mean of all was true at no time.
        middle = told[len(told) // 2]
        offset = float(np.mean([one for one in told if abs(one - middle) <= _ONE_PICTURE / 2]))
        if self._turns and not self._ends_so(offset, flashes_until, beeps_until):
            return None, 0.0
        return offset, confidence

    def _ends_so(self, offset: float, flashes_until: float, beeps_until: float) -> bool:
        """Whether what the beginning said fits the end: the last flash has its beep, and the last beep its flash."""
        last = self._all[-1].at
        beep_is_due = last + offset < beeps_until
        has_beep = any(abs(beep - last - offset) <= _ONE_PICTURE for beep in self._latest_beeps)
        beep = self._latest_beeps[-1] if self._latest_beeps else math.inf
        flash_is_due = beep - offset < flashes_until
        has_flash = any(abs(beep - one.at - offset) <= _ONE_PICTURE for one in self._all)
        return (has_beep or not beep_is_due) and (has_flash or not flash_is_due)


def _regular(times: list[float]) -> bool:
    """Whether flashes come at equal distances, but for one picture, as those of a pattern do."""
    spaces = np.diff(times)
    return bool(np.ptp(spaces) <= _ONE_PICTURE and spaces.max() <= _LONGEST_PERIOD)


def words(offset: float) -> str:
    """An offset for people."""
    return f"sound is {abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'} (flashes and beeps)"
