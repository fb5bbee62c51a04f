"""Brings finished parts from the spool to the store.

Run by: a thread of its own, started and stopped by the verdict store. It owns the store's connection. While the store
is away it tries again with growing pauses, for ever, and takes nothing out of order; between parts it does the upkeep.
It ends at `stop`, with the request that it is in, which has a limit of its own.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from engine.errors import StoreError
from engine.ingest.backoff import LONGEST_SECONDS, Backoff
from engine.queues import Bell
from engine.store.objects import Objects
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep

_IDLE_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SenderCounters:
    """What was done since the process began.

    Args:
        parts, bytes: that the store has taken.
        failures: attempts that it has not.
        up: the last attempt went well.
        merged_parts: parts that a file of their whole hour has taken the place of.
        expired_files: deleted, because their date is too old.
    """

    parts: int = 0
    bytes: int = 0
    failures: int = 0
    up: bool = True
    merged_parts: int = 0
    expired_files: int = 0


class Sender:
    """The sender of one verdict store.

    Args:
        objects: the store.
        spool: where parts wait.
        upkeep: what is done between parts.
    """

    def __init__(self, objects: Objects, spool: Spool, upkeep: Upkeep) -> None:
        self.counters = SenderCounters()
        self._objects = objects
        self._spool = spool
        self._upkeep = upkeep
        self._bell = Bell()
        self._stop = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verdict sender")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to send."""
        self._bell.ring()

    def stop(self, drain_seconds: float) -> bool:
        """Send what waits, for at most so long, and end.

        Returns: whether nothing is left to send.
        """
        self._stop.set()
        self._bell.ring()
        self._thread.join(drain_seconds)
        self._end.set()
        self._thread.join(drain_seconds)
        return not self._thread.is_alive() and not self._spool.waiting()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._end.is_set():
            rung = self._bell.rings
            try:
                if not self._send_waiting():
                    return
                if not self._stop.is_set():
                    self._keep_up()
                self.counters.up = True
                backoff.good_for(LONGEST_SECONDS)
            except StoreError as error:
                self.counters.failures += 1
                if self.counters.up:
                    log.warning("%s (trying again)", error.line())
                self.counters.up = False
                if self._stop.is_set():
                    return  # it is away: what waits is safe in the spool
                self._stop.wait(backoff.next())
                continue
            except Exception:
                log.exception("the verdict sender met a bug; it goes on")
                self._stop.wait(LONGEST_SECONDS)
                continue
            if self._stop.is_set():
                return
            self._bell.wait(rung, _IDLE_SECONDS)

    def _send_waiting(self) -> bool:
        """Send every part that waits, in order; False if there is no time left."""
        while waiting := self._spool.waiting():
            for part in waiting:
                if self._end.is_set():
                    return False
                content = self._spool.content(part)
                if content is None:
                    continue
                began = time.monotonic()
                self._objects.put(part.name, content)
                self._spool.sent(part)
                self.counters.parts += 1
                self.counters.bytes += len(content)
                if not self.counters.up:
                    log.warning("the store of verdicts is back (%.1f s for a part)", time.monotonic() - began)
                    self.counters.up = True
        return True

    def _keep_up(self) -> None:
        done = self._upkeep.turn(self._end.is_set)
        self.counters.merged_parts += done.merged_parts
        self.counters.expired_files += done.expired_files
