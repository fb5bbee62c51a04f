"""`avjury bench cluster`: placement at the size of a large fleet, and what coordinator and database have to do for it.

- *Simulation*: the placement that the coordinator uses, with 10,000 streams on 100 engines, through losses, joins,
  drains and changes of load, round by round. How many streams moved for each loss beside how many had to, the fullest
  engine, and how long each decision took.
- *Database* (starts a server of PostgreSQL, which has to be installed): the real coordinator and the real tables, with
  synthetic engines, in a few processes, that renew their leases and read what they own as real ones do, but judge
  nothing. How long a round of the coordinator takes, how long engines wait, how soon the streams of engines that fall
  silent have another owner, and that none has two.
"""

import argparse
import contextlib
import multiprocessing
import random
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from benchmarks.harness import quantiles, show_children_this_tree, write_result
from benchmarks.live import postgres
from engine.cluster.coordinator import ROUND_SECONDS, Coordinator
from engine.cluster.member import POLL_SECONDS, RENEW_SECONDS
from engine.cluster.placement import DEFAULT_LIMITS, Engine, Limits, Unit, decide
from engine.errors import StoreError
from engine.store.database import Database
from engine.store.owners import Owners, UnitPlan
from engine.store.schema import cluster_units

STREAMS: Final = 10_000
ENGINES: Final = 100
# An H200's worth of 1080p30 streams by its data sheet (docs/capacity.md): a fleet that is six tenths full.
CAPACITY: Final = 170.0
SEED: Final = 20_261_128
# Of the synthetic engines: real ones have one each, but their Python would be measured then.
PROCESSES: Final = 4


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

    Run by: its own thread until `silent` is set, as if it had died.
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


def run_engines(url: str, names: Sequence[str], capacity: float, pipe: Connection) -> None:
    """A process with some synthetic engines, which does what it is told through a pipe until that ends."""
    owners = Owners(Database(url))
    engines = {name: SyntheticEngine(owners, name, capacity) for name in names}
    for engine in engines.values():
        engine.start()
    with contextlib.suppress(EOFError):
        while True:
            told, silent = pipe.recv()
            if told == "forget":
                for engine in engines.values():
                    engine.waited.clear()
            elif told == "fall silent":
                for name in silent:
                    if name in engines:
                        engines[name].silent.set()
            living = [engine for engine in engines.values() if not engine.silent.is_set()]
            pipe.send(
                (
                    [seconds for engine in living for seconds in engine.waited],
                    [key for engine in living for key in engine.owned],
                    sum(engine.failures for engine in living),
                )
            )
    for engine in engines.values():
        engine.join()


class Crew:
    """All synthetic engines, in processes of their own.

    Args:
        url: of the database.
        names: of all of them.
        capacity: of each.
    """

    def __init__(self, url: str, names: Sequence[str], capacity: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=run_engines, args=(url, names[number::PROCESSES], capacity, theirs))
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def tell(self, what: str, names: Sequence[str] = ()) -> tuple[list[float], list[tuple[str, int]], int]:
        """Say something to all. Returns: of those that live how long they waited, what they own, and their failures."""
        for pipe in self._pipes:
            pipe.send((what, names))
        said = [pipe.recv() for pipe in self._pipes]
        return [s for one in said for s in one[0]], [key for one in said for key in one[1]], sum(one[2] for one in said)

    def end(self) -> None:
        """End them."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(60.0)
            process.kill()


class Rounds:
    """The real coordinator in a thread, and how long each of its rounds took."""

    def __init__(self, owners: Owners) -> None:
        self.seconds: list[float] = []
        self._coordinator = Coordinator(owners, DEFAULT_LIMITS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coordinator")
        self._thread.start()

    def end(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            at = time.monotonic()
            self._coordinator.round()
            self.seconds.append(time.monotonic() - at)
            self._stop.wait(ROUND_SECONDS)


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
    names = [f"engine-{i}" for i in range(engines)]
    crew = Crew(url, names, CAPACITY * streams / STREAMS * ENGINES / engines)

    def owned_by(these: Sequence[str] | None) -> int:
        """Units that these own; None for units that nobody does."""
        column = cluster_units.c.owner
        with database.read() as connection:
            whose = column.is_(None) if these is None else column.in_(these)
            return int(connection.execute(select(func.count()).select_from(cluster_units).where(whose)).scalar_one())

    rounds: Rounds | None = None
    try:
        _until(lambda: sum(engine.alive for engine in owners.engines()) == engines, 60.0, "engines register")
        rounds = Rounds(owners)
        began = time.monotonic()
        _until(lambda: owned_by(None) == 0, 120.0, "all streams are given to engines")
        placed_seconds = time.monotonic() - began
        rounds.seconds.clear()
        crew.tell("forget")
        time.sleep(seconds / 2)
        quiet = list(rounds.seconds)
        waited, _, _ = crew.tell("report")
        silent = names[: max(1, engines // 10)]
        lost = owned_by(silent)
        crew.tell("fall silent", silent)
        began = time.monotonic()
        _until(lambda: owned_by(silent) == 0, 60.0, "the streams of the silent engines are given to others")
        recovered_seconds = time.monotonic() - began
        time.sleep(seconds / 2)
        waited_then, owned, failures = crew.tell("report")
        return {
            "streams": streams,
            "engines": engines,
            "wanted_seconds": round(wanted_seconds, 2),
            "placed_seconds": round(placed_seconds, 2),
            "round_seconds": quantiles(quiet),
            "slowest_round_seconds": round(max(rounds.seconds), 3),
            "engine_waits_seconds": quantiles(waited),
            "slowest_engine_wait_seconds": round(max(waited_then), 3),
            "engine_failures": failures,
            "silent_engines": len(silent),
            "lost_streams": lost,
            "recovered_seconds": round(recovered_seconds, 2),
            "owned_twice": sum(count > 1 for count in Counter(owned).values()),
            "unowned": owned_by(None),
        }
    finally:
        if rounds is not None:
            rounds.end()
        crew.end()
        database.close()


def _until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


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
    parser.add_argument("--database", help="URL of an empty database of PostgreSQL; default: a server is started")
    parser.add_argument("--simulation", action="store_true", help="leave the database's part out")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the database's part")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args(arguments)
    show_children_this_tree()
    recorded: dict[str, Any] = {"simulation": figures(simulate(rounds=given.rounds))}
    if given.database:
        recorded["database"] = database_load(given.database, seconds=given.seconds)
    elif not given.simulation:
        with postgres.running(connections=200) as server:
            recorded["database"] = database_load(server.database(), seconds=given.seconds)
    path = write_result("cluster", recorded, given.results)
    sys.stdout.write(f"{recorded}\n{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
