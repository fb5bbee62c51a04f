"""A disk on which no write succeeds any more (EIO), for as long as a test says so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


class BrokenDisk:
    """The environment of a service whose writes below a folder fail while it is `broken`; takes a C compiler.

    Args:
        folder: for the library and its switch.
        data: where writes fail.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler")
        library, source = folder / "broken_disk.so", Path(__file__).with_name("broken_disk.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        self._switch = folder / "broken"
        self.environment = {
            "LD_PRELOAD": str(library),
            "BROKEN_DISK_FOLDER": f"{data.resolve()}{os.sep}",
            "BROKEN_DISK_SWITCH": str(self._switch),
        }

    def break_it(self) -> None:
        """From now on writes fail."""
        self._switch.touch()

    def mend_it(self) -> None:
        """From now on they succeed again."""
        self._switch.unlink()
