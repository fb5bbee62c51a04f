"""Tells whom the configuration names of what the store records.

Run by: the supervisor process, which makes one, hands its `route` to the store and starts it. It owns a thread for each
sink (worker.py) and one that keeps their claims alive and the outbox short. All end within `stop`'s deadline; a sink
that hangs longer is named. If the process dies, the outbox has what was not confirmed.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from engine.errors import StoreError
from engine.notify.routing import Routing
from engine.notify.sender import Sender
from engine.notify.senders import make_sender
from engine.notify.tally import SinkCounts, Tally
from engine.notify.worker import Worker
from engine.settings.notify import NotifySection, SinkSection
from engine.store.records import Change, Delivery, IncidentRecord
from engine.store.sql import DAMPING_SECONDS, Store

# A batch whose sender died is sent again after so long; one that is still being sent keeps its claim.
LEASE_SECONDS: Final = 15.0
_TIDY_SECONDS: Final = 300.0
# Beyond an attempt's time limit, until the thread of a sink that is no more is said to hang.
_LEAVING_SECONDS: Final = 5.0
_DAY_SECONDS: Final = 86400.0

log = logging.getLogger(__name__)


class Notifier:
    """Routes, sinks and their threads, as one configuration has them.

    Args:
        section: who is told.
        damping_seconds: the store's.
        lease_seconds: how long a claim outlives its process.
        clock: Unix seconds, the same as the store's.
    Raises: ConfigError for a sink that its own library refuses.
    """

    def __init__(
        self,
        section: NotifySection,
        *,
        damping_seconds: float = DAMPING_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._section = section
        self._damping_seconds = damping_seconds
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._routing = Routing(section, damping_seconds)
        self._senders = _senders(section, section.sinks)
        self._store: Store | None = None
        self._lock = threading.Lock()  # over what `apply` changes
        self._workers: dict[str, Worker] = {}
        self._tallies: dict[str, Tally] = {}
        # `route` and `wake` are called by the thread that records, one before its commit and one after it.
        self._named = threading.local()
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="notify-keeper")

    def route(self, record: IncidentRecord, change: Change) -> list[Delivery]:
        """Who is to be told of a change: the `route` of the store."""
        deliveries = self._routing(record, change)
        named: set[str] = self._named.__dict__.setdefault("sinks", set())
        named.update(delivery.sink for delivery in deliveries)
        return deliveries

    def start(self, store: Store) -> None:
        """Begin to send what is in a store's outbox, and what comes into it."""
        self._store = store
        store.on_commit(self.wake)
        self._add(self._section.sinks)
        self._keeper.start()

    def apply(self, section: NotifySection) -> None:
        """Go on with another configuration; sinks that are the same in both are not disturbed.

        Raises: ConfigError; everything stays as it was then.
        """
        old = self._section
        shared = old.link == section.link
        changed = {name: s for name, s in section.sinks.items() if not shared or old.sinks.get(name) != s}
        fresh = _senders(section, changed)
        gone = [name for name in old.sinks if name not in section.sinks or name in changed]
        for name in gone:
            if name in self._senders:  # not started yet
                self._senders.pop(name).close()
        self._senders |= fresh
        self._section = section
        self._routing = Routing(section, self._damping_seconds)
        if self._store is not None:
            # The new thread of a sink does not wait for the old one: what that one is sending is claimed.
            with self._lock:
                leaving = [self._workers.pop(name) for name in gone if name in self._workers]
            for worker in leaving:
                worker.stop()
            self._add(changed)
            until = (
                time.monotonic() + _LEAVING_SECONDS + max((s.timeout_seconds for s in old.sinks.values()), default=0.0)
            )
            for worker in leaving:
                if not worker.join(until - time.monotonic()):
                    log.error("notifications to %s: the old sender still hangs", worker.name)

    def wake(self) -> None:
        """There may be new notices: of the sinks that this thread's transaction named, or else of any."""
        named: set[str] | None = self._named.__dict__.pop("sinks", None)
        with self._lock:
            workers = [worker for name, worker in self._workers.items() if named is None or name in named]
        for worker in workers:
            worker.wake()

    def stop(self, deadline_seconds: float = 5.0) -> list[str]:
        """End all threads; what was not sent stays in the outbox.

        Returns: sinks whose sender has not come back yet.
        """
        until = time.monotonic() + deadline_seconds
        self._ending.set()
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        hanging = [worker.name for worker in workers if not worker.join(until - time.monotonic())]
        if self._keeper.is_alive():
            self._keeper.join(max(0.1, until - time.monotonic()))
        for name in hanging:
            log.error("notifications to %s: the sender hangs; its batch is sent again after the next start", name)
        if self._store is None:
            for sender in self._senders.values():
                sender.close()
        return hanging

    def snapshot(self) -> Mapping[str, SinkCounts]:
        """How it goes, by sink; sinks that were removed keep their totals."""
        return {name: tally.snapshot() for name, tally in tuple(self._tallies.items())}

    def _add(self, sinks: Mapping[str, SinkSection]) -> None:
        assert self._store is not None
        for name, sink in sinks.items():
            tally = self._tallies.setdefault(name, Tally())
            worker = Worker(
                self._senders.pop(name), sink, self._store.outbox, self._section.link, tally, self._lease_seconds,
                self._clock,
            )  # fmt: skip
            with self._lock:
                self._workers[name] = worker
            worker.start()

    def _keep(self) -> None:
        """Extend the claims of what is being sent, and count what waits; now and then drop what is old."""
        assert self._store is not None
        tidied_at = -float("inf")
        while not self._ending.wait(self._lease_seconds / 3):
            try:
                with self._lock:
                    workers = list(self._workers.values())
                for worker in workers:
                    batch = worker.sending
                    if batch is not None:
                        self._store.outbox.extend(batch, self._lease_seconds)
                self._count_waiting()
                if time.monotonic() - tidied_at >= _TIDY_SECONDS:
                    tidied_at = time.monotonic()
                    self._tidy()
            except StoreError as error:
                log.debug("the outbox is not kept: %s", error.line())  # the workers tell of it

    def _count_waiting(self) -> None:
        assert self._store is not None
        waiting = self._store.outbox.waiting()
        now = self._clock()
        for name, tally in tuple(self._tallies.items()):
            tally.pending, oldest_at = waiting.get(name, (0, now))
            tally.oldest_seconds = max(0.0, now - oldest_at)

    def _tidy(self) -> None:
        assert self._store is not None
        now = self._clock()
        lost = self._store.outbox.abandon(list(self._section.sinks), now - _DAY_SECONDS)
        if lost:
            log.error("gave up on %d notifications to sinks that are no longer configured", lost)
        self._store.outbox.forget(now - self._section.keep_days * _DAY_SECONDS)


def _senders(section: NotifySection, sinks: Mapping[str, SinkSection]) -> dict[str, Sender]:
    """A sender for each; none is left open if one is refused."""
    made: dict[str, Sender] = {}
    try:
        for name, sink in sinks.items():
            made[name] = make_sender(name, sink, section)
    except BaseException:
        for sender in made.values():
            sender.close()
        raise
    return made
