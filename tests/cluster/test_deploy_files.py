"""The files for Ray say what Ray, Kubernetes and openssl understand."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from programs import program

FOLDER = Path(__file__).parents[2] / "deploy" / "ray"
# What the operator knows, of api ray.io/v1 (KubeRay 1.3).
CLUSTER = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs",
           "gcsFaultToleranceOptions"}  # fmt: skip
AUTOSCALER = {"idleTimeoutSeconds", "env", "volumeMounts"}
HEAD = {"serviceType", "rayStartParams", "template"}
WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def test_the_autoscaler_s_file_is_taken_as_ray_up_takes_it():
    ray = pytest.importorskip("ray", reason="avjury[cluster] is not installed")
    util = pytest.importorskip("ray.autoscaler._private.util")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    written = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    jsonschema.validate(written, schema)
    kinds = written["available_node_types"]
    assert written["head_node_type"] in kinds
    assert sum(kind["resources"].get("GPU", 0) for kind in kinds.values()) == 1
    # What `ray up` does before it asks AWS for anything; the folder of secrets is the operator's.
    filled = util.prepare_config({**written, "file_mounts": {}})
    util.validate_config(filled)
    assert filled["available_node_types"]["l4"]["max_workers"] == 8
    assert filled["cluster_synced_files"] == []


def test_what_the_machines_of_ec2_run_is_a_shell_s():
    written = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    for kind in ("setup_commands", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for command in written[kind]:
            subprocess.run(["sh", "-n", "-c", command], check=True, timeout=10)


@pytest.fixture(scope="module")
def cluster():
    return yaml.safe_load((FOLDER / "kuberay.yaml").read_text())


def templates(cluster):
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"] for group in groups]


def test_kubernetes_takes_the_pods_and_the_operator_the_rest(cluster):
    assert cluster["apiVersion"] == "ray.io/v1"
    assert cluster["spec"].keys() == CLUSTER
    assert cluster["spec"]["autoscalerOptions"].keys() == AUTOSCALER
    assert cluster["spec"]["headGroupSpec"].keys() == HEAD
    assert all(group.keys() == WORKERS for group in cluster["spec"]["workerGroupSpecs"])
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for template in templates(cluster):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, "1.33", strict=True)
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_every_container_has_token_and_certificates_and_the_autoscaler_too(cluster):
    containers = [one for template in templates(cluster) for one in template["spec"]["containers"]]
    wanted = set(re.findall(r"export (RAY_\w+)=", (FOLDER / "ray.env").read_text()))
    assert len(containers) == 3
    for container in (*containers, cluster["spec"]["autoscalerOptions"]):
        assert {one["name"] for one in container["env"]} == wanted
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"/etc/avjury", "/etc/certificate"} <= mounted
    for template in templates(cluster):
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        # Only who makes the certificate sees the key of the authority.
        seen = [mount["name"] for one in template["spec"]["containers"] for mount in one["volumeMounts"]]
        assert "authority" not in seen


def test_a_machine_s_certificate_names_its_address_and_no_other(tmp_path):
    openssl = program("openssl")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority",
         "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.crt"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    subprocess.run([FOLDER / "certificate.sh", tmp_path, tmp_path / "node", "192.0.2.7"], check=True, timeout=60)

    def verified(address):
        command = [openssl, "verify", "-CAfile", tmp_path / "ca.crt", "-verify_ip", address, tmp_path / "node/tls.crt"]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    assert verified("192.0.2.7")
    assert verified("127.0.0.1")
    assert not verified("192.0.2.8")
    assert {file.name for file in (tmp_path / "node").iterdir()} == {"tls.crt", "tls.key", "ca.crt"}
    assert (tmp_path / "node/tls.key").stat().st_mode & 0o077 == 0
