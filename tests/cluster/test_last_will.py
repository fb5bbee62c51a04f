"""What an engine owned is free the moment its process has died, however it died, and not before."""

import subprocess
import sys

import pytest
from servers import eventually

from engine.cluster.last_will import gone, started
from engine.store.database import Database, sqlite_url
from engine.store.owners import Owners

ENGINE = """
import os, sys, time
from engine.cluster.last_will import LastWill, started
from engine.store.database import Database
from engine.store.owners import Owners
will = LastWill(sys.argv[1], "engine-0", (os.getpid(), started(os.getpid())))
life = Owners(Database(sys.argv[1])).register("engine-0", "node", {}, {}, died=False)
will.name_life(life)
print(life, flush=True)
if sys.stdin.readline().strip() == "leave":
    will.revoke()
"""


@pytest.fixture
def engine(tmp_path):
    url = sqlite_url(tmp_path / "owners.db")
    owners = Owners(Database(url))
    command = [sys.executable, "-c", ENGINE, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"1\n"
            yield process, owners
        finally:
            process.kill()


def test_a_killed_engine_s_lease_ends_at_once(engine):
    process, owners = engine
    lease = owners.engine("engine-0").lease_until
    process.kill()
    eventually(lambda: owners.engine("engine-0").lease_until < lease)
    assert not owners.engine("engine-0").alive


def test_one_that_leaves_in_order_is_not_spoken_for(engine):
    process, owners = engine
    lease = owners.engine("engine-0").lease_until
    process.communicate(b"leave\n", timeout=30)
    assert owners.engine("engine-0").lease_until == lease


def test_a_process_is_gone_when_it_has_died_and_when_another_one_has_its_number():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = started(process.pid)
        assert not gone(process.pid, began, 0.0)
        assert gone(process.pid, "1", 0.0)
        process.kill()
        assert gone(process.pid, began, 10.0)  # though nobody has waited for it yet
