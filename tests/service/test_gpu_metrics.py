"""How busy GPUs are, over a stand-in of NVIDIA's management library and where there is none."""

import json

from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from engine.service.gpu_metrics import GpuMetrics

SCRIPT = """
import json
from engine.service.gpu_metrics import GpuMetrics
samples = [sample for family in GpuMetrics().collect() for sample in family.samples]
print(json.dumps([[s.name, s.labels["gpu"], s.labels["uuid"], s.value] for s in samples]))
"""


def test_each_gpu_says_what_it_can(over_fake_driver):  # noqa: F811
    done = over_fake_driver(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)) == [
        ["avjury_gpu_memory_bytes", "0", "GPU-one", 141 * 2**30],
        ["avjury_gpu_memory_bytes", "1", "GPU-two", 141 * 2**30],
        ["avjury_gpu_memory_used_bytes", "0", "GPU-one", 9 * 2**30],
        ["avjury_gpu_memory_used_bytes", "1", "GPU-two", 9 * 2**30],
        ["avjury_gpu_nvdec_utilization_ratio", "0", "GPU-one", 0.92],
        ["avjury_gpu_utilization_ratio", "0", "GPU-one", 0.37],
    ]


def test_nothing_is_shown_without_a_driver(tmp_path, over_fake_driver):  # noqa: F811
    done = over_fake_driver(SCRIPT, libraries=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_second_scrape_without_a_driver_asks_no_more(monkeypatch):
    metrics = GpuMetrics()
    assert list(metrics.collect()) == []
    monkeypatch.setattr("builtins.__import__", None)  # whoever imports now fails
    assert list(metrics.collect()) == []
