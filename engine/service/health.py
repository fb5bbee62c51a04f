"""Whether the service lives, and whether it does its work; each "no" with its reason.

Run by: one thread that looks every second, so that whoever asks never waits for a disk or a database that hangs. It
owns nothing, and ends by `stop`; if it dies or hangs, the answer is no.
"""

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

ROUND_SECONDS: Final = 1.0
# What was seen counts for so long: beyond it, something hangs.
STALE_SECONDS: Final = 8.0
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
        self._seen: tuple[float, dict[str, str]] = (float("-inf"), {})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health")
        self.draining = False
        self.loop_lag_seconds = 0.0
        """How late the event loop was at worst lately; written by the loop's own ticker."""

    def start(self) -> None:
        """Look once, then start the thread."""
        self._seen = (time.monotonic(), self._look())
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_seconds)

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
        at, reasons = self._seen
        age = time.monotonic() - at
        if age > STALE_SECONDS:
            return {**reasons, "health": f"nothing could be looked at for {age:.0f} s: a disk or the database hangs"}
        return dict(reasons)

    def _run(self) -> None:
        while not self._stop.wait(ROUND_SECONDS):
            self._seen = (time.monotonic(), self._look())

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
