"""Where there is no room, Ray's own autoscaler is asked for it, and what it starts is used.

The autoscaler is Ray's; its cloud is the one that Ray has for tests, whose machines are nodes on this one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest
from live_kit import encode
from servers import eventually, free_port

pytest.importorskip("ray", reason="avjury[cluster] is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

START_SECONDS = 240
CLOUD = {
    "cluster_name": "test",
    "max_workers": 3,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1, "judge": 1}, "node_config": {}, "min_workers": 0, "max_workers": 3},
    },
    "head_node_type": "ray.head.default",
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "cluster_synced_files": [],
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


def end(process):
    """End a process and everything that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, 10)
    process.kill()
    process.wait(10)


@pytest.fixture
def head(tmp_path):
    """The address of a head whose autoscaler starts nodes, of which there are none."""
    from ray.util import get_node_ip_address

    port = free_port()
    address = f"{get_node_ip_address()}:{port}"
    cloud = {**CLOUD, "provider": {**CLOUD["provider"], "gcs_address": address}}
    (tmp_path / "cloud.json").write_text(json.dumps(cloud))
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}", "--num-cpus=0",
               "--include-dashboard=false", "--disable-usage-stats", "--block",
               f"--autoscaling-config={tmp_path / 'cloud.json'}"]  # fmt: skip
    environment = {**os.environ, "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with (tmp_path / "ray.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield address
    finally:
        end(process)


@pytest.fixture
def postgres_url(postgres):
    return postgres.database()


def test_ray_s_autoscaler_starts_a_node_for_streams_without_room(head, postgres_url, tmp_path):
    port, clip = free_port(), encode(tmp_path / "clip.ts", 20.0)
    config = {
        "service": {"listen": f"127.0.0.1:{port}", "data": str(tmp_path / "front")},
        "storage": {"database": postgres_url, "verdicts": str(tmp_path / "verdicts")},
        # Two streams for each engine: 0.9 of three. Four streams take two engines, and there is no node at all.
        "processes": {"streams_per_engine": 3},
        "cluster": {"address": head, "resources": {"judge": 1}, "most_engines": 2, "folder": str(tmp_path / "engines")},
        "streams": [{"id": f"stream-{i}", "url": str(clip), "loop": True} for i in range(4)],
        "detectors": {"*": False, "video.black": True},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "engine.cli", "cluster", "serve", "--config", str(tmp_path / "config.yaml")]
    with (tmp_path / "front.log").open("ab") as log:
        front = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as api:

            def engines_that_judge():
                assert front.poll() is None, (tmp_path / "front.log").read_text()[-4000:]
                with contextlib.suppress(httpx.HTTPError):
                    items = api.get("/streams").json()["items"]
                    if len(items) == 4 and all(item["status"]["state"] == "running" for item in items):
                        return {item["status"]["engine"] for item in items}
                return None

            assert eventually(engines_that_judge, START_SECONDS, every=0.5) == {"engine-0", "engine-1"}
    finally:
        end(front)
