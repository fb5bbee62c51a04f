"""Which engine judges which stream: rendezvous hashing, weighted by what each engine can take.

Pure: the coordinator calls `decide` with what is known now and carries out what it says; the simulation
(benchmarks/cluster.py) and the tests call the same function. A unit stays where it is unless its engine is lost,
is being emptied, may not have it, or is so full that others are much emptier. So the loss of an engine moves its own
units and no others, and an engine that comes back gets new ones and, slowly, its share.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking
6(1), 1998; the logarithmic weights: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
# An engine that cannot do what it has is helped sooner than one that is only fuller than others.
_OVER_DWELL: Final = 0.1
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is placed as one: streams of which one engine has to judge all.

    Args:
        key: unique and stable; it decides which engine is preferred.
        cost: in average streams.
        priority: 0 to 100; higher is placed first, and stays longer.
        labels: what the engine's labels have to be, by name.
        apart: keys of units that another engine is to judge, where there is one (other subsets of the same stream).
    """

    key: str
    cost: float = 1.0
    priority: int = 50
    labels: Mapping[str, str] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine as it last reported.

    Args:
        name: unique and stable.
        capacity: average streams that it can judge in all, those that it judges now included.
        labels: of its node.
        takes: it may be given more; false while it starts, or is being emptied.
        emptied: what it has is to go elsewhere, one after the other.
        at_once: most average streams that it may be given now: what they cost shows only once it judges them.
    """

    name: str
    capacity: float
    labels: Mapping[str, str] = field(default_factory=dict)
    takes: bool = True
    emptied: bool = False
    at_once: float = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at a time.

    Args:
        fill: share of an engine's capacity up to which units are placed.
        moves: most units that are under way from one engine to another at a time.
        spread: share of capacity by which an engine has to be fuller than all engines together before units leave it,
            and emptier before they come: between the two nothing moves, so nothing flaps.
        dwell_seconds: a unit that came less than so long ago is not moved for balance.
    """

    fill: float = 0.9
    moves: int = 8
    spread: float = 0.15
    dwell_seconds: float = 300.0


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is to be done.

    Args:
        place: unit to engine, of those that no engine has.
        move: unit to engine, of those that one has: it goes on until the other has taken over.
        refuse: units for which there is no room, and that no engine may have from now on.
        wanted: average streams for which there is no room: what a larger cluster would need.
    """

    place: Mapping[str, str]
    move: Mapping[str, str]
    refuse: frozenset[str]
    wanted: float

    def __bool__(self) -> bool:
        return bool(self.place or self.move)


def decide(
    units: Sequence[Unit],
    engines: Sequence[Engine],
    placed: Mapping[str, str],
    *,
    limits: Limits = DEFAULT_LIMITS,
    moving: Mapping[str, str] | None = None,
    age_seconds: Mapping[str, float] | None = None,
) -> Decisions:
    """What is to be placed and moved now.

    Args:
        units: all that are wanted.
        engines: that are there; one that is not listed is lost.
        placed: unit to engine, as it is now.
        limits: see Limits.
        moving: unit to the engine that is taking it over; it counts on both.
        age_seconds: how long each placed unit has been where it is; unknown counts as long.
    """
    return _Round(units, engines, placed, limits, moving or {}, age_seconds or {}).run()


class _Round:
    """One decision, with what it has given away so far."""

    def __init__(
        self,
        units: Sequence[Unit],
        engines: Sequence[Engine],
        placed: Mapping[str, str],
        limits: Limits,
        moving: Mapping[str, str],
        age_seconds: Mapping[str, float],
    ) -> None:
        self.limits = limits
        self.engines = sorted(engines, key=lambda engine: engine.name)
        self.index = {engine.name: i for i, engine in enumerate(self.engines)}
        self.units = {unit.key: unit for unit in units}
        self.at = {key: self.index[name] for key, name in placed.items() if key in self.units and name in self.index}
        self.moving = {key: self.index[name] for key, name in moving.items() if key in self.at and name in self.index}
        self.age_seconds = age_seconds
        self.capacity = np.array([max(0.0, engine.capacity) for engine in self.engines])
        self.takes = np.array([engine.takes and not engine.emptied for engine in self.engines], dtype=bool)
        self.used = np.zeros(len(self.engines))
        self.left_now = np.array([engine.at_once for engine in self.engines])
        for key, i in (*self.at.items(), *self.moving.items()):
            self.used[i] += self.units[key].cost
        self.seeds = np.array([_hash(engine.name) for engine in self.engines], dtype=np.uint64)
        self.fitting: dict[tuple[tuple[str, str], ...], NDArray[np.bool_]] = {}

    def run(self) -> Decisions:
        place, refuse, wanted = self._place_the_lost()
        move = self._empty()
        if not place and not move and not refuse:
            move |= self._balance()
        names = [engine.name for engine in self.engines]
        return Decisions(
            place={key: names[i] for key, i in place.items()},
            move={key: names[i] for key, i in move.items()},
            refuse=frozenset(refuse),
            wanted=wanted,
        )

    def _place_the_lost(self) -> tuple[dict[str, int], set[str], float]:
        """Units that no engine has, or whose engine may not have them, the most important first."""
        lost = [unit for key, unit in self.units.items() if key not in self.at]
        lost.sort(key=lambda unit: (-unit.priority, unit.key))
        place: dict[str, int] = {}
        refuse: set[str] = set()
        wanted = 0.0
        if lost:
            scores = self._scores(lost)
            evictable = self._evictable()
            first = self._first_choices(lost, scores)
            for row, unit in enumerate(lost):
                i: int | None = first[row]
                if unit.apart or i is None or not self._room(unit)[i]:
                    i = self._best(unit, scores[row])
                if i is None and self._has_room_later(unit):
                    continue
                if i is None:
                    i = self._make_room(unit, evictable, refuse)
                if i is None:
                    refuse.add(unit.key)
                    wanted += unit.cost
                else:
                    self._give(unit, i)
                    place[unit.key] = i
        wanted += sum(self.units[key].cost for key in refuse if key in self.at)
        return {key: i for key, i in place.items() if key not in refuse}, refuse, wanted

    def _empty(self) -> dict[str, int]:
        """Units that have to leave: their engine is being emptied, or its labels are not theirs any more."""
        leaving = [
            unit
            for key, unit in self.units.items()
            if key in self.at
            and key not in self.moving
            and (self.engines[self.at[key]].emptied or not self._fits(unit)[self.at[key]])
        ]
        leaving.sort(key=lambda unit: (-unit.priority, unit.key))
        move: dict[str, int] = {}
        room = self.limits.moves - len(self.moving)
        if leaving and room > 0:
            scores = self._scores(leaving)
            for row, unit in enumerate(leaving):
                if len(move) >= room:
                    break
                i = self._best(unit, scores[row])
                if i is not None:
                    self._give(unit, i, moved=True)
                    move[unit.key] = i
        return move

    def _balance(self) -> dict[str, int]:
        """A few units from engines that are much fuller than all together to such that are much emptier."""
        room = self.limits.moves - len(self.moving)
        total = float(self.capacity[self.takes].sum())
        if room <= 0 or total <= 0.0 or int(self.takes.sum()) < 2:
            return {}
        share = np.divide(self.used, self.capacity, out=np.ones_like(self.used), where=self.capacity > 0)
        mean = float(self.used[self.takes].sum()) / total
        full = np.flatnonzero(self.takes & (share > mean + self.limits.spread))
        empty = self.takes & (share < mean - self.limits.spread)
        over = self.takes & (share > 1.0)  # beyond what it can do: whoever has room helps
        givers = set(full.tolist()) | set(np.flatnonzero(over).tolist())
        if not givers:
            return {}
        candidates = [
            self.units[key]
            for key, i in self.at.items()
            if i in givers
            and key not in self.moving
            and self.age_seconds.get(key, np.inf) >= self.limits.dwell_seconds * (_OVER_DWELL if over[i] else 1.0)
        ]
        # The least important first: a move is a small risk. Then in an order of their own, not of their names.
        candidates.sort(key=lambda unit: (unit.priority, _hash(unit.key)))
        if not candidates:
            return {}
        move: dict[str, int] = {}
        scores = self._scores(candidates)
        for row, unit in enumerate(candidates):
            giver = self.at[unit.key]
            if len(move) >= room:
                break
            if self.used[giver] <= max(mean, 0.0) * self.capacity[giver]:
                continue  # it has given enough
            takers = (empty if not over[giver] else self.takes & (share <= mean)) & self._fits(unit)
            # Not so far that it would be the full one: then the unit would come back.
            takers &= (self.used + unit.cost) <= np.maximum(mean * self.capacity, 1.0)
            takers &= self._room(unit)
            if takers.any():
                i = int(np.argmax(np.where(takers, scores[row], -np.inf)))
                self.used[giver] -= unit.cost  # it will leave: for this round it counts as gone
                self._give(unit, i, moved=True)
                move[unit.key] = i
        return move

    def _first_choices(self, units: Sequence[Unit], scores: NDArray[np.float64]) -> list[int | None]:
        """What each unit prefers of all that it may have, full or not; at once, as a start places thousands."""
        if not self.engines:
            return [None] * len(units)
        allowed = np.stack([self._fits(unit) for unit in units]) & self.takes[None, :]
        best = np.argmax(np.where(allowed, scores, -np.inf), axis=1)
        return [int(i) if allowed[row, i] else None for row, i in enumerate(best)]

    def _best(self, unit: Unit, scores: NDArray[np.float64]) -> int | None:
        """The engine with room that the unit prefers."""
        allowed = self.takes & self._fits(unit) & self._room(unit)
        if unit.apart and (allowed & ~self._beside(unit)).any():
            allowed &= ~self._beside(unit)
        return int(np.argmax(np.where(allowed, scores, -np.inf))) if allowed.any() else None

    def _make_room(self, unit: Unit, evictable: list[Unit], refuse: set[str]) -> int | None:
        """An engine that has room once units of lower priority are judged no more; they are refused."""
        allowed = self.takes & self._fits(unit)
        gone: list[Unit] = []
        freed: defaultdict[int, float] = defaultdict(float)
        for other in evictable:
            if other.priority >= unit.priority:
                break
            i = self.at.get(other.key)
            if i is None or other.key in refuse or not allowed[i]:
                continue
            gone.append(other)
            freed[i] += other.cost
            if self.used[i] - freed[i] + unit.cost <= self.limits.fill * self.capacity[i]:
                for one in gone:
                    if self.at[one.key] == i:
                        refuse.add(one.key)
                        self.used[i] -= one.cost
                return i
        return None

    def _evictable(self) -> list[Unit]:
        """What may have to make room, the least important first."""
        staying = [self.units[key] for key in self.at if key not in self.moving]
        return sorted(staying, key=lambda unit: (unit.priority, _hash(unit.key)))

    def _give(self, unit: Unit, engine: int, *, moved: bool = False) -> None:
        self.used[engine] += unit.cost
        self.left_now[engine] -= unit.cost
        if not moved:
            self.at[unit.key] = engine

    def _room(self, unit: Unit) -> NDArray[np.bool_]:
        return self._fits_in(unit) & ((unit.cost <= self.left_now) | (unit.cost == 0.0))

    def _fits_in(self, unit: Unit) -> NDArray[np.bool_]:
        return self.used + unit.cost <= self.limits.fill * self.capacity

    def _has_room_later(self, unit: Unit) -> bool:
        """Whether engines have room that are only not given more at once."""
        return bool((self.takes & self._fits(unit) & self._fits_in(unit)).any())

    def _beside(self, unit: Unit) -> NDArray[np.bool_]:
        there = np.zeros(len(self.engines), dtype=bool)
        for key in unit.apart:
            for where in (self.at, self.moving):
                if key in where:
                    there[where[key]] = True
        return there

    def _fits(self, unit: Unit) -> NDArray[np.bool_]:
        """Engines whose labels are what the unit wants."""
        asked = tuple(sorted(unit.labels.items()))
        if asked not in self.fitting:
            self.fitting[asked] = np.array(
                [all(engine.labels.get(name) == value for name, value in asked) for engine in self.engines], dtype=bool
            )
        return self.fitting[asked]

    def _scores(self, units: Sequence[Unit]) -> NDArray[np.float64]:
        """How much each unit prefers each engine: (units, engines), weighted by capacity."""
        keys = np.array([_hash(unit.key) for unit in units], dtype=np.uint64)
        mixed = _mix(keys[:, None] ^ _mix(self.seeds)[None, :])
        # In (0, 1): half a step off both ends, where the logarithm would be 0 or infinite.
        share = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
        scores: NDArray[np.float64] = self.capacity[None, :] / -np.log(share)
        return scores


def _hash(text: str) -> int:
    """The same on every machine and in every run, unlike Python's own."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result depends on every bit given (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = values + _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result
