"""Flashes of a picture, by its brightness: it changes at once, and goes back soon."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

# A flash goes back by this share of its rise within this time.
_FALL: Final = 0.6
LONGEST_SECONDS: Final = 1.0
# It rises above what the brightness does anyway: so many times the median of its last steps.
_ABOVE_USUAL: Final = 6.0
_USUAL_PICTURES: Final = 16
# Beside a flash, what rises by less than this share of it and as near as this is none: a digit that changes, say.
_BESIDE_SHARE: Final = 0.35
_BESIDE_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Flash:
    """A flash.

    Args:
        at: media second of its first picture.
        seconds: how long it lasts.
        rise: share of full scale.
    """

    at: float
    seconds: float
    rise: float


class Flashes:
    """The flashes of one stream, in order.

    Args:
        least: share of full scale by which a picture is brighter than the one before it.
        dark: look for pictures that are darker instead.
    """

    def __init__(self, least: float, *, dark: bool = False) -> None:
        self._least, self._sign = least, -1.0 if dark else 1.0
        self._level = math.nan
        self._steps: deque[float] = deque(maxlen=_USUAL_PICTURES)
        self._risen: tuple[float, float, float] | None = None  # when, from which level, to which
        self._latest: Flash | None = None
        self.found: deque[Flash] = deque(maxlen=4096)

    def picture(self, pts: float, level: float) -> None:
        """A picture, in order.

        Args:
            pts: media second.
            level: mean luma, 0 to 1.
        """
        level *= self._sign
        step = level - self._level  # NaN, where nothing was before, is no rise
        if self._risen is not None:
            at, low, high = self._risen
            if pts - at > LONGEST_SECONDS:
                self._risen = None
            elif level <= high - _FALL * (high - low):
                self._keep(Flash(at, pts - at, high - low))
                self._risen = None
            else:
                self._risen = at, low, max(high, level)
        elif step >= self._least and step >= _ABOVE_USUAL * self._usual():
            self._risen = pts, self._level, level
        if not math.isnan(step):
            self._steps.append(abs(step))
        self._level = level

    def _usual(self) -> float:
        return sorted(self._steps)[len(self._steps) // 2] if self._steps else 0.0

    def _keep(self, flash: Flash) -> None:
        latest = self._latest
        if latest is not None and flash.at - latest.at <= _BESIDE_SECONDS and flash.rise < _BESIDE_SHARE * latest.rise:
            return
        while (
            self.found and flash.at - self.found[-1].at <= _BESIDE_SECONDS
            and self.found[-1].rise < _BESIDE_SHARE * flash.rise
        ):  # fmt: skip
            self.found.pop()
        self.found.append(flash)
        self._latest = flash
