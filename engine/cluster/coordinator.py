"""Gives units to engines: reads what there is, decides (placement.py), and writes who is to judge what.

Run by: one thread of the coordinator's actor, or a test. It owns nothing but the decision: everything that it needs is
in the database, and each change names the epoch that it saw, so that a second coordinator, or one that comes back late,
does no harm. If it dies, engines go on judging what they own; what is lost meanwhile is placed when it is back.
"""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.cluster.placement import DEFAULT_LIMITS, Decisions, Engine, Limits, Unit, decide
from engine.errors import StoreError
from engine.store.owners import LEASE_SECONDS, Overview, Owners, UnitRow

ROUND_SECONDS: Final = 0.5
# Whoever was to take over and has not by then will not.
_OVERDUE_SECONDS: Final = 30.0
# What an engine is given before it has shown what a stream costs; from then on as many at a time as it has.
_FIRST_STREAMS: Final = 8

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What was done since the coordinator began.

    Args:
        given, moves, refused: units.
        slowest_seconds: the longest round.
        wanted: streams for which there was no room at the last one.
    """

    given: int = 0
    moves: int = 0
    refused: int = 0
    rounds: int = 0
    slowest_seconds: float = 0.0
    wanted: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)


class Coordinator:
    """The coordinator.

    Args:
        owners: the tables.
        limits: how much is done at a time.
        scale: told after each round how many average streams had no room, and how many one engine takes.
    """

    def __init__(
        self,
        owners: Owners,
        limits: Limits = DEFAULT_LIMITS,
        scale: Callable[[float, float], None] = lambda wanted, each: None,
    ) -> None:
        self._owners = owners
        self._limits = limits
        self._scale = scale
        self.tally = Tally()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coordinator")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        failed = False
        while not self._stop.is_set():
            try:
                if failed:
                    # While the database was away nobody could renew a lease: all look lost until they have.
                    self._owners.overview()
                    self._stop.wait(LEASE_SECONDS)
                    failed = False
                self.round()
            except StoreError as error:
                self.tally.failures["database"] += 1
                if not failed:
                    log.error("nothing can be placed: %s", error.line())
                failed = True
            self._stop.wait(ROUND_SECONDS)

    def round(self) -> Decisions:
        """Look once, and do what is to be done.

        Raises: StoreError.
        """
        began = time.monotonic()
        overview = self._owners.overview()
        overdue = self._overdue(overview)
        if overdue:
            self._owners.forgo(overdue)
            overview = self._owners.overview()
        groups = _groups(overview)
        decided = _decide(overview, groups, self._limits)
        self._carry_out(overview, groups, decided)
        self.tally.rounds += 1
        self.tally.wanted = decided.wanted
        self.tally.slowest_seconds = max(self.tally.slowest_seconds, time.monotonic() - began)
        self._scale(decided.wanted, _each(overview))
        return decided

    def _overdue(self, overview: Overview) -> list[tuple[str, int]]:
        return [
            unit.key
            for unit in overview.units
            if unit.next is not None
            and (
                (unit.next, unit.next_incarnation) not in overview.alive
                or overview.now - unit.next_since > _OVERDUE_SECONDS
            )
        ]

    def _carry_out(self, overview: Overview, groups: dict[str, list[UnitRow]], decided: Decisions) -> None:
        gifts: dict[tuple[str, int], tuple[int, str]] = {}
        moves: dict[tuple[str, int], tuple[int, str]] = {}
        for key, name in decided.place.items():
            gifts |= {unit.key: (unit.epoch, name) for unit in groups[key]}
        for key, name in decided.move.items():
            moves |= {unit.key: (unit.epoch, name) for unit in groups[key] if unit.next is None}
        for key, units in groups.items():
            home, alone = _stray(overview, units)
            if home is not None and key not in decided.place:
                gifts |= {unit.key: (unit.epoch, home) for unit in alone if overview.owner(unit) is None}
                moves |= {
                    unit.key: (unit.epoch, home)
                    for unit in alone
                    if overview.owner(unit) is not None and unit.next is None
                }
        ready = any(engine.alive and engine.state.get("ready") for engine in overview.engines)
        refused = {
            unit.key: (unit.epoch, "no engine has room for it")
            for key in (
                decided.refuse if ready else ()
            )  # while all engines start, nobody is to be told of want of room
            for unit in groups[key]
            if unit.refused is None or unit.owner is not None
        }
        if gifts:
            self.tally.given += self._owners.give(gifts)
        if moves:
            self.tally.moves += self._owners.prepare(moves)
        if refused:
            self.tally.refused += self._owners.refuse(refused)
        if gifts or moves or refused:
            log.info("%d units given, %d to move, %d without room", len(gifts), len(moves), len(refused))


def _groups(overview: Overview) -> dict[str, list[UnitRow]]:
    """Units that one engine has to judge, by their common name."""
    groups: defaultdict[str, list[UnitRow]] = defaultdict(list)
    for unit in overview.units:
        groups[unit.together].append(unit)
    return dict(groups)


def _decide(overview: Overview, groups: dict[str, list[UnitRow]], limits: Limits) -> Decisions:
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for key, units in groups.items():
        for unit in units:
            parts[unit.stream].add(key)
    # A stream's labels are for people too: those count that nodes have as well, whatever their values.
    asked_for = {"group"} | {name for engine in overview.engines for name in engine.labels}
    placed: dict[str, str] = {}
    moving: dict[str, str] = {}
    ages: dict[str, float] = {}
    wanted: list[Unit] = []
    for key, units in groups.items():
        if len(units) == 1:  # most are alone, and there are thousands
            (unit,) = units
            owner = overview.owner(unit)
            if owner is not None:
                placed[key] = owner.name
                ages[key] = overview.now - unit.owned_from
                if unit.next is not None:
                    moving[key] = unit.next
            labels = {name: value for name, value in unit.labels.items() if name in asked_for} if unit.labels else {}
            apart = parts[unit.stream] - {key} if len(parts[unit.stream]) > 1 else frozenset()
            cost = 0.0 if unit.paused else 1.0
            wanted.append(Unit(key, cost, unit.priority, labels, frozenset(apart)))
            continue
        labels = {}
        for unit in units:
            labels |= {name: value for name, value in unit.labels.items() if name in asked_for}
        owners = [engine.name for engine in map(overview.owner, units) if engine is not None]
        if owners:
            placed[key] = Counter(owners).most_common(1)[0][0]
            ages[key] = overview.now - max(unit.owned_from for unit in units)
        under_way = [unit.next for unit in units if unit.next is not None]
        if under_way and key in placed:
            moving[key] = under_way[0]
        wanted.append(
            Unit(
                key,
                cost=float(sum(not unit.paused for unit in units)),
                priority=max(unit.priority for unit in units),
                labels=labels,
                apart=frozenset({other for unit in units for other in parts[unit.stream]} - {key}),
            )
        )
    # Of what an engine owns or is to have, what is not in its report yet.
    fresh = Counter(unit.owner for unit in overview.units if overview.owner(unit) is not None and not unit.paused)
    fresh.update(unit.next for unit in overview.units if unit.next is not None)
    for row in overview.engines:
        fresh[row.name] = max(0, fresh[row.name] - int(row.state.get("streams", 0)))
    engines = [
        Engine(
            row.name,
            float(row.state.get("capacity", 0.0)),
            dict(row.labels),
            takes=bool(row.state.get("ready")),
            emptied=row.emptied,
            at_once=max(float(_FIRST_STREAMS), float(row.state.get("streams", 0))) - fresh[row.name],
        )
        for row in overview.engines
        if row.alive
    ]
    return decide(wanted, engines, placed, limits=limits, moving=moving, age_seconds=ages)


def _stray(overview: Overview, units: Sequence[UnitRow]) -> tuple[str | None, list[UnitRow]]:
    """Where most of a group is judged, and those of it that are not there (a stream that joined it later)."""
    owners = [(unit, overview.owner(unit)) for unit in units]
    names = [engine.name for _, engine in owners if engine is not None]
    if not names or len(units) == 1:
        return None, []
    home = Counter(names).most_common(1)[0][0]
    return home, [unit for unit, engine in owners if engine is None or engine.name != home]


def _each(overview: Overview) -> float:
    """Average streams that one engine takes; 0 where none has said."""
    said = [float(engine.state.get("capacity", 0.0)) for engine in overview.engines if engine.alive]
    return sum(said) / len(said) if said else 0.0
