"""The names of the files of stream-seconds. A name alone says what is in a file, and what it takes the place of.

    date=2026-11-27/hour=22/part-220500-1f0c9a2b-00000041-00000041.parquet

The date and hour (UTC) in which its seconds were played, the time of day of the first of them, who wrote it, and the
first and last number of the batches of that writer that are in it. A batch is written once under one name, so writing
it again changes nothing. A file whose numbers span those of others of the same writer and hour holds their rows too:
whoever lists files leaves those out (`newest`), so that no moment exists in which a row is there twice or not at all.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_NAME: Final = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/part-(\d{6})-([0-9a-f]{8})-(\d{8,})-(\d{8,})\.parquet\Z")
HOUR_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A file of stream-seconds; sorted by time, then by number.

    Args:
        date: ISO 8601, UTC.
        hour: 0 to 23, UTC.
        begins: "hhmmss" of its first second, UTC.
        writer: 8 hex digits.
        first, last: the batches of that writer that are in it.
    """

    date: str
    hour: int
    begins: str
    first: int
    last: int
    writer: str

    @property
    def folder(self) -> str:
        """Where it lies."""
        return folder(self.date, self.hour)

    @property
    def name(self) -> str:
        """Its path below the store's root."""
        return f"{self.folder}/part-{self.begins}-{self.writer}-{self.first:08d}-{self.last:08d}.parquet"

    @property
    def hour_begins(self) -> float:
        """Unix second at which its hour began."""
        return datetime.fromisoformat(self.date).replace(hour=self.hour, tzinfo=UTC).timestamp()

    def within(self, since: float | None, until: float | None) -> bool:
        """Whether it may hold seconds played in [since, until), Unix seconds."""
        begins = self.hour_begins
        return (since is None or begins + HOUR_SECONDS > since) and (until is None or begins < until)


def folder(date: str, hour: int) -> str:
    """The folder of an hour."""
    return f"date={date}/hour={hour:02d}"


def parse(name: str) -> Part | None:
    """The part of a path below the store's root; None for anything else that lies there."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    date, hour, begins, writer, first, last = match.groups()
    return Part(date, int(hour), begins, int(first), int(last), writer)


def part_of(batch: int, writer: str, times: Iterable[float]) -> Part:
    """The part for the rows of one batch that were played at `times`, Unix seconds of one hour."""
    begins = datetime.fromtimestamp(min(times), UTC)
    return Part(begins.date().isoformat(), begins.hour, begins.strftime("%H%M%S"), batch, batch, writer)


def newest(parts: Iterable[Part]) -> list[Part]:
    """Those that no other one takes the place of, in order."""
    groups: defaultdict[tuple[str, int, str], list[Part]] = defaultdict(list)
    for part in parts:
        groups[part.date, part.hour, part.writer].append(part)
    kept = []
    for group in groups.values():
        until = -1
        # The widest of those that begin together comes first; what ends no later than it is within it.
        for part in sorted(group, key=lambda one: (one.first, -one.last)):
            if part.last > until:
                kept.append(part)
                until = part.last
    return sorted(kept)


def dates(since: float, until: float) -> list[str]:
    """Every UTC date that has a moment in [since, until), Unix seconds."""
    day, last = (datetime.fromtimestamp(at, UTC).date() for at in (since, max(since, until - 1e-3)))
    found = []
    while day <= last:
        found.append(day.isoformat())
        day += timedelta(days=1)
    return found
