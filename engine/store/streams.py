"""The streams that the service watches, as rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from engine.ingest.url_policy import redact
from engine.store import cursor as cursors
from engine.store.database import Database
from engine.store.records import Origin, Page, StreamRecord
from engine.store.schema import streams


class Streams:
    """The table of streams. Addresses are given out with their secrets hidden, except by `sources`.

    Args:
        database: where they are kept.
        clock: Unix seconds.
    """

    def __init__(self, database: Database, clock: Any) -> None:
        self._database = database
        self._clock = clock

    def put(self, stream: StreamRecord) -> StreamRecord:
        """Add a stream, or replace the one of that id. An address as it was given out keeps the address that is there.

        Returns: the stream as it is now kept, its secrets hidden.
        Raises: StoreError.
        """
        now = self._clock()
        with self._database.write() as connection:
            old = connection.execute(select(streams).where(streams.c.id == stream.id)).mappings().first()
            values = {
                "id": stream.id,
                "url": old["url"] if old is not None and stream.url == redact(old["url"]) else stream.url,
                "channel": stream.channel,
                "group": stream.group,
                "loop": stream.loop,
                "rendition": stream.rendition,
                "reference": stream.reference,
                "subsets": [list(patterns) for patterns in stream.subsets],
                "profile": stream.profile,
                "detectors": dict(stream.detectors),
                "priority": stream.priority,
                "labels": dict(stream.labels),
                "origin": stream.origin,
                "paused": stream.paused,
                "maintenance": [dict(window) for window in stream.maintenance],
                "created_at": now if old is None else old["created_at"],
                "updated_at": now,
            }
            if old is None:
                connection.execute(insert(streams).values(values))
            else:
                connection.execute(update(streams).where(streams.c.id == stream.id).values(values))
        return _hidden(_stream(values))

    def get(self, stream_id: str) -> StreamRecord | None:
        """One stream, its secrets hidden; None if there is none of that id."""
        with self._database.read() as connection:
            row = connection.execute(select(streams).where(streams.c.id == stream_id)).mappings().first()
        return None if row is None else _hidden(_stream(row))

    def list(self, *, limit: int = 100, cursor: str | None = None, origin: Origin | None = None) -> Page[StreamRecord]:
        """Streams by id, their secrets hidden.

        Args:
            limit: most on a page.
            cursor: `next` of the page before.
            origin: only of that origin.
        Raises: QueryError for a wrong cursor.
        """
        query = select(streams).order_by(streams.c.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(streams.c.id > cursors.decode(cursor, (str,))[0])
        if origin is not None:
            query = query.where(streams.c.origin == origin)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        shown = tuple(_hidden(_stream(row)) for row in rows[:limit])
        return Page(shown, cursors.encode((shown[-1].id,)) if len(rows) > limit else None)

    def sources(self, ids: Sequence[str] | None = None) -> tuple[StreamRecord, ...]:
        """Streams with their true addresses, for who opens them; never for showing.

        Args:
            ids: only these; all unless told.
        """
        query = select(streams).order_by(streams.c.id)
        if ids is not None:
            query = query.where(streams.c.id.in_(ids))
        with self._database.read() as connection:
            return tuple(_stream(row) for row in connection.execute(query).mappings())

    def delete(self, stream_id: str) -> bool:
        """Forget a stream; its incidents stay. Returns: whether there was one."""
        with self._database.write() as connection:
            return connection.execute(delete(streams).where(streams.c.id == stream_id)).rowcount > 0


def _stream(row: Any) -> StreamRecord:
    subsets = tuple(tuple(patterns) for patterns in row["subsets"] or ())
    return StreamRecord(**{**row, "maintenance": tuple(row["maintenance"]), "subsets": subsets})


def _hidden(stream: StreamRecord) -> StreamRecord:
    return replace(stream, url=redact(stream.url))
