"""What was found between two ticks, and the rows of measures that it makes.

A row says something of one measure only, at its own times, so that incidents begin and end at the packet that was bad
and not at the tick. Everything comes from packets in demux order, so it is the same on every run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Nearer together than this, two single events are one: an incident's identity counts in milliseconds.
_SAME_SECONDS: Final = 0.001
# Shorter absences need no row of their own: no duration of a detector is shorter.
_SHORT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Measures of a stretch of media time.

    Args:
        start, end: media seconds.
        values: by column; columns that are not there say nothing.
        causes: what a value means, in words, by column.
    """

    start: float
    end: float
    values: Mapping[str, float]
    causes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Event:
    at: float
    until: float
    cause: str


@dataclass(slots=True)
class Occurrences:
    """Events of one column, counted per tick.

    Args:
        column: the measure.
        single: each event is an incident of its own that is over at once; else those of a tick are one row.
    """

    column: str
    single: bool = False
    _waiting: list[_Event] = field(default_factory=list)

    def add(self, at: float, cause: str, until: float | None = None) -> None:
        """Something happened at media second `at`, and lasted until another; at once if that is not given."""
        at = max(0.0, at)
        self._waiting.append(_Event(at, at if until is None else max(at, until), cause))

    def rows(self, start: float, end: float, *, last: bool) -> list[Row]:
        """The rows of the tick from `start` to `end`; at the last one nothing stays behind."""
        due = [e for e in self._waiting if last or e.at < end]
        if not due:
            return [Row(start, end, {self.column: 0.0})]
        self._waiting = [] if last else [e for e in self._waiting if e.at >= end]
        if last:  # nothing is later than the end
            due = [_Event(min(e.at, end), min(e.until, end), e.cause) for e in due]
        due.sort(key=lambda e: e.at)
        rows: list[Row] = []
        for group in self._groups(due):
            first, final = group[0].at, max(e.until for e in group)
            cause = "; ".join(dict.fromkeys(e.cause for e in group)) if self.single else group[0].cause
            rows.append(Row(first, final, {self.column: float(len(group))}, {self.column: cause}))
            rows.append(Row(final, final if self.single else max(end, final), {self.column: 0.0}))
        return rows

    def _groups(self, due: list[_Event]) -> list[list[_Event]]:
        if not self.single:
            return [due]
        groups = [[due[0]]]
        for event in due[1:]:
            if event.at - groups[-1][0].at < _SAME_SECONDS:
                groups[-1].append(event)
            else:
                groups.append([event])
        return groups


@dataclass(slots=True)
class Absence:
    """Something that has to come again and again; its measure is for how long it has not (OnsetRule.BACKDATED).

    Args:
        column: the measure.
        due_seconds: after so many without it, a row is due at once: the detector may open.
    """

    column: str
    due_seconds: float
    last: float | None = None
    _due: bool = True
    _rows: list[Row] = field(default_factory=list)

    def seen(self, at: float) -> None:
        """It came at media second `at`."""
        if self.last is not None and at - self.last >= _SHORT_SECONDS:
            self._rows.append(Row(at, at, {self.column: at - self.last}))
            self._rows.append(Row(at, at, {self.column: 0.0}))
        self.last = at if self.last is None else max(at, self.last)
        self._due = True

    def rows(self, now: float) -> list[Row]:
        """The rows up to media second `now`, from when on nothing is known yet."""
        rows, self._rows = self._rows, []
        if self.last is not None and now >= self.last:
            rows.append(Row(now, now, {self.column: now - self.last}))
        return rows

    def due(self, now: float) -> list[Row]:
        """The row at media second `now`, once, if it is the first at which it has been gone for long."""
        if not self.is_due(now):
            return []
        self._due = False
        return self.rows(now)

    def is_due(self, now: float) -> bool:
        """Whether `due` has a row."""
        return now >= self.due_at

    @property
    def due_at(self) -> float:
        """Media second from which on `due` has a row, as far as is known now."""
        return self.last + self.due_seconds if self._due and self.last is not None else math.inf


def in_order(rows: list[Row]) -> list[Row]:
    """The rows by the time at which they are known, those with the same times put together: each is a call."""
    result: list[Row] = []
    for row in sorted(rows, key=lambda r: (r.end, r.start)):
        before = result[-1] if result else None
        if before is None or (before.start, before.end) != (row.start, row.end) or before.values.keys() & row.values:
            result.append(row)
        else:
            result[-1] = Row(row.start, row.end, {**before.values, **row.values}, {**before.causes, **row.causes})
    return result
