"""What connections to SQLite keep in memory does not grow with the database."""

import os
import subprocess
import sys

SCRIPT = """
import sys, threading
import psutil
from sqlalchemy import text
from engine import heap
from engine.store.database import Database

heap.use_few_arenas()
database = Database(f"sqlite:///{sys.argv[1]}")
with database.write() as connection:
    connection.execute(text("create table large (content text)"))
    for _ in range(2000):
        connection.execute(text("insert into large values (:content)"), {"content": "x" * 4000})

def resident():
    heap.give_back()
    return psutil.Process().memory_info().rss

together = threading.Barrier(4)

def scan(asked):
    with database.read() as connection:
        together.wait()  # so that each has a connection of its own
        connection.execute(text("select count(*) from large where " + asked)).scalar_one()
        together.wait()

def scan_by_four(asked):
    threads = [threading.Thread(target=scan, args=(asked,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

scan_by_four("content is null and false")
before = resident()
scan_by_four("content like 'y%'")
print((resident() - before) / 1e6)
database.close()
"""


def test_connections_that_read_all_of_a_large_database_keep_little_of_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "large.db")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert float(done.stdout) < 3  # four times SQLite's own 2 MB otherwise
