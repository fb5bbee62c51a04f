"""Of many readers only as many are at work at a time as there are processors.

A reader's work on a packet is mostly libav's, which needs Python's lock for moments only. When thirty are at it
together each of these moments is waited for, and each wait puts a thread to sleep and wakes another one: with 25
channels on two cores the lock changed hands 30,000 times a second, half a core lay idle, and verdicts were seconds
late. In turns each reader does all that has come for it, and finds the lock free. See
docs/decisions/0129-readers-take-turns.md.

Run by: the readers' threads, each with a `Turn` of its own. Nobody depends on another one's turn: a reader that has
waited for long goes on without one, so that whoever hangs with a turn in hand holds up nobody else.
"""

import threading
import time
from collections import deque
from typing import Final

# What a reader does in its turn takes a few milliseconds; nobody waits for longer than for the turns of many.
WAIT_SECONDS: Final = 0.1
# After so long, those who wait come first, whatever has come meanwhile.
TURN_SECONDS: Final = 0.02


class Turns:
    """Who is at work.

    Args:
        places: how many may be at a time, at least 1.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()  # in the order in which they came, each its own to be woken by

    def enter(self, wait_seconds: float = WAIT_SECONDS) -> bool:
        """Wait for a place, first come, first served; whether there was one in time."""
        with self._guard:
            if self._free:
                self._free -= 1
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=wait_seconds):
            return True
        with self._guard:
            if mine not in self._waiting:
                return True  # it was handed over just now
            self._waiting.remove(mine)
            return False

    def leave(self) -> None:
        """Hand the place to whoever has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Turn:
    """One thread's turn. Belongs to that thread.

    Args:
        turns: whose; without, it is always its turn.
    """

    def __init__(self, turns: Turns | None = None) -> None:
        self._turns = turns
        self._holds = False
        self._ends_at = 0.0

    def begin(self) -> None:
        """Go to work, or on with it: returns when it is this thread's turn."""
        if self._turns is None:
            return
        now = time.monotonic()
        if self._holds:
            if now < self._ends_at:
                return
            self._turns.leave()
        self._holds = self._turns.enter()
        self._ends_at = time.monotonic() + TURN_SECONDS

    def end(self) -> None:
        """Before a wait of any length. Idempotent."""
        if self._holds and self._turns is not None:
            self._holds = False
            self._turns.leave()
