"""How all streams are at this moment, for walls of many: one small tile each, and what changed of them.

Run by: the fleet's reporting thread hands in seconds; the API's event loop looks once a second while somebody watches,
however many do, and not at all else.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.detectors import detector, resolve
from engine.level_columns import level_names
from engine.service.contract import StreamPlan, StreamStatus
from engine.service.core import Core
from engine.service.desired import Wanted
from engine.service.open_incidents import OpenIncidents
from engine.store.records import IncidentRecord, wall_text
from engine.verdicts import StreamSecond

PERIOD_SECONDS: Final = 1.0
# Seconds come a second or two after they were played; what is older tells nothing of now.
FRESH_SECONDS: Final = 8.0
# What a tile names of what is wrong.
_MOST_WHY: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    """The rules of a plan as arrays, of the detectors that wait before they open."""

    plan: StreamPlan
    names: tuple[str, ...]
    columns: npt.NDArray[np.int64]
    below: npt.NDArray[np.bool_]
    enter: npt.NDArray[np.float32]
    masters: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tiles at a moment.

    Args:
        number: 1, 2, 3, ...
        tiles: by stream.
        changed: number of the snapshot in which each tile last changed.
        levels: highest momentary loudness (LUFS) and true peak (dBTP) of the last second, by stream.
        texts: for readers, by the number of the last snapshot that they had.
    """

    number: int
    tiles: Mapping[str, Mapping[str, Any]]
    changed: Mapping[str, int]
    levels: Mapping[str, tuple[float | None, float | None]]
    texts: dict[int, str]

    def text(self, since: int, gone: list[str]) -> str:
        """What a reader is told who had snapshot `since`, or none where it is 0."""
        if since not in self.texts:
            tiles = [tile for name, tile in self.tiles.items() if self.changed[name] > since]
            told = {"all": since == 0, "tiles": tiles, "gone": gone, "levels": self.levels}
            self.texts[since] = f"event: wall\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"
        return self.texts[since]


class Wall:
    """The tiles.

    Args:
        core: the wanted streams.
        open_incidents: what is open.
        clock: Unix seconds.
    """

    def __init__(self, core: Core, open_incidents: OpenIncidents, clock: Callable[[], float] = time.time) -> None:
        self._core = core
        self._open = open_incidents
        self._clock = clock
        self._seconds: dict[str, tuple[StreamSecond, float]] = {}
        self._rules: dict[str, _Rules] = {}
        names = level_names()
        self._width = len(names)
        self._meters = (names.index("momentary"), names.index("true_peak_db"))
        self._snapshot = Snapshot(0, {}, {}, {}, {})
        self._made = float("-inf")
        self._looking: asyncio.Lock | None = None
        self.readers = 0

    def put(self, second: StreamSecond, at: float) -> None:
        """A second was judged; `at` in Unix seconds."""
        self._seconds[second.stream] = second, at

    def keep_only(self, streams: Container[str]) -> None:
        """Forget the streams that are gone."""
        for table in (self._seconds, self._rules):
            for stream in [one for one in tuple(table) if one not in streams]:
                table.pop(stream, None)

    def tiles(self) -> dict[str, dict[str, Any]]:
        """All tiles now, by stream."""
        statuses, incidents = self._core.statuses(), self._open.of_streams()
        now = self._clock()
        return {
            name: self._tile(wanted, statuses[name], incidents.get(name, []), now)
            for name, wanted in self._core.all().items()
            if name in statuses
        }

    async def snapshot(self) -> Snapshot:
        """The tiles as they were within the last second; the same for all who ask."""
        if self._looking is None:
            self._looking = asyncio.Lock()
        async with self._looking:
            if time.monotonic() - self._made >= PERIOD_SECONDS * 0.9:
                self._snapshot = await asyncio.to_thread(self._look, self._snapshot)
                self._made = time.monotonic()
            return self._snapshot

    async def chunks(self, closed: Callable[[], bool]) -> AsyncIterator[str]:
        """Server-sent events of all tiles, then once a second of those that changed, until `closed`."""
        yield "retry: 2000\n\n"
        last = 0
        known: set[str] = set()
        while not closed():
            began = time.monotonic()
            snapshot = await self.snapshot()
            if snapshot.number != last:
                yield snapshot.text(last, sorted(known - snapshot.tiles.keys()))
                last, known = snapshot.number, set(snapshot.tiles)
            await asyncio.sleep(max(0.05, PERIOD_SECONDS - (time.monotonic() - began)))

    def _look(self, before: Snapshot) -> Snapshot:
        number = before.number + 1
        tiles = self.tiles()
        changed = {
            name: before.changed[name] if before.tiles.get(name) == tile else number for name, tile in tiles.items()
        }
        levels = {name: self._level(name) for name, tile in tiles.items() if tile["status"] == "running"}
        return Snapshot(number, tiles, changed, levels, {})

    def _tile(
        self, wanted: Wanted, status: StreamStatus, incidents: list[IncidentRecord], now: float
    ) -> dict[str, Any]:
        stream = wanted.stream
        muted = self._core.suppressed(stream.id, now)
        second, at = self._seconds.get(stream.id, (None, 0.0))
        fresh = second is not None and now - at < FRESH_SECONDS and status.state == "running"
        why = [incident.detector for incident in incidents]
        since = incidents[0].opened_at if incidents else status.since
        state = str(incidents[0].severity) if incidents else "ok"
        if status.state == "paused":
            state, why, since = "paused", [], status.since
        elif muted:
            state = "maintenance"
        elif incidents:
            pass
        elif not fresh or second is None or not (second.frames_measured or second.audio_seconds):
            state, why = "unknown", [status.cause or status.state] if status.state != "running" else []
        else:
            why = self._pending(wanted, second)
            state = "pending" if why else "ok"
        return {
            "id": stream.id,
            "state": state,
            "why": list(dict.fromkeys(why))[:_MOST_WHY],
            "since": None if state in ("ok", "pending") else wall_text(since),
            "incidents": len(incidents),
            "acknowledged": bool(incidents) and all(incident.acknowledged_at is not None for incident in incidents),
            "status": status.state,
            "channel": stream.channel,
            "labels": stream.labels,
            "video": status.video,
            "audio": status.audio,
        }

    def _level(self, stream: str) -> tuple[float | None, float | None]:
        second, at = self._seconds.get(stream, (None, 0.0))
        if second is None or self._clock() - at > FRESH_SECONDS or len(second.levels) != 8 * self._width:
            return None, None
        highs = np.frombuffer(second.levels, np.float32)[self._width :]
        momentary, peak = (float(highs[place]) for place in self._meters)
        return _shown(momentary), _shown(peak)

    def _pending(self, wanted: Wanted, second: StreamSecond) -> list[str]:
        """Detectors whose measure was bad in a second, and that have not opened: it does not last long enough yet."""
        if len(second.levels) != 8 * self._width:
            return []
        rules = self._rules.get(second.stream)
        if rules is None or rules.plan is not wanted.plan:
            rules = self._rules[second.stream] = _rules_of(wanted.plan)
        values = np.frombuffer(second.levels, np.float32)
        low, high = values[: self._width][rules.columns], values[self._width :][rules.columns]
        with np.errstate(invalid="ignore"):
            bad = np.flatnonzero(np.where(rules.below, low <= rules.enter, high >= rules.enter))
        held = {*second.unknown, *second.open}
        names = [(rules.names[i], rules.masters[i]) for i in bad.tolist() if rules.names[i] not in held]
        doubted = {name for name, _ in names}
        return [name for name, masters in names if not masters & doubted and masters.isdisjoint(held)]


def _rules_of(plan: StreamPlan) -> _Rules:
    declared, parameters = resolve(plan.detectors)
    waiting = [(d, d.rule(parameters[d.name])) for d in declared]
    waiting = [(d, rule) for d, rule in waiting if rule.set_seconds > 0]
    names = level_names()
    return _Rules(
        plan,
        tuple(d.name for d, _ in waiting),
        np.array([names.index(d.column) for d, _ in waiting], np.int64),
        np.array([rule.below for _, rule in waiting], bool),
        np.array([rule.enter for _, rule in waiting], np.float32),
        tuple(frozenset(detector(d.name).dominated_by) for d, _ in waiting),
    )


def _shown(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None
