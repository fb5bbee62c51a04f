"""The one place where the database is opened, brought to the present schema, and written to.

Any thread may use it; SQLite has one writer at a time, and waits for it up to BUSY_SECONDS.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from engine.errors import StoreError

BUSY_SECONDS: Final = 10.0
# Of one statement on PostgreSQL, waiting for others included; and of a transaction that does nothing: whoever began it
# hangs, and keeps the others waiting.
STATEMENT_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 60.0
# Checking a whole file takes about a second for 256 MB; a bigger one is opened unchecked.
CHECKED_BYTES: Final = 256 << 20
# SQLite needs 32 KiB for its index of the log before it can read anything.
_LEAST_FREE_BYTES: Final = 64 << 10
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))")

log = logging.getLogger(__name__)


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path}"


class Database:
    """A database with the present schema.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.
    Raises: StoreError if it cannot be opened, or was made by a newer release.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreError(
                "cannot open database",
                why="the address is not a database URL",
                remedy="write sqlite:///path or postgresql://user:password@host/name",
            ) from error
        self.name = parsed.render_as_string(hide_password=True)
        self.dialect = parsed.get_backend_name()
        self.set_aside: Path | None = None
        options: dict[str, Any] = {"pool_pre_ping": True, "json_serializer": _json}
        if self.dialect == "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise self._refused("a database in memory does not survive the process", "name a file: sqlite:///path")
            file = Path(str(parsed.database))
            file.parent.mkdir(parents=True, exist_ok=True)
            self.set_aside = _set_aside_if_damaged(file)
            options = {"connect_args": {"timeout": BUSY_SECONDS}, "json_serializer": _json}
        elif self.dialect == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            limits = {name: value for name, value in _server_limits().items() if name not in parsed.query}
            options["connect_args"] = limits
        else:
            raise self._refused(f"{self.dialect} is not supported", "use sqlite:///path or postgresql://host/name")
        try:
            self._engine = create_engine(parsed, **options)
        except ModuleNotFoundError as error:
            raise self._refused("the driver is not installed", 'pip install "avjury[postgresql]"') from error
        if self.dialect == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        try:
            self._migrate()
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, all of it from one moment.

        Raises: StoreError if the database is not there.
        """
        one_moment = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._mapped(), self._engine.connect() as connection:
            reading = connection.execution_options(**one_moment if self.dialect == "postgresql" else {})
            with reading.begin():
                yield reading

    @contextlib.contextmanager
    def write(self, lock: str = "store") -> Iterator[Connection]:
        """A transaction that writes: on disk when the block ends, undone if it raises.

        Args:
            lock: transactions of the same name follow one another, each seeing what the one before did, whichever
                process they are of. SQLite has one writer at a time in any case.
        Raises: StoreError if the database is not there, or its disk is full.
        """
        with self._mapped(), self._engine.connect() as connection:
            writing = connection.execution_options(avjury_write=True)
            with writing.begin():
                if self.dialect == "postgresql":
                    writing.execute(_LOCK, {"lock": f"avjury.{lock}"})
                yield writing

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
            raise StoreError(
                "the database failed",
                stream=self.name,
                why=(cause.splitlines() or ["no reason given"])[0],
                remedy="see that it runs, can be reached and has room on its disk",
            ) from error

    def _refused(self, why: str, remedy: str) -> StoreError:
        return StoreError("cannot open database", stream=self.name, why=why, remedy=remedy)

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        # Two supervisors that start together migrate one by one.
        with self.write(lock="migrations") as connection:
            config.attributes["connection"] = connection
            if self.dialect == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))  # of a big table a change takes its time
            try:
                alembic.command.upgrade(config, "head")
            except alembic.util.CommandError as error:
                raise self._refused(
                    "it was made by a newer release", "run that release, or name another database"
                ) from error


def _server_limits() -> dict[str, Any]:
    """So that no wait for a PostgreSQL server is without end, whatever becomes of it and of the way to it."""
    return {
        "connect_timeout": int(BUSY_SECONDS),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(STATEMENT_SECONDS * 1000),
        "options": f"-c statement_timeout={int(STATEMENT_SECONDS * 1000)}"
        f" -c idle_in_transaction_session_timeout={int(IDLE_SECONDS * 1000)}",
        "fallback_application_name": "avjury",
    }


def _json(value: Any) -> str:
    """JSON as databases and browsers take it: what is no number (the level of silence) is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # SQLAlchemy's "begin" event opens transactions; the driver is not to open any of its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # FULL: a commit is on disk when it returns, so that a power cut loses nothing that was told to anybody.
        "synchronous=FULL",
        "foreign_keys=ON",
        # Of each connection, 256 KiB in place of 2 MB: a scan once an hour fills it, and the machine caches the file.
        "cache_size=-256",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail where another one wrote in between.
    immediate = connection.get_execution_options().get("avjury_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _set_aside_if_damaged(file: Path) -> Path | None:
    """Rename a file that is no sound SQLite database, with its log, so that the service can start anew beside it.

    Returns: where it is now; None if the file is sound or not there.
    """
    if not file.exists() or file.stat().st_size == 0:
        return None
    whole = file.stat().st_size <= CHECKED_BYTES
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
            found = connection.execute("PRAGMA quick_check(1)" if whole else "PRAGMA schema_version").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        # Whoever closes last writes the log into the file, which then holds all its pages. SQLite reads what is missing
        # at its end as zeros, and may find nothing wrong with them.
        log_left = Path(f"{file}-wal")
        missing = pages * page_bytes - file.stat().st_size
        if missing > 0 and not (log_left.exists() and log_left.stat().st_size > 0):
            why = f"its last {missing} bytes are missing"
        elif not whole or found == ("ok",):
            return None
        else:
            why = str(found[0])
    except sqlite3.OperationalError as error:
        full = shutil.disk_usage(file.parent).free < _LEAST_FREE_BYTES
        raise StoreError(
            "cannot open database",
            stream=str(file),
            why="its disk is full" if full else str(error),
            remedy="make room" if full else "name a file that can be read and written",
        ) from error
    except sqlite3.DatabaseError as error:
        why = str(error)
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{file}{suffix}")
        if part.exists():
            os.replace(part, f"{aside}{suffix}")
    log.error("%s is damaged (%s); it is kept as %s, and a new one is begun", file, why, aside)
    return aside
