"""Where another multiplex was put behind the one before: its counters, its clock and its first times begin anew.

That is one event, and it is told as what it did to the stream: another format, or a jump of the timestamps. The breaks
that each PID's counter then has, and times that overlap by less than the clock minds, are not told besides.
Belongs to the thread that feeds it.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from engine.ingest.clock import BACKWARD_SECONDS
from engine.ingest.findings import Occurrences

PAT_PID: Final = 0
OVERLAP_SECONDS: Final = BACKWARD_SECONDS
# Of the first packets behind a seam those of sound come last: a multiplexer sends it in pieces of up to 0.7 s.
_REACH_SECONDS: Final = 0.7
_MOST_SEAMS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Break:
    at: float
    until: float
    key: int
    cause: str
    into: Occurrences
    overlap: bool


class Seams:
    """Holds back what may be part of a seam until it is known whether there is one."""

    def __init__(self) -> None:
        self._waiting: list[_Break] = []
        self._told: deque[tuple[float, bool]] = deque(maxlen=_MOST_SEAMS)  # when, and whether by another format
        self._excused: deque[tuple[float, int]] = deque(maxlen=16 * _MOST_SEAMS)
        self._restarts: deque[float] = deque(maxlen=_MOST_SEAMS)

    def add(self, at: float, key: int, cause: str, into: Occurrences, *, until: float, overlap: bool = False) -> None:
        """Something broke that breaks at a seam too.

        Args:
            at, until: media seconds.
            key: the PID, or what else has but one such break at a seam.
            cause: in words.
            into: where it is told.
            overlap: timestamps went back, by no more than OVERLAP_SECONDS.
        """
        self._waiting.append(_Break(at, until, key, cause, into, overlap))
        if key == PAT_PID:  # tables are few among the packets: what was lost is rarely one of them
            self._restarts.append(at)

    def tell(self, at: float, *, other_format: bool) -> None:
        """Another format, or a jump of the timestamps, is told at media second `at`."""
        self._told.append((at, other_format))

    def settle(self, end: float, *, last: bool) -> None:
        """Let go of what is known of the time before media second `end`."""
        waiting: list[_Break] = []
        for each in self._waiting:
            if not last and (each.at >= end or (self._may_be_seam(each) and end < each.at + _REACH_SECONDS)):
                waiting.append(each)
            elif not self._is_excused(each):
                each.into.add(each.at, each.cause, each.until)
        self._waiting = waiting

    def _may_be_seam(self, each: _Break) -> bool:
        return any(abs(at - each.at) <= _REACH_SECONDS for at in self._restarts) and not self._is_told(each)

    def _is_told(self, each: _Break) -> bool:
        return any(
            abs(at - each.at) <= _REACH_SECONDS and (other_format or not each.overlap)
            for at, other_format in self._told
        )

    def _is_excused(self, each: _Break) -> bool:
        """Once for each seam: a counter that breaks again has lost packets."""
        if not self._is_told(each):
            return False
        if any(key == each.key and abs(at - each.at) <= 2 * _REACH_SECONDS for at, key in self._excused):
            return False
        self._excused.append((each.at, each.key))
        return True
