"""The benchmark of the CPU kernels runs every kernel and records it."""

import json
import sys

from benchmarks import kernels_cpu
from engine.detectors import DETECTORS


def test_every_kernel_is_recorded_with_its_ratio(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernels-cpu", "--repeats", "2", "--turns", "1", "--results", str(tmp_path)])
    kernels_cpu.main()
    [path] = tmp_path.iterdir()
    figures = json.loads(path.read_text())["figures"]
    assert set(kernels_cpu.PER_SECOND) < set(figures["kernels"])
    assert all(row["ms"]["p50"] > 0 and row["over_copy"]["p50"] > 0 for row in figures["kernels"].values())
    said = capsys.readouterr().out
    assert str(path) in said
    for declared in DETECTORS:
        if declared.track != "stream":
            assert declared.name in figures["detectors"][declared.track]
            assert f"| {declared.name} | " in said
    # What every stream pays is no detector's, and all of them together cost more than none.
    assert all(costs["every stream"]["p50"] > 0 for costs in figures["detectors"].values())
    assert figures["detectors"]["video"]["all detectors"]["p50"] > 0
