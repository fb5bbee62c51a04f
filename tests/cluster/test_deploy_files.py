"""The files for Ray say what Ray understands."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "ray"


def test_the_autoscaler_s_file_fits_ray_s_own_schema():
    ray = pytest.importorskip("ray", reason="avjury[cluster] is not installed")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    written = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    jsonschema.validate(written, schema)
    kinds = written["available_node_types"]
    assert written["head_node_type"] in kinds
    assert sum(kind["resources"].get("GPU", 0) for kind in kinds.values()) == 1


def test_kubernetes_files_give_every_container_token_and_certificates():
    cluster = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    pods = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    containers = [one for pod in pods for one in pod["template"]["spec"]["containers"]]
    wanted = set(re.findall(r"export (RAY_\w+)=", (FOLDER / "ray.env").read_text()))
    assert len(containers) == 3
    for container in containers:
        assert {one["name"] for one in container["env"]} == wanted
        assert any(mount["mountPath"] == "/etc/avjury" for mount in container["volumeMounts"])
    for pod in pods:
        assert pod["template"]["spec"]["securityContext"]["runAsNonRoot"]
