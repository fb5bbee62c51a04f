"""The service itself at this moment, for those who watch it: engines, room, queues, what failed.

Run by: the API's event loop, which looks once in two seconds while somebody watches, however many do, and not at all
else. What is looked at is read in a thread of its own, as counting and reading the database may take a moment.
"""

import asyncio
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from engine.errors import StoreError
from engine.ingest.url_policy import redact
from engine.service.canary import canary_json
from engine.service.contract import EngineStatus
from engine.service.metrics import exposition
from engine.service.parts import Parts
from engine.store.records import Notice, Page, wall_text

PERIOD_SECONDS: Final = 2.0
# Dead letters that are shown beside the rest.
_MOST_LETTERS: Final = 50


def service_json(parts: Parts) -> dict[str, Any]:
    """How the service itself is."""
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * resource.getpagesize()
    return {
        "not_ready": {part: redact(why) for part, why in parts.health.ready().items()},
        "pid": os.getpid(),
        "resident_bytes": resident,
        "streams": len(parts.core.all()),
        "history_hours": parts.core.config.service.history_hours,
        "walls": parts.wall.readers,
    }


def engines_json(parts: Parts) -> list[dict[str, Any]]:
    """The engines."""
    return [_engine(engine) for engine in parts.fleet.engines()]


def _engine(engine: EngineStatus) -> dict[str, Any]:
    shown = asdict(engine)
    # By stream they are in /metrics, and in each stream's own page.
    for name in ("stream_counters", "latency_buckets", "latency_sum", "stage_buckets", "stage_sums"):
        del shown[name]
    return shown


def letters(parts: Parts, limit: int, cursor: str | None = None) -> Page[dict[str, Any]]:
    """Notifications that were given up, the newest first."""
    page = parts.store.outbox.dead_letters(limit=limit, cursor=cursor)
    return Page(tuple(_letter(notice) for notice in page.items), page.next)


def _letter(notice: Notice) -> dict[str, Any]:
    shown = asdict(notice)
    shown["error"] = redact(notice.error) if notice.error else None
    for name in ("created_at", "due_at", "settled_at"):
        shown[name] = wall_text(shown[name])
    return shown


class VitalSigns:
    """The newest look, the same for all who ask within its period.

    Args:
        parts: that are looked at.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looking: asyncio.Lock | None = None
        self._made = float("-inf")
        self._texts: tuple[str, str] = ("", "")
        self.readers = 0

    async def chunks(self, closed: Callable[[], bool], *, with_letters: bool) -> AsyncIterator[str]:
        """Server-sent events `service`, each a whole look, until `closed`.

        Args:
            with_letters: with dead letters, which not everybody may read.
        """
        yield "retry: 2000\n\n"
        last = ""
        while not closed():
            began = time.monotonic()
            text = (await self._newest())[with_letters]
            # A look that says the same still says that the service is there.
            yield f"event: service\ndata: {text}\n\n" if text != last else ": as before\n\n"
            last = text
            await asyncio.sleep(max(0.05, PERIOD_SECONDS - (time.monotonic() - began)))

    async def _newest(self) -> tuple[str, str]:
        if self._looking is None:
            self._looking = asyncio.Lock()
        async with self._looking:
            if time.monotonic() - self._made >= PERIOD_SECONDS * 0.9:
                self._texts = await asyncio.to_thread(self._look)
                self._made = time.monotonic()
            return self._texts

    def _look(self) -> tuple[str, str]:
        parts = self._parts
        lines = exposition(parts.registry).decode().splitlines()
        told: dict[str, Any] = {
            "service": service_json(parts),
            "engines": engines_json(parts),
            "canary": canary_json(parts.canary),
            # Of single streams their own pages tell, and of hundreds there would be too much to push.
            "metrics": [line for line in lines if not line.startswith("#") and 'stream="' not in line],
        }
        without = json.dumps({**told, "dead_letters": []}, separators=(",", ":"))
        try:
            dead = list(letters(parts, _MOST_LETTERS).items)
        except (StoreError, SQLAlchemyError):  # the database is away, which `not_ready` says
            dead = []
        return without, json.dumps({**told, "dead_letters": dead}, separators=(",", ":"), default=str)
