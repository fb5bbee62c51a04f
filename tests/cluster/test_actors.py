"""How many engines there are to be, and which."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="avjury[cluster] is not installed")

from engine.cluster.actors import engines_to_have, engines_wanted
from engine.config import Config


def config(**section):
    return Config.model_validate({"cluster": section})


@pytest.mark.parametrize(
    ("section", "there", "count"),
    [
        ({"engines": 3}, {"GPU": 8.0}, 3),
        ({}, {"GPU": 8.0, "CPU": 64.0}, 8),
        ({}, {"CPU": 64.0}, 1),
        ({"resources": {"GPU": 1}}, {}, 1),  # it waits for the first machine with one
        ({"resources": {"GPU": 0.5}}, {"GPU": 3.0}, 6),
        ({"resources": {"judge": 1, "CPU": 4}}, {"judge": 5.0, "CPU": 12.0}, 3),
    ],
)
def test_there_are_as_many_engines_as_the_nodes_have_room_for(section, there, count):
    assert engines_wanted(config(**section), there) == count


def test_engines_that_live_are_kept_and_what_is_missing_takes_the_first_free_names():
    assert engines_to_have(2, set()) == ["engine-0", "engine-1"]
    assert engines_to_have(3, {"engine-1"}) == ["engine-1", "engine-0", "engine-2"]
    # After an update: the first two are gone, and nobody waits for them.
    assert engines_to_have(2, {"engine-2", "engine-3"}) == ["engine-2", "engine-3"]
    assert engines_to_have(1, {"engine-2", "engine-3"}) == ["engine-2", "engine-3"]


SAID = """
import logging, os, subprocess, sys
from engine.cluster.actors import take_turns_fairly
logging.basicConfig(format="%(message)s")
os.nice(15)
if sys.argv[1] != "root" and os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
take_turns_fairly()
print(subprocess.run(["nice"], capture_output=True, text=True).stdout.strip())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
@pytest.mark.parametrize(("user", "niceness"), [("root", "0"), ("nobody", "15")])
def test_an_engine_is_as_nice_as_other_processes_or_says_how_it_can_be(user, niceness):
    if user == "root" and os.getuid() != 0:
        pytest.skip("only root may be less nice again")
    done = subprocess.run([sys.executable, "-c", SAID, user], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == niceness, done.stderr
    assert ("RAY_worker_niceness=0" in done.stderr) == (user != "root")
