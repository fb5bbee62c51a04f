"""What is still to be told to somebody: rows that were written in one transaction with the change that they tell of.

A row is claimed for a limited time. Whoever claimed it says how it went; if he dies, the claim ends by itself, and the
same batch goes out again with the same key.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from engine.store import cursor as cursors
from engine.store.database import Database
from engine.store.records import Change, Delivery, DeliveryState, IncidentRecord, Notice, Page
from engine.store.schema import outbox


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that go out as one message.

    Args:
        id: the same at every attempt.
        attempts: begun before this one.
        notices: of one sink and grouping, in the order of their changes.
    """

    id: str
    sink: str
    attempts: int
    notices: tuple[Notice, ...]


class Outbox:
    """The table of notices.

    Args:
        database: where they are kept.
        clock: Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim(self, sink: str, *, lease_seconds: float, most: int = 100, waiting: Sequence[str] = ()) -> Batch | None:
        """Take the batch that is due, oldest first. A notice never overtakes an older one of its incident.

        Args:
            sink: its name.
            lease_seconds: nobody else gets the batch for so long.
            most: notices in a batch.
            waiting: groupings that are not to be begun yet.
        Returns: None if nothing is due.
        """
        now = self._clock()
        table = outbox.c
        older = outbox.alias("older")
        pending = and_(table.sink == sink, table.state == "pending", table.leased_until <= now)
        # What goes out in the same batch is in order there; a batch of its own has to wait for its elders.
        overtakes = (
            select(older.c.id)
            .where(
                older.c.sink == sink,
                older.c.incident_id == table.incident_id,
                older.c.state == "pending",
                older.c.id < table.id,
                or_(older.c.batch.is_not(None), older.c.due_at > now, older.c.leased_until > now),
                or_(table.batch.is_(None), older.c.batch.is_(None), older.c.batch != table.batch),
            )
            .exists()
        )
        ready = select(outbox).where(pending, table.due_at <= now, ~overtakes).with_for_update(skip_locked=True)
        if waiting:
            ready = ready.where(or_(table.batch.is_not(None), table.grouping.not_in(waiting)))
        with self._database.write() as connection:
            first = connection.execute(ready.order_by(table.due_at, table.id).limit(1)).mappings().first()
            if first is None:
                return None
            if first["batch"] is not None:
                chosen = ready.where(table.batch == first["batch"])
            else:
                chosen = ready.where(table.batch.is_(None), table.grouping == first["grouping"])
            rows = connection.execute(chosen.order_by(table.id).limit(most)).mappings().all()
            batch = first["batch"] or _batch_id([row["key"] for row in rows])
            ids = [row["id"] for row in rows]
            connection.execute(
                update(outbox)
                .where(table.id.in_(ids))
                .values(batch=batch, leased_until=now + lease_seconds, attempts=table.attempts + 1)
            )
            return Batch(batch, sink, first["attempts"], tuple(_notice(row) for row in rows))

    def delivered(self, batch: Batch) -> None:
        """It arrived."""
        self._settle(batch, state="delivered", settled_at=self._clock(), error=None, leased_until=0.0)

    def failed(self, batch: Batch, why: str, retry_seconds: float) -> None:
        """It did not arrive; try again after so long."""
        self._settle(batch, due_at=self._clock() + retry_seconds, error=why, leased_until=0.0)

    def dead(self, batch: Batch, why: str) -> None:
        """It will not arrive. The notices stay to be seen."""
        self._settle(batch, state="dead", settled_at=self._clock(), error=why, leased_until=0.0)

    def dead_letters(self, *, limit: int = 100, cursor: str | None = None) -> Page[Notice]:
        """What was given up, the youngest first.

        Raises: QueryError for a wrong cursor.
        """
        query = select(outbox).where(outbox.c.state == "dead").order_by(outbox.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(outbox.c.id < cursors.decode(cursor, (int,))[0])
        with self._database.read() as connection:
            found = [_notice(row) for row in connection.execute(query).mappings()]
        shown = tuple(found[:limit])
        return Page(shown, cursors.encode((shown[-1].id,)) if len(found) > limit else None)

    def revive(self, ids: Sequence[int]) -> int:
        """Try dead letters again, from now on. Returns: how many."""
        these = and_(outbox.c.id.in_(ids), outbox.c.state == "dead")
        fresh = {"state": "pending", "attempts": 0, "due_at": self._clock(), "settled_at": None, "batch": None}
        with self._database.write() as connection:
            return connection.execute(update(outbox).where(these).values(fresh)).rowcount

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Notices by sink and state."""
        query = select(outbox.c.sink, outbox.c.state, func.count()).group_by(outbox.c.sink, outbox.c.state)
        with self._database.read() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def next_due(self, sink: str) -> float | None:
        """Unix seconds at which the next notice of a sink is due; None if none is waiting."""
        query = select(func.min(func.coalesce(outbox.c.due_at, 0.0))).where(
            outbox.c.sink == sink, outbox.c.state == "pending", outbox.c.leased_until <= self._clock()
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def forget(self, older_than: float) -> int:
        """Delete notices that were settled before that moment (Unix seconds). Returns: how many."""
        old = and_(outbox.c.state != "pending", outbox.c.settled_at < older_than)
        with self._database.write() as connection:
            return connection.execute(delete(outbox).where(old)).rowcount

    def _settle(self, batch: Batch, **values: Any) -> None:
        these = and_(outbox.c.id.in_([notice.id for notice in batch.notices]), outbox.c.state == "pending")
        with self._database.write() as connection:
            connection.execute(update(outbox).where(these).values(values))


def add_notices(
    connection: Connection, record: IncidentRecord, change: Change, deliveries: Iterable[Delivery], now: float
) -> None:
    """Write the notices of a change, in the caller's transaction."""
    rows = [
        {
            "key": f"{record.id}.{record.revision}.{change}.{delivery.sink}",
            "sink": delivery.sink,
            "grouping": delivery.grouping,
            "incident_id": record.id,
            "change": change,
            "payload": record.as_json(),
            "state": "pending",
            "attempts": 0,
            "created_at": now,
            "due_at": now + delivery.hold_seconds,
            "leased_until": 0.0,
        }
        for delivery in deliveries
    ]
    if rows:
        connection.execute(insert(outbox), rows)


def withdraw(connection: Connection, incident_id: str, change: Change) -> bool:
    """Take back the notices of a change that no attempt was made to send.

    Returns: whether nobody was told of it.
    """
    of_it = and_(outbox.c.incident_id == incident_id, outbox.c.change == change, outbox.c.state == "pending")
    connection.execute(delete(outbox).where(of_it, outbox.c.attempts == 0))
    last = select(outbox.c.change).where(outbox.c.incident_id == incident_id, outbox.c.change != "updated")
    return connection.execute(last.order_by(outbox.c.id.desc()).limit(1)).scalar() != change


def was_told(connection: Connection, incident_id: str) -> bool:
    """Whether there is, or was, a notice that an incident opened."""
    of_it = and_(outbox.c.incident_id == incident_id, outbox.c.change == "opened")
    return connection.execute(select(outbox.c.id).where(of_it).limit(1)).first() is not None


def _batch_id(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]


def _notice(row: Any) -> Notice:
    return Notice(**{name: value for name, value in row.items() if name != "leased_until"})
