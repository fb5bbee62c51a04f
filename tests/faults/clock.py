"""A service whose wall clock a test moves, by libfaketime; its monotonic clock goes on as the machine's does."""

import os
from pathlib import Path

from programs import program


class MovedClock:
    """The environment of a process whose clock is `move`d.

    Args:
        folder: for the file that says by how much; whoever is to see it has to be able to read there.
    """

    def __init__(self, folder: Path) -> None:
        library = next(Path(program("faketime")).parents[1].glob("lib/*/faketime/libfaketimeMT.so.1"), None)
        assert library is not None, "faketime is there without its library"
        self._file = folder / "faketime"
        self.move(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def move(self, seconds: int) -> None:
        """By how much it is ahead of the machine's from now on."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}s\n")
        os.replace(part, self._file)
