"""What keeps the store of stream-seconds small: one file for each finished hour, and nothing older than it has to be.

Merging reads an hour's parts of this writer, writes one file whose name spans their numbers, and only then deletes
them; whoever reads in between leaves them out by that name (engine/store/parts.py).
"""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.store import parts
from engine.store.directory import Directory
from engine.store.objects import NotThere, Objects, Stored
from engine.store.parts import HOUR_SECONDS, Part
from engine.store.second_rows import SCHEMA, SORTED_BY, parquet_bytes
from engine.store.spool import Spool

EVERY_SECONDS: Final = 300.0
# Seconds of an hour may come so much later: flushing, a stream that lags.
_LATE_SECONDS: Final = 600.0
# An hour that was not merged within two days (the process was down) is found again only by deleting it in time.
_LOOK_BACK_SECONDS: Final = 2 * 86400.0
# Memory for one merge: rows of an hour beyond this stay in several files.
MOST_MERGED_ROWS: Final = 2_000_000
_DATE: Final = re.compile(r"(?:date=)?(\d{4}-\d\d-\d\d)\Z")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What one turn did."""

    merged_parts: int = 0
    expired_files: int = 0


class Upkeep:
    """Merging and retention for one writer.

    Args:
        objects: the store.
        spool: of the writer; an hour of which parts wait there is left alone.
        retention_days: whole UTC dates older than this are deleted; None keeps all.
        clock: Unix seconds.
        evidence: the folder of evidence, a folder for each date in it; None leaves it alone.
        evidence_days: as `retention_days`.
    """

    def __init__(
        self,
        objects: Objects,
        spool: Spool,
        retention_days: int | None,
        clock: Callable[[], float] = time.time,
        evidence: Path | None = None,
        evidence_days: int | None = None,
    ) -> None:
        self._evidence = evidence
        self._evidence_days = evidence_days
        self._objects = objects
        self._spool = spool
        self._retention_days = retention_days
        self._clock = clock
        self._due = 0.0  # monotonic
        self._left_alone: set[str] = set()  # hours with a file that is damaged

    def turn(self, stopped: Callable[[], bool]) -> Done:
        """Do what is due, if it is time.

        Args:
            stopped: True gives up between two hours.
        Raises: StoreError if the store is away.
        """
        if time.monotonic() < self._due:
            return Done()
        merged = self.merge(stopped)
        expired = 0
        if self._retention_days is not None:
            expired = expire(self._objects, self._clock(), self._retention_days)
        if self._evidence is not None and self._evidence_days is not None and self._evidence.is_dir():
            expired += expire(Directory(self._evidence), self._clock(), self._evidence_days)
        self._due = time.monotonic() + EVERY_SECONDS
        pa.default_memory_pool().release_unused()  # Arrow keeps what a merge needed, until the next one
        return Done(merged, expired)

    def merge(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Merge every hour that is over.

        Returns: how many parts were replaced.
        Raises: StoreError.
        """
        now = self._clock()
        hours: defaultdict[tuple[str, int], list[tuple[Part, Stored]]] = defaultdict(list)
        for date in parts.dates(now - _LOOK_BACK_SECONDS, now):
            for stored in self._objects.walk(f"date={date}"):
                part = parts.parse(stored.name)
                if part is not None and part.writer == self._spool.writer:
                    hours[part.date, part.hour].append((part, stored))
        busy = {(part.date, part.hour) for part in self._spool.waiting()}
        merged = 0
        for hour, found in sorted(hours.items()):
            over = found[0][0].hour_begins + HOUR_SECONDS + _LATE_SECONDS <= now
            left_alone = found[0][0].folder in self._left_alone
            if len(found) < 2 or not over or hour in busy or left_alone or stopped():
                continue
            merged += self._merge_hour(found)
        return merged

    def _merge_hour(self, found: Sequence[tuple[Part, Stored]]) -> int:
        """Put one file in the place of an hour's parts."""
        current = set(parts.newest(part for part, _ in found))
        files = sorted((part, stored) for part, stored in found if part in current)
        if len(files) > 1:
            tables = []
            for _, stored in files:
                try:
                    # Not `read_table`: it loads Arrow's datasets, 20 MB of code for as long as this process runs.
                    tables.append(pq.ParquetFile(self._objects.open(stored)).read(use_threads=False))
                except NotThere:
                    return 0  # its date was deleted meanwhile
                except (pa.ArrowException, OSError) as error:
                    log.error("%s cannot be read (%s); its hour is not merged", stored.name, error)
                    self._left_alone.add(files[0][0].folder)
                    return 0
            rows = sum(table.num_rows for table in tables)
            if rows > MOST_MERGED_ROWS:
                return 0
            whole = pa.concat_tables(tables, promote_options="default")
            del tables
            order = pc.sort_indices(whole, sort_keys=[(name, "ascending") for name in SORTED_BY])
            whole = whole.take(order)
            if whole.schema.names == SCHEMA.names:
                whole = whole.cast(SCHEMA)
            first = files[0][0]
            span = Part(
                first.date,
                first.hour,
                min(part.begins for part, _ in files),
                min(part.first for part, _ in files),
                max(part.last for part, _ in files),
                first.writer,
            )
            self._objects.put(span.name, parquet_bytes(whole))
            current = {span}
        # Also what an earlier turn had replaced, but was killed before it could delete.
        replaced = [part.name for part, _ in found if part not in current]
        self._objects.delete(replaced)
        return len(replaced)


def expire(objects: Objects, now: float, days: int) -> int:
    """Delete every folder at the root named after a date (`date=2026-11-27`, `2026-11-27`) more than `days` days ago.

    Args:
        now: Unix seconds.
    Returns: how many files were deleted.
    Raises: StoreError.
    """
    oldest = (datetime.fromtimestamp(now, UTC).date() - timedelta(days=days)).isoformat()
    expired = 0
    for folder in objects.folders():
        match = _DATE.fullmatch(folder)
        if match is not None and match[1] < oldest:
            names = [stored.name for stored in objects.walk(folder)]
            objects.delete(names)
            expired += len(names)
            log.info("%s is older than %d days: %d files are deleted", folder, days, len(names))
    return expired
