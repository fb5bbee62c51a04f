"""What a process was working on can be read after it has died."""

import os
import subprocess
import sys

from engine.handling import Handling, HandlingTable

_WORKS = """
import os, signal, sys
from engine.handling import HandlingTable
table = HandlingTable(int(sys.argv[1]))
rows = [table.claim(name) for name in ("idle", "culprit", "done", "ünïcode " + "x" * 400)]
rows[1].begin()
rows[2].begin(); rows[2].end()
rows[3].begin()
os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_the_marks_of_a_process_that_crashed_are_still_there():
    memory = HandlingTable.make(8)
    table = HandlingTable(os.dup(memory))
    ended = subprocess.run([sys.executable, "-c", _WORKS, str(memory)], pass_fds=(memory,), check=False)
    os.close(memory)
    assert ended.returncode < 0
    culprit, long = sorted(table.busy())
    assert culprit == "culprit"
    assert long.startswith("ünïcode xxx")
    table.clear()
    assert table.busy() == frozenset()
    table.close()


def test_rows_are_used_again_and_without_a_free_one_marks_go_nowhere():
    table = HandlingTable(HandlingTable.make(2))
    first, second, third = (table.claim(name) for name in ("a", "b", "c"))
    for row in (first, second, third):
        row.begin()
    assert table.busy() == {"a", "b"}
    first.release()
    first.release()
    first.begin()
    assert table.busy() == {"b"}
    again = table.claim("d")
    assert table.busy() == {"b"}
    again.begin()
    assert table.busy() == {"b", "d"}
    Handling().begin()
    table.close()
