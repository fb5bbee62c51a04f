"""What happens to the cluster of `avjury bench cluster-failures`: each scenario takes one part away, or adds one.

Run by: the benchmark's main thread. A scenario begins with a cluster that is whole and leaves it so; `Bench` has what
it takes for that, and owns nothing.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from benchmarks.live.postgres import Postgres
from benchmarks.live.ray_fleet import Fleet, kept_seconds, until
from benchmarks.live.relay import Relay
from benchmarks.live.service import Origin, Receiver

CHANNELS: Final = ("one", "two", "three", "four")
LIMIT_SECONDS: Final = 90.0
# Longer than a lease, and than Ray takes to find a node that hangs.
AWAY_SECONDS: Final = 9.0
HANGING_SECONDS: Final = 14.0
WATCHED_SECONDS: Final = 20.0
# Nodes have found their head again by then.
RECOVERY_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 6.0
MEMORY_SECONDS: Final = 150.0
OVER_SECONDS: Final = 25.0
RELAYED: Final = "127.0.0.2"
"""Address of the database for the node that goes through the relay."""


@dataclass(slots=True)
class Bench:
    """What the scenarios have at hand.

    Args:
        relay: between the database and the node that is cut off.
        began: Unix second at which the channels began.
        windows: Unix seconds from which and until which each scenario lasted.
    """

    fleet: Fleet
    server: Postgres
    relay: Relay
    origin: Origin
    receiver: Receiver
    began: float
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    windows: dict[str, tuple[float, float]] = field(default_factory=dict)


def actor_killed(bench: Bench) -> dict[str, Any]:
    """An engine's process gets SIGKILL; Ray starts it again."""
    fleet = bench.fleet
    lost = str(fleet.owned()["one"][0])
    streams, up = fleet.streams_of(lost), fleet.engines_up()
    since = time.monotonic()
    os.kill(fleet.pid(lost), signal.SIGKILL)
    found = _again(fleet, since, streams)
    with contextlib.suppress(TimeoutError):
        until(lambda: fleet.engines_up() >= up, LIMIT_SECONDS, "Ray has started it again")
    return {**found, "engines_before": up, "engines_after": fleet.engines_up()}


def coordinator_killed(bench: Bench) -> dict[str, Any]:
    """The coordinator gets SIGKILL; nothing that runs is to notice, and another one takes over."""
    fleet = bench.fleet
    before, pid = fleet.owned(), fleet.pid("coordinator")
    since = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    def another() -> bool:
        with contextlib.suppress(Exception):  # Ray has many ways to say that it is not there yet
            return fleet.pid("coordinator") != pid
        return False

    until(another, LIMIT_SECONDS, "another coordinator")
    took = time.monotonic() - since
    time.sleep(SETTLED_SECONDS)
    return {"coordinator_back_seconds": round(took, 2), "changes_of_owners": _changes(before, fleet.owned())}


def node_joins(bench: Bench) -> dict[str, Any]:
    """A node is added: the third engine, which waited for room, starts there."""
    fleet = bench.fleet
    before = fleet.owned()
    since = time.monotonic()
    fleet.add_node()
    until(lambda: fleet.engines_up() == 3, LIMIT_SECONDS, "a third engine")
    took = time.monotonic() - since
    time.sleep(SETTLED_SECONDS)
    return {"engine_up_seconds": round(took, 2), "changes_of_owners": _changes(before, fleet.owned())}


def node_leaves(bench: Bench) -> dict[str, Any]:
    """A node is drained and taken out in order."""
    fleet = bench.fleet
    leaving = str(fleet.owned()["one"][0])
    node, streams = fleet.node_of(leaving), fleet.streams_of(leaving)
    since = time.monotonic()
    fleet.command("drain", "--node", node.node_id)
    took = time.monotonic() - since
    fleet.remove_node(node, graceful=True)
    time.sleep(SETTLED_SECONDS)
    fleet.command("undrain", leaving)
    return {"streams": len(streams), "drained_seconds": round(took, 2), "left": len(fleet.streams_of(leaving))}


def raylet_killed(bench: Bench) -> dict[str, Any]:
    """A node's raylet gets SIGKILL; what it leaves running is up to Ray."""
    fleet = bench.fleet
    lost, node, streams = _victim(fleet)
    processes = fleet.processes(lost)
    since = time.monotonic()
    fleet.raylet(node).kill()
    found = _again_or_on(fleet, since, streams)
    _end(processes)
    fleet.remove_node(node)
    fleet.add_node()
    return found


def node_lost(bench: Bench) -> dict[str, Any]:
    """All processes of a node get SIGKILL at once, first those that could say so."""
    fleet = bench.fleet
    lost, node, streams = _victim(fleet)
    processes = fleet.processes(lost)
    since = time.monotonic()
    _end(processes)
    fleet.remove_node(node)
    found = _again(fleet, since, streams)
    fleet.add_node()
    return found


def raylet_hangs(bench: Bench) -> dict[str, Any]:
    """A node's raylet is stopped for so long that Ray takes the node for dead; its engine runs. Then it comes back."""
    fleet = bench.fleet
    lost, node, streams = _victim(fleet)
    before, processes = fleet.owned(), fleet.processes(lost)
    raylet = fleet.raylet(node)
    raylet.suspend()
    time.sleep(HANGING_SECONDS)
    changes = _changes(before, fleet.owned())
    since = time.monotonic()
    raylet.resume()
    # Ray has given the node up: its raylet ends.
    found = _again_or_on(fleet, since, streams)
    _end(processes)
    fleet.remove_node(node)
    fleet.add_node()
    return {"changes_of_owners_while_it_hung": changes, **found}


def node_hangs(bench: Bench) -> dict[str, Any]:
    """A node's raylet and its engine's processes are stopped, and come back when others have taken over."""
    fleet = bench.fleet
    lost, node, streams = _victim(fleet)
    stopped = [fleet.raylet(node), *fleet.processes(lost)]
    since = time.monotonic()
    for process in stopped:
        process.suspend()
    found = _again(fleet, since, streams)
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    time.sleep(SETTLED_SECONDS)
    fleet.remove_node(node)
    node = fleet.cluster.add_node(num_cpus=1, resources={"judge": 1}, env_vars={"PGHOSTADDR": RELAYED})
    fleet.nodes.append(node)
    return found


def engine_cut_off(bench: Bench) -> dict[str, Any]:
    """A node is cut off from the database; its engine judges on, and others take over. Then it is back."""
    fleet = bench.fleet
    node = fleet.nodes[-1]
    cut = next(e.name for e in fleet.owners.overview().engines if e.alive and fleet.node_of(e.name) is node)
    if not fleet.streams_of(cut):
        # What is drained from the other one comes here.
        other = next(e.name for e in fleet.owners.overview().engines if e.alive and e.name != cut)
        fleet.command("drain", other)
        fleet.command("undrain", other)
        fleet.settle()
        time.sleep(SETTLED_SECONDS)
    streams = fleet.streams_of(cut)
    before = fleet.owned()
    pid = fleet.pid(cut)
    since = time.monotonic()
    bench.relay.cut()
    found = _again(fleet, since, streams)
    time.sleep(SETTLED_SECONDS)
    bench.relay.mend()
    time.sleep(SETTLED_SECONDS)
    return {**found, "changes_of_owners": _changes(before, fleet.owned()), "it_ran_on": fleet.pid(cut) == pid}


def database_restarted(bench: Bench) -> dict[str, Any]:
    """The database is away for longer than a lease."""
    fleet = bench.fleet
    before = fleet.owned()
    bench.server.stop()
    time.sleep(AWAY_SECONDS)
    bench.server.start()
    back = time.time()
    until(lambda: all(fleet.heard[name][-1].played_at > back + 3 for name in CHANNELS), LIMIT_SECONDS, "verdicts")
    return {"away_seconds": AWAY_SECONDS, "changes_of_owners": _changes(before, fleet.owned())}


def head_restarted(bench: Bench) -> dict[str, Any]:
    """GCS gets SIGKILL, and is started again after a while."""
    fleet = bench.fleet
    before, pids = fleet.owned(), _pids(fleet)
    head = fleet.cluster.head_node
    head.kill_gcs_server()
    busy = fleet.front_seconds()
    time.sleep(AWAY_SECONDS)
    busy = fleet.front_seconds() - busy
    head.start_gcs_server()
    time.sleep(RECOVERY_SECONDS)
    after = _pids(fleet)
    return {
        "away_seconds": AWAY_SECONDS,
        "front_busy_share": round(busy / AWAY_SECONDS, 2),
        "changes_of_owners": _changes(before, fleet.owned()),
        "actors_that_ran_on": sum(after.get(name) == pid for name, pid in pids.items()),
        "actors": len(pids),
    }


def head_lost(bench: Bench) -> dict[str, Any]:
    """GCS with nothing behind it gets SIGKILL, and stays away."""
    fleet = bench.fleet
    fleet.leave_ray()
    since = time.time()
    fleet.cluster.head_node.kill_gcs_server()

    def last() -> float:
        kept = kept_seconds(fleet.folder / "verdicts")
        return max(at for sessions in kept.values() for times in sessions.values() for at in times)

    with contextlib.suppress(TimeoutError):
        until(lambda: time.time() - last() > OVER_SECONDS, MEMORY_SECONDS, "the end of judging")
    return {"judged_on_seconds": round(last() - since, 1), "watched_seconds": round(time.time() - since, 1)}


SCENARIOS: Final[tuple[Callable[[Bench], dict[str, Any]], ...]] = (
    actor_killed, coordinator_killed, node_joins, node_leaves, raylet_killed, node_lost, raylet_hangs, node_hangs,
    engine_cut_off, database_restarted, head_restarted, actor_killed,
)  # fmt: skip


def _again(fleet: Fleet, since: float, streams: Sequence[str]) -> dict[str, Any]:
    return {
        "streams": len(streams),
        "judged_again_seconds": round(fleet.judged_again(since, streams, LIMIT_SECONDS), 2),
    }


def _again_or_on(fleet: Fleet, since: float, streams: Sequence[str]) -> dict[str, Any]:
    """As `_again`, where the engine may also go on as if nothing had happened."""
    try:
        took = fleet.judged_again(since, streams, WATCHED_SECONDS)
    except TimeoutError:
        return {"streams": len(streams), "engine_ran_on": True}
    return {"streams": len(streams), "judged_again_seconds": round(took, 2)}


def _end(processes: Sequence[psutil.Process]) -> None:
    """What Ray left of a node that it has given up."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, 5)


def _victim(fleet: Fleet) -> tuple[str, Any, list[str]]:
    """An engine that judges, its node, and its streams."""
    lost = str(fleet.owned()["one"][0])
    return lost, fleet.node_of(lost), fleet.streams_of(lost)


def _pids(fleet: Fleet) -> dict[str, int]:
    names = ["coordinator", *(engine.name for engine in fleet.owners.overview().engines if engine.alive)]
    return {name: fleet.pid(name) for name in names}


def _changes(before: Mapping[str, tuple[str | None, int]], after: Mapping[str, tuple[str | None, int]]) -> int:
    return sum(after[name][1] - epoch for name, (_, epoch) in before.items())
