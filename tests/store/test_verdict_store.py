"""Seconds that were handed over are kept, each once, in files that are whole; what does not fit is counted."""

import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from verdict_rows import NOON, row, second, wait_until

from engine.errors import QueryError, StoreError
from engine.settings.storage import StorageSection
from engine.store import parts
from engine.store.directory import Directory
from engine.store.objects import open_objects
from engine.store.parquet import VerdictSettings, VerdictStore
from engine.store.second_rows import pack, row_of, rows_of, table_of, unpack
from engine.store.spool import Spool
from engine.store.upkeep import Upkeep, expire
from engine.store.verdict_reader import VerdictReader
from engine.verdicts import SyncVerdict


@pytest.fixture
def settings(tmp_path):
    return VerdictSettings(tmp_path / "verdicts", tmp_path / "spool", flush_seconds=0.5)


@contextlib.contextmanager
def running(settings):
    store = VerdictStore(settings)
    store.start()
    try:
        yield store
    finally:
        store.stop()


def reader(settings):
    return VerdictReader(open_objects(settings.place), settings.spool, clock=lambda: NOON + 3000)


def everything(settings, stream="s"):
    return reader(settings).seconds(stream, since=NOON - 86400, until=NOON + 86400, limit=10_000).items


def files(settings):
    return sorted(Path(settings.place).rglob("*.parquet"))


def test_seconds_become_files_of_their_hour_sorted_by_stream(settings):
    with running(settings) as store:
        for number in range(3):
            for stream in ("b", "a"):
                assert store.put(second(stream, number, open=["video.black"]), "run", NOON + 3598.5 + number)
        assert wait_until(lambda: store.snapshot()["sent_parts"] >= 2)
    hours = [file.parent.name for file in files(settings)]
    assert hours == ["hour=12", "hour=13"]
    table = pq.read_table(files(settings)[0], partitioning=None)
    assert table["stream"].to_pylist() == ["a", "a", "b", "b"]
    assert table["open"].to_pylist() == [["video.black"]] * 4
    assert pq.read_metadata(files(settings)[0]).row_group(0).column(0).compression == "ZSTD"


def test_what_is_read_is_what_was_put(settings):
    with running(settings) as store:
        put = [
            row("s", n, at=NOON + n + 0.125, errors=n, open=["a.b"], critical=["a.b"], unknown=["c.d"])
            for n in range(5)
        ]
        for n in range(5):
            store.put(second("s", n, errors=n, open=["a.b"], critical=["a.b"], unknown=["c.d"]), "a", NOON + n + 0.125)
    assert list(everything(settings)) == put


def test_what_is_known_of_sync_is_kept_with_the_second(settings):
    known = SyncVerdict("out_of_sync", 205.5, 0.9, "reference", 2100.25, True)
    rows = [row_of(replace(second("s", n), sync=sync), "a", NOON + n) for n, sync in enumerate([known, None])]
    found = rows_of(table_of(unpack(pack(rows))))
    assert [one.av_sync for one in found] == ["out_of_sync", None]
    assert [one.av_sync_offset_ms for one in found] == [205.5, None]
    assert [one.reference_latency_ms for one in found] == [2100.25, None]
    assert [one.same_programme for one in found] == [True, None]


def test_a_second_is_seen_at_every_station_and_once(settings):
    """In the log, in a part that waits, and in the store."""
    spool = Spool(settings.spool, 1 << 30)
    rows = [row("s", n) for n in range(10)]
    spool.append(rows[:4])
    spool.append(rows[4:])
    assert list(everything(settings)) == rows
    spool.finish_log()
    assert list(everything(settings)) == rows
    spool.make_parts()
    assert list(everything(settings)) == rows
    [part] = spool.waiting()
    store = Directory(Path(settings.place))
    store.put(part.name, spool.content(part))
    assert list(everything(settings)) == rows
    spool.sent(part)
    assert list(everything(settings)) == rows
    assert spool.bytes == 0
    spool.close()


def test_parts_of_a_log_that_is_still_there_are_not_counted_twice(settings):
    spool = Spool(settings.spool, 1 << 30)
    spool.append([row("s", n) for n in range(4)])
    spool.finish_log()
    log = (settings.spool / "log-00000001.log").read_bytes()
    spool.make_parts()
    (settings.spool / "log-00000001.log").write_bytes(log)  # as if killed before it was deleted
    spool.close()
    assert len(everything(settings)) == 4
    again = Spool(settings.spool, 1 << 30)
    assert again.waiting() == []
    again.make_parts()
    assert len(again.waiting()) == 1
    assert again.counters.recovered_seconds == 4
    again.close()
    assert len(everything(settings)) == 4


def test_the_same_second_again_is_not_taken(settings):
    with running(settings) as store:
        assert store.put(second("s", 0), "run", NOON)
        assert not store.put(second("s", 0), "run", NOON)
        assert store.put(second("s", 0), "next run", NOON + 60)
        assert store.snapshot()["repeated_seconds"] == 1
    assert [one.session for one in everything(settings)] == ["run", "next run"]


def test_numbers_are_not_used_again_after_everything_was_sent(settings):
    names = []
    for run in range(2):
        with running(settings) as store:
            store.put(second("s", 0), f"run {run}", NOON + run)
        names = files(settings)
    assert len(names) == 2
    assert len(everything(settings)) == 2


def test_a_damaged_state_takes_another_name(settings):
    with running(settings) as store:
        store.put(second("s", 0), "one", NOON)
    (settings.spool / "state.json").write_text("{")
    with running(settings) as store:
        store.put(second("s", 0), "two", NOON + 1)
    assert len({parts.parse(str(file.relative_to(settings.place))).writer for file in files(settings)}) == 2
    assert len(everything(settings)) == 2


def test_a_spool_belongs_to_one_process(settings):
    spool = Spool(settings.spool, 1 << 30)
    with pytest.raises(StoreError, match="another process"):
        Spool(settings.spool, 1 << 30)
    spool.close()
    Spool(settings.spool, 1 << 30).close()


def test_a_full_spool_loses_the_oldest_and_says_how_much(settings):
    spool = Spool(settings.spool, 6000)
    for hour in range(4):
        spool.append([row("s", 3600 * hour + n) for n in range(50)])
        spool.finish_log()
        spool.make_parts()
    size = spool.bytes // 4
    spool.bound()
    left = spool.waiting()
    lost = 4 - len(left)
    assert lost == -(-(4 * size - 6000) // size) > 0
    assert [part.hour for part in left] == [12 + hour for hour in range(lost, 4)]
    assert spool.counters.dropped_seconds == 50 * lost
    assert spool.counters.dropped_parts == lost
    spool.close()


def test_a_finished_hour_becomes_one_file_with_every_row(settings):
    spool = Spool(settings.spool, 1 << 30)
    store = Directory(Path(settings.place))
    rows = []
    for batch in range(5):
        some = [row(stream, 10 * batch + n) for stream in ("s", "t") for n in range(10)]
        rows += some
        spool.append(some)
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            store.put(part.name, spool.content(part))
            spool.sent(part)
    early, late = (Upkeep(store, spool, None, lambda at=at: at) for at in (NOON + 3600, NOON + 7200))
    assert early.merge() == 0
    assert late.merge() == 5
    assert late.merge() == 0
    [file] = files(settings)
    assert file.name.endswith("00000001-00000005.parquet")
    assert list(everything(settings)) == sorted(
        (one for one in rows if one.stream == "s"), key=lambda one: one.played_at
    )
    # What comes late, by hours, is merged again.
    spool.append([row("s", 200)])
    spool.finish_log()
    spool.make_parts()
    [part] = spool.waiting()
    store.put(part.name, spool.content(part))
    assert late.merge() == 0  # it may not have been sent yet
    spool.sent(part)
    assert late.merge() == 2
    assert len(files(settings)) == 1
    assert len(everything(settings)) == 51
    spool.close()


def test_merging_an_hour_leaves_no_memory_behind(settings):
    """In a process of its own: others' memory, and code that other tests loaded, say nothing there."""
    script = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import psutil
from engine.store.directory import Directory
from engine.store.parts import Part
from engine.store.second_rows import parquet_bytes, table_of
from engine.store.upkeep import Upkeep
from verdict_rows import NOON, row

class Sent:
    writer = "0a0a0a0a"
    def waiting(self):
        return []

store = Directory(Path(sys.argv[1]))
day = datetime.fromtimestamp(NOON, UTC).date().isoformat()
def fill():
    for minute in range(60):
        rows = [row(f"stream-{each}", 60 * minute + second) for each in range(20) for second in range(60)]
        part = Part(day, 12, f"12{minute:02d}00", minute + 1, minute + 1, Sent.writer)
        store.put(part.name, parquet_bytes(table_of(rows)))

def turns():
    for _ in range(2):
        Upkeep(store, Sent(), None, lambda: NOON + 7200).turn(lambda: False)

fill()
before = psutil.Process().memory_info().rss
turns()
print(len(list(Path(sys.argv[1]).rglob("*.parquet"))), (psutil.Process().memory_info().rss - before) / 1e6)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(settings.place)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    merged_files, grown_mb = done.stdout.split()
    assert merged_files == "1"
    assert float(grown_mb) < 14  # 36 MB when Arrow's datasets were loaded for it, and its memory was kept


def test_a_merge_that_was_killed_before_it_deleted_doubles_nothing(settings):
    spool = Spool(settings.spool, 1 << 30)
    store = Directory(Path(settings.place))
    for batch in range(3):
        spool.append([row("s", batch)])
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            store.put(part.name, spool.content(part))
            spool.sent(part)
    parts_before = {file: file.read_bytes() for file in files(settings)}
    upkeep = Upkeep(store, spool, None, lambda: NOON + 7200)
    upkeep.merge()
    for file, content in parts_before.items():
        file.write_bytes(content)
    assert len(everything(settings)) == 3
    assert upkeep.merge() == 3
    assert len(files(settings)) == 1
    spool.close()


def test_dates_that_are_too_old_are_deleted_and_nothing_else(tmp_path):
    store = Directory(tmp_path)
    for name in ("date=2026-09-20/hour=01/x", "date=2026-09-21/hour=23/x", "2026-09-01/id/clip.mp4", "notes/x"):
        store.put(name, b"x")
    now = NOON  # 2026-09-21
    assert expire(store, now + 86400, 1) == 2
    assert store.folders() == ["date=2026-09-21", "notes"]


def test_pages_join_to_the_whole_in_order(settings):
    spool = Spool(settings.spool, 1 << 30)
    rows = [row("s", n, at=NOON + 3500 + n) for n in range(250)]
    spool.append(rows)
    spool.append([row("other", n, at=NOON + 3500 + n) for n in range(250)])
    spool.finish_log()
    spool.make_parts()
    found, cursor = [], None
    while True:
        page = reader(settings).seconds("s", since=NOON, until=NOON + 7200, limit=33, cursor=cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert found == rows
    spool.close()
    with pytest.raises(QueryError):
        reader(settings).seconds("s", cursor="nonsense")
    with pytest.raises(QueryError):
        reader(settings).seconds("s", limit=0)


def test_a_disk_that_is_full_loses_nothing_and_heals(tmp_path):
    """On a file system of 256 KiB of its own, which something else fills."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        settings = VerdictSettings(disk / "verdicts", disk / "spool", flush_seconds=0.5)
        with running(settings) as store:
            for n in range(5):
                store.put(second("s", n), "a", NOON + n)
            assert wait_until(lambda: store.snapshot()["sent_parts"] == 1)
            free = os.statvfs(disk)
            (disk / "hog").write_bytes(bytes(free.f_bavail * free.f_bsize))
            for n in range(5, 3000):
                store.put(second("s", n), "a", NOON + n)
            assert wait_until(lambda: store.problem() is not None, 5)
            assert "No space left" in store.problem()
            assert store.snapshot()["write_failures"] > 0
            (disk / "hog").unlink()
            assert wait_until(lambda: store.problem() is None, 6)
        assert len(everything(settings)) == 3000
        assert store.snapshot()["queue_dropped_seconds"] == 0
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_reader_meets_no_half_file_while_one_writes(settings):
    """And every second that was written before it looked."""
    stop = threading.Event()
    seen, problems = [], []

    def look():
        while not stop.is_set():
            try:
                seen.append(len(everything(settings)))
            except StoreError as error:
                problems.append(error)

    with running(settings) as store:
        looking = threading.Thread(target=look)
        looking.start()
        for n in range(600):
            store.put(second("s", n), "a", NOON + n)
            if n % 40 == 0:
                wait_until(lambda: not store.snapshot()["queued_seconds"], 1)
        wait_until(lambda: store.snapshot()["sent_parts"] >= 1, 3)
        stop.set()
        looking.join(10)
    assert problems == []
    assert seen == sorted(seen)
    assert len(everything(settings)) == 600


def test_the_configuration_s_section_says_where_things_are_kept(tmp_path):
    default = VerdictSettings.of(StorageSection(), tmp_path)
    assert (default.place, default.spool, default.evidence) == (
        tmp_path / "verdicts", tmp_path / "spool", tmp_path / "evidence",
    )  # fmt: skip
    assert (default.retention_days, default.evidence_days, default.flush_seconds) == (90, 30, 60.0)
    named = StorageSection(verdicts="s3://bucket/x", options={"secret_access_key": "hush"}, retention_days=None)
    settings = VerdictSettings.of(named, tmp_path)
    assert (settings.place, settings.retention_days) == ("s3://bucket/x", None)
    assert "hush" not in repr(settings)


def test_a_damaged_file_keeps_its_hour_from_being_merged_and_nothing_else(settings):
    spool = Spool(settings.spool, 1 << 30)
    store = Directory(Path(settings.place))
    for batch in range(4):
        spool.append([row("s", batch, at=NOON + 3600 * (batch // 2) + batch)])
        spool.finish_log()
        spool.make_parts()
        for part in spool.waiting():
            store.put(part.name, spool.content(part))
            spool.sent(part)
    damaged = files(settings)[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    upkeep = Upkeep(store, spool, None, lambda: NOON + 3 * 3600)
    assert upkeep.merge() == 2
    assert upkeep.merge() == 0
    assert damaged.exists()
    with pytest.raises(StoreError, match=damaged.name):
        everything(settings)
    spool.close()


def test_a_store_that_was_never_started_can_be_stopped(settings):
    assert VerdictStore(settings).stop()
