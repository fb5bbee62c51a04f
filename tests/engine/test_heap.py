"""Threads that come and go share few arenas of the allocator, so that what they freed is not kept by each."""

import ctypes
import re
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, sys, threading
from engine import heap
if sys.argv[1] == "few":
    heap.use_few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
meeting = threading.Barrier(24)
def work():
    meeting.wait()
    for _ in range(50):
        libc.malloc(1000)
    meeting.wait()
threads = [threading.Thread(target=work) for _ in range(24)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
heap.give_back()
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="no glibc")
def test_many_threads_use_two_arenas(tmp_path):
    arenas = {}
    for how in ("few", "many"):
        told = tmp_path / how
        subprocess.run([sys.executable, "-c", _PROGRAM, how, str(told)], check=True, timeout=60)
        arenas[how] = len(re.findall("<heap nr", told.read_text()))
    assert arenas["few"] == 2 < arenas["many"]
