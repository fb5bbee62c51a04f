"""An engine has its kernels compiled by a process that ends, and finds all of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.compile_apart import compile_apart

ROOT = Path(__file__).resolve().parents[2]

ENGINE = """
import psutil
from engine.compile_apart import compile_apart
from engine.compiling import told_of_compiling
from engine.ingest.link import Links
from engine.live import LiveEngine
from engine.spec import AudioNetworkSettings, EngineSettings, NetworkSettings
from live_kit import Heard

compiled, apart = [], []
def first():
    compiled.append(True)
    apart.append(compile_apart())

settings = EngineSettings(device="cpu", network=NetworkSettings(), audio_network=AudioNetworkSettings())
engine = LiveEngine(settings, Heard(), Links(), slots=1)
with told_of_compiling(first):
    engine.warm_up()
again = []
with told_of_compiling(lambda: again.append(True)):
    engine.warm_up()
print(len(compiled), apart, again, psutil.Process().memory_info().rss >> 20, flush=True)
import os; os._exit(0)
"""


def run(program: str, cache: Path, timeout: float) -> str:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_an_engine_on_a_new_machine_holds_no_compilers_memory(tmp_path):
    first, apart, again, megabytes = run(ENGINE, tmp_path, 900).rsplit(" ", 3)[0:4]
    assert (first, apart, again) == ("1", "[True]", "[]")
    # 0.6 GB of libraries and weights; an engine that compiled by itself holds twice as much, and more.
    assert int(megabytes) < 1000
    assert list(tmp_path.rglob("*.nbc"))


def compilers() -> list[psutil.Process]:
    """Processes that compile, and were started by tests of this file."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "engine.compile_apart" in command and "--parent" in command:
            found.append(process)
    return found


def test_where_it_cannot_be_compiled_apart_the_log_says_why(monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert not compile_apart()
    assert "/nowhere/python" in caplog.text


def test_a_compiler_that_hangs_is_ended(caplog):
    assert not compile_apart(0.2)
    assert "timed out after 0.2 seconds" in caplog.text
    mine = [process for process in compilers() if process.ppid() == os.getpid()]
    assert mine == []


def test_a_compiler_ends_with_the_engine_that_waits_for_it():
    waits = subprocess.Popen(
        [sys.executable, "-c", "from engine.compile_apart import compile_apart; compile_apart()"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while not (started := [one for one in compilers() if one.ppid() == waits.pid]):
        assert time.monotonic() < deadline, "no compiler was started"
        time.sleep(0.02)
    waits.send_signal(signal.SIGKILL)
    waits.wait()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []
