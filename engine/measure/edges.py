"""Edge widths and the score of blur: of a picture now and then, because they cost as much as decoding it."""

from collections.abc import Collection, Mapping
from typing import Final

from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.edge_width import COLUMNS, edge_width

# Blur does not come and go within a second, so it is measured this often, and at once when the picture's gradient says
# that something changed.
BLUR_INTERVAL_SECONDS = 1.0
BLUR_GRADIENT_CHANGE: Final = 0.15
# A picture whose last measure was clearly below the threshold can only have become blurred by losing gradient, or by a
# cut to another scene, which changes the gradient either way: it is measured less often, and at once after those.
SHARP_INTERVAL_SECONDS = 4.0
SHARP_SHARE: Final = 0.75
SHARP_GRADIENT_GAIN: Final = 0.5

_GRADIENT, _BLUR, _EDGES = place("gradient"), place("blur"), places(COLUMNS)
_NAMES: Final = frozenset(COLUMNS)


class Edges:
    """The part of `edge_width`.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self._schedule = Schedule(
            slots,
            arithmetic,
            interval=BLUR_INTERVAL_SECONDS,
            loss=BLUR_GRADIENT_CHANGE,
            gain=BLUR_GRADIENT_CHANGE,
        )
        self._sharp_below = arithmetic.column(slots)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self._schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._sharp_below[slot] = SHARP_SHARE * parameters.get("video.blur", {}).get("threshold", 0.0)

    def fill(self, rows: Rows) -> None:
        due = self._schedule.due(rows.slots, rows.pts, rows.view[:, _GRADIENT])
        if due is None:
            return
        table = rows.only(due, self._arithmetic)
        largest = max(surface.width * surface.height for surface in rows.batch.surfaces)
        rows.view[:, _EDGES] = self._arithmetic.view(edge_width(table, largest))
        sharp = rows.view[:, _BLUR] < self._sharp_below[rows.slots]
        self._schedule.pace(rows.slots, due, sharp, interval=SHARP_INTERVAL_SECONDS, gain=SHARP_GRADIENT_GAIN)
