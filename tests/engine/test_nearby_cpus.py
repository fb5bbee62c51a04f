"""Engines run on the cores near their GPU."""

import json
import os

import pytest
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from engine.nearby_cpus import cpus_near, parse_cpu_list


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("0-3,8,10-11", {0, 1, 2, 3, 8, 10, 11}),
        ("5", {5}),
        ("", set()),
        ("0-", {0}),
        ("x", set()),
        ("0-3,-1", set()),
        ("3-1", set()),
    ],
)
def test_a_list_of_cores_is_read(text, cores):
    assert parse_cpu_list(text) == cores


def test_a_machine_that_says_nothing_narrows_nothing(tmp_path):
    assert cpus_near("0000:17:00.0", tmp_path) == frozenset()


def test_the_process_stays_on_the_cores_near_its_gpu_and_no_others(over_fake_driver, tmp_path):  # noqa: F811
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("there is one core only")
    device = tmp_path / "0000:17:00.0"
    device.mkdir()
    (device / "local_cpulist").write_text(f"{allowed[1]},999\n")
    done = over_fake_driver(
        f"""
import json, os, pathlib, threading
from engine.nearby_cpus import stay_near
near = stay_near(0, pathlib.Path({str(tmp_path)!r}))
inherited = []
thread = threading.Thread(target=lambda: inherited.extend(os.sched_getaffinity(0)))
thread.start(); thread.join()
print(json.dumps([sorted(near), inherited, sorted(stay_near(0, pathlib.Path({str(tmp_path)!r})))]))
"""
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[allowed[1]], [allowed[1]], []]
