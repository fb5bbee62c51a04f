"""The incidents that are open now, and how many there were: what metrics and lists ask for all the time."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from engine.store.records import Change, IncidentRecord


class OpenIncidents:
    """Open incidents by id. Thread-safe.

    Args:
        open_now: that were open when the service began.
    """

    def __init__(self, open_now: Iterable[IncidentRecord] = ()) -> None:
        self._lock = threading.Lock()
        self._open = {record.id: record for record in open_now}
        self._opened: Counter[tuple[str, str]] = Counter()

    def take(self, record: IncidentRecord, change: Change) -> None:
        """An incident changed."""
        with self._lock:
            if change == "opened" and record.id not in self._open:
                self._opened[record.detector, str(record.severity)] += 1
            if record.state == "open":
                self._open[record.id] = record
            else:
                self._open.pop(record.id, None)

    def by_detector(self) -> Counter[str]:
        """How many are open, by detector."""
        with self._lock:
            return Counter(record.detector for record in self._open.values())

    def by_stream(self) -> Counter[str]:
        """How many are open, by stream; an incident of a channel counts on each of its streams that it was seen on."""
        with self._lock:
            return Counter(stream for record in self._open.values() for stream in record.streams)

    def of_streams(self) -> dict[str, list[IncidentRecord]]:
        """The open ones of each stream, the worst first, the oldest of those first."""
        with self._lock:
            records = list(self._open.values())
        records.sort(key=lambda record: (-record.severity.rank, record.opened_at))
        found: dict[str, list[IncidentRecord]] = {}
        for record in records:
            for stream in record.streams:
                found.setdefault(stream, []).append(record)
        return found

    def opened(self) -> Mapping[tuple[str, str], int]:
        """How many opened since the service began, by detector and severity."""
        with self._lock:
            return dict(self._opened)

    def muted_by_maintenance(self) -> tuple[IncidentRecord, ...]:
        """The open ones that a maintenance window keeps quiet."""
        with self._lock:
            return tuple(record for record in self._open.values() if record.muted_by == "maintenance")
