"""When a slow measure is due: at intervals of media time, and at once after a change. State per slot."""

from typing import Any

import torch

from engine.measure.arithmetic import Arithmetic


class Schedule:
    """Which rows of a batch are due.

    Args:
        slots: number of slots.
        arithmetic: where it runs.
    """

    def __init__(self, slots: int, arithmetic: Arithmetic) -> None:
        self._xp = arithmetic.xp
        # What the arithmetic runs on; asking a tensor for its view costs as much as the arithmetic itself.
        self._wanted = arithmetic.view(torch.zeros(slots, dtype=torch.bool, device=arithmetic.device))
        self._at = arithmetic.column(slots, torch.nan)
        self._watched = arithmetic.column(slots)

    def open_slot(self, slot: int, wanted: bool) -> None:
        """A stream moves in; `wanted`: a detector of it needs the measure."""
        self._wanted[slot] = wanted
        self._at[slot] = torch.nan

    def due(self, slots: Any, pts: Any, watched: Any, *, interval: Any, loss: float, gain: Any) -> Any:
        """The rows whose time has come; they count as measured from now on.

        Args:
            slots: (N,) int64, all different.
            pts: (N,) float64, media seconds.
            watched: (N,) float64: what shows a change, at small cost.
            interval: seconds between two measures, one or (N,).
            loss, gain: share by which `watched` may have fallen or risen since the last measure, gain one or (N,).
        Returns: (N,) bool.
        """
        xp, at, last, wanted = self._xp, self._at, self._watched, self._wanted
        before, since = last[slots], at[slots]
        rested = abs(pts - since) < interval  # False where it was never measured: NaN
        same = (watched >= (1 - loss) * before) & (watched <= (1 + gain) * before)
        due = wanted[slots] & ~(rested & same)
        at[slots] = xp.where(due, pts, since)
        last[slots] = xp.where(due, watched, before)
        return due
