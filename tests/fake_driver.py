"""Builds the stand-ins of the NVIDIA driver and runs code over them, in a process of its own."""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_LIBRARIES = {
    "cuda.c": "libcuda.so.1",
    "nvcuvid.c": "libnvcuvid.so.1",
    "nvidia_encode.c": "libnvidia-encode.so.1",
    "nvml.c": "libnvidia-ml.so.1",
}


@cache
def missing():
    """Why the fake driver cannot be used here; "" if it can."""
    if sys.platform != "linux":
        return "the fake driver is for Linux"
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        return "no C compiler to build the fake driver with"
    if find_spec("PyNvVideoCodec") is None:
        return "PyNvVideoCodec is not installed"
    return ""


def build(folder):
    """Compile the libraries into `folder`."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    for source, library in _LIBRARIES.items():
        subprocess.run(
            [compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", folder / library, _HERE / "fakes" / source],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(scope="session")
def over_fake_driver(tmp_path_factory):
    """run(script, **environment) -> CompletedProcess, with the fake driver as the only one there is."""
    if missing():
        pytest.skip(missing())
    folder = tmp_path_factory.mktemp("driver")
    build(folder)

    def run(script, *, libraries=None, seconds=120, **environment):
        paths = os.pathsep.join([str(_HERE), str(_HERE.parent)])
        env = {
            **os.environ,
            "LD_LIBRARY_PATH": str(folder if libraries is None else libraries),
            "PYTHONPATH": paths,
            **environment,
        }
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=seconds, env=env
        )

    return run
