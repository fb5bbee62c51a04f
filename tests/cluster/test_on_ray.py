"""avjury cluster over real Ray nodes and a real PostgreSQL, with channels on the air, while parts of it die.

What is promised: docs/cluster.md; how soon: `avjury bench cluster-failures`, whose scenarios these are. Here it is held
that what is to go on goes on, and that nothing is lost, doubled or kept twice. Tests follow one another.
"""

import json
import subprocess
import sys

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


def test_nothing_was_lost_doubled_or_kept_twice(bench):
    bench.fleet.settle()
    found = account(bench)
    assert found["problems"] == []
    counted = ("kept_twice", "lost", "doubled", "unplanted")
    assert {name: found[name] for name in counted} == dict.fromkeys(counted, 0)
    assert found["incidents"] > 20
    assert found["black_pictures_due"] > 20


def measured_apart(folder, *options):
    """What the benchmark found in a process of its own: Ray keeps one head a session, and is set up once a process."""
    command = [sys.executable, "-m", "benchmarks.cluster_failures", *options, "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    (record,) = folder.glob("*.json")
    return json.loads(record.read_text())["figures"]


def test_a_new_release_takes_the_place_of_the_old_one_without_a_gap(tmp_path):
    program("postgres")
    found = measured_apart(tmp_path, "--update")
    assert found["engines_of_the_new_release"] == found["engines"] == 2
    assert found["coordinator_of_the_new_release"]
    assert (found["kept_twice"], found["lost"], found["doubled"], found["problems"]) == (0, 0, 0, [])


def test_with_token_and_tls_engines_judge_and_strangers_are_refused(tmp_path):
    program("postgres")
    program("openssl")
    figures = measured_apart(tmp_path, "--secured", "--only", "actor_killed")
    assert figures["refused_without_token"]
    assert figures["refused_without_certificate"]
    assert figures["seconds_kept"] > 0
