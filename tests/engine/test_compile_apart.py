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

# Every form in which a kernel is called is one that has to be compiled.
FORMS = """
import sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from engine.detectors import all_detectors
from engine.ingest.link import Links
from engine.live import LiveEngine
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from live_kit import Heard, encode

def forms():
    modules = [one for name, one in list(sys.modules.items()) if name.startswith(("engine", "kernels"))]
    named = ((f"{m.__name__}.{name}", one) for m in modules for name, one in list(vars(m).items()))
    kernels = ((name, one) for name, one in named if isinstance(one, Dispatcher))
    return {(name, str(form)) for name, one in kernels for form in one.overloads}

settings = EngineSettings(device="cpu")
LiveEngine(settings, Heard(), Links(), slots=1).warm_up()
warmed = forms()
folder, each = Path(sys.argv[1]), {one.name: {} for one in all_detectors()}
for name, *options in (("stereo.ts", "-ac", "2"), ("deep.mkv", "-pix_fmt", "yuv420p10le")):
    [outcome] = check([StreamSpec(name, str(encode(folder / name, 3, *options)), each)], settings)
    assert outcome.error is None and outcome.summary.frames_measured == 75
assert any("sound_repeats" in name for name, _ in warmed)
print(sorted({name for name, _ in forms() - warmed}), flush=True)
import os; os._exit(0)
"""


def run(program: str, *arguments: str, timeout: float, **variables: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"} | variables
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_an_engine_on_a_new_machine_holds_no_compilers_memory(tmp_path):
    said = run(ENGINE, timeout=900, NUMBA_CACHE_DIR=str(tmp_path))
    first, apart, again, megabytes = said.rsplit(" ", 3)
    assert (first, apart, again) == ("1", "[True]", "[]")
    # 0.6 GB of libraries and weights; an engine that compiled by itself holds twice as much, and more.
    assert int(megabytes) < 1000
    assert list(tmp_path.rglob("*.nbc"))


@pytest.mark.slow
def test_no_stream_waits_for_a_compiler_whatever_detectors_it_asks_for(tmp_path):
    assert run(FORMS, str(tmp_path), timeout=700) == "[]"


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
