"""One sink's thread: it takes what is due from the outbox, has it sent, and notes how that went.

Run by: `Notifier`, which starts one for each sink, so that a sink that is away delays no other. It owns its sender. It
ends within one attempt's time limit after `stop`; what it had claimed is sent again when the claim runs out. It
outlives a database that is away, and whatever a sender raises.
"""

import logging
import random
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from engine.errors import NotifyError, StoreError
from engine.ingest.backoff import Backoff
from engine.notify.message import Message
from engine.notify.pace import Pace
from engine.notify.sender import Sender
from engine.notify.tally import Tally
from engine.queues import Bell
from engine.settings.notify import SinkSection
from engine.store.outbox import Batch, Outbox
from engine.store.records import Notice

# How long a thread sleeps at most: notices may come from another process, and claims of a dead one run out.
IDLE_SECONDS: Final = 2.0
# What is due may wait for an older notice of its incident, which fails.
BLOCKED_SECONDS: Final = 0.25
# Between the attempts of one batch, before jitter: 1 s, doubling.
FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 300.0
SHORTEST_RETRY_SECONDS: Final = 0.1
# So many failures in a row are not of one batch, but of the sink.
OUTAGE_FAILURES: Final = 3
# Changes that one message for people may summarise.
MOST_SUMMARISED: Final = 1000
# Messages of one change each that are claimed and settled in one transaction: on a slow disk that is what takes long.
CLAIMED_SINGLY: Final = 20

log = logging.getLogger(__name__)


class Worker:
    """Serves one sink.

    Args:
        sender: what delivers; owned from now on.
        sink: limits and patience.
        outbox: where notices come from.
        link: address of an incident's page, with {id} in it.
        tally: where it counts.
        lease_seconds: how long a claim holds unless it is extended.
        clock: Unix seconds, as the outbox counts them.
    """

    def __init__(
        self,
        sender: Sender,
        sink: SinkSection,
        outbox: Outbox,
        link: str | None,
        tally: Tally,
        lease_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.name = sender.name
        self.sending: Batch | None = None
        self._sender = sender
        self._sink = sink
        self._outbox = outbox
        self._link = link
        self._tally = tally
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._pace = Pace(sink.messages_per_minute, sink.burst)
        self._backoff = Backoff()
        self._failures = 0
        self._paused_until = 0.0
        self._renewed_at = -float("inf")
        self._store_away = False
        self._unconfirmed: list[Batch] = []
        self._chance = random.Random()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify-{self.name}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to send."""
        self._bell.ring()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()
        self._bell.ring()

    def join(self, seconds: float) -> bool:
        """Wait for its end. Returns: whether it has ended."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                rings = self._bell.rings
                wait = self._guarded_step()
                if wait > 0:
                    self._bell.wait(rings, min(wait, IDLE_SECONDS))
        finally:
            self._sender.close()

    def _guarded_step(self) -> float:
        """A step that ends the thread neither when the database is away nor when there is a mistake in it."""
        try:
            wait = self._step()
        except StoreError as error:
            if not self._store_away:
                log.error("notifications to %s wait for the database: %s", self.name, error.line())
            self._store_away = True
            self._stopping.wait(min(self._backoff.next(), IDLE_SECONDS))
            return 0.0
        except Exception as error:  # noqa: BLE001 - it is seen, and the sink must not fall silent for it
            self._log_mistake("a step", error)
            self._stopping.wait(IDLE_SECONDS)
            return 0.0
        if self._store_away:
            self._store_away = False
            self._backoff = Backoff()
            log.warning("notifications to %s go on: the database is there again", self.name)
        return wait

    def _step(self) -> float:
        """Send one message if one is due. Returns: seconds until there can be something to do; 0 for at once."""
        self._confirm()
        now = time.monotonic()
        every = self._sender.renew_seconds
        if every is not None and now - self._renewed_at >= every:
            self._renewed_at = now
            self._renew()
        wait = max(self._paused_until - now, self._pace.wait_seconds())
        if wait > 0:
            return wait
        due = self._outbox.next_due(self.name)
        if due is None:
            return IDLE_SECONDS
        if due > self._clock():
            return due - self._clock()
        most = MOST_SUMMARISED if self._sender.summarises else self._sink.changes_per_message
        singly = most == 1
        if singly and self._sink.messages_per_minute is None:
            most = CLAIMED_SINGLY
        batch = self._outbox.claim(self.name, lease_seconds=self._lease_seconds, most=most, singly=singly)
        if batch is None:
            return BLOCKED_SECONDS
        self.sending = batch
        try:
            if batch.singly:
                self._deliver_each(batch)
            elif self._delivered(batch):
                self._confirm(batch)
        finally:
            self.sending = None
        return 0.0

    def _deliver_each(self, batch: Batch) -> None:
        """One message for each; those behind one that failed are given back."""
        arrived: list[Notice] = []
        left = list(batch.notices)
        while left and not self._stopping.is_set() and self._paused_until <= time.monotonic():
            notice = left.pop(0)
            failures = self._failures
            if self._delivered(batch.part((notice,))):
                arrived.append(notice)
            elif self._failures > failures:
                break
        if arrived:
            self._confirm(batch.part(tuple(arrived)))
        if left:
            self.sending = None  # so that the keeper does not extend the claim of whoever takes it next
            self._outbox.release(batch.part(tuple(left)))

    def _delivered(self, batch: Batch) -> bool:
        """Send one message. Returns: whether it arrived; where it did not, that is noted."""
        self._pace.take()
        try:
            self._sender.send(Message.of(batch, self._link))
        except NotifyError as error:
            self._failed(batch, error)
            return False
        except Exception as error:  # noqa: BLE001 - a sender's own mistake is seen, and must not silence the sink
            self._log_mistake("the sender", error)
            self._failed(batch, self._sender.failed(f"{type(error).__name__} in the sender", remedy="see the log"))
            return False
        now = self._clock()
        for notice in batch.notices:
            if notice.change == "opened":
                self._tally.note_latency(max(0.0, now - notice.created_at))
        self._tally.delivered += len(batch.notices)
        if self._failures:
            self._works()
        return True

    def _confirm(self, *arrived: Batch) -> None:
        """Note in the outbox what arrived; what the database could not take is noted before anything is sent again."""
        self._unconfirmed += arrived
        while self._unconfirmed:
            self._outbox.delivered(self._unconfirmed[0])
            self._unconfirmed.pop(0)

    def _log_mistake(self, place: str, error: Exception) -> None:
        # Where it happened, and not what it says: that could be a password.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("notifications to %s: %s in %s:\n%s", self.name, type(error).__name__, place, where)

    def _failed(self, batch: Batch, error: NotifyError) -> None:
        now = self._clock()
        age = now - min(notice.created_at for notice in batch.notices)
        if error.permanent and error.divisible and len(batch.notices) > 1:
            self._tally.failed += len(batch.notices)
            log.warning("notifications to %s: %s; its %d changes are sent one by one", self.name, error.why,
                        len(batch.notices))  # fmt: skip
            self._outbox.divide(batch)
            return
        spent = self._sink.most_attempts is not None and batch.attempts + 1 >= self._sink.most_attempts
        if error.permanent or spent or age >= self._sink.give_up_seconds:
            self._tally.dead += len(batch.notices)
            log.error("notifications to %s: gave up on %d: %s", self.name, len(batch.notices), error.why)
            self._outbox.dead(batch, error.why)
            return
        self._tally.failed += len(batch.notices)
        self._tally.error = error.why
        self._failures += 1
        if self._failures == 1:
            self._tally.failing_since = now
            log.warning("notifications to %s: %s; %s; it is tried again", self.name, error.why, error.remedy)
        retry = self._retry_seconds(batch.attempts)
        if error.retry_after_seconds is not None:
            retry = max(retry, error.retry_after_seconds)
            self._pause(error.retry_after_seconds)
        elif self._failures > 1:
            self._pause(self._backoff.next())
        self._outbox.failed(batch, error.why, retry)

    def _retry_seconds(self, attempts: int) -> float:
        """Exponential with full jitter."""
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts, 16))
        return max(SHORTEST_RETRY_SECONDS, self._chance.uniform(0.0, longest))

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _works(self) -> None:
        """It arrives again."""
        log.warning("notifications to %s arrive again, after %d failures", self.name, self._failures)
        outage = self._failures >= OUTAGE_FAILURES
        self._failures = 0
        self._backoff = Backoff()
        self._tally.failing_since = None
        self._tally.error = ""
        if outage:
            self._outbox.hurry(self.name)

    def _renew(self) -> None:
        told = self._outbox.told_open(self.name)
        if not told:
            return
        try:
            self._sender.renew(told)
        except NotifyError as error:
            log.warning("notifications to %s: could not renew %d: %s", self.name, len(told), error.why)
