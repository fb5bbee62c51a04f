"""The verdict store: every judged second of every stream, as Parquet in a directory or an object store.

Run by: two threads of its own in the supervisor. The *writer* takes seconds from a bounded queue, appends them to the
spool's log and turns finished logs into parts; the *sender* brings parts to the store in their order, merges the parts
of finished hours, and deletes what is too old. Each owns its side of the spool (engine/store/spool.py). They end at
`stop`: the writer when the queue is empty and its log is a part, the sender when nothing waits or the time is up; what
is left then is on disk, and goes on at the next start. A full disk, a dead disk or a store that is away is retried for
ever, and shown; an error of another kind ends neither thread, and is logged with its traceback.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.errors import StoreError
from engine.queues import Bell, BoundedQueue
from engine.settings.storage import StorageSection
from engine.store.objects import REQUEST_SECONDS, Objects, open_objects
from engine.store.second_rows import SecondRow, row_of
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep
from engine.store.verdict_sender import Sender
from engine.verdicts import StreamSecond

# Folders of the data folder.
VERDICTS: Final = "verdicts"
SPOOL: Final = "spool"
EVIDENCE: Final = "evidence"
# Ten minutes of 300 streams: what a disk may refuse to take before anything is lost.
QUEUE_SECONDS: Final = 180_000
# How long a second may wait in memory before it is with the operating system, and before it is on the disk.
WRITE_EVERY_SECONDS: Final = 0.25
SYNC_EVERY_SECONDS: Final = 1.0
_BATCH: Final = 4096
_MOST_LOG_BYTES: Final = 32 << 20
_RETRY_SECONDS: Final = (0.25, 4.0)
# Runs of streams whose last second is remembered, to take no second twice.
_REMEMBERED_SESSIONS: Final = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """Where stream-seconds go.

    Args:
        place: a directory, or a URL (`s3://bucket/prefix`, `gs://`, `az://`).
        spool: folder for what is not there yet; of this process alone.
        options: of an object store.
        spool_bytes: most that the spool may hold.
        flush_seconds: how long a second stays in the spool's log before it is part of a file.
        retention_days: older dates are deleted; None keeps all.
        request_seconds: limit for one request to an object store.
        evidence: the folder of evidence, of which dates older than `evidence_days` are deleted; None leaves it alone.
        evidence_days: None keeps all.
    """

    place: str | Path
    spool: Path
    options: dict[str, str] = field(default_factory=dict, repr=False)
    spool_bytes: int = 2 << 30
    flush_seconds: float = 60.0
    retention_days: int | None = 90
    request_seconds: float = REQUEST_SECONDS
    evidence: Path | None = None
    evidence_days: int | None = 30

    @classmethod
    def of(cls, storage: StorageSection, data: Path) -> "VerdictSettings":
        """What the configuration's section says, in a data folder."""
        return cls(
            place=data / VERDICTS if storage.verdicts is None else storage.verdicts,
            spool=data / SPOOL,
            options=storage.options,
            spool_bytes=storage.spool_bytes,
            flush_seconds=storage.flush_seconds,
            retention_days=storage.retention_days,
            evidence=data / EVIDENCE,
            evidence_days=storage.evidence_days,
        )


@dataclass(slots=True)
class WriterCounters:
    """What the writer did since the process began.

    Args:
        put_seconds: handed over.
        dropped_seconds: not taken, because the disk had refused for so long that the queue was full.
        repeated_seconds: not taken, because that second of that session was there already.
        written_seconds: in the log: a process that is killed keeps them.
        synced_seconds: of those, on the disk: a power cut keeps them.
        write_failures: attempts that the disk refused.
    """

    put_seconds: int = 0
    dropped_seconds: int = 0
    repeated_seconds: int = 0
    written_seconds: int = 0
    synced_seconds: int = 0
    write_failures: int = 0


class VerdictStore:
    """Takes stream-seconds for ever. `put` and `snapshot` may be called from any one thread each.

    Args:
        settings: where they go.
        clock: Unix seconds.
        objects: the store itself; made from the settings unless given.
    Raises: StoreError if the spool cannot be used; ConfigError for a place that is none.
    """

    def __init__(
        self, settings: VerdictSettings, *, clock: Callable[[], float] = time.time, objects: Objects | None = None
    ) -> None:
        self.settings = settings
        self.counters = WriterCounters()
        self._bell = Bell()
        self._queue: BoundedQueue[SecondRow] = BoundedQueue(QUEUE_SECONDS, self._bell)
        self._spool = Spool(settings.spool, settings.spool_bytes)
        store = objects
        if store is None:
            store = open_objects(settings.place, settings.options, settings.request_seconds)
        upkeep = Upkeep(store, self._spool, settings.retention_days, clock, settings.evidence, settings.evidence_days)
        self._sender = Sender(store, self._spool, upkeep)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verdict writer")
        self._drain_until = 0.0  # monotonic
        self._last: dict[tuple[str, str], int] = {}
        self._problem: str | None = None

    def start(self) -> None:
        """Begin to write and send; first what an earlier process left."""
        self._thread.start()
        self._sender.start()

    def put(self, second: StreamSecond, session: str, at: float) -> bool:
        """Hand a judged second over; never waits.

        Args:
            second: the seconds of one session come in order.
            session: of the stream's run.
            at: Unix seconds at which it was played.
        Returns: whether it was taken; False if it was there already, or the queue is full.
        """
        self.counters.put_seconds += 1
        run = (second.stream, session)
        if second.second <= self._last.get(run, -1):
            self.counters.repeated_seconds += 1
            return False
        if len(self._queue) >= QUEUE_SECONDS or self._stop.is_set():
            self.counters.dropped_seconds += 1
            return False
        self._last.pop(run, None)  # to the end of the table: the oldest run is forgotten first
        self._last[run] = second.second
        if len(self._last) > _REMEMBERED_SESSIONS:
            del self._last[next(iter(self._last))]
        self._queue.put(row_of(second, session, at), self._stop.is_set)
        return True

    def problem(self) -> str | None:
        """Why seconds cannot be kept now, for people; None while they can. A store that is away is no such reason."""
        return self._problem

    def snapshot(self) -> dict[str, int]:
        """Counters and states as plain integers, for metrics (docs/verdicts.md tells each)."""
        writer, spool, sender = self.counters, self._spool.counters, self._sender.counters
        oldest = self._spool.oldest_at()
        return {
            "put_seconds": writer.put_seconds,
            "written_seconds": writer.written_seconds,
            "synced_seconds": writer.synced_seconds,
            "repeated_seconds": writer.repeated_seconds,
            "queue_dropped_seconds": writer.dropped_seconds,
            "write_failures": writer.write_failures,
            "queued_seconds": len(self._queue),
            "spool_bytes": self._spool.bytes,
            "spool_parts": len(self._spool.waiting()),
            "spool_dropped_seconds": spool.dropped_seconds,
            "spool_dropped_parts": spool.dropped_parts,
            "spool_damaged_bytes": spool.damaged_bytes,
            "spool_recovered_seconds": spool.recovered_seconds,
            "spool_oldest_at": 0 if oldest is None else int(oldest),
            "sent_parts": sender.parts,
            "sent_bytes": sender.bytes,
            "send_failures": sender.failures,
            "store_up": int(sender.up),
            "merged_parts": sender.merged_parts,
            "expired_files": sender.expired_files,
        }

    def stop(self, drain_seconds: float = 8.0) -> bool:
        """Write what is queued, send what waits, and end.

        Args:
            drain_seconds: longest wait for both; what is not sent then stays in the spool.
        Returns: whether everything is with the store.
        """
        if self._thread.ident is None:  # it was never started
            self._spool.close()
            return not self._spool.bytes
        deadline = self._drain_until = time.monotonic() + drain_seconds
        self._stop.set()
        self._bell.ring()
        self._thread.join(drain_seconds + _RETRY_SECONDS[0])
        drained = self._sender.stop(max(0.1, deadline - time.monotonic()))
        if not self._thread.is_alive():
            self._spool.close()
            return drained and not self._spool.bytes
        log.error("the verdict writer does not end; what it holds is lost if the disk does not answer")
        return False

    def _run(self) -> None:
        batch: list[SecondRow] = []
        log_began = synced = time.monotonic()
        retry = _RETRY_SECONDS[0]
        made = False
        while True:
            stopping = self._stop.is_set()
            rung = self._bell.rings
            try:
                if not made:  # what an earlier process left; again after a failure
                    self._spool.make_parts()
                    self._sender.wake()
                    made = True
                batch = batch or self._take()
                if batch:
                    if not self._spool.log_bytes:
                        log_began = time.monotonic()
                    self._spool.append(batch)
                    self.counters.written_seconds += len(batch)
                    batch = []
                now = time.monotonic()
                empty = stopping and not len(self._queue)
                if now - synced >= SYNC_EVERY_SECONDS or empty:
                    self._spool.sync()
                    self.counters.synced_seconds = self.counters.written_seconds
                    synced = now
                if self._spool.log_bytes and (
                    empty or now - log_began >= self.settings.flush_seconds or self._spool.log_bytes > _MOST_LOG_BYTES
                ):
                    self._spool.finish_log()
                    made = False
                    continue
                self._spool.bound()
                self._problem, retry = None, _RETRY_SECONDS[0]
                if empty:
                    return
            except (OSError, StoreError) as error:
                self._fails(error)
                if stopping and time.monotonic() >= self._drain_until:
                    log.error("%d stream-seconds could not be written", len(batch) + len(self._queue))
                    return
                time.sleep(min(retry, 0.1)) if stopping else self._stop.wait(retry)
                retry = min(2 * retry, _RETRY_SECONDS[1])
                continue
            except Exception:
                log.exception("the verdict writer met a bug; it goes on")
                batch = []
                self._stop.wait(_RETRY_SECONDS[1])
                continue
            if not stopping and len(self._queue) < _BATCH:
                self._bell.wait(rung, WRITE_EVERY_SECONDS)
                # Rung at every second of every stream: a write for each would be hundreds per second.
                self._stop.wait(WRITE_EVERY_SECONDS)

    def _take(self) -> list[SecondRow]:
        taken: list[SecondRow] = []
        while len(taken) < _BATCH and (row := self._queue.take()) is not None:
            taken.append(row)
        return taken

    def _fails(self, error: OSError | StoreError) -> None:
        self.counters.write_failures += 1
        why = error.line() if isinstance(error, StoreError) else (error.strerror or os.strerror(error.errno or 0))
        problem = f"the spool of verdicts cannot be written: {why}"
        if problem != self._problem:
            log.error("%s (trying again)", problem)
        self._problem = problem
