"""Common questions about stream-seconds, answered by DuckDB over the view `seconds`.

Files of a directory are read where they lie, those of an object store are fetched first. The view has one row per
stream and second: the columns of engine/store/second_rows.py, with `played_at` in UTC without a zone, and `date`.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from engine.errors import QueryError
from engine.store.directory import Directory
from engine.store.objects import NotThere
from engine.store.second_rows import SCHEMA, SecondRow, table_of
from engine.store.verdict_reader import Found, VerdictReader

_FETCHERS: Final = 8

# A second is unknown if nothing of it was seen at all: no picture and no sound. It says nothing of the stream, so it
# counts neither for nor against it; unless it was critical, because a stall is known for what it is.
_KINDS: Final = """
    SELECT *, len(critical) > 0 AS bad,
           len(critical) = 0 AND frames_measured = 0 AND audio_seconds = 0 AS unseen
    FROM seconds
"""

_AVAILABILITY: Final = f"""
    SELECT stream, strftime(date, '%Y-%m-%d') AS date, count(*) AS seconds,
           count(*) FILTER (bad) AS critical_seconds,
           count(*) FILTER (unseen) AS unknown_seconds,
           round(100.0 * count(*) FILTER (NOT bad AND NOT unseen) / nullif(count(*) FILTER (NOT unseen), 0), 4)
               AS available_percent,
           round(100.0 * sum(frames_measured) / nullif(sum(frames_expected), 0), 2) AS pictures_measured_percent
    FROM ({_KINDS}) GROUP BY stream, date ORDER BY stream, date
"""

_WORST: Final = f"""
    SELECT stream, count(*) AS seconds, count(*) FILTER (bad) AS critical_seconds,
           count(*) FILTER (len(open) > 0) AS incident_seconds,
           count(*) FILTER (unseen) AS unknown_seconds, sum(decode_errors)::BIGINT AS decode_errors,
           round(100.0 * count(*) FILTER (NOT bad AND NOT unseen) / nullif(count(*) FILTER (NOT unseen), 0), 4)
               AS available_percent
    FROM ({_KINDS}) GROUP BY stream
    ORDER BY available_percent ASC NULLS FIRST, incident_seconds DESC, stream
"""

# Seconds that follow each other with the same detector open are one stretch.
_INCIDENTS: Final = """
    WITH marked AS (
        SELECT stream, session, second, played_at, unnest(open) AS detector, critical FROM seconds
    ), numbered AS (
        SELECT *, second - row_number() OVER (PARTITION BY stream, session, detector ORDER BY second) AS stretch
        FROM marked
    )
    SELECT strftime(min(played_at), '%Y-%m-%dT%H:%M:%SZ') AS since, stream, detector, count(*) AS seconds,
           count(*) FILTER (list_contains(critical, detector)) AS critical_seconds,
           session, min(second) AS first_second, max(second) AS last_second
    FROM numbered GROUP BY stream, session, detector, stretch ORDER BY min(played_at), stream, detector
"""

# A gap: seconds that are not in the store at all (within a session or between two), or of which pictures that were due
# were not measured, or nothing was seen.
_GAPS: Final = """
    WITH steps AS (
        SELECT *, lag(played_at) OVER (PARTITION BY stream ORDER BY played_at, session, second) AS before
        FROM seconds
    ), missing AS (
        SELECT stream, 'missing' AS gap, before + INTERVAL 1 SECOND AS since,
               round(epoch(played_at) - epoch(before) - 1)::BIGINT AS seconds, NULL::DOUBLE AS measured_percent
        FROM steps WHERE epoch(played_at) - epoch(before) >= 2
    ), judged AS (
        SELECT stream, session, second, played_at, frames_measured, frames_expected,
               CASE WHEN frames_measured = 0 AND audio_seconds = 0 THEN 'nothing seen'
                    WHEN frames_measured < 0.9 * frames_expected THEN 'pictures not measured' END AS gap
        FROM seconds
    ), numbered AS (
        SELECT *, second - row_number() OVER (PARTITION BY stream, session, gap ORDER BY second) AS stretch
        FROM judged WHERE gap IS NOT NULL
    ), partly AS (
        SELECT stream, gap, min(played_at) AS since, count(*) AS seconds,
               round(100.0 * sum(frames_measured) / nullif(sum(frames_expected), 0), 2) AS measured_percent
        FROM numbered GROUP BY stream, session, gap, stretch
    )
    SELECT strftime(since, '%Y-%m-%dT%H:%M:%SZ') AS since, stream, gap, seconds, measured_percent
    FROM (SELECT * FROM missing UNION ALL SELECT * FROM partly) ORDER BY 1, stream, gap
"""

QUESTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "availability": ("per stream and day: the share of its known seconds without a critical incident", _AVAILABILITY),
    "worst": ("streams, the least available first", _WORST),
    "incidents": ("when which detector was open on which stream, in seconds", _INCIDENTS),
    "gaps": ("what was not judged: seconds that are missing, and seconds of which too little was seen", _GAPS),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A table.

    Args:
        columns: names.
        rows: values in the order of the columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def ask(
    reader: VerdictReader,
    question: str,
    *,
    since: float | None = None,
    until: float | None = None,
    streams: Sequence[str] = (),
    limit: int | None = None,
) -> Answer:
    """Answer a question of QUESTIONS, or any other in SQL.

    Args:
        reader: of the store.
        question: a name of QUESTIONS, or a query over the view `seconds`.
        since, until: Unix seconds; only seconds played in [since, until) are looked at.
        streams: only these; all unless given.
        limit: most rows of the answer.
    Raises: QueryError if the SQL is wrong; StoreError if the store cannot be read.
    """
    sql = QUESTIONS[question][1] if question in QUESTIONS else question
    return reader.again_if_changed(lambda: _ask(reader, sql, since, until, streams, limit))


def _ask(
    reader: VerdictReader, sql: str, since: float | None, until: float | None, streams: Sequence[str], limit: int | None
) -> Answer:
    files, rows = reader.current(since, until)
    with _local(files) as paths, contextlib.closing(duckdb.connect(":memory:")) as connection:
        try:
            _prepare(connection, paths, rows, since, until, streams)
            connection.execute(sql)
            if connection.description is None:
                return Answer((), ())
            columns = tuple(column[0] for column in connection.description)
            found = connection.fetchall() if limit is None else connection.fetchmany(limit)
        except duckdb.IOException as error:
            if any(not Path(path).exists() for path in paths):
                # Merged or expired while it was read; the caller begins again.
                raise NotThere("a file has gone", why="it was merged or deleted", remedy="ask again") from error
            raise _wrong(error) from error
        except duckdb.Error as error:
            raise _wrong(error) from error
    return Answer(columns, tuple(found))


def _wrong(error: Exception) -> QueryError:
    text = str(error)
    return QueryError(
        "the question cannot be answered",
        why=" ".join(text.split("\n\n")[0].split()),
        remedy=f"ask over the view `seconds`, which has {', '.join(SCHEMA.names)}, date",
    )


@contextlib.contextmanager
def _local(files: Sequence[Found]) -> Iterator[list[str]]:
    """Paths of files for DuckDB: where they lie, or where they were fetched to, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="avjury-query-") as folder:

        def path(found: Found) -> str:
            if isinstance(found.objects, Directory):
                return str(found.objects.root / found.stored.name)
            fetched = Path(folder) / found.stored.name.replace("/", "_")
            fetched.write_bytes(found.objects.get(found.stored.name))
            return str(fetched)

        with ThreadPoolExecutor(_FETCHERS, "verdict fetcher") as pool:
            yield list(pool.map(path, files))


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[str],
    rows: Sequence[SecondRow],
    since: float | None,
    until: float | None,
    streams: Sequence[str],
) -> None:
    """Make the view. Its conditions are on the files' own columns, so that DuckDB skips what they rule out."""
    # A query must neither load nor fetch code; and the zone of this machine must not move dates.
    for setting in (
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "TimeZone = 'UTC'",
        "enable_progress_bar = false",
    ):
        connection.execute(f"SET {setting}")
    connection.register("spooled", table_of(rows))
    source = "SELECT * FROM spooled"
    if paths:
        listed = ", ".join(_quoted(path) for path in paths)
        options = "union_by_name = true, hive_partitioning = false"
        source += f" UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], {options})"
    wanted = ["true"]
    if since is not None:
        wanted.append(f"played_at >= make_timestamptz({round(since * 1e6)})")
    if until is not None:
        wanted.append(f"played_at < make_timestamptz({round(until * 1e6)})")
    if streams:
        wanted.append(f"stream IN ({', '.join(_quoted(stream) for stream in streams)})")
    connection.execute(
        f"CREATE VIEW seconds AS SELECT * REPLACE (played_at AT TIME ZONE 'UTC' AS played_at), "
        f"(played_at AT TIME ZONE 'UTC')::DATE AS date FROM ({source}) WHERE {' AND '.join(wanted)}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
