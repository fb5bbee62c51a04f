"""A machine of several GPUs, over a stand-in of the driver: an engine process for each, on the cores near it."""

import json
import os

import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

SCRIPT = """
import json
from pathlib import Path
from engine.config import Config
from engine.service.fleet_settings import settings_of
found = settings_of(Config.model_validate(%r), Path("data"))
print(json.dumps([[group.name, group.device] for group in found.groups]))
"""
NEAR = """
import json, os
from pathlib import Path
from engine import child, nearby_cpus
nearby_cpus.stay_near.__defaults__ = (Path(%r),)
print(json.dumps([sorted(child._stay_near("cuda:1")), sorted(os.sched_getaffinity(0))]))
"""


def groups(over, config, devices):
    done = over(SCRIPT % config, FAKE_DEVICES=str(devices))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_gpu_has_an_engine_process_of_its_own(over_fake_driver):  # noqa: F811
    assert groups(over_fake_driver, {}, 2) == [["gpu0", "cuda:0"], ["gpu1", "cuda:1"]]
    assert groups(over_fake_driver, {}, 0) == [["cpu", "cpu"]]
    assert groups(over_fake_driver, {"engine": {"device": "cuda:1"}}, 2) == [["gpu1", "cuda:1"]]


def test_groups_that_the_configuration_names_are_taken_as_they_are(over_fake_driver):  # noqa: F811
    named = {"processes": {"groups": [{"name": "sport", "device": "cuda:1"}, {"name": "news", "device": "cuda:0"}]}}
    assert groups(over_fake_driver, named, 2) == [["sport", "cuda:1"], ["news", "cuda:0"]]


def test_each_engine_stays_on_the_cores_near_its_own_gpu(over_fake_driver, tmp_path):  # noqa: F811
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("there is one core only")
    for address, core in (("0000:17:00.0", allowed[0]), ("0000:18:00.0", allowed[1])):
        (tmp_path / address).mkdir()
        (tmp_path / address / "local_cpulist").write_text(f"{core}\n")
    done = over_fake_driver(NEAR % str(tmp_path), FAKE_DEVICES="2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[allowed[1]], [allowed[1]]]
