"""The GPU check's own logic, on a machine without a GPU: it runs what it can and says what it could not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_driver import over_fake_driver  # noqa: F401 - a fixture

from benchmarks import gpu_check, gpu_first_runs
from benchmarks.made_surfaces import copy_to_host, make_surface
from benchmarks.progress import Progress

ROOT = Path(__file__).parents[2]


def run_check(*arguments, results):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--results", str(results), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {line["part"]: line for line in lines}


def test_dry_run_measures_kernels_and_path_and_writes_one_result(tmp_path):
    code, parts = run_check("--device", "cpu", "--quick", "--only", "kernels", "path", "decode", results=tmp_path)
    assert code == 0, parts
    assert parts["kernels"]["frame_stats"]["over_copy"]["p50"] > 0
    assert parts["kernels"]["edge_width"]["frames_per_second"]["p50"] > 0
    for name in ("tile_stats", "texture", "active_area", "blockiness", "torn_blocks", "scaled_blocks", "tear", "siti"):
        assert parts["kernels"][name]["time_over_copy"]["p50"] > 0
    assert parts["kernels"]["network"]["pieces_per_second"]["p50"] > 0
    assert parts["kernels"]["audio_stats"]["stream_seconds_per_second"]["p50"] > 0
    assert parts["path"]["recorded"]["frames_per_second"]["p50"] > 0
    assert parts["path"]["reader"]["us_per_picture"]["p50"] > 0
    assert "NVDEC needs a GPU" in parts["decode"]["skipped"]
    (result,) = tmp_path.iterdir()
    record = json.loads(result.read_text())
    assert set(record["figures"]["parts"]) == {"kernels", "path", "decode"}
    assert record["figures"]["quick"] is True


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_other_parts_are_left_out_and_nothing_is_written(tmp_path):
    only = ("machine", "decode", "tests")
    code, parts = run_check("--device", "cuda:0", "--quick", "--only", *only, results=tmp_path)
    assert code == 1
    assert "no CUDA device" in parts["machine"]["error"]
    for name in ("decode", "tests"):
        assert parts[name] == {"part": name, "ok": False, "skipped": "torch sees no CUDA device"}
    assert list(tmp_path.iterdir()) == []


def test_part_that_fails_is_reported_and_the_next_one_runs(tmp_path, monkeypatch, capsys):
    ends = {"machine": {"error": "it is on fire"}, "decode": {"counts": []}}
    monkeypatch.setattr(gpu_check, "_run_part", lambda name, *_: {"part": name, "ok": name == "decode", **ends[name]})
    code = gpu_check.check("cpu", quick=True, clip=tmp_path, names=list(ends), folder=tmp_path)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    assert [line["part"] for line in lines] == ["plan", "machine", "decode", "result"]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_plan_names_parts_limits_tests_and_missing_libraries(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "LIBRARIES", ("numpy", "no_such_library"))
    found = gpu_check.plan("cuda:0", list(gpu_check.PARTS))
    assert found["limits_seconds"] == gpu_check.LIMITS
    assert "tests/kernels/test_frame_stats_gpu.py" in found["test_files"]
    assert found["libraries_missing"] == ["no_such_library"]
    assert gpu_check.plan("cuda:0", ["decode"])["test_files"] == []
    code, parts = run_check("--plan", results=tmp_path)
    assert code == 0
    assert list(parts) == ["plan"]


def test_part_that_hangs_is_ended_at_its_limit():
    line = gpu_check._run_part("machine", ["--device", "cpu"], 0.05)
    assert line["error"] == "not done after 0 s"
    assert not line["ok"]


def test_what_a_part_has_told_before_its_end_is_kept():
    mark = gpu_check._MARK
    assert gpu_check._last_told(f'noise\n{mark}{{"a": 1}}\n{mark}{{"a": 1, "b": 2}}\n{mark}{{"a": 1, "b"') == {
        "a": 1,
        "b": 2,
    }
    assert gpu_check._last_told("nothing of ours") == {}


def test_nothing_new_begins_without_time_and_that_is_told():
    told = []
    progress = Progress(5.0, told.append)
    assert progress.has_time_for("one", 1.0)
    progress.add("one", 1)
    assert not progress.has_time_for("two", 60.0)
    progress.add("three", 3)
    assert told[-1] == {"one": 1, "three": 3, "no_time_for": ["two"]}
    assert Progress(-1.0).left() == 0


def test_shares_of_the_first_runs_say_what_failed_in_them(monkeypatch):
    shares = (("benchmarks.gpu_kernels", "active_area"), ("benchmarks.gpu_kernels", "siti"), ("benchmarks.nothing",))
    monkeypatch.setattr(gpu_first_runs, "_SHARES", shares)
    progress = Progress(120.0)
    found = gpu_first_runs.run_first("cpu", progress, workers=2)
    assert set(found) == {"gpu_kernels active_area", "gpu_kernels siti", "nothing"}
    assert "error" not in found["gpu_kernels siti"]
    assert "No module named benchmarks.nothing" in found["nothing"]["error"]
    assert gpu_first_runs._reason('noise {"siti": {"error": "it is wrong"}, "tear": {}}') == "siti: it is wrong"


def test_first_runs_without_time_are_ended_and_named(monkeypatch):
    monkeypatch.setattr(gpu_first_runs, "_SHARES", (("benchmarks.gpu_kernels", "siti"), ("benchmarks.gpu_path",)))
    found = gpu_first_runs.run_first("cpu", Progress(0.0), workers=1)
    assert found["error"] == "no time left for gpu_kernels siti, benchmarks.gpu_path"


@pytest.mark.parametrize(
    ("devices", "name"),
    [([{"name": "NVIDIA H200"}], "h200"), ([{"name": "Tesla T4"}, {"name": "x"}], "t4"), ([], None)],
)
def test_a_result_is_named_after_the_gpu(devices, name):
    assert gpu_check._model([{"part": "machine", "devices": devices}, {"part": "path"}]) == (name or "unknown")


def test_limits_leave_room_within_eight_minutes():
    assert sum(gpu_check.LIMITS.values()) <= 8 * 60 - 10
    assert set(gpu_check.LIMITS) == set(gpu_check.PARTS)


def test_report_tells_missing_libraries_from_failures(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="a" name="good"/>'
        '<testcase classname="a" name="skipped"><skipped/></testcase>'
        '<testcase classname="a" name="bad"><failure message="1 != 2">assert</failure></testcase>'
        '<testcase classname="" name="needs_av"><error message="collection failure">ModuleNotFoundError: av</error>'
        "</testcase></testsuite></testsuites>"
    )
    found = gpu_check._read_report(report, ["x"])
    assert found == {
        "files": 1,
        "passed": 1,
        "failed": ["a.bad: 1 != 2"],
        "libraries_missing_for": ["needs_av"],
        "error": "1 failed",
    }


def test_nothing_that_the_gpu_machine_lacks_is_loaded():
    script = """
import sys
for name in ("av", "pydantic", "typer", "rich", "prometheus_client", "yaml", "PyNvVideoCodec"):
    sys.modules[name] = None  # importing it raises ImportError
import benchmarks.gpu_check, benchmarks.gpu_decode, benchmarks.gpu_kernels, benchmarks.gpu_path, benchmarks.gpu_streams
import benchmarks.gpu_blocks, benchmarks.gpu_first_runs, benchmarks.host_costs
print("loaded")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "loaded", done.stderr


def test_gpu_tests_are_found_with_torch_triton_numba_numpy_and_pytest_alone(tmp_path):
    """Where anything else is missing no file of them may fall out."""
    refused = [
        *("av", "pydantic", "typer", "rich", "prometheus_client", "yaml", "sqlalchemy", "alembic", "msgspec"),
        *("fastapi", "starlette", "uvicorn", "anyio", "httpx", "pyarrow", "duckdb", "obstore", "hypothesis", "psutil"),
    ]
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {refused!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    files = gpu_check.gpu_test_files()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "gpu"),
            *("-p", "pytest_timeout", "-p", "no:cacheprovider"),
            *files,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert len({line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}) == len(files)


def test_decode_and_pipeline_run_over_the_fake_driver(over_fake_driver):  # noqa: F811
    script = """
import json, torch
from pathlib import Path
from benchmarks.elementary_clip import Clip
from benchmarks.gpu_decode import decode_only, pipeline
from engine.decode.nvdec_pool import DecoderPool
pool = DecoderPool(0)
clip = Clip(Path("tests/clips/h264_320x180_8bit.h264"))
decoded = decode_only(pool, clip, 3, 0.3)
judged = pipeline(pool, clip, torch.device("cpu"), 3, 0.3)
print(json.dumps([decoded, judged, pool.sessions_in_use, pool.surfaces_held]))
"""
    done = over_fake_driver(script)
    assert done.returncode == 0, done.stderr
    decoded, judged, in_use, held = json.loads(done.stdout)
    assert decoded["frames_per_second"] > 0
    assert judged["frames_per_second"] > 0
    assert (in_use, held) == (0, 0)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_made_surfaces_are_readable_and_their_host_copies_equal(bit_depth):
    surface = make_surface("s", torch.device("cpu"), 64, 32, bit_depth=bit_depth, seed=3)
    host = copy_to_host(surface)
    assert torch.equal(surface.owner, host.owner)
    assert host.addresses[1] - host.addresses[0] == surface.addresses[1] - surface.addresses[0]
    assert host.owner.data_ptr() == host.addresses[0]
    again = make_surface("s", torch.device("cpu"), 64, 32, bit_depth=bit_depth, seed=3)
    assert torch.equal(surface.owner, again.owner)
    other = make_surface("s", torch.device("cpu"), 64, 32, bit_depth=bit_depth, seed=4)
    assert not torch.equal(surface.owner, other.owner)
