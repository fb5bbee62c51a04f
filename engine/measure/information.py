"""Spatial and temporal information (ITU-T P.910), of about one picture a second."""

from collections.abc import Collection, Mapping
from typing import Final

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import places
from engine.measure.rows import Fact, Rows
from engine.measure.schedule import Schedule
from kernels.siti import COLUMNS, siti

INFORMATION_INTERVAL_SECONDS: Final = 1.0
# P.910 asks for luma of full range: 16..235 becomes 0..255.
FULL_RANGE: Final = 255 / 219

_INFORMATION: Final = places(COLUMNS)


class Information:
    """The part of `siti`. No detector of ours judges it; it is measured where a trace is kept, and for detectors of
    other packages.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self.schedule = Schedule(
            slots, arithmetic, interval=INFORMATION_INTERVAL_SECONDS, loss=0.0, gain=0.0, watches=False
        )
        self._any: set[int] = set()  # slots

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        needed = not set(COLUMNS).isdisjoint(wanted)
        self.schedule.open_slot(slot, needed)
        (self._any.add if needed else self._any.discard)(slot)

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that are due, in 8-bit codes of full range; the others stay NaN."""
        if not self._any:
            return
        arithmetic, view, xp = self._arithmetic, rows.view, self._arithmetic.xp
        due = self.schedule.due(rows.slots, rows.pts, xp.ones_like(rows.pts))
        if due is None:
            return
        found = arithmetic.view(siti(rows.only(due, arithmetic), rows.references))
        full = rows.facts[Fact.FULL_RANGE][:, None] != 0
        view[:, _INFORMATION] = xp.where(full, found, found * FULL_RANGE)
