"""The one bounded queue. Threads meet nowhere else.

Run by: one producer (a stream's reader thread) and one consumer (the engine's loop) per queue. The queue owns its
items until they are taken. It ends by `close`, which the producer calls, with the failure that ended it if there was
one; `discard` is the consumer's way to end it. A dead producer therefore always shows in its consumer.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueClosed(Exception):
    """The consumer wants nothing more; the producer has to stop."""


class Bell:
    """Rung by every queue of one consumer, so that it waits for all of them at once."""

    def __init__(self) -> None:
        # Taken by itself: the condition's own way to it is Python, and takes three times as long.
        self._guard = threading.RLock()
        self._condition = threading.Condition(self._guard)
        self._rung = 0
        self._awaited: float = math.inf  # the ring that ends the wait; none does where nobody waits

    def ring(self) -> None:
        """Wake the consumer, unless it waits for more rings than there were."""
        with self._guard:
            self._rung += 1
            if self._rung >= self._awaited:
                self._condition.notify_all()

    @property
    def rings(self) -> int:
        """How often it has rung: take this before looking at the queues, and hand it to `wait`."""
        return self._rung

    def wait(self, since: int, timeout_seconds: float, times: int = 1) -> bool:
        """Wait until it has rung so many times since `since` was taken, at most `timeout_seconds`; whether it has.

        To be woken by each of many rings takes longer than what some of them are about.
        """
        with self._guard:
            self._awaited = since + times
            rung = self._condition.wait_for(lambda: self._rung - since >= times, timeout_seconds)
            self._awaited = math.inf
            return rung


class BoundedQueue(Generic[T]):
    """First in, first out, at most `capacity` items.

    To wake a thread costs as much as a cheap kernel, and finds the processor's caches full of another's work. So where
    nobody waits for each item by itself, both sides are woken for several at once.

    Args:
        capacity: items, at least 1.
        bell: rung at the close, and at every put from `together` items on.
        together: at most `capacity`. A producer that found the queue full goes on when there is room for so many.
            Fewer than that lie there until the consumer looks by itself.
    """

    def __init__(self, capacity: int, bell: Bell, together: int = 1) -> None:
        self._capacity = capacity
        self._bell = bell
        self._together = together
        self._items: deque[T] = deque()
        self._guard = threading.RLock()
        self._space = threading.Condition(self._guard)
        self._closed = False
        self._discarded = False
        self.failure: BaseException | None = None
        self.put_wait_seconds = 0.0  # long waits here: the consumer is the slow one

    def hold(self, capacity: int, together: int) -> None:
        """Hold so many from now on, and wake both sides for so many; from the producer."""
        with self._guard:
            self._capacity, self._together = capacity, together

    def put(self, item: T, stopped: Callable[[], bool], deadline_seconds: float = 600.0) -> None:
        """Add an item, waiting for space.

        Args:
            item: handed over to the queue.
            stopped: asked twice a second while waiting; True gives up.
            deadline_seconds: longest wait; a consumer that takes nothing for so long is taken for dead. Long enough
                for a busy machine's first start, on which a minute and more goes into compiling the kernels.
        Raises: QueueClosed if the consumer discarded the queue, or `stopped` said so; TimeoutError if the deadline
            passed, which is nobody's wish and has to be seen.
        """
        with self._guard:
            if len(self._items) >= self._capacity:
                began = time.monotonic()
                while len(self._items) > self._capacity - self._together and not self._discarded:
                    self._space.wait(0.5)
                    if stopped():
                        raise QueueClosed
                    if time.monotonic() - began > deadline_seconds:
                        raise TimeoutError(f"nothing was taken from a full queue for {deadline_seconds:g} s")
                self.put_wait_seconds += time.monotonic() - began
            if self._discarded or self._closed:
                raise QueueClosed
            self._items.append(item)
            waiting = len(self._items)
        if waiting >= self._together:
            self._bell.ring()

    def offer(self, item: T) -> bool:
        """Add an item if there is space now, for producers that must not wait. Returns: whether it was added.

        Raises: QueueClosed if the queue is closed, or the consumer discarded it.
        """
        with self._guard:
            if self._discarded or self._closed:
                raise QueueClosed
            if len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            waiting = len(self._items)
        if waiting >= self._together:
            self._bell.ring()
        return True

    def take(self) -> T | None:
        """The oldest item, or None if there is none now."""
        if not self._items:
            return None  # without the lock: there is but one consumer, and a put that is under way rings the bell
        with self._guard:
            if not self._items:
                return None
            item = self._items.popleft()
            if len(self._items) == self._capacity - self._together:
                self._space.notify()
            return item

    def head(self) -> T | None:
        """The oldest item, which stays; None if there is none now. Only from the consumer."""
        return self._items[0] if self._items else None

    def close(self, failure: BaseException | None = None) -> None:
        """Nothing more comes; `failure` says why, if it was not the end of the input."""
        with self._guard:
            self._closed = True
            self.failure = self.failure or failure
        self._bell.ring()

    def discard(self) -> list[T]:
        """The consumer wants nothing more: later puts raise QueueClosed. Returns what was left, to be released."""
        with self._guard:
            self._discarded = True
            left = list(self._items)
            self._items.clear()
            self._space.notify_all()
        return left

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether a put would wait now; from the producer."""
        return len(self._items) >= self._capacity

    @property
    def ended(self) -> bool:
        """Closed, and everything that was in it has been taken."""
        # Without the lock, in this order: once it is closed nothing is put in any more.
        return self._closed and not self._items
