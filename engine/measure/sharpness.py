"""How steep the edges of pictures are, and the score of blur that is made of it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import torch

from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place, places
from engine.measure.host_folds import fold_sharpness
from engine.measure.rows import Fact, Rows
from engine.measure.schedule import Schedule
from kernels.sharpness import COLUMNS, sharpness
from kernels.sharpness.layout import LARGEST_CELL, LINES

SHARPNESS_INTERVAL_SECONDS = 0.5
# Blur takes detail away, and the sum of it is known of every picture.
SHARPNESS_GRADIENT_CHANGE: Final = 0.1
# The steepest edges of a picture of fewer lines are seen larger, by the root of how many times fewer: halfway between
# counting samples and counting shares of the picture.
FEWEST_LINES: Final = 120
# A picture of this contrast (8-bit codes) without any edge is blurred beyond measure, where the stream has had edges;
# one of less is flat. What never had any, as a gradient that is drawn, is not known to have lost them.
CONTRAST: Final = 12.0
NO_EDGE: Final = 8.0
# A stream that was never this many times steeper is soft by nature (scaled up, shot so): its score counts less.
SOFTER: Final = 1.4
# What it was at its steepest is forgotten in this time.
MEMORY_SECONDS: Final = 600.0

_GRADIENT, _BLUR, _SHARPNESS = place("gradient"), place("blur"), places(COLUMNS)
_SPAN, _DEVIATION = place("edge_span"), place("cell_deviation")
_NAMES: Final = frozenset((*COLUMNS, "blur"))
# As engine/measure/host_folds.py takes them.
_COLUMNS: Final = _SPAN, _DEVIATION, _BLUR
_LIMITS: Final = (
    LINES, LARGEST_CELL, FEWEST_LINES, CONTRAST, NO_EDGE, SOFTER, MEMORY_SECONDS, SHARPNESS_GRADIENT_CHANGE,
)  # fmt: skip


class Sharpness:
    """The part of `sharpness`.

    `blur` is over how many of a picture's 480 lines its steepest edges rise, less where the stream has always been so.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self.schedule = Schedule(
            slots,
            arithmetic,
            interval=SHARPNESS_INTERVAL_SECONDS,
            loss=SHARPNESS_GRADIENT_CHANGE,
            gain=SHARPNESS_GRADIENT_CHANGE,
            rate=4.0,
        )
        self._aim = Aim(arithmetic, slots, ("video.blur",), ("blur",), SHARPNESS_INTERVAL_SECONDS)
        self._steepest = arithmetic.column(slots, torch.nan)
        self._at = arithmetic.column(slots, torch.nan)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._aim.open_slot(slot, parameters)
        self._steepest[slot] = self._at[slot] = torch.nan

    @property
    def runs(self) -> bool:
        return self.schedule.runs

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that are due; the others stay NaN."""
        arithmetic, view, slots, pts = self._arithmetic, rows.view, rows.slots, rows.pts
        due = self.schedule.due(slots, pts, view[:, _GRADIENT])
        if due is None:
            return
        xp = arithmetic.xp
        table = rows.only(due, arithmetic)
        view[:, _SHARPNESS] = arithmetic.view(sharpness(table, rows.room.pixels))
        if arithmetic.on_host:
            known, state, aim = (self._steepest, self._at), self.schedule.state, self._aim.host
            fold_sharpness(view, _COLUMNS, rows.facts, slots, pts, due, *known, _LIMITS, state, aim)
            return
        shorter = xp.minimum(rows.facts[Fact.WIDTH], rows.facts[Fact.HEIGHT])
        lines = shorter / ((shorter + LINES // 2) // LINES).clip(1.0, float(LARGEST_CELL))
        scale = (LINES / lines.clip(FEWEST_LINES, LINES)) ** 0.5
        lost = (view[:, _DEVIATION] >= CONTRAST) & ~xp.isnan(self._steepest[slots])
        empty = xp.where(lost, NO_EDGE, 0.0)
        score = xp.where(xp.isnan(view[:, _SPAN]), empty, view[:, _SPAN] * scale)
        score = self._less_where_usual(slots, pts, due, score)
        view[:, _BLUR] = xp.where(due, score, torch.nan)
        self.schedule.pace(
            slots, due, due, interval=self._aim.interval(view, slots, pts, due), gain=SHARPNESS_GRADIENT_CHANGE
        )

    def _less_where_usual(self, slots: Any, pts: Any, due: Any, score: Any) -> Any:
        """The score, over SOFTER where the stream has had no steeper edges; and keep how steep they were."""
        xp, known = self._arithmetic.xp, self._steepest[slots]
        step = pts - self._at[slots]
        forgotten = 1 - xp.exp(-xp.where(step > 0, step, 0.0) / MEMORY_SECONDS)  # NaN too
        measured = due & (score > 0)
        known = xp.where(xp.isnan(known), score, known + (score - known) * forgotten)
        known = xp.minimum(known, score)
        self._steepest[slots] = xp.where(measured, known, self._steepest[slots])
        self._at[slots] = xp.where(measured, pts, self._at[slots])
        usual = xp.where(known > 0, known, 1.0)
        return score * (score / (SOFTER * usual)).clip(1 / SOFTER, 1.0)
