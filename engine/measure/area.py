"""Black bars, and how much more of them there are than a stream has as a rule."""

from collections.abc import Collection, Mapping
from typing import Final

import torch

from engine.measure.aim import Aim
from engine.measure.arithmetic import Arithmetic
from engine.measure.change import BLACK_RATIO
from engine.measure.columns import place, places
from engine.measure.host_folds import fold_area
from engine.measure.rows import Rows
from engine.measure.schedule import Schedule
from kernels.active_area import COLUMNS, active_area

AREA_INTERVAL_SECONDS: Final = 0.2
AREA_GRADIENT_CHANGE: Final = 0.1
# Bars that come or go make so much more or less of the picture black.
AREA_BLACK_CHANGE: Final = 0.03
# Bars lie in the middle of nothing: the same on both sides, to this share. What is dark on one side only is a scene.
BAR_SYMMETRY: Final = 0.03
# Text on black ends where its lines end, not where the picture does: of what is inside the bars so much may be black.
# Of credits that were drawn 0.85 is. A scene as dark as that waits for a lighter one.
MOSTLY_BLACK: Final = 0.8
# A shape that has been kept for so long is the stream's own.
ADOPT_SECONDS: Final = 60.0

_GRADIENT, _BLACK, _AREA, _LETTERBOX = place("gradient"), place("black_ratio"), places(COLUMNS), place("letterbox")
_NAMES: Final = frozenset((*COLUMNS, "letterbox"))
# As engine/measure/host_folds.py takes them.
_COLUMNS: Final = _AREA.start, _BLACK, _LETTERBOX
_LIMITS: Final = BLACK_RATIO, MOSTLY_BLACK, BAR_SYMMETRY, ADOPT_SECONDS, AREA_GRADIENT_CHANGE


class Area:
    """The part of `active_area`.

    Args:
        arithmetic: of the device.
        slots: number of slots.
    """

    def __init__(self, arithmetic: Arithmetic, slots: int) -> None:
        self._arithmetic = arithmetic
        self.schedule = Schedule(
            slots, arithmetic, interval=AREA_INTERVAL_SECONDS, loss=AREA_GRADIENT_CHANGE, gain=AREA_GRADIENT_CHANGE,
            rate=2 / AREA_INTERVAL_SECONDS, slack=AREA_BLACK_CHANGE, beside=_BLACK,
        )  # fmt: skip
        self._aim = Aim(arithmetic, slots, ("video.letterbox",), ("letterbox",), AREA_INTERVAL_SECONDS)
        # The bars that the stream has as a rule, of both directions, and those of the last look that says something;
        # what was told last; and since when there are others than as a rule. NaN until known.
        self._usual, self._shape = (
            arithmetic.view(torch.zeros((2, slots), dtype=torch.float64, device=arithmetic.device)) for _ in range(2)
        )
        self._told, self._since = arithmetic.column(slots), arithmetic.column(slots)

    def open_slot(self, slot: int, parameters: Mapping[str, Mapping[str, float]], wanted: Collection[str]) -> None:
        self.schedule.open_slot(slot, not _NAMES.isdisjoint(wanted))
        self._aim.open_slot(slot, parameters)
        for column in (*self._usual, *self._shape, self._told, self._since):
            column[slot] = torch.nan

    @property
    def runs(self) -> bool:
        return self.schedule.runs

    def fill(self, rows: Rows) -> None:
        """Fill the columns of the rows that are due.

        `letterbox` is how much more of the height or width is bars than this stream has as a rule, or, where there are
        bars on all four sides, the smaller of both. What lies over one of two bars, as subtitles do, changes neither.
        A picture that is mostly black inside says nothing, unless it shows something where there were bars.
        """
        xp, view, slots, pts = self._arithmetic.xp, rows.view, rows.slots, rows.pts
        due = self.schedule.due(slots, pts, view[:, _GRADIENT], view[:, _BLACK])
        if due is None:
            return
        view[:, _AREA] = self._arithmetic.view(active_area(rows.only(due, self._arithmetic)))
        if self._arithmetic.on_host:
            state, aim = self.schedule.state, self._aim.host
            known = self._usual, self._shape, self._told, self._since
            fold_area(view, _COLUMNS, slots, pts, due, *known, _LIMITS, state, aim)
            return
        top, bottom, left, right = (view[:, column] for column in range(_AREA.start, _AREA.stop))
        shown, inside = 1.0 - view[:, _BLACK], (1.0 - top - bottom) * (1.0 - left - right)
        says = due & (shown > 1.0 - BLACK_RATIO) & (shown > (1.0 - MOSTLY_BLACK) * inside)
        more, narrower = xp.zeros_like(top), xp.zeros_like(top) == 0
        both = []
        for usual, shape, one, other in zip(self._usual, self._shape, (top, left), (bottom, right), strict=True):
            alike = abs(one - other) <= BAR_SYMMETRY
            covered = abs(xp.maximum(one, other) - shape[slots] / 2.0) <= BAR_SYMMETRY
            bars = xp.where(alike, one + other, xp.where(covered, shape[slots], 0.0))
            bars = xp.where(~says & (bars > shape[slots]), shape[slots], bars)
            shape[slots] = xp.where(says, bars, shape[slots])
            own = usual[slots]
            own = xp.where(says & ((bars < own) | (alike & xp.isnan(own))), bars, own)
            usual[slots] = own
            more = xp.where(bars - own > more, bars - own, more)
            narrower = narrower & (bars > BAR_SYMMETRY)
            both.append(bars)
        windowed = xp.where(narrower, xp.minimum(*both), 0.0)
        score = xp.maximum(more, windowed)
        tells = says | (due & (score < self._told[slots]))
        since = xp.where(tells & ~(more > BAR_SYMMETRY), torch.nan, self._since[slots])
        since = xp.where(tells & (more > BAR_SYMMETRY) & xp.isnan(since), pts, since)
        adopted = says & (pts - since >= ADOPT_SECONDS)
        for usual, bars in zip(self._usual, both, strict=True):
            usual[slots] = xp.where(adopted, bars, usual[slots])
        self._since[slots] = xp.where(adopted, torch.nan, since)
        score = xp.where(adopted, windowed, score)
        self._told[slots] = xp.where(tells, score, self._told[slots])
        view[:, _LETTERBOX] = xp.where(tells, score, torch.nan)
        interval = self._aim.interval(view, slots, pts, due)
        self.schedule.pace(slots, due, due, interval=interval, gain=AREA_GRADIENT_CHANGE)
