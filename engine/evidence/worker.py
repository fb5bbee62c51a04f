"""Makes evidence beside the hot loop: encodes pictures, cuts clips, and hands each piece over.

Run by: one thread per engine, started with it. It owns nothing but the task at hand; the engine's loop puts tasks into
a bounded queue and never waits, except where it is told to (a check of files, which has the time). It ends at `stop`,
with what is queued if there is time. A task that fails costs its piece of evidence, is counted and logged; a bug in one
as well.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from engine.errors import AvjuryError
from engine.queues import Bell, BoundedQueue

EvidenceKind = Literal["thumbnail", "clip", "series", "overlay"]
Sink = Callable[[str, EvidenceKind, bytes | Path], None]
"""Takes the engine's incident id, the kind, and the bytes or a file that is handed over; called from one thread."""

QUEUE_TASKS: Final = 64
_IDLE_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class EvidenceCounters:
    """What was made of evidence.

    Args:
        thumbnails, overlays, clips, series: handed over.
        dropped: not made, because the worker was busy.
        failed: could not be made.
        bytes: of all pieces.
    """

    thumbnails: int = 0
    overlays: int = 0
    clips: int = 0
    series: int = 0
    dropped: int = 0
    failed: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One piece of evidence that is to be made.

    Args:
        incident_id: the engine's own.
        stream: whose incident it is, for the log.
        kind: of the piece.
        make: makes it; None if there is nothing to show.
    """

    incident_id: str
    stream: str
    kind: EvidenceKind
    make: Callable[[], bytes | Path | None]


class EvidenceWorker:
    """The worker of one engine.

    Args:
        sink: who gets the pieces.
        patient: `submit` waits for a free place; else it says that there is none.
    """

    def __init__(self, sink: Sink, *, patient: bool = False) -> None:
        self.counters = EvidenceCounters()
        self._sink = sink
        self._patient = patient
        self._bell = Bell()
        self._tasks: BoundedQueue[Task] = BoundedQueue(QUEUE_TASKS, self._bell)
        self._stop = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, task: Task) -> bool:
        """Have a piece made.

        Returns: False if the queue is full; the caller counts it (`drop`), or tries again later.
        """
        if len(self._tasks) >= QUEUE_TASKS and not self._patient:
            return False
        self._tasks.put(task, self._end.is_set)
        return True

    def drop(self) -> None:
        """A piece was given up."""
        self.counters.dropped += 1

    def stop(self, drain_seconds: float) -> None:
        """Make what is queued, for at most so long, and end."""
        self._stop.set()
        self._bell.ring()
        self._thread.join(drain_seconds)
        self._end.set()
        self._thread.join(drain_seconds)
        self.counters.dropped += len(self._tasks.discard())

    def _run(self) -> None:
        while not self._end.is_set():
            rung = self._bell.rings
            task = self._tasks.take()
            if task is not None:
                self._make(task)
            elif self._stop.is_set():
                return
            else:
                self._bell.wait(rung, _IDLE_SECONDS)

    def _make(self, task: Task) -> None:
        began = time.monotonic()
        try:
            content = task.make()
            if content is None:
                return
            size = content.stat().st_size if isinstance(content, Path) else len(content)
            self._sink(task.incident_id, task.kind, content)
        except (AvjuryError, OSError) as error:
            self.counters.failed += 1
            why = error.line() if isinstance(error, AvjuryError) else str(error)
            log.warning("%s: no %s of incident %s: %s", task.stream, task.kind, task.incident_id, why)
            return
        except Exception:
            self.counters.failed += 1
            log.exception("%s: a bug cost the %s of incident %s", task.stream, task.kind, task.incident_id)
            return
        self.counters.bytes += size
        if task.kind == "clip":
            self.counters.clips += 1
        elif task.kind == "series":
            self.counters.series += 1
        elif task.kind == "overlay":
            self.counters.overlays += 1
        else:
            self.counters.thumbnails += 1
        log.debug("%s: %s of %s took %.3f s", task.stream, task.kind, task.incident_id, time.monotonic() - began)
