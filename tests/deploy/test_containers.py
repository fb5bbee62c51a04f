"""Images, compose and manifests: the programs that read them take them, and what they promise holds in a clean root."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from clean_root import CleanRoot
from live_kit import encode, wait
from programs import program

from engine.service.supervisor import OVERTIME_SECONDS
from engine.settings.service import ServiceSection

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGES = ("Dockerfile", "Dockerfile.gpu")
PACKAGES = ("engine", "kernels", "models", "benchmarks")
SECRETS = {"AVJURY_TOKEN": "a-token", "GRAFANA_PASSWORD": "a-password"}
KUBERNETES = "1.33"
EXTRAS = ("postgresql", "notify", "mqtt")


def last_stage(name):
    """The instructions of the stage that becomes the image: (instruction, arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.M).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    begin = max(n for n, (word, _) in enumerate(lines) if word == "FROM")
    return [(word, arguments.strip()) for word, arguments in lines[begin:]]


def said(name, instruction):
    """The arguments of the one such instruction."""
    (found,) = [arguments for word, arguments in last_stage(name) if word == instruction]
    return found


def environment(name):
    return {
        key: re.sub(r"\$PATH:?", "", value) for key, value in (p.split("=", 1) for p in shlex.split(said(name, "ENV")))
    }


def build_context(folder):
    """What Docker would be sent: what .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    for name in (line[1:] for line in lines if line.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    context = build_context(tmp_path_factory.mktemp("context"))
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=context, check=True,
                   capture_output=True, timeout=60)  # fmt: skip
    (built,) = out.iterdir()
    return built


def test_the_wheel_of_the_build_context_has_every_file_of_the_packages(wheel):
    there = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"engine/service/page/index.html", "models/weights/corruption_blocks.json"} <= wanted
    assert not wanted - there


def test_hadolint_has_nothing_to_say():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(linter), *IMAGES], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_images_are_the_same_but_for_the_gpu():
    cpu, gpu = (environment(name) for name in IMAGES)
    assert gpu.pop("NVIDIA_DRIVER_CAPABILITIES") == "video,compute,utility"
    assert gpu.pop("TRITON_CACHE_DIR").startswith(gpu["HOME"])
    assert cpu == gpu
    for instruction in ("USER", "VOLUME", "ENTRYPOINT", "CMD", "HEALTHCHECK", "STOPSIGNAL"):
        assert said("Dockerfile", instruction) == said("Dockerfile.gpu", instruction)


def composed(*files, **variables):
    options = [option for name in files for option in ("-f", str(DEPLOY / name))]
    left = {key: value for key, value in os.environ.items() if key not in SECRETS}
    return subprocess.run([program("docker-compose"), *options, "config"], capture_output=True, text=True, timeout=60,
                          check=False, env={**left, **variables})  # fmt: skip


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]])
def test_compose_takes_the_files_and_gives_the_service_what_the_image_needs(files):
    done = composed(*files, **SECRETS)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"avjury", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for volume in service["volumes"]:
            if volume.startswith("/"):
                assert Path(volume.split(":")[0]).exists(), volume
    avjury = services["avjury"]
    mounted = {volume.split(":")[1] for volume in avjury["volumes"]}
    assert mounted == {*json.loads(said("Dockerfile", "VOLUME")), "/etc/avjury"}
    assert Path(avjury["build"]["context"], avjury["build"]["dockerfile"]).exists()
    assert int(avjury["stop_grace_period"].removesuffix("s")) > ServiceSection().drain_seconds + OVERTIME_SECONDS
    devices = avjury.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    assert bool(devices) == ("compose.gpu.yaml" in files)


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_starts_nothing_without_a_token_and_a_password(missing):
    done = composed("compose.yaml", **{**SECRETS, missing: ""})
    assert done.returncode != 0
    assert "set it to" in done.stderr


def test_grafana_finds_datasource_and_dashboard_where_compose_puts_them():
    provisioning = DEPLOY / "compose" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "avjury.yaml").read_text())["providers"]
    text = (DEPLOY / "compose.yaml").read_text()
    assert f"./grafana/avjury.json:{provider['options']['path']}/avjury.json:ro" in text
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_promtool_takes_the_configuration_of_compose(tmp_path):
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path)
    shutil.copy(DEPLOY / "prometheus" / "avjury.rules.yml", tmp_path)
    done = subprocess.run([program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def merged(base, patch):
    """As a strategic merge: lists of things with names by name, other lists replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}
    if isinstance(base, list) and all(isinstance(item, dict) and "name" in item for item in [*base, *patch]):
        new = {item["name"]: item for item in patch}
        return [merged(item, new.pop(item["name"], {})) for item in base] + list(new.values())
    return patch


def manifests(variant):
    base = DEPLOY / "kubernetes" / "base"
    kustomization = yaml.safe_load((base / "kustomization.yaml").read_text())
    found = [yaml.safe_load((base / name).read_text()) for name in kustomization["resources"]]
    if variant == "base-and-gpu":
        patch = yaml.safe_load((DEPLOY / "kubernetes" / "gpu" / "gpu.yaml").read_text())
        assert {m["kind"] for m in found} >= {patch["kind"]}
        found = [merged(m, patch) if m["kind"] == patch["kind"] else m for m in found]
    return {manifest["kind"]: manifest for manifest in found}


@pytest.mark.parametrize("variant", ["base", "base-and-gpu"])
def test_the_manifests_are_valid_and_confined_and_fit_the_image(variant):
    found = manifests(variant)
    for manifest in found.values():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = said("Dockerfile", "USER")
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert pod["securityContext"]["runAsNonRoot"]
    confined = container["securityContext"]
    assert confined["readOnlyRootFilesystem"]
    assert not confined["allowPrivilegeEscalation"]
    assert confined["capabilities"] == {"drop": ["ALL"]}
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted.values()) == {*json.loads(said("Dockerfile", "VOLUME")), "/etc/avjury", "/tmp"}
    claims = {claim["metadata"]["name"] for claim in found["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert set(mounted) == claims | {volume["name"] for volume in pod["volumes"]}
    assert pod["terminationGracePeriodSeconds"] > ServiceSection().drain_seconds + OVERTIME_SECONDS
    (port,) = container["ports"]
    assert f"0.0.0.0:{port['containerPort']}" in json.loads(said("Dockerfile", "CMD"))
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (variant == "base-and-gpu")
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    for kind, selector in (("Service", found["Service"]["spec"]["selector"]),
                           ("PodDisruptionBudget", found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]),
                           ("StatefulSet", found["StatefulSet"]["spec"]["selector"]["matchLabels"])):  # fmt: skip
        assert selector.items() <= labels, kind


def test_what_kustomize_makes_is_what_the_manifests_ask_for():
    base = DEPLOY / "kubernetes" / "base"
    kustomization = yaml.safe_load((base / "kustomization.yaml").read_text())
    pod = manifests("base")["StatefulSet"]["spec"]["template"]["spec"]
    (config,) = kustomization["configMapGenerator"]
    assert config["name"] in {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert all((base / name).exists() for name in config["files"])
    (secret,) = kustomization["secretGenerator"]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": secret["name"]}}]
    for name in secret["envs"]:
        assert f"/deploy/kubernetes/base/{name}" in (ROOT / ".gitignore").read_text().split()
        assert (base / f"{name}.example").exists()


@pytest.mark.parametrize("variant", ["base", "gpu"])
def test_kustomize_itself_makes_what_kubernetes_takes(variant, tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    base = tmp_path / "kubernetes" / "base"
    shutil.copy(base / "avjury.env.example", base / "avjury.env")
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path / "kubernetes" / variant)], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(done.stdout)}
    assert set(made) == {"StatefulSet", "Service", "PodDisruptionBudget", "ConfigMap", "Secret"}
    for manifest in made.values():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    pod = made["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # Names that end with a hash, so that a change restarts it.
    assert container["envFrom"] == [{"secretRef": {"name": made["Secret"]["metadata"]["name"]}}]
    assert made["ConfigMap"]["metadata"]["name"] in {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (variant == "gpu")


def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path):
    text = (DEPLOY / "systemd" / "avjury.service").read_text()
    # The user and the installed program are not here.
    text = text.replace("/opt/avjury/bin/avjury", sys.executable).replace("User=avjury", "User=daemon")
    unit = tmp_path / "avjury.service"
    unit.write_text(text)
    analyze = program("systemd-analyze")
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([analyze, "security", "--offline=true", "--threshold=50", str(unit)], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_s_command_serves_from_a_read_only_root_as_nobody_in_particular(wheel, tmp_path):
    """The image's own user, environment, command and health check; its volumes and /tmp are all that can be written."""
    if os.geteuid() != 0:
        pytest.skip("a root of its own needs root")
    done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], check=False)
    if done.returncode != 0:
        pytest.skip("no namespaces here")
    installed = tmp_path / "installed"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(installed),
                    str(wheel)], check=True, timeout=120)  # fmt: skip
    (installed / "bin" / "python").symlink_to(sys.executable)
    config, root = tmp_path / "config", tmp_path / "root"
    data, cache = tmp_path / "data", tmp_path / "cache"
    for folder in (config, root, data, cache):
        folder.mkdir()
    user = said("Dockerfile", "USER").split(":")[0]
    for folder in (data, cache):
        os.chown(folder, int(user), int(user))
    encode(config / "news.ts", 10)
    (config / "streams.yaml").write_text("streams: [{id: news, url: /etc/avjury/news.ts, loop: true}]")
    variables = {**environment("Dockerfile"), "PYTHONPATH": "/opt/avjury", "AVJURY_AUTH__TOKEN": "a-token"}
    log = tmp_path / "log"
    command = json.loads(said("Dockerfile", "ENTRYPOINT")) + json.loads(said("Dockerfile", "CMD"))
    check = json.loads(said("Dockerfile", "HEALTHCHECK").split("CMD", 1)[1])
    service = CleanRoot(root, user, variables, {"/etc/avjury": config, "/opt/avjury": installed},
                        {"/var/lib/avjury": data, "/var/cache/avjury": cache}, command, log)  # fmt: skip

    def asked(path, host="10.1.2.3:8080", token="a-token"):
        code = (
            "import sys; from urllib.request import Request, urlopen; _, url, host, token = sys.argv; "
            "request = Request(url, headers={'Host': host, 'Authorization': f'Bearer {token}'}); "
            "print(urlopen(request, timeout=5).read().decode())"
        )
        url = f"http://127.0.0.1:8080{path}"
        done = service.run("/opt/avjury/bin/python", "-I", "-c", code, url, host, token)
        return done.stdout if done.returncode == 0 else ""

    def healthy():
        assert service.running(), log.read_text()
        return service.run(*check).returncode == 0

    def state():
        assert service.running(), log.read_text()
        streams = json.loads(asked("/api/v1/streams") or '{"items": []}')["items"]
        return streams[0]["status"]["state"] if streams else None

    try:
        wait(healthy, 120, log.read_text)
        assert service.run("touch", "/opt/avjury/x", as_root=True).stderr.strip().endswith("Read-only file system")
        assert service.run("touch", "/x", as_root=True).stderr.strip().endswith("Read-only file system")
        status = service.run("cat", "/proc/1/status").stdout
        assert re.search(rf"^Uid:\s+{user}\s", status, re.M)
        assert re.search(r"^CapBnd:\s+0+$", status, re.M)
        # Kernels are compiled first, for a minute or several.
        wait(lambda: state() == "running" and asked("/readyz"), 600, log.read_text)
        assert "<html" in asked("/", token="")
        assert "avjury_frames_measured_total" in asked("/metrics", token="")
        assert service.running(), log.read_text()
        assert service.stop(ServiceSection().drain_seconds + OVERTIME_SECONDS) == 0, log.read_text()
    finally:
        service.kill()
    assert (data / "avjury.db").exists()
    assert list((cache / "numba").rglob("*.nbi"))
    assert "Read-only" not in log.read_text()


def pins(file):
    """Name and version of each package that a file of requirements pins."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_images_packages_are_the_pinned_ones_each_with_hashes():
    """After a change of constraints.txt: `make hashes`."""
    held, pinned = pins("container-requirements.txt"), pins("constraints.txt")
    assert {name: version for name, version in held.items() if pinned.get(name, version) != version} == {}
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "container-requirements.txt").read_text())[1:]
    assert len(entries) == len(held) > 50
    assert all("--hash=sha256:" in entry for entry in entries)
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    wanted = [*project["dependencies"], *(d for e in EXTRAS for d in project["optional-dependencies"][e])]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", one)[0]).lower() for one in wanted}
    assert names <= held.keys()
