"""Lip sync by a reference: a stream beside another one of the same programme, picture by picture and sound by sound.

Window after window of the stream is looked for in the reference, once by its pictures and once by its sound. How much
later each of them is, is a delay; sound that is later than its pictures by more is the offset. What is found depends on
the media alone: a window of a file is judged when all that it may be compared with has come, of whichever came first.

Called from the engine's loop only.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.alignment import (
    GRID_SECONDS,
    MARGIN_SECONDS,
    Signal,
    best_fit,
    correlation,
    in_one_thread,
    picture_signal,
    sound_signal,
)
from engine.fingerprints import Fingerprint, Rows

WINDOW_SECONDS: Final = 30.0
LEAST_WINDOW_SECONDS: Final = 10.0
HOP_SECONDS: Final = 2.0
# The stream may be so much later than its reference, and so much earlier; sound against its pictures both ways.
LATEST_SECONDS: Final = 60.0
EARLIEST_SECONDS: Final = 10.0
OFFSET_SECONDS: Final = 10.0
# Files need not begin at the same moment of the programme, and all of them is there.
EARLIEST_SECONDS_OF_FILES: Final = 60.0
# Where the window before was found, the next one is looked for nearby first.
_NEARBY_SECONDS: Final = 12.0
# The same programme correlates by more than this, others by less than a third; a second place that fits nearly as well
# makes the first one a guess.
LEAST_FIT: Final = 0.5
_MOST_SECOND: Final = 0.8
# A window behind a break may be so much shorter than the least, as no track begins with the other one to the row.
_SLACK_SECONDS: Final = 0.5
# Less of a change than this is nothing to judge by; and it takes more to say that a programme is another one.
LEAST_ACTIVITY: Final = 0.02
_BUSY: Final = 0.08
_LEAST_SHARE: Final = 0.5
# Two windows in a row have to say the same, within half a picture of 25 a second.
AGREEING_SECONDS: Final = 0.02
# The summary speaks of so many of the last windows: two hours.
_SUMMED_WINDOWS: Final = 3600


@dataclass(frozen=True, slots=True)
class Track:
    """Where one track of a window was found.

    Args:
        delay: seconds by which it is later than the reference's; None where it was not found.
        fit: the correlation there, or the highest elsewhere.
        busy: there was enough in both to say that it is not the reference's.
    """

    delay: float | None
    fit: float
    busy: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """What is known of a window.

    Args:
        at: media second of its middle.
        until: of its end.
        offset: seconds by which sound is late; None where nothing is known.
        latency: seconds by which its pictures are later than the reference's, or of a stream without pictures its
            sound; None likewise.
        confidence: 0 to 1: the lesser of both correlations.
        same: it is the reference's programme; None where nothing is known.
    """

    at: float
    until: float
    offset: float | None
    latency: float | None
    confidence: float
    same: bool | None


class ReferenceSync:
    """A stream beside its reference.

    Args:
        own: the stream's fingerprint.
        reference: gives the reference's, None while there is none.
        live: both are judged as they come, and go by the clock; else they are files, and are told by media times alone.
    """

    def __init__(
        self, own: Fingerprint, reference: Callable[[], Fingerprint | None], *, live: Callable[[], bool]
    ) -> None:
        self._own = own
        self._reference = reference
        self._live = live
        self._end = LEAST_WINDOW_SECONDS
        self._known_until = 0.0  # of the stream
        self._near: float | None = None
        self._latency = 0.0  # of live streams, where it was found last
        self._before: Compared | None = None
        self._all: deque[Compared] = deque(maxlen=_SUMMED_WINDOWS)
        self._told: deque[float] = deque(maxlen=_SUMMED_WINDOWS)
        self._told_until = -math.inf
        self.latest: Compared | None = None
        """The latest window of which something is known."""
        self.latest_told: Compared | None = None
        """The latest whose offset was told."""
        self.device_to_host_bytes = 0

    @property
    def needed_from(self) -> float:
        """Media second of the stream from which on its rows are still needed."""
        return self._end - WINDOW_SECONDS - MARGIN_SECONDS

    def reference_needed_from(self, other: Fingerprint) -> float:
        """The same of the reference's."""
        return self.needed_from - self._shift(other) - LATEST_SECONDS - OFFSET_SECONDS

    def settled(self, known_until: float) -> list[Compared]:
        """The windows that have become known since the last call.

        Args:
            known_until: media second up to which every track of the stream was judged.
        """
        self._known_until = known_until
        other = self._reference()
        if other is None:
            self._end = max(self._end, math.floor(known_until / HOP_SECONDS) * HOP_SECONDS)
            return []
        self._own.print.taken(self._own.sound)
        other.print.taken(other.sound)
        live = self._live()
        ended = self._own.ended
        if live:
            newest = math.floor((known_until - MARGIN_SECONDS) / HOP_SECONDS) * HOP_SECONDS
            self._end = max(self._end, newest)  # after an outage, and where the engine had no time
        found = []
        while self._end + (0.0 if ended else MARGIN_SECONDS) <= known_until + 1e-6:
            if not live and not other.ended:
                latest = self._end + EARLIEST_SECONDS_OF_FILES + OFFSET_SECONDS + MARGIN_SECONDS
                if min(other.pictures.until, other.sound.until) < latest:
                    break
            with in_one_thread():
                found.append(self._look(other, self._end))
            self._end += HOP_SECONDS
        return found

    def agreeing(self, found: Compared) -> list[Compared]:
        """A further window, and the one before it, where both say the same and it was not told yet."""
        self._all.append(found)
        if found.same is not None:
            self.latest = found
        before, self._before = self._before, found
        if found.offset is None or before is None or before.offset is None:
            return []
        if abs(found.offset - before.offset) > AGREEING_SECONDS:
            return []
        new = [one for one in (before, found) if one.offset is not None and one.at > self._told_until]
        for one in new:
            assert one.offset is not None
            self._told.append(one.offset)
            self._told_until = one.at
            self.latest_told = one
        return new

    @property
    def windows(self) -> tuple[Compared, ...]:
        """Those of the last two hours."""
        return tuple(self._all)

    def waits(self) -> bool:
        """Whether windows of a stream that has ended are only judged when more of its reference has come.

        A reference that goes on for long after it, or for ever, is not waited for.
        """
        other = self._reference()
        if self._live() or other is None or other.ended:
            return False
        return self._end <= self._known_until + 1e-6

    def _shift(self, other: Fingerprint) -> float:
        """Media seconds of the stream less those of the reference, of the same moment."""
        if not self._live():
            return 0.0
        shift = other.began_at - self._own.began_at
        return shift if math.isfinite(shift) else 0.0

    def _look(self, other: Fingerprint, end: float) -> Compared:
        begin = max(0.0, end - WINDOW_SECONDS)
        shift = self._shift(other)
        live = self._live()
        if live:
            # Over a break each timeline goes by the wall clock: what came before it fits at another place.
            begin = max(begin, self._own.since, other.since + shift + self._latency)
            if end - begin < LEAST_WINDOW_SECONDS - _SLACK_SECONDS:
                return Compared(end, end, None, None, 0.0, None)
        earliest = EARLIEST_SECONDS if live else EARLIEST_SECONDS_OF_FILES
        whole = shift - earliest, shift + LATEST_SECONDS
        found: tuple[Track, Track] | None = None
        if self._near is not None:
            low, high = max(whole[0], self._near - _NEARBY_SECONDS), min(whole[1], self._near + _NEARBY_SECONDS)
            found = self._tracks(other, begin, end, low, high)
        if found is None or found[0].delay is None or found[1].delay is None:
            found = self._tracks(other, begin, end, *whole)
        pictures, sound = found
        middle = (begin + end) / 2
        if pictures.delay is None and sound.delay is None:
            self._near = None
            other_programme = (pictures.busy or sound.busy) and self._both_busy_or_absent(pictures, sound)
            if live and not self._all_there(other, middle - shift):
                other_programme = False  # it may lie where the reference was not there yet, or is not any more
            return Compared(middle, end, None, None, 0.0, False if other_programme else None)
        delay = pictures.delay if pictures.delay is not None else sound.delay
        assert delay is not None
        self._near, self._latency = delay, delay - shift
        if pictures.delay is None or sound.delay is None:
            # Sound alone, of a stream that has pictures, may be late for itself.
            sure = pictures.delay is not None or self._own.pictures.until == -math.inf
            return Compared(middle, end, None, delay - shift if sure else None, 0.0, True)
        confidence = min(1.0, pictures.fit, sound.fit)
        return Compared(middle, end, sound.delay - pictures.delay, delay - shift, confidence, True)

    @staticmethod
    def _all_there(other: Fingerprint, middle: float) -> bool:
        """Whether a live reference is known wherever half of a window may lie whose middle is that media second."""
        return other.since <= middle - LATEST_SECONDS and other.until >= middle + EARLIEST_SECONDS

    def _both_busy_or_absent(self, pictures: Track, sound: Track) -> bool:
        """Whether each track that the stream has says that it is another one's."""
        has_pictures, has_sound = self._own.pictures.until > -math.inf, self._own.sound.until > -math.inf
        return (pictures.busy or not has_pictures) and (sound.busy or not has_sound)

    def _tracks(self, other: Fingerprint, begin: float, end: float, low: float, high: float) -> tuple[Track, Track]:
        """Where the pictures and the sound of a window are found, delayed by `low` to `high`."""
        since = other.since if self._live() else -math.inf
        sound = _Search(
            self._own.sound, other.sound, sound_signal, begin, end, low - OFFSET_SECONDS, high + OFFSET_SECONDS, since
        )
        heard = sound.places([(low - OFFSET_SECONDS, high + OFFSET_SECONDS)])
        by_sound = sound.track(heard, 0)
        pictures = _Search(self._own.pictures, other.pictures, picture_signal, begin, end, low, high, since)
        ranges = [(low, high)]
        if by_sound.delay is not None:
            ranges.append((by_sound.delay - OFFSET_SECONDS, by_sound.delay + OFFSET_SECONDS))
        seen = pictures.places(ranges)
        if self._own.pictures.device.type != "cpu":
            self.device_to_host_bytes += 8 * len(seen)
        by_pictures = pictures.track(seen, 0)
        if by_pictures.delay is not None and (
            by_sound.delay is None or abs(by_sound.delay - by_pictures.delay) > OFFSET_SECONDS
        ):
            near = (by_pictures.delay - OFFSET_SECONDS, by_pictures.delay + OFFSET_SECONDS)
            by_sound = sound.track(sound.places([near]), 0)
        elif by_pictures.delay is None and by_sound.delay is not None:
            by_pictures = pictures.track(seen, 1)
        return by_pictures, by_sound

    def verdict(self, late: float, early: float) -> dict[str, Any]:
        """What the summary says.

        Args:
            late, early: seconds by which sound may be late or early.
        Returns: offset_ms, None where the verdict is "unknown"; confidence: how well the windows that told fit, times
            their share of all; verdict; latency_ms; same_programme, None where nothing is known.
        """
        judged = [one for one in self._all if one.same is not None]
        same = None if not judged else 2 * sum(one.same is True for one in judged) > len(judged)
        latencies = [one.latency for one in self._all if one.latency is not None]
        latency = None if not latencies else round(1000 * float(np.median(latencies)), 1)
        also = {"latency_ms": latency if same else None, "same_programme": same}
        if not self._told or not same:
            return {"offset_ms": None, "confidence": 0.0, "verdict": "unknown", **also}
        offsets = sorted(self._told)
        middle = offsets[len(offsets) // 2]
        offset = float(np.mean([one for one in offsets if abs(one - middle) <= AGREEING_SECONDS]))
        confidence = sum(one.confidence for one in self._all) / len(self._all)
        return {
            "offset_ms": round(1000 * offset, 1),
            "confidence": round(confidence, 3),
            "verdict": "in_sync" if -early <= offset <= late else "out_of_sync",
            **also,
        }


class _Search:
    """One track of a window in the reference's."""

    def __init__(
        self, own: Rows, other: Rows, signal: Callable[[npt.NDArray[np.float64], Tensor, int, int], Signal],
        begin: float, end: float, low: float, high: float, since_second: float,
    ) -> None:  # fmt: skip
        first, count = round(begin / GRID_SECONDS), round((end - begin) / GRID_SECONDS)
        from_step, to_step = math.floor((begin - high) / GRID_SECONDS), math.ceil((end - low) / GRID_SECONDS)
        window = signal(*own.between(begin - MARGIN_SECONDS, end + MARGIN_SECONDS), first, count)
        since, until = from_step * GRID_SECONDS - MARGIN_SECONDS, to_step * GRID_SECONDS + MARGIN_SECONDS
        reference = signal(*other.between(max(since, since_second), until), from_step, to_step - from_step)
        self._first = first
        self._place, self._fits = correlation(window, reference)
        self._known = torch.stack((window.activity(), window.share(), reference.activity(), reference.share()))
        self._reference_share = count / max(1, to_step - from_step)

    def places(self, ranges: list[tuple[float, float]]) -> list[float]:
        """Of each range of delays the best place: 3 numbers each; then what is known of both. Waits for the device."""
        found = [self._best(low, high) for low, high in ranges]
        return [float(value) for value in torch.cat([*found, self._known]).cpu().tolist()]

    def _best(self, low: float, high: float) -> Tensor:
        # A window at step s of the reference is late by its own first step less s.
        earliest, latest = (
            self._first - self._place - round(high / GRID_SECONDS),
            self._first - self._place - round(low / GRID_SECONDS),
        )
        return best_fit(self._fits, earliest, latest)

    def track(self, numbers: list[float], which: int) -> Track:
        """What the numbers of `places` say of one of its ranges."""
        place, fit, second = numbers[3 * which : 3 * which + 3]
        activity, share, its_activity, its_share = numbers[-4:]
        enough = activity >= LEAST_ACTIVITY and share >= _LEAST_SHARE
        found = enough and fit >= LEAST_FIT and second <= _MOST_SECOND * fit
        # Of the reference as much has to be known as a window is long.
        its_enough = its_share >= _LEAST_SHARE * self._reference_share and its_activity >= _BUSY
        busy = share >= _LEAST_SHARE and activity >= _BUSY and its_enough and fit < LEAST_FIT
        delay = (self._first - self._place - place) * GRID_SECONDS if found else None
        return Track(delay, fit, busy)


def sync_words(offset: float, reference: str) -> str:
    """An offset for people."""
    return f"sound is {abs(1000 * offset):.0f} ms {'late' if offset > 0 else 'early'} (against {reference})"
