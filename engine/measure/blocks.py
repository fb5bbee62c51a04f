"""Blocks of a coarse encoder: about once a second, because they take every line of a picture."""

from collections.abc import Collection, Mapping
from typing import Final

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.blockiness import COLUMNS, blockiness

# A starved encoder stays so for longer, and most of what starves it, or ends that, changes the gradient.
BLOCKS_INTERVAL_SECONDS = 1.0
BLOCKS_GRADIENT_CHANGE: Final = 0.15

_GRADIENT, _BLOCKS = place("gradient"), places(COLUMNS)
_NAMES: Final = frozenset(COLUMNS)


class Blocks:
    """The part of the `blockiness` kernel.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._schedule = Schedule(
            slots,
            arithmetic,
            interval=BLOCKS_INTERVAL_SECONDS,
            loss=BLOCKS_GRADIENT_CHANGE,
            gain=BLOCKS_GRADIENT_CHANGE,
        )

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self._schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))

    def fill(self, rows: Rows) -> None:
        due = self._schedule.due(rows.slots, rows.pts, rows.view[:, _GRADIENT])
        if due is None:
            return
        largest = max(max(surface.width, surface.height) for surface in rows.batch.surfaces)
        table = rows.only(due, self._arithmetic)
        rows.view[:, _BLOCKS] = self._arithmetic.view(blockiness(table, largest))
