"""Rows that jitter, as of a bad time base or a lost horizontal lock: a few times a second. Decision 0138."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.columns import place
from engine.measure.host_folds import fold_jitter
from engine.measure.jumps import BACK_SECONDS, Jumps
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.jitter import jitter

# Rows that jitter do so in every picture. Seldomer, combing and tearing are told of them first (test_told_once.py).
JITTER_INTERVAL_SECONDS: Final = 0.2
# Of fewer rows with detail a row or two say too much; and fewer that are displaced are none.
LEAST_DETAILED: Final = 8
LEAST_DISPLACED: Final = 3

_JITTER, _SINCE = place("line_jitter"), place("line_jitter_since")
_NAMES: Final = frozenset(("line_jitter", "line_jitter_since"))
# As engine/measure/host_folds.py takes them.
_COLUMNS: Final = _JITTER, _SINCE
_LIMITS: Final = LEAST_DISPLACED, LEAST_DETAILED, BACK_SECONDS


class Jitter:
    """The part of `jitter`.

    `line_jitter` is the share of the rows with detail that are displaced, each by itself. `line_jitter_since` is how
    long ago the picture changed at once, if that was since the last look.

    Args:
        arithmetic: of the device.
        slots: number of slots.
        jumps: by which what a look finds and the one before did not is dated.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int, jumps: Jumps) -> None:
        self._arithmetic, self._jumps = arithmetic, jumps
        # `rate` is no bound: every picture may be looked at.
        self.schedule = Schedule(
            slots, arithmetic, interval=JITTER_INTERVAL_SECONDS, loss=0.0, gain=0.0, rate=1000.0, watches=False
        )
        self._aim = Aim(arithmetic, slots, ("video.line_jitter",), ("line_jitter",), JITTER_INTERVAL_SECONDS,
                        ("line_jitter_since",))  # fmt: skip
        self._looked = arithmetic.column(slots, np.nan)  # media time of the last look

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._aim.open_slot(slot, parameters)
        self._looked[slot] = np.nan

    @property
    def runs(self) -> bool:
        return self.schedule.runs

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that are due; the others stay NaN."""
        arithmetic, view, slots, pts = self._arithmetic, rows.view, rows.slots, rows.pts
        xp = arithmetic.xp
        due = self.schedule.due(slots, pts, xp.ones_like(pts))
        if due is None:
            return
        counted: Any = arithmetic.view(jitter(rows.only(due, arithmetic)))
        if arithmetic.on_host:
            known, state, aim = (self._looked, self._jumps.state[3]), self.schedule.state, self._aim.host
            fold_jitter(view, _COLUMNS, counted, slots, pts, due, *known, _LIMITS, state, aim)
            return
        none = xp.zeros_like(pts)
        displaced, detailed = none + counted[:, 0], (none + counted[:, 1]).clip(LEAST_DETAILED, None)
        share = xp.where(displaced >= LEAST_DISPLACED, displaced / detailed, none)
        view[:, _JITTER] = xp.where(due, share, xp.nan)
        view[:, _SINCE] = xp.where(due, self._jumps.since(slots, pts, self._looked[slots]), xp.nan)
        self._looked[slots] = xp.where(due, pts, self._looked[slots])
        interval = self._aim.interval(view, slots, pts, due)
        self.schedule.pace(slots, due, due, interval=interval, gain=0.0)
