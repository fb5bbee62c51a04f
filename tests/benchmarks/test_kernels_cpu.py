"""The benchmark of the CPU kernels runs every kernel and records it."""

import json
import sys

from benchmarks import kernels_cpu


def test_every_kernel_is_recorded_with_its_ratio(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernels-cpu", "--repeats", "2", "--results", str(tmp_path)])
    kernels_cpu.main()
    [path] = tmp_path.iterdir()
    figures = json.loads(path.read_text())["figures"]
    assert set(kernels_cpu.PER_SECOND) < set(figures["kernels"])
    assert all(row["ms"]["p50"] > 0 and row["over_copy"]["p50"] > 0 for row in figures["kernels"].values())
    assert str(path) in capsys.readouterr().out
