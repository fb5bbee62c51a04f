"""A little of the disk, kept back in the data folder, so that a service can start on a disk that is full.

SQLite needs room for its index of the log before it opens anything. Without that, whatever fills the disk would end
judging with the next restart. Taken up at the start, and laid by again by the housekeeper once there is room.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

BYTES: Final = 1 << 20


class Reserve:
    """The file.

    Args:
        folder: whose disk it is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "reserve"

    def take(self) -> bool:
        """Give it up where the disk is full. Returns: whether it was there, and was wanted."""
        try:
            if shutil.disk_usage(self._file.parent).free >= BYTES:
                return False
            self._file.unlink()
        except OSError:
            return False
        return True

    def lay_by(self, min_free_bytes: int) -> None:
        """Make it where it is not there, and the disk would not count as full with it."""
        with contextlib.suppress(OSError):  # tried again
            if self._file.exists() or shutil.disk_usage(self._file.parent).free < BYTES + min_free_bytes:
                return
            beside = self._file.with_suffix(".part")
            with beside.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BYTES)
            os.replace(beside, self._file)
