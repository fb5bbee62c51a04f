"""Edge widths, FFmpeg's blurdetect: of a picture a second, because they cost as much as decoding it."""

from collections.abc import Collection, Mapping
from typing import Final

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import places
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.edge_width import COLUMNS, edge_width

EDGES_INTERVAL_SECONDS = 1.0

_EDGES: Final = places(COLUMNS)
_NAMES: Final = frozenset(COLUMNS)


class Edges:
    """The part of `edge_width`. No detector of ours judges it; it is measured for detectors of other packages.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self.schedule = Schedule(slots, arithmetic, interval=EDGES_INTERVAL_SECONDS, loss=0.0, gain=0.0, watches=False)
        self._any: set[int] = set()  # slots

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        needed = not _NAMES.isdisjoint(wanted)
        self.schedule.open_slot(slot, needed)
        (self._any.add if needed else self._any.discard)(slot)

    @property
    def runs(self) -> bool:
        return bool(self._any)

    def fill(self, rows: Rows) -> None:
        if not self._any:
            return
        due = self.schedule.due(rows.slots, rows.pts, self._arithmetic.xp.ones_like(rows.pts))
        if due is None:
            return
        table = rows.only(due, self._arithmetic)
        rows.view[:, _EDGES] = self._arithmetic.view(edge_width(table, rows.room.pixels))
