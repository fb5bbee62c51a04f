"""`avjury query`: where the verdicts are, what is asked of them, and how the answer is written."""

import csv
import json
import math
import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Literal

from engine.errors import ConfigError, QueryError
from engine.output import PLAIN_WIDTH, printable
from engine.store.objects import open_objects
from engine.store.parquet import SPOOL, VERDICTS
from engine.store.questions import QUESTIONS, Answer, ask
from engine.store.verdict_reader import VerdictReader, parse_moment


def open_reader(place: str | None, data: Path, options: dict[str, str]) -> VerdictReader:
    """The reader of a service's verdicts.

    Args:
        place: `storage.verdicts`; None for the folder in the data directory.
        data: the service's data directory, for its spool.
        options: `storage.options`.
    Raises: ConfigError for a place that is none, or a directory that is not there.
    """
    where = str(data / VERDICTS) if place is None else place
    if "://" not in where and not Path(where).is_dir():
        raise ConfigError(
            "no verdicts there",
            stream=where,
            why="there is no such directory",
            remedy="name the service's data directory (--data), its configuration (--config), or --verdicts",
        )
    return VerdictReader(open_objects(where, options), data / SPOOL)


def answer(
    reader: VerdictReader,
    question: str | None,
    sql: str | None,
    since: str | None,
    until: str | None,
    streams: Sequence[str],
    limit: int | None,
) -> Answer:
    """Ask what the command line asks.

    Raises: QueryError, StoreError.
    """
    if (question is None) == (sql is None):
        raise QueryError("nothing to answer", why="it takes one question, or --sql", remedy=_choices())
    if question is not None and question not in QUESTIONS:
        raise QueryError("unknown question", stream=question, why="there is none of that name", remedy=_choices())
    now = time.time()
    begin = None if since is None else parse_moment(since, now)
    end = None if until is None else parse_moment(until, now, end=True)
    if begin is not None and end is not None and begin >= end:
        raise QueryError("wrong time range", why="it ends before it begins", remedy="exchange --since and --until")
    return ask(reader, question or sql or "", since=begin, until=end, streams=streams, limit=limit)


def _choices() -> str:
    return f"ask one of: {', '.join(QUESTIONS)}; or --sql 'SELECT ... FROM seconds'"


def write_answer(found: Answer, format: Literal["table", "json", "csv"], out: IO[str]) -> None:
    """Write an answer: "table" for people, "json" a list of objects, "csv" with a line of names first."""
    if format == "json":
        objects = [dict(zip(found.columns, map(_plain, row), strict=True)) for row in found.rows]
        json.dump(objects, out, ensure_ascii=False, allow_nan=False, indent=1)
        out.write("\n")
    elif format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(found.columns)
        writer.writerows([[_cell(value) for value in row] for row in found.rows])
    else:
        _write_table(found, out)


def _write_table(found: Answer, out: IO[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not found.rows:
        out.write("nothing found\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(found.columns):
        numbers = all(row[index] is None or isinstance(row[index], int | float) for row in found.rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in found.rows:
        table.add_row(*(Text("-" if value is None else printable(_cell(value))) for value in row))
    terminal = out.isatty()
    console = Console(file=out, width=None if terminal else PLAIN_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(table)
    out.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _cell(value: Any) -> str:
    """A value as text."""
    value = _plain(value)
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
