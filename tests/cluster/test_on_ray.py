"""avjury cluster over real Ray nodes and a real PostgreSQL, with channels on the air, while parts of it die.

What is promised: docs/cluster.md; how soon: `avjury bench cluster-failures`, whose scenarios these are. Here it is held
that what is to go on goes on, and that nothing is lost, doubled or kept twice. Tests follow one another.
"""

import pytest
from programs import program

pytest.importorskip("ray", reason="avjury[cluster] is not installed")

from benchmarks.cluster_failures import run_scenarios, running
from benchmarks.live.cluster_account import account
from benchmarks.live.cluster_scenarios import SCENARIOS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

# What each scenario has to show beside that it ends: everything that was judged is judged again.
HELD = {
    "coordinator_killed": {"changes_of_owners": 0},
    "node_leaves": {"left": 0},
    "raylet_hangs": {"changes_of_owners_while_it_hung": 0},
    "engine_cut_off": {"it_ran_on": True},
    "database_restarted": {"changes_of_owners": 0},
    "head_restarted": {"changes_of_owners": 0},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    program("postgres")
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "gcs").mkdir()
    with running(folder, {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "gcs")}) as bench:
        yield bench


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, id=f"{one.__name__}-{number}") for number, one in enumerate(SCENARIOS)]
)
def test_what_is_to_go_on_goes_on(bench, scenario):
    before = set(bench.outcomes)
    run_scenarios(bench, [scenario])
    (name,) = set(bench.outcomes) - before
    found = bench.outcomes[name]
    held = HELD.get(scenario.__name__, {})
    assert {key: found[key] for key in held} == held
    assert found.get("front_busy_share", 0.0) < 0.5  # it asks for its head in turns, and not without a pause


def test_nothing_was_lost_doubled_or_kept_twice(bench):
    bench.fleet.settle()
    found = account(bench)
    assert found["problems"] == []
    counted = ("kept_twice", "lost", "doubled", "unplanted")
    assert {name: found[name] for name in counted} == dict.fromkeys(counted, 0)
    assert found["incidents"] > 20
    assert found["black_pictures_due"] > 20
