"""What is in deploy/: it speaks of metrics that there are, and the programs that read it take it."""

import importlib.util
import json
import re
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml
from level_seconds import second
from programs import program
from prometheus_client.parser import text_string_to_metric_families
from running_service import running, wait_until

from engine.service import gpu_metrics
from engine.settings.storage import StorageSection
from engine.store.parquet import VerdictSettings, VerdictStore

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "avjury.rules.yml"


# The canary's own source runs too; what it plants needs an engine, and is tested in tests/service/test_canary.py.
CONFIG = "streams: [{id: news, url: news.ts}]\ncanary: {enabled: true, detectors: [stream.continuity]}"


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard_module():
    spec = importlib.util.spec_from_file_location("dashboard", DEPLOY / "grafana" / "dashboard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expressions():
    found = [rule["expr"] for rule in rules()]
    for panel in json.loads((DEPLOY / "grafana" / "avjury.json").read_text())["panels"]:
        found += [target["expr"] for target in panel.get("targets", [])]
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        service.fleet.listener.on_second(second("news", 0), "s", time.time())
        service.fleet.report("news", "opened")
        with service.client() as client:
            wait_until(lambda: client.get("/api/v1/incidents").json()["items"])
        yield service


def test_rules_and_dashboard_speak_of_metrics_that_are_exported(service):
    with service.client() as client:
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    there = {sample.name for family in families for sample in family.samples}
    # Families without a sample yet (no notification sink): their names are in the document all the same.
    for family in families:
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        there |= {family.name + suffix for suffix in suffixes}
    there |= {rule["record"] for rule in rules() if "record" in rule}
    # The real store of seconds has more levels than the one in memory that stands for it here.
    there |= {"avjury_verdict_store_queued_seconds", "avjury_verdict_store_store_up"}
    # Those of GPUs need a driver; tests/service/test_gpu_metrics.py holds them over a stand-in of it.
    there |= {name for name, _ in gpu_metrics._FAMILIES}
    for expression in expressions():
        for name in re.findall(r"\b(?:avjury|process)[a-z0-9_:]+", re.sub(r'"[^"]*"', "", expression)):
            assert name in there, expression


def test_the_real_store_of_seconds_has_the_levels_that_are_spoken_of(tmp_path):
    store = VerdictStore(VerdictSettings.of(StorageSection(), tmp_path))
    assert {"queued_seconds", "store_up"} <= set(store.snapshot())


def test_the_dashboard_is_what_its_code_makes():
    module = dashboard_module()
    assert json.loads(module.FILE.read_text()) == module.dashboard()


def test_every_alert_is_in_the_runbook_and_nothing_else():
    headings = re.findall(r"^## (\w+)$", (DEPLOY.parent / "docs" / "runbook.md").read_text(), re.M)
    assert headings == [rule["alert"] for rule in rules() if "alert" in rule]


def test_promtool_and_amtool_take_the_files():
    for command in (
        [program("promtool"), "check", "rules", str(RULES)],
        [program("promtool"), "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        [program("amtool"), "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_prometheus_evaluates_every_rule_against_a_live_service(service, tmp_path):
    """No rule fails, what is recorded has values, and what is wrong becomes an alert."""
    (tmp_path / "avjury.rules.yml").write_text(RULES.read_text())
    host = service.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["avjury.rules.yml"],
        "scrape_configs": [{"job_name": "avjury", "static_configs": [{"targets": [host]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        service.fleet.not_ready = "engine cpu is down"

        def asked(path):
            try:
                return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=5).json()["data"]
            except (httpx.HTTPError, ValueError, KeyError):
                return None

        def pending():
            groups = (asked("rules") or {"groups": []})["groups"]
            found = [rule for group in groups for rule in group["rules"]]
            states = {rule["name"]: rule.get("state") for rule in found}
            return found if states.get("AvjuryNotReady") == "pending" else None

        found = wait_until(pending, 40)
        assert {rule["health"] for rule in found} == {"ok"}
        assert len(found) == len(rules())
        wait_until(lambda: (asked("query?query=avjury:streams_not_judged") or {}).get("result"), 20)
    finally:
        service.fleet.not_ready = None
        process.terminate()
        process.wait(20)
