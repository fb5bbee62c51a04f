"""When a slow measure is due: at intervals of media time, and at once after a change. State per slot.

Pictures that change all the time, as in a fade, would make it due with each of them. What it may cost is bounded: there
is room for BURST measures at once, and for as many as MEASURES_PER_SECOND in the long run. A change for which there is
no room is not forgotten.
"""

from typing import Any, Final

import torch

from engine.measure import host
from engine.measure.arithmetic import Arithmetic

BURST: Final = 2.0
MEASURES_PER_SECOND = 2.0


class Schedule:
    """Which rows of a batch are due.

    Args:
        slots: number of slots.
        arithmetic: where it runs.
        interval: media seconds between two measures.
        loss, gain: share by which what is watched may have fallen or risen since the last measure.
    """

    def __init__(self, slots: int, arithmetic: Arithmetic, *, interval: float, loss: float, gain: float) -> None:
        self._xp, self._on_host = arithmetic.xp, arithmetic.on_host
        self._usual = interval, gain
        self._loss, self._rate = loss, MEASURES_PER_SECOND
        # What the arithmetic runs on; asking a tensor for its view costs as much as the arithmetic itself.
        self._wanted = arithmetic.view(torch.zeros(slots, dtype=torch.bool, device=arithmetic.device))
        self._at = arithmetic.column(slots, torch.nan)
        self._watched = arithmetic.column(slots)
        self._interval = arithmetic.column(slots, interval)
        self._gain = arithmetic.column(slots, gain)
        self._credit = arithmetic.column(slots, BURST)

    def open_slot(self, slot: int, wanted: bool) -> None:
        """A stream moves in; `wanted`: a detector of it needs the measure."""
        self._wanted[slot] = wanted
        self._at[slot] = torch.nan
        self._interval[slot], self._gain[slot] = self._usual

    def due(self, slots: Any, pts: Any, watched: Any) -> Any | None:
        """The rows whose time has come; they count as measured from now on.

        Args:
            slots: (N,) int64, all different.
            pts: (N,) float64, media seconds.
            watched: (N,) float64: what shows a change, at small cost.
        Returns: (N,) bool; None where none is and that is known without waiting for the device.
        """
        if self._on_host:
            due, count = host.due_rows(
                self._wanted, self._at, self._watched, self._interval, self._gain, self._credit,
                self._loss, BURST, self._rate, slots, pts, watched,
            )  # fmt: skip
            return due if count else None
        xp, at, last = self._xp, self._at, self._watched
        before, since = last[slots], at[slots]
        rested = abs(pts - since)  # NaN where it was never measured
        same = (watched >= (1 - self._loss) * before) & (watched <= (1 + self._gain[slots]) * before)
        room = self._credit[slots] + rested * self._rate
        due = self._wanted[slots] & ~((rested < self._interval[slots]) & same) & ~(room < 1)
        self._credit[slots] = xp.where(due, xp.where(room < BURST, room, BURST) - 1, self._credit[slots])
        at[slots] = xp.where(due, pts, since)
        last[slots] = xp.where(due, watched, before)
        return due

    def pace(self, slots: Any, due: Any, chosen: Any, *, interval: float, gain: float) -> None:
        """Of the rows that were due: those that are `chosen`, (N,) bool, are measured at another interval from now on.

        Args:
            slots, due: of the rows.
            chosen: the others have the usual interval and gain.
            interval, gain: of these, as at construction.
        """
        where = self._xp.where
        usual_interval, usual_gain = self._usual
        self._interval[slots] = where(due, where(chosen, interval, usual_interval), self._interval[slots])
        self._gain[slots] = where(due, where(chosen, gain, usual_gain), self._gain[slots])
