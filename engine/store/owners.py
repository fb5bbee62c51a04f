"""Who judges what, in the database that all engines of a cluster share.

An engine renews a *lease* on itself. What it is made the owner of, it owns from one Unix second (`owned_from`) on,
until its lease ends or another owner's second begins. An owner is only ever changed by a transaction that names the
epoch it saw, so two coordinators, or one that is late, cannot give a unit away twice. All times are the database's own.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, insert, or_, select, text, update

from engine.store.database import Database
from engine.store.schema import cluster_engines, cluster_units

# How long an engine that says nothing is still taken for alive.
LEASE_SECONDS: Final = 6.0
# How far ahead a change of owners lies when it is decided, where both are alive; and so how long an owner may rely on
# what it read.
NOTICE_SECONDS: Final = 2.0
# After the change, for how long the one before may still bring what belongs to its time.
LATE_SECONDS: Final = 5.0
# Streams that are named in one question.
_AT_ONCE: Final = 500
_CLOCK: Final = text("SELECT EXTRACT(EPOCH FROM clock_timestamp())")


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine as it registered itself.

    Args:
        name: unique.
        incarnation: grows with every start.
        node: of the cluster, by its id.
        process: where its process is ("boot", "pid", "started"), so that its death can be seen from there.
        labels: that streams may ask for.
        state: what it said of itself last ("capacity", "streams", "load", "ready", "detail").
        emptied: an operator wants its streams elsewhere.
        registered_at, lease_until: Unix seconds.
        alive: its lease holds now.
    """

    name: str
    incarnation: int
    node: str
    process: Mapping[str, Any]
    labels: Mapping[str, str]
    state: Mapping[str, Any]
    emptied: bool
    registered_at: float
    lease_until: float
    alive: bool


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A unit, without its plan.

    Args:
        stream, part: which.
        revision: grows with every change of the plan.
        priority, labels, together, paused: as it is wanted; units of the same `together` have the same owner.
        epoch: grows with every change of the owner.
        owner, owner_incarnation, owned_from: who judges it, from which Unix second on; owner None while nobody does.
        before, before_incarnation, before_from: who did until then.
        next, next_incarnation, next_since: who is getting ready to.
        refused: why nobody judges it, for people.
    """

    stream: str
    part: int
    revision: int
    priority: int
    labels: Mapping[str, str]
    together: str
    paused: bool
    epoch: int
    owner: str | None
    owner_incarnation: int
    owned_from: float
    before: str | None
    before_incarnation: int
    before_from: float
    next: str | None
    next_incarnation: int
    next_since: float
    refused: str | None

    @property
    def key(self) -> tuple[str, int]:
        """Which."""
        return self.stream, self.part


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """A unit as it is wanted.

    Args:
        plan: for the engine; the address in it has its secrets.
    """

    stream: str
    part: int
    plan: Mapping[str, Any] = field(repr=False)
    priority: int = 50
    labels: Mapping[str, str] = field(default_factory=dict)
    together: str = ""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Mine:
    """What concerns one engine.

    Args:
        now: Unix seconds of the database, at which this was read.
        lease_until: of that engine's lease; 0 where another process has registered under its name.
        units: that it owns, owned before, or is to take over.
    """

    now: float
    lease_until: float
    units: tuple[UnitRow, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, as of one moment.

    Args:
        now: Unix seconds of the database.
        engines: by name, the lost ones too.
        units: all that are wanted.
        alive: the engines whose lease holds, by name and incarnation.
    """

    now: float
    engines: tuple[EngineRow, ...]
    units: tuple[UnitRow, ...]
    alive: Mapping[tuple[str, int], EngineRow] = field(default_factory=dict)

    def owner(self, unit: UnitRow) -> EngineRow | None:
        """The engine that judges a unit; None where nobody does, or it is lost."""
        return None if unit.owner is None else self.alive.get((unit.owner, unit.owner_incarnation))


# Without the plan, which is much longer than the rest and seldom changes.
_SHORT: Final = [column for column in cluster_units.c if column.name != "plan"]


class Owners:
    """The tables of engines and units. Any thread may call it; each call is one transaction. All raise StoreError.

    Args:
        database: that all engines share.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # The engines.

    def register(
        self, name: str, node: str, process: Mapping[str, Any], labels: Mapping[str, str], *, died: bool
    ) -> int | None:
        """Begin a new incarnation of an engine.

        Args:
            died: the process that registered before (see `engine`) is known to be gone; else its lease has to end.
        Returns: the incarnation; None while the lease of another one holds.
        """
        with self._database.write(lock="cluster.engines") as connection:
            now = self._now(connection)
            row = self._engine_row(connection, name)
            if row is not None and row["lease_until"] > now and not died:
                return None
            incarnation = 1 if row is None else int(row["incarnation"]) + 1
            values = {
                "incarnation": incarnation,
                "node": node,
                "process": dict(process),
                "labels": dict(labels),
                "state": {},
                "registered_at": now,
                "lease_until": now + LEASE_SECONDS,
            }
            if row is None:
                connection.execute(insert(cluster_engines).values(name=name, emptied=False, **values))
            else:
                # Whoever was before owns nothing from now on.
                connection.execute(update(cluster_engines).where(cluster_engines.c.name == name).values(**values))
            return incarnation

    def renew(self, name: str, incarnation: int, state: Mapping[str, Any]) -> bool:
        """Hold a lease for LEASE_SECONDS from now on. Returns: False if another process has the name by now."""
        with self._database.write(lock=f"cluster.engine.{name}") as connection:
            now = self._now(connection)
            mine = and_(cluster_engines.c.name == name, cluster_engines.c.incarnation == incarnation)
            values = {"state": dict(state), "lease_until": now + LEASE_SECONDS}
            return connection.execute(update(cluster_engines).where(mine).values(**values)).rowcount > 0

    def leave(self, name: str, incarnation: int) -> None:
        """End an engine: what it owned is free at once."""
        with self._database.write(lock="cluster.engines") as connection:
            mine = and_(cluster_engines.c.name == name, cluster_engines.c.incarnation == incarnation)
            connection.execute(update(cluster_engines).where(mine).values(lease_until=self._now(connection)))

    def engine(self, name: str) -> EngineRow | None:
        """One engine; None if none registered under that name."""
        return next((engine for engine in self.engines() if engine.name == name), None)

    def engines(self) -> tuple[EngineRow, ...]:
        """All engines by name, the lost ones too."""
        with self._database.read() as connection:
            now = self._now(connection)
            rows = connection.execute(select(cluster_engines).order_by(cluster_engines.c.name)).mappings().all()
        return tuple(EngineRow(**row, alive=row["lease_until"] > now) for row in rows)

    def empty(self, name: str, emptied: bool) -> bool:
        """Have an engine's streams go elsewhere, or not any more. Returns: whether there is such an engine."""
        with self._database.write(lock="cluster.engines") as connection:
            this = cluster_engines.c.name == name
            return connection.execute(update(cluster_engines).where(this).values(emptied=emptied)).rowcount > 0

    def forget(self, name: str) -> bool:
        """Forget an engine whose lease has ended. Returns: whether it was."""
        with self._database.write(lock="cluster.engines") as connection:
            gone = and_(cluster_engines.c.name == name, cluster_engines.c.lease_until <= self._now(connection))
            return connection.execute(delete(cluster_engines).where(gone)).rowcount > 0

    def overview(self) -> "Overview":
        """Everything, as of one moment."""
        with self._database.read() as connection:
            now = self._now(connection)
            rows = connection.execute(select(cluster_engines).order_by(cluster_engines.c.name)).mappings().all()
            units = connection.execute(select(*_SHORT)).mappings().all()
        engines = tuple(EngineRow(**row, alive=row["lease_until"] > now) for row in rows)
        alive = {(engine.name, engine.incarnation): engine for engine in engines if engine.alive}
        return Overview(now, engines, _units(units), alive)

    # What is wanted.

    def want(self, units: Sequence[UnitPlan]) -> None:
        """Have units judged, as they are wanted now; of the same streams no others."""
        by_stream: dict[str, list[UnitPlan]] = {}
        for unit in units:
            by_stream.setdefault(unit.stream, []).append(unit)
        with self._database.write(lock="cluster.units") as connection:
            for stream, parts in by_stream.items():
                there = {
                    row["part"]: row
                    for row in connection.execute(
                        select(cluster_units).where(cluster_units.c.stream == stream)
                    ).mappings()
                }
                for unit in parts:
                    _keep(connection, unit, there.pop(unit.part, None))
                for part in there:
                    connection.execute(
                        delete(cluster_units).where(cluster_units.c.stream == stream, cluster_units.c.part == part)
                    )

    def want_no_more(self, stream: str) -> None:
        """Have a stream judged by nobody."""
        with self._database.write(lock="cluster.units") as connection:
            connection.execute(delete(cluster_units).where(cluster_units.c.stream == stream))

    def plans(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Mapping[str, Any]]:
        """The plans of units; one that is wanted no more is left out."""
        found: dict[tuple[str, int], Mapping[str, Any]] = {}
        columns = (cluster_units.c.stream, cluster_units.c.part, cluster_units.c.plan)
        with self._database.read() as connection:
            for start in range(0, len(keys), 500):
                these = keys[start : start + 500]
                streams = select(*columns).where(cluster_units.c.stream.in_({stream for stream, _ in these}))
                for row in connection.execute(streams):
                    if (row.stream, row.part) in these:
                        found[row.stream, row.part] = row.plan
        return found

    def units(self) -> tuple[UnitRow, ...]:
        """All units."""
        with self._database.read() as connection:
            return _units(connection.execute(select(*_SHORT)).mappings().all())

    # Who judges it.

    def mine(self, name: str, incarnation: int) -> Mine:
        """What concerns one engine."""
        table = cluster_units.c
        concerned = or_(
            and_(table.owner == name, table.owner_incarnation == incarnation),
            and_(table.before == name, table.before_incarnation == incarnation),
            and_(table.next == name, table.next_incarnation == incarnation),
        )
        with self._database.read() as connection:
            now = self._now(connection)
            row = self._engine_row(connection, name)
            until = row["lease_until"] if row is not None and row["incarnation"] == incarnation else 0.0
            return Mine(now, until, _units(connection.execute(select(*_SHORT).where(concerned)).mappings().all()))

    def give(self, gifts: Mapping[tuple[str, int], tuple[int, str]]) -> int:
        """Make engines the owners of units that nobody judges, from the moment on at which nobody else does.

        Args:
            gifts: of each unit the epoch that was seen, and the engine.
        Returns: how many it was done for; of the others the epoch, or what is wanted, has changed.
        """
        with self._changing() as (connection, now, engines):
            changes = []
            for unit in _at_epochs(connection, {key: epoch for key, (epoch, _) in gifts.items()}):
                taker = engines.get(gifts[unit["stream"], unit["part"]][1])
                if taker is None or taker["lease_until"] <= now:
                    continue
                owner = engines.get(unit["owner"] or "")
                holds = owner is not None and owner["incarnation"] == unit["owner_incarnation"]
                if owner is not None and holds and owner["lease_until"] > now:
                    continue  # it lives: a unit of its own is only moved
                changes.append(_change(unit, taker["name"], taker["incarnation"], max(now, unit["owned_from"])))
            return _carry_out(connection, changes)

    def prepare(self, moves: Mapping[tuple[str, int], tuple[int, str]]) -> int:
        """Have engines get ready to take units over; their owners go on. Returns: as `give`."""
        with self._changing() as (connection, now, engines):
            changes = []
            for unit in _at_epochs(connection, {key: epoch for key, (epoch, _) in moves.items()}):
                taker = engines.get(moves[unit["stream"], unit["part"]][1])
                if taker is None or taker["lease_until"] <= now or unit["owner"] is None:
                    continue
                values = {"next": taker["name"], "next_incarnation": taker["incarnation"], "next_since": now}
                changes.append(_of(unit) | values)
            return _carry_out(connection, changes)

    def forgo(self, keys: Sequence[tuple[str, int]]) -> None:
        """Let nobody get ready for these units any more."""
        with self._changing() as (connection, _, _engines):
            _carry_out(connection, [{"of_stream": stream, "of_part": part, "next": None} for stream, part in keys])

    def take_over(self, name: str, incarnation: int, units: Mapping[tuple[str, int], int]) -> int:
        """Become the owner of units that one is ready for, NOTICE_SECONDS from now, so that their owners know of it.

        Args:
            units: of each the epoch that was seen.
        Returns: as `give`.
        """
        with self._changing() as (connection, now, engines):
            taker = engines.get(name)
            if taker is None or taker["incarnation"] != incarnation or taker["lease_until"] <= now:
                return 0
            changes = [
                # A change that is still to come would be overtaken: its owner has not begun.
                _change(unit, name, incarnation, max(now, unit["owned_from"]) + NOTICE_SECONDS)
                for unit in _at_epochs(connection, units)
                if (unit["next"], unit["next_incarnation"]) == (name, incarnation)
            ]
            return _carry_out(connection, changes)

    def refuse(self, units: Mapping[tuple[str, int], tuple[int, str]]) -> int:
        """Have nobody judge units, for want of room; those that are judged from NOTICE_SECONDS on. Returns: as `give`.

        Args:
            units: of each the epoch that was seen, and why, for people.
        """
        with self._changing() as (connection, now, _engines):
            ended, told = [], []
            for unit in _at_epochs(connection, {key: epoch for key, (epoch, _) in units.items()}):
                why = {"refused": units[unit["stream"], unit["part"]][1]}
                if unit["owner"] is None:
                    told.append(_of(unit) | why)
                else:
                    ended.append(_change(unit, None, 0, max(now, unit["owned_from"]) + NOTICE_SECONDS) | why)
            return _carry_out(connection, ended) + _carry_out(connection, told)

    def counts(self, connection: Connection, stream: str, name: str, incarnation: int, at: float) -> bool:
        """Whether what an engine found on a stream at a Unix second counts: asked in the transaction that keeps it.

        It is the second lock on the door: engines let out only what they own (engine/cluster/gate.py). A second is
        allowed between the clocks.
        """
        these = select(*_SHORT).where(cluster_units.c.stream == stream)
        for unit in _units(connection.execute(these).mappings().all()):
            if (unit.owner, unit.owner_incarnation) == (name, incarnation):
                return True
            was = (unit.before, unit.before_incarnation) == (name, incarnation)
            if was and at < unit.owned_from + 1.0:
                return True
        return False

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Connection, float, dict[str, Any]]]:
        with self._database.write(lock="cluster.units") as connection:
            engines = {row["name"]: row for row in connection.execute(select(cluster_engines)).mappings()}
            yield connection, self._now(connection), engines

    def _engine_row(self, connection: Connection, name: str) -> Any:
        return connection.execute(select(cluster_engines).where(cluster_engines.c.name == name)).mappings().first()

    def _now(self, connection: Connection) -> float:
        """The one clock of the cluster. SQLite is a file of this machine, so its clock is this machine's."""
        if self._database.dialect == "postgresql":
            return float(connection.execute(_CLOCK).scalar_one())
        return time.time()


def _at_epochs(connection: Connection, units: Mapping[tuple[str, int], int]) -> Iterator[RowMapping]:
    """Of units, those whose epoch is still what was seen. Nobody else changes one meanwhile: see `_changing`."""
    keys = list(units)
    for start in range(0, len(keys), _AT_ONCE):
        streams = {stream for stream, _ in keys[start : start + _AT_ONCE]}
        found = connection.execute(select(*_SHORT).where(cluster_units.c.stream.in_(streams))).mappings().all()
        yield from (unit for unit in found if units.get((unit["stream"], unit["part"])) == unit["epoch"])


def _of(unit: RowMapping) -> dict[str, Any]:
    return {"of_stream": unit["stream"], "of_part": unit["part"]}


def _change(unit: RowMapping, owner: str | None, incarnation: int, since: float) -> dict[str, Any]:
    """A change of a unit's owner, for `_carry_out`."""
    return _of(unit) | {
        "epoch": unit["epoch"] + 1,
        "owner": owner,
        "owner_incarnation": incarnation,
        "owned_from": since,
        "before": unit["owner"],
        "before_incarnation": unit["owner_incarnation"],
        "before_from": unit["owned_from"],
        "next": None,
        "refused": None,
    }


def _carry_out(connection: Connection, changes: Sequence[Mapping[str, Any]]) -> int:
    """Write changes that are all of the same columns: one statement, sent once, as a node's loss changes hundreds."""
    if not changes:
        return 0
    columns = [name for name in changes[0] if name not in ("of_stream", "of_part")]
    this = and_(cluster_units.c.stream == bindparam("of_stream"), cluster_units.c.part == bindparam("of_part"))
    statement = update(cluster_units).where(this).values({name: bindparam(f"to_{name}") for name in columns})
    rows = [
        {"of_stream": change["of_stream"], "of_part": change["of_part"]}
        | {f"to_{name}": change[name] for name in columns}
        for change in changes
    ]
    connection.execute(statement, rows)
    return len(rows)


def _keep(connection: Connection, unit: UnitPlan, there: Any) -> None:
    wanted = {
        "plan": dict(unit.plan),
        "priority": unit.priority,
        "labels": dict(unit.labels),
        "together": unit.together,
        "paused": unit.paused,
    }
    if there is None:
        connection.execute(
            insert(cluster_units).values(stream=unit.stream, part=unit.part, revision=1, epoch=0, **wanted)
        )
    elif any(there[name] != value for name, value in wanted.items()):
        this = and_(cluster_units.c.stream == unit.stream, cluster_units.c.part == unit.part)
        connection.execute(update(cluster_units).where(this).values(revision=there["revision"] + 1, **wanted))


def _units(rows: Sequence[Any]) -> tuple[UnitRow, ...]:
    return tuple(UnitRow(**row) for row in rows)
