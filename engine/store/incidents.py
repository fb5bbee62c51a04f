"""Incidents as they are kept. Which reports of engines make one incident is written below.

An engine reports a defect under an id of its own (a *part*). A part joins the incident of the same subject and detector
that is open, or that closed no longer ago than the damping time; else it begins a new one. One transaction holds the
part, the incident and the notices that the change causes, so that a process killed at any moment leaves all or nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, tuple_, update

from engine.errors import NotOursError, QueryError
from engine.store import cursor as cursors
from engine.store.database import Database
from engine.store.outbox import add_notices, hush, who_knows, withdraw
from engine.store.records import (
    Change,
    Comment,
    Delivery,
    Evidence,
    EvidenceKind,
    IncidentRecord,
    OpenPart,
    Page,
    Recorded,
    State,
)
from engine.store.schema import comments, evidence, incident_labels, incident_parts, incidents, streams
from engine.verdicts import ClosedBy, Incident, Severity

# Who mutes what begins in a maintenance window.
MAINTENANCE = "maintenance"

Route = Callable[[IncidentRecord, Change], Iterable[Delivery]]
"""Who is to be told of a change."""

# Between what two engines tell of one stream, by how much a later report may be dated before an earlier one.
_OUT_OF_ORDER_SECONDS: Final = 10.0


class Incidents:
    """The table of incidents.

    Args:
        database: where they are kept.
        clock: Unix seconds.
        route: who is told of a change; nobody unless given.
        damping_seconds: a defect that comes back no later than this is the same one continued.
        committed: called after a transaction that may have added notices.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        route: Route,
        damping_seconds: float,
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._route = route
        self._damping_seconds = damping_seconds
        self._committed = committed

    def record(
        self,
        incident: Incident,
        change: Change,
        *,
        session: str = "",
        at: float | None = None,
        muted: bool = False,
        counts: Callable[[Connection], bool] | None = None,
    ) -> Recorded:
        """Keep what an engine reported. The same report again changes nothing.

        Args:
            incident: as the engine's book has it.
            change: what happened to it.
            session: tells apart runs of one stream whose media times both begin at 0; "" where they do not.
            at: Unix seconds of the change; now unless given.
            muted: nobody is told (maintenance, mute).
            counts: asked within the transaction; False keeps nothing of it, because the stream is another engine's.
        Returns: the incident that the report belongs to, and what users see of it.
        Raises: StoreError; NotOursError where it does not count.
        """
        now = self._clock() if at is None else at
        key = part_key(incident.id, session)
        if incident.cause is not None and "\0" in incident.cause:  # PostgreSQL's texts cannot hold it
            incident = replace(incident, cause=incident.cause.replace("\0", ""))
        with self._database.write() as connection:
            if counts is not None and not counts(connection):
                raise NotOursError(
                    "the report does not count",
                    stream=incident.stream,
                    why="another engine judges the stream by now",
                    remedy="nothing is to be done",
                )
            part = connection.execute(select(incident_parts).where(incident_parts.c.key == key)).mappings().first()
            if part is None:
                recorded = self._join(connection, key, incident, session, now, muted)
                if change == "closed":
                    # Its opening was never told: it opened and closed while nobody could write.
                    recorded = self._close_part(connection, key, incident.end, incident.closed_by, now)
            elif part["closed_at"] is not None or change == "opened":
                return Recorded(_load(connection, part["incident_id"]), None)
            else:
                _update_part(connection, key, incident)
                if change == "closed":
                    recorded = self._close_part(connection, key, incident.end, incident.closed_by, now)
                else:
                    recorded = self._summarise(connection, part["incident_id"], now, "updated", incident.cause)
        self._committed()
        return recorded

    def get(self, incident_id: str) -> IncidentRecord | None:
        """One incident with its comments and evidence, by its own id or by that of one of its parts."""
        with self._database.read() as connection:
            known = _resolve(connection, incident_id)
            return None if known is None else _load(connection, known)

    def open_incidents(self, stream: str | None = None) -> tuple[IncidentRecord, ...]:
        """The open incidents (of a stream), the oldest first."""
        query = select(incidents).where(incidents.c.state == "open").order_by(incidents.c.opened_at, incidents.c.id)
        if stream is not None:
            query = query.where(incidents.c.id.in_(_ids_on(stream)))
        with self._database.read() as connection:
            return _records(connection, query)

    def open_parts(self) -> tuple[OpenPart, ...]:
        """The reports of engines that are not closed, the oldest first."""
        parts, owners = incident_parts.c, incidents.c
        query = (
            select(parts.key, parts.incident_id, parts.stream, parts.session, owners.detector, parts.opened_at)
            .join_from(incident_parts, incidents, parts.incident_id == owners.id)
            .where(parts.closed_at.is_(None))
            .order_by(parts.opened_at, parts.key)
        )
        with self._database.read() as connection:
            return tuple(OpenPart(*row) for row in connection.execute(query))

    def list(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        stream: str | None = None,
        detector: str | None = None,
        state: State | None = None,
        severity: Severity | None = None,
        since: float | None = None,
        until: float | None = None,
        labels: Mapping[str, str] | None = None,
        text: str | None = None,
        acknowledged: bool | None = None,
    ) -> Page[IncidentRecord]:
        """Incidents, the youngest first.

        Args:
            limit: most on a page.
            cursor: `next` of the page before.
            stream: seen on that stream, or on that channel.
            detector: a name, or an area as "video.*".
            severity: at or above it.
            since, until: Unix seconds; held at any time in [since, until).
            labels: all of them as given.
            text: found in id, stream, detector, cause, a label's value or a comment; case does not matter.
        Raises: QueryError for a wrong cursor or limit; StoreError.
        """
        if limit < 1:
            raise QueryError("wrong limit", why=f"{limit} is below 1", remedy="ask for at least one")
        table = incidents.c
        wanted: list[ColumnElement[bool]] = []
        if stream is not None:
            wanted.append(or_(table.subject == stream, table.id.in_(_ids_on(stream))))
        if detector is not None:
            if detector.endswith(".*"):
                wanted.append(table.detector.startswith(detector[:-1], autoescape=True))
            else:
                wanted.append(table.detector == detector)
        if state is not None:
            wanted.append(table.state == state)
        if severity is not None:
            wanted.append(table.severity_rank >= severity.rank)
        if since is not None:
            wanted.append(or_(table.closed_at.is_(None), table.closed_at >= since))
        if until is not None:
            wanted.append(table.opened_at < until)
        for name, value in (labels or {}).items():
            has = select(incident_labels.c.incident_id).where(
                incident_labels.c.name == name, incident_labels.c.value == value
            )
            wanted.append(table.id.in_(has))
        if text:
            wanted.append(_contains(text))
        if acknowledged is not None:
            wanted.append(table.acknowledged_at.is_not(None) if acknowledged else table.acknowledged_at.is_(None))
        if cursor is not None:
            wanted.append(tuple_(table.opened_at, table.id) < tuple_(*cursors.decode(cursor, (float, str))))
        query = select(incidents).where(and_(True, *wanted)).limit(limit + 1)
        query = query.order_by(table.opened_at.desc(), table.id.desc())
        with self._database.read() as connection:
            found = _records(connection, query)
        shown = found[:limit]
        return Page(shown, cursors.encode((shown[-1].opened_at, shown[-1].id)) if len(found) > limit else None)

    def acknowledge(self, incident_id: str, by: str) -> IncidentRecord | None:
        """Note who takes it on; the first one stays. Returns: None if there is none of that id."""
        with self._database.write() as connection:
            known = _resolve(connection, incident_id)
            if known is None:
                return None
            connection.execute(
                update(incidents)
                .where(incidents.c.id == known, incidents.c.acknowledged_at.is_(None))
                .values(acknowledged_at=self._clock(), acknowledged_by=by)
            )
            return _load(connection, known)

    def comment(self, incident_id: str, author: str, text: str) -> IncidentRecord | None:
        """Add a comment. Returns: None if there is none of that id."""
        with self._database.write() as connection:
            known = _resolve(connection, incident_id)
            if known is None:
                return None
            connection.execute(insert(comments).values(incident_id=known, at=self._clock(), author=author, text=text))
            return _load(connection, known)

    def mute(self, incident_id: str, by: str | None) -> IncidentRecord | None:
        """Tell nobody of it any more, or (None) tell again: of one that is open, at once, who does not know of it.

        Who was told that it began is told its end all the same; else his alarm would stay for ever.

        Args:
            by: who mutes it; None unmutes.
        Returns: None if there is none of that id.
        """
        now = self._clock()
        with self._database.write() as connection:
            known = _resolve(connection, incident_id)
            if known is None:
                return None
            before = connection.execute(select(incidents).where(incidents.c.id == known)).mappings().one()
            values = {"muted": by is not None, "muted_by": by, "updated_at": now, "revision": before["revision"] + 1}
            connection.execute(update(incidents).where(incidents.c.id == known).values(values))
            record = _load(connection, known)
            if by is not None:
                hush(connection, known)
            elif before["muted"] and record.state == "open":
                add_notices(connection, record, "opened", self._route(record, "opened"), now)
        self._committed()
        return record

    def attach(self, incident_id: str, kind: EvidenceKind, place: str, size_bytes: int) -> IncidentRecord | None:
        """Note where a piece of evidence lies; it takes the place of an older one of its kind.

        Args:
            place: path relative to the data directory, or an object store's key.
        Returns: None if there is none of that id.
        """
        with self._database.write() as connection:
            known = _resolve(connection, incident_id)
            if known is None:
                return None
            same = and_(evidence.c.incident_id == known, evidence.c.kind == kind)
            connection.execute(delete(evidence).where(same))
            connection.execute(
                insert(evidence).values(
                    incident_id=known, kind=kind, place=place, bytes=size_bytes, created_at=self._clock()
                )
            )
            return _load(connection, known)

    def close_orphans(
        self,
        *,
        streams: Sequence[str] | None = None,
        keep: Iterable[str] = (),
        closed_by: ClosedBy = "removed",
        at: float | None = None,
    ) -> tuple[IncidentRecord, ...]:
        """Close what no engine will close any more: its stream was removed, or its process died.

        After a crash, call it once the damping time has passed since the streams were opened again: what still holds
        was reported anew by then, and so is `keep`.

        Args:
            streams: only parts on these; all unless told.
            keep: sessions whose parts are alive.
            closed_by: why.
            at: Unix seconds at which the defect was last seen; now unless given.
        Returns: the incidents that closed by it.
        """
        now = self._clock() if at is None else at
        query = select(incident_parts).where(incident_parts.c.closed_at.is_(None)).order_by(incident_parts.c.opened_at)
        if streams is not None:
            query = query.where(incident_parts.c.stream.in_(streams))
        alive = list(keep)
        if alive:
            query = query.where(incident_parts.c.session.not_in(alive))
        return self._close_parts(query, closed_by, now)

    def close_part(self, key: str, *, closed_by: ClosedBy, at: float) -> tuple[IncidentRecord, ...]:
        """Close one report that no engine will close any more; as `close_orphans`.

        Args:
            key: of `OpenPart`.
        """
        query = select(incident_parts).where(incident_parts.c.key == key, incident_parts.c.closed_at.is_(None))
        return self._close_parts(query, closed_by, at)

    def _close_parts(self, query: Any, closed_by: ClosedBy, now: float) -> tuple[IncidentRecord, ...]:
        closed = []
        with self._database.write() as connection:
            for part in connection.execute(query).mappings().all():
                end = part["start"] + max(0.0, now - part["opened_at"])
                recorded = self._close_part(connection, part["key"], end, closed_by, now)
                if recorded.change == "closed":
                    closed.append(recorded.incident)
        self._committed()
        return tuple(closed)

    def forget(self, older_than: float) -> int:
        """Delete incidents that closed before that moment (Unix seconds). Returns: how many."""
        old = and_(incidents.c.state == "closed", incidents.c.closed_at < older_than)
        with self._database.write() as connection:
            return connection.execute(delete(incidents).where(old)).rowcount

    def _join(
        self, connection: Connection, key: str, incident: Incident, session: str, now: float, muted: bool
    ) -> Recorded:
        """Make the part, and the incident that it belongs to where there is none."""
        stream = connection.execute(select(streams).where(streams.c.id == incident.stream)).mappings().first()
        subject = incident.stream if stream is None else stream["channel"] or incident.stream
        target = self._continued(connection, subject, incident, session, now)
        change: Change = "updated"
        if target is None:
            change, target = "opened", key[:32]
            labels = {} if stream is None else dict(stream["labels"])
            connection.execute(
                insert(incidents).values(
                    id=target,
                    subject=subject,
                    stream=incident.stream,
                    detector=incident.detector,
                    severity=str(incident.severity),
                    severity_rank=incident.severity.rank,
                    state="open",
                    start=incident.start,
                    score=incident.score,
                    cause=incident.cause,
                    measures=dict(incident.measures),
                    labels=labels,
                    opened_at=now,
                    updated_at=now,
                    reopenings=0,
                    revision=0,
                    muted=muted,
                    muted_by=MAINTENANCE if muted else None,
                )
            )
            if labels:
                rows = [{"incident_id": target, "name": name, "value": value} for name, value in labels.items()]
                connection.execute(insert(incident_labels), rows)
        connection.execute(
            insert(incident_parts).values(
                key=key,
                incident_id=target,
                stream=incident.stream,
                session=session,
                start=incident.start,
                score=incident.score,
                measures=dict(incident.measures),
                opened_at=now,
            )
        )
        return self._summarise(connection, target, now, change, incident.cause)

    def _continued(
        self, connection: Connection, subject: str, incident: Incident, session: str, now: float
    ) -> str | None:
        """The incident that a new report continues."""
        same = and_(incidents.c.subject == subject, incidents.c.detector == incident.detector)
        last = connection.execute(
            select(incidents.c.id, incidents.c.state, incidents.c.closed_at)
            .where(same)
            .order_by(incidents.c.state.desc(), incidents.c.closed_at.desc())  # an open one comes first
            .limit(1)
        ).first()
        if last is None or last.state == "open":
            return None if last is None else str(last.id)
        # On the stream's own clock where both lie on it: a wall clock can be set.
        end = connection.execute(
            select(func.max(incident_parts.c.end)).where(
                incident_parts.c.incident_id == last.id,
                incident_parts.c.stream == incident.stream,
                incident_parts.c.session == session,
            )
        ).scalar()
        gap = now - last.closed_at if end is None else incident.start - end
        if end is None and not -_OUT_OF_ORDER_SECONDS <= gap < 0.0:
            gap = abs(gap)  # else it was open when this one began: where engines take over, that is told late
        return str(last.id) if gap <= self._damping_seconds else None

    def _close_part(
        self, connection: Connection, key: str, end: float | None, closed_by: ClosedBy | None, now: float
    ) -> Recorded:
        values = {"end": end, "closed_at": now, "closed_by": closed_by or "recovered"}
        connection.execute(update(incident_parts).where(incident_parts.c.key == key).values(values))
        owner = select(incident_parts.c.incident_id).where(incident_parts.c.key == key)
        return self._summarise(connection, connection.execute(owner).scalar_one(), now, "updated", None)

    def _summarise(
        self, connection: Connection, incident_id: str, now: float, change: Change, cause: str | None
    ) -> Recorded:
        """Bring an incident to what its parts say, and tell who is to be told."""
        of_it = select(incident_parts).where(incident_parts.c.incident_id == incident_id)
        parts = connection.execute(of_it.order_by(incident_parts.c.opened_at)).mappings().all()
        before = connection.execute(select(incidents).where(incidents.c.id == incident_id)).mappings().one()
        first, last = parts[0], max(parts, key=lambda part: (part["closed_at"] or 0.0, part["opened_at"]))
        is_open = any(part["closed_at"] is None for part in parts)
        values: dict[str, Any] = {"updated_at": now, "revision": before["revision"] + 1}
        latest = parts[-1]
        values |= {"score": latest["score"], "measures": latest["measures"]}
        if cause is not None:
            values["cause"] = cause
        if is_open:
            values |= {"state": "open", "end": None, "closed_at": None, "closed_by": None}
            if before["state"] == "closed":
                values["reopenings"] = before["reopenings"] + 1
        else:
            same_clock = (last["stream"], last["session"]) == (first["stream"], first["session"])
            # The end on the first report's media clock; across clocks only the wall tells how long it was.
            end = last["end"] if same_clock and last["end"] is not None else None
            if end is None:
                end = before["start"] + max(0.0, last["closed_at"] - before["opened_at"])
            values |= {"state": "closed", "closed_at": last["closed_at"], "closed_by": last["closed_by"]}
            values["end"] = max(end, before["start"])
        connection.execute(update(incidents).where(incidents.c.id == incident_id).values(values))
        record = _load(connection, incident_id)
        told = change
        if change == "updated" and before["state"] != record.state:
            told = change = "closed"
            if record.state == "open":
                # Who was told that it is over is told anew, and so is who was told nothing yet.
                told = "opened"
                change = "updated" if withdraw(connection, incident_id, "closed") else "opened"
        if not record.muted or told == "closed":
            deliveries = self._route(record, told)
            if record.muted:
                knowing = who_knows(connection, incident_id)
                deliveries = [delivery for delivery in deliveries if delivery.sink in knowing]
            add_notices(connection, record, told, deliveries, now)
        return Recorded(record, change)


def part_key(incident_id: str, session: str) -> str:
    """What a report is known by: the engine's id, or a hash of it and the session."""
    if not session:
        return incident_id
    return hashlib.sha256(f"{session}|{incident_id}".encode()).hexdigest()[:16]


def _update_part(connection: Connection, key: str, incident: Incident) -> None:
    values = {"score": incident.score, "measures": dict(incident.measures)}
    connection.execute(update(incident_parts).where(incident_parts.c.key == key).values(values))


def _ids_on(stream: str) -> Any:
    return select(incident_parts.c.incident_id).where(incident_parts.c.stream == stream)


def _contains(text: str) -> ColumnElement[bool]:
    table = incidents.c
    said = select(comments.c.incident_id).where(comments.c.text.icontains(text, autoescape=True))
    labelled = select(incident_labels.c.incident_id).where(incident_labels.c.value.icontains(text, autoescape=True))
    columns = (table.id, table.subject, table.stream, table.detector, table.cause)
    return or_(*(column.icontains(text, autoescape=True) for column in columns), table.id.in_(said),
               table.id.in_(labelled))  # fmt: skip


def _resolve(connection: Connection, incident_id: str) -> str | None:
    known = connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id)).scalar()
    if known is None:
        part = select(incident_parts.c.incident_id).where(incident_parts.c.key == incident_id)
        known = connection.execute(part).scalar()
    return known


def _load(connection: Connection, incident_id: str) -> IncidentRecord:
    """One incident with everything that belongs to it."""
    (record,) = _records(connection, select(incidents).where(incidents.c.id == incident_id))
    of_it = select(comments).where(comments.c.incident_id == incident_id).order_by(comments.c.id)
    said = tuple(Comment(row.at, row.author, row.text) for row in connection.execute(of_it))
    return replace(record, comments=said)


def _records(connection: Connection, query: Any) -> tuple[IncidentRecord, ...]:
    rows = connection.execute(query).mappings().all()
    ids = [row["id"] for row in rows]
    seen: dict[str, dict[str, None]] = {one: {} for one in ids}
    places: dict[str, list[Evidence]] = {one: [] for one in ids}
    parts = select(incident_parts.c.incident_id, incident_parts.c.stream).order_by(incident_parts.c.opened_at)
    for part in connection.execute(parts.where(incident_parts.c.incident_id.in_(ids))):
        seen[part.incident_id][part.stream] = None
    for row in connection.execute(select(evidence).where(evidence.c.incident_id.in_(ids)).order_by(evidence.c.kind)):
        places[row.incident_id].append(Evidence(row.kind, row.place, row.bytes, row.created_at))
    return tuple(
        IncidentRecord(
            **{name: value for name, value in row.items() if name not in ("severity", "severity_rank")},
            severity=Severity(row["severity"]),
            streams=tuple(seen[row["id"]]),
            evidence=tuple(places[row["id"]]),
        )
        for row in rows
    )
