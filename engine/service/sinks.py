"""Where the service hands on what it is told: the store of stream-seconds, and who notifies."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from engine.store.records import Change, Delivery, IncidentRecord, Page
from engine.store.sql import Store
from engine.verdicts import StreamSecond


class VerdictSink(Protocol):
    """Keeps stream-seconds."""

    def start(self) -> None:
        """Begin to write."""

    def put(self, second: StreamSecond, session: str, at: float) -> bool:
        """Keep a second that was played at a Unix second; never waits. Returns: whether it was taken."""

    def problem(self) -> str | None:
        """Why seconds cannot be kept now; None while they can."""

    def snapshot(self) -> Mapping[str, int]:
        """Running totals and levels, by name ("spool_bytes", ...)."""

    def stop(self, drain_seconds: float) -> bool:
        """Write out what is left, within the limit. Returns: whether all of it was."""


class SecondRow(Protocol):
    """A second as it was kept."""

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""


class SecondsReader(Protocol):
    """Reads stream-seconds. Thread-safe."""

    def seconds(
        self, stream: str, *, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> Page[Any]:
        """Seconds of a stream that were played in [since, until) (Unix seconds), the oldest first; `SecondRow`s.

        Raises: QueryError for a wrong cursor; StoreError.
        """


class SinkCounts(Protocol):
    """How it goes with one sink of notifications."""

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Totals by outcome ("delivered", "failed", "dead")."""

    @property
    def latency_buckets(self) -> Mapping[float, int]:
        """Delivered openings by upper bound in seconds from the change to its delivery, cumulative, +inf last."""

    @property
    def latency_sum(self) -> float:
        """Of all of them, in seconds."""

    @property
    def failing_since(self) -> float | None:
        """Unix seconds of the first failure that no delivery has followed."""

    @property
    def pending(self) -> int:
        """Notices that are still to be sent."""

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of them has been waiting."""


class Notifier(Protocol):
    """Sends what is in the outbox. Thread-safe."""

    def route(self, record: IncidentRecord, change: Change) -> Iterable[Delivery]:
        """Who is to be told of a change: the `route` of the store."""

    def start(self, store: Store) -> None:
        """Begin to send."""

    def wake(self) -> None:
        """There may be new notices."""

    def apply(self, section: Any) -> None:
        """Go on with another `notify` section. Raises: ConfigError; everything stays then."""

    def snapshot(self) -> Mapping[str, SinkCounts]:
        """How it goes, by sink."""

    def stop(self, deadline_seconds: float) -> object:
        """Finish what is being sent, within the limit."""
