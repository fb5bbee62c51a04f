"""`avjury bench cluster-failures`: a cluster of real Ray nodes, with live channels flowing, while its parts die.

A head and two nodes of Ray, each node with one engine, PostgreSQL, `avjury cluster serve` in front and a receiver of
webhooks, all on this machine. Four channels are on the air, black for two seconds out of every eight. One part after
the other is killed, stopped, cut off, taken out or added; after each the cluster is made whole again. Of each it is
measured how soon every channel that lost its engine is judged again, and the longest stretch that nobody judged. At the
end, from what the stores have, against what was sent:

- *kept twice*: seconds of a channel that lie within the time of another session of it;
- *lost*: a black picture that was sent while the channel was judged, and that no incident spans; an incident whose
  beginning or end nobody was told of. Those around which a second says that not all of its pictures were measured, as
  on a machine that has too much to do, are counted by themselves;
- *doubled*: two incidents of a channel at the same time or of one black picture, or one change told under two keys;
- *unplanted*: an incident where no black picture was sent.

GCS, Ray's head process, is killed and started again with RocksDB behind it, or with the Redis that --redis names; with
--memory it has nothing behind it, is killed at last, and it is measured for how long judging goes on. With --update a
release is put in the place of another one, side by side. With --secured everything goes on with token authentication
and TLS, by certificates that deploy/ray/certificate.sh makes, and who has no token is seen to be refused.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import parser, say, show_children_this_tree, write_result
from benchmarks.kills import CHANNEL_SECONDS, CONFIG, make_black
from benchmarks.live.cluster_account import account
from benchmarks.live.cluster_scenarios import (
    CHANNELS,
    LIMIT_SECONDS,
    RELAYED,
    SCENARIOS,
    SETTLED_SECONDS,
    Bench,
    head_lost,
)
from benchmarks.live.cluster_secrets import refused_without, secure
from benchmarks.live.postgres import running as postgres_running
from benchmarks.live.ray_fleet import Fleet, until
from benchmarks.live.relay import Relay
from benchmarks.live.service import Origin, Receiver
from benchmarks.looped import loop_clip

ON_AIR_SECONDS: Final = 1800.0
# The label of what is this release all the same.
NEW_RELEASE: Final = "9999.0"


@contextlib.contextmanager
def running(folder: Path, environment: Mapping[str, str], engines: int | None = 3) -> Iterator[Bench]:
    """The cluster with everything around it, all channels judged."""
    with contextlib.ExitStack() as ends:
        receiver = Receiver()
        ends.callback(receiver.close)
        clip = loop_clip(make_black(folder), folder / "on-air.ts", ON_AIR_SECONDS, every=CHANNEL_SECONDS)
        origin = Origin(clip, on_air=True)
        ends.callback(origin.close)
        server = ends.enter_context(postgres_running())
        relay = Relay(RELAYED, "127.0.0.1", server.port)
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
