"""What the service keeps in a database: streams, incidents, and the notices that are still to be sent."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from engine.store.database import Database
from engine.store.incidents import Incidents, Route
from engine.store.outbox import Outbox
from engine.store.records import Change, Delivery, IncidentRecord
from engine.store.streams import Streams

# A defect that comes back within ten seconds is, for those who watch, the same one.
DAMPING_SECONDS: Final = 10.0


def nobody(record: IncidentRecord, change: Change) -> Iterable[Delivery]:
    """The route of a service without sinks."""
    return ()


class Store:
    """The database of one service. Any thread may call it; each call is one transaction.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.
        route: who is told of a change of an incident.
        damping_seconds: a defect that comes back no later than this is the same incident continued; 0 for never.
        clock: Unix seconds.
    Raises: StoreError if the database cannot be opened, or was made by a newer release.
    """

    def __init__(
        self,
        url: str,
        *,
        route: Route = nobody,
        damping_seconds: float = DAMPING_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = Database(url)
        self._listeners: list[Callable[[], None]] = []
        self.streams = Streams(self.database, clock)
        self.incidents = Incidents(self.database, clock, route, damping_seconds, self._committed)
        self.outbox = Outbox(self.database, clock)

    @property
    def set_aside(self) -> Path | None:
        """Where the damaged database lies that was found at the start; None if it was sound."""
        return self.database.set_aside

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call this, in the recording thread, whenever there may be new notices."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def _committed(self) -> None:
        for listener in self._listeners:
            listener()
