"""`avjury bench cluster`: placement at the size of a large fleet, and what coordinator and database have to do for it.

- *Simulation*: the placement that the coordinator uses, with 10,000 streams on 100 engines, through losses, joins,
  drains and changes of load, round by round. How many streams moved for each loss beside how many had to, the fullest
  engine, and how long each decision took.
- *Database* (needs a server of PostgreSQL): the real coordinator and the real tables, with synthetic engines that renew
  their leases and read what they own as real ones do, but judge nothing. How long a round of the coordinator takes,
  how long engines wait, how soon the streams of engines that fall silent have another owner, and that none has two.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import quantiles, write_result
from engine.cluster.coordinator import Coordinator
from engine.cluster.member import POLL_SECONDS, RENEW_SECONDS
from engine.cluster.placement import DEFAULT_LIMITS, Engine, Limits, Unit, decide
from engine.errors import StoreError
from engine.store.database import Database
from engine.store.owners import Owners, UnitPlan

STREAMS: Final = 10_000
ENGINES: Final = 100
# An H200's worth of 1080p30 streams by its data sheet (docs/capacity.md): a fleet that is six tenths full.
CAPACITY: Final = 170.0
SEED: Final = 20_261_128


@dataclass(slots=True)
class Simulated:
    """What happened in the simulation.

    Args:
        decisions: seconds of each.
        losses: of each lost engine, how many streams it had and how many were placed anew or moved within the next
            rounds.
        idle_moves: moves in stretches at whose beginning nothing happened: balance that was still to be had.
        fullest: the fullest engine's share of its capacity, over all rounds.
        unplaced_rounds: rounds in which a stream was nowhere.
    """

    decisions: list[float] = field(default_factory=list)
    losses: list[tuple[int, int]] = field(default_factory=list)
    idle_moves: int = 0
    balance_moves: int = 0
    fullest: float = 0.0
    unplaced: int = 0


def simulate(streams: int = STREAMS, engines: int = ENGINES, rounds: int = 400, seed: int = SEED) -> Simulated:
    """Drive the placement through a day's troubles.

    Args:
        rounds: of decisions; every tenth one something happens.
    """
    chance = random.Random(seed)
    units = [
        Unit(f"stream-{i}", cost=chance.choice((0.5, 1.0, 1.0, 2.0)), priority=chance.choice((10, 50, 50, 90)))
        for i in range(streams)
    ]
    fleet = {
        f"engine-{i}": Engine(f"engine-{i}", CAPACITY * streams / STREAMS * ENGINES / engines) for i in range(engines)
    }
    limits = Limits(moves=32)
    found = Simulated()
    placed: dict[str, str] = {}
    ages: dict[str, float] = {}
    lost: list[Engine] = []
    happened = "start"
    for number in range(rounds):
        before = dict(placed)
        gone: set[str] = set()
        if number % 10 == 9:
            happened = chance.choice(("loss", "loss", "join", "drain", "load", "nothing"))
            if happened == "loss" and len(fleet) > engines * 0.8:
                name = chance.choice(sorted(fleet))
                lost.append(replace(fleet.pop(name), emptied=False))
                gone = {key for key, owner in placed.items() if owner == name}
                placed = {key: owner for key, owner in placed.items() if key not in gone}
            elif happened == "join" and lost:
                back = lost.pop()
                fleet[back.name] = back
            elif happened == "drain":
                name = chance.choice(sorted(fleet))
                fleet[name] = replace(fleet[name], emptied=not fleet[name].emptied)
            elif happened == "load":
                for name in chance.sample(sorted(fleet), 5):
                    fleet[name] = replace(fleet[name], capacity=CAPACITY * chance.uniform(0.8, 1.1))
        # What engines measure of themselves is never quite the same.
        seen = [replace(e, capacity=e.capacity * chance.uniform(0.98, 1.02)) for e in fleet.values()]
        began = time.perf_counter()
        decided = decide(units, seen, placed, limits=limits, age_seconds=ages)
        found.decisions.append(time.perf_counter() - began)
        placed |= decided.place
        placed |= decided.move
        for key in decided.refuse:
            placed.pop(key, None)
        ages = {key: ages.get(key, 0.0) + 30.0 if before.get(key) == owner else 0.0 for key, owner in placed.items()}
        changed = {key for key, owner in placed.items() if key in before and before[key] != owner}
        if gone:
            found.losses.append((len(gone), len(changed)))
        elif happened == "nothing":
            found.idle_moves += len(decided.move)
        else:
            found.balance_moves += len(decided.move)
        used: defaultdict[str, float] = defaultdict(float)
        for unit in units:
            if unit.key in placed:
                used[placed[unit.key]] += unit.cost
        found.fullest = max(found.fullest, *(used[e.name] / e.capacity for e in fleet.values()))
        found.unplaced += len(units) - len(placed)
    return found


class SyntheticEngine:
    """Renews, reads and takes over as an engine does, and judges nothing.

    Run by: its own thread until `silent` is set (it died) or `end` is (it leaves).
    """

    def __init__(self, owners: Owners, name: str, capacity: float) -> None:
        self.name = name
        self.silent = threading.Event()
        self.waited: list[float] = []
        self.owned: dict[tuple[str, int], tuple[int, float]] = {}
        self.failures = 0
        self._owners = owners
        self._capacity = capacity
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        self.silent.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        life = self._owners.register(self.name, "node", {}, {}, died=True)
        assert life is not None
        renewed = -RENEW_SECONDS
        while not self.silent.is_set():
            began = time.monotonic()
            try:
                if began - renewed >= RENEW_SECONDS:
                    state = {"ready": True, "capacity": self._capacity, "streams": len(self.owned)}
                    self._owners.renew(self.name, life, state)
                    renewed = began
                mine = self._owners.mine(self.name, life)
                me = (self.name, life)
                self.owned = {
                    u.key: (u.epoch, u.owned_from) for u in mine.units if (u.owner, u.owner_incarnation) == me
                }
                ready = {u.key: u.epoch for u in mine.units if (u.next, u.next_incarnation) == me}
                if ready:
                    self._owners.take_over(self.name, life, ready)
            except StoreError:
                self.failures += 1
            self.waited.append(time.monotonic() - began)
            self.silent.wait(max(0.0, POLL_SECONDS - (time.monotonic() - began)))


def database_load(url: str, streams: int = STREAMS, engines: int = ENGINES, seconds: float = 60.0) -> dict[str, Any]:
    """Run the real coordinator over synthetic engines; a tenth of these falls silent half-way.

    Args:
        url: of an empty database of PostgreSQL.
        seconds: after everything has its place.
    """
    database = Database(url)
    owners = Owners(database)
    began = time.monotonic()
    for start in range(0, streams, 500):
        owners.want([UnitPlan(f"stream-{i}", 0, {"id": f"stream-{i}"}, together=f"stream-{i}")
                     for i in range(start, min(streams, start + 500))])  # fmt: skip
    wanted_seconds = time.monotonic() - began
    synthetic = [SyntheticEngine(owners, f"engine-{i}", CAPACITY * streams / STREAMS) for i in range(engines)]
    for engine in synthetic:
        engine.start()
    coordinator = Coordinator(owners, DEFAULT_LIMITS)
    rounds: list[float] = []
    stop = threading.Event()

    def coordinate() -> None:
        while not stop.is_set():
            at = time.monotonic()
            coordinator.round()
            rounds.append(time.monotonic() - at)
            stop.wait(0.5)

    thread = threading.Thread(target=coordinate, name="coordinator")
    thread.start()
    try:
        began = time.monotonic()
        while any(unit.owner is None for unit in owners.units()):
            if time.monotonic() - began > 120.0:
                raise RuntimeError("not all streams were given to engines within two minutes")
            time.sleep(0.5)
        placed_seconds = time.monotonic() - began
        rounds.clear()
        for engine in synthetic:
            engine.waited.clear()
        time.sleep(seconds / 2)
        quiet = list(rounds)
        silent = synthetic[: max(1, engines // 10)]
        names = {engine.name for engine in silent}
        lost = sum(unit.owner in names for unit in owners.units())
        for engine in silent:
            engine.silent.set()
        began = time.monotonic()
        while any(unit.owner in names for unit in owners.units()):
            if time.monotonic() - began > 60.0:
                raise RuntimeError("the streams of the silent engines were not given to others within a minute")
            time.sleep(0.1)
        recovered_seconds = time.monotonic() - began
        time.sleep(seconds / 2)
        living = [engine for engine in synthetic if engine not in silent]
        twice = Counter(key for engine in living for key in engine.owned)
        return {
            "streams": streams,
            "engines": engines,
            "wanted_seconds": round(wanted_seconds, 2),
            "placed_seconds": round(placed_seconds, 2),
            "round_seconds": quantiles(quiet),
            "slowest_round_seconds": round(max(rounds), 3),
            "engine_waits_seconds": quantiles([one for engine in living for one in engine.waited]),
            "engine_failures": sum(engine.failures for engine in living),
            "silent_engines": len(silent),
            "lost_streams": lost,
            "recovered_seconds": round(recovered_seconds, 2),
            "owned_twice": sum(count > 1 for count in twice.values()),
            "unowned": sum(unit.owner is None for unit in owners.units()),
        }
    finally:
        stop.set()
        thread.join(30.0)
        for engine in synthetic:
            engine.join()
        database.close()


def figures(found: Simulated) -> dict[str, Any]:
    """The simulation as it is recorded."""
    more = [moved - had for had, moved in found.losses]
    return {
        "streams": STREAMS,
        "engines": ENGINES,
        "decision_seconds": quantiles(found.decisions[1:]),
        "first_decision_seconds": round(found.decisions[0], 4),
        "slowest_decision_seconds": round(max(found.decisions), 4),
        "losses": len(found.losses),
        "streams_per_loss": round(statistics.mean(had for had, _ in found.losses), 1) if found.losses else None,
        "moves_beyond_the_lost": max(more, default=0),
        "moves_in_quiet_stretches": found.idle_moves,
        "moves_of_drains_and_balance": found.balance_moves,
        "fullest": round(found.fullest, 3),
        "unplaced": found.unplaced,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="avjury bench cluster", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--rounds", type=int, default=400, help="of the simulation")
    parser.add_argument("--database", help="URL of an empty database of PostgreSQL; left out without it")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the database's part")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args(arguments)
    recorded: dict[str, Any] = {"simulation": figures(simulate(rounds=given.rounds))}
    if given.database:
        recorded["database"] = database_load(given.database, seconds=given.seconds)
    path = write_result("cluster", recorded, given.results)
    sys.stdout.write(f"{recorded}\n{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
