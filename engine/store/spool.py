"""What is not with the store yet: seconds since the last flush as a log, and finished parts that wait to be sent.

    spool/state.json            who writes, and which batch numbers were used up
    spool/log-<batch>.log       seconds as they came; the youngest one is written to
    spool/ready/date=.../...    the parts of a finished log, under the names that they will have in the store

A batch goes one way: log, parts, store. Its log is deleted when all its parts are there, and only then are they sent;
so at any moment a batch is in its log, or in its parts, and a process that is killed goes on where it was.

Used by the two threads of the verdict store; one lock guards the tables. One process at a time has a spool.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq

from engine.errors import StoreError
from engine.store import parts
from engine.store.directory import Directory, sync_folder, write_durably
from engine.store.objects import Stored
from engine.store.parts import Part
from engine.store.second_rows import SecondRow, hour_of, pack, parquet_bytes, table_of, unpack
from engine.store.spool_log import LogWriter, read_log

# So many batch numbers are taken at a time, so that the state is not written at every one.
_NUMBERS_AT_ONCE: Final = 1000
_LOG: Final = re.compile(r"log-(\d{8,})\.log\Z")
READY: Final = "ready"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SpoolCounters:
    """What happened to seconds that were in the spool, since the process began.

    Args:
        dropped_seconds, dropped_parts: deleted unsent, the oldest first, because the spool was full.
        damaged_bytes: of logs, that belonged to no whole record.
        recovered_seconds: found in logs that a killed process had left.
    """

    dropped_seconds: int = 0
    dropped_parts: int = 0
    damaged_bytes: int = 0
    recovered_seconds: int = 0


class Spool:
    """The spool of one process.

    Args:
        folder: made if it is not there.
        most_bytes: of logs and parts together; beyond it the oldest are deleted.
    Raises: StoreError if the folder cannot be used, or another process has it.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.counters = SpoolCounters()
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._log: LogWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held = _hold(folder)
            self.writer, self._number = _load_state(folder)
            self._reserved = self._number
            self._logs = {number: path.stat().st_size for number, path in logs_in(folder)}
        except OSError as error:
            raise StoreError(
                "cannot use the spool",
                stream=str(folder),
                why=error.strerror or str(error),
                remedy="name a data directory that can be written to",
            ) from error
        self._ready = Directory(folder / READY)
        self._parts: dict[Part, int] = {}
        for stored in self._ready.walk():
            part = parts.parse(stored.name)
            if part is not None:
                self._parts[part] = stored.bytes
        # Nothing is appended to a log of a process that has ended: what its last bytes are is not known.
        self._left = set(self._logs)

    def append(self, rows: list[SecondRow]) -> None:
        """Add rows to the log: with the operating system when this returns, on the disk after `sync`.

        Raises: OSError; nothing was added then.
        """
        record = pack(rows)
        if self._log is None:
            self._open_log()
        assert self._log is not None
        self._log.append(record)
        with self._lock:
            self._logs[self._number] = self._log.bytes

    def _open_log(self) -> None:
        if self._number >= self._reserved:
            reserved = self._number + _NUMBERS_AT_ONCE
            state = json.dumps({"writer": self.writer, "used_up": reserved}).encode()
            write_durably(self._folder / "state.json", state)
            self._reserved = reserved
        self._log = LogWriter(self._path(self._number + 1))
        self._number += 1
        sync_folder(self._folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"log-{number:08d}.log"

    def sync(self) -> None:
        """Bring the log to the disk.

        Raises: OSError.
        """
        if self._log is not None:
            self._log.sync()

    @property
    def log_bytes(self) -> int:
        """Size of the log that is written to; 0 if there is none."""
        return 0 if self._log is None else self._log.bytes

    def finish_log(self) -> None:
        """The next rows begin another log.

        Raises: OSError if it cannot be brought to the disk.
        """
        if self._log is not None:
            self._log.sync()
            self._log.close()
            self._log = None

    def make_parts(self) -> None:
        """Turn every finished log into parts.

        Raises: OSError, StoreError; what was not done is done at the next call.
        """
        current = self._number if self._log is not None else None
        for number in sorted(self._logs):
            if number == current:
                continue
            content = read_log(self._path(number))
            rows, damaged = rows_in(content.records)
            damaged += content.damaged_bytes
            for part, content_bytes in parquet_parts(rows, number, self.writer):
                size = self._ready.put(part.name, content_bytes)
                with self._lock:
                    self._parts[part] = size
            if number in self._left:
                self.counters.recovered_seconds += len(rows)
                self._left.discard(number)
            if damaged:
                self.counters.damaged_bytes += damaged
                log.warning("%d bytes of %s belong to no whole record; they are left out", damaged, self._path(number))
            self._delete_log(number)

    def _delete_log(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)
        sync_folder(self._folder)
        with self._lock:
            del self._logs[number]

    def waiting(self) -> list[Part]:
        """The parts that may be sent, the oldest first."""
        with self._lock:
            return sorted(part for part in self._parts if part.first not in self._logs)

    def content(self, part: Part) -> bytes | None:
        """A part's file; None if it was deleted meanwhile because the spool was full.

        Raises: StoreError.
        """
        try:
            return self._ready.get(part.name)
        except StoreError:
            if part in self._parts:
                raise
            return None

    def sent(self, part: Part) -> None:
        """The store has it.

        Raises: StoreError if it cannot be deleted here; sending it again does no harm.
        """
        self._ready.delete([part.name])
        with self._lock:
            self._parts.pop(part, None)

    def bound(self) -> None:
        """Delete the oldest until the spool is no larger than it may be.

        Raises: StoreError.
        """
        while self.bytes > self._most_bytes:
            waiting = self.waiting()
            if not waiting:
                return  # logs are turned into parts first, which are a fraction of their size
            oldest = waiting[0]
            try:
                seconds = pq.read_metadata(self._ready.open(Stored(oldest.name, 0))).num_rows
            except (StoreError, OSError, ValueError):
                seconds = 0
            self.sent(oldest)
            self.counters.dropped_seconds += seconds
            self.counters.dropped_parts += 1
            log.error("the spool is full: %d stream-seconds from %s are lost (%s)", seconds, oldest.folder, oldest.name)

    @property
    def bytes(self) -> int:
        """Of all logs and parts."""
        with self._lock:
            return sum(self._logs.values()) + sum(self._parts.values())

    def oldest_at(self) -> float | None:
        """Unix second of the hour of the oldest part that waits; None if none does."""
        waiting = self.waiting()
        return waiting[0].hour_begins if waiting else None

    def close(self) -> None:
        """Let another process have the spool. Rows that are in no part stay in the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
        os.close(self._held)


def logs_in(folder: Path) -> list[tuple[int, Path]]:
    """The logs of a spool with their batch numbers, the oldest first."""
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _LOG.fullmatch(path.name))]
    return sorted(found)


def rows_in(records: tuple[bytes, ...]) -> tuple[list[SecondRow], int]:
    """The rows of a log's records, each second once, and the bytes of records that hold none."""
    found: dict[tuple[str, str, int], SecondRow] = {}
    damaged = 0
    for record in records:
        try:
            rows = unpack(record)
        except msgspec.DecodeError:
            damaged += len(record)
            continue
        for row in rows:
            found[row.key] = row
    return list(found.values()), damaged


def parquet_parts(rows: list[SecondRow], batch: int, writer: str) -> list[tuple[Part, bytes]]:
    """The files of a batch, one for each hour that it touches."""
    hours: defaultdict[tuple[str, int], list[SecondRow]] = defaultdict(list)
    for row in rows:
        hours[hour_of(row.played_at)].append(row)
    return [
        (parts.part_of(batch, writer, (row.played_at for row in some)), parquet_bytes(table_of(some)))
        for _, some in sorted(hours.items())
    ]


def _hold(folder: Path) -> int:
    """Take the spool for this process, until it closes the descriptor or ends."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError(
            "cannot use the spool",
            stream=str(folder),
            why="another process has it",
            remedy="give each service a data directory of its own",
        ) from error
    return descriptor


def _load_state(folder: Path) -> tuple[str, int]:
    """Who writes, and the highest batch number that may have been used."""
    file = folder / "state.json"
    known = max((number for number, _ in logs_in(folder)), default=0)
    try:
        state = json.loads(file.read_bytes())
        writer, used_up = state["writer"], state["used_up"]
        if re.fullmatch("[0-9a-f]{8}", writer) and isinstance(used_up, int) and used_up >= 0:
            return writer, max(used_up, known)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s); this spool goes on under another name", file, error)
    # Another name: a number that was used before must not name other rows.
    return secrets.token_hex(4), known
