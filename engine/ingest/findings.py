"""What was found between two ticks, and the rows of measures that it makes.

A row says something of one measure only, at its own times, so that incidents begin and end at the packet that was bad
and not at the tick. Everything comes from packets in demux order, so it is the same on every run.
"""

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


@dataclass(slots=True)
class Occurrences:
    """Events of one column, counted per tick.

    Args:
        column: the measure.
        single: each event is an incident of its own that is over at once; else those of a tick are one row.
    """

    column: str
    single: bool = False
    _waiting: list[tuple[float, int, str]] = field(default_factory=list)

    def add(self, at: float, cause: str, count: int = 1) -> None:
        """Something happened at media second `at`."""
        self._waiting.append((max(0.0, at), count, cause))

    def rows(self, start: float, end: float, *, last: bool) -> list[Row]:
        """The rows of the tick from `start` to `end`; at the last one nothing stays behind."""
        due = sorted((min(e[0], end), e[1], e[2]) for e in self._waiting if last or e[0] < end)
        if not due:
            return [Row(start, end, {self.column: 0.0})]
        self._waiting = [] if last else [e for e in self._waiting if e[0] >= end]
        rows: list[Row] = []
        for group in self._groups(due):
            first, final = group[0][0], group[-1][0]
            cause = "; ".join(dict.fromkeys(text for _, _, text in group)) if self.single else group[0][2]
            rows.append(Row(first, final, {self.column: float(sum(n for _, n, _ in group))}, {self.column: cause}))
            rows.append(Row(final, max(end, final) if group is due else final, {self.column: 0.0}))
        return rows

    def _groups(self, due: list[tuple[float, int, str]]) -> list[list[tuple[float, int, str]]]:
        if not self.single:
            return [due]
        groups = [[due[0]]]
        for event in due[1:]:
            if event[0] - groups[-1][0][0] < _SAME_SECONDS:
                groups[-1].append(event)
            else:
                groups.append([event])
        return groups


@dataclass(slots=True)
class Absence:
    """Something that has to come again and again; its measure is for how long it has not.

    Args:
        column: the measure.
    """

    column: str
    last: float | None = None
    _rows: list[Row] = field(default_factory=list)

    def seen(self, at: float) -> None:
        """It came at media second `at`."""
        if self.last is not None and at - self.last >= _SHORT_SECONDS:
            self._rows.append(Row(self.last, at, {self.column: at - self.last}))
            self._rows.append(Row(at, at, {self.column: 0.0}))
        self.last = at if self.last is None else max(at, self.last)

    def rows(self, now: float) -> list[Row]:
        """The rows up to media second `now`, from when on nothing is known yet."""
        rows, self._rows = self._rows, []
        if self.last is not None and now >= self.last:
            rows.append(Row(self.last, now, {self.column: now - self.last}))
        return rows


