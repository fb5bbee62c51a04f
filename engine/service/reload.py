"""Another configuration while the service runs: parsed whole, refused whole where it is wrong, the old one kept."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from engine.config import Config
from engine.configured import load_config
from engine.errors import AvjuryError
from engine.service.auth import Gate
from engine.service.core import Core
from engine.service.sinks import Notifier

# What a running service takes on; anything else waits for the next start.
LIVE_SECTIONS: Final = frozenset(("auth", "detectors", "profiles", "shadow", "streams"))
LIVE_SERVICE_KEYS: Final = frozenset(("api_private_addresses", "max_streams", "metrics_max_streams", "open_metrics",
                                      "min_free_bytes", "incident_days"))  # fmt: skip

log = logging.getLogger(__name__)


class Reload:
    """Reads the configuration file again.

    Args:
        path: of the file; None for a service without one.
        core: that takes the streams.
        gate: that takes the tokens.
        notifier: that takes whom to tell; None where nobody was to be told at the start.
        load: reads a file.
    """

    def __init__(
        self,
        path: Path | None,
        core: Core,
        gate: Gate,
        notifier: Notifier | None,
        load: Callable[[Path | None], tuple[Config, Any]] = load_config,
    ) -> None:
        self._path = path
        self._core = core
        self._gate = gate
        self._notifier = notifier
        self._load = load
        self._lock = threading.Lock()
        self.failures = 0
        self.succeeded_at = time.time()
        """Unix seconds; the start counts."""
        self.last_error: AvjuryError | None = None

    def run(self) -> dict[str, Any]:
        """Read it, and take it on.

        Returns: ids of streams that were added, changed and removed, and the keys that wait for the next start.
        Raises: ConfigError naming line, key and what is allowed; StoreError. Nothing has changed then.
        """
        with self._lock:
            before = self._core.config
            try:
                config, _ = self._load(self._path)
                self._gate.read(config.auth)
                if self._notifier is not None and config.notify != before.notify:
                    self._notifier.apply(config.notify)
                try:
                    changes = self._core.reload(config)
                except AvjuryError:
                    if self._notifier is not None and config.notify != before.notify:
                        self._notifier.apply(before.notify)
                    raise
            except AvjuryError as error:
                self.failures += 1
                self.last_error = error
                log.error("the configuration was not taken, the old one stays: %s", error)
                raise
            self._gate.replace(config.auth)
            self.succeeded_at = time.time()
            self.last_error = None
            waiting = [
                key for key in _needs_restart(before, config) if self._notifier is None or not key.startswith("notify.")
            ]
            log.info("configuration read: %d streams added, %d changed, %d removed%s",
                     *(len(changes[kind]) for kind in ("added", "changed", "removed")),
                     f"; after the next start: {', '.join(waiting)}" if waiting else "")  # fmt: skip
            return {**changes, "needs_restart": waiting}


def _needs_restart(before: Config, after: Config) -> list[str]:
    """The keys that differ, and that a running service does not take on."""
    keys = []
    for section in Config.model_fields:
        if section in LIVE_SECTIONS:
            continue
        old, new = getattr(before, section), getattr(after, section)
        if not isinstance(old, BaseModel):
            keys += [section] if old != new else []
            continue
        for key in type(old).model_fields:
            live = section == "service" and key in LIVE_SERVICE_KEYS
            if not live and getattr(old, key) != getattr(new, key):
                keys.append(f"{section}.{key}")
    return keys
