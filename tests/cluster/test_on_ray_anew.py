"""avjury cluster on Ray heads of their own: a new release beside the old one; and with a token and TLS.

Ray keeps one head a session, and is set up once a process, so each runs in a process of its own; and while no other
cluster runs beside it (test_on_ray.py), for which two cores are not enough.
"""

import json
import subprocess
import sys

import pytest
from programs import program

pytest.importorskip("ray", reason="avjury[cluster] is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


def measured_apart(folder, *options):
    """What `avjury bench cluster-failures` found."""
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
