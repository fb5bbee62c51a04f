"""An engine has its kernels compiled by a process that ends, and finds all of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_where_it_cannot_be_compiled_apart_the_log_says_why(monkeypatch, caplog):
    from engine import compile_apart

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert not compile_apart.compile_apart()
    assert "/nowhere/python" in caplog.text
