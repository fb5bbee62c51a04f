"""One stream's packets between the ingest link and its reader: bounded in time, and then cut, not queued.

Run by: the link's thread puts, and never waits; the stream's reader takes, in its turn (engine/turns.py). What waits
longer than the limit is let go up to the newest key frame, so that a stream that cannot be judged in time is judged
where it is now; what was let go is counted, and told in its place. It ends when the stream's reader ends.
"""

import itertools
import threading
import time
from collections import deque
from typing import Final

from engine.ingest.messages import Head, Kind, Skipped, head_of
from engine.ingest.ring import Record
from engine.latency import Latency
from engine.turns import Turn

MOST_SECONDS: Final = 2.0
# The packets, and the bytes of the transport stream that they came in: three long segments of UHD that come at once.
MOST_BYTES: Final = 128 << 20
# Streams without key frames (gradual refresh) go on without one after so long.
_KEY_FRAME_SECONDS: Final = 10.0
# What is kept of sound alone where it has to be cut.
_KEPT_SECONDS: Final = 0.2
# Packets of sound wait so long for the next picture's: to be woken for each takes longer than to decode it.
SOUND_WAIT_SECONDS: Final = 0.05

Item = Record | Skipped


class Arrivals:
    """The queue.

    Args:
        most_seconds: a packet that has waited so long, while newer ones came, is too old.
        most_bytes: of all that waits.
        turn: of whoever takes.
    """

    def __init__(
        self, most_seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES, turn: Turn | None = None
    ) -> None:
        self.most_seconds = most_seconds
        self.turn = turn or Turn()
        """It is the taker's until there is nothing more to take; or until it ends it, before it waits otherwise."""
        self._most_bytes = most_bytes
        self._items: deque[tuple[Record, Head | None]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._lost = 0  # packets let go that the reader has not been told of
        self._cut_at: float | None = None  # waits for a key frame since
        self.has_video = True
        self.packets = 0  # that came
        self.skipped_packets = 0
        self.skips = 0
        self.waits = Latency()
        """From the moment at which a packet was read from its source until it was taken from here."""

    def put(self, *records: Record) -> None:
        """Take records in that came together; whoever takes is woken at most once. Never waits."""
        heads = [head_of(record.content) if record.kind == Kind.PACKET else None for record in records]
        with self._changed:
            for record, head in zip(records, heads, strict=True):
                self._put(record, head)
            if any(self._is_urgent(record, head) for record, head in zip(records, heads, strict=True)):
                self._changed.notify()

    def _is_urgent(self, record: Record, head: Head | None) -> bool:
        """Whether whoever takes has to be woken for it."""
        if head is None:
            return record.kind != Kind.RAW  # these bytes belong to packets
        if head.track == "video" or not self.has_video:
            return True
        return head.arrived - self._oldest(head).arrived >= SOUND_WAIT_SECONDS

    def _oldest(self, head: Head) -> Head:
        """The packet that waits longest; `head` where none does."""
        return next((h for _, h in self._items if h is not None), head)

    def _put(self, record: Record, head: Head | None) -> None:
        self.packets += head is not None
        if self._cut_at is not None and head is not None:
            key = head.key and head.track == "video"
            if not key and head.arrived - self._cut_at < _KEY_FRAME_SECONDS:
                self._count(1)
                return
            self._cut_at = None
        if self._cut_at is not None and record.kind == Kind.RAW:
            return
        self._items.append((record, head))
        self._bytes += len(record.content)
        if head is None:
            return
        if head.arrived - self._oldest(head).arrived > self.most_seconds or self._bytes > self._most_bytes:
            self._cut(head.arrived)

    def take(self, timeout_seconds: float) -> Item | None:
        """The next one; a `Skipped` before the first one after a cut. None where nothing came in that time."""
        with self._changed:
            if not self._items:
                self.turn.end()
                self._changed.wait(timeout_seconds)
            if not self._items:
                return None
        self.turn.begin()
        with self._changed:
            if not self._items:
                return None  # it was cut meanwhile
            if self._lost and self._items[0][1] is not None:
                lost, self._lost = self._lost, 0
                return Skipped(lost)
            record, head = self._items.popleft()
            self._bytes -= len(record.content)
        if head is not None:
            self.waits.add(max(0.0, time.monotonic() - head.arrived))
        return record

    def wake(self) -> None:
        """Let a `take` that waits look again."""
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything: what comes next is another connection's."""
        with self._changed:
            self._items.clear()
            self._bytes = self._lost = 0
            self._cut_at = None

    def age(self, now: float) -> float:
        """Seconds for which the oldest packet has waited; 0 where none does."""
        with self._changed:
            oldest = next((h for _, h in self._items if h is not None), None)
        return 0.0 if oldest is None else max(0.0, now - oldest.arrived)

    def __len__(self) -> int:
        return len(self._items)

    def _count(self, packets: int) -> None:
        self._lost += packets
        self.skipped_packets += packets

    def _cut(self, now: float) -> None:
        """Let go of packets up to the newest key frame that is young enough, or else of all."""
        self.skips += 1
        keep = len(self._items)
        for index in range(len(self._items) - 1, -1, -1):
            head = self._items[index][1]
            if head is None:
                continue
            if now - head.arrived > self.most_seconds / 2:
                break
            if not self.has_video and now - head.arrived <= _KEPT_SECONDS:
                keep = index
            elif self.has_video and head.key and head.track == "video":
                keep = index
                break
        # Where much came at once, the newest part alone may be too much.
        if sum(len(record.content) for record, _ in itertools.islice(self._items, keep, None)) > self._most_bytes // 2:
            keep = len(self._items)
        if self.has_video and keep == len(self._items):
            self._cut_at = now
        kept: deque[tuple[Record, Head | None]] = deque()
        for index, (record, head) in enumerate(self._items):
            if index >= keep or (head is None and record.kind != Kind.RAW):
                kept.append((record, head))
            elif head is not None:
                self._count(1)
        self._items = kept
        self._bytes = sum(len(record.content) for record, _ in kept)
