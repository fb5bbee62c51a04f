"""Changes of what a stream is made of: picture size, pixels, frame rate; sampling rate and channels."""

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from engine.media import Surface

# Encoders that leave out repeated pictures hold a lower rate for some seconds; what was switched holds for good.
_STEADY_SECONDS: Final = 5.0
_STEADY_PICTURES: Final = 24
# Millisecond containers make 16, 17, 17 ms of 60 pictures a second.
_ROUNDING_SECONDS: Final = 0.0011
# Around an announced break: pictures are shown in another order than they come in, and a rate is told of the picture
# before it changed.
_BEFORE_BREAK_SECONDS: Final = 0.5
_AFTER_BREAK_SECONDS: Final = 1.0
_MOST_BREAKS: Final = 8
_CHROMA: Final = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}


def pixels(surface: Surface) -> str:
    """What a surface's samples are, in words: "4:2:0 8 bit"."""
    if not surface.chroma_width:
        return f"grey {surface.bit_depth} bit"
    ratio = (round(surface.width / surface.chroma_width), round(surface.height / surface.chroma_height))
    return f"{_CHROMA.get(ratio, 'other')} {surface.bit_depth} bit"


class Formats:
    """Watches decoded pictures and sound.

    Args:
        report: told the media second and what changed ("1920x1080 -> 1280x720").
        rate_change: relative change of the frame rate that is one; infinite: none is.
    """

    def __init__(self, report: Callable[[float, str], None], rate_change: float) -> None:
        self._report = report
        self._rate_change = rate_change
        self._geometry: tuple[int, ...] | None = None
        self._size = self._pixels = ""
        self._sound: tuple[str, int] | None = None
        self._pts: deque[float] = deque()
        self._rate: float | None = None
        self._breaks: deque[float] = deque(maxlen=_MOST_BREAKS)
        self._switched: float | None = None  # when the pictures' size or kind changed last

    def announce(self, at: float) -> None:
        """A playlist announces that other material begins at media second `at`: what changes there was meant to."""
        self._breaks.append(at)

    def _changed(self, at: float, what: str) -> None:
        if not any(-_BEFORE_BREAK_SECONDS <= at - each <= _AFTER_BREAK_SECONDS for each in self._breaks):
            self._report(at, what)

    def codec(self, at: float, what: str) -> None:
        """Pictures or sound are coded otherwise from media second `at` on: what came before and what comes."""
        self._changed(at, what)

    def picture(self, surface: Surface) -> None:
        """Look at the next picture, in the order of showing."""
        if self._rate_change < math.inf:
            self._follow_rate(surface.pts)
        if surface.geometry == self._geometry:
            return
        size, kind = f"{surface.width}x{surface.height}", pixels(surface)
        if self._geometry is not None:
            self._switched = surface.pts
            if size != self._size:
                self._changed(surface.pts, f"{self._size} -> {size}")
            if kind != self._pixels:
                self._changed(surface.pts, f"{self._pixels} -> {kind}")
        self._geometry, self._size, self._pixels = surface.geometry, size, kind

    def sound(self, layout: str, rate: int, at: float) -> None:
        """Look at what the sound is decoded to.

        Args:
            layout: libav's channel layout name.
            rate: hertz.
            at: media second.
        """
        now = (layout, rate)
        if now == self._sound:
            return
        if self._sound is not None:
            if layout != self._sound[0]:
                self._changed(at, f"{self._sound[0]} -> {layout}")
            if rate != self._sound[1]:
                self._changed(at, f"{self._sound[1]} Hz -> {rate} Hz")
        self._sound = now

    def _follow_rate(self, pts: float) -> None:
        """A rate counts once it has held for some seconds, so a variable one never counts, nor does a lost picture."""
        times = self._pts
        if times and pts <= times[-1]:
            times.clear()
        if len(times) >= 2:
            step, mean = pts - times[-1], (times[-1] - times[0]) / (len(times) - 1)
            if abs(step - mean) > max(2 * _ROUNDING_SECONDS, 0.5 * self._rate_change * mean):
                last = times[-1]
                times.clear()
                times.append(last)
        times.append(pts)
        if len(times) <= _STEADY_PICTURES or times[-1] - times[0] < _STEADY_SECONDS:
            return
        rate = (len(times) - 1) / (times[-1] - times[0])
        if self._rate is None:
            self._rate = rate
        elif abs(rate / self._rate - 1) > self._rate_change:
            # Known seconds after the size that came with it, which was told already.
            if self._switched is None or abs(times[0] - self._switched) > _BEFORE_BREAK_SECONDS:
                self._changed(times[0], f"{self._rate:.5g} -> {rate:.5g} pictures/s")
            self._rate = rate
        times.popleft()
