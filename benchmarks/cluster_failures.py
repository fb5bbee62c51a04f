"""`avjury bench cluster-failures`: a cluster of real Ray nodes, with live channels flowing, while its parts die.

A head and two nodes of Ray, each node with one engine, PostgreSQL, `avjury cluster serve` in front and a receiver of
webhooks, all on this machine. Four channels are on the air, black for two seconds out of every eight. One part after
the other is killed, stopped, cut off, taken out or added; after each the cluster is made whole again. Of each it is
measured how soon every channel that lost its engine is judged again, and the longest stretch that nobody judged. At the
end, from what the stores have, against what was sent:

- *kept twice*: seconds of a channel that lie within the time of another session of it;
- *lost*: a black picture that was sent while the channel was judged, and that no incident spans; an incident whose
  beginning or end nobody was told of;
- *doubled*: two incidents of a channel at the same time or of one black picture, or one change told under two keys;
- *unplanted*: an incident where no black picture was sent.

GCS, Ray's head process, is killed and started again with RocksDB behind it, or with the Redis that --redis names; with
--memory it has nothing behind it, is killed at last, and it is measured for how long judging goes on. With --update a
release is put in the place of another one, side by side. With --secured everything goes on with token authentication
and TLS, by certificates that deploy/ray/certificate.sh makes, and who has no token is seen to be refused.
"""

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.kills import (
    BLACK_AT,
    BLACK_SECONDS,
    CONFIG,
    SET_SECONDS,
    UNIT_SECONDS,
    doubled,
    lost_in_the_end,
    make_black,
)
from benchmarks.live.postgres import Postgres
from benchmarks.live.postgres import running as postgres_running
from benchmarks.live.ray_fleet import Fleet, kept_seconds, kept_twice, until
from benchmarks.live.relay import Relay
from benchmarks.live.service import Origin, Receiver, changes_of
from benchmarks.looped import loop_clip

CHANNELS: Final = ("one", "two", "three", "four")
ON_AIR_SECONDS: Final = 1800.0
LIMIT_SECONDS: Final = 90.0
# Longer than a lease, and than Ray takes to find a node that hangs.
AWAY_SECONDS: Final = 9.0
HANGING_SECONDS: Final = 14.0
WATCHED_SECONDS: Final = 20.0
STRANGER_SECONDS: Final = 60.0
# Nodes have found their head again by then.
RECOVERY_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 6.0
MEMORY_SECONDS: Final = 150.0
OVER_SECONDS: Final = 25.0
# The label of what is this release all the same.
NEW_RELEASE: Final = "9999.0"
# A node that goes through the relay.
_RELAYED: Final = "127.0.0.2"
# What is known of a moment at which a picture was shown: the first one of a session may have been sent a second before.
_BEFORE: Final = 1.5
_AFTER: Final = 3.5
_STEP: Final = 1.5


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
    node = fleet.cluster.add_node(num_cpus=1, resources={"judge": 1}, env_vars={"PGHOSTADDR": _RELAYED})
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
    time.sleep(AWAY_SECONDS)
    head.start_gcs_server()
    time.sleep(RECOVERY_SECONDS)
    after = _pids(fleet)
    return {
        "away_seconds": AWAY_SECONDS,
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


@contextlib.contextmanager
def running(folder: Path, environment: Mapping[str, str], engines: int | None = 3) -> Iterator[Bench]:
    """The cluster with everything around it, all channels judged."""
    with contextlib.ExitStack() as ends:
        receiver = Receiver()
        ends.callback(receiver.close)
        origin = Origin(loop_clip(make_black(folder), folder / "on-air.ts", ON_AIR_SECONDS), on_air=True)
        ends.callback(origin.close)
        server = ends.enter_context(postgres_running())
        relay = Relay(_RELAYED, "127.0.0.1", server.port)
        ends.callback(relay.close)
        more = {
            "notify": {"sinks": {"bench": {"type": "webhook", "url": receiver.url}},
                       "routes": [{"sinks": ["bench"], "closed_hold_seconds": 0}]},
            **CONFIG,
        }  # fmt: skip
        fleet = Fleet(folder, server.database(), {name: origin.url(name) for name in CHANNELS},
                      more=more, engines=engines, environment=environment)  # fmt: skip
        ends.callback(fleet.close)
        fleet.start()
        until(lambda: origin.connections, LIMIT_SECONDS, "the sender has told of who asked it")
        yield Bench(fleet, server, relay, origin, receiver, min(at for _, at in origin.connections))


def run_scenarios(bench: Bench, scenarios: Sequence[Callable[[Bench], dict[str, Any]]]) -> None:
    """One after the other, each from a cluster that is whole."""
    for scenario in scenarios:
        bench.fleet.settle()
        time.sleep(3.0)
        began = time.time()
        name = scenario.__name__
        name = name if name not in bench.outcomes else f"{name}_again"
        found = scenario(bench)
        time.sleep(3.0)
        bench.outcomes[name] = found
        bench.windows[name] = (began - 3.0, time.time())
        say(f"{name}: {bench.outcomes[name]}")


def account(bench: Bench) -> dict[str, Any]:
    """What was kept and told, beside what was sent; the channels are paused for it."""
    fleet = bench.fleet
    incidents = _when_all_is_over(bench)
    told = [change for _, body in bench.receiver.arrived for change in changes_of(body)]
    kept = kept_seconds(fleet.folder / "verdicts")
    due = due_of(kept, bench.began)
    lost = lost_in_the_end(incidents, told, due)
    for name, (begins, ends) in bench.windows.items():
        bench.outcomes[name]["longest_gap_seconds"] = round(longest_gap(kept, begins, ends), 2)
    twice = doubled(incidents, told)
    planted = [(one["stream"], _planted(one, bench.began)) for one in incidents]
    twice += [f"{count} incidents of black picture {number} of {stream}"
              for (stream, number), count in Counter(planted).items() if number is not None and count > 1]  # fmt: skip
    strays = sum(number is None for _, number in planted)
    return {
        "seconds_kept": sum(len(times) for sessions in kept.values() for times in sessions.values()),
        "kept_twice": kept_twice(kept),
        "incidents": len(incidents),
        "black_pictures_due": len(due),
        "lost": len(lost),
        "doubled": len(twice),
        "unplanted": strays,
        "problems": [*lost, *twice][:50],
    }


def longest_gap(kept: Mapping[str, Mapping[str, Sequence[float]]], begins: float, ends: float) -> float:
    """The longest stretch of any channel that nobody judged, seconds.

    Args:
        kept: by channel and session, when its seconds were played.
        begins, ends: Unix seconds between which it is looked for.
    """
    worst = 0.0
    for sessions in kept.values():
        times = sorted(at for session in sessions.values() for at in session if begins <= at <= ends)
        worst = max([worst, *(late - early - 1.0 for early, late in pairwise(times))])
    return worst


def due_of(kept: Mapping[str, Mapping[str, Sequence[float]]], began: float) -> list[tuple[str, float]]:
    """The moments at which black pictures had to be known: those around which every second was kept.

    Args:
        kept: by channel and session, when its seconds were played.
        began: Unix second at which the channels began.
    """
    found = []
    for channel, sessions in kept.items():
        times = sorted(at for session in sessions.values() for at in session)
        number = 0
        while times and (at := began + number * UNIT_SECONDS + BLACK_AT) < times[-1]:
            first, last = bisect_left(times, at - _BEFORE), bisect_left(times, at + _AFTER)
            # From the second before the window to the one behind it, without a hole.
            around = times[max(0, first - 1) : last + 1]
            whole = around and around[0] <= at - _BEFORE and around[-1] >= at + _AFTER
            if whole and all(late - early < _STEP for early, late in pairwise(around)):
                found.append((channel, at + SET_SECONDS))
            number += 1
    return found


def _planted(incident: Mapping[str, Any], began: float) -> int | None:
    """Which black picture an incident is of; None where there was none."""
    at = datetime.fromisoformat(incident["opened_at"]).timestamp() - began
    number = int((at - BLACK_AT + _BEFORE) // UNIT_SECONDS)
    within = at - number * UNIT_SECONDS - BLACK_AT
    return number if -_BEFORE <= within <= BLACK_SECONDS + _AFTER else None


def _when_all_is_over(bench: Bench) -> list[dict[str, Any]]:
    for name in CHANNELS:
        bench.fleet.api.post(f"/streams/{name}/pause").raise_for_status()
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        incidents = _incidents(bench.fleet.api)
        closed = {change["id"] for _, body in list(bench.receiver.arrived) for change in changes_of(body)
                  if change["change"] == "closed"}  # fmt: skip
        if all(one["state"] == "closed" and one["id"] in closed for one in incidents) or time.monotonic() > end:
            time.sleep(SETTLED_SECONDS)  # seconds are written every two
            return _incidents(bench.fleet.api)
        time.sleep(0.5)


def _incidents(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = api.get("/incidents", params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
        answer.raise_for_status()
        found += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            return found


def secure(folder: Path) -> dict[str, str]:
    """Token and certificates as deploy/ray/certificate.sh says. Returns: the variables that have Ray use them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it tells the address that others see, as Ray finds it
        address = probe.getsockname()[0]
    authority = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=avjury cluster",
    ]
    files = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")]
    subprocess.run([*authority, *files], check=True, capture_output=True)
    script = Path(__file__).parents[1] / "deploy" / "ray" / "certificate.sh"
    subprocess.run([str(script), str(folder), str(folder / "certificate"), address], check=True)
    (folder / "ray.token").write_text(secrets.token_hex(32))
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray.token"),
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(folder / "certificate" / "tls.crt"),
        "RAY_TLS_SERVER_KEY": str(folder / "certificate" / "tls.key"),
        "RAY_TLS_CA_CERT": str(folder / "certificate" / "ca.crt"),
    }


def refused_without(address: str, variables: Sequence[str]) -> bool:
    """Whether a client that has not these variables cannot come in."""
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    script = f"import ray; ray.init(address={address!r}, log_to_driver=False); print(ray.cluster_resources())"
    command = [sys.executable, "-c", script]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=STRANGER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True  # it goes on trying
    return done.returncode != 0


def measure(folder: Path, *, redis: str | None, memory: bool, secured: bool, only: Sequence[str]) -> dict[str, Any]:
    """Run it. Returns: the figures."""
    behind = secure(folder) if secured else {}
    if memory:
        with running(folder, behind) as bench:
            run_scenarios(bench, [head_lost])
            return {"behind_the_head": "nothing", "outcomes": bench.outcomes}
    if redis is not None:
        behind |= {"RAY_REDIS_ADDRESS": redis}
    else:
        (folder / "gcs").mkdir()
        behind |= {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")}
    with running(folder, behind) as bench:
        run_scenarios(bench, [one for one in SCENARIOS if not only or one.__name__ in only])
        bench.fleet.settle(engines=1)
        found = account(bench)
        if secured:
            address = bench.fleet.cluster.address
            found["refused_without_token"] = refused_without(address, ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"))
            found["refused_without_certificate"] = refused_without(address, ("RAY_USE_TLS",))
    again = [
        (name, one["judged_again_seconds"]) for name, one in bench.outcomes.items() if "judged_again_seconds" in one
    ]
    return {
        "behind_the_head": "Redis" if redis is not None else "RocksDB",
        "secured": secured,
        "channels": len(CHANNELS),
        "outcomes": bench.outcomes,
        "slowest_after_an_actor_seconds": max((s for name, s in again if name.startswith("actor")), default=None),
        "slowest_after_a_node_seconds": max((s for name, s in again if not name.startswith("actor")), default=None),
        **found,
    }


def measure_update(folder: Path) -> dict[str, Any]:
    """Put a new release in the place of an old one, as docs/cluster.md says, while channels are on the air.

    Both are this release; the new one has another label, from another place.
    """
    new = folder / "new"
    new.mkdir()
    for package in ("engine", "kernels", "models", "benchmarks"):
        (new / package).symlink_to(Path(__file__).parents[1] / package)
    (new / f"avjury-{NEW_RELEASE}.dist-info").mkdir()
    (new / f"avjury-{NEW_RELEASE}.dist-info" / "METADATA").write_text(f"Name: avjury\nVersion: {NEW_RELEASE}\n")
    with running(folder, {}, engines=None) as bench:
        fleet = bench.fleet
        fleet.settle()
        time.sleep(SETTLED_SECONDS)
        began = time.time() - SETTLED_SECONDS
        old = list(fleet.nodes)
        for _ in old:
            fleet.add_node(python_path=new)
        fleet.settle(engines=2 * len(old))
        for node in old:
            fleet.command("drain", "--node", node.node_id)
            fleet.remove_node(node, graceful=True)
        fleet.stop_front()
        fleet.start_front(python_path=new)
        fleet.settle(engines=len(old))
        time.sleep(SETTLED_SECONDS)
        ended = time.time()
        releases = [engine.state["release"] for engine in fleet.owners.overview().engines if engine.alive]
        coordinator = fleet.coordinator_release()
        bench.outcomes["update"], bench.windows["update"] = {}, (began, ended)
        found = account(bench)
    return {
        "engines": len(releases),
        "engines_of_the_new_release": releases.count(NEW_RELEASE),
        "coordinator_of_the_new_release": coordinator == NEW_RELEASE,
        "seconds": round(ended - began, 1),
        "longest_gap_seconds": bench.outcomes["update"]["longest_gap_seconds"],
        **found,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run, and keep the result."""
    options = _options(arguments)
    show_children_this_tree()
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        if options.update:
            figures = measure_update(folder)
        else:
            figures = measure(folder, redis=options.redis, memory=options.memory, secured=options.secured,
                              only=options.only or ())  # fmt: skip
    print(write_result("cluster_failures", figures, options.results))  # noqa: T201 - the command's result
    sys.stdout.flush()
    return 1 if any(figures.get(name) for name in ("kept_twice", "lost", "doubled", "unplanted")) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    given = parser("cluster-failures", __doc__)
    given.add_argument("--redis", help="host:port of an empty Redis that Ray's head keeps its state in")
    given.add_argument("--memory", action="store_true", help="nothing behind the head; only its loss is tried")
    given.add_argument("--update", action="store_true", help="only put a new release in the place of an old one")
    given.add_argument("--secured", action="store_true", help="with token authentication and TLS; takes openssl")
    given.add_argument("--only", nargs="*", help="names of scenarios, to try them")
    return given.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
