"""When a slow measure is due: at intervals of media time, and at once after a change. State per slot.

Pictures that change all the time, as in a fade, would make it due with each of them. What it may cost is bounded: there
is room for BURST measures at once, and for as many as MEASURES_PER_SECOND in the long run. A change for which there is
no room is not forgotten. A measure whose time has come takes its room from the changes after it: it is not put off; nor
is, once in a while, a change that is larger than those of a fade, so that what begins in a scene that moves is not
looked at late.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch

from engine.measure import host
from engine.measure.arithmetic import Arithmetic
from engine.measure.host import When
from engine.measure.rows import Part

BURST: Final = 2.0
# A change that is so many times as large as one that is looked at is not put off, nor one of what is watched beside it
# or a sign, if so many seconds have passed since the last for which there was no room.
LARGE: Final = 3.0
RESERVE_SECONDS: Final = 2.0
MEASURES_PER_SECOND = 2.0


class Schedule:
    """Which rows of a batch are due.

    Args:
        slots: number of slots.
        arithmetic: where it runs.
        interval: media seconds between two measures.
        loss, gain: share by which what is watched may have fallen or risen since the last measure.
        rate: most measures per media second in the long run; MEASURES_PER_SECOND unless given.
        watches: the gradient shows a change; without, only time does.
        slack, part: what is watched beside it may have changed by so much, and this share of it.
        beside: its column; None where nothing is.
        sign: the column of what is 0 as a rule; None where nothing is watched so.
        rise: a sign that is so much above twice what it was makes the measure due at once.
    """

    def __init__(
        self,
        slots: int,
        arithmetic: Arithmetic,
        *,
        interval: float,
        loss: float,
        gain: float,
        rate: float | None = None,
        watches: bool = True,
        slack: float = float("inf"),
        part: float = 0.0,
        beside: int | None = None,
        sign: int | None = None,
        rise: float = 0.0,
    ) -> None:
        self.watches = watches
        self.looked: Any = None
        """The rows that are due, where `Together` found that out; else None."""
        self._xp, self._on_host = arithmetic.xp, arithmetic.on_host
        self._usual = interval, gain
        self._wanted_by: set[int] = set()  # slots
        self.loss, self.rate = loss, MEASURES_PER_SECOND if rate is None else rate
        self.slack, self.part, self.beside = slack, part, beside
        self.sign, self.rise = sign, rise
        # A view: asking a tensor for it costs as much as the arithmetic itself.
        self.state = arithmetic.view(torch.zeros((slots, len(When)), dtype=torch.float64, device=arithmetic.device))
        """(slots, len(When)) float64."""

    def open_slot(self, slot: int, wanted: bool) -> None:
        """A stream moves in; `wanted`: a detector of it needs the measure."""
        (self._wanted_by.add if wanted else self._wanted_by.discard)(slot)
        own = self.state[slot]
        own[When.WANTED] = wanted
        own[When.AT] = torch.nan
        own[When.INTERVAL], own[When.GAIN] = self._usual
        own[When.CREDIT] = BURST
        own[When.BESIDE] = own[When.RESERVED] = torch.nan
        own[When.SIGN] = 0.0

    @property
    def runs(self) -> bool:
        """Whether a slot needs the measure."""
        return bool(self._wanted_by)

    def due(self, slots: Any, pts: Any, watched: Any, beside: Any = None, sign: Any = None) -> Any | None:
        """The rows whose time has come; they count as measured from now on.

        Args:
            slots: (N,) int64, all different.
            pts: (N,) float64, media seconds.
            watched: (N,) float64: what shows a change, at small cost.
            beside: (N,) float64: what shows others; NaN where it is not known.
            sign: (N,) float64: of what begins; NaN where it is not known.
        Returns: (N,) bool; None where none is and that is known without waiting for the device.
        """
        if not self._wanted_by:
            return None
        if self.looked is not None:
            due, self.looked = self.looked, None
            return due
        if self._on_host:
            due = np.empty(len(slots), np.bool_)
            beside = watched if beside is None else beside
            sign = np.zeros_like(watched) if sign is None else sign
            count = host.due_rows(
                self.state, self.loss, BURST, RESERVE_SECONDS, LARGE, self.rate, slots, pts, watched, beside,
                self.slack, self.part, sign, self.rise, due,
            )  # fmt: skip
            return due if count else None
        xp, state = self._xp, self.state
        own = state[slots]
        before, since = own[:, When.WATCHED], own[:, When.AT]
        rested = abs(pts - since)  # NaN where it was never measured
        same = (watched >= (1 - self.loss) * before) & (watched <= (1 + own[:, When.GAIN]) * before)
        beside = watched if beside is None else beside
        changed = abs(beside - own[:, When.BESIDE]) > self.slack + self.part * own[:, When.BESIDE]
        gain = LARGE * own[:, When.GAIN]
        large = ~((watched >= (1 - LARGE * self.loss) * before) & (watched <= (1 + gain) * before)) | changed
        if sign is not None:
            large = large | (sign > self.rise + 2.0 * own[:, When.SIGN])
        room = own[:, When.CREDIT] + rested * self.rate
        waits = rested < own[:, When.INTERVAL]
        reserved = large & waits & (room < 1) & ~(abs(pts - own[:, When.RESERVED]) < RESERVE_SECONDS)  # NaN too
        due = (own[:, When.WANTED] != 0) & ~(waits & ~reserved & ((same & ~large) | (room < 1)))
        state[slots, When.RESERVED] = xp.where(due & reserved, pts, own[:, When.RESERVED])
        state[slots, When.CREDIT] = xp.where(due, xp.where(room < BURST, room, BURST) - 1, own[:, When.CREDIT])
        state[slots, When.AT] = xp.where(due, pts, since)
        state[slots, When.WATCHED] = xp.where(due, watched, before)
        state[slots, When.BESIDE] = xp.where(due, beside, own[:, When.BESIDE])
        if sign is not None:
            now = xp.where(sign > 0, sign, 0.0)  # NaN too
            state[slots, When.SIGN] = xp.where(due, now, own[:, When.SIGN])
        return due

    def pace(self, slots: Any, due: Any, chosen: Any, *, interval: Any, gain: float, granted: Any = None) -> None:
        """Of the rows that were due: those that are `chosen`, (N,) bool, are measured at another interval from now on.

        Args:
            slots, due: of the rows.
            chosen: the others have the usual interval and gain.
            interval, gain: of these, as at construction; the interval may be (N,).
            granted: (N,) bool: there is room for a measure of these at once, whatever was measured before.
        """
        where, own = self._xp.where, self.state[slots]
        # Of two numbers of Python's torch would make float32.
        usual_interval, usual_gain = (self._xp.zeros_like(own[:, 0]) + usual for usual in self._usual)
        self.state[slots, When.INTERVAL] = where(due, where(chosen, interval, usual_interval), own[:, When.INTERVAL])
        self.state[slots, When.GAIN] = where(due, where(chosen, gain, usual_gain), own[:, When.GAIN])
        if granted is not None:
            self.state[slots, When.CREDIT] = where(due & granted, BURST, own[:, When.CREDIT])


class ScheduledPart(Part, Protocol):
    """A part that is not measured of every picture."""

    schedule: Schedule


class Together:
    """The schedules of all parts on the host, asked at once: to ask each takes longer than the answer.

    Args:
        schedules: whose `due` then says what was found of the same rows. Their states become one table.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = tuple(schedules)
        states = np.stack([schedule.state for schedule in schedules])
        for schedule, own in zip(schedules, states, strict=True):
            schedule.state = own
        settings = [
            (s.loss, s.rate, s.watches, s.slack, s.part, *(-1 if k is None else k for k in (s.beside, s.sign)), s.rise)
            for s in schedules
        ]
        self.tables = states, np.array(settings, np.float64)
        """As `host.due_of_all` takes them."""

    def room(self, rows: int) -> Any:
        """(P, N) bool, for which schedules the rows are due: to be filled."""
        return np.empty((len(self._schedules), rows), np.bool_)

    def looked(self, found: int, due: Any) -> None:
        """Hand each schedule what was found.

        Args:
            found: bit p is set where rows are due for the p-th.
            due: which.
        """
        for part, schedule in enumerate(self._schedules):
            if found >> part & 1:
                schedule.looked = due[part]
