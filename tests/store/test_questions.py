"""Questions over a known set of seconds."""

import time

import pytest
from verdict_rows import NOON, row

from engine.errors import QueryError
from engine.store import parts
from engine.store.directory import Directory
from engine.store.questions import ask
from engine.store.second_rows import parquet_bytes, table_of
from engine.store.spool import Spool, parquet_parts
from engine.store.verdict_reader import VerdictReader, parse_moment

BLACK = {"open": ["video.black"], "critical": ["video.black"]}
BLIND = {"measured": 0, "sound": 0.0, "unknown": ["video.black"]}


@pytest.fixture
def reader(tmp_path):
    """Three streams over two days.

    `good` has 100 good seconds; `black` is critical in 20 of 100 and unseen in another 20; `gone` misses 10 to 19 and
    was measured by half in 30 to 34. Next day `black` has 50 good seconds in another session.
    """
    rows = [row("good", n) for n in range(100)]
    black = {**dict.fromkeys([*range(10, 20), *range(30, 40)], BLACK), **dict.fromkeys(range(50, 70), BLIND)}
    rows += [row("black", n, **black.get(n, {})) for n in range(100)]
    rows += [row("gone", n, measured=12 if 30 <= n < 35 else 25) for n in range(100) if not 10 <= n < 20]
    rows += [row("black", n, at=NOON + 86400 + n, session="b") for n in range(50)]
    store = Directory(tmp_path / "verdicts")
    for part, content in parquet_parts(rows[:-10], 1, "aaaaaaaa"):
        store.put(part.name, content)
    spool = Spool(tmp_path / "spool", 1 << 30)
    spool.append(rows[-10:])  # has not been sent yet
    spool.close()
    return VerdictReader(store, tmp_path / "spool")


def records(answer):
    return [dict(zip(answer.columns, values, strict=True)) for values in answer.rows]


def test_availability_counts_unknown_seconds_neither_way(reader):
    found = {(one["stream"], one["date"]): one for one in records(ask(reader, "availability"))}
    first = found["black", "2026-09-21"]
    assert (first["seconds"], first["critical_seconds"], first["unknown_seconds"]) == (100, 20, 20)
    assert first["available_percent"] == 75.0
    assert first["pictures_measured_percent"] == 80.0
    assert found["good", "2026-09-21"]["available_percent"] == 100.0
    assert found["black", "2026-09-22"]["seconds"] == 50


def test_the_worst_stream_comes_first(reader):
    found = records(ask(reader, "worst"))
    assert [one["stream"] for one in found] == ["black", "gone", "good"]
    assert found[0]["incident_seconds"] == 20


def test_seconds_with_a_detector_open_join_to_stretches(reader):
    found = records(ask(reader, "incidents"))
    assert [(one["since"], one["seconds"], one["first_second"], one["last_second"]) for one in found] == [
        ("2026-09-21T12:00:10Z", 10, 10, 19),
        ("2026-09-21T12:00:30Z", 10, 30, 39),
    ]
    assert {one["detector"] for one in found} == {"video.black"}


def test_gaps_tell_missing_unseen_and_partly_measured_seconds(reader):
    found = [(one["stream"], one["gap"], one["since"], one["seconds"]) for one in records(ask(reader, "gaps"))]
    assert found == [
        ("gone", "missing", "2026-09-21T12:00:10Z", 10),
        ("gone", "pictures not measured", "2026-09-21T12:00:30Z", 5),
        ("black", "nothing seen", "2026-09-21T12:00:50Z", 20),
        ("black", "missing", "2026-09-21T12:01:40Z", 86300),
    ]


def test_ranges_streams_and_limits_narrow_an_answer(reader):
    count = "SELECT count(*) FROM seconds"
    assert ask(reader, count).rows == ((340,),)
    assert ask(reader, count, since=NOON + 50, until=NOON + 60).rows == ((30,),)
    assert ask(reader, count, streams=["good", "gone"]).rows == ((190,),)
    assert ask(reader, count, streams=["no such stream's"]).rows == ((0,),)
    assert len(ask(reader, "SELECT * FROM seconds", limit=7).rows) == 7


def test_a_range_opens_only_the_files_of_its_hours(reader):
    files, rows = reader.current(NOON, NOON + 60)
    assert [(file.part.date, file.part.hour) for file in files] == [("2026-09-21", 12)]
    assert len(rows) == 10


def test_wrong_sql_says_what_there_is(reader):
    with pytest.raises(QueryError, match="seconds"):
        ask(reader, "SELECT * FROM nothing")
    with pytest.raises(QueryError, match="played_at"):
        ask(reader, "SELECT wrong FROM seconds")
    with pytest.raises(QueryError):
        ask(reader, "this is no query")


def test_an_empty_store_has_empty_answers(tmp_path):
    empty = VerdictReader(Directory(tmp_path))
    for question in ("availability", "worst", "incidents", "gaps"):
        assert ask(empty, question).rows == ()


def test_files_of_an_older_release_with_fewer_columns_are_read_with_the_others(tmp_path):
    store = Directory(tmp_path)
    old = table_of([row("s", 0)]).drop_columns(["critical"])
    new = table_of([row("s", 1, **BLACK)])
    for number, table in enumerate((old, new)):
        part = parts.part_of(number, "aaaaaaaa", [NOON + number])
        store.put(part.name, parquet_bytes_of(table))
    answer = ask(VerdictReader(store), "SELECT second, coalesce(len(critical), 0) FROM seconds ORDER BY second")
    assert answer.rows == ((0, 0), (1, 1))
    [first, second] = VerdictReader(store).seconds("s", since=NOON, until=NOON + 10).items
    assert (first.critical, second.critical) == ((), ("video.black",))


def parquet_bytes_of(table):
    import io

    import pyarrow.parquet as pq

    if "critical" in table.column_names:
        return parquet_bytes(table)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_moments_are_dates_times_or_how_long_ago():
    assert parse_moment("2026-09-21T12:00", 0.0) == NOON
    assert parse_moment("2026-09-21T14:00+02:00", 0.0) == NOON
    assert parse_moment("2026-09-21", 0.0, end=True) - parse_moment("2026-09-21", 0.0) == 86400
    assert parse_moment("1.5h", NOON) == NOON - 5400
    with pytest.raises(QueryError):
        parse_moment("yesterday", NOON)


@pytest.mark.slow
def test_a_million_seconds_are_answered_in_reasonable_time(tmp_path):
    """An hour of 300 streams, merged into one file: every question, and one stream's page."""
    store = Directory(tmp_path)
    rows = [row(f"s{stream:03d}", n) for stream in range(300) for n in range(3600)]
    part = parts.part_of(1, "aaaaaaaa", [NOON])
    store.put(part.name, parquet_bytes(table_of(rows)))
    reader = VerdictReader(store)
    began = time.process_time()
    assert ask(reader, "worst").rows[0][1] == 3600
    assert len(ask(reader, "availability").rows) == 300
    assert ask(reader, "incidents").rows == ask(reader, "gaps").rows == ()
    asked = time.process_time()
    page = reader.seconds("s150", since=NOON, until=NOON + 3600, limit=3600)
    read = time.process_time()
    assert [one.second for one in page.items] == list(range(3600))
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.parquet"))
    assert size < 8 * len(rows), "less than eight bytes a row"
    # The CPU's time, many times what it takes: a plan that went through every row in Python would take minutes.
    assert asked - began < 60.0
    assert read - asked < 2.0, "the row groups of one stream, not of all"
