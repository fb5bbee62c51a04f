"""What is still to be told to somebody: rows that were written in one transaction with the change that they tell of.

A row is claimed for a limited time. Whoever claimed it says how it went; if he dies, the claim ends by itself, and the
same batch goes out again with the same key.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, insert, or_, select, update

from engine.store import cursor as cursors
from engine.store.database import Database
from engine.store.records import Change, Delivery, DeliveryState, IncidentRecord, Notice, Page
from engine.store.schema import incidents, outbox

# What the id of a batch begins with whose notices go out one by one.
_SINGLY: Final = "one_"
# How far the clocks of two services on one database may lie apart.
_SKEW_SECONDS: Final = 60.0
_LONGEST_LEASE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that were claimed together: one message, or one each.

    Args:
        id: the same at every attempt; that of the message, if it is one.
        attempts: begun before this one.
        notices: of one sink and grouping, in the order of their changes.
    """

    id: str
    sink: str
    attempts: int
    notices: tuple[Notice, ...]

    @property
    def singly(self) -> bool:
        """Whether each notice is a message of its own, with `message_id` of its key."""
        return self.id.startswith(_SINGLY)

    def part(self, notices: tuple[Notice, ...]) -> "Batch":
        """Some of it, to be settled by themselves."""
        return replace(self, notices=notices, attempts=notices[0].attempts)


class Outbox:
    """The table of notices.

    Args:
        database: where they are kept.
        clock: Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim(
        self,
        sink: str,
        *,
        lease_seconds: float,
        most: int = 100,
        waiting: Sequence[str] = (),
        singly: bool = False,
    ) -> Batch | None:
        """Take the batch that is due, oldest first. A notice never overtakes an older one of its incident.

        Args:
            sink: its name.
            lease_seconds: nobody else gets the batch for so long.
            most: notices in a batch.
            waiting: groupings that are not to be begun yet.
            singly: each notice is to be a message of its own. What was begun otherwise stays as it was begun.
        Returns: None if nothing is due.
        """
        now = self._clock()
        table = outbox.c
        older = outbox.alias("older")
        pending = and_(table.sink == sink, table.state == "pending", _free(table, now))
        # What goes out in the same batch is in order there; a batch of its own has to wait for its elders.
        overtakes = (
            select(older.c.id)
            .where(
                older.c.sink == sink,
                older.c.incident_id == table.incident_id,
                older.c.state == "pending",
                older.c.id < table.id,
                or_(older.c.batch.is_not(None), ~_due(older.c, now), ~_free(older.c, now)),
                or_(table.batch.is_(None), older.c.batch.is_(None), older.c.batch != table.batch, ~_due(older.c, now)),
            )
            .exists()
        )
        ready = select(outbox).where(pending, _due(table, now), ~overtakes)
        if waiting:
            ready = ready.where(or_(table.batch.is_not(None), table.grouping.not_in(waiting)))
        # One claim of a sink at a time: each sees what the one before took, and looks for its own after it.
        with self._database.write(lock=f"outbox.{sink}") as connection:
            first = connection.execute(ready.order_by(table.due_at, table.id).limit(1)).mappings().first()
            if first is None:
                return None
            if (first["batch"] or "").startswith(_SINGLY):
                chosen = ready.where(table.batch == first["batch"])
            elif first["batch"] is not None:
                # Whole, whatever the limit is now: its id stands for these notices.
                chosen = select(outbox).where(pending, table.batch == first["batch"])
            else:
                chosen = ready.where(table.batch.is_(None), table.grouping == first["grouping"]).limit(most)
            # Locked, because an incident that comes back withdraws what nobody has begun to send.
            rows = connection.execute(chosen.order_by(table.id).with_for_update()).mappings().all()
            if not rows:
                return None
            keys = [row["key"] for row in rows]
            batch = first["batch"] or (f"{_SINGLY}{_hash(keys)}" if singly else message_id(keys))
            ids = [row["id"] for row in rows]
            connection.execute(
                update(outbox)
                .where(table.id.in_(ids))
                .values(batch=batch, leased_until=now + lease_seconds, attempts=table.attempts + 1)
            )
            return Batch(batch, sink, first["attempts"], tuple(_notice(row) for row in rows))

    def extend(self, batch: Batch, lease_seconds: float) -> bool:
        """Keep a batch for so long from now on. Returns: False if somebody else has it by now, or it is settled."""
        claimed = and_(_still(batch), outbox.c.leased_until > 0)
        with self._database.write() as connection:
            kept = update(outbox).where(claimed).values(leased_until=self._clock() + lease_seconds)
            return connection.execute(kept).rowcount > 0

    def release(self, batch: Batch) -> None:
        """Give back what was claimed and not begun to be sent: that was no attempt, and the next wait grows by none.

        What an earlier claim may have sent keeps its id.
        """
        untouched = case((outbox.c.attempts == 1, None), else_=outbox.c.batch)
        self._settle(_still(batch), batch=untouched, attempts=outbox.c.attempts - 1, leased_until=0.0)

    def delivered(self, batch: Batch) -> None:
        """It arrived, whoever has it by now."""
        these = and_(outbox.c.id.in_([notice.id for notice in batch.notices]), outbox.c.state == "pending")
        self._settle(these, state="delivered", settled_at=self._clock(), error=None, leased_until=0.0)

    def failed(self, batch: Batch, why: str, retry_seconds: float) -> None:
        """It did not arrive; try again after so long. Nothing changes if somebody else has claimed it since."""
        self._settle(_still(batch), due_at=self._clock() + retry_seconds, error=why, leased_until=0.0)

    def dead(self, batch: Batch, why: str) -> None:
        """It will not arrive. The notices stay to be seen. Nothing changes if somebody else has claimed it since."""
        self._settle(_still(batch), state="dead", settled_at=self._clock(), error=why, leased_until=0.0)

    def divide(self, batch: Batch) -> None:
        """It was refused as a whole: from now on each notice is a message of its own."""
        with self._database.write() as connection:
            for notice in batch.notices:
                alone = update(outbox).where(_still(batch.part((notice,))))
                connection.execute(alone.values(batch=message_id([notice.key]), leased_until=0.0))

    def hurry(self, sink: str) -> int:
        """The sink is there again: what waits for another attempt is due now. Returns: how many notices."""
        now = self._clock()
        waiting = and_(outbox.c.sink == sink, outbox.c.state == "pending", outbox.c.attempts > 0, outbox.c.due_at > now)
        with self._database.write() as connection:
            return connection.execute(update(outbox).where(waiting).values(due_at=now)).rowcount

    def abandon(self, known: Sequence[str], older_than: float) -> int:
        """Give up what no sink takes any more: of sinks not in `known`, and older than that (Unix seconds).

        Returns: how many notices.
        """
        lost = and_(outbox.c.state == "pending", outbox.c.sink.not_in(known), outbox.c.created_at < older_than)
        values = {"state": "dead", "settled_at": self._clock(), "error": "there is no sink of that name any more"}
        with self._database.write() as connection:
            return connection.execute(update(outbox).where(lost).values(values)).rowcount

    def told_open(self, sink: str) -> tuple[Mapping[str, Any], ...]:
        """What a sink was last told of each incident that it was told of and that is open, the oldest first."""
        table = outbox.c
        query = (
            select(table.id, table.incident_id, table.payload)
            .join(incidents, incidents.c.id == table.incident_id)
            .where(incidents.c.state == "open", table.sink == sink, table.state == "delivered")
            .order_by(table.id)
        )
        latest: dict[str, Mapping[str, Any]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                latest[row.incident_id] = row.payload
        return tuple(latest.values())

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
        now = self._clock()
        fresh = {"state": "pending", "attempts": 0, "created_at": now, "due_at": now, "settled_at": None, "batch": None}
        with self._database.write() as connection:
            return connection.execute(update(outbox).where(these).values(fresh)).rowcount

    def waiting(self) -> dict[str, tuple[int, float]]:
        """Notices that are still to be sent, by sink: how many, and the Unix second at which the oldest was written."""
        table = outbox.c
        query = select(table.sink, func.count(), func.min(table.created_at)).where(table.state == "pending")
        with self._database.read() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query.group_by(table.sink))}

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Notices by sink and state."""
        query = select(outbox.c.sink, outbox.c.state, func.count()).group_by(outbox.c.sink, outbox.c.state)
        with self._database.read() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def next_due(self, sink: str) -> float | None:
        """Unix seconds at which the next notice of a sink is due; None if none is waiting."""
        now = self._clock()
        due_at = case((_from_the_future(outbox.c, now), now), else_=outbox.c.due_at)
        query = select(func.min(due_at)).where(outbox.c.sink == sink, outbox.c.state == "pending", _free(outbox.c, now))
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def forget(self, older_than: float) -> int:
        """Delete notices that were settled before that moment (Unix seconds) and whose incident is over.

        Returns: how many.
        """
        still_open = select(incidents.c.id).where(incidents.c.state == "open")
        old = and_(
            outbox.c.state != "pending", outbox.c.settled_at < older_than, outbox.c.incident_id.not_in(still_open)
        )
        with self._database.write() as connection:
            return connection.execute(delete(outbox).where(old)).rowcount

    def _settle(self, these: ColumnElement[bool], **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(outbox).where(these).values(values))


def add_notices(
    connection: Connection, record: IncidentRecord, change: Change, deliveries: Iterable[Delivery], now: float
) -> None:
    """Write the notices of a change, in the caller's transaction.

    Nobody is told of an opening that he knows of, nor of an incident that was over before its opening was due.
    """
    wanted = {delivery.sink: delivery for delivery in deliveries}
    if not wanted:
        return
    for sink, word in _last_words(connection, record.id).items():
        if sink not in wanted:
            continue
        untold = word.change == "opened" and word.state == "pending" and word.attempts == 0 and word.due_at > now
        if change == "updated" or (change == "closed" and untold):
            # An update that was not sent is overtaken by this one.
            kinds: tuple[Change, ...] = ("updated",) if change == "updated" else ("opened", "updated")
            mine = and_(outbox.c.sink == sink, outbox.c.incident_id == record.id, outbox.c.change.in_(kinds))
            fresh = and_(outbox.c.state == "pending", outbox.c.attempts == 0)
            connection.execute(delete(outbox).where(mine, fresh))
        if (change == "opened" and word.change == "opened") or (change == "closed" and untold):
            del wanted[sink]
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
        for delivery in wanted.values()
    ]
    if rows:
        connection.execute(insert(outbox), rows)


def withdraw(connection: Connection, incident_id: str, change: Change) -> bool:
    """Take back the notices of a change that no attempt was made to send.

    Returns: whether nobody's last word of the incident is that change.
    """
    of_it = and_(outbox.c.incident_id == incident_id, outbox.c.change == change, outbox.c.state == "pending")
    connection.execute(delete(outbox).where(of_it, outbox.c.attempts == 0))
    return all(word.change != change for word in _last_words(connection, incident_id).values())


def hush(connection: Connection, incident_id: str) -> None:
    """Take back what nobody has begun to send; but not the end, to those who know of the beginning."""
    fresh = and_(outbox.c.incident_id == incident_id, outbox.c.state == "pending", outbox.c.attempts == 0)
    connection.execute(delete(outbox).where(fresh, outbox.c.change != "closed"))
    connection.execute(delete(outbox).where(fresh, outbox.c.sink.not_in(who_knows(connection, incident_id))))


def who_knows(connection: Connection, incident_id: str) -> frozenset[str]:
    """The sinks that were told, or may have been, that an incident is open, and not yet that it is over."""
    table = outbox.c
    query = select(table.sink, table.change).where(
        table.incident_id == incident_id,
        table.change != "updated",
        table.state != "dead",
        or_(table.state == "delivered", table.attempts > 0),
    )
    latest = {row.sink: row.change for row in connection.execute(query.order_by(table.id))}
    return frozenset(sink for sink, change in latest.items() if change == "opened")


def _last_words(connection: Connection, incident_id: str) -> dict[str, Any]:
    """The last notice, but for updates, of an incident to each sink."""
    table = outbox.c
    query = select(table.sink, table.change, table.state, table.attempts, table.due_at).where(
        table.incident_id == incident_id, table.change != "updated"
    )
    return {row.sink: row for row in connection.execute(query.order_by(table.id))}


def _due(table: Any, now: float) -> ColumnElement[bool]:
    return or_(table.due_at <= now, _from_the_future(table, now))


def _free(table: Any, now: float) -> ColumnElement[bool]:
    """Nobody's claim holds; one that runs longer than any claim does was made before the clock was set back."""
    return or_(table.leased_until <= now, table.leased_until > now + _LONGEST_LEASE_SECONDS)


def _from_the_future(table: Any, now: float) -> ColumnElement[bool]:
    """It was written before the clock was set back, and is not to wait until the clock is there again."""
    return cast("ColumnElement[bool]", table.created_at > now + _SKEW_SECONDS)


def _still(batch: Batch) -> ColumnElement[bool]:
    """The batch's rows while nobody has claimed them after us.

    Every claim counts an attempt until it is given back; whoever gave it back says nothing more of it.
    """
    ids: dict[int, list[int]] = {}
    for notice in batch.notices:
        ids.setdefault(notice.attempts + 1, []).append(notice.id)
    ours = [and_(outbox.c.id.in_(these), outbox.c.attempts == attempts) for attempts, these in ids.items()]
    return and_(outbox.c.state == "pending", outbox.c.batch == batch.id, or_(False, *ours))


def message_id(keys: Sequence[str]) -> str:
    """The idempotency key of a message that tells of these; without a full stop, as Standard Webhooks wants it."""
    return f"msg_{_hash(keys)}"


def _hash(keys: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]


def _notice(row: Any) -> Notice:
    return Notice(**{name: value for name, value in row.items() if name != "leased_until"})
