"""Whether the service lives, and whether it does its work; each "no" with its reason."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from engine.errors import StoreError
from engine.service.contract import Fleet
from engine.store.sql import Store

# Anybody may ask, as often as they like; the disk and the database are not asked more often than this.
KEPT_SECONDS: Final = 1.0
# An event loop that is this late answers nobody in time.
LATE_SECONDS: Final = 5.0


class Health:
    """Answers /healthz and /readyz.

    Args:
        data: the data folder.
        min_free_bytes: below it the disk counts as full; asked for each time.
        store, fleet: of the service.
        away: why incidents cannot be kept; None while they can.
        verdicts: the same of stream-seconds.
        threads: the service's own by name, and whether they run.
    """

    def __init__(
        self,
        data: Path,
        min_free_bytes: Callable[[], int],
        store: Store,
        fleet: Fleet,
        away: Callable[[], str | None],
        verdicts: Callable[[], str | None],
        threads: Mapping[str, Callable[[], bool]],
    ) -> None:
        self._data = data
        self._min_free_bytes = min_free_bytes
        self._store = store
        self._fleet = fleet
        self._away = away
        self._verdicts = verdicts
        self._threads = threads
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._reasons: dict[str, str] = {}
        self.draining = False
        self.loop_lag_seconds = 0.0
        """How late the event loop was at worst lately; written by the loop's own ticker."""

    def alive(self) -> dict[str, str]:
        """What would only heal by a restart, by part; empty if nothing."""
        dead = {name: "its thread has ended" for name, runs in self._threads.items() if not runs()}
        if self.loop_lag_seconds > LATE_SECONDS:
            dead["loop"] = f"it was {self.loop_lag_seconds:.1f} s late"
        return dead

    def ready(self) -> dict[str, str]:
        """What keeps the service from its work, by part; empty if nothing."""
        if self.draining:
            return {"service": "it is shutting down"}
        with self._lock:
            if time.monotonic() - self._looked > KEPT_SECONDS:
                self._reasons = self._look()
                self._looked = time.monotonic()
            return dict(self._reasons)

    def _look(self) -> dict[str, str]:
        reasons = dict(self.alive())
        for part, look in (
            ("database", self._database),
            ("fleet", self._fleet.ready),
            ("disk", self._disk),
            ("verdicts", self._verdicts),
        ):
            why = look()
            if why is not None:
                reasons[part] = why
        return reasons

    def _database(self) -> str | None:
        away = self._away()
        if away is not None:
            return away
        try:
            with self._store.database.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        except StoreError as error:
            return error.why
        return None

    def _disk(self) -> str | None:
        probe = self._data / f".probe-{os.getpid()}"
        try:
            free = shutil.disk_usage(self._data).free
            if free < self._min_free_bytes():
                return f"{free >> 20} MB are free; {self._min_free_bytes() >> 20} MB are wanted"
            probe.write_bytes(b"avjury")
        except OSError as error:
            return error.strerror or str(error)
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return None
