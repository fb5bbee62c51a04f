"""Reads stream-seconds back: from the store, and from the spool what is not there yet.

Any thread or process may read while others write. Names tell which files are current (engine/store/parts.py); a file
that was merged or deleted between being listed and being read makes the reader begin again.
"""

import contextlib
import heapq
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import QueryError, StoreError
from engine.store import cursor as cursors
from engine.store import parts
from engine.store.directory import Directory
from engine.store.objects import NotThere, Objects, Stored
from engine.store.parts import HOUR_SECONDS, Part
from engine.store.records import Page
from engine.store.second_rows import SecondRow, rows_of
from engine.store.spool import READY, logs_in, rows_in
from engine.store.spool_log import read_log

# Without `since`, what happened just now is meant.
DEFAULT_SPAN_SECONDS: Final = 3600.0
MOST_ON_A_PAGE: Final = 10_000
_ATTEMPTS: Final = 4
# An object store answers in tens of milliseconds; a busy hour's parts are fetched side by side.
_READERS: Final = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A current file, and where it lies."""

    part: Part
    stored: Stored
    objects: Objects


class VerdictReader:
    """Reads what a verdict store has written.

    Args:
        objects: the store.
        spool: the spool's folder, of this or another process; None where it is on another machine.
        clock: Unix seconds.
    """

    def __init__(self, objects: Objects, spool: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.objects = objects
        self._spool = spool
        self._clock = clock

    def seconds(
        self,
        stream: str,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page[SecondRow]:
        """One stream's seconds in the order in which they were played.

        Args:
            since, until: Unix seconds; played in [since, until). Without `since` the hour before `until`, without
                `until` up to now.
            limit: most on a page, up to MOST_ON_A_PAGE.
            cursor: `next` of the page before.
        Raises: QueryError for a wrong limit or cursor; StoreError if the store is away.
        """
        if not 1 <= limit <= MOST_ON_A_PAGE:
            raise QueryError("wrong limit", why=f"{limit} is not in 1 to {MOST_ON_A_PAGE}", remedy="choose one in it")
        end = self._clock() + HOUR_SECONDS if until is None else until
        begin = since if since is not None else (self._clock() if until is None else until) - DEFAULT_SPAN_SECONDS
        after: tuple[Any, ...] | None = None
        if cursor is not None:
            after = cursors.decode(cursor, (float, str, int))
            begin = max(begin, float(after[0]))
        return self.again_if_changed(lambda: self._page(stream, begin, end, limit, after))

    def _page(
        self, stream: str, begin: float, end: float, limit: int, after: tuple[Any, ...] | None
    ) -> Page[SecondRow]:
        current, logged = self.current(begin, end)
        logged = [row for row in logged if row.stream == stream]
        rows: list[SecondRow] = []
        files: dict[tuple[str, int], list[Found]] = {}
        for found in current:
            files.setdefault((found.part.date, found.part.hour), []).append(found)
        hours = {*files, *(_hour(row.played_at) for row in logged)}
        with ThreadPoolExecutor(_READERS, "verdict reader") as pool:
            for hour in sorted(hours):
                of_hour = [row for row in logged if _hour(row.played_at) == hour]
                tables = pool.map(lambda found: _rows_of_stream(found, stream), files.get(hour, []))
                for row in heapq.merge(*(sorted(some, key=_order) for some in (*tables, of_hour)), key=_order):
                    wanted = begin <= row.played_at < end and (after is None or _order(row) > after)
                    if wanted:
                        rows.append(row)
                if len(rows) > limit:
                    break
        more = len(rows) > limit
        shown = tuple(rows[:limit])
        return Page(shown, cursors.encode(_order(shown[-1])) if more else None)

    def current(self, since: float | None = None, until: float | None = None) -> tuple[list[Found], list[SecondRow]]:
        """Where every second is, once: the files that may hold those played in [since, until), the oldest first, and
        the rows that are in no file yet.

        Args:
            since, until: Unix seconds.
        Raises: StoreError if the store is away.
        """
        logs, writer = self._logs(), self._writer()
        found: dict[Part, Found] = {}
        # The spool before the store, and its logs before its parts: a batch moves from one to the next.
        for objects in (*self._spooled(), self.objects):
            for stored in self._listed(objects, since, until):
                part = parts.parse(stored.name)
                if part is None or not part.within(since, until):
                    continue
                if objects is not self.objects and part.writer == writer and part.first in logs:
                    continue  # its log is complete, the parts that are made of it may not be
                found.setdefault(part, Found(part, stored, objects))
        files = [found[part] for part in parts.newest(found)]
        for file in files:
            if file.part.writer == writer:
                for number in [n for n in logs if file.part.first <= n <= file.part.last]:
                    del logs[number]  # it became parts while this was looking
        return files, [row for rows in logs.values() for row in rows]

    def _spooled(self) -> list[Objects]:
        return [Directory(self._spool / READY)] if self._spool is not None and (self._spool / READY).is_dir() else []

    def _writer(self) -> str | None:
        """Who writes from the spool; None where there is none."""
        if self._spool is None:
            return None
        try:
            return str(json.loads((self._spool / "state.json").read_bytes())["writer"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _logs(self) -> dict[int, list[SecondRow]]:
        """The rows of each of the spool's logs."""
        if self._spool is None or not self._spool.is_dir():
            return {}
        rows = {}
        for number, path in logs_in(self._spool):
            with contextlib.suppress(FileNotFoundError):  # it has become parts, which are listed after this
                rows[number] = rows_in(read_log(path).records)[0]
        return rows

    @staticmethod
    def _listed(objects: Objects, since: float | None, until: float | None) -> Iterator[Stored]:
        folders = objects.folders()
        if since is not None or until is not None:
            least = "" if since is None else f"date={parts.dates(since, since)[0]}"
            most = "~" if until is None else f"date={parts.dates(until, until)[0]}"
            folders = [folder for folder in folders if least <= folder <= most]
        for folder in folders:
            if folder.startswith("date="):
                yield from objects.walk(folder)

    def again_if_changed(self, read: Callable[[], T]) -> T:
        """Run something that lists and then reads files; again where a file went away in between."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(NotThere):
                return read()
        return read()


def _order(row: SecondRow) -> tuple[float, str, int]:
    return row.played_at, row.session, row.second


def _hour(at: float) -> tuple[str, int]:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.date().isoformat(), moment.hour


def _rows_of_stream(found: Found, stream: str) -> list[SecondRow]:
    """One stream's rows of a file, of which only the row groups that may hold it are read."""
    return rows_of(read_streams(found, [stream]))


def read_streams(found: Found, streams: Sequence[str] | None) -> pa.Table:
    """The rows of some streams of a file (None: of all).

    Raises: NotThere if the file has gone; StoreError if it cannot be read.
    """
    try:
        with pq.ParquetFile(found.objects.open(found.stored)) as file:
            if streams is None:
                return file.read()
            groups = [g for g in range(file.num_row_groups) if _may_hold(file.metadata.row_group(g), streams)]
            table = file.read_row_groups(groups)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            "a file of stream-seconds cannot be read",
            stream=found.stored.name,
            why=str(error).splitlines()[0],
            remedy=f"restore it, or move it out of {found.objects.place}",
        ) from error
    return table.filter(pc.is_in(table["stream"], pa.array(list(streams), pa.string())))


def _may_hold(group: Any, streams: Sequence[str]) -> bool:
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == "stream":
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return True
            return any(statistics.min <= stream <= statistics.max for stream in streams)
    return True


def parse_moment(text: str, now: float, *, end: bool = False) -> float:
    """A moment that a user wrote, as Unix seconds.

    Args:
        text: "2026-11-27", "2026-11-27T22:00", with an offset or in UTC; or how long ago: "90s", "30m", "6h", "7d".
        now: Unix seconds.
        end: a date alone means its end.
    Raises: QueryError.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] in units and text[:-1].replace(".", "", 1).isdigit():
        return now - float(text[:-1]) * units[text[-1]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            "wrong time",
            why=f"{text!r} is none",
            remedy="write 2026-11-27, 2026-11-27T22:00 (UTC unless an offset follows), or how long ago: 6h, 7d",
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if end and len(text) == 10:
        moment += timedelta(days=1)
    return moment.timestamp()
