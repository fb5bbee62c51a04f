"""A real Prometheus reads what the service says of itself."""

import re
import socket
import subprocess
import time

import httpx
import pytest
from programs import program
from running_service import running, scraped, wait_until

CONFIG = """
service: {metrics_max_streams: 2}
streams:
  - {id: c, url: "http://user:hunter2@127.0.0.1/c.ts"}
  - {id: a, url: a.ts}
  - {id: b, url: b.ts, paused: true}
"""
# Names that dashboards and alerts rely on.
PROMISED = {
    "avjury_frames_decoded_total", "avjury_frames_measured_total", "avjury_decode_errors_total", "avjury_stream_up",
    "avjury_incidents_total", "avjury_incident_open", "avjury_verdict_latency_seconds_bucket",
    "avjury_device_to_host_bytes_total", "avjury_batch_frames", "avjury_headroom_streams",
    "avjury_config_reload_failures_total", "avjury_config_last_reload_success_timestamp_seconds",
    "avjury_recorder_backlog", "avjury_event_clients", "avjury_stream_lag_seconds", "avjury_stream_sampling_ratio",
    "avjury_engine_queue_depth", "avjury_engine_restarts_total", "process_resident_memory_bytes",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), CONFIG) as service:
        service.fleet.report("a", "opened")
        wait_until(lambda: service.parts.open_incidents.by_stream()["a"] == 1)
        yield service


def test_every_promised_metric_is_there_with_its_value(service):
    samples = scraped(service)
    assert {name for name, *_ in samples} >= PROMISED
    assert samples["avjury_frames_decoded_total", "stream=a"] == 100
    assert samples["avjury_stream_up", "stream=a"] == 1
    assert samples["avjury_stream_up", "stream=b"] == 0
    assert samples["avjury_incidents_total", "detector=video.black", "severity=critical"] == 1
    assert samples["avjury_incident_open", "detector=video.black"] == 1
    assert samples["avjury_verdict_latency_seconds_bucket", "engine=cpu", "le=0.1"] == 5
    assert samples["avjury_verdict_latency_seconds_count", "engine=cpu"] == 10
    assert samples["avjury_verdict_latency_seconds_sum", "engine=cpu"] == 3.5
    assert samples["avjury_stage_latency_seconds_bucket", "engine=cpu", "le=0.1", "stage=decode"] == 6
    assert samples["avjury_stage_latency_seconds_count", "engine=cpu", "stage=decode"] == 8
    assert samples["avjury_stage_latency_seconds_sum", "engine=cpu", "stage=decode"] == 1.5
    assert samples["avjury_device_to_host_bytes_total", "engine=cpu"] == 4096
    assert samples[("avjury_ready",)] == 1


def test_streams_beyond_the_bound_have_no_series_and_are_counted(service):
    samples = scraped(service)
    assert {key[1] for key in samples if key[0] == "avjury_stream_up"} == {"stream=a", "stream=b"}
    assert samples[("avjury_metrics_streams_left_out",)] == 1
    assert samples[("avjury_streams",)] == 3


def test_no_secret_is_in_the_metrics(service):
    with service.client() as client:
        assert "hunter2" not in client.get("/metrics").text


def test_names_are_in_base_units_and_labels_are_bounded(service):
    for name, *labels in scraped(service):
        assert re.fullmatch(r"(avjury|process)_[a-z0-9_]+", name), name
        assert not re.search(r"_(ms|millis|minutes|kb|mb|percent)(_|$)", name), name
        kinds = {label.split("=")[0] for label in labels}
        assert kinds <= {"stream", "engine", "device", "detector", "severity", "le", "state", "part", "sink", "outcome",
                         "why", "what", "version", "stage"}, name  # fmt: skip


def test_prometheus_reads_it(service, tmp_path):
    prometheus = program("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = service.url.removeprefix("http://")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: avjury\n"
        f"    static_configs: [{{targets: ['{target}']}}]\n"
    )
    process = subprocess.Popen(
        [prometheus, f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/tsdb",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask(query):
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=5)
            return {
                tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in answer.json()["data"]["result"]
            }
        except (httpx.HTTPError, ValueError):
            return {}

    try:
        wait_until(lambda: list(ask('up{job="avjury"}').values()) == [1.0], 30)
        assert list(ask("sum(avjury_frames_decoded_total)").values()) == [200.0]
        assert list(ask('avjury_incident_open{detector="video.black"}').values()) == [1.0]
        wait_until(lambda: ask("histogram_quantile(0.5, avjury_verdict_latency_seconds_bucket)"), 10)
        assert not ask('{__name__=~"avjury.*", stream="c"}')
    finally:
        process.terminate()
        process.wait(20)


def test_a_stream_that_is_gone_has_no_series_left(tmp_path):
    with running(tmp_path, "streams: [{id: a, url: a.ts}, {id: b, url: b.ts}]") as service, service.client() as client:
        assert "stream=b" in {key[1] for key in scraped(service) if key[0] == "avjury_stream_up"}
        service.path.write_text("streams: [{id: a, url: a.ts}]")
        assert client.post("/api/v1/reload").json()["removed"] == ["b"]
        assert not [key for key in scraped(service) if "stream=b" in key]
        assert time.time() - scraped(service)[("avjury_config_last_reload_success_timestamp_seconds",)] < 60
